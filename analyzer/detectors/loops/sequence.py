"""A trajectory as the rules see it: turns, each with what the model said and the calls it made.

A round is what one reply of the model asked for. Ten equal calls in one round are one decision and count once; where
no model span was recorded, calls that overlap in time are one round. A call that failed and is made again without the
model being asked is the program's retry, however often: the model sees the last try, and so do the rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from analyzer.detectors.loops.classify import (
    is_empty,
    is_failing,
    is_failure,
    is_onward,
    is_outage,
    is_poll,
    is_read,
    is_unseen,
    is_write,
)
from analyzer.detectors.loops.normalise import Call, Shingles, call_of, digest, error_signature, ids_in, mask, shingles
from analyzer.types.messages import CALL_MARK
from analyzer.types.steps import Step
from analyzer.types.trace import Operation

SHINGLES_MIN = 8
"""An answer with fewer word trigrams is short: that it repeats says nothing about progress."""
REGULAR_GAPS_MIN, REGULAR_GAP_S = 3, 20.0
"""Equal calls after three regular pauses of at least 20 s are polls, whatever they are called."""
ROUND_CALLS_MAX = 16
"""Replies that ask for more calls at once are rare; instrumentation without model spans is not."""
GIVEN_MAX, GIVEN_CHARS = 50_000, 16_000
"""Ids remembered of one trajectory, and how much of each answer's end is looked through for them: cursors come last."""
DERIVED_SHARE_MIN = 0.5
"""A message that shares half its word trigrams with what came before was made from it."""


@dataclass(frozen=True, slots=True)
class Made:
    """One call of a tool, equal ones of its round folded in."""

    step: Step
    call: Call
    outcome: str
    """Key of what came back: the masked output, or the signature of the error."""
    failed: bool
    answer: Shingles
    novelty: float
    """Share of the answer's trigrams that this tool had not returned before; 1 for the first answer."""
    read: bool
    poll: bool
    first: bool
    """Not made before with these arguments."""
    fresh_write: bool
    """Work: a successful call that is no read and was not made before."""
    copies: int
    round: int
    unseen: bool
    """Whether no answer was recorded: that two of them are the same cannot be said."""
    onward: bool
    """Whether it leads on by its nature (scrolling, "next"), and no answer shows that it did not."""

    @property
    def failing(self) -> bool:
        """Whether it failed, or reported failure in an answer that came back well."""
        return self.failed or is_failing(self.step.output)

    @property
    def empty(self) -> bool:
        """Whether the answer says that there is nothing."""
        return is_empty(self.step.output)

    @property
    def short(self) -> bool:
        """Whether the answer is too short to be evidence for or against progress."""
        return len(self.answer) < SHINGLES_MIN


@dataclass(frozen=True, slots=True)
class Said:
    """One reply of the model."""

    step: Step
    text: str
    """Masked."""
    words: Shingles
    asked: str
    """What it was asked last, masked."""
    asked_words: Shingles
    parallel: bool
    """Asked at the same time as the reply before: samples of one question, no sequence."""
    news: float
    """Share of trigrams in what it was asked that were not in earlier inputs: 0 where nothing was recorded."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A user spoke: what follows is a new goal."""

    step: Step


Event = Made | Said | Asked


@dataclass(slots=True)
class _Seen:
    """What the trajectory has shown so far."""

    by_tool: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    inputs: set[str] = field(default_factory=set)
    input_words: set[tuple[str, str, str]] = field(default_factory=set)
    clocks: dict[str, list[int]] = field(default_factory=dict)
    """When each call was made, on a clock that stands still while a step is under way."""
    busy_ns: int = 0
    masked: dict[str, tuple[str, Shingles]] = field(default_factory=dict)
    """What was said and answered, with its words."""
    asked: dict[str, tuple[str, Shingles]] = field(default_factory=dict)
    """The same of what was asked and was no answer."""
    given: set[str] = field(default_factory=set)
    """Ids that answers brought: later calls are about them."""


def events_of(steps: Sequence[Step]) -> Iterator[Event]:
    """Yield the events of a trajectory in order. Steps that a provider's overload failed are left out."""
    seen = _Seen()
    batch: list[Step] = []
    before: Step | None = None
    rounds = 0
    after_tools, led = False, 0
    for step in steps:
        if step.start_ns is not None and step.end_ns is not None:
            seen.busy_ns += max(step.end_ns - step.start_ns, 0)
        if is_outage(step):
            continue
        if step.operation is Operation.TOOL:
            if batch and led and _tries_again(step, batch[-1]):
                batch[-1] = before = step
                continue
            if batch and not _same_round(led, step, batch):
                yield from _round(batch, rounds, seen)
                batch, rounds, led = [], rounds + 1, 0
            batch.append(step)
            before = step
            continue
        if batch:
            yield from _round(batch, rounds, seen)
            batch, rounds, after_tools = [], rounds + 1, True
        said = _said(step, before, seen)
        if before is not None and not after_tools and not said.parallel and _is_user(said, before, seen):
            yield Asked(step)
        seen.inputs.add(digest(said.asked))
        yield said
        before, after_tools = step, False
        led = step.output.count(CALL_MARK) or ROUND_CALLS_MAX
    if batch:
        yield from _round(batch, rounds, seen)


