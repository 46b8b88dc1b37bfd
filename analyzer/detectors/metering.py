"""Metrics and traces of an agent that disagree: one of them misses work, or counts it twice.

`value` is what the short side counts a day since the onset, `baseline` what the other one does. Where the same has been
so for as long as both sides are known, in three agents or more, it is one finding without an agent: it is how the fleet
is set up (sampling, an exporter that was never configured), and nothing that happened to an agent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from analyzer.detectors.kernels.sides import SOURCES, MeteringSettings, compared
from analyzer.detectors.wording import rounded
from analyzer.types.metering import Accord, Compared, Measure, Side
from analyzer.types.metric import Series, Window
from analyzer.types.percents import percent
from analyzer.types.promql import quoted
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import PROMETHEUS, Finding, Kind, MetricEvidence, Subject

FLEET_MIN = 3
"""From so many agents on what was always so is told once."""
FLEET_NAMED_MAX = 5
_QUERIES = {
    Measure.TRAJECTORIES: "agent_trajectories_total",
    Measure.TOOL_CALLS: "agent_tool_seconds_count",
    Measure.TOKENS: "agent_tokens_total",
    Measure.COST: "agent_cost_usd_total",
}
"""The contract's names of what the store adds up."""
_HOLDERS = {Side.TRACES: "the traces hold", Side.METRICS: "Prometheus counted"}


@dataclass(frozen=True, slots=True)
class MeteringDetector:
    """See the module's text and docs/detectors/metering.md. Without a Prometheus it finds nothing."""

    settings: MeteringSettings = MeteringSettings()
    name: str = "metering"
    kind: Kind = Kind.METERING

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return at most one finding per agent: what goes on, or was seen to end inside the window."""
        by_agent: dict[str, list[Compared]] = {}
        for row in compared(window, self.settings):
            if row.short is not None and (row.closed_at is None or row.closed_at > window.start):
                by_agent.setdefault(row.subject.agent or "", []).append(row)
        leads = {agent: _lead(rows) for agent, rows in by_agent.items()}
        fleet = _alike(leads)
        found = [self._fleet([leads[agent] for agent in fleet], window)] if fleet else []
        found += [self._finding(leads[one], rows, window) for one, rows in by_agent.items() if one not in fleet]
        return tuple(found)

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return how metrics and traces of an agent stand to each other."""
        rows = [row for row in compared(window, self.settings) if row.subject.agent == agent]
        if not rows:
            why = "only one of Prometheus and the traces knows anything here: there is nothing to compare"
            return (Reading(self.name, self.kind, Subject(agent=agent), Gate.NO_SERIES, why),)
        lead = _lead(rows)
        found = any(one.subject.agent == agent and one.recovered is None for one in self.detect(window))
        gate = Gate.SCORE if lead.now is Accord.AGREE else Gate.FOUND if found else Gate.MASK
        less, more = sorted((lead.traced, lead.metered))
        return (
            Reading(
                detector=self.name,
                kind=self.kind,
                subject=Subject(agent=agent),
                gate=gate,
                why=" ".join(sentence(row) for row in rows)
                + (" It is told of the fleet, which was always so." if gate is Gate.MASK else ""),
                value=less / lead.days,
                baseline=more / lead.days,
                unit=f"{lead.measure.value} per day",
                score=lead.score,
                threshold=self.settings.alarm_nats,
            ),
        )

    def _finding(self, lead: Compared, rows: Sequence[Compared], window: Window) -> Finding:
        less, more = sorted((lead.traced, lead.metered))
        counted = lead.measure is Measure.TRAJECTORIES
        return Finding(
            detector=self.name,
            kind=self.kind,
            subject=Subject(agent=lead.subject.agent),
            onset=lead.start,
            onset_low=lead.start,
            onset_high=lead.start,
            value=less / lead.days,
            baseline=more / lead.days,
            threshold=self.settings.alarm_nats,
            score=lead.score,
            unit=f"{lead.measure.value} per day",
            recovered=None if lead.closed_at is None else lead.end,
            affected=round(more - less) if counted else 0,
            of=round(more) if counted else 0,
            evidence=_evidence(lead, window),
            note=" ".join(sentence(row) for row in (lead, *(row for row in rows if row is not lead))),
        )

    def _fleet(self, leads: Sequence[Compared], window: Window) -> Finding:
        """Return what was always so of several agents as one, in the measure that leads in most of its trajectories."""
        ranked = sorted(leads, key=lambda row: (-max(row.traced, row.metered), row.subject))
        foremost = next(measure for measure in Measure if any(row.measure is measure for row in ranked))
        counted = [row for row in ranked if row.measure is foremost]
        worst = self._finding(counted[0], counted[:1], window)
        more, less = (sum(pick(row.traced, row.metered) / row.days for row in counted) for pick in (max, min))
        named = " ".join(sentence(row) for row in ranked[:FLEET_NAMED_MAX])
        others = len(ranked) - FLEET_NAMED_MAX
        proof = [one for row in counted[:FLEET_NAMED_MAX] for one in _evidence(row, window)]
        return replace(
            worst,
            subject=Subject(),
            onset=min(row.start for row in ranked),
            onset_low=min(row.start for row in ranked),
            value=less,
            baseline=more,
            affected=0,
            of=0,
            evidence=tuple(proof),
            note=f"Of {len(ranked)} agents. {named}" + (f" And of {others} more." if others > 0 else ""),
        )


