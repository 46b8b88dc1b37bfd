"""Trajectories that made the choice of a finding, with the words in which they made it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analyzer.types.choices import TOOL, Shifted, choices_of, task_of
from analyzer.types.report import SpanEvidence
from analyzer.types.steps import Step
from analyzer.types.trace import Operation

QUOTED_MAX = 3
"""Trajectories that are quoted: one could be a whim."""
QUOTE_MAX = 300


@dataclass(frozen=True, slots=True)
class _Made:
    """A trajectory that is at fault, and the call that shows it."""

    trace_id: str
    step: Step | None
    on_task: bool


def making(
    steps: Mapping[str, Sequence[Step]], shifted: Shifted, tool: str | None
) -> tuple[tuple[str, ...], tuple[SpanEvidence, ...]]:
    """Return the trajectories that made a choice, in the order given, and quotes of the calls that made it.

    Read from the calls in the same way as when they were counted. Where nothing took the place of the usual choice,
    these are the ones without it. On a kind of task that is named, only trajectories with a goal of that kind count: on
    another kind the same choice may be right. Where no goal can be read, all of them count.
    """
    made = [one for trace_id, own in steps.items() if (one := _made(trace_id, own, shifted, tool)) is not None]
    if any(one.on_task for one in made):
        made = [one for one in made if one.on_task]
    quotes = [_quoted(one, shifted) for one in made if one.step is not None][:QUOTED_MAX]
    return tuple(one.trace_id for one in made), tuple(quote for quote in quotes if quote is not None)


def _made(trace_id: str, steps: Sequence[Step], shifted: Shifted, tool: str | None) -> _Made | None:
    wanted = shifted.picked if shifted.picked is not None else shifted.usual
    concerned = [
        step for step in steps if step.operation is Operation.TOOL and (shifted.what == TOOL or step.name == tool)
    ]
    step = next((step for step in concerned if (shifted.what, wanted) in choices_of(step.name, step.input)), None)
    on_task = shifted.task is None or shifted.task in _tasks(steps)
    if shifted.picked is not None:
        return None if step is None else _Made(trace_id, step, on_task)
    had_the_choice = bool(concerned) or shifted.what == TOOL
    return _Made(trace_id, None, on_task) if step is None and had_the_choice else None


def _tasks(steps: Iterable[Step]) -> set[str]:
    """Return the kinds that the first message of a trajectory may be of."""
    first = next((step for step in steps if step.operation is not Operation.TOOL and step.input), None)
    return set() if first is None else {task_of(first.input)}


def _quoted(one: _Made, shifted: Shifted) -> SpanEvidence | None:
    """Return the line of the arguments that names the choice, verbatim, cut around the name."""
    assert one.step is not None  # noqa: S101 - asked of calls alone
    text = one.step.input
    name = re.escape(shifted.picked or "").replace(r"\#", r"[\d_.\-]+")
    found = re.search(name, text, re.IGNORECASE) if shifted.what != TOOL else None
    at = found.start() if found else 0
    begin = max(text.rfind("\n", 0, at) + 1, at - QUOTE_MAX // 2)
    quote = text[begin : begin + QUOTE_MAX].split("\n", 1)[0].strip()
    return SpanEvidence("", one.trace_id, one.step.span_id, "input", quote) if quote else None
