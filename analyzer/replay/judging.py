"""What is seen of a replay against the agent's own code: where it parted, how it ended, whether the failure came again.

What that comes to is for `outcomes` to say. A failure counts as gone only where the recording failed in a way that
shows in requests, tools or the ending, the agent parted from it there, and nothing of it came again; in every other
case nobody knows, which is never a pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from analyzer.replay.alike import normalised
from analyzer.replay.comparing import ENDED, Difference
from analyzer.replay.outcomes import Divergence, Judged, Observed, judged
from analyzer.replay.recording import Execution, Recording
from analyzer.replay.standin import How, Met
from analyzer.types.trace import Outcome, Status

REPEATS_MIN = 3
"""So many calls of one tool with the same arguments make a loop: fewer are a second try."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a recorded run failed, as far as a replay can see it."""

    steps: tuple[int, ...]
    """The steps that failed or went round, in order: where a fix shows."""
    broke: bool
    """The run itself ended in an error."""
    errors: tuple[str, ...]
    """What the failed tools gave."""
    loops: bool
    """The same call was made at least REPEATS_MIN times."""
    missed: bool = False
    """The goal was missed, as an evaluation says; no replay sees that."""

    @property
    def any(self) -> bool:
        """Whether the run failed in any way."""
        return bool(self.steps) or self.broke or self.missed


@dataclass(frozen=True, slots=True)
class Seen:
    """A replay: its outcome, and the difference at which the agent parted, where it did."""

    judged: Judged
    difference: Difference | None


def failure_of(recording: Recording, ended: Outcome) -> Failure:
    """Return how a recorded run failed; `ended` is how its summary says that it ended."""
    failed = [one for one in recording.executions if one.failed]
    alike = Counter(map(_call, recording.executions))
    numbers = [
        one.number for one in (*failed, *(one for one in recording.executions if alike[_call(one)] >= REPEATS_MIN))
    ]
    numbers += [call.number for call in recording.calls if call.span.status is Status.ERROR]
    return Failure(
        steps=tuple(sorted({number for number in numbers if number is not None})),
        broke=ended is Outcome.ERROR,
        errors=tuple(dict.fromkeys(one.result for one in failed if one.result)),
        missed=ended is Outcome.FAILURE,
        loops=any(times >= REPEATS_MIN for times in alike.values()),
    )


def seen(
    recording: Recording, failure: Failure, course: Sequence[Met], *, code: int | None, guilty: int | None = None
) -> Seen:
    """Return what a replay came to.

    `course` is what the agent asked and `code` the exit code of its command, None where it was not started from here.
    `guilty` is the step to blame where somebody knows it; else a fix may show at any step that failed or went round.
    """
    step, difference = _parted(recording, course)
    places = failure.steps if guilty is None else (guilty,)
    problem = _problem(course, code) if difference is not None else ""
    observed = Observed(
        started=bool(course),
        finished=not problem,
        divergence=None if difference is None or step is None else Divergence(step, _reason(difference)),
        changed=tuple(dict.fromkeys(one for met in course if met.difference for one in met.difference.stale)),
        faulty=None if difference is None or step is None else _faulty(recording, failure, course, step, places),
        problem=problem or ("" if course else "no request came: the agent asks at another base URL than this replay's"),
    )
    # What a step did shows in the request after it, so that a run which parts there has not gone past the fault.
    fault = _shown_at(recording, places[-1]) if places else None
    return Seen(judged(recording, observed, fault=fault), difference)


def _parted(recording: Recording, course: Sequence[Met]) -> tuple[int | None, Difference | None]:
    """Return where the agent parted and how: at the first request that differs, or the first that is lacking."""
    parted = next((met for met in course if met.how is not How.SAME), None)
    if parted is not None:
        last = max((call.number for call in recording.calls), default=None)
        return parted.step if parted.step is not None else last, parted.difference
    used = {met.answered for met in course}
    lacking = next((call.number for call in recording.calls if call.number not in used), None)
    return (None, None) if lacking is None or not course else (lacking, Difference((ENDED,)))


def _reason(difference: Difference) -> str:
    if ENDED in difference.parts:
        return "it asked no more"
    return f"its request differs in {' and '.join(difference.parts)}"


def _problem(course: Sequence[Met], code: int | None) -> str:
    """Return why a run that parted has not come to its end, "" where it has."""
    if any(met.how is How.STOPPED for met in course):
        return "it was stopped there: --on-divergence nearest lets it go on"
    if code is None:
        return "how it ended is not known: give the agent's command after --"
    return f"the agent ended with exit code {code}" if code else ""


def _faulty(
    recording: Recording, failure: Failure, course: Sequence[Met], step: int, places: Sequence[int]
) -> bool | None:
    """Tell whether the failure came again after the agent had parted at a step; None where that cannot be seen."""
    at = next((at for at, met in enumerate(course) if met.how is not How.SAME), len(course))
    if any(error in met.said for met in course[at + 1 :] for error in failure.errors):
        return True
    if failure.loops and len(course) >= len(recording.calls):
        return True
    before = max((call.number for call in recording.calls if call.number < step), default=0)
    is_there = any(before <= place <= step for place in places)
    is_visible = failure.broke or failure.loops or bool(failure.errors)
    return False if is_there and is_visible else None


def _shown_at(recording: Recording, step: int) -> int:
    return next((call.number for call in recording.calls if call.number > step), step)


def _call(execution: Execution) -> tuple[str, str]:
    return execution.tool, normalised(execution.arguments)
