"""Spans out of their rows, with the texts that their columns refer to: all of them, or as many as a question needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from analyzer.errors import NotFoundError
from analyzer.stores import rows
from analyzer.stores.payloads import Payloads, direct
from analyzer.types.repeats import completed, repeats_of
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Span
from analyzer.types.trajectory import ordered, steps_of

TRAJECTORY_CHARACTERS_MAX = 32_000_000
"""Payload characters `whole` returns in all: a run of 10,000 steps repeats its history 10,000 times."""
SPAN_CHARACTERS_MIN = 4_000
"""What each span may show of its input even in the longest trajectory."""


def whole(raw: sqlite3.Connection, payloads: Payloads, owner: int, trace_id: str) -> tuple[Span, ...]:
    """Return the spans of a trajectory in order, with everything that is here of them; long histories are cut."""
    found = raw.execute(f"{rows.SELECT_FULL} WHERE trajectory = ?", (owner,)).fetchall()
    limit = max(SPAN_CHARACTERS_MIN, TRAJECTORY_CHARACTERS_MAX // max(1, len(found)))
    return completed(ordered(_full(raw, payloads, trace_id, found, characters_max=limit)))


def one(raw: sqlite3.Connection, payloads: Payloads, owner: int, trace_id: str, span_id: str) -> Span:
    """Return one span, in full, with the texts that only a repeated report of it carries. Raises NotFoundError."""
    wanted = [span_id, *_reports(raw, owner, trace_id, span_id)]
    marks = ",".join("?" * len(wanted))
    query = f"{rows.SELECT_FULL} WHERE trajectory = ? AND span_id IN ({marks})"
    found = ordered(_full(raw, payloads, trace_id, raw.execute(query, (owner, *wanted)).fetchall()))
    spans = completed(found, dict.fromkeys(wanted[1:], span_id))
    span = next((span for span in spans if span.span_id == span_id), None)
    if span is None:
        raise NotFoundError(f"trajectory {trace_id} has no span {span_id}")
    return span


def resolve(raw: sqlite3.Connection, owner: int, trace_id: str, prefix: str) -> str:
    """Return the full id of a trajectory's span from a beginning of it. Raises NotFoundError for none or several."""
    named = raw.execute(
        "SELECT span_id FROM spans WHERE trajectory = ? AND substr(span_id, 1, ?) = ? ORDER BY span_id LIMIT 3",
        (owner, len(prefix), prefix),
    ).fetchall()
    found = [str(row[0]) for row in named]
    if not found or not prefix:
        raise NotFoundError(f"trajectory {trace_id} has no span {prefix or '(empty)'}")
    if len(found) > 1 and found[0] != prefix:
        some = ", ".join(found)
        raise NotFoundError(f"{prefix} is the beginning of several spans of trajectory {trace_id} ({some}): give more")
    return found[0]


def _reports(raw: sqlite3.Connection, owner: int, trace_id: str, span_id: str) -> list[str]:
    """Return the spans that only report this one again; most trajectories have none, which one row tells."""
    if not raw.execute("SELECT 1 FROM spans WHERE trajectory = ? AND repeated LIMIT 1", (owner,)).fetchone():
        return []
    light = [
        rows.light_span(trace_id, row) for row in raw.execute(f"{rows.SELECT_LIGHT} WHERE trajectory = ?", (owner,))
    ]
    return [report for report, counted in repeats_of(ordered(light)).items() if counted == span_id]


def outline(raw: sqlite3.Connection, payloads: Payloads, owner: int, trace_id: str) -> tuple[Span, ...]:
    """Return the spans of a trajectory as a drawing needs them: see `TrajectoryStore.outline`."""
    found = raw.execute(f"{_SELECT_OUTLINE} WHERE trajectory = ?", (owner,)).fetchall()
    references = [reference for row in found for reference in row[-2:]]
    chains = payloads.chains(raw, references)
    bodies = payloads.bodies(raw, chains.payloads() | direct(references))
    spans = [
        rows.span_of(
            trace_id,
            row[: len(rows.PLAIN)],
            (chains.text(row[-2], bodies), chains.text(row[-1], bodies), None, None),
            {},
            {},
        )
        for row in found
    ]
    return completed(ordered(spans))


