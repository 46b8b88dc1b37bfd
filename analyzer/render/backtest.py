"""What a backtest found, as blocks: how often, by what, and each incident with its life."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from analyzer.render.blocks import Block, Heading, Line, Paragraph, Table, code, plain
from analyzer.render.numbers import LIMITED, clock, count, figure, moment, number, ratio
from analyzer.render.text import one_line
from analyzer.types.report import Incident

_NAME_COLUMNS_MAX = 60


def backtest_outline(
    incidents: Sequence[Incident], start: datetime, end: datetime, runs: int, per_week: float
) -> tuple[Block, ...]:
    """Return the blocks of a backtest; times are as seen from its end."""
    heading = Heading(1, plain(f"Backtest from {moment(start)} to {moment(end)}"))
    filed = count(len(incidents), "incident")
    if not incidents:
        return (heading, Paragraph(plain(f"{count(runs, 'run')}: no incident would have been filed.")))
    kinds = Counter(incident.kind.value for incident in incidents)
    by_kind = ", ".join(f"{times} {kind}" for kind, times in sorted(kinds.items(), key=lambda one: (-one[1], one[0])))
    summary = f"{count(runs, 'run')}: {filed} would have been filed, {number(per_week)} a week: {by_kind}."
    header = ("id", "severity", "kind", "subject", "observed", "ratio", "began", "opened", "resolved")
    rows = tuple(_row(incident, end) for incident in incidents)
    return (heading, Paragraph(plain(summary)), Table(header, rows, right=frozenset({4, 5})))


def _row(incident: Incident, end: datetime) -> tuple[Line, ...]:
    known = incident.ratio is not None and incident.kind not in LIMITED
    return (
        (code(incident.id),),
        plain(incident.severity.value),
        plain(incident.kind.value),
        plain(one_line(str(incident.subject), _NAME_COLUMNS_MAX)),
        plain(figure(incident.observed, incident.kind, incident.unit)),
        plain(ratio(incident.ratio) if known else "-"),
        plain(clock(incident.onset, end)),
        plain(clock(incident.opened_at, end)),
        plain(incident.state.value if incident.resolved_at is None else clock(incident.resolved_at, end)),
    )
