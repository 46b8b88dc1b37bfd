"""The catalogue of detectors as blocks: a line each, or one detector with every setting and its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from analyzer.render.blocks import Block, Bullets, Heading, Line, Paragraph, Table, code, line, plain
from analyzer.render.numbers import count, number
from analyzer.types.catalogue import DEFAULT, Entry, Verdicts
from analyzer.types.percents import percent

NO_VERDICTS = "no verdicts yet"


def catalogue_outline(entries: Sequence[Entry]) -> tuple[Block, ...]:
    """Return a row a detector."""
    header = ("detector", "kind", "state", "set", "precision", "looks at")
    return (
        Table(header, tuple(_row(entry) for entry in entries)),
        Paragraph(plain("`analyzer detectors NAME` shows its settings and the reason of each.")),
    )


def detector_outline(entry: Entry) -> tuple[Block, ...]:
    """Return one detector whole."""
    blocks: list[Block] = [
        Heading(1, plain(f"{entry.name} ({_state(entry)})")),
        Paragraph(plain(entry.looks_at)),
        Bullets((
            plain(f"Kind: {entry.kind.value}"),
            plain(f"From: {entry.origin}"),
            plain(f"Incidents: {entry.verdicts.incidents}, {_judged(entry.verdicts)}"),
        )),
    ]  # fmt: skip
    if entry.settings:
        rows = tuple(
            (plain(one.name), plain(_value(one.value)), plain(_value(one.default)), plain(one.source))
            for one in entry.settings
        )
        blocks += [Heading(2, plain("Settings")), Table(("setting", "value", "default", "source"), rows)]
        blocks.append(Bullets(tuple(line(code(one.name), f": {one.why}") for one in entry.settings if one.why)))
    if entry.agents:
        rules = tuple(line(code(pattern), f": {_set(given)}") for pattern, given in entry.agents)
        blocks += [Heading(2, plain("For some agents, the last that fits is the strongest")), Bullets(rules)]
    return tuple(blocks)


def _row(entry: Entry) -> tuple[Line, ...]:
    changed = sum(one.source != DEFAULT for one in entry.settings)
    for_some = f", {count(len(entry.agents), 'pattern')}" if entry.agents else ""
    return (
        plain(entry.name),
        plain(entry.kind.value),
        plain(_state(entry)),
        plain(f"{changed}{for_some}"),
        plain(_precision(entry.verdicts)),
        plain(entry.looks_at),
    )


def _state(entry: Entry) -> str:
    return "on" if entry.enabled else "off"


def _precision(verdicts: Verdicts) -> str:
    if verdicts.precision is None:
        return NO_VERDICTS
    return f"{percent(verdicts.precision)} of {verdicts.incidents}"


def _value(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return f"{value:.1e}" if value and abs(value) < _SMALL and math.isfinite(value) else number(value)


_SMALL = 1e-3


def _judged(verdicts: Verdicts) -> str:
    if verdicts.precision is None:
        return NO_VERDICTS
    said = f"{verdicts.confirmed} confirmed and {verdicts.dismissed} dismissed by humans"
    return f"{said}, precision {percent(verdicts.precision)}"


def _set(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in given.items()) or "nothing"
