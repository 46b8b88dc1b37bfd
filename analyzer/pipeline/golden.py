"""Golden cases over a store: made from a failed trajectory and its healthy peers, and held against what ran since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from analyzer.errors import UsageError
from analyzer.replay.golden.accepting import HINT, Dropped, accepted, kept, masked_expectation
from analyzer.replay.golden.case import Case, Mask, Match, changed, given_in, is_older, match_of
from analyzer.replay.golden.expectations import Expectation, judged
from analyzer.replay.golden.observed import Observed, goal_key, observed
from analyzer.replay.golden.proposing import proposed, unsaid
from analyzer.replay.golden.running import Trial, tried, unjudged
from analyzer.replay.recording import recording_of
from analyzer.stores.base import TrajectoryStore
from analyzer.types.report import Incident
from analyzer.types.trace import Outcome
from analyzer.types.trajectory import TrajectorySummary
from analyzer.types.word import Said

PEERS_LOOKED_AT_MAX = 500
PEERS_MAX = 10
"""Healthy runs that a proposal must be green on; each is read whole."""
RUNS_MAX = 1_000
"""Runs of an agent that a case is held against, the newest first."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked of a case."""

    expectations: tuple[Expectation, ...] = ()
    control: str | None = None
    """The trace id of a healthy run; None to look for one."""
    match: Match | None = None
    propose: bool = True


@dataclass(frozen=True, slots=True)
class Made:
    """A case, and what was considered for it."""

    case: Case
    healthy: tuple[str, ...]
    """Trace ids of the healthy runs that proposals were held against."""
    dropped: tuple[Dropped, ...]
    unsaid: tuple[str, ...]
    """Kinds of incidents that no expectation can say."""


def make_case(
    store: TrajectoryStore,
    incidents: Sequence[Incident],
    trace_id: str,
    wanted: Wanted,
    *,
    at: datetime,
    mask: Mask,
) -> Made:
    """Make a case of a trajectory. Raises NotFoundError, and UsageError with the reason where none can be made."""
    trajectory = store.trajectory(trace_id)
    bad = observed(trajectory)
    holding = [
        one
        for one in incidents
        if trace_id in one.trace_ids and (one.word is None or one.word.said is not Said.DISMISSED)
    ]
    if wanted.control == trace_id:
        raise UsageError("the control is the bad run itself: nothing would show that the case can pass")
    named = () if wanted.control is None else (observed(store.trajectory(wanted.control)),)
    healthy = [*named, *_peers(store, bad, holding)]
    if not healthy:
        raise UsageError(
            f"nothing shows that the case can pass: no healthy run of {bad.agent} with this task is stored;"
            " --control TRACE names one"
        )
    proposals = proposed(bad, healthy, holding) if wanted.propose else []
    good, dropped = kept(bad, healthy, proposals)
    expectations = [masked_expectation(one, mask) for one in _joined(wanted.expectations, good)]
    if not expectations:
        tried_in_vain = "; ".join(f"{one.expectation.words}: {one.why}" for one in dropped[:3])
        raise UsageError(f"nothing to expect of {trace_id[:12]}: {tried_in_vain or 'no incident holds it'}; {HINT}")
    control = _control(named or healthy, expectations)
    recording = recording_of(trajectory)
    case = accepted(
        bad,
        control,
        expectations,
        at=at,
        mask=mask,
        match=wanted.match or match_of(expectations),
        incidents=[one.id for one in holding],
        given=given_in(recording, mask),
        replay=recording,
    )
    return Made(case, tuple(run.trace_id for run in healthy), tuple(dropped), tuple(unsaid(holding)))


def judge_cases(
    store: TrajectoryStore,
    cases: Sequence[Case],
    trace_ids: Sequence[str] = (),
    ended: tuple[datetime, datetime] | None = None,
) -> list[Trial]:
    """Return the trials of cases: by the named trajectories, else by all stored runs that each is about.

    `ended` narrows the latter to those that ended in [start, end); runs without times are in no range.

    Of named ones only the cases that they are about have a trial; else a case without a run has one that says so.
    Raises NotFoundError.
    """
    if trace_ids:
        runs = [observed(store.trajectory(trace_id)) for trace_id in trace_ids]
        return [tried(case, run) for case in cases for run in runs if case.concerns(run)]
    trials: list[Trial] = []
    for case in cases:
        own = [tried(case, run) for run in _runs(store, case, ended)]
        trials += own or [unjudged(case)]
    return trials


def changes_since(store: TrajectoryStore, cases: Sequence[Case]) -> list[tuple[str, tuple[str, ...]] | None]:
    """Return, for each case, the newest stored run that it is about and what that was given otherwise.

    What differs is "prompt", "tools", or nothing; None where no such run is stored, or none since the case's own.
    """
    newest = [next(_runs(store, case, None), None) for case in cases]
    return [
        None if run is None or is_older(case, run) else (run.trace_id, changed(case, run))
        for case, run in zip(cases, newest, strict=True)
    ]


def _runs(store: TrajectoryStore, case: Case, ended: tuple[datetime, datetime] | None) -> Iterator[Observed]:
    start, end = ended or (None, None)
    for summary in store.summaries(agent=case.bad.agent, start=start, end=end, limit=RUNS_MAX):
        if summary.trace_id in case.sources or (case.match is not Match.AGENT and not _may_be(case.bad, summary)):
            continue
        run = observed(store.trajectory(summary.trace_id))
        if case.concerns(run):
            yield run


def _may_be(bad: Observed, summary: TrajectorySummary) -> bool:
    """Whether a run may have the same task: goals of another form are no other reading of this one."""
    return None in (bad.task, summary.task) or bad.task == summary.task


def _peers(store: TrajectoryStore, bad: Observed, holding: Sequence[Incident]) -> list[Observed]:
    """Return healthy runs of the same agent and task, the one most like the bad run first."""
    compared = {trace_id for incident in holding for trace_id in incident.healthy_trace_ids}
    held = {trace_id for incident in holding for trace_id in incident.trace_ids}
    found = [
        summary
        for summary in store.summaries(agent=bad.agent, limit=PEERS_LOOKED_AT_MAX)
        if summary.trace_id != bad.trace_id
        and summary.trace_id not in held
        and summary.outcome is Outcome.SUCCESS
        and _may_be(bad, summary)
    ]
    found.sort(key=lambda one: (one.trace_id not in compared, one.errors, not one.judged, -(one.end_ns or 0)))
    runs = list(map(observed, store.trajectories([one.trace_id for one in found[:PEERS_MAX]]).values()))
    alike = [run for run in runs if run.complete and (None not in (run.task, bad.task) or _goal(run) == _goal(bad))]
    return sorted(alike, key=lambda run: (_goal(run) != _goal(bad), run.tools != bad.tools, run.prompt != bad.prompt))


def _goal(run: Observed) -> str:
    return goal_key(run.goal)


def _joined(asked: Sequence[Expectation], good: Sequence[Expectation]) -> list[Expectation]:
    """Return what was asked for and what was proposed, each thing once; of two limits on one amount the asked one."""
    limits = {one.check for one in asked if one.at_most is not None}
    said = {one.words for one in asked}
    return [*asked, *(one for one in good if one.words not in said and one.check not in limits)]


def _control(healthy: Sequence[Observed], expectations: Sequence[Expectation]) -> Observed:
    """Return the first run that meets everything, else the first: `accepted` says what it does not meet."""
    passing = (run for run in healthy if all(judged(one, run).met is True for one in expectations))
    return next(passing, healthy[0])
