"""Spans in: one batch, one transaction, kept whole or not at all."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from analyzer.masking import Masker
from analyzer.stores import counting, offers, rollups, rows, steering, summaries, verdicts
from analyzer.stores.base import Added
from analyzer.stores.blocks import Codec
from analyzer.stores.database import Connection
from analyzer.stores.growth import Grown
from analyzer.stores.intake import Intake, Text
from analyzer.stores.light import Lightener, Version
from analyzer.stores.prepared import Prepared, Preparer
from analyzer.types.choices import task_of
from analyzer.types.messages import readable
from analyzer.types.repeats import repeats_of
from analyzer.types.trace import Operation, Span
from analyzer.types.trajectory import TrajectorySummary, ordered, summarise, top_of

_CHUNK = 500
_RESOURCES_MAX = 500


@dataclass(slots=True)
class _Staged:
    """One span on its way: everything that can be done before the write lock is held."""

    made: Prepared
    task: str | None
    input: Text | None
    output: Text | None
    system: Text | Version | None
    tools: Text | Version | None
    resource: Text | None
    """None where the texts of the span are not kept."""
    input_hash: int | None = None

    @property
    def span(self) -> Span:
        """The span itself, unmasked."""
        return self.made.span

    @property
    def rank(self) -> tuple[int, bool, int]:
        """Of two forms of one span the one of the higher rank is kept; `rows.RANK` says the same of a row."""
        return self.made.plain[rows.PLAIN.index("end_ns")] or 0, self.resource is not None, self.made.digest


@dataclass(slots=True)
class _Arrival:
    """The spans of one trajectory in one batch."""

    owner: int
    is_new: bool
    staged: list[_Staged] = field(default_factory=list)
    blocks: set[int] = field(default_factory=set)


class Writer:
    """Writes batches of spans. Used under the connection's lock."""

    def __init__(
        self, connection: Connection, codec: Codec, masker: Masker, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives Unix seconds."""
        self._connection = connection
        self._clock = clock
        self._masker = masker
        self._intake = Intake(codec, masker.text, connection.secret("texts"))
        self._resources: dict[int, tuple[Mapping[str, Any], Text]] = {}
        self._preparer = Preparer(masker)
        self._lightener = Lightener(masker.text, connection.secret("texts"))
        self._grown = Grown()
        self._offered: set[str] = set()
        """Hashes of tool definitions whose names are kept."""

    def add(self, spans: Iterable[Span]) -> Added:
        """See `TrajectoryStore.add`."""
        batch = list(spans)
        with self._connection.lock:
            return self.add_prepared(self._preparer.prepared(batch))

    def add_light(self, spans: Iterable[Span]) -> Added:
        """Add spans whose texts are kept in another place: their rows refer to none.

        A span whose text is here stays as it is, unless this form of it ended later; one that comes with its text later
        is filled by it.
        """
        batch = list(spans)
        with self._connection.lock:
            made = self._preparer.prepared(batch, light=True)
            staged = [self._light(one) for one in made]
            if not staged:
                return Added(0, 0, 0)
            try:
                with self._connection.writing() as raw:
                    if not self._intake.begin(raw):
                        self._resources.clear()
                        self._grown.forget()
                        self._intake.begin(raw)
                    return self._write(raw, staged)
            except BaseException:
                self._forget()
                raise

    def _light(self, made: Prepared) -> _Staged:
        read = self._lightener.read(made.span)
        task = self._preparer.name(_task(made.span, read.task))
        return _Staged(made, task, None, None, read.system, read.tools, None, read.input_hash)

    def add_prepared(self, batch: Sequence[Prepared]) -> Added:
        """Add spans that were prepared, here or in another process."""
        if not batch:
            return Added(0, 0, 0)
        with self._connection.lock:
            try:
                staged = self._stage(batch)
                with self._connection.writing() as raw:
                    if not self._intake.begin(raw):
                        self._resources.clear()
                        self._grown.forget()
                        staged = self._stage(batch)
                        self._intake.begin(raw)
                    return self._write(raw, staged)
            except BaseException:
                self._forget()
                raise

    def _forget(self) -> None:
        """Remember nothing: it would name rows that were rolled back."""
        self._intake.forget()
        self._resources.clear()
        self._grown.forget()
        self._offered.clear()

    def _stage(self, batch: Sequence[Prepared]) -> list[_Staged]:
        intake = self._intake
        staged = []
        for made in batch:
            span = made.span
            asked = intake.stage_prompt(span.trace_id, span.input)
            staged.append(
                _Staged(
                    made=made,
                    task=self._preparer.name(_task(span, asked.task if asked is not None else "")),
                    input=asked,
                    output=intake.stage(span.output),
                    system=intake.stage_version(span.system),
                    tools=intake.stage_version(span.tool_definitions),
                    resource=self._resource(span.resource),
                )
            )
        return staged

    def _resource(self, resource: Mapping[str, Any]) -> Text:
        """Stage a resource, which repeats on every span of a process."""
        key = id(resource)
        known = self._resources.get(key)
        if known is not None and known[0] is resource:
            return known[1]
        text = self._intake.stage_document(rows.masked_json(dict(resource), self._masker))
        if len(self._resources) >= _RESOURCES_MAX:
            self._resources.clear()
        self._resources[key] = (resource, text)
        return text

    def _write(self, raw: sqlite3.Connection, staged: Sequence[_Staged]) -> Added:
        arrivals = _arrivals(raw, staged)
        self._intake.settle(raw)
        known = _known(raw, arrivals.values())
        placed: dict[int, list[Any]] = {}
        # In the order of arrival: a prompt is placed after the one that it continues.
        for one in staged:
            arrival = arrivals[one.span.trace_id]
            texts = self._texts(raw, arrival, one)
            if id(one) not in known:
                placed[id(one)] = self._row(arrival, one, texts)
        self._intake.finish(raw)
        new = 0
        fresh_rows: list[list[Any]] = []
        fresh: list[tuple[int, TrajectorySummary]] = []
        for trace_id, arrival in arrivals.items():
            own = [placed[id(one)] for one in arrival.staged if id(one) in placed]
            summary = _summary(trace_id, arrival, own) if arrival.is_new else None
            if summary is not None:
                fresh.append((arrival.owner, summary))
                fresh_rows += own
                new += len(own)
            elif own:
                if arrival.is_new:
                    summaries.insert(raw, [(arrival.owner, summarise(trace_id, ()))])
                new += self._grown.merge(raw, trace_id, arrival.owner, own)
        raw.executemany(rows.UPSERT, fresh_rows)
        steering.note(raw, (one.owner for one in arrivals.values() if any(two.made.steered for two in one.staged)))
        summaries.insert(raw, fresh)
        offers.keep(raw, self._offers(staged))
        rollups.mark(raw, _moments(staged, (summary for _, summary in fresh)))
        fed = [one for one in arrivals.values() if any(id(two) in placed for two in one.staged)]
        verdicts.forget(raw, (one.owner for one in fed if not one.is_new))
        counting.note(raw, ((one.owner, _latest(one.staged)) for one in fed), self._clock())
        raw.executemany(
            "INSERT OR IGNORE INTO uses VALUES (?, ?)",
            sorted((block, arrival.owner) for arrival in arrivals.values() for block in arrival.blocks),
        )
        return Added(spans_new=new, spans_known=len(staged) - new, trajectories=len(arrivals))

    def _offers(self, staged: Sequence[_Staged]) -> Iterator[tuple[str, list[str]]]:
        """Yield the names of the tools in definitions, each definitions' once."""
        texts = {one.tools.version: one.span.tool_definitions or "" for one in staged if one.tools is not None}
        for version, text in texts.items():
            if version not in self._offered:
                self._offered.add(version)
                yield version, [str(self._preparer.name(name)) for name in offers.names_of(text)]

    def _texts(self, raw: sqlite3.Connection, arrival: _Arrival, one: _Staged) -> list[int | None]:
        """Return the references of a span's texts, and of its resource."""
        place, blocks = self._intake.place, arrival.blocks
        texts = (one.input, one.output, one.system, one.tools, one.resource)
        return [place(raw, text, blocks) if isinstance(text, Text) else None for text in texts]

    def _row(self, arrival: _Arrival, one: _Staged, texts: Sequence[int | None]) -> list[Any]:
        *references, resource = texts
        return [
            arrival.owner,
            *one.made.plain,
            one.system.version if one.system else None,
            one.tools.version if one.tools else None,
            one.task,
            one.made.choices,
            *references,
            None if resource is None else -resource >> 1,
            None if resource is None else self._intake.append(one.made.extra, arrival.blocks),
            0,
            one.input_hash,
            one.made.digest,
        ]


def _arrivals(raw: sqlite3.Connection, staged: Sequence[_Staged]) -> dict[str, _Arrival]:
    """Return the spans by trajectory, each with its row id; new ones get theirs here and their row later."""
    by_trace: dict[str, list[_Staged]] = {}
    for one in staged:
        by_trace.setdefault(one.span.trace_id, []).append(one)
    wanted = sorted(by_trace)
    known: dict[str, int] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        query = f"SELECT trace_id, id FROM trajectories WHERE trace_id IN ({marks})"  # noqa: S608 - only question marks
        known.update(raw.execute(query, chunk).fetchall())
    following = int(raw.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM trajectories").fetchone()[0])
    arrivals = {}
    for trace_id, own in by_trace.items():
        owner = known.get(trace_id)
        is_new = owner is None
        if owner is None:
            owner, following = following, following + 1
        arrivals[trace_id] = _Arrival(owner, is_new, own)
    return arrivals


def _known(raw: sqlite3.Connection, arrivals: Iterable[_Arrival]) -> set[int]:
    """Return which staged spans are not written: what the store has in this form or a better one takes no room."""
    known: set[int] = set()
    for arrival in arrivals:
        if arrival.is_new:
            continue
        for start in range(0, len(arrival.staged), _CHUNK):
            chunk = arrival.staged[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT span_id, {rows.RANK} FROM spans WHERE trajectory = ? AND span_id IN ({marks})"  # noqa: S608 - own names and question marks
            found = {
                row[0]: row[1:] for row in raw.execute(query, (arrival.owner, *(one.span.span_id for one in chunk)))
            }
            known.update(id(one) for one in chunk if one.span.span_id in found and one.rank <= found[one.span.span_id])
    return known


def _summary(trace_id: str, arrival: _Arrival, own: Sequence[list[Any]]) -> TrajectorySummary | None:
    """Return the summary of a new trajectory straight from its spans, and mark in the rows what repeats.

    None where that would not be the same as reading the rows back: a span came twice, or one was masked or put
    right.
    """
    staged = arrival.staged
    if len({one.span.span_id for one in staged}) < len(staged) or not all(one.made.unchanged for one in staged):
        return None
    spans = ordered(one.span for one in staged)
    repeats = repeats_of(spans)
    summary = summarise(trace_id, spans, repeats)
    for row in own if repeats else ():
        row[rows.REPEATED] = int(row[rows.SPAN_ID] in repeats)
    versions = {one.span.system: one.system.version for one in staged if one.system is not None}
    declared = {"@".join(part for part in (one.span.prompt_name, one.span.prompt_version) if part) for one in staged}
    if summary.prompt in versions and summary.prompt in declared:
        return None
    tools = next(
        (one.tools.version for one in staged if one.tools and one.span.tool_definitions == summary.tools), None
    )
    tasks = {one.span.span_id: one.task for one in staged if one.task}
    top = top_of(spans)
    task = next((tasks[span.span_id] for span in (top, *spans) if span is not None and span.span_id in tasks), None)
    return replace(summary, prompt=versions.get(summary.prompt, summary.prompt), tools=tools, task=task)


def _latest(staged: Iterable[_Staged]) -> int | None:
    return max((one.span.end_ns or one.span.start_ns or 0 for one in staged), default=None)


def _moments(staged: Sequence[_Staged], fresh: Iterable[TrajectorySummary]) -> Iterator[int | None]:
    """Yield when what is new is counted."""
    yield from (one.span.end_ns for one in staged if one.span.operation is Operation.TOOL)
    for summary in fresh:
        yield from (summary.start_ns, summary.end_ns)


def _task(span: Span, asked: str) -> str | None:
    """Return the kind of task a span was given: an agent's goal, or what a conversation began with."""
    if span.operation in _WITH_GOAL and span.input:
        return asked or task_of(readable(span.input)) or None
    return (asked if span.operation is Operation.CHAT else "") or None


_WITH_GOAL = frozenset({Operation.AGENT, Operation.WORKFLOW})
