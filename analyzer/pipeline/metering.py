"""Metrics and traces side by side in a run: the table it carries, and which findings stand on what is in dispute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from analyzer.detectors.base import Detector
from analyzer.detectors.kernels.sides import MeteringSettings, compared
from analyzer.detectors.metering import sentence
from analyzer.detectors.per_agent import PerAgent
from analyzer.metrics.loaded import load
from analyzer.metrics.usual import usual_of
from analyzer.metrics.window import Reach, history_start
from analyzer.pipeline.app import App
from analyzer.types.document import time_text
from analyzer.types.doubt import Doubt
from analyzer.types.metering import Accord, Compared, Measure, Side
from analyzer.types.metric import Signal, Window
from analyzer.types.report import ACTIVE, PROMETHEUS, Finding, Gap, Incident, Kind

NAMED_MAX = 10
"""Agents told of in a note before the rest is only counted."""
HINT = "docs/detectors/metering.md says what to check; `analyzer doctor` shows the table"
_MEASURED = {
    Kind.COST: Measure.COST,
    Kind.TOOL_COST: Measure.COST,
    Kind.BUDGET: Measure.COST,
    Kind.TOKENS: Measure.TOKENS,
    Kind.TOOL_LATENCY: Measure.TOOL_CALLS,
    Kind.TOOL_ERRORS: Measure.TOOL_CALLS,
}
"""What a kind is measured in besides trajectories, which all are."""
_SINGLE = frozenset({Kind.LOOP, Kind.RUNAWAY, Kind.INJECTION, Kind.METERING})
"""Shown by single trajectories, which are as they are whatever is missing beside them."""


def sides(detectors: Sequence[Detector], window: Window) -> tuple[Compared, ...]:
    """Return the table of a window by the settings in force; empty where the detector is off, or there is no table.

    What the detector fails at is a Gap of its own.
    """
    detector = next((one for one in detectors if one.kind is Kind.METERING), None)
    settings = getattr(detector, "settings", None)
    if not isinstance(settings, MeteringSettings) or (isinstance(detector, PerAgent) and not detector.enabled):
        return ()
    try:
        return compared(window, settings)
    except Exception:  # noqa: BLE001 - see above
        return ()


def two_sides(app: App, at: datetime) -> tuple[Compared, ...]:
    """Return the table of a moment, without the rest of a window. Raises StoreError; a dead Prometheus has no side."""
    loaded = load(app.trajectories, app.metrics, app.queries, history_start(Reach(at, app.lookback, app.history)), at)
    usual = usual_of(loaded.stored, at, {})
    window = Window(at - app.lookback, at, stored=tuple(loaded.stored), metered=tuple(loaded.metered), usual=usual)
    return sides(app.detectors, window)


def row_document(row: Compared) -> dict[str, Any]:
    """Return a row of the table as JSON."""
    return {
        "agent": row.subject.agent,
        "tool": row.subject.tool,
        "measure": row.measure.value,
        "verdict": row.now.value,
        "since": time_text(row.start if row.closed_at is None else row.end),
        "traced": round(row.traced, 6),
        "metered": round(row.metered, 6),
        "short": row.short.value if row.short is not None and row.closed_at is None else None,
        "doubled": row.doubled,
        "skew_s": row.skew_s,
    }


def table_note(rows: Sequence[Compared]) -> dict[str, str]:
    """Return what a run says of the table: which agents agree, and each row that does not."""
    if not rows:
        return {}
    agents = {row.subject.agent for row in rows}
    apart = [row for row in rows if row.now is not Accord.AGREE]
    agreeing = len(agents - {row.subject.agent for row in apart})
    told = [sentence(row) for row in apart[:NAMED_MAX]]
    more = len(apart) - NAMED_MAX
    said = f"metrics and traces of {agreeing} of {len(agents)} agents agree."
    return {"metering": " ".join([said, *told, *([f"And {more} rows more."] if more > 0 else [])])}


def doubted(findings: Sequence[Finding], rows: Sequence[Compared], window: Window) -> list[Finding]:
    """Return the findings, those whose figures are in dispute with what is to be said of that."""
    apart = [row for row in rows if row.now is not Accord.AGREE]
    return [_with_doubt(one, apart, window) for one in findings] if apart else list(findings)


def doubt_gaps(incidents: Sequence[Incident]) -> list[Gap]:
    """Return a Gap for each incident that goes on and stands on figures in dispute."""
    return [
        Gap(f"the figures of {one.id}", next(found.doubt.said for found in one.findings if found.doubt), HINT)
        for one in incidents
        if one.state in ACTIVE and any(found.doubt for found in one.findings)
    ]


def _with_doubt(finding: Finding, apart: Sequence[Compared], window: Window) -> Finding:
    row = None if finding.kind in _SINGLE else _row_of(finding, apart)
    if row is None or row.doubted is None:
        return finding
    source = _source(finding, window)
    whose = "the traces" if source is Side.TRACES else "Prometheus"
    said = f"The figures come from {whose}, and metrics and traces disagree: {sentence(row)}"
    return replace(finding, doubt=Doubt(said, from_short=row.doubted is source))


def _row_of(finding: Finding, apart: Sequence[Compared]) -> Compared | None:
    """Return the row that a finding stands on: the trajectories', from which all else follows, or its own measure's."""
    own = [row for row in apart if row.subject.agent == finding.subject.agent]
    wanted = (Measure.TRAJECTORIES, _MEASURED.get(finding.kind))
    found = [
        row
        for measure in wanted
        for row in own
        if row.measure is measure and row.subject.tool in {None, finding.subject.tool}
    ]
    return found[0] if found else None


def _source(finding: Finding, window: Window) -> Side:
    """Return whose figures a finding has: those of the series that was judged; choices are the store's."""
    about = (finding.subject.agent, finding.subject.tool)
    name = Signal.COST.value if finding.kind is Kind.BUDGET else finding.kind.value
    judged = next(
        (one for one in window.series if one.signal == name and (one.subject.agent, one.subject.tool) == about), None
    )
    return Side.METRICS if judged is not None and judged.source == PROMETHEUS else Side.TRACES
