"""What a replay showed, in one of five words. Pure; nothing passes by default.

Reproduced and fixed are claims, and each needs its proof: the recorded course taken again, or the fault seen not to
come back while the recording still applied. Everything else has its own word, so that no silence reads as a pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from analyzer.replay.recording import Recording, Request


class Outcome(StrEnum):
    """The five ends of a replay."""

    REPRODUCED = "reproduced"
    """The fault came again: the run took the recorded course to where it goes wrong."""
    FIXED = "fixed"
    """The run left the recorded course at the fault or before it, went on to its end, and the fault did not come."""
    DIVERGED = "diverged"
    """The run left the recorded course, and what came after it does not say whether the fault is gone."""
    CANNOT_JUDGE = "cannot judge"
    """The recording no longer applies, or there was nothing to judge by."""
    CANNOT_REPRODUCE = "cannot reproduce"
    """The run could not be made: something it needs is missing, or it broke off for a reason of its own."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a replay first left the recording."""

    step: int
    """Of the recording."""
    reason: str
    """In a sentence, such as "the model asked for another tool"."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of a replay."""

    started: bool
    """Whether a request came at all."""
    finished: bool
    """Whether the run came to its end, and did not break off."""
    divergence: Divergence | None = None
    """The first; None where the whole run was the recorded one."""
    changed: tuple[str, ...] = ()
    """What no longer fits the recording, such as "the system prompt": see `changes_between`."""
    faulty: bool | None = None
    """Whether the fault was seen in the replay itself (a finding, an expectation not met); None where nobody looked."""
    problem: str = ""
    """Why the run could not start or broke off, in words."""
    live: bool = False
    """Whether a model was asked from the divergence on, and the recording no longer spoke."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An outcome, and why, as a sentence without its full stop."""

    outcome: Outcome
    why: str
    step: int | None = None
    """Of the recording: where it was left, or where the fault is."""


def judged(recording: Recording, observed: Observed, *, fault: int | None) -> Judged:
    """Return the outcome of a replay. `fault` is the step that is held responsible, None where none is known.

    In this order:
    1. without a call in the recording, or a request in the replay: *cannot reproduce*;
    2. where a changed prompt or tool schema means that the recorded results no longer answer what is asked: *cannot
       judge*, whatever else was seen;
    3. the whole recorded course again: *reproduced*, where the run came to its end or past the fault;
    4. where it left the course behind the fault: *reproduced*, the fault had come by then;
    5. at the fault or before it: *fixed* where it came to its end and was looked at and the fault did not come,
       *reproduced* where the fault came all the same, else *diverged*.
    Without a known fault only what was looked at counts.

    A run of which a part was live is never *reproduced*: what it did anew is no repetition. It is *diverged* instead.
    """
    left = observed.divergence
    if not recording.calls:
        return Judged(Outcome.CANNOT_REPRODUCE, "the recording has no model call")
    if not observed.started:
        return Judged(Outcome.CANNOT_REPRODUCE, observed.problem or "no request came")
    if observed.changed:
        changed = " and ".join(observed.changed)
        return Judged(Outcome.CANNOT_JUDGE, f"{changed} changed: the recorded results no longer apply", _step(left))
    if left is None:
        return _same_course(observed, fault)
    found = _elsewhere(observed, left, fault)
    if observed.live and found.outcome is Outcome.REPRODUCED:
        return replace(found, outcome=Outcome.DIVERGED, why=f"{found.why}; from step {left.step} on it went live")
    return found


def _elsewhere(observed: Observed, left: Divergence, fault: int | None) -> Judged:
    """Return the outcome of a run that left the recorded course."""
    went = f"it left the recording at step {left.step}"
    outcome, why, step = Outcome.FIXED, f"{went}, and the fault did not come", left.step
    if fault is not None and left.step > fault:
        outcome, why, step = Outcome.REPRODUCED, f"it went the recorded way past step {fault}", fault
    elif observed.faulty:
        outcome, why = Outcome.REPRODUCED, f"{went}, and the fault came"
    elif not observed.finished:
        broke = observed.problem or "it did not come to its end"
        outcome, why = Outcome.DIVERGED, f"{went} ({left.reason}), and {broke}"
    elif observed.faulty is None:
        outcome, why = Outcome.DIVERGED, f"{went} ({left.reason}); nothing says whether the fault is gone"
    elif fault is None:
        why = "the fault did not come, but which step was at fault is not known"
        outcome = Outcome.CANNOT_JUDGE
    return Judged(outcome, why, step)


def _same_course(observed: Observed, fault: int | None) -> Judged:
    if not observed.finished:
        return Judged(Outcome.CANNOT_REPRODUCE, observed.problem or "it broke off on the recorded way", fault)
    if observed.faulty is False:
        # Model and tools did what they did: what looked at the two sees them differently, or not all is recorded.
        return Judged(Outcome.CANNOT_JUDGE, "the run is the recorded one, and yet the fault was not seen", fault)
    return Judged(Outcome.REPRODUCED, "it went the recorded way to its end", fault)


def _step(left: Divergence | None) -> int | None:
    return None if left is None else left.step


def changes_between(recorded: Request, now: Request) -> tuple[str, ...]:
    """Return what of a request no longer fits its recording, in words: its prompt, its tools.

    By content and not by declared versions: who raises a number without changing a word changed nothing. Only tools
    that both know, or that the recording used, count: one more to choose from changes no recorded result.
    """
    found = []
    if recorded.system.strip() != now.system.strip():
        found.append("the system prompt")
    mine, theirs = ({tool.name: tool for tool in one.tools} for one in (recorded, now))
    used = {call.name for message in recorded.messages for call in message.tool_calls}
    names = [name for name in mine if (name in theirs or name in used) and theirs.get(name) != mine[name]]
    if names:
        found.append(f"the definition of {', '.join(names)}")
    return tuple(found)
