"""How bad a finding is, by a table that anyone can check (docs/accounting.md)."""

from __future__ import annotations

import math

from analyzer.accounting.stakes import Loss, Stakes
from analyzer.types.choices import TOOL
from analyzer.types.report import Finding, Kind, Severity

USD_PER_DAY = ((1000.0, Severity.CRITICAL), (100.0, Severity.HIGH), (10.0, Severity.MEDIUM))
"""Money beyond what was expected, per day at the rate since the onset."""
COST_RATIO = ((4.0, Severity.HIGH), (2.0, Severity.MEDIUM))
"""Observed over expected. Never critical by itself: ten times a cent is a cent."""
ERROR_SHARE = ((0.5, Severity.CRITICAL), (0.2, Severity.HIGH), (0.05, Severity.MEDIUM))
"""Share of the units that fail."""
FEW_UNITS = 10
"""With fewer units hit a share is an anecdote: at most medium."""
LOOP_EXCESS = 3.0
"""Repeats over the rule's limit that make a loop medium: nothing stopped it."""
LOOP_TRAJECTORIES = ((10, Severity.HIGH), (3, Severity.MEDIUM))

MISSED = 100
"""Trajectories that should have begun: from here on a silence is high. A fleet that is silent is so at once."""

CLEARLY = 1.1
"""How far beyond a threshold what is already known must be to change its severity: a share that goes from 49 % to 52 %
and back is the same fault. A tenth is half of what the uncertainty of a baseline explains (types/worse.py)."""

_RATES = frozenset({Kind.ERRORS, Kind.TOOL_ERRORS, Kind.SUCCESS, Kind.RETRIES, Kind.TRUNCATION})
_RECOVERABLE = frozenset({Kind.TOOL_ERRORS, Kind.RETRIES})


def severity(finding: Finding, hours: float, last: Severity | None = None, stakes: Stakes | None = None) -> Severity:
    """Return how bad a finding is; `hours` is the time from its onset to its recovery, or to now.

    `last` is the severity its incident had before this run: it rises only where the finding is CLEARLY beyond the
    threshold, and falls only where it is clearly below. None where it is new.

    Money decides for every kind; besides, errors are judged by the share that fails, missed goals by how many more miss
    them than used to, loops by how many trajectories loop and how long, orders in data by
    whether an agent acted on them, choices by how the runs end that made them,
    silences by what should have begun, and everything else by its ratio to what was expected; metrics and traces that
    disagree are low. A tool's errors and retries count one step less than a failed trajectory: the agent may recover
    from them.

    `stakes` says what a loss must come to for a ratio to count; without them every ratio does.
    """
    loss = stakes.loss(finding, hours) if stakes is not None else None
    if last is None:
        return _graded(finding, hours, 1.0, loss)
    at_most, at_least = (_graded(finding, hours, scale, loss) for scale in (1 / CLEARLY, CLEARLY))
    return max(at_least, min(last, at_most, key=_rank), key=_rank)


def _rank(level: Severity) -> int:
    return level.rank


def _graded(finding: Finding, hours: float, scale: float, loss: Loss | None) -> Severity:
    """Apply the table with its thresholds multiplied by `scale`, which leaves alone what only grows with time."""
    if loss is not None and loss.amount < loss.floor * scale:
        return Severity.LOW
    found = [_step(USD_PER_DAY, _usd_per_day(finding, hours) / scale)]
    if finding.kind in _RATES:
        found.append(_share(finding, scale))
    elif finding.kind is Kind.LOOP:
        found.append(_loop(finding, scale))
    elif finding.kind is Kind.INJECTION:
        found.append(_injection(finding, scale))
    elif finding.kind is Kind.TOOL_CHOICE:
        found.append(_choice(finding))
    elif finding.kind is Kind.SILENCE:
        many = finding.subject.agent is None or finding.baseline * hours >= MISSED
        found.append(Severity.HIGH if many else Severity.MEDIUM)
    elif finding.baseline > 0 and finding.kind is not Kind.METERING:
        # Books that do not balance harm nobody by themselves: incidents that stand on them say so where they are read.
        found.append(_step(COST_RATIO, finding.value / finding.baseline / scale))
    return max(found, key=_rank)


def _usd_per_day(finding: Finding, hours: float) -> float:
    # Less than an hour says little about a day: a burst of five minutes is not multiplied by 288.
    return (finding.excess_usd or 0.0) / max(hours, 1.0) * 24


def _share(finding: Finding, scale: float) -> Severity:
    # Many healthy agents miss every third goal; of failures the usual share is next to nothing.
    usual = finding.baseline if finding.kind is Kind.SUCCESS else 0.0
    level = _step(ERROR_SHARE, (finding.value - usual) / scale)
    if finding.affected < FEW_UNITS:
        level = min(level, Severity.MEDIUM, key=_rank)
    if finding.kind not in _RECOVERABLE or level is Severity.LOW:
        return level
    return list(Severity)[level.rank - 1]


def _loop(finding: Finding, scale: float) -> Severity:
    by_count = _step(tuple((float(count), level) for count, level in LOOP_TRAJECTORIES), finding.affected / scale)
    endless = finding.baseline > 0 and finding.value >= LOOP_EXCESS * finding.baseline * scale
    return max(by_count, Severity.MEDIUM if endless else Severity.LOW, key=_rank)


def _injection(finding: Finding, scale: float) -> Severity:
    """Judge an order in data by whether an agent acted on it: one that is only there is for the record."""
    if finding.value > 0:
        return Severity.HIGH
    return Severity.MEDIUM if finding.affected >= FEW_UNITS * scale else Severity.LOW


def _choice(finding: Finding) -> Severity:
    """Judge a shifted choice by what came of it: whether its runs fail, and how many there are."""
    many = finding.affected >= FEW_UNITS
    if finding.shifted is not None and finding.shifted.worse:
        return Severity.HIGH if many else Severity.MEDIUM
    # A tool in the place of another is a decision somebody may have made; another table with no error is the kind of
    # fault that nobody else notices.
    unnoticed = finding.shifted is not None and finding.shifted.what != TOOL
    return Severity.MEDIUM if unnoticed and many else Severity.LOW


def _step(table: tuple[tuple[float, Severity], ...], value: float) -> Severity:
    """Return the level of the highest row that a value reaches; low below all, and for what is no number."""
    if math.isnan(value):
        return Severity.LOW
    return next((level for least, level in table if value >= least), Severity.LOW)
