"""The tool that asks Prometheus, inside the agents and the window of the case."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from analyzer.agent.desk import Desk, ToolError
from analyzer.agent.model import ToolSpec
from analyzer.agent.promql import objection
from analyzer.agent.text import one_line
from analyzer.agent.tools.arguments import is_number, moment_of
from analyzer.agent.tools.base import Arguments, Tool, closed_schema
from analyzer.metrics.base import Points

POINTS_MAX = 300
SERIES_MAX = 10
SHOWN_MAX = 100
"""Points written of one series."""


def metric(desk: Desk, arguments: Arguments) -> str:
    """Return what a query gives, a line a series."""
    if desk.metrics is None:
        raise ToolError("no metric store is configured")
    promql = arguments.get("promql")
    start, end = moment_of(arguments.get("start")), moment_of(arguments.get("end"))
    step = arguments.get("step", 0)
    if not isinstance(promql, str) or start is None or end is None or not is_number(step):
        raise ToolError("promql must be text, start and end ISO 8601 times with a zone, step a number of seconds")
    if not desk.start <= start <= end <= desk.end:
        raise ToolError(f"the window is {desk.start.isoformat()} to {desk.end.isoformat()}")
    reason = objection(promql, desk.agents, desk.end - desk.start)
    if reason:
        raise ToolError(reason)
    if step <= 0:
        points = desk.metrics.query(promql, end)
    else:
        step = max(float(step), (end - start).total_seconds() / POINTS_MAX, 1.0)
        points = desk.metrics.query_range(promql, start, end, step)
    return desk.clean(_lines(points, step))


def _lines(series: Sequence[Points], step: float) -> str:
    if not series:
        return "no data: no series matches in this range"
    lines = []
    for one in series[:SERIES_MAX]:
        labels = ", ".join(f'{name}="{one_line(value, 60)}"' for name, value in sorted(one.labels.items()))
        pairs = list(zip(one.times_s, one.values, strict=False))
        shown = pairs if len(pairs) <= 1 else pairs[:: max(-(-len(pairs) // SHOWN_MAX), 1)]
        values = ", ".join(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M}Z {value:.6g}" for at, value in shown)
        lines.append(f"{{{labels}}}: {values}")
    if len(series) > SERIES_MAX:
        lines.append(f"… {len(series) - SERIES_MAX} more series; aggregate with sum by (...)")
    return "\n".join(lines) + (f"\n(a point every {step:g} s)" if step > 0 else "")


METRIC = Tool(
    ToolSpec(
        "metric",
        "Evaluates PromQL inside the window of the case. With step 0 it gives the value at `end`; otherwise a point "
        "every `step` seconds. Every selector must name the agent of the case.",
        closed_schema(
            promql={"type": "string"},
            start={"type": "string", "description": "ISO 8601, UTC"},
            end={"type": "string", "description": "ISO 8601, UTC"},
            step={"type": "number", "description": "seconds; 0 for one value at `end`"},
        ),
    ),
    metric,
    offered=lambda desk: desk.metrics is not None,
)
