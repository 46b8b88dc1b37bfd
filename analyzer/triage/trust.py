"""How far a detector is trusted, from what humans said of its incidents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from analyzer.triage.compose import Judge
from analyzer.triage.shares import least_share
from analyzer.types.report import Incident, Severity, State

MOSTLY_FALSE = 0.5
"""More than half of its incidents dismissed for sure: then a detector is wrong more often than right."""


def distrusted(incidents: Iterable[Incident]) -> frozenset[str]:
    """Return the detectors whose incidents humans dismiss: those to come count one severity less.

    An incident belongs to the detector of its foremost finding. One that nobody judged counts for its detector, so that
    a few dismissals among many incidents demote nobody: the lower end of Wilson's interval (1927) for the share of
    dismissed ones must lie above MOSTLY_FALSE. That takes four of four, or seven of eight.
    """
    filed: Counter[str] = Counter()
    dismissed: Counter[str] = Counter()
    for incident in incidents:
        if incident.findings:
            filed[incident.findings[0].detector] += 1
            dismissed[incident.findings[0].detector] += incident.state is State.DISMISSED
    return frozenset(name for name, of in filed.items() if least_share(dismissed[name], of) > MOSTLY_FALSE)


def lowered(judge: Judge) -> Judge:
    """Return a judge that says the severity below, for the lowest the same."""
    grades = list(Severity)
    return lambda finding, last: grades[max(judge(finding, last).rank - 1, 0)]
