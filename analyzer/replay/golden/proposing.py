"""Which expectations the incidents of a run suggest, and what sets the run apart from healthy ones.

A proposal is only that: `accepting` keeps those that are red on the bad run and green on every healthy one at hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from analyzer.detectors.loops.scan import scan
from analyzer.replay.golden.expectations import Check, Expectation
from analyzer.replay.golden.observed import Observed
from analyzer.types.choices import TOOL
from analyzer.types.report import Finding, Incident, Kind
from analyzer.types.trace import Outcome

HEALTHY_MIN = 3
"""Healthy runs whose tools are compared: that one of them did without a tool shows nothing."""

_Limit = Callable[[Observed], float | None]
_LIMITS: dict[Kind, tuple[Check, _Limit]] = {
    Kind.STEPS: (Check.STEPS_AT_MOST, lambda run: run.length),
    Kind.RUNAWAY: (Check.STEPS_AT_MOST, lambda run: run.length),
    Kind.TOKENS: (Check.TOKENS_AT_MOST, lambda run: run.tokens),
    Kind.COST: (Check.COST_AT_MOST_USD, lambda run: run.cost_usd),
    Kind.BUDGET: (Check.COST_AT_MOST_USD, lambda run: run.cost_usd),
}
_FAILING = frozenset({Kind.ERRORS, Kind.TOOL_ERRORS, Kind.RETRIES})
_DIFFERING = frozenset({Kind.TOOL_CHOICE, Kind.INJECTION, Kind.SUCCESS})


def proposed(bad: Observed, healthy: Sequence[Observed], incidents: Sequence[Incident]) -> list[Expectation]:
    """Return what may be expected of runs like this one, each thing once; `incidents` are those that hold the run."""
    found: dict[str, Expectation] = {}
    for one in _proposed(bad, healthy, incidents):
        found.setdefault(one.words, one)
    return list(found.values())


def unsaid(incidents: Sequence[Incident]) -> list[str]:
    """Return the kinds of these incidents that no expectation can say: how long a run took says nothing of the next."""
    known = {Kind.LOOP, *_LIMITS, *_FAILING, *_DIFFERING}
    return sorted({incident.kind.value for incident in incidents if incident.kind not in known})


def _proposed(bad: Observed, healthy: Sequence[Observed], incidents: Sequence[Incident]) -> Iterator[Expectation]:
    differing = bad.outcome in {Outcome.FAILURE, Outcome.ERROR}
    for incident in incidents:
        said = incident.word
        because = f"incident {incident.id}" + (f", {said.said.value} by {said.by}" if said is not None else "")
        for finding in incident.findings:
            yield from _of_finding(finding, bad, healthy, because)
            differing = differing or finding.kind in _DIFFERING
    if scan(bad.steps):
        yield Expectation(Check.NO_LOOP, because="the loop detector sees one in this run")
    if bad.outcome is Outcome.ERROR:
        yield Expectation(Check.NO_ERROR, because="the run broke")
    if differing or not incidents:
        yield from _differences(bad, healthy)


def _of_finding(finding: Finding, bad: Observed, healthy: Sequence[Observed], because: str) -> Iterator[Expectation]:
    if finding.kind is Kind.LOOP:
        yield Expectation(Check.NO_LOOP, because=because)
    elif finding.kind in _LIMITS:
        check, amount = _LIMITS[finding.kind]
        limit = _between(amount(bad), [amount(run) for run in healthy])
        if limit is not None:
            at_most = round(limit, 6) if check is Check.COST_AT_MOST_USD else math.floor(limit)
            yield Expectation(check, at_most=at_most, because=because)
    elif finding.kind in _FAILING:
        yield Expectation(Check.NO_ERROR, tool=finding.subject.tool, because=because)
    elif finding.shifted is not None:
        shifted, tool = finding.shifted, finding.subject.tool
        if shifted.what == TOOL:
            if shifted.picked:
                yield Expectation(Check.MUST_NOT_CALL, tool=shifted.picked, because=because)
            if shifted.usual:
                yield Expectation(Check.MUST_CALL, tool=shifted.usual, because=because)
        elif tool and shifted.picked and "#" not in shifted.picked:
            # A `#` stands for digits, so that no call has it.
            wanted = {shifted.what: shifted.picked}
            yield Expectation(Check.MUST_NOT_CALL, tool=tool, arguments=wanted, because=because)


def _between(bad: float | None, healthy: Sequence[float | None]) -> float | None:
    """Return a limit between the largest healthy amount and the bad one, or None where they do not lie apart.

    It is their geometric mean: as many times the one as the other is many times it.
    """
    known = [amount for amount in healthy if amount is not None]
    if bad is None or not known or max(known) >= bad:
        return None
    return max(math.sqrt(max(known) * bad), *known)


def _differences(bad: Observed, healthy: Sequence[Observed]) -> Iterator[Expectation]:
    """Yield the tools that only the bad run called, and those that every healthy one did and it did not.

    Only runs of this kind of task are compared: other tasks need other tools.
    """
    theirs = [{step.name for step in run.calls} for run in healthy if run.task == bad.task is not None]
    if len(theirs) < HEALTHY_MIN:
        return
    own = dict.fromkeys(step.name for step in bad.calls)
    runs = f"{len(theirs)} healthy runs"
    for tool in own:
        if not any(tool in called for called in theirs):
            yield Expectation(Check.MUST_NOT_CALL, tool=tool, because=f"no call of it in {runs}")
    for tool in sorted(set.intersection(*theirs) - set(own)):
        yield Expectation(Check.MUST_CALL, tool=tool, because=f"called in {runs}")
