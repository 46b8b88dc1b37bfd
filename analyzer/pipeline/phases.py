"""The phases that are computed, collect to triage: one implementation for `run`, `why_not` and `backtest`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from analyzer.accounting.drawn import with_charts
from analyzer.accounting.examine import examine, is_single, with_extent
from analyzer.accounting.fleetwide import with_causes
from analyzer.accounting.running import hours_of, last_runs
from analyzer.accounting.severity import severity
from analyzer.accounting.stakes import Stakes, stakes_of
from analyzer.detectors.base import Detector
from analyzer.detectors.loop import dated
from analyzer.metrics.evidence import evaluated
from analyzer.metrics.exemplars import UNASKED, Exemplified, exemplars_of
from analyzer.metrics.window import Reach, before, collect, own
from analyzer.pipeline.app import App
from analyzer.pipeline.metering import doubted, sides
from analyzer.stores.summaries import OWN_AGENT
from analyzer.triage import triage
from analyzer.triage.trust import distrusted
from analyzer.types.metric import Window
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import Examined, Finding, Gap, Incident, Kind, Subject

NOT_OF_ITSELF = frozenset(
    {Kind.SILENCE, Kind.VOLUME, Kind.TOOL_CHOICE, Kind.TOOL_LATENCY, Kind.INJECTION, Kind.METERING}
)
"""Kinds that are not looked for in the analyst's own runs: it runs when it looks, and as often as its schedule says;
what its tools are asked for and return is the fleet's, in milliseconds of a store that the machine's load moves."""
TOOLS_NAMED_MAX = 5
EVER = datetime(1970, 1, 1, tzinfo=UTC)


def reach_of(app: App, at: datetime) -> Reach:
    """Return how far a run at a moment looks."""
    return Reach(at, app.lookback, app.history, app.filled_by)


def collected(app: App, at: datetime) -> Window:
    """Load what a run at a moment looks at. Raises StoreError."""
    window = collect(app.trajectories, app.metrics, app.queries, reach_of(app, at))
    return replace(window, gaps=(*window.gaps, *_tool_gaps(app, window)))


def _tool_gaps(app: App, window: Window) -> list[Gap]:
    """Return a Gap where calls have no cost though a rule says what their tool costs.

    Without a rule a tool costs nothing that anyone told, and nothing is missing.
    """
    if app.has_tool_rule is None:
        return []
    unpriced = app.trajectories.unpriced_tools(window.start, window.end)
    missed = [f"{tool} ({calls:,} calls)" for tool, calls in unpriced if app.has_tool_rule(tool)]
    if not missed:
        return []
    more = f" and {len(missed) - TOOLS_NAMED_MAX} more" if len(missed) > TOOLS_NAMED_MAX else ""
    why = f"the rule of {', '.join(missed[:TOOLS_NAMED_MAX])}{more} could not be followed, or is newer than the calls"
    hint = "check unit_attribute and unit_path under [tool_costs] in analyzer.toml (docs/prices.md)"
    return [Gap("cost of tools", why, hint)]


def detected(app: App, window: Window) -> tuple[list[Finding], list[Gap]]:
    """Ask every detector. One that raises is a Gap: the others' findings go out.

    What one says is in the order of the agents, so that nothing depends on how many of them it was asked about at once.
    """
    findings: list[Finding] = []
    gaps: list[Gap] = []
    for detector in app.detectors:
        try:
            findings += sorted(detector.detect(window), key=agent_of)
        except Exception as error:  # noqa: BLE001 - a detector may be anyone's; its fault must not hide the others' findings
            why = f"the detector failed: {type(error).__name__}: {error}"
            gaps.append(
                Gap(f"{detector.kind.value} anomalies", why, "run with --debug and report this with its output")
            )
    return findings, gaps


def agent_of(finding: Finding) -> str:
    """Return what findings of one detector are sorted by: those of the fleet first."""
    return finding.subject.agent or ""


def with_beginnings(
    app: App, findings: list[Finding], gaps: list[Gap], at: datetime
) -> tuple[list[Finding], list[Gap]]:
    """Look for the beginning of loops in the history before the window: one that is old must not be told as new."""
    agents = {found.subject.agent for found in findings if found.kind is Kind.LOOP and found.subject.agent}
    if not agents:
        return findings, gaps
    # A detector of series has nothing to look at there, and what others find is not asked for.
    looking = replace(app, detectors=[detector for detector in app.detectors if detector.kind is Kind.LOOP])
    earlier, unseen = detected(looking, before(app.trajectories, agents, reach_of(app, at)))
    return dated(findings, earlier), [*gaps, *unseen]


def on_itself(app: App) -> App:
    """Return the same with the detectors that look at the analyst's own runs: all but those of `NOT_OF_ITSELF`."""
    return replace(app, detectors=[one for one in app.detectors if one.kind not in NOT_OF_ITSELF])


