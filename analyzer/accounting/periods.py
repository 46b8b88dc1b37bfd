"""The change that a finding is about, between two periods of one agent: which periods, and which account."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from analyzer.accounting.lmdi import Account, account, step_account, token_account
from analyzer.stores.base import Usage
from analyzer.types.report import Kind

DAYS_BEFORE = 7
"""Days of the same hours that a change is compared with: whole weeks cancel the weekly shape."""
RUNS_NOISE = 0.1
"""Relative drift of traffic from day to day that no one would call a change; simulated fleets have 6 % day effects."""
ACCOUNTED = frozenset({Kind.COST, Kind.TOKENS, Kind.STEPS})
"""Kinds of findings whose amount is a product of factors."""

UsageOf = Callable[[str, datetime, datetime], Sequence[Usage]]
"""See `TrajectoryStore.usage`."""


@dataclass(frozen=True, slots=True)
class Periods:
    """The time since the onset, and the same hours of earlier days."""

    after: tuple[datetime, datetime]
    before: tuple[tuple[datetime, datetime], ...]


def compared(onset: datetime, onset_low: datetime, end: datetime, known_since: datetime) -> Periods:
    """Return [onset, end) and the same hours of the days before, as far as trajectories are known.

    Traffic has a daily shape: six hours of an afternoon against a whole week would make every incident look like a
    change of traffic. Where no earlier day is known, the stretch before the onset stands in.
    """
    end = max(end, onset + timedelta(minutes=15))
    days = math.ceil((end - onset) / timedelta(days=1))
    before: list[tuple[datetime, datetime]] = []
    for shift in range(days, days + 4 * DAYS_BEFORE):
        start, stop = onset - timedelta(days=shift), end - timedelta(days=shift)
        if start >= known_since and stop <= onset_low and len(before) < DAYS_BEFORE:
            before.append((start, stop))
    if not before:
        before = [(max(known_since, onset_low - (end - onset)), onset_low)]
    return Periods((onset, end), tuple(before))


def account_of(usage: UsageOf, kind: Kind, agent: str, periods: Periods) -> Account:
    """Return the account of a rise of cost, tokens or steps; empty for other kinds and without a run in a period."""
    if kind not in ACCOUNTED:
        return Account()
    after = usage(agent, *periods.after)
    before = [row for period in periods.before for row in usage(agent, *period)]
    hours_after = _hours(periods.after)
    hours_before = sum(_hours(period) for period in periods.before)
    runs_after, runs_before = _runs(after), _runs(before)
    if not runs_after or not runs_before or hours_before <= 0:
        return Account()
    rate_before, rate_after = runs_before / hours_before, runs_after / hours_after
    noise = 2 * math.sqrt(1 / runs_after + 1 / runs_before + RUNS_NOISE**2)
    change = math.log(rate_after / rate_before)
    if change > noise:
        return _of_kind(kind, before, after, hours_before, hours_after)
    # Traffic as usual: its noise is no factor. The change is that of the amount at the usual rate of runs. Fewer runs
    # spend less, which is no part of why each of them costs more: the account would turn around.
    found = _of_kind(kind, before, after, hours_before, runs_after / rate_before)
    if change < -noise:
        return replace(found, factors=tuple(one for one in found.factors if one.factor != "runs"))
    factors = (replace(one, to_value=rate_after) if one.factor == "runs" else one for one in found.factors)
    return replace(found, factors=tuple(factors))


def _of_kind(
    kind: Kind, before: Sequence[Usage], after: Sequence[Usage], hours_before: float, hours_after: float
) -> Account:
    if kind is Kind.COST:
        return account(before, after, hours_before=hours_before, hours_after=hours_after)
    amounts = token_account if kind is Kind.TOKENS else step_account
    return amounts(before, after, hours_before=hours_before, hours_after=hours_after)


def _hours(period: tuple[datetime, datetime]) -> float:
    return (period[1] - period[0]) / timedelta(hours=1)


def _runs(rows: Sequence[Usage]) -> int:
    return sum(row.trajectories for row in rows)
