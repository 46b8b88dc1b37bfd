"""A Grafana dashboard on the metrics of `/metrics`, as JSON that Grafana imports.

The classic model of a dashboard: one variable for the data source, so that it can be imported anywhere, and one for
the agents. Grafana from 10 on reads the same fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analyzer.types import measures

SCHEMA_VERSION = 42
"""The last one of the classic model: `LATEST_VERSION` in grafana/grafana, apps/dashboard/pkg/migration/schemaversion/
migrations.go; the README beside it calls 42 the final version for the v1 dashboard API. A newer Grafana rewrites a
dashboard that says less and then asks whoever leaves it whether to save; an older one reads it as its own."""
UID = "analyzer-fleet"
WIDTH = 24
"""Columns of Grafana's grid."""
_SOURCE: Mapping[str, str] = {"type": "prometheus", "uid": "${datasource}"}
_AGENT = 'agent=~"$agent"'
_RUNS = f"{measures.TRAJECTORIES.sample}{{{_AGENT}}}"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel, and what it asks for."""

    title: str
    text: str
    queries: Sequence[tuple[str, str]]
    """PromQL and legend."""
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    has_exemplars: bool = False


def _increase(sample: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (increase({sample}{{{_AGENT}{more}}}[$__rate_interval]))"


def _per_trajectory(sample: str, more: str = "") -> str:
    return f"sum by (agent) (increase({sample}{{{_AGENT}{more}}}[1h])) / (sum by (agent) (increase({_RUNS}[1h])) > 0)"


def _quantile(share: float, name: str, by: str) -> str:
    inside = f"sum by ({by}, le) (rate({name}_bucket{{{_AGENT}}}[$__rate_interval]))"
    return f"histogram_quantile({share}, {inside})"


_FLEET = (
    Panel("Trajectories", "Finished, by how they ended.",
          ((_increase(measures.TRAJECTORIES.sample, "outcome"), "{{outcome}}"),)),
    Panel("Cost", "US dollars, by agent; calls without a known price are not in it.",
          ((_increase(measures.COST.sample, "agent"), "{{agent}}"),), "currencyUSD", has_exemplars=True),
    Panel("Tokens", "By model and phase.",
          ((_increase(measures.TOKENS.sample, "model, phase"), "{{model}} {{phase}}"),)),
    Panel("Tokens a trajectory", "Mean of an hour.", ((_per_trajectory(measures.TOKENS.sample), "{{agent}}"),)),
    Panel("Cost of a trajectory", "Mean of an hour.",
          ((_per_trajectory(measures.COST.sample), "{{agent}}"),), "currencyUSD"),
    Panel("Steps of a trajectory", "95 % take no more.",
          ((_quantile(0.95, measures.STEPS.name, "agent"), "{{agent}}"),), has_exemplars=True),
    Panel("Missed or broke", "Share of the trajectories of an hour.",
          ((_per_trajectory(measures.TRAJECTORIES.sample, ', outcome=~"failure|error"'), "{{agent}}"),), "percentunit"),
    Panel("Tried again", "Share of the trajectories of an hour.",
          ((_per_trajectory(measures.RETRIED.sample), "{{agent}}"),), "percentunit"),
    Panel("Repeated a call", "Share of the trajectories of an hour.",
          ((_per_trajectory(measures.LOOPED.sample), "{{agent}}"),), "percentunit"),
    Panel("Duration of a trajectory", "95 % take no longer.",
          ((_quantile(0.95, measures.SECONDS.name, "agent"), "{{agent}}"),), "s", has_exemplars=True),
    Panel("Duration of tool calls", "95 % take no longer.",
          ((_quantile(0.95, measures.TOOL_SECONDS.name, "agent, tool"), "{{agent}} {{tool}}"),), "s",
          has_exemplars=True),
    Panel("Failed tool calls", "",
          ((_increase(measures.TOOL_FAILURES.sample, "agent, tool"), "{{agent}} {{tool}}"),)),
)  # fmt: skip
_OWN = (
    Panel("Last run", "Since it was finished: the dead man's switch.",
          ((f"time() - max({measures.LAST_SUCCESS.sample})", ""),), "s", "stat", 4, 6),
    Panel("Incidents that go on", "As the last run left them.",
          ((f"sum by (severity) ({measures.ACTIVE.sample})", "{{severity}}"),), "short", "stat", 4, 6),
    Panel("Gaps", "Things that the last run could not see or do.",
          ((f"max({measures.LAST_GAPS.sample})", ""),), "short", "stat", 4, 6),
    Panel("Messages", "By what became of them.",
          ((f"sum by (route, outcome) (increase({measures.DELIVERIES.sample}[1h]))", "{{route}} {{outcome}}"),),
          "short", "timeseries", 6, 6),
    Panel("Cost of the analyst", "US dollars a day.",
          ((f"sum(increase({measures.LLM_COST.sample}[1d]))", "USD"),), "currencyUSD", "timeseries", 6, 6),
    Panel("Seconds by phase", "",
          ((f"sum by (phase) (increase({measures.PHASE_SECONDS.sample}[1h]))", "{{phase}}"),), "s", width=12),
    Panel("Incidents filed", "By kind.",
          ((f"sum by (kind) (increase({measures.OPENED.sample}[1d]))", "{{kind}}"),), width=12),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana's JSON."""
    return {
        "uid": UID,
        "title": "Agents",
        "description": "Fleets of LLM agents, as `analyzer serve` counts them; made by `analyzer dashboard`.",
        "tags": ["analyzer", "llm", "agents"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "timepicker": {},
        "links": [],
        "annotations": {"list": [_firing()]},
        "templating": {"list": list(_variables())},
        "panels": list(_placed((("Fleet", _FLEET), ("Analyst", _OWN)))),
    }


def queries() -> Iterator[str]:
    """Yield every PromQL of the dashboard, with Grafana's variables in it."""
    for panel in (*_FLEET, *_OWN):
        yield from (promql for promql, _ in panel.queries)
    yield str(_firing()["expr"])


def _firing() -> dict[str, Any]:
    """Return the marks of what the rules of `analyzer rules` said."""
    return {
        "name": "Alerts",
        "datasource": dict(_SOURCE),
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing", alertname=~"Agent.*|Fleet.*|Analyzer.*"}',
        "titleFormat": "{{alertname}} {{agent}}",
        "step": "60s",
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }
    query = f"label_values({measures.TRAJECTORIES.sample}, agent)"
    yield {
        "name": "agent",
        "label": "Agent",
        "type": "query",
        "datasource": dict(_SOURCE),
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "options": [],
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
    }


def _placed(rows: Sequence[tuple[str, Sequence[Panel]]]) -> Iterator[dict[str, Any]]:
    """Yield rows and panels, each with its place on the grid."""
    number, top = 0, 0
    for title, panels in rows:
        number += 1
        grid = {"h": 1, "w": WIDTH, "x": 0, "y": top}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": grid, "panels": []}
        top += 1
        left = height = 0
        for panel in panels:
            if left + panel.width > WIDTH:
                left, top = 0, top + height
            number += 1
            yield _panel(panel, number, {"h": panel.height, "w": panel.width, "x": left, "y": top})
            left, height = left + panel.width, panel.height
        top += height


def _panel(panel: Panel, number: int, grid: Mapping[str, int]) -> dict[str, Any]:
    is_stat = panel.kind == "stat"
    custom = {} if is_stat else {"custom": {"drawStyle": "line", "fillOpacity": 10, "showPoints": "never"}}
    options: dict[str, Any] = (
        {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
        if is_stat
        else {
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    )
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": dict(_SOURCE),
        "gridPos": dict(grid),
        "fieldConfig": {"defaults": {"unit": panel.unit, **custom}, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": dict(_SOURCE),
                "editorMode": "code",
                "expr": promql,
                "legendFormat": legend or "__auto",
                "range": not is_stat,
                "instant": is_stat,
                "exemplar": panel.has_exemplars,
            }
            for place, (promql, legend) in enumerate(panel.queries)
        ],
    }