def collected_of_itself(app: App, at: datetime) -> Window:
    """Load what a run at a moment looks at of the analyst's own runs. Raises StoreError."""
    return own(app.trajectories, reach_of(app, at))


def exemplified(app: App, findings: Sequence[Finding], window: Window) -> Exemplified:
    """Ask the metrics which trajectories they name for each finding. Without metrics nobody is asked."""
    return UNASKED if app.metrics is None else exemplars_of(app.trajectories, app.metrics, findings, window)


def examined(app: App, findings: Sequence[Finding], window: Window, exemplars: Exemplified = UNASKED) -> list[Examined]:
    """Work out what the store knows about each finding: its account, what else changed, who is at fault.

    And which of them several agents share, where one thing is behind them all. `exemplars` are what metrics name.
    """
    rows = sides(app.detectors, window) if findings else ()
    usage = cache(app.trajectories.usage)
    known = [
        examine(
            app.trajectories,
            with_extent(evaluated(finding, app.metrics), window),
            at=window.end,
            history_start=window.end - app.history,
            builds=(*window.builds.get(None, ()), *window.builds.get(finding.subject.agent, ())),
            exemplars=exemplars.of(finding),
            usage=usage,
        )
        for finding in doubted(findings, rows, window)
    ]
    return with_causes([with_charts(one, window) for one in known], window)


def triaged(
    app: App, known: Sequence[Examined], window: Window, blind_spots: Sequence[Gap], stakes: Stakes | None = None
) -> tuple[Incident, ...]:
    """Return the incidents as this run leaves them. What comes from too few trajectories is none.

    `stakes` are those of the whole fleet, where the window is not.
    """
    previous = app.incidents.incidents()
    seen = {series.subject.agent for series in window.series} | {OWN_AGENT}
    # What could not be looked at has not recovered: a failed detector blinds it to every agent.
    watched = {finding.subject.agent for one in previous for finding in one.findings if finding.subject.agent}
    blind = watched if blind_spots else watched - seen
    worth = stakes or stakes_of(window, app.floors)
    ran = last_runs(window, {one.finding.subject.agent for one in known if one.finding.subject.agent})
    return triage(
        [one for one in known if not is_single(one)],
        previous,
        window.end,
        run_start=window.start,
        severity=lambda finding, last: severity(finding, hours_of(finding, window.end, ran), last, worth),
        ran=ran,
        demoted=distrusted(previous),
        blind=frozenset(agent for agent in blind if agent),
    )


def readings_of(detector: Detector, window: Window, agent: str) -> Sequence[Reading]:
    """Ask a detector where it stands; one that raises is told as such, the others' readings are shown."""
    try:
        return detector.explain(window, agent)
    except Exception as error:  # noqa: BLE001 - a detector may be anyone's
        why = f"the detector failed: {type(error).__name__}: {error}"
        return (Reading(detector.name, detector.kind, Subject(agent=agent), Gate.FAILED, why),)


def known_agents(app: App, fleet: Window, at: datetime) -> set[str]:
    """Return every agent that was heard of by a moment: in metrics, in trajectories, or in an incident."""
    known = {*fleet.agents(), *app.trajectories.agents(EVER, at)}
    return known | {name for one in app.incidents.incidents() for name in one.concerned}
