"""What is seen of a replay against the agent's own code: where it parted, how it ended, whether the failure came again.

What that comes to is for `outcomes` to say. A failure counts as gone only where the recording failed in a way that
shows in requests, tools or the ending, the agent parted from it there, and nothing of it came again; in every other
case nobody knows, which is never a pass.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analyzer.replay.alike import normalised
from analyzer.replay.comparing import ENDED, MODEL, SYSTEM, TOOL_CALLS, Difference
from analyzer.replay.outcomes import Divergence, Judged, Observed, judged
from analyzer.replay.recording import Call, Execution, Recording
from analyzer.replay.standin import How, Met, ToolAsked
from analyzer.types.trace import FinishReason, Outcome, Status

_CUT = {
    FinishReason.LENGTH: "the model's last reply was cut at its limit",
    FinishReason.REFUSAL: "the model refused",
    FinishReason.CONTENT_FILTER: "the provider's filter stopped the model",
}
"""Replies of a live model after which an agent that ends well has not done its work."""
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
    tools: tuple[str, ...] = ()
    """The tools that failed or were called again and again."""
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
        tools=tuple(
            dict.fromkeys(one.tool for one in recording.executions if one.failed or alike[_call(one)] >= REPEATS_MIN)
        ),
        loops=any(times >= REPEATS_MIN for times in alike.values()),
    )


def seen(
    recording: Recording,
    failure: Failure,
    course: Sequence[Met],
    *,
    code: int | None,
    tools: Sequence[ToolAsked] = (),
    guilty: int | None = None,
) -> Seen:
    """Return what a replay came to.

    `course` is what the agent asked, `tools` which recorded tools it asked for, and `code` the exit code of its
    command, None where it was not started from here. `guilty` is the step to blame where somebody knows it; else a fix
    may show at any step that failed or went round.
    """
    step, difference = _parted(recording, course, tools)
    places = failure.steps if guilty is None else (guilty,)
    problem = _problem(course, tools, code) if difference is not None else ""
    observed = Observed(
        started=bool(course),
        finished=not problem,
        divergence=None if difference is None or step is None else Divergence(step, _reason(difference)),
        changed=_changed(course, tools),
        faulty=None if difference is None or step is None else _faulty(recording, failure, course, step, places),
        problem=problem or ("" if course else _silent(tools, code)),
        live=any(met.how is How.LIVE for met in course),
    )
    # What a step did shows in the request after it, so that a run which parts there has not gone past the fault.
    fault = _shown_at(recording, places[-1]) if places else None
    return Seen(judged(recording, observed, fault=fault), difference)


def _parted(
    recording: Recording, course: Sequence[Met], tools: Sequence[ToolAsked]
) -> tuple[int | None, Difference | None]:
    """Return where the agent parted and how: at the first request that differs, or the first that is lacking.

    A call of a tool that was not recorded parts it, too, where it comes before such a request.
    """
    at = _first_other(course)
    strange = next((one for one in tools if one.told is None and 0 < one.after <= at), None)
    if strange is not None:
        before = course[strange.after - 1].answered
        return _shown_at(recording, before or 0), Difference((TOOL_CALLS,), tuple(_asked_otherwise(recording, strange)))
    last = max((call.number for call in recording.calls), default=None)
    if at < len(course):
        parted = course[at]
        return parted.step if parted.step is not None else last, parted.difference
    used = {met.answered for met in course}
    lacking = next((call.number for call in recording.calls if call.number not in used), None)
    return (None, None) if lacking is None or not course else (lacking, Difference((ENDED,)))


def _first_other(course: Sequence[Met]) -> int:
    """Return the place of the first request that was not the recorded one; one behind the last where each was."""
    return next((at for at, met in enumerate(course) if met.how is not How.SAME), len(course))


def _asked_otherwise(recording: Recording, strange: ToolAsked) -> Iterator[str]:
    """Yield the recorded calls of a tool, and the one that was made."""
    for one in recording.executions:
        if one.tool == strange.tool:
            yield f"-{one.tool} {json.dumps(one.arguments, sort_keys=True, ensure_ascii=False)}"
    yield f"+{strange.tool} {json.dumps(strange.arguments, sort_keys=True, ensure_ascii=False)}"


def _changed(course: Sequence[Met], tools: Sequence[ToolAsked]) -> tuple[str, ...]:
    """Return what changed so that what the recording gave no longer applies.

    A live model decides for itself, whatever it was told. But results of tools that were recorded with another
    definition answer it no better than they would the recorded one.
    """
    stale = dict.fromkeys(one for met in course if met.difference for one in met.difference.stale)
    at = _first_other(course)
    if at < len(course) and course[at].how is How.LIVE:
        is_served = any(one.told is not None and one.after > at for one in tools)
        return tuple(one for one in stale if is_served and one not in {MODEL, SYSTEM})
    return tuple(stale)


def _reason(difference: Difference) -> str:
    if ENDED in difference.parts:
        return "it asked no more"
    if TOOL_CALLS in difference.parts:
        return "it made a call of a tool that was not recorded"
    return f"its request differs in {' and '.join(difference.parts)}"


def _problem(course: Sequence[Met], tools: Sequence[ToolAsked], code: int | None) -> str:
    """Return why a run that parted has not come to its end, "" where it has."""
    if any(met.how is How.STOPPED for met in course):
        return "it was stopped there: --on-divergence nearest lets it go on"
    live = _live_problem([met for met in course if met.how is How.LIVE])
    if live:
        return live
    strange = next((one.tool for one in tools if one.told is None), None)
    if strange is not None:
        return f"what {strange} would have given was not recorded"
    if code is None:
        return "how it ended is not known: give the agent's command after --"
    return f"the agent ended with exit code {code}" if code else ""


def _silent(tools: Sequence[ToolAsked], code: int | None) -> str:
    """Return why a run that asked no model shows nothing."""
    if not tools and code:
        return f"no request came before the agent ended with exit code {code}"
    if not tools:
        return "no request came: the agent asks at another base URL than this replay's"
    names = ", ".join(dict.fromkeys(one.tool for one in tools))
    return f"it asked for recorded tools ({names}), but no model: its model's base URL is not this replay's"


def _live_problem(live: Sequence[Met]) -> str:
    """Return why the part of a run that was live is no whole run, "" where it is."""
    refused = next((met.live for met in live if met.live is not None and met.live.refused), None)
    if refused is not None or not live:
        return "" if refused is None else refused.problem
    last = live[-1].live
    if last is None:
        return "it ended before the provider's answer did"
    finish = None if last.decision is None else last.decision.finish
    return last.problem or ("" if finish is None else _CUT.get(finish, ""))


def _faulty(
    recording: Recording, failure: Failure, course: Sequence[Met], step: int, places: Sequence[int]
) -> bool | None:
    """Tell whether the failure came again after the agent had parted at a step; None where that cannot be seen."""
    at = _first_other(course)
    if any(error in met.said for met in course[at + 1 :] for error in failure.errors):
        return True
    is_live = at < len(course) and course[at].how is How.LIVE
    made = _decided(recording, course)
    if failure.loops and (max(made.values(), default=0) >= REPEATS_MIN if is_live else _is_as_long(recording, course)):
        return True
    before = max((call.number for call in recording.calls if call.number < step), default=0)
    is_there = any(before <= place <= step for place in places)
    if is_live and not is_there:
        # A live run that parted earlier has come to the fault where it called that tool anew.
        anew = _decided(recording, course[at:])
        is_there = any(tool in failure.tools for tool, _ in anew)
    is_visible = failure.broke or failure.loops or bool(failure.errors)
    return False if is_there and is_visible else None


def _is_as_long(recording: Recording, course: Sequence[Met]) -> bool:
    return len(course) >= len(recording.calls)


def _decided(recording: Recording, course: Sequence[Met]) -> Counter[tuple[str, str]]:
    """Count the calls of tools that the replies to these requests ask for, recorded and live ones."""
    decisions = [call.decision for met in course if (call := _answering(recording, met)) is not None]
    decisions += [met.live.decision for met in course if met.live is not None and met.live.decision is not None]
    return Counter((one.name, normalised(one.arguments)) for decision in decisions for one in decision.tool_calls)


def _answering(recording: Recording, met: Met) -> Call | None:
    return None if met.answered is None else recording.call(met.answered)


def _shown_at(recording: Recording, step: int) -> int:
    return next((call.number for call in recording.calls if call.number > step), step)


def _call(execution: Execution) -> tuple[str, str]:
    return execution.tool, normalised(execution.arguments)
