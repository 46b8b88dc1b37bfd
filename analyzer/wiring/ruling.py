"""Rules for Prometheus from the settings: what the detectors look for, in the words of the rules."""

from __future__ import annotations

import math
from datetime import timedelta

from analyzer.config import Settings
from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.events import EventSettings
from analyzer.detectors.per_agent import PerAgent
from analyzer.metrics.rules.base import Thresholds
from analyzer.metrics.rules.files import Wanted
from analyzer.wiring.detecting import detectors_of

BETWEEN_MIN = timedelta(hours=1)
"""Rules on runs look back at least so far: more often than this nobody need be told."""


def wanted(settings: Settings) -> Wanted:
    """Return what rules are made from. Raises UsageError.

    Settings that hold for some agents only are the detectors' alone; a rule asks what is set for every agent.
    """
    thresholds: dict[str, Thresholds] = {}
    names = set()
    for detector in detectors_of(settings).configured:
        usual = detector
        if isinstance(detector, PerAgent):
            if not detector.enabled:
                continue
            usual = detector.usual
        names.add(usual.name)
        given = getattr(usual, "settings", None)
        if isinstance(given, AmountSettings):
            # The rise that the kernel looks for: doubled, unless it is set otherwise.
            thresholds[usual.name] = Thresholds(math.exp(given.shift), units_min=given.units_min)
        elif isinstance(given, EventSettings):
            thresholds[usual.name] = Thresholds(given.ratio_min, given.rise_min, given.events_min, given.units_min)
    if "loop" in names:
        # The loop detector needs no rise, and a count of equal calls is no loop yet: a share is judged as others are.
        usual_events = EventSettings()
        thresholds["loop"] = Thresholds(
            usual_events.ratio_min, usual_events.rise_min, usual_events.events_min, usual_events.units_min
        )
    return Wanted(
        thresholds=thresholds,
        has_silence="silence" in names,
        budgets=settings.budgets if "budget" in names else {},
        between_runs=_promql(max(settings.alertmanager_expiry, BETWEEN_MIN)),
        budget_usd_per_day=settings.budget_usd_per_day,
    )


def _promql(length: timedelta) -> str:
    """Return a duration in the largest single unit that says it exactly."""
    seconds = round(length.total_seconds())
    unit, size = next((unit, size) for unit, size in (("h", 3600), ("m", 60), ("s", 1)) if seconds % size == 0)
    return f"{seconds // size}{unit}"
