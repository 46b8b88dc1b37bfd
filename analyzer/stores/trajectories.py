"""Trajectories in SQLite: spans in, in one transaction; trajectories, lists and aggregates out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from analyzer.errors import NotFoundError
from analyzer.masking import Masker
from analyzer.stores import aggregates, rows, summaries
from analyzer.stores.base import Added, Hit, Order, Usage
from analyzer.stores.database import Connection
from analyzer.stores.payloads import Payloads
from analyzer.types.messages import readable
from analyzer.types.metric import Series
from analyzer.types.repeats import completed, repeats_of
from analyzer.types.report import Change
from analyzer.types.steps import Step
from analyzer.types.trace import Span
from analyzer.types.trajectory import Trajectory, TrajectorySummary, ordered, steps_of, summarise

TRAJECTORY_CHARACTERS_MAX = 32_000_000
"""Payload characters `trajectory` returns in all: a run of 10,000 steps repeats its history 10,000 times."""
SPAN_CHARACTERS_MIN = 4_000
"""What each span may show of its input even in the longest trajectory."""
_CHUNK = 500
_EXCERPT = 160
_SEARCHED_MAX = 200
"""Trajectories that a search without ids looks through, newest first."""


class SqliteTrajectories:
    """A `TrajectoryStore` in one SQLite file. Everything is masked on the way in; there is no unmasked copy."""

    def __init__(
        self, path: Path | str, *, patterns: Sequence[tuple[str, str]] = (), allow: Sequence[str] = ()
    ) -> None:
        """Open or create the store; `patterns` and `allow` are the masker's. Raises StoreError."""
        self.connection = Connection(path)
        self.masker = Masker(self.connection.secret("masking"), patterns=patterns, allow=allow)
        self._payloads = Payloads(self.masker.text)
        self._resources: dict[int, tuple[Mapping[str, Any], int]] = {}
        # Names of agents, models and tools come again with every span.
        self._mask_short: Callable[[str], str] = lru_cache(maxsize=50_000)(self.masker.text)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def __enter__(self) -> Self:
        """Use the store for a block."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the file."""
        self.close()

    def add(self, spans: Iterable[Span]) -> Added:
        """See `TrajectoryStore.add`. Raises StoreBusyError, StoreError; then nothing of the batch was kept."""
        batch = list(spans)
        if not batch:
            return Added(0, 0, 0)
        try:
            with self.connection.writing() as raw:
                owners = _owners(raw, {span.trace_id for span in batch})
                before = raw.total_changes
                raw.executemany(rows.UPSERT, [self._row(raw, owners[span.trace_id][0], span) for span in batch])
                written = raw.total_changes - before
                new = 0
                for trace_id, (owner, spans_before) in owners.items():
                    if written or spans_before == 0:
                        new += self._refresh(raw, owner, trace_id) - spans_before
        except BaseException:
            self._payloads.forget()
            self._resources.clear()
            raise
        return Added(spans_new=new, spans_known=len(batch) - new, trajectories=len(owners))

    def _row(self, raw: sqlite3.Connection, owner: int, span: Span) -> tuple[object, ...]:
        plain = rows.plain_values(span, self._mask_short)
        keep = self._payloads
        system, tools = keep.keep(raw, span.system), keep.keep(raw, span.tool_definitions)
        return (
            owner,
            *plain,
            keep.reference(raw, system),
            keep.reference(raw, tools),
            keep.keep(raw, span.input),
            keep.keep(raw, span.output),
            system,
            tools,
            self._resource(raw, span.resource),
            keep.pack(rows.masked_json(rows.extra_of(span), self.masker)),
            0,
            rows.digest_of(plain, span),
        )

    def _resource(self, raw: sqlite3.Connection, resource: Mapping[str, Any]) -> int:
        """Keep a resource, which repeats on every span of a process."""
        key = id(resource)
        known = self._resources.get(key)
        if known is not None and known[0] is resource:
            return known[1]
        payload = self._payloads.keep_json(raw, rows.masked_json(dict(resource), self.masker))
        if len(self._resources) >= _CHUNK:
            self._resources.clear()
        self._resources[key] = (resource, payload)
        return payload

    def _refresh(self, raw: sqlite3.Connection, owner: int, trace_id: str) -> int:
        """Bring a trajectory's summary up to date with its spans; return how many it has."""
        found = raw.execute(f"{rows.SELECT_LIGHT} WHERE trajectory = ?", (owner,)).fetchall()
        spans = ordered(rows.light_span(trace_id, row) for row in found)
        repeats = repeats_of(spans)
        raw.execute("UPDATE spans SET repeated = 0 WHERE trajectory = ? AND repeated", (owner,))
        raw.executemany(
            "UPDATE spans SET repeated = 1 WHERE trajectory = ? AND span_id = ?",
            [(owner, span_id) for span_id in repeats],
        )
        summaries.write(raw, owner, summarise(trace_id, spans, repeats))
        return len(spans)

    def trajectory(self, trace_id: str) -> Trajectory:
        """See `TrajectoryStore.trajectory`."""
        with self.connection.reading() as raw:
            owner, summary = summaries.one(raw, trace_id)
            found = raw.execute(f"{rows.SELECT_FULL} WHERE trajectory = ?", (owner,)).fetchall()
            limit = max(SPAN_CHARACTERS_MIN, TRAJECTORY_CHARACTERS_MAX // max(1, len(found)))
            spans = self._full_spans(raw, trace_id, found, characters_max=limit)
        return Trajectory(summary, completed(ordered(spans)))

    def span(self, trace_id: str, span_id: str) -> Span:
        """See `TrajectoryStore.span`."""
        with self.connection.reading() as raw:
            owner, _ = summaries.one(raw, trace_id)
            query = f"{rows.SELECT_FULL} WHERE trajectory = ? AND span_id = ?"
            found = raw.execute(query, (owner, span_id)).fetchall()
            if not found:
                raise NotFoundError(f"trajectory {trace_id} has no span {span_id}")
            return self._full_spans(raw, trace_id, found, characters_max=None)[0]

    def _full_spans(
        self, raw: sqlite3.Connection, trace_id: str, found: Sequence[Sequence[object]], *, characters_max: int | None
    ) -> list[Span]:
        width = len(rows.PLAIN)
        threads = {int(str(ref)) for row in found for ref in row[width : width + 4] if ref is not None}
        chains = self._payloads.chains(raw, threads)
        wanted = {payload for thread in threads for payload in chains.payloads(thread)}
        resources = {int(str(row[width + 4])) for row in found}
        bodies = self._payloads.bodies(raw, wanted | resources)
        spans = []
        for row in found:
            texts = {
                name: chains.text(row[width + i], bodies, characters_max=characters_max)  # type: ignore[arg-type]
                for i, name in enumerate(("input", "output", "system", "tool_definitions"))
            }
            resource = bodies[int(str(row[width + 4]))].encode()
            extra = self._payloads.unpack(row[width + 5])  # type: ignore[arg-type]
            spans.append(rows.full_span(trace_id, row, texts, resource, extra))
        return spans

    def steps(self, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
        """See `TrajectoryStore.steps`. Of a conversation only the last message is read."""
        found: dict[str, tuple[Step, ...]] = {}
        with self.connection.reading() as raw:
            for start in range(0, len(trace_ids), _CHUNK):
                found.update(self._steps(raw, trace_ids[start : start + _CHUNK]))
        return found

    def _steps(self, raw: sqlite3.Connection, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
        marks = ",".join("?" * len(trace_ids))
        columns = ", ".join((*rows.PLAIN, "system_hash", "tools_hash", "input", "output", "trace_id"))
        query = (
            f"SELECT {columns} FROM (SELECT id, trace_id FROM trajectories WHERE trace_id IN ({marks})) AS t"  # noqa: S608 - own names and question marks
            " JOIN spans ON spans.trajectory = t.id"
        )
        query = query.replace("SELECT span_id,", "SELECT spans.span_id,", 1)
        found = raw.execute(query, list(trace_ids)).fetchall()
        last = self._last_payloads(raw, {row[-3] for row in found if row[-3] is not None})
        outputs = self._payloads.chains(raw, {row[-2] for row in found if row[-2] is not None})
        wanted = {payload for payload, _ in last.values()}
        wanted.update(payload for row in found for payload in outputs.payloads(row[-2]))
        bodies = self._payloads.bodies(raw, wanted)
        by_trace: dict[str, list[Span]] = {}
        for row in found:
            span = rows.light_span(row[-1], row)
            texts = (_spelled(last.get(row[-3]), bodies), outputs.text(row[-2], bodies))
            by_trace.setdefault(row[-1], []).append(replace(span, input=texts[0], output=texts[1]))
        return {trace_id: steps_of(spans) for trace_id, spans in by_trace.items()}

    def _last_payloads(self, raw: sqlite3.Connection, threads: Iterable[int]) -> dict[int, tuple[int, bool]]:
        """Return the last payload of each thread, and whether the thread is a conversation."""
        wanted = sorted(threads)
        last: dict[int, tuple[int, bool]] = {}
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT id, payload, prev FROM threads WHERE id IN ({marks})"  # noqa: S608 - only question marks
            last.update((thread, (payload, prev >= 0)) for thread, payload, prev in raw.execute(query, chunk))
        return last

    def resolve(self, prefix: str) -> str:
        """See `TrajectoryStore.resolve`."""
        with self.connection.reading() as raw:
            return summaries.resolve(raw, prefix)

    def summaries(
        self,
        *,
        agent: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        order: Order = "recent",
        version: str | None = None,
        errors_only: bool = False,
        repeats_min: int = 0,
        limit: int = 50,
    ) -> list[TrajectorySummary]:
        """Return summaries of trajectories that ended in the range. Without an agent the analyst's own are left out."""
        with self.connection.reading() as raw:
            return summaries.listed(
                raw,
                agent=agent,
                start=start,
                end=end,
                order=order,
                version=version,
                errors_only=errors_only,
                repeats_min=repeats_min,
                limit=limit,
            )

    def agents(self, start: datetime, end: datetime) -> list[str]:
        """See `TrajectoryStore.agents`."""
        with self.connection.reading() as raw:
            return aggregates.agents(raw, start, end)

    def count(self, start: datetime, end: datetime) -> tuple[int, int]:
        """See `TrajectoryStore.count`."""
        with self.connection.reading() as raw:
            return aggregates.count(raw, start, end)

    def series(self, start: datetime, end: datetime) -> list[Series]:
        """See `TrajectoryStore.series`."""
        with self.connection.reading() as raw:
            return aggregates.series(raw, start, end)

    def usage(self, agent: str, start: datetime, end: datetime) -> list[Usage]:
        """See `TrajectoryStore.usage`."""
        with self.connection.reading() as raw:
            return aggregates.usage(raw, agent, start, end)

    def changes(self, agent: str, start: datetime, end: datetime) -> list[Change]:
        """See `TrajectoryStore.changes`."""
        with self.connection.reading() as raw:
            return aggregates.changes(raw, agent, start, end)

    def unpriced_models(self) -> list[tuple[str, int]]:
        """Return the models with tokens but no price, and their calls, most calls first."""
        with self.connection.reading() as raw:
            return aggregates.unpriced_models(raw)

    def unpriced_tools(self) -> list[tuple[str, int]]:
        """Return the tools with calls that have no cost, and these calls, most first."""
        with self.connection.reading() as raw:
            return aggregates.unpriced_tools(raw)

    def search(
        self, text: str, *, trace_ids: Sequence[str] = (), agent: str | None = None, limit: int = 20
    ) -> list[Hit]:
        """See `TrajectoryStore.search`. Without ids the newest trajectories are searched."""
        wanted = list(trace_ids) or [one.trace_id for one in self.summaries(agent=agent, limit=_SEARCHED_MAX)]
        hits: list[Hit] = []
        for trace_id in wanted:
            trajectory = self.trajectory(trace_id)
            seen: set[str] = set()
            for span in trajectory.spans:
                for name in ("status_message", "output", "input", "system"):
                    excerpt = _excerpt(readable(getattr(span, name)), text)
                    # A history repeats at every step what was found in it before.
                    if excerpt is not None and excerpt not in seen:
                        seen.add(excerpt)
                        hits.append(Hit(trace_id, span.span_id, name, excerpt))
                        if len(hits) >= limit:
                            return hits
        return hits


def _owners(raw: sqlite3.Connection, trace_ids: set[str]) -> dict[str, tuple[int, int]]:
    """Return the row id and the span count of each trajectory, making rows for those that are new."""
    wanted = sorted(trace_ids)
    raw.executemany(
        "INSERT OR IGNORE INTO trajectories (trace_id, agent, complete, outcome, spans, steps, inferences, tool_calls,"
        " errors, tool_errors, retries, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, unpriced,"
        " repeats) VALUES (?, '', 0, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
        [(trace_id,) for trace_id in wanted],
    )
    owners: dict[str, tuple[int, int]] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        query = f"SELECT trace_id, id, spans FROM trajectories WHERE trace_id IN ({marks})"  # noqa: S608 - only question marks
        owners.update((trace_id, (owner, spans)) for trace_id, owner, spans in raw.execute(query, chunk))
    return owners


def _spelled(last: tuple[int, bool] | None, bodies: Mapping[int, str]) -> str | None:
    if last is None:
        return None
    payload, in_array = last
    return f"[{bodies[payload]}]" if in_array else bodies[payload]


def _excerpt(haystack: str, needle: str) -> str | None:
    at = haystack.casefold().find(needle.casefold())
    if at < 0:
        return None
    start = max(0, at - _EXCERPT // 3)
    return haystack[start : start + _EXCERPT + len(needle)]
