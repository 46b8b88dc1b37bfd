"""Rules about the analyst itself: who watches must be watched, and first of all be missed."""

from __future__ import annotations

import math
from collections.abc import Iterator

from analyzer.metrics.rules.base import STEP_MIN, Alert, Case, level, selector, steady
from analyzer.types.measures import DELIVERIES, LAST_GAPS, LAST_SUCCESS, LLM_COST, RUNS, WAITING

SPENT_SHARE = 0.8
WAITING_MAX = 5_000
"""Trajectories under way or not counted; a scrape counts about a thousand a second."""
_WHERE = {"instance": "night", "job": "analyzer"}


def health(between_runs: str, budget_usd_per_day: float) -> Iterator[Alert]:
    """Yield the alerts on runs that do not come, fail, see nothing, or cannot tell anybody.

    `between_runs` is the longest time between two runs as PromQL writes it; a budget of 0 is none.
    """
    yield from _missed(between_runs)
    yield from _hindered(between_runs)
    if budget_usd_per_day > 0:
        yield _spent(budget_usd_per_day)


def _missed(between_runs: str) -> Iterator[Alert]:
    """Yield the alerts on runs that do not come or break off."""
    days = _days(between_runs)
    last, runs = selector(LAST_SUCCESS.sample, _WHERE), selector(RUNS.sample, {**_WHERE, "outcome": "failed"})
    yield Alert(
        "AnalyzerDead",
        f"time() - {LAST_SUCCESS.sample} > {_seconds(between_runs):.0f}",
        "5m",
        "critical",
        f"The analyzer has finished no run for more than {between_runs}",
        "The last one was {{ $value | humanize }} s ago. Nobody looks at the fleet: see the log of its timer or"
        " CronJob, and `analyzer doctor`.",
        (
            Case({last: level(0, days=days)}, _WHERE, days * 86_400.0, days),
            Case({last: f"0+{60 * STEP_MIN}x{days * 24 * 60 // STEP_MIN}"}, None, days=days),
        ),
    )
    yield Alert(
        "AnalyzerNeverSeen",
        f"absent({LAST_SUCCESS.sample})",
        between_runs,
        "critical",
        "There is no metric of the analyzer",
        "It has never finished a run, or its metrics are not scraped: /metrics of `analyzer serve`, the Pushgateway or"
        " node_exporter's textfile collector.",
        (
            Case({selector("up", {"job": "other"}): level(1, days=days)}, {}, 1.0, days),
            Case({last: level(1, days=days)}, None, days=days),
        ),
    )
    yield Alert(
        "AnalyzerRunsFail",
        f'sum by (job, instance) (increase({RUNS.sample}{{outcome="failed"}}[{between_runs}])) > 0',
        "0s",
        "warning",
        "Runs of the analyzer break off",
        f"{{{{ $value | humanize }}}} in the last {between_runs}. `analyzer --debug run` shows where.",
        (
            Case({runs: steady(1, days=days)}, _WHERE, _seconds(between_runs) / 3600, days),
            Case({runs: level(3, days=days)}, None, days=days),
        ),
    )


def _hindered(between_runs: str) -> Iterator[Alert]:
    """Yield the alerts on runs that cannot see, tell or count all that they should."""
    days = _days(between_runs)
    gaps = selector(LAST_GAPS.sample, _WHERE)
    yield Alert(
        "AnalyzerHalfBlind",
        f"{LAST_GAPS.sample} > 0",
        between_runs,
        "info",
        "The analyzer cannot see or do all that it should",
        "{{ $value | humanize }} gaps in its last report, for some runs now; the report says what and why.",
        (
            Case({gaps: level(2, days=days)}, _WHERE, 2.0, days),
            Case({gaps: level(2, 0, hours=1, days=days)}, None, days=days),
        ),
    )
    failed = selector(DELIVERIES.sample, {**_WHERE, "route": "slack", "outcome": "failed"})
    yield Alert(
        "AnalyzerUndelivered",
        f'sum by (job, instance, route) (increase({DELIVERIES.sample}{{outcome="failed"}}[{between_runs}])) > 0',
        "0s",
        "warning",
        "The analyzer cannot tell anybody on {{ $labels.route }}",
        f"{{{{ $value | humanize }}}} messages failed in the last {between_runs}; `analyzer notify` tries the route.",
        (
            Case({failed: steady(2, days=days)}, {**_WHERE, "route": "slack"}, 2 * _seconds(between_runs) / 3600, days),
            Case({failed: level(2, days=days)}, None, days=days),
        ),
    )
    waiting = selector(WAITING.sample, _WHERE)
    yield Alert(
        "AnalyzerCountsLate",
        f"{WAITING.sample} > {WAITING_MAX}",
        "30m",
        "warning",
        "The fleet's metrics fall behind",
        "{{ $value | humanize }} trajectories are in no metric yet: is /metrics scraped at least once a minute?",
        (
            Case({waiting: level(2 * WAITING_MAX)}, _WHERE, 2.0 * WAITING_MAX),
            Case({waiting: level(WAITING_MAX / 2)}, None),
        ),
    )


def _spent(budget: float) -> Alert:
    cost = selector(LLM_COST.sample, _WHERE)
    return Alert(
        "AnalyzerSpendsItsBudget",
        f"sum by (job, instance) (increase({LLM_COST.sample}[1d])) > {SPENT_SHARE * budget:.12g}",
        "5m",
        "warning",
        f"The analyzer has spent {SPENT_SHARE:.0%} of its {budget:.4g} USD a day",
        "{{ $value | humanize }} USD in the last 24 hours; with none left, rules explain what it finds.",
        (
            Case({cost: steady(budget / 24)}, _WHERE, budget),
            Case({cost: steady(0.5 * budget / 24)}, None),
        ),
    )


def _seconds(between: str) -> float:
    """Return the seconds of a duration as PromQL writes it, in one unit."""
    return float(between[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[between[-1]]


def _days(between: str) -> int:
    """Return how long the cases of a rule last that waits for so long: a day more than it waits."""
    return 1 + max(1, math.ceil(_seconds(between) / 86_400))
