"""What agents did with their tools, from their stored spans, in the form of the analyst's own log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from analyzer.stores.base import TrajectoryStore
from analyzer.types.audit import Action, digest, stamp
from analyzer.types.messages import readable
from analyzer.types.trace import Operation, Span, Status
from analyzer.types.trajectory import Trajectory

TRAJECTORIES_MAX = 1_000_000
"""More than a range of a year of a busy fleet has."""
_AT_ONCE = 5
"""Trajectories in memory at once; of long conversations each has some MB."""


def calls_of(store: TrajectoryStore, agent: str, start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
    """Yield the tool calls of an agent's trajectories that ended in [start, end), oldest trajectory first.

    Spans are masked when they are stored, so that this is. A call without a time has none. Calls that another agent
    made within these trajectories have that agent as their actor. Raises StoreError.
    """
    listed = store.summaries(agent=agent, start=start, end=end, order="oldest", limit=TRAJECTORIES_MAX)
    for trajectory in _read(store, [one.trace_id for one in listed]):
        numbers = trajectory.step_numbers
        for span in trajectory.spans:
            # A call that several layers reported is one step; their other reports have no number.
            if span.operation is Operation.TOOL and span.span_id in numbers:
                # Of a JSON array a long trajectory shows only the last entries; the hash is of the whole.
                may_be_cut = any((text or "").startswith("[") for text in (span.input, span.output))
                whole = store.span(span.trace_id, span.span_id) if may_be_cut else span
                yield _entry(whole, numbers[span.span_id], span.agent or agent)


def _read(store: TrajectoryStore, trace_ids: Sequence[str]) -> Iterator[Trajectory]:
    """Yield trajectories, some at a time: where their texts lie elsewhere each question takes a tenth of a second.

    Raises NotFoundError for one that was deleted since: a log that lacks calls must not look whole.
    """
    for start in range(0, len(trace_ids), _AT_ONCE):
        some = trace_ids[start : start + _AT_ONCE]
        found = store.trajectories(some)
        yield from (found[one] if one in found else store.trajectory(one) for one in some)


def _entry(span: Span, step: int, actor: str) -> dict[str, Any]:
    return {
        "actor": actor,
        "at": None if span.start_ns is None else stamp(datetime.fromtimestamp(span.start_ns / 1e9, UTC)),
        "run": span.trace_id,
        "about": span.span_id,
        "step": step,
        "action": Action.TOOL_CALL.value,
        "name": span.tool or span.name,
        "arguments": _arguments(readable(span.input)),
        "given": None,
        "returned": None if span.output is None else digest(readable(span.output)),
        "failed": span.status is Status.ERROR,
        "tokens": None if span.tokens is None else span.tokens.total,
        "cost_usd": span.cost_usd,
    }


def _arguments(text: str) -> Any:
    """Return the arguments as JSON where they are an object, else as they were written."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else text