def sentence(row: Compared) -> str:
    """Say what a row of the table says, for people."""
    who = f"{row.subject}: " if row.subject.agent else ""
    unit = row.measure.value
    both = f"{rounded(row.traced)} {unit} in traces, {rounded(row.metered)} in Prometheus"
    since = f"since {row.start:%Y-%m-%d %H:%M} UTC"
    if row.skew_s:
        hours = f"{abs(row.skew_s) / 3600:g} h"
        way = "later" if row.skew_s > 0 else "earlier"
        both += f" (the clocks are apart: the times of the traces are {hours} {way})"
    if row.short is None:
        return f"{who}agree {since}: {both}."
    if row.closed_at is not None:
        return f"{who}agree again since {row.end:%Y-%m-%d %H:%M} UTC; before, {since}: {both}."
    said = f"{who}{row.accord.value} {since}: {both}"
    if row.accord is Accord.BLIND:
        said += f"; {_HOLDERS[row.short]} nothing"
    elif row.doubled:
        whose = "the traces" if row.short is Side.METRICS else "the metrics"
        said += f", over as many runs: {whose} count twice, as where a span and its child both carry the usage"
    else:
        said += f"; {percent(row.share)} of the longer side"
    if row.since_ever and not row.doubled:
        sampled = row.accord is Accord.UNDER_TRACED
        said += f". So it has been for as long as both are known{': sampling, most likely' if sampled else ''}"
    return f"{said}."


def _alike(leads: Mapping[str, Compared]) -> list[str]:
    """Return the agents of which one thing was always so; none where that are fewer than FLEET_MIN."""
    groups: dict[object, list[str]] = {}
    for agent, lead in leads.items():
        if lead.since_ever and lead.closed_at is None:
            groups.setdefault((lead.accord, lead.short, lead.doubled), []).append(agent)
    most = max(groups.values(), key=len, default=[])
    return most if len(most) >= FLEET_MIN else []


def _lead(rows: Sequence[Compared]) -> Compared:
    """Return the foremost row that disagrees, else that has come to agree again, else the first."""
    going = [row for row in rows if row.short is not None and row.closed_at is None]
    over = [row for row in rows if row.short is not None]
    return (going or over or list(rows))[0]


def _evidence(row: Compared, window: Window) -> tuple[MetricEvidence, ...]:
    """Return both sides a day: by the query that gives it, or that would give it on the names of the contract."""
    seconds = round(row.days * 86_400)
    labels = f"agent={quoted(row.subject.agent or '')}"
    labels += f", tool={quoted(row.subject.tool)}" if row.subject.tool else ""
    rate = f" * 86400 / {seconds}"
    stored = f"sum(increase({_QUERIES[row.measure]}{{{labels}}}[{seconds}s])){rate}"
    found = [MetricEvidence("", stored, row.start, row.end, float(seconds), row.traced / row.days)]
    metered = _metered(row, window)
    query = "" if metered is None else metered.summed if row.measure.is_sum else metered.counted
    if query:
        query = query.replace("$range", f"{seconds}s") + rate
        found.append(MetricEvidence("", query, row.start, row.end, float(seconds), row.metered / row.days, PROMETHEUS))
    return tuple(found)


def _metered(row: Compared, window: Window) -> Series | None:
    wanted = (SOURCES[row.measure], row.subject)
    return next((one for one in window.metered if (one.signal, one.subject) == wanted), None)