def _tries_again(step: Step, before: Step) -> bool:
    """Tell whether a call repeats the one before it, which had ended in failure when this one began."""
    if (step.name, step.input) != (before.name, before.input) or not is_failure(before):
        return False
    return step.start_ns is None or before.end_ns is None or step.start_ns >= before.end_ns


def _same_round(led: int, step: Step, batch: Sequence[Step]) -> bool:
    """Tell whether a call belongs to the round of the calls just before it.

    `led` is how many calls the reply before them may have asked for: what it says where its calls were recorded.
    Without a reply before them only an overlap in time makes calls one decision.
    """
    if len(batch) < led:
        return True
    if step.start_ns is None:
        return False
    return any(entry.end_ns is not None and step.start_ns < entry.end_ns for entry in batch[-ROUND_CALLS_MAX:])


def _round(batch: Sequence[Step], number: int, seen: _Seen) -> Iterator[Made]:
    """Fold the equal calls of one round; different ones stay apart."""
    unseen = [is_unseen(step) for step in batch]
    calls = [call_of(step.name, step.input, seen.given, unseen=no) for step, no in zip(batch, unseen, strict=True)]
    copies = Counter(call.exact for call in calls)
    done: set[str] = set()
    for step, call, no_answer in zip(batch, calls, unseen, strict=True):
        if call.exact not in done:
            done.add(call.exact)
            yield _made(step, call, copies[call.exact], number, seen, unseen=no_answer)


def _made(step: Step, call: Call, copies: int, number: int, seen: _Seen, *, unseen: bool) -> Made:
    failed = is_failure(step)
    text = step.output or step.status_message
    if text not in seen.masked and len(seen.given) < GIVEN_MAX:
        seen.given.update(ids_in(text[-GIVEN_CHARS:]))
    masked, answer = _masked(text, seen.masked)
    signature = error_signature(step.status_message or text) if failed else ""
    known = seen.by_tool.get(step.name)
    novelty = 1.0 if known is None else (len(answer - known) / len(answer) if answer else 0.0)
    seen.by_tool.setdefault(step.name, set()).update(answer)
    read = is_read(step.name, step.input)
    poll = is_poll(step.name, step.input, step.output) or _regular(step, call, seen)
    first = call.exact not in seen.calls
    seen.calls.add(call.exact)
    return Made(
        step=step,
        call=call,
        outcome=f"!{signature}" if failed else digest(masked),
        failed=failed,
        answer=answer,
        novelty=novelty,
        read=read,
        poll=poll,
        first=first,
        fresh_write=first and not failed and not poll and (is_write(step.name, step.input) or not read),
        copies=copies,
        round=number,
        unseen=unseen,
        onward=unseen and is_onward(step.name),
    )


def _masked(text: str, known: dict[str, tuple[str, Shingles]]) -> tuple[str, Shingles]:
    """Mask a text once: loops return the same one over and over."""
    found = known.get(text)
    if found is None:
        masked = mask(text)
        found = (masked, shingles(masked))
        if len(known) < 4096:  # noqa: PLR2004 - bounds the memory of a long run with new outputs
            known[text] = found
    return found


def _regular(step: Step, call: Call, seen: _Seen) -> bool:
    """Tell whether equal calls come at regular distances in which nothing was done: somebody waits between them.

    Time in which the agent itself was at work does not count: a loop of slow steps is regular too.
    """
    if step.start_ns is None:
        return False
    idle_ns = step.start_ns - seen.busy_ns
    clock = seen.clocks.setdefault(call.exact, [])
    clock.append(idle_ns)
    del clock[: -(REGULAR_GAPS_MIN + 1)]
    if len(clock) <= REGULAR_GAPS_MIN:
        return False
    gaps = [(later - earlier) / 1e9 for earlier, later in pairwise(clock)]
    return min(gaps) >= REGULAR_GAP_S and max(gaps) <= 1.5 * min(gaps)


def _said(step: Step, before: Step | None, seen: _Seen) -> Said:
    masked, words = _masked(step.output, seen.masked)
    text, asked = seen.masked.get(step.input) or _masked(step.input, seen.asked)
    news = len(asked - seen.input_words) / len(asked) if asked else 0.0
    seen.input_words.update(asked)
    overlapping = (
        before is not None
        and before.operation is not Operation.TOOL
        and before.end_ns is not None
        and step.start_ns is not None
        and step.start_ns < before.end_ns
    )
    return Said(step=step, text=masked, words=words, asked=text, asked_words=asked, parallel=overlapping, news=news)


def _is_user(asking: Said, before: Step, seen: _Seen) -> bool:
    """Tell whether what the model was sent is a new message from outside, and not the echo of its own work."""
    text, asked = asking.asked, asking.asked_words
    if not text or digest(text) in seen.inputs:
        return False
    masked, said = _masked(before.output, seen.masked)
    if asked and said and len(asked & said) / len(asked) >= DERIVED_SHARE_MIN:
        return False
    return text not in masked
