"""A chain of entries shows every way in which it could have been tampered with."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.types.audit import Anchor, Head, canonical, chained, digest, faults

Rows = list[tuple[int, str, str]]


def chain(length: int, salt: str = "") -> Rows:
    """Return a sound log."""
    head, rows = Head(0, ""), []
    for number in range(1, length + 1):
        text, head = chained(head, {"action": "tool.call", "name": f"t{number}{salt}"})
        rows.append((head.entries, text, head.hash))
    return rows


def found(rows: Rows, *anchors: Anchor) -> list[tuple[int, str]]:
    """Return what is wrong with a log."""
    return [(fault.number, fault.what) for fault in faults(rows, anchors)]


def edited(row: tuple[int, str, str], **fields: object) -> tuple[int, str, str]:
    """Return a row whose entry says something else, with the hash that it had."""
    return (row[0], canonical({**json.loads(row[1]), **fields}), row[2])


def rehashed(row: tuple[int, str, str]) -> tuple[int, str, str]:
    """Return a row with the right hash for its text."""
    return (row[0], row[1], digest(row[1]))


def test_a_sound_log_has_no_faults():
    """What was appended and left alone is whole, also the empty log, and agrees with its anchors."""
    rows = chain(5)
    anchors = [Anchor(f"a{number}", Head(number, kept)) for number, _, kept in rows]
    assert found(rows, *anchors) == []
    assert found([]) == []


@pytest.mark.parametrize(
    ("tampered", "said"),
    [
        (
            lambda r: [*r[:2], edited(r[2], name="x"), *r[3:]],
            [(3, "entry 3 was changed: its hash is not that of its text")],
        ),
        (
            lambda r: [*r[:2], rehashed(edited(r[2], name="x")), *r[3:]],
            [(4, "entry 4 does not follow entry 3: one of them was replaced")],
        ),
        (lambda r: [*r[:2], *r[3:]], [(3, "entry 3 is missing")]),
        (lambda r: [*r[:1], *r[3:]], [(2, "entries 2 to 3 are missing")]),
        (lambda r: r[1:], [(1, "entry 1 is missing")]),
        (
            lambda r: [r[0], (2, *r[2][1:]), (3, *r[1][1:]), *r[3:]],
            [
                (2, "entry 3 stands in the place of entry 2: entries were moved"),
                (3, "entry 2 stands in the place of entry 3: entries were moved"),
                (4, "entry 4 does not follow entry 3: one of them was replaced"),
            ],
        ),
        (lambda r: [*r[:3], (4, "no json", digest("no json")), r[4]], [
            (4, "entry None stands in the place of entry 4: entries were moved"),
            (5, "entry 5 does not follow entry 4: one of them was replaced"),
        ]),
        (lambda r: r[:3], [(4, "entries 4 to 5 are missing at the end: the store has seen them")]),
        (lambda r: [], [(1, "entries 1 to 5 are missing at the end: the store has seen them")]),
        (lambda r: chain(5, "x"), [(5, "the store has seen another entry 5: the log was made anew")]),
    ],
    ids=["edit", "edit and hash", "remove", "two", "first", "swap", "replace", "tail", "all", "made anew"],
)  # fmt: skip
def test_every_tampering_is_found_and_names_the_entry(tampered, said):
    """Edits, removals (of the tail as well), moves and whole new chains are each told by the entry they concern."""
    rows = chain(5)
    assert found(tampered(rows), Anchor("the store", Head(5, rows[-1][2]))) == said


@given(st.integers(2, 12), st.data())
def test_any_one_change_of_a_log_is_found(length: int, data: st.DataObject):
    """Change one character anywhere, drop, repeat or swap entries: with the head known elsewhere it is found."""
    rows = chain(length)
    anchor = Anchor("elsewhere", Head(length, rows[-1][2]))
    at = data.draw(st.integers(0, length - 1))
    number, text, kept = rows[at]
    way = data.draw(st.sampled_from(["text", "hash", "drop", "swap"]))
    if way in {"text", "hash"}:
        old = text if way == "text" else kept
        place = data.draw(st.integers(0, len(old) - 1))
        letter = data.draw(st.sampled_from('0123456789abcdefxyz{}",: ').filter(lambda one: one != old[place]))
        new = old[:place] + letter + old[place + 1 :]
        rows[at] = (number, new, kept) if way == "text" else (number, text, new)
    elif way == "drop":
        del rows[at]
    else:
        other = data.draw(st.integers(0, length - 1).filter(lambda one: one != at))
        rows[at], rows[other] = (number, *rows[other][1:]), (rows[other][0], text, kept)
    assert found(rows, anchor)
