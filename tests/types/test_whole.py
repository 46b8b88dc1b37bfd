"""What one process finds and another reads is the same to the last digit, and nothing else is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.incidents import finding

from analyzer.errors import InputError
from analyzer.types.report import Finding
from analyzer.types.whole import dumped, loaded

TEXTS = st.text(max_size=8) | st.just("\0\ud800\u2028")
"""Half a character pair comes through; two halves side by side are one character, as in any JSON."""
FROM, TO = datetime(2, 1, 1), datetime(9998, 1, 1)  # noqa: DTZ001 - bounds are naive
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(),
    float: st.floats(),
    bool: st.booleans(),
    NoneType: st.none(),
    datetime: st.datetimes(FROM, TO, timezones=st.just(UTC)).map(lambda at: at.replace(fold=0)),
}


def drawn(kind: Any) -> st.SearchStrategy[Any]:
    """Return what draws any value of a type: of a dataclass every field, also one that is added later."""
    if kind in PLAIN:
        return PLAIN[kind]
    if get_origin(kind) in {Union, UnionType}:
        return st.one_of([drawn(one) for one in get_args(kind)])
    if get_origin(kind) is tuple:
        return st.lists(drawn(get_args(kind)[0]), max_size=2).map(tuple)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    return st.builds(kind, **{name: drawn(hint) for name, hint in get_type_hints(kind).items()})


@given(drawn(tuple[Finding, ...]))
def test_a_finding_comes_through_whole(found: tuple[Finding, ...]) -> None:
    """Every field of every finding comes back: texts that are no Unicode, numbers that are not finite, times."""
    text = dumped(found)
    assert repr(loaded(Finding, text)) == repr(found)
    assert text.isascii()


def test_numbers_of_numpy_are_ours() -> None:
    """What a detector computed in numpy comes back as plain numbers of the same value."""
    given_ = finding(value=np.float64(0.1) + np.float64(0.2), affected=np.int64(7))
    (read,) = loaded(Finding, dumped((given_,)))
    assert (read.value, read.affected) == (0.30000000000000004, 7)
    assert (type(read.value), type(read.affected)) == (float, int)
    elsewhere = given_.onset.astimezone(timezone(timedelta(hours=5)))
    assert loaded(Finding, dumped((finding(onset=elsewhere),)))[0].onset == given_.onset


def test_what_is_no_json_is_refused_before_it_is_written() -> None:
    """A number or a list of a kind that would not come back as it is: an error of ours, and nothing is written."""
    for broken in (finding(value=np.float32(2.5)), finding(trace_ids=["1" * 32]), finding(note={"a"})):
        with pytest.raises(InputError, match="does not go through JSON"):
            dumped((broken,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("value", "1"),
        ("value", True),
        ("affected", 1.5),
        ("kind", "nonsense"),
        ("onset", "yesterday"),
        ("trace_ids", "abc"),
        ("subject", {"agent": "a"}),
        ("evidence", [{"id": "E1"}]),
        ("note", None),
    ],
)
def test_what_is_no_finding_is_refused(name: str, value: object) -> None:
    """A value of another type, a missing or an unknown field: an error, never a finding that is half of one."""
    document = json.loads(dumped((finding(),)))[0]
    with pytest.raises(InputError, match="no list of Finding as this release writes it"):
        loaded(Finding, json.dumps([{**document, name: value}]))
    for broken in ("", "{}", "[1]", json.dumps([document | {"more": 1}]), "[" * 100_000):
        with pytest.raises(InputError):
            loaded(Finding, broken)
