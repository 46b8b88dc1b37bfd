"""Rules about the agents: rises of means and shares, budgets, silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from analyzer.metrics.rules.base import Alert, Case, Record, Thresholds, among, beside, selector, steady
from analyzer.types.budget import Budget, budget_of
from analyzer.types.limits import EVERY
from analyzer.types.measures import COST, LOOPED, RETRIED, RETRIES, STEPS, TOKENS, TRAJECTORIES

VOLUME_MIN = 20
"""Trajectories an hour must hold before its share or mean is judged."""
EXPECTED_MIN = 5
"""Trajectories that the same hour had yesterday and a week ago before their absence means anything: by Poisson none of
five is a chance of 1 in 150, of both 1 in 22,000."""
HOLD = "30m"
DAY_H = 24

_RUNS_1H, _RUNS_7D = "agent:agent_trajectories:increase1h", "agent:agent_trajectories:increase7d"
_RUNS = TRAJECTORIES.sample
_FINER = (
    "The detector {detector} of the analyzer is the finer judge: it knows the agent's hours, its drift and its weekly"
    " jobs. `analyzer why-not '{{{{ $labels.agent }}}}' --kind {kind}` says what it makes of this."
)
AGENT = "sql-analyst"
"""In the cases."""
_KNOWN = f"sum by (agent) ({_RUNS} offset 3d) >= 0"
"""With less of a past a nightly batch is no habit yet."""


@dataclass(frozen=True, slots=True)
class Share:
    """Trajectories with an event, of all."""

    alert: str
    detector: str
    kind: str
    said: str
    name: str
    """In the names of recorded series."""
    counter: str
    """Of the trajectories with the event, with its matcher."""
    labels: Mapping[str, str]
    """That tell its series in a case."""


SHARES = (
    Share(
        "AgentSuccessDropped", "success", "success", "missed their goal or broke", "failed",
        f'{_RUNS}{{outcome=~"failure|error"}}', {"outcome": "failure"},
    ),
    Share("AgentRetriesRose", "retries", "retries", "had to try again", "retried", RETRIED.sample, {}),
    Share("AgentLoopsRose", "loop", "loop", "repeated a call again and again", "looped", LOOPED.sample, {}),
)  # fmt: skip
"""Known by a count in a metric."""


def records() -> Iterator[Record]:
    """Yield what several rules, and the dashboard, ask for."""
    yield Record(_RUNS_1H, f"sum by (agent) (increase({_RUNS}[1h]))")
    yield Record(_RUNS_7D, f"sum by (agent) (increase({_RUNS}[7d] offset 1h))")
    for name, sample in (("tokens", TOKENS.sample), ("cost_usd", COST.sample), ("retries", RETRIES.sample),
                         ("steps", f"{STEPS.sample}_sum")):  # fmt: skip
        yield Record(_mean(name, "1h"), f"sum by (agent) (increase({sample}[1h])) / ({_RUNS_1H} > 0)")
        yield Record(_mean(name, "7d"), f"sum by (agent) (increase({sample}[7d] offset 1h)) / ({_RUNS_7D} > 0)")
    for share in SHARES:
        yield Record(_share(share, "1h"), f"sum by (agent) (increase({share.counter}[1h])) / ({_RUNS_1H} > 0)")
        yield Record(
            _share(share, "7d"), f"sum by (agent) (increase({share.counter}[7d] offset 1h)) / ({_RUNS_7D} > 0)"
        )
    yield Record(_day("cost_usd"), f"sum by (agent) (increase({COST.sample}[1d]))")
    yield Record(_day("tokens"), f"sum by (agent) (increase({TOKENS.sample}[1d]))")


def _mean(name: str, over: str) -> str:
    return f"agent:agent_{name}_per_trajectory:mean{over}"


def _share(share: Share, over: str) -> str:
    return f"agent:agent_trajectories_{share.name}:share{over}"


def _day(name: str) -> str:
    return f"agent:agent_{name}:increase1d"


def rises(thresholds: Mapping[str, Thresholds]) -> Iterator[Alert]:
    """Yield the alerts on means and shares, for the detectors that are there."""
    if "tokens" in thresholds:
        yield _doubled(thresholds["tokens"])
    for share in SHARES:
        if share.detector in thresholds:
            yield _risen(share, thresholds[share.detector])


def _doubled(limits: Thresholds) -> Alert:
    """Return the rule of the doubled mean. Alone it would be noise: five false alarms a week of each agent.

    Simulated for 28 days of agents with drift, batches and runaways: 4.8 a week at five trajectories an hour, 2.1 at a
    hundred, 0.4 at five hundred. So it needs a volume, and it must last.
    """
    ratio, volume = limits.ratio_min, max(limits.units_min, VOLUME_MIN)
    now, usual = _mean("tokens", "1h"), _mean("tokens", "7d")
    per_hour = 2 * volume

    def case(runs: float, late: float, *, fires: bool) -> Case:
        return Case(
            {
                selector(_RUNS, {"agent": AGENT, "outcome": "success"}): steady(runs, days=4),
                selector(TOKENS.sample, {"agent": AGENT, "model": "m", "phase": "input"}): steady(
                    runs * 1000, runs * 1000 * late, hours=3, days=4
                ),
            },
            {"agent": AGENT} if fires else None,
            1000 * late,
            days=4,
        )

    return Alert(
        "AgentTokensDoubled",
        f"{now} > {ratio:.4g} * {usual} and {_RUNS_1H} >= {volume:g} and {_RUNS_7D} >= {volume:g} and {_KNOWN}",
        HOLD,
        "warning",
        f"{{{{ $labels.agent }}}} takes {ratio:.4g} times its usual tokens per trajectory",
        f"{{{{ $value | humanize }}}} tokens per trajectory over the last hour, above {ratio:.4g} times the mean of the"
        f" week before. A rule on a mean is noisy even with {volume:g} trajectories an hour."
        f" {_finer('tokens', 'tokens')}",
        (
            case(per_hour, 2 * ratio, fires=True),
            case(per_hour, 1 + (ratio - 1) * 0.8, fires=False),
            case(volume / 2, 2 * ratio, fires=False),
        ),
        {"kind": "tokens"},
    )


def _risen(share: Share, limits: Thresholds) -> Alert:
    now, usual = _share(share, "1h"), _share(share, "7d")
    ratio, rise, events = limits.ratio_min, limits.rise_min, limits.events_min
    bad = min(0.9, 0.02 * ratio + 2 * rise)
    per_hour = max(100.0, 4 * events / bad)

    def case(runs: float, late: float, *, fires: bool) -> Case:
        failed = selector(share.counter.partition("{")[0], {"agent": AGENT, **share.labels})
        # Where the event has a counter of its own, all trajectories are in that of the outcome.
        good, late_good = (0.98 * runs, (1 - late) * runs) if share.labels else (runs, runs)
        return Case(
            {
                selector(_RUNS, {"agent": AGENT, "outcome": "success"}): steady(good, late_good, hours=3, days=4),
                failed: steady(0.02 * runs, late * runs, hours=3, days=4),
            },
            {"agent": AGENT} if fires else None,
            late,
            days=4,
        )

    return Alert(
        share.alert,
        f"{now} > {ratio:.4g} * {usual} and {now} > {usual} + {rise:.4g} and {now} * {_RUNS_1H} >= {events:g}"
        f" and {_RUNS_1H} >= {VOLUME_MIN} and {_RUNS_7D} >= {max(limits.units_min, VOLUME_MIN):g} and {_KNOWN}",
        HOLD,
        "warning",
        f"More trajectories of {{{{ $labels.agent }}}} than usual {share.said}",
        f"{{{{ $value | humanizePercentage }}}} of the last hour's {share.said}: {ratio:.4g} times the share of the"
        f" week before, and {rise * 100:.4g} points more. {_finer(share.detector, share.kind)}",
        (
            case(per_hour, bad, fires=True),
            case(per_hour, 0.02, fires=False),
            case(VOLUME_MIN / 4, bad, fires=False),
        ),
        {"kind": share.kind},
    )


def _finer(detector: str, kind: str) -> str:
    return _FINER.format(detector=detector, kind=kind)


def budgets(given: Mapping[str, Budget]) -> Iterator[Alert]:
    """Yield the alerts on budgets: one for each limit, of all agents that have it."""
    for name, unit, field_name, make in (
        ("cost_usd", "USD", "usd_per_day", _daily),
        ("tokens", "tokens", "tokens_per_day", _daily),
        ("cost_usd", "USD", "usd_per_trajectory", _single),
        ("steps", "steps", "steps_per_trajectory", _single),
        ("retries", "retries", "retries_per_trajectory", _single),
    ):
        limits = {agent: getattr(budget_of(given, agent), field_name) for agent in given}
        every = limits.pop(EVERY, None)
        if every is not None:
            others = sorted(agent for agent, limit in limits.items() if limit != every)
            yield make(name, unit, every, beside(others), next(one for one in _MADE_UP if one not in others))
        for limit in sorted({one for one in limits.values() if one not in {None, every}}):
            agents = sorted(agent for agent, own in limits.items() if own == limit)
            yield make(name, unit, limit, among(agents), agents[0])


_MADE_UP = (AGENT, *(f"{AGENT}-{number}" for number in range(1_000)))
"""Agents for the case of a budget that every agent has but some."""
_COUNTERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "cost_usd": (COST.sample, {"model": "m"}),
    "tokens": (TOKENS.sample, {"model": "m", "phase": "input"}),
    "steps": (f"{STEPS.sample}_sum", {}),
    "retries": (RETRIES.sample, {}),
}
_WORDS = {"cost_usd": "Cost", "tokens": "Tokens", "steps": "Steps", "retries": "Retries"}


def _daily(name: str, unit: str, limit: float, matcher: str, agent: str) -> Alert:
    counter, labels = _COUNTERS[name]
    series = selector(counter, {"agent": agent, **labels})
    spent = 2 * limit or 1.0
    at = f"{{{matcher}}}" if matcher else ""
    return Alert(
        f"Agent{_WORDS[name]}BudgetOfTheDay",
        f"{_day(name)}{at} > {limit:.12g}",
        "5m",
        "warning",
        f"{{{{ $labels.agent }}}} is over its budget of {limit:,.6g} {unit} a day",
        f"{{{{ $value | humanize }}}} {unit} in the last 24 hours. The detector budget of the analyzer counts the"
        " days of UTC, sees what is still under way, and says which trajectories spent it.",
        (
            Case({series: steady(spent / DAY_H, days=2)}, {"agent": agent}, spent, days=2),
            Case({series: steady(limit * 0.9 / DAY_H, days=2)}, None, days=2),
        ),
        {"kind": "budget", "budget": f"{limit:.12g}"},
    )


def _single(name: str, unit: str, limit: float, matcher: str, agent: str) -> Alert:
    counter, labels = _COUNTERS[name]
    runs_name = selector(_RUNS, {"agent": agent, "outcome": "success"})
    series = selector(counter, {"agent": agent, **labels})
    spent, runs = 2 * limit or 1.0, 2.0 * VOLUME_MIN
    at = f"{{{matcher}}}" if matcher else ""
    return Alert(
        f"Agent{_WORDS[name]}BudgetOfATrajectory",
        f"{_mean(name, '1h')}{at} > {limit:.12g} and {_RUNS_1H} >= {VOLUME_MIN}",
        HOLD,
        "warning",
        f"{{{{ $labels.agent }}}} is over its budget of {limit:,.6g} {unit} a trajectory",
        f"{{{{ $value | humanize }}}} {unit} a trajectory, on average over the last hour. The detector budget of the"
        " analyzer looks at each trajectory by itself.",
        (
            Case(
                {runs_name: steady(runs, days=1), series: steady(runs * spent, days=1)}, {"agent": agent}, spent, days=1
            ),
            Case({runs_name: steady(runs, days=1), series: steady(runs * limit * 0.9, days=1)}, None, days=1),
            Case({runs_name: steady(2.0, days=1), series: steady(2 * spent, days=1)}, None, days=1),
        ),
        {"kind": "budget", "budget": f"{limit:.12g}"},
    )


def silences() -> Iterator[Alert]:
    """Yield the alerts on agents, and a fleet, of which nothing comes any more."""
    other = selector(_RUNS, {"agent": "reviewer", "outcome": "success"})
    own = selector(_RUNS, {"agent": AGENT, "outcome": "success"})
    expected = " and ".join(
        f"sum by (agent) (increase({_RUNS}[1h] offset {ago})) >= {EXPECTED_MIN}" for ago in ("1d", "7d")
    )
    yield Alert(
        "AgentSilent",
        f"{_RUNS_1H} == 0 and {expected} and on () sum({_RUNS_1H}) > 0",
        "15m",
        "warning",
        "Nothing comes from {{ $labels.agent }}",
        f"No trajectory was finished in an hour that had {EXPECTED_MIN} and more yesterday and a week ago."
        f" {_finer('silence', 'silence')}",
        (
            Case({own: steady(30, 0, hours=3, days=8), other: steady(30, days=8)}, {"agent": AGENT}, days=8),
            Case({own: steady(30, days=8), other: steady(30, days=8)}, None, days=8),
            Case({own: steady(2, 0, hours=3, days=8), other: steady(30, days=8)}, None, days=8),
            Case({own: steady(30, 0, hours=3, days=8), other: steady(30, 0, hours=3, days=8)}, None, days=8),
        ),
        {"kind": "silence"},
    )
    expected = " and ".join(f"sum(increase({_RUNS}[1h] offset {ago})) >= {EXPECTED_MIN}" for ago in ("1d", "7d"))
    yield Alert(
        "FleetSilent",
        f"sum({_RUNS_1H}) == 0 and {expected}",
        "15m",
        "critical",
        "Nothing comes from any agent",
        "No trajectory of any agent was finished for an hour: look at the collector, and at `analyzer serve`, before"
        " the agents.",
        (
            Case({own: steady(30, 0, hours=3, days=8), other: steady(30, 0, hours=3, days=8)}, {}, days=8),
            Case({own: steady(30, 0, hours=3, days=8), other: steady(30, days=8)}, None, days=8),
        ),
        {"kind": "silence"},
    )
