"""What costly trajectories are sent that no healthy peer was sent: the text behind a rise of the tokens per step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analyzer.agent.shapes import shape_of
from analyzer.agent.text import Mask, has_hidden, text_of
from analyzer.types.report import SpanEvidence
from analyzer.types.steps import Step
from analyzer.types.trace import Operation
from analyzer.types.trajectory import Trajectory

FIELDS = ("system", "input")
"""Where instructions and loaded context stand."""
LINE_CHARS_MIN, LINE_CHARS_MAX = 16, 240
OWN_WORDS = "assistant: "
"""What the agent said itself comes back to it at every step: that there is more of it is no reason but an effect."""
LINES_MAX = 20_000
"""Lines of all texts looked at: bounds the work on the longest histories."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A line that came with the rise."""

    trajectory: Trajectory
    step: Step
    quote: SpanEvidence
    lines: int
    """Lines of this shape in the one step: what is loaded whole comes in many."""
    shared: int
    """Of the costly trajectories looked at, how many hold a line of this shape."""
    of: int


def growth(trajectories: Sequence[Trajectory], healthy: Sequence[Trajectory], mask: Mask) -> Growth | None:
    """Return the line that most costly trajectories are sent and no healthy peer; of equals the most repeated one.

    None where there is no peer to compare with, or nothing is new to more than half of the costly ones.
    """
    if not healthy:
        return None
    known = {shape for peer in healthy for _, _, _, shape in _lines(peer, mask)}
    holders: Counter[str] = Counter()
    firsts: dict[str, tuple[Trajectory, Step, SpanEvidence]] = {}
    counts: Counter[tuple[str, str, str]] = Counter()
    for one in trajectories:
        seen: set[str] = set()
        for step, field, line, shape in _lines(one, mask):
            if shape in known:
                continue
            counts[one.summary.trace_id, step.span_id, shape] += 1
            seen.add(shape)
            firsts.setdefault(shape, (one, step, SpanEvidence("", one.summary.trace_id, step.span_id, field, line)))
        holders.update(seen)
    if not holders:
        return None

    def weight(shape: str) -> tuple[int, int, int, str]:
        one, step, _ = firsts[shape]
        return holders[shape], counts[one.summary.trace_id, step.span_id, shape], len(shape), shape

    best = max(holders, key=weight)
    one, step, quote = firsts[best]
    if holders[best] <= len(trajectories) // 2:
        # Every run has a goal of its own, and text about it.
        return None
    times = counts[one.summary.trace_id, step.span_id, best]
    return Growth(one, step, quote, times, holders[best], len(trajectories))


def _lines(one: Trajectory, mask: Mask) -> Iterable[tuple[Step, str, str, str]]:
    """Yield the quotable lines that the inferences are sent: step, field, line, shape."""
    left = LINES_MAX
    steps = {step.span_id: step for step in one.steps if step.operation is Operation.CHAT}
    for span in one.spans:
        step = steps.get(span.span_id)
        if step is None:
            continue
        for field in FIELDS:
            for line in text_of(span, field, mask).splitlines():
                left -= 1
                if left < 0:
                    return
                words = line.strip()
                if words.startswith(OWN_WORDS) or has_hidden(words):
                    continue
                if LINE_CHARS_MIN <= len(words) <= LINE_CHARS_MAX:
                    yield step, field, words, shape_of(words)
