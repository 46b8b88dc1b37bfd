"""The tool that lays two trajectories beside each other."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from analyzer.agent.desk import Desk
from analyzer.agent.model import ToolSpec
from analyzer.agent.text import one_line
from analyzer.agent.tools.base import TRACE, Arguments, Tool, closed_schema
from analyzer.types.steps import Step
from analyzer.types.trace import Status

STEPS_MAX = 400
"""Aligning costs the product of both lengths in the worst case."""
LINES_MAX = 60
RUN_MAX = 12
"""Steps listed of one stretch that only one side has."""


def compare(desk: Desk, arguments: Arguments) -> str:
    """Return the alignment of two trajectories, a line a stretch."""
    one, every_a = desk.opened(desk.named(arguments.get("trace_a", ""), "trace_a"))
    two, every_b = desk.opened(desk.named(arguments.get("trace_b", ""), "trace_b"))
    steps_a, steps_b = every_a[:STEPS_MAX], every_b[:STEPS_MAX]
    matcher = difflib.SequenceMatcher(None, _signatures(steps_a), _signatures(steps_b), autojunk=False)
    lines = [
        f"{name} = {of.trace_id}: {of.steps} steps, {of.errors} errors, outcome {of.outcome.value}"
        for name, of in (("A", one.summary), ("B", two.summary))
    ]
    for tag, a1, a2, b1, b2 in matcher.get_opcodes():
        if tag == "equal":
            lines.append(f"= A {a1 + 1}-{a2} and B {b1 + 1}-{b2}: the same calls, ending the same way")
            continue
        for name, steps in (("- only A", steps_a[a1:a2]), ("+ only B", steps_b[b1:b2])):
            lines += [f"{name}: {desk.case.markers.clean(_brief(step))}" for step in steps[:RUN_MAX]]
            if len(steps) > RUN_MAX:
                lines.append(f"  … and {len(steps) - RUN_MAX} more steps")
    if len(lines) > LINES_MAX:
        lines = [*lines[:LINES_MAX], f"  … {len(lines) - LINES_MAX} more lines"]
    if max(len(every_a), len(every_b)) > STEPS_MAX:
        lines.append(f"  only the first {STEPS_MAX} steps of each were compared")
    return "\n".join(lines)


def _signatures(steps: Sequence[Step]) -> list[tuple[str, str, str]]:
    return [(step.operation.value, step.name, step.status.value) for step in steps]


def _brief(step: Step) -> str:
    answer = step.status_message or step.output if step.status is Status.ERROR else step.output
    return (
        f"step {step.number} {step.span_id} {one_line(step.name, 60)} {step.status.value} | "
        f"{one_line(step.input, 60)} -> {one_line(answer, 60)}"
    )


COMPARE = Tool(
    ToolSpec(
        "compare",
        "Aligns two trajectories by what was called and how it ended, and shows where they part. Not quotable.",
        closed_schema(trace_a=TRACE, trace_b=TRACE),
    ),
    compare,
)
