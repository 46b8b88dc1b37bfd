"""Alerts as Alertmanager's webhook tells them, and as the store keeps them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from analyzer.types.alerts import PrometheusAlert

STARTS = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
RULE = "http://prometheus.example:9090/graph?g0.expr=sum+by+%28agent%29+%28rate%28agent_errors_total%5B1m%5D%29%29&g0.tab=1"
SOURCE = "http://alertmanager.example:9093"


def alert(agent: str | None = "triage", name: str = "AgentCostHigh", **fields: Any) -> PrometheusAlert:
    """Return an alert that fires."""
    made = PrometheusAlert(
        fingerprint="53c9dfc1093686c7",
        name=name,
        agent=agent,
        starts_at=STARTS,
        summary="costs have doubled",
        url=RULE,
        alertmanager_url=SOURCE,
    )
    return replace(made, **fields)


def told(*entries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a webhook of version 4 with these entries."""
    return {
        "receiver": "analyzer",
        "status": "firing",
        "alerts": list(entries),
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": SOURCE,
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        **fields,
    }


def entry(number: int = 0, *, starts: datetime | None = None, **labels: str) -> dict[str, Any]:
    """Return one alert of a webhook that fires; labels over those of an alert on the agent triage."""
    begun = starts or datetime.now(UTC) - timedelta(minutes=5)
    return {
        "status": "firing",
        "labels": {"alertname": "AgentCostHigh", "agent": "triage", "severity": "page", **labels},
        "annotations": {"summary": "costs have doubled"},
        "startsAt": begun.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": RULE,
        "fingerprint": f"{number:016x}",
    }


def body(*entries: dict[str, Any], **fields: Any) -> bytes:
    """Return a webhook's body."""
    return json.dumps(told(*entries, **fields)).encode()
