"""Cases against the agent's own code: it runs again, answered from the recording in the case, and is judged.

The model's decisions are the recorded ones, so that what is judged is the agent: which calls it made of them, how long
it went on. What a replay cannot see is said and never passed: tokens and costs (no model is asked), answers (their
texts are the recorded ones), whether a tool would succeed (its recorded failure is served).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from analyzer.replay.alike import normalised
from analyzer.replay.golden.case import Case, Mask
from analyzer.replay.golden.expectations import Check, Expectation, Judged, judged
from analyzer.replay.golden.observed import Observed, unkeyed
from analyzer.replay.golden.recorded import compared
from analyzer.replay.golden.running import Replayed, Trial, Verdict
from analyzer.replay.judging import Failure, failure_of, seen
from analyzer.replay.outcomes import Outcome
from analyzer.replay.recording import Call, Execution, Recording
from analyzer.replay.standin import How, Met, Policy, StandIn
from analyzer.types.messages import CALL_MARK
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Status

UNSEEN = {
    Check.TOKENS_AT_MOST: "no model is asked in a replay",
    Check.COST_AT_MOST_USD: "no model is asked in a replay",
    Check.ANSWER_CONTAINS: "the replies of a replay are the recorded ones",
    Check.ANSWER_MATCHES: "the replies of a replay are the recorded ones",
}
"""What a replay does not show, and why."""
_OPERATIONS = frozenset({Operation.CHAT, Operation.TOOL})


def standin_of(case: Case, mask: Mask, policy: Policy = Policy.STOP) -> StandIn | None:
    """Return what answers the agent as its provider did; None where the case does not hold what that needs.

    Pseudonyms have the key of the store that the case came from. So they are compared by their kind alone, and served
    as they are.
    """
    if case.replay is None or not case.replay.calls:
        return None
    return StandIn(compared(case.replay, unkeyed), policy=policy, mask=lambda text: unkeyed(mask(text)))


def not_replayable(case: Case) -> Trial:
    """Return the trial of a case that holds no recording to answer from."""
    why = "the case holds no requests of the model: `golden add --replace` makes it anew"
    return Trial(case, None, Verdict.CANNOT_JUDGE, replayed=Replayed(Outcome.CANNOT_REPRODUCE, why))


def tried_again(case: Case, standin: StandIn, code: int | None) -> Trial:
    """Judge the agent's own code, which ran against a stand-in; `code` is its exit code, None where it is not known."""
    recording, course = standin.recording, standin.course
    at_fault = _at_fault(case)
    found = seen(recording, _failure(case, recording, at_fault), course, code=code, tools=standin.tools_asked)
    ended = code == 0 and all(met.how is not How.STOPPED for met in course)
    whole = _run_of(case, standin, ended=ended, doubtful=True)
    certain = _run_of(case, standin, ended=ended, doubtful=False)
    judgements = tuple(_judged(one, case, whole, certain) for one in case.expectations)
    verdict = _verdict(found.judged.outcome, case, judgements, led=ended and _led(recording, course, at_fault))
    diff = found.difference.diff if found.difference is not None else ()
    replayed = Replayed(found.judged.outcome, found.judged.why, tuple(diff))
    return Trial(case, whole, verdict, judgements, replayed=replayed)


def _verdict(outcome: Outcome, case: Case, judgements: Sequence[Judged], *, led: bool) -> Verdict:
    """Return red where the failure came again, green where it is shown to be gone; else nobody knows.

    Gone is a failure where the outcome is *fixed* and some expectation that failed is of a kind that a replay shows, or
    where the run was led to the fault, came to its end, and all that failed holds.
    """
    if outcome in {Outcome.CANNOT_JUDGE, Outcome.CANNOT_REPRODUCE}:
        return Verdict.CANNOT_JUDGE
    if outcome is Outcome.REPRODUCED or any(one.met is False for one in judgements):
        return Verdict.RED
    failed = [one for one in judgements if judged(one.expectation, case.bad).met is False]
    if outcome is Outcome.FIXED and any(one.expectation.check not in UNSEEN for one in failed):
        return Verdict.GREEN
    return Verdict.GREEN if led and failed and all(one.met is True for one in failed) else Verdict.CANNOT_JUDGE


def _at_fault(case: Case) -> tuple[int, ...]:
    """Return the steps of the bad run at which an expectation fails, as far as it is about some."""
    found = (judged(one, case.bad) for one in case.expectations)
    return tuple(sorted({step for one in found if one.met is False for step in one.steps}))


