"""Where the detectors stand with one agent, as blocks: a table of figures, then what holds each of them back."""

from __future__ import annotations

from analyzer.render.blocks import Block, Bullets, Heading, Line, Paragraph, Table, line, plain, strong
from analyzer.render.numbers import figure, moment, number
from analyzer.render.text import one_line
from analyzer.types.reading import UNMEASURED, Gate, Reading, Standing, WhyNot

_NAME_COLUMNS_MAX = 60
_UNIT_COLUMNS_MAX = 3
GATES = {
    Gate.NO_SERIES: "no data",
    Gate.HISTORY: "too new",
    Gate.UNITS: "too few",
    Gate.MASK: "hidden",
    Gate.EFFECT: "too small",
    Gate.SCORE: "too weak",
    Gate.PERSISTENCE: "too short",
    Gate.OFF: "off",
    Gate.FAILED: "failed",
    Gate.FOUND: "found",
}
"""Short, so that the table fits a narrow terminal: the sentence below it says the rest."""


def why_not_outline(answer: WhyNot) -> tuple[Block, ...]:
    """Return the answer for people: the figures of what is measured, the reasons, and what there is nothing of."""
    measured = [one for one in answer.standings if one.reading.gate not in UNMEASURED]
    blank = [one for one in answer.standings if one.reading.gate in UNMEASURED]
    blocks: list[Block] = [Heading(1, plain(f"{answer.agent} at {moment(answer.at)}"))]
    if answer.last_seen is not None:
        blocks.append(Paragraph(plain(f"Its latest trajectory ended at {moment(answer.last_seen)}.")))
    else:
        blocks.append(Paragraph(plain("No trajectory of it had ended by then.")))
    if measured:
        header = ("detector", "stands", "observed", "usual", "score")
        blocks.append(Table(header, tuple(_row(one) for one in measured), right=frozenset({2, 3, 4})))
        blocks += [Heading(2, plain("Why")), Bullets(tuple(_reason(one) for one in measured))]
    if blank:
        blocks += [Heading(2, plain("Not measured")), Bullets(tuple(_reason(one) for one in blank))]
    return tuple(blocks)


def _row(one: Standing) -> tuple[Line, ...]:
    reading = one.reading
    return (
        plain(_name(reading)),
        plain(GATES[reading.gate]),
        plain(_measured(reading, reading.value)),
        plain(_measured(reading, reading.baseline)),
        plain("-" if reading.score is None else f"{number(reading.score)} of {number(reading.threshold)}"),
    )


def _name(reading: Reading) -> str:
    tool = f" / {reading.subject.tool}" if reading.subject.tool else ""
    return one_line(f"{reading.detector}{tool}", _NAME_COLUMNS_MAX)


def _measured(reading: Reading, value: float | None) -> str:
    """Return a figure; what counts things of the detector's own name goes without their name."""
    if value is None:
        return "-"
    text = figure(value, reading.kind, reading.unit)
    return text.removesuffix(f" {reading.unit}") if len(reading.unit) > _UNIT_COLUMNS_MAX else text


def _reason(one: Standing) -> Line:
    reading = one.reading
    told = f" Found: {one.said}." if one.said else ""
    why = reading.why if reading.why.endswith(".") else f"{reading.why}."
    detectable = f" {reading.detectable}" if reading.detectable else ""
    return line(strong(_name(reading)), f": {why}{told}{detectable}")
