"""How far a detector is trusted, from what humans said of its incidents."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from analyzer.triage.compose import Judge
from analyzer.types.report import Incident, Severity, State

MOSTLY_FALSE = 0.5
"""More than half of its incidents dismissed for sure: then a detector is wrong more often than right."""
_Z = 1.96
"""Of a two-sided interval of 95 %."""


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


def least_share(hits: int, of: int) -> float:
    """Return the lower end of Wilson's score interval for `hits` of `of`."""
    if of == 0:
        return 0.0
    share, z2 = hits / of, _Z**2
    spread = _Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    return (share + z2 / (2 * of) - spread) / (1 + z2 / of)


def lowered(judge: Judge) -> Judge:
    """Return a judge that says the severity below, for the lowest the same."""
    grades = list(Severity)
    return lambda finding, last: grades[max(judge(finding, last).rank - 1, 0)]