def _failure(case: Case, recording: Recording, at_fault: Sequence[int]) -> Failure:
    failure = failure_of(recording, case.bad.outcome)
    return replace(failure, steps=tuple(at_fault)) if at_fault else failure


def _led(recording: Recording, course: Sequence[Met], at_fault: Sequence[int]) -> bool:
    """Whether the run met the decision that the fault came of: who never gets there shows nothing."""
    if not at_fault:
        return bool(course)
    deciding = max((call.number for call in recording.calls if call.number <= at_fault[0]), default=None)
    return any(met.answered == deciding for met in course if met.answered is not None)


def _judged(one: Expectation, case: Case, whole: Observed, certain: Observed) -> Judged:
    """Judge the run with the calls of which it is not known whether they were made, and without: both must agree."""
    if one.check in UNSEEN:
        return Judged(one, None, UNSEEN[one.check])
    found, other = judged(one, whole), judged(one, certain)
    if found.met is not other.met:
        return Judged(one, None, "which decided calls the agent made was not seen: have it ask for recorded tools")
    if one.check is Check.NO_ERROR and found.met is False:
        return Judged(one, None, "the failure is the recorded one, which is served again", found.steps)
    if one.check is Check.STEPS_AT_MOST and any(step.operation not in _OPERATIONS for step in case.bad.steps):
        return Judged(one, None, "the recorded run has steps that are neither a model's nor a tool's")
    return found


def _run_of(case: Case, standin: StandIn, *, ended: bool, doubtful: bool) -> Observed:
    """Return a replay as a run that is judged; `doubtful` takes calls for made of which that was not seen."""
    steps = tuple(replace(step, number=at) for at, step in enumerate(_steps(standin, doubtful=doubtful), 1))
    return replace(case.bad, version=None, complete=ended, steps=steps)


def _steps(standin: StandIn, *, doubtful: bool) -> Iterator[Step]:
    """Yield the steps of a replay: replies, calls asked for, and calls that were made or may have been.

    An agent that asks for one recorded tool is taken to ask for all: a call that it decided on and did not ask for was
    not made. Of one that asks for none nobody knows, until its next request is the recorded one.
    """
    calls = {call.number: call for call in standin.recording.calls}
    given = {one.call_id: one for one in standin.recording.executions if one.call_id}
    asked, course = standin.tools_asked, standin.course
    doubtful = doubtful and not asked
    for one in (one for one in asked if one.after == 0):
        yield _tool(one.tool, one.arguments, one.told)
    for at, met in enumerate(course, 1):
        own = [one for one in asked if one.after == at]
        call = calls.get(met.answered) if met.answered is not None else None
        if call is not None:
            yield _reply(call, met)
        for one in own:
            yield _tool(one.tool, one.arguments, one.told)
        # The recorded request after a decision holds what its calls gave: who sends it has made them.
        is_seen = at < len(course) and course[at].how is How.SAME
        known = {(one.tool, normalised(one.arguments)) for one in own}
        for made in () if call is None else call.decision.tool_calls:
            if (is_seen or doubtful) and (made.name, normalised(_plain(made.arguments))) not in known:
                yield _tool(made.name, made.arguments, _told(given.get(made.id)))


def _told(execution: Execution | None) -> dict[str, Any] | None:
    return None if execution is None else {"failed": execution.failed, "result": execution.result}


def _plain(value: Any) -> Any:
    return json.loads(unkeyed(json.dumps(value, ensure_ascii=False)))


def _reply(call: Call, met: Met) -> Step:
    decision = call.decision
    calls = [f"{CALL_MARK}{one.name} {json.dumps(one.arguments, sort_keys=True)}]" for one in decision.tool_calls]
    return replace(
        _BLANK,
        operation=Operation.CHAT,
        name=call.request.model,
        input=met.said,
        output="\n".join([*([decision.text] if decision.text else []), *calls]),
        status=call.span.status,
        status_message=call.span.status_message,
        error=call.span.error,
    )


def _tool(tool: str, arguments: Any, told: Any) -> Step:
    failed = told is not None and told["failed"]
    return replace(
        _BLANK,
        name=tool,
        input=json.dumps(arguments, ensure_ascii=False),
        output="" if told is None else told["result"] or "",
        status=Status.ERROR if failed else Status.OK,
    )


_BLANK = Step(0, "", None, Operation.TOOL, "", None, "", "", Status.OK, "", None, None, None, 0, None)
