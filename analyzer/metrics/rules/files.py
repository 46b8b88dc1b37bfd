"""The two files: rules for Prometheus, and the cases that promtool holds them to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analyzer.metrics.rules.base import STEP_MIN, Alert, Record, Thresholds
from analyzer.metrics.rules.fleet import budgets, records, rises, silences
from analyzer.metrics.rules.own import health
from analyzer.metrics.rules.yaml import document
from analyzer.types.budget import Budget


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the rules are made from."""

    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    """By detector; one that is switched off has no rule."""
    has_silence: bool = True
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    between_runs: str = "3h"
    """The longest time between two runs, in PromQL."""
    budget_usd_per_day: float = 0.0
    """The analyst's own."""


def groups(wanted: Wanted) -> dict[str, tuple[tuple[Record, ...], tuple[Alert, ...]]]:
    """Return recording and alert rules by group; within one they are evaluated in this order."""
    fleet = (
        *rises(wanted.thresholds),
        *(silences() if wanted.has_silence else ()),
        *budgets(wanted.budgets),
    )
    own = tuple(health(wanted.between_runs, wanted.budget_usd_per_day))
    return {"analyzer-fleet": (tuple(records()), fleet), "analyzer-health": ((), own)}


def rules_file(wanted: Wanted) -> str:
    """Return the file that Prometheus loads (`rule_files`)."""
    found = groups(wanted)
    made = [
        {"name": name, "rules": [*(one.document() for one in recorded), *(one.document() for one in alerts)]}
        for name, (recorded, alerts) in found.items()
    ]
    return document(
        {"groups": made},
        "Made by `analyzer rules` from the settings of the detectors; make it again when they change.\n"
        "They ask for metrics of `analyzer serve` (or its textfile), see docs/metrics.md.",
    )


def cases_file(wanted: Wanted, rules_name: str) -> str:
    """Return the cases for `promtool test rules`; `rules_name` is the file of rules as seen from theirs."""
    cases = [case for _, alerts in groups(wanted).values() for alert in alerts for case in alert.tests()]
    return document(
        {"rule_files": [rules_name], "evaluation_interval": f"{STEP_MIN}m", "tests": cases},
        f"Made by `analyzer rules` beside {rules_name}; `promtool test rules` runs it.",
    )