_SELECT_OUTLINE = (
    f"SELECT {', '.join(rows.PLAIN)}, CASE WHEN operation = '{Operation.CHAT.value}' THEN NULL ELSE input END, output"  # noqa: S608 - own names only
    " FROM spans"
)


def _full(
    raw: sqlite3.Connection,
    payloads: Payloads,
    trace_id: str,
    found: Sequence[Sequence[Any]],
    *,
    characters_max: int | None = None,
) -> list[Span]:
    first = len(rows.PLAIN)
    references = [reference for row in found for reference in row[first : first + len(rows.TEXTS)]]
    chains = payloads.chains(raw, references)
    documents = {payload for row in found for payload in row[first + len(rows.TEXTS) :] if payload is not None}
    bodies = payloads.bodies(raw, chains.payloads() | direct(references) | documents)
    spans = []
    for row in found:
        *texts, resource, extra = row[first:]
        spelt = {
            name: chains.text(text, bodies, characters_max=characters_max)
            for name, text in zip(rows.TEXTS, texts, strict=True)
        }
        spans.append(rows.full_span(trace_id, row, spelt, *_documents(bodies, resource, extra)))
    return spans


def _documents(bodies: Mapping[int, str], resource: int | None, extra: int | None) -> tuple[str, str]:
    """Return resource and extra of a row; where the texts lie elsewhere it has neither."""
    if resource is None or extra is None:
        return "{}", '{"attributes": {}, "events": []}'
    return bodies[resource], bodies[extra]


def steps(raw: sqlite3.Connection, payloads: Payloads, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
    """Return the steps of a few hundred trajectories at most. Of a conversation only the last message is read."""
    return {trace_id: steps_of(found) for trace_id, found in brief(raw, payloads, trace_ids).items()}


def light_steps(raw: sqlite3.Connection, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
    """Return steps without their texts, of what is known here; see `TrajectoryStore.light_steps`."""
    query = f"{rows.SELECT_LIGHT} WHERE trajectory = (SELECT id FROM trajectories WHERE trace_id = ?)"  # noqa: S608 - own names
    found = {}
    for trace_id in sorted(trace_ids):
        light = [rows.light_span(trace_id, row) for row in raw.execute(query, (trace_id,))]
        if light:
            found[trace_id] = steps_of(light)
    return found


def brief(raw: sqlite3.Connection, payloads: Payloads, trace_ids: Sequence[str]) -> dict[str, list[Span]]:
    """Return the spans that such steps are made of."""
    marks = ",".join("?" * len(trace_ids))
    columns = ", ".join((*rows.PLAIN, *rows.DERIVED, "input", "output", "trace_id"))
    query = (
        f"SELECT {columns} FROM (SELECT id, trace_id FROM trajectories WHERE trace_id IN ({marks})) AS t"  # noqa: S608 - own names and question marks
        " JOIN spans ON spans.trajectory = t.id"
    )
    query = query.replace("SELECT span_id,", "SELECT spans.span_id,", 1)
    found = raw.execute(query, list(trace_ids)).fetchall()
    # Arguments that are a list of objects look like a conversation, and every object of them counts.
    whole_ones = {row[-2] for row in found} | {row[-3] for row in found if row[_OPERATION] == Operation.TOOL}
    last = payloads.last(raw, {row[-3] for row in found if row[-3] is not None and row[_OPERATION] != Operation.TOOL})
    chains = payloads.chains(raw, whole_ones)
    bodies = payloads.bodies(raw, {payload for payload, _ in last.values()} | direct(whole_ones) | chains.payloads())
    by_trace: dict[str, list[Span]] = {}
    for row in found:
        is_tool = row[_OPERATION] == Operation.TOOL
        sent = chains.text(row[-3], bodies) if is_tool else _spelled(last.get(row[-3]), bodies)
        span = rows.light_span(row[-1], row, sent, chains.text(row[-2], bodies))
        by_trace.setdefault(row[-1], []).append(span)
    return by_trace


def _spelled(last: tuple[int, bool] | None, bodies: Mapping[int, str]) -> str | None:
    if last is None:
        return None
    payload, in_array = last
    return f"[{bodies[payload]}]" if in_array else bodies[payload]


_OPERATION = rows.PLAIN.index("operation")
