"""Which steps of a trajectory are worth its reader's time, and why: points for what tends to decide how a run ends.

The points order steps and weigh their share of the room; they are no measure of anything. None of the reasons needs a
label or a data set: failures, what was asked before them, loops, where a healthy peer goes another way, plans, words
that take something back, where the values of the final answer come from, and the last steps.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analyzer.agent.text import one_line
from analyzer.types.loops import Loop
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Status

TOLD_POINTS_MIN = 4.0
"""A weaker reason is a guess by words, and the reader sees the words."""
LOOPS_SHOWN = 2
"""Beginnings of loops that count, the longest first."""
EARLY = 2.0
"""Points of the first step, falling to none at the last: of two mistakes the earlier one decides."""
RARE_STEPS_MIN = 8
"""In shorter runs every name is rare."""
LONGEST = 2
"""Replies that count as the long reasoning of a run."""
VALUES_MAX = 12
"""Values of the final answer whose source is looked for."""
ANSWER_STEPS = 4
"""Among so many last steps the final answer is looked for: some frameworks end with a word of their own."""
ANSWER_CHARS_MIN = 40

_TROUBLE = re.compile(
    r"\b(?:traceback|exception|error|failed|failure|denied|timed? ?out|not found|unable to|could not|couldn't|cannot|"
    r"no results?|invalid|exit ?code:? [1-9])\b",
    re.IGNORECASE,
)
"""How tools and agents speak of trouble where no status says so."""
_TAKEN_BACK = re.compile(
    r"\b(?:incorrect|mistaken?|wrong|apologi[sz]e|sorry|instead|actually|correction|revised?|mismatch|contradicts?|"
    r"inconsistent|re-?check|overlooked|assum\w+)\b",
    re.IGNORECASE,
)
"""How something is corrected, or taken for granted."""
_VALUE = re.compile(r"[\w$€£#.,:/%-]*\d[\w.,:/%-]*\w|\b[A-Z][\w'-]{3,}(?: [A-Z][\w'-]{2,})+")
"""What an answer claims: numbers, ids, dates, amounts, names of two words."""


@dataclass(frozen=True, slots=True)
class Notable:
    """What speaks for a step."""

    points: float
    why: str
    """The weightiest reason; "" where there is none."""


class _Points:
    """Adds up points with their reasons."""

    def __init__(self) -> None:
        self._reasons: dict[int, list[tuple[float, str]]] = {}

    def add(self, step: Step | None, points: float, why: str) -> None:
        """Give points to a step, once for a reason."""
        if step is not None and why not in [before for _, before in self._reasons.get(step.number, [])]:
            self._reasons.setdefault(step.number, []).append((points, why))

    def of(self, step: Step) -> tuple[float, str]:
        """Return the sum of a step's points and its weightiest reason, where that is worth a word."""
        reasons = self._reasons.get(step.number, [])
        weightiest, why = max(reasons, default=(0.0, ""))
        return sum(points for points, _ in reasons), why if weightiest >= TOLD_POINTS_MIN else ""


def notable(
    steps: Sequence[Step],
    *,
    peer: Sequence[Step] = (),
    loops: Sequence[Loop] = (),
    tool: str | None = None,
) -> Mapping[int, Notable]:
    """Return what speaks for each step, by its number. Linear in the length of the texts.

    `loops` are what the loop detector says of the trajectory; `tool` is the incident's, whose failures come first;
    `peer` are the steps of a run that did well.
    """
    points = _Points()
    _failures(points, steps, tool)
    _loops(points, steps, loops)
    _course(points, steps, peer)
    _words(points, steps)
    _sources(points, steps)
    found: dict[int, Notable] = {}
    for index, step in enumerate(steps):
        own, why = points.of(step)
        found[step.number] = Notable(own + EARLY * (1 - index / len(steps)), why)
    return found


def first_difference(steps: Sequence[Step], peer: Sequence[Step]) -> Step | None:
    """Return the first step that is another call, or ends another way, than the peer's step at the same place."""
    for step, other in zip(steps, peer, strict=False):
        if (step.operation, step.name, step.status) != (other.operation, other.name, other.status):
            return step
    return steps[len(peer)] if len(steps) > len(peer) else None


def _failures(points: _Points, steps: Sequence[Step], tool: str | None) -> None:
    failed = [step for step in steps if step.status is Status.ERROR]
    failed.sort(key=lambda step: tool is not None and step.name != tool)
    told: set[str] = set()
    for index, step in enumerate(failed):
        words = one_line(step.status_message or step.output, 80)
        own = tool is None or step.name == tool
        points.add(step, 30 if index == 0 else 4 if words in told else 14 if own else 7, "error")
        if words not in told and step.number > 1:
            points.add(steps[step.number - 2], 6, "before an error")
        told.add(words)


def _loops(points: _Points, steps: Sequence[Step], loops: Sequence[Loop]) -> None:
    by_id = {step.span_id: step for step in steps}
    for loop in sorted(loops, key=lambda loop: loop.first_step - loop.last_step)[:LOOPS_SHOWN]:
        why = f"a loop starts here, {loop.repeats} times to step {loop.last_step}"
        points.add(by_id[loop.example_span_ids[0]], 20, why)


def _course(points: _Points, steps: Sequence[Step], peer: Sequence[Step]) -> None:
    """Give points for where a step stands: the first and last ones, of an agent, of a kind, off a peer's path."""
    if not steps:
        return
    if peer:
        points.add(first_difference(steps, peer), 12, "first step unlike the healthy peer")
    points.add(steps[0], 5, "the first step")
    points.add(steps[-1], 7, "the last step")
    points.add(steps[-2] if len(steps) > 1 else None, 4, "one of the last steps")
    agents: set[str | None] = set()
    for step in steps:
        if step.agent not in agents:
            agents.add(step.agent)
            points.add(step, 3, "an agent's first step")
    if len(steps) >= RARE_STEPS_MIN:
        kinds = Counter((step.operation, step.name, step.agent) for step in steps)
        for step in steps:
            if kinds[step.operation, step.name, step.agent] == 1:
                points.add(step, 2, "the only step of its kind")
    dearest = max(steps, key=lambda step: step.tokens)
    points.add(dearest if dearest.tokens else None, 4, "most tokens of all steps")
    replies = sorted((step for step in steps if step.operation is Operation.CHAT), key=lambda step: -len(step.output))
    for step in replies[:LONGEST]:
        points.add(step, 2, "a long reply")


def _words(points: _Points, steps: Sequence[Step]) -> None:
    """Give points for what is said of trouble and corrections, and to the last step before it that says much."""
    before: Step | None = None
    for step in steps:
        head, tail = step.output[:2000], step.output[-2000:]
        if _TROUBLE.search(head) or _TROUBLE.search(tail):
            points.add(step, 1, "speaks of trouble")
            points.add(before, 1, "before what speaks of trouble")
        if _TAKEN_BACK.search(head):
            points.add(step, 1, "corrects or assumes something")
            points.add(before, 1, "before a correction")
        before = step if len(step.output) >= ANSWER_CHARS_MIN else before


def _sources(points: _Points, steps: Sequence[Step]) -> None:
    """Give points to the steps that said the values of the final answer first; what the user gave is no claim."""
    last = [step for step in steps[-ANSWER_STEPS:] if len(step.output) >= ANSWER_CHARS_MIN]
    if not last:
        return
    given = steps[0].input
    values = [value for value in dict.fromkeys(_VALUE.findall(last[-1].output[:4000])) if value not in given]
    for value in values[:VALUES_MAX]:
        points.add(next((step for step in steps if value in step.output), None), 4, "first to say what the answer says")
