"""What each step said, read and did, as texts that may be shown; and the parts of a text that fit a room.

A conversation repeats itself: what a tool returned is the last message of the next inference, and the arguments of a
call stand in the reply that asked for it. A passage knows the step in which its text stands already, so that nothing
is shown twice.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analyzer.agent.text import Mask, clip, estimate_tokens, text_of, visible
from analyzer.types.steps import Step
from analyzer.types.trace import Operation
from analyzer.types.trajectory import Trajectory, top_of

OPENING = 0
"""The step number of what stands before the first step: the goal, the system prompt."""
LOOKED_BACK = 12
"""Passages in which a text is looked for again: parallel calls return side by side, and their next reader is near."""
ROLE_CHARS_MAX = 40
"""What may stand before the system prompt among the messages: `system: `."""
SAME_CHARS_MIN = 20
"""Shorter texts (`{}`, `yes`) stand inside others by chance."""
HEAD_SHARE = 0.6
"""Of a text that does not fit, so much of its room is its beginning: goals stand there, errors at the end."""
HEAD_TOKENS_MIN, TAIL_TOKENS_MIN = 65, 40
"""The least of a beginning beside an end: some 200 characters; and of an end: a shorter one is no sentence."""
_ROLE = re.compile(r"(?:^|(?<=\n))[\w ()>.-]{1,38}: $", re.MULTILINE)
_RETURNED = re.compile(r"(?:^|\n)(?:[\w ().>-]{1,38}: )?\[result\] ")
"""What stands before what a tool returned where an inference is sent it: the message's role, and our word for it."""
CUT = "\n⟨left out⟩\n"


@dataclass(frozen=True, slots=True)
class Passage:
    """One text of one step."""

    step: int
    """1-based; OPENING for what stands before the first."""
    span_id: str
    field: str
    text: str
    """Masked, hidden characters spelled out. Stands verbatim in the field."""
    stands_in: int | None = None
    """A step before it whose passages hold this text as well."""


def passages_of(trajectory: Trajectory, steps: Sequence[Step], mask: Mask) -> list[Passage]:
    """Return the passages of a trajectory in order. `steps` are its steps, masked."""
    recent: deque[tuple[int, str]] = deque(maxlen=LOOKED_BACK)
    found: list[Passage] = []

    def add(step: int, span_id: str, field: str, text: str) -> None:
        if text.strip():
            before = _stands_in(text, recent) if field == "input" else None
            found.append(Passage(step, span_id, field, visible(text), before))
            recent.append((step, _squeezed(text)))

    top = top_of(trajectory.spans)
    if top is not None and not top.operation.is_step:
        add(OPENING, top.span_id, "input", text_of(top, "input", mask))
        add(OPENING, top.span_id, "status_message", text_of(top, "status_message", mask))
    first = next((step for step in steps if step.operation is Operation.CHAT), None)
    for step in steps:
        span = trajectory.span(step.span_id) if step is first else None
        heard = step.input
        if span is not None:
            system = text_of(span, "system", mask)
            add(OPENING, step.span_id, "system", system)
            # Its whole input is new, not only the last message of it.
            heard = _after(system, text_of(span, "input", mask))
        add(step.number, step.span_id, "input", heard)
        add(step.number, step.span_id, "status_message", step.status_message)
        if step.output.strip() != step.status_message.strip():
            add(step.number, step.span_id, "output", step.output)
    return found


def _after(system: str, text: str) -> str:
    """Return what stands behind the system prompt in messages that begin with it."""
    at = text.find(system.strip(), 0, len(system) + ROLE_CHARS_MAX) if system.strip() else -1
    return text[at + len(system.strip()) :].lstrip() if at >= 0 else text


def _stands_in(text: str, recent: Sequence[tuple[int, str]]) -> int | None:
    """Return a step in whose passages a text stands already, or the last of those among which its results do.

    An inference is sent what the tools before it returned, each behind a role and a word of ours.
    """
    found = _place_of(_squeezed(text), recent)
    if found is not None or "[result] " not in text:
        return found
    places = [_place_of(_squeezed(one), recent) for one in _RETURNED.split(text) if one.strip()]
    known = [place for place in places if place is not None]
    return max(known, default=None) if len(known) == len(places) else None


def _place_of(words: str, recent: Iterable[tuple[int, str]]) -> int | None:
    """Return the step in whose passages the words stand; the fewer they are the less that says."""
    for number, text in recent:
        if words in text and (len(words) >= SAME_CHARS_MIN or words == text):
            return number
    return None


def _squeezed(text: str) -> str:
    """Return a text without white space: JSON is written anew on its way from a tool to a prompt."""
    return "".join(text.split())


def quotable(passage: Passage, trajectory: Trajectory, mask: Mask) -> str:
    """Return the text of a passage as its field holds it, with the role before it; else the whole field.

    A part that is masked by itself may get another pseudonym than in the whole, and only the whole can be quoted.
    """
    span = trajectory.span(passage.span_id)
    field = visible(text_of(span, passage.field, mask)) if span is not None else ""
    at = field.rfind(passage.text)
    if at < 0:
        return field
    role = _ROLE.search(field, max(at - ROLE_CHARS_MAX, 0), at)
    return field[role.start() if role is not None else at : at + len(passage.text)]


def cost_of(text: str) -> int:
    """Return the tokens of a text and of the line break behind it."""
    return estimate_tokens(text) + 1


def excerpt(text: str, tokens_max: int) -> list[str]:
    """Return the text, or the beginning and the end of one that does not fit, as pieces that stand in it verbatim.

    The beginning comes first: an end is shown only where it leaves the beginning HEAD_TOKENS_MIN.
    """
    if estimate_tokens(text) <= tokens_max:
        return [text]
    room = tokens_max - estimate_tokens(CUT)
    tail = room - max(int(room * HEAD_SHARE), HEAD_TOKENS_MIN)
    if tail < TAIL_TOKENS_MIN:
        return [clip(text, tokens_max)]
    return [clip(text, room - tail), clip(text[::-1], tail)[::-1]]
