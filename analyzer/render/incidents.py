"""The list of incidents as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from analyzer.render.blocks import Line, Table, code, plain
from analyzer.render.numbers import LIMITED, clock, figure, money, ratio
from analyzer.render.text import one_line
from analyzer.types.report import Incident

_NAME_COLUMNS_MAX = 60


def incident_table(incidents: Sequence[Incident], at: datetime) -> Table:
    """Return a row an incident, in the order given, with times as seen from `at`."""
    header = ("id", "severity", "state", "kind", "subject", "observed", "ratio", "since", "excess")
    return Table(header, tuple(_row(incident, at) for incident in incidents), right=frozenset({5, 6, 8}))


def _row(incident: Incident, at: datetime) -> tuple[Line, ...]:
    return (
        (code(incident.id),),
        plain(incident.severity.value),
        plain(incident.state.value),
        plain(incident.kind.value),
        plain(one_line(str(incident.subject), _NAME_COLUMNS_MAX)),
        plain(figure(incident.observed, incident.kind, incident.unit)),
        plain(ratio(incident.ratio) if incident.ratio is not None and incident.kind not in LIMITED else "-"),
        plain(clock(incident.onset, at)),
        plain(money(incident.excess_usd) if incident.excess_usd is not None else "-"),
    )
