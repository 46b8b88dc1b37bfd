"""What is at stake in a rise of an amount, and whether that is worth waking anybody. Pure.

A ratio says how unusual something is, not what it costs: ten times a cent is a cent. A rise is judged by its ratio only
where its loss a day reaches a floor, in USD where the agent's prices are known, else in tokens or steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from analyzer.types.floor import Floor, floor_of
from analyzer.types.metric import TICK_S, Signal, Window
from analyzer.types.report import Finding, Kind

JUDGED = frozenset({Kind.COST, Kind.TOKENS, Kind.STEPS, Kind.RUNAWAY, Kind.TOOL_COST})
"""Kinds whose ratio is one of money, or of what is paid for. Time is not: a run that hangs costs nothing, and waits."""
SPENT_DAYS = 7
"""Days over which spend is averaged: whole weeks cancel the weekly shape."""
_DAY_S = 86_400
_UNITS = {"tokens": "tokens_per_day", "steps": "steps_per_day"}


@dataclass(frozen=True, slots=True)
class Loss:
    """What a finding loses in a day, and the floor it is held against."""

    amount: float
    floor: float
    unit: str
    """USD, tokens or steps."""

    @property
    def is_trivial(self) -> bool:
        """Whether it is below the floor."""
        return self.amount < self.floor


@dataclass(frozen=True, slots=True)
class Stakes:
    """What agents spend, and from where on a loss counts."""

    spent: Mapping[str, float] = field(default_factory=dict)
    """USD per day by agent; one that is not there has no known prices."""
    floors: Mapping[str, Floor] = field(default_factory=dict)

    def loss(self, finding: Finding, hours: float) -> Loss | None:
        """Return what a finding loses in a day, or None where it is not judged by that; `hours` is how long it went on.

        Tokens and steps of an agent with known prices are worth their part of what it spends: at twice the usual, as
        much again. Single trajectories are what a day brought, and no rate: five cents in an hour stay five cents.
        """
        if finding.kind not in JUDGED or finding.baseline <= 0 or not math.isfinite(finding.value):
            return None
        floor = floor_of(self.floors, finding.subject.agent)
        usd_floor = max(floor.usd_per_day, floor.fleet_share * math.fsum(self.spent.values()))
        days = max(hours, 24.0 if finding.kind is Kind.RUNAWAY else 1.0) / 24
        spent = self.spent.get(finding.subject.agent or "")
        # A runaway of an agent without prices has an excess of 0, which is none that is known.
        if finding.excess_usd is not None and (finding.kind is not Kind.RUNAWAY or spent):
            return Loss(finding.excess_usd / days, usd_floor, "USD")
        if finding.unit not in _UNITS:
            return None
        if spent and finding.kind is not Kind.RUNAWAY:
            return Loss(spent * (finding.value / finding.baseline - 1), usd_floor, "USD")
        count = finding.affected if finding.kind is Kind.RUNAWAY else finding.of
        return Loss(
            (finding.value - finding.baseline) * count / days, getattr(floor, _UNITS[finding.unit]), finding.unit
        )


def stakes_of(window: Window, floors: Mapping[str, Floor]) -> Stakes:
    """Return what the agents of a window spend in a day, over the last seven or as many as there are."""
    spent: dict[str, float] = {}
    for series in window.series:
        agent = series.subject.agent
        if series.signal is not Signal.COST or agent is None:
            continue
        first = next((tick for tick, count in enumerate(series.count) if count > 0), len(series.count))
        seen = series.total[max(first, len(series.total) - SPENT_DAYS * _DAY_S // TICK_S) :]
        usd = math.fsum(value for value in seen if math.isfinite(value))
        if usd > 0:
            spent[agent] = spent.get(agent, 0.0) + usd / max(len(seen) * TICK_S / _DAY_S, 1.0)
    return Stakes(spent, floors)
