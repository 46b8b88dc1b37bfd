"""Cases against runs: a verdict for each pair, and what the whole comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from analyzer.replay.golden.case import Case, changed, is_older
from analyzer.replay.golden.expectations import Expectation, Judged, judged
from analyzer.replay.golden.observed import Observed
from analyzer.replay.outcomes import Outcome


class Verdict(StrEnum):
    """How a run stands with a case."""

    GREEN = "green"
    RED = "red"
    """Something expected did not hold: the bug is back."""
    STALE = "stale"
    """Everything holds, but prompt or tools are not those of the case: whether it still asks the right thing is for a
    person to say."""
    CANNOT_JUDGE = "cannot judge"
    """The run does not tell, or there is no run: never a pass by default."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of running the agent's own code again."""

    outcome: Outcome
    why: str
    diff: tuple[str, ...] = ()
    """The first request that differs, recorded to asked."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One case against one run."""

    case: Case
    run: Observed | None
    """None where no run was there to be judged."""
    verdict: Verdict
    judged: tuple[Judged, ...] = ()
    changed: tuple[str, ...] = ()
    replayed: Replayed | None = None
    """None where a stored run was judged."""

    @property
    def unmet(self) -> tuple[Judged, ...]:
        """What did not hold."""
        return tuple(one for one in self.judged if one.met is False)

    @property
    def why(self) -> str:
        """Say in a phrase what the verdict rests on."""
        if self.replayed is not None:
            said = [f"{one.expectation.words}: {one.why}" for one in self.unmet]
            return "; ".join([f"{self.replayed.outcome.value}: {self.replayed.why}", *said])
        if self.run is None:
            return "no run of this agent and task to judge"
        if self.verdict is Verdict.RED:
            return "; ".join(f"{one.expectation.words}: {one.why}" for one in self.unmet)
        if self.verdict is Verdict.STALE:
            what = f"the {' and the '.join(self.changed)}"
            if is_older(self.case, self.run):
                return f"{what} changed between this run and the later one that the case was made from"
            return f"{what} changed since the case was made"
        unclear = [one for one in self.judged if one.met is None]
        return "; ".join(f"{one.expectation.words}: {one.why}" for one in unclear) or "everything expected holds"


def tried(case: Case, run: Observed) -> Trial:
    """Judge a run by a case."""
    seen = tuple(_of_offered(one, run) for one in case.expectations)
    other = changed(case, run)
    if any(one.met is False for one in seen):
        verdict = Verdict.RED
    elif other:
        verdict = Verdict.STALE
    else:
        verdict = Verdict.CANNOT_JUDGE if any(one.met is None for one in seen) else Verdict.GREEN
    return Trial(case, run, verdict, seen, other)


def unjudged(case: Case) -> Trial:
    """Return the trial of a case for which there is no run."""
    return Trial(case, None, Verdict.CANNOT_JUDGE)


def overall(trials: Sequence[Trial]) -> Verdict:
    """Return what the whole comes to: red where any is, green where all are."""
    verdicts = {trial.verdict for trial in trials}
    for verdict in (Verdict.RED, Verdict.CANNOT_JUDGE, Verdict.STALE):
        if verdict in verdicts:
            return verdict
    return Verdict.GREEN if trials else Verdict.CANNOT_JUDGE


def _of_offered(one: Expectation, run: Observed) -> Judged:
    """Judge, unless it is about a tool that the run was not offered: that it was not called says nothing then."""
    if one.tool is not None and run.offered and one.tool not in {*run.offered, *(call.name for call in run.calls)}:
        return Judged(one, None, f"the run was not offered {one.tool}: was it renamed?")
    return judged(one, run)
