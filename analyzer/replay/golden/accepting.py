"""A case is made only where it can fail and can pass: shown, not assumed.

Red on the bad run shows that it can fail, green on a healthy one that it can pass. The same is asked of every case in a
folder before it judges anything: files are edited by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from analyzer.errors import UsageError
from analyzer.replay.golden.case import Case, Mask, Match, masked, match_of, name_of
from analyzer.replay.golden.expectations import Check, Expectation, Judged, check_sound, judged
from analyzer.replay.golden.observed import Observed
from analyzer.replay.golden.recorded import with_texts
from analyzer.replay.golden.shrinking import shrunk
from analyzer.replay.recording import Recording
from analyzer.types.trace import Outcome

HINT = "say what must hold, as in --must-call TOOL or --steps-at-most N"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A proposal that was not kept."""

    expectation: Expectation
    why: str


def kept(
    bad: Observed, healthy: Sequence[Observed], proposals: Sequence[Expectation]
) -> tuple[list[Expectation], list[Dropped]]:
    """Divide proposals into those that are red on the bad run and green on all healthy ones, and the rest."""
    good, dropped = [], []
    for one in proposals:
        red = judged(one, bad)
        others = [(run, judged(one, run)) for run in healthy]
        failed = next(((run, seen) for run, seen in others if seen.met is not True), None)
        if red.met is not False:
            dropped.append(Dropped(one, f"it does not fail on this run: {red.why}"))
        elif failed is not None:
            dropped.append(Dropped(one, f"the healthy run {failed[0].trace_id[:12]} does not meet it: {failed[1].why}"))
        else:
            good.append(one)
    return good, dropped


def accepted(
    bad: Observed,
    control: Observed,
    expectations: Sequence[Expectation],
    *,
    at: datetime,
    mask: Mask,
    match: Match | None = None,
    incidents: Sequence[str] = (),
    given: Mapping[str, Any] = MappingProxyType({}),
    replay: Recording | None = None,
) -> Case:
    """Return the case. Raises UsageError, with the reason, where it could never fail or never pass."""
    for one in expectations:
        check_sound(one)
    expectations = [masked_expectation(one, mask) for one in expectations]
    if control.outcome in {Outcome.FAILURE, Outcome.ERROR}:
        raise UsageError(f"the control {control.trace_id[:12]} is not healthy: its outcome is {control.outcome.value}")
    match = match or match_of(expectations)
    if match is not Match.AGENT and not bad.goal.strip() and (match is Match.GOAL or bad.task is None):
        raise UsageError("the run tells no goal and no task: the case would be about no run; --match agent")
    bad, control = masked(bad, mask), masked(control, mask)
    red = _proven(bad, control, expectations)
    small = shrunk(bad, red)
    return Case(
        name=name_of(bad),
        made_at=at,
        match=match,
        expectations=tuple(expectations),
        bad=bad,
        control=control,
        shrunk=tuple(step.number for step in small.steps),
        incidents=tuple(incidents),
        given=given,
        replay=None if replay is None else with_texts(replay, mask),
    )


def masked_expectation(one: Expectation, mask: Mask) -> Expectation:
    """Return an expectation with its values masked as those of runs are. Raises UsageError for a pattern with a secret.

    A raw secret would stand in the file, and equal nothing in a run.
    """
    patterns = [text for text in one.arguments.values() if one.check is Check.ARGUMENTS_MATCH and isinstance(text, str)]
    patterns += [one.text] if one.check is Check.ANSWER_MATCHES and one.text else []
    if any(mask(pattern) != pattern for pattern in patterns):
        raise UsageError(f"{one.check.value}: a pattern holds what is masked in runs: it could never match")
    if patterns:
        return one
    spelt = json.dumps(dict(one.arguments), ensure_ascii=False)
    try:
        arguments = json.loads(mask(spelt)) if one.arguments else {}
    except ValueError:
        # A number that is masked is JSON no more.
        raise UsageError(f"{one.check.value}: an argument holds what is masked in runs, and not as a text") from None
    return replace(one, arguments=arguments, text=None if one.text is None else mask(one.text))


def check_case(case: Case) -> None:
    """Raise UsageError for a case that, as its file stands, can never fail or never pass."""
    try:
        _proven(case.bad, case.control, case.expectations)
    except UsageError as error:
        raise UsageError(f"case {case.name} is refused: {error}") from None


def _proven(bad: Observed, control: Observed, expectations: Sequence[Expectation]) -> list[Expectation]:
    """Return the expectations that the bad run does not meet. Raises UsageError without any, or where none can pass."""
    against = _contradiction(expectations)
    if against is not None:
        raise UsageError(f"it can never pass: {against[0].words} contradicts {against[1].words}")
    on_bad = [judged(one, bad) for one in expectations]
    harmless = next((one for one in on_bad if one.expectation.check is Check.MUST_NOT_CALL and one.met is True), None)
    if harmless is not None:
        raise UsageError(
            f"nothing shows that it can fail: {_said(harmless)} in the bad run {bad.trace_id[:12]}, which is masked"
        )
    red = [seen.expectation for seen in on_bad if seen.met is False]
    if not red:
        seen = "; ".join(_said(one) for one in on_bad) or "nothing is expected"
        raise UsageError(f"it can never fail: the bad run {bad.trace_id[:12]} is green ({seen}); {HINT}")
    unmet = [seen for seen in (judged(one, control) for one in expectations) if seen.met is not True]
    if unmet:
        seen = "; ".join(_said(one) for one in unmet)
        raise UsageError(
            f"it can never pass, as far as is known: the healthy run {control.trace_id[:12]} is not green ({seen});"
            " --control TRACE names another one"
        )
    return red


def _said(seen: Judged) -> str:
    return f"{seen.expectation.words}: {seen.why}"


def _contradiction(expectations: Sequence[Expectation]) -> tuple[Expectation, Expectation] | None:
    """Return a call that must be made and one that must not, where every call of the first is one of the second."""
    for wanted in expectations:
        for barred in expectations:
            if (wanted.check, barred.check) != (Check.MUST_CALL, Check.MUST_NOT_CALL) or wanted.tool != barred.tool:
                continue
            if all(
                name in wanted.arguments and wanted.arguments[name] == barred.arguments[name]
                for name in barred.arguments
            ):
                return wanted, barred
    return None
