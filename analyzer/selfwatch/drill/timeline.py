"""Copies of trajectories at another time, and calls within them that take longer or are made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

from analyzer.types.trace import Event, Operation, Span
from analyzer.types.trajectory import ordered


def new_id(*parts: object, digits: int) -> str:
    """Return an id of so many hex digits that is the same for the same parts."""
    return blake2b("\x00".join(map(str, parts)).encode(), digest_size=digits // 2).hexdigest()


def moved(spans: Sequence[Span], by_ns: int, name: str) -> tuple[Span, ...]:
    """Return a copy of a trajectory at another time, with a trace id of its own; `name` tells copies apart."""
    if not spans:
        return ()
    trace_id = new_id(spans[0].trace_id, name, digits=32)
    return tuple(
        replace(
            span,
            trace_id=trace_id,
            start_ns=None if span.start_ns is None else span.start_ns + by_ns,
            end_ns=None if span.end_ns is None else span.end_ns + by_ns,
            events=tuple(_event(event, by_ns) for event in span.events),
        )
        for span in spans
    )


def _event(event: Event, by_ns: int) -> Event:
    return event if event.time_ns is None else replace(event, time_ns=event.time_ns + by_ns)


def stretched(spans: Sequence[Span], extra_ns: Mapping[str, int]) -> tuple[Span, ...]:
    """Return a trajectory in which some spans (by id) take so much longer; what came after them comes later.

    Spans without times stay as they are.
    """
    ends = [
        (span.end_ns, extra_ns[span.span_id]) for span in spans if span.span_id in extra_ns and span.end_ns is not None
    ]

    def later(time_ns: int | None) -> int | None:
        return None if time_ns is None else time_ns + sum(extra for end, extra in ends if end <= time_ns)

    return tuple(replace(span, start_ns=later(span.start_ns), end_ns=later(span.end_ns)) for span in spans)


def again(
    spans: Sequence[Span], calls: Sequence[Span], times: int
) -> tuple[tuple[Span, ...], tuple[tuple[Span, ...], ...]]:
    """Make room for calls that are made again; return the trajectory with the room in it, and each repetition.

    The repetitions follow the last of `calls` without a pause, with ids of their own. All `calls` have both times.
    """
    begins = min(span.start_ns or 0 for span in calls)
    last = max(calls, key=lambda span: span.end_ns or 0)
    length = (last.end_ns or 0) - begins + 1
    copies = tuple(
        tuple(
            replace(
                span,
                span_id=new_id(span.span_id, turn, digits=16),
                start_ns=(span.start_ns or 0) + turn * length,
                end_ns=(span.end_ns or 0) + turn * length,
                response_id=None,
                tool_call_id=None if span.tool_call_id is None else f"{span.tool_call_id}-{turn}",
                events=tuple(_event(event, turn * length) for event in span.events),
            )
            for span in calls
        )
        for turn in range(1, times + 1)
    )
    roomy = stretched(spans, {last.span_id: length * times})
    by_id = {span.span_id: span for span in calls}
    # The last call itself is as long as it was: only what follows it, and what holds it, makes room.
    kept = tuple(replace(span, end_ns=by_id[span.span_id].end_ns) if span.span_id in by_id else span for span in roomy)
    return kept, copies


def timed(span: Span) -> bool:
    """Say whether a span has both times."""
    return span.start_ns is not None and span.end_ns is not None


def calls_of(spans: Sequence[Span], tool: str | None) -> list[Span]:
    """Return the calls of a tool in their order, all reports of them."""
    return [span for span in ordered(spans) if span.operation is Operation.TOOL and (span.tool or span.name) == tool]
