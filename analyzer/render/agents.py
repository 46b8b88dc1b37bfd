"""Agents of the inventory: all as a table, one whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime

from analyzer.render.blocks import Block, Bullets, Heading, Line, Paragraph, Table, code, line, plain, prose
from analyzer.render.numbers import clock, moment, money, number
from analyzer.render.text import one_line
from analyzer.types.agents import Entry, KnownAgent, Sighted
from analyzer.types.budget import Budget

_NAME_CHARS_MAX = 40
_SHOWN_MAX = 12
"""Versions, models and tools of one agent that are shown to people; JSON has all that are kept."""


def agent_table(agents: Sequence[tuple[KnownAgent, Budget]], at: datetime) -> Table:
    """Return a row an agent, in the order given, with times as seen from `at`."""
    header = ("agent", "owner", "last seen", "first seen", "version", "model", "tools", "budget")
    return Table(header, tuple(_row(one, budget, at) for one, budget in agents), right=frozenset({6}))


def _row(one: KnownAgent, budget: Budget, at: datetime) -> tuple[Line, ...]:
    return (
        plain(one_line(one.agent, _NAME_CHARS_MAX)),
        plain(one_line(one.entry.owner, _NAME_CHARS_MAX) if one.entry and one.entry.owner else "-"),
        plain(_seen(one, one.last_seen, at)),
        plain(_seen(one, one.first_seen, at)),
        plain(_newest(one.versions)),
        plain(_newest(one.models)),
        plain(f"{len(one.tools)}"),
        plain("; ".join(_limits(budget)) or "-"),
    )


def agent_outline(one: KnownAgent, budget: Budget) -> list[Block]:
    """Return one agent whole."""
    entry = one.entry or Entry(one.agent)
    facts = [
        ("owner", entry.owner or "nobody said"),
        ("contact", entry.contact),
        ("first seen", "not yet" if not one.is_seen else _moment(one.first_seen)),
        ("last seen", _moment(one.last_seen) if one.is_seen else ""),
        ("budget", "; ".join(_limits(budget)) or "none set"),
        ("registered", "" if entry.at is None else moment(entry.at)),
    ]
    blocks: list[Block] = [Heading(1, plain(one_line(one.agent)))]
    if entry.description:
        blocks.append(Paragraph(prose(one_line(entry.description))))
    blocks.append(Bullets(tuple(line(f"{name}: {one_line(text)}") for name, text in facts if text)))
    for title, seen, when in (
        ("Versions", one.versions, moment),
        ("Models", one.models, moment),
        ("Tools", one.tools, _day),
    ):
        if seen:
            more = len(seen) - _SHOWN_MAX
            blocks.append(Heading(2, plain(title + (f", the last {_SHOWN_MAX} of {len(seen)}" if more > 0 else ""))))
            blocks.append(Table(("name", "first", "last"), tuple(_sighted(each, when) for each in seen[:_SHOWN_MAX])))
    return blocks


def _sighted(one: Sighted, when: Callable[[datetime], str]) -> tuple[Line, ...]:
    return ((code(one_line(one.value, _NAME_CHARS_MAX)),), plain(when(one.first)), plain(when(one.last)))


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d}"


def _newest(seen: Sequence[Sighted]) -> str:
    if not seen:
        return "-"
    more = f" and {len(seen) - 1} more" if len(seen) > 1 else ""
    return one_line(seen[0].value, _NAME_CHARS_MAX) + more


def _seen(one: KnownAgent, when: datetime | None, at: datetime) -> str:
    if not one.is_seen:
        return "not yet"
    return "-" if when is None else clock(when, at)


def _moment(when: datetime | None) -> str:
    return "no span has a time" if when is None else moment(when)


def _limits(budget: Budget) -> list[str]:
    said = []
    for spec in fields(Budget):
        limit = getattr(budget, spec.name)
        if limit is not None:
            unit, _, each = spec.name.partition("_per_")
            written = money(limit) if unit == "usd" else f"{number(limit)} {unit}"
            said.append(f"{written} a {each}")
    return said
