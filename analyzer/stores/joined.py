"""Trajectories with their texts, wherever they lie: here, in another database, or a part in each.

A span that came with its text is read here, whatever else of its trajectory came without; the others are read where
they are. Nobody has to say which way a fleet is sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from analyzer.errors import NotFoundError
from analyzer.stores import spans, summaries, unkept
from analyzer.stores.payloads import Payloads
from analyzer.stores.rows import TEXTS
from analyzer.types.repeats import completed
from analyzer.types.steps import Step
from analyzer.types.trace import Span
from analyzer.types.trajectory import Trajectory, TrajectorySummary, ordered, steps_of

if TYPE_CHECKING:
    from analyzer.stores.trajectories import SqliteTrajectories

_CHUNK = 500

Away = Mapping[str, int]
"""The spans of a trajectory whose texts are not here, by id, with a number that is another for another form of it."""


Here = Callable[[sqlite3.Connection, Payloads, int, str], tuple[Span, ...]]
There = Callable[["SqliteTrajectories", str], Trajectory]
"""How the spans of a trajectory are read in this store, and in one in memory that holds what lies elsewhere."""


def trajectory(store: SqliteTrajectories, trace_id: str, here: Here, there: There) -> Trajectory:
    """Return a trajectory by its rows, with what lies elsewhere; without texts where they are gone from there.

    Raises NotFoundError, SourceError.
    """
    with store.connection.reading() as raw:
        own = {trace_id: _own(raw, store, trace_id, here)}
        away = _among(raw, [trace_id])
    return _with_texts(store, own, away, there)[trace_id]


def trajectories(
    store: SqliteTrajectories, trace_ids: Sequence[str], here: Here, there: There
) -> dict[str, Trajectory]:
    """Return the same of some dozen trajectories, as far as they are there. Raises SourceError."""
    own: dict[str, Trajectory] = {}
    with store.connection.reading() as raw:
        for trace_id in trace_ids:
            with suppress(NotFoundError):
                own[trace_id] = _own(raw, store, trace_id, here)
        away = _among(raw, list(own))
    return _with_texts(store, own, away, there)


def _own(raw: sqlite3.Connection, store: SqliteTrajectories, trace_id: str, here: Here) -> Trajectory:
    """Return a trajectory as it is in this store. Raises NotFoundError."""
    owner, summary = summaries.one(raw, trace_id)
    return Trajectory(summary, here(raw, store.payloads, owner, trace_id))


def _with_texts(
    store: SqliteTrajectories, own: Mapping[str, Trajectory], away: Mapping[str, Away], there: There
) -> dict[str, Trajectory]:
    """Return trajectories with what lies elsewhere, as far as it is still there. Raises SourceError."""
    found = dict(own)
    if not away:
        return found
    with store.elsewhere.fetched(away, store.empty) as held:
        if held is None:
            return found
        for trace_id, missing in away.items():
            with suppress(NotFoundError):
                whole = _joined(own[trace_id].spans, there(held, trace_id).spans, missing)
                found[trace_id] = Trajectory(own[trace_id].summary, completed(whole))
    return found


def span(store: SqliteTrajectories, trace_id: str, span_id: str) -> Span:
    """Return one span in full, as `trajectory` reads it. Raises NotFoundError, SourceError."""
    with store.connection.reading() as raw:
        owner, summary = summaries.one(raw, trace_id)
        found = spans.one(raw, store.payloads, owner, trace_id, span_id)
        away = _among(raw, [trace_id])
    if not away:
        return found
    if span_id in away[trace_id]:
        with store.elsewhere.fetched(away, store.empty) as held, suppress(NotFoundError):
            found = found if held is None else held.span(trace_id, span_id)
    if len(away[trace_id]) < summary.spans:
        # What it lacks another report of it may have, which came the other way.
        found = _filled(found, store.trajectory(trace_id).span(span_id))
    return found


def steps(store: SqliteTrajectories, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
    """Return the steps of trajectories. What lies elsewhere and cannot be read is left out. Raises SourceError."""
    found: dict[str, tuple[Step, ...]] = {}
    for start in range(0, len(trace_ids), _CHUNK):
        chunk = trace_ids[start : start + _CHUNK]
        with store.connection.reading() as raw:
            away = _among(raw, chunk)
            found.update(spans.steps(raw, store.payloads, [one for one in chunk if one not in away]))
        came = store.elsewhere.read(list(away)) if away else []
        if came is not None:
            found.update(unkept.steps(store.connection, store.masker.text, list(away), unkept.by_trajectory(came)))
            found.update(_mixed(store, {one: missing for one, missing in away.items() if one not in found}))
    return dict(sorted(found.items()))


def comparable(store: SqliteTrajectories, trace_ids: Sequence[str]) -> list[tuple[TrajectorySummary, tuple[Step, ...]]]:
    """Return the summary and the steps of each of some trajectories, in the order of the question.

    Raises NotFoundError where the texts are gone from where they lay: without them a run looks like any other, or like
    one that did nothing. Raises SourceError.
    """
    known = [store.summary(trace_id) for trace_id in trace_ids]
    found = store.steps(trace_ids)
    for summary in known:
        if summary.steps and not found.get(summary.trace_id):
            raise NotFoundError(
                f"the texts of trajectory {summary.trace_id} are gone: ClickHouse, where they lay, has them no longer"
            )
    return [(summary, found.get(summary.trace_id, ())) for summary in known]


def _mixed(store: SqliteTrajectories, away: Mapping[str, Away]) -> dict[str, tuple[Step, ...]]:
    """Return the steps of trajectories that lie here and there, or of which not all, or another form, is there.

    They are made of the spans that have their texts here or there: steps without arguments would look alike.
    """
    if not away:
        return {}
    with store.connection.reading() as raw:
        own = spans.brief(raw, store.payloads, list(away))
    with store.elsewhere.fetched(away, store.empty) as held:
        if held is None:
            return {}
        with held.connection.reading() as raw:
            there = spans.brief(raw, held.payloads, list(away))
        fetched = {trace_id: missing for trace_id, missing in away.items() if store.elsewhere.has(trace_id)}
    found = {}
    for trace_id, missing in fetched.items():
        kept = [one for one in own.get(trace_id, ()) if one.span_id not in missing]
        whole = _joined(kept, there.get(trace_id, ()), missing)
        if whole:
            found[trace_id] = steps_of(whole)
    return found


def _among(raw: sqlite3.Connection, trace_ids: Sequence[str]) -> dict[str, Away]:
    """Return those of some hundred trajectories whose texts are not all here, with what is not."""
    marks = ",".join("?" * len(trace_ids))
    query = (
        "SELECT t.trace_id, s.span_id, s.digest FROM trajectories t JOIN spans s ON s.trajectory = t.id"  # noqa: S608 - question marks
        f" WHERE t.trace_id IN ({marks}) AND s.resource IS NULL"
    )
    found: dict[str, dict[str, int]] = {}
    for trace_id, span_id, digest in raw.execute(query, list(trace_ids)):
        found.setdefault(trace_id, {})[span_id] = digest
    return dict(found)


def _joined(own: Iterable[Span], there: Iterable[Span], away: Away) -> tuple[Span, ...]:
    """Return the spans in order: those of `away`, and those that are not here at all, as they lie elsewhere."""
    found = {one.span_id: one for one in own}
    found.update({one.span_id: one for one in there if one.span_id in away or one.span_id not in found})
    return ordered(found.values())


def _filled(one: Span, whole: Span | None) -> Span:
    """Return a span with the texts that it lacks and that its trajectory as a whole has for it."""
    if whole is None:
        return one
    texts = {name: text for name in TEXTS if not getattr(one, name) and (text := getattr(whole, name))}
    return replace(one, **texts)
