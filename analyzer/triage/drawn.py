"""Which charts an incident shows: those of its foremost findings, as this run or an earlier one saw them."""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.triage.rules import key_of
from analyzer.types.drawn import Curve, Strip
from analyzer.types.report import Examined, Finding, Incident, Kind


def curve_of(
    lead: Finding, findings: Sequence[Finding], members: Sequence[Examined], base: Incident | None
) -> Curve | None:
    """Return the metric that is drawn: of the figures' own kind where it is known, else of the foremost finding.

    `members` are this run's, `findings` all, the foremost first; `base` is the last form where the incident goes on. Of
    a cause that several agents share, the worst agent stands for all.
    """
    fresh = {key_of(one.finding): one.curve for one in members if one.curve is not None}
    curves = [fresh[key_of(finding)] for finding in findings if key_of(finding) in fresh]
    # What this run did not see is shown as it was seen last, before something else of the same incident is.
    kept = [base.curve] if base is not None and base.curve is not None else []
    wanted = [one for one in (*curves, *kept) if one.kind == lead.kind.value]
    return next(iter((*wanted, *curves, *kept)), None)


def strip_of(findings: Sequence[Finding], members: Sequence[Examined], base: Incident | None) -> Strip | None:
    """Return the steps that are drawn, where a loop is among the findings."""
    if all(finding.kind is not Kind.LOOP for finding in findings):
        return None
    fresh = {key_of(one.finding): one.strip for one in members if one.strip is not None}
    found = [fresh[key_of(finding)] for finding in findings if key_of(finding) in fresh]
    return next(iter(found), base.strip if base is not None else None)
