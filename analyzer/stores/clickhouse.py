"""The door of clickhouse-connect: spans that the OpenTelemetry Collector wrote, read and never written.

Every query has its limits with it and is `readonly`; every condition is on the time of a span, by which the table is
divided, or on ids whose times the Collector's lookup table told before. Nothing here is masked: whoever reads rows
masks them before anything else sees them.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from analyzer.errors import SourceError, SourceRefusedError
from analyzer.types.collector import CollectorTables

NS = 1_000_000_000
BUCKET_S = 300
"""Rows are counted by five minutes of their time: the least that is read again when one of them grows."""
_REST_S = 30.0
"""A server that did not answer is not asked again for this long: each question would wait as long."""
_CONNECT_S = 10
_BLOCK_ROWS = 1_000
"""Rows that come at once: with their texts some megabytes."""
_PAUSE_S, _STRETCHES_MAX = 300, 50
"""Trajectories that are asked for at once are sought in so many stretches of time, with such pauses between them."""


class Count(NamedTuple):
    """What the rows of five minutes come to; no row is read again whose five minutes come to the same."""

    rows: int
    times: int | None
    """Sum of their times within the five minutes, in nanoseconds: as many other rows have another one. It is of the
    column that is counted by, and costs no reading. None where it was not noted yet."""


class Row(NamedTuple):
    """One row of `otel_traces`; the exporter writes every value of an attribute as text."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    """"Client", "Server", ...; older exporters: "SPAN_KIND_CLIENT"."""
    start_ns: int
    duration_ns: int
    """Of a span that ends before it starts this is 2^64 ns less what is missing."""
    status_code: str
    status_message: str
    scope: str
    scope_version: str
    attributes: Mapping[str, str]
    resource: Mapping[str, str]
    event_times_ns: Sequence[int]
    event_names: Sequence[str]
    event_attributes: Sequence[Mapping[str, str]]


COLUMNS = (
    "TraceId", "SpanId", "ParentSpanId", "SpanName", "SpanKind", "toUnixTimestamp64Nano(Timestamp)", "Duration",
    "StatusCode", "StatusMessage", "ScopeName", "ScopeVersion", "SpanAttributes", "ResourceAttributes",
    "arrayMap(t -> toUnixTimestamp64Nano(t), Events.Timestamp)", "Events.Name", "Events.Attributes",
)  # fmt: skip
"""In the order of `Row`."""
_ATTRIBUTES = "SpanAttributes"


def _within(which: str = "") -> str:
    """Return the condition that a span began in a time, whose bounds are the parameters `start` and `end`."""
    return (
        f"Timestamp >= fromUnixTimestamp64Nano({{start{which}:Int64}})"
        f" AND Timestamp < fromUnixTimestamp64Nano({{end{which}:Int64}})"
    )


_WITHIN = _within()


class ClickHouse:
    """The Collector's tables in one database. It connects when it is first asked; threads may share it."""

    def __init__(self, url: str, password: str | None, tables: CollectorTables, cut: str = "") -> None:
        """`url` is `http(s)://user@host:8123/database`, or `chdb:///path` for the engine in this process.

        `cut` is an expression that stands for `SpanAttributes` where rows are followed and judged: it leaves out what
        that does not need.
        """
        self._url, self._password, self.tables = url, password, tables
        self._cut = cut
        self._client: Any = None
        self._lock = threading.RLock()
        self._failed: tuple[float, str] | None = None

    @property
    def place(self) -> str:
        """Where it is and which table is read, without user or password: what was followed is kept under it.

        However it is spelt: what was followed under `http://host` is not read again under `http://host:8123/default`.
        """
        parts = urlsplit(self._url)
        table = self.tables.traces_table
        table = table if "." in table else f"{self._database or _DATABASE}.{table}"
        if parts.scheme == "chdb":
            return f"{parts.scheme}://{parts.path} {table}"
        return f"{parts.scheme}://{parts.hostname}:{_port(parts)} {table}"

    @property
    def _database(self) -> str | None:
        """The database that the URL names."""
        parts = urlsplit(self._url)
        return None if parts.scheme == "chdb" else parts.path.strip("/") or None

    def close(self) -> None:
        """Close the connection, where there is one."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def version(self) -> str:
        """Return the server's version. Raises SourceError."""
        return str(next(self._rows("SELECT version()", {}))[0])

    def counts(self, start_ns: int, end_ns: int, services: Sequence[str] | None = None) -> dict[int, Count]:
        """Return what the spans that began in each `BUCKET_S` of [start, end) come to, by its first Unix second.

        Of some `services`, or else of those that are set. Raises SourceError.
        """
        of = self.tables.services if services is None else services
        query = (
            f"SELECT intDiv(toUnixTimestamp(Timestamp), {BUCKET_S}) * {BUCKET_S} AS bucket, count(),"  # noqa: S608 - own names, checked names
            f" sum(toUnixTimestamp64Nano(Timestamp) % {BUCKET_S * NS})"
            f" FROM {self.tables.traces_table} WHERE {_WITHIN}{_of(of)} GROUP BY bucket"
        )
        found = self._rows(query, {"start": start_ns, "end": end_ns, "services": list(of)})
        return {int(bucket): Count(int(rows), int(times)) for bucket, rows, times in found}

    def between(self, start_ns: int, end_ns: int, services: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the spans that began in [start, end), cut, those of a trajectory together. Raises SourceError.

        Of some `services`, or else of those that are set.
        """
        of = self.tables.services if services is None else services
        given = {"start": start_ns, "end": end_ns, "services": list(of)}
        return self._spans(f"{_WITHIN}{_of(of)} ORDER BY TraceId", given, cut=True)

    def of_trajectories(
        self, trace_ids: Sequence[str], *, of_services: bool = False, cut: bool = False
    ) -> Iterator[Row]:
        """Yield all spans of some hundred trajectories at most, or those `of_services` alone. Raises SourceError.

        With `cut` as `between` gives them.
        """
        query = (
            f"SELECT toUnixTimestamp(min(Start)), toUnixTimestamp(max(End)) FROM {self.tables.lookup_table}"  # noqa: S608 - checked names
            " WHERE TraceId IN {ids:Array(String)} GROUP BY TraceId"
        )
        given: dict[str, Any] = {"ids": list(trace_ids)}
        # The lookup table may have whole seconds.
        stretches = _stretches((int(first), int(last) + 1) for first, last in self._rows(query, given))
        if not stretches:
            return iter(())
        for number, (first, end) in enumerate(stretches):
            given |= {f"start{number}": first * NS, f"end{number}": end * NS}
        of = self.tables.services if of_services else ()
        given["services"] = list(of)
        times = " OR ".join(_within(str(number)) for number in range(len(stretches)))
        return self._spans(f"TraceId IN {{ids:Array(String)}} AND ({times}){_of(of)}", given, cut=cut)

    def _spans(self, meant: str, given: Mapping[str, Any], *, cut: bool) -> Iterator[Row]:
        """Yield the rows that meet a condition, `cut` where the server knows how to."""
        if cut and self._cut:
            # What a server does not know it says before the first row.
            none_yet = True
            try:
                for row in self._rows(self._selected(self._cut, meant), given):
                    none_yet = False
                    yield Row._make(row)
            except SourceRefusedError as error:
                if not none_yet or error.number not in _NOT_KNOWN:
                    raise
                self._cut = ""
            else:
                return
        yield from map(Row._make, self._rows(self._selected(_ATTRIBUTES, meant), given))

    def _selected(self, attributes: str, meant: str) -> str:
        """Return a query in which an expression stands for the attributes of a span."""
        columns = ", ".join(attributes if name == _ATTRIBUTES else name for name in COLUMNS)
        return f"SELECT {columns} FROM {self.tables.traces_table} WHERE {meant}"  # noqa: S608 - own names, checked names

    def holding(self, word: str, start_ns: int, end_ns: int, limit: int) -> list[str]:
        """Return trajectories with a word in a text of a span that began in [start, end), the latest first.

        Upper and lower case are the same. Raises SourceError.
        """
        found = "positionCaseInsensitiveUTF8({}, {{word:String}}) > 0".format
        holds = (
            f"{found('StatusMessage')} OR arrayExists(v -> {found('v')}, mapValues(SpanAttributes))"
            f" OR arrayExists(m -> arrayExists(v -> {found('v')}, mapValues(m)), Events.Attributes)"
        )
        query = (
            f"SELECT TraceId FROM {self.tables.traces_table} WHERE {_WITHIN}{_of(self.tables.services)} AND ({holds})"  # noqa: S608 - own names, checked names
            " GROUP BY TraceId ORDER BY max(Timestamp) DESC, TraceId LIMIT {most:UInt32}"
        )
        given = {"word": word, "start": start_ns, "end": end_ns, "most": limit, "services": list(self.tables.services)}
        return [row[0] for row in self._rows(query, given)]

    def _rows(self, query: str, parameters: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
        tables = self.tables
        parameters = {name: value for name, value in parameters.items() if f"{{{name}:" in query}
        settings = {
            "readonly": 1,
            "max_execution_time": tables.max_execution_time,
            "max_result_rows": tables.max_result_rows,
            "max_bytes_to_read": tables.max_bytes_to_read,
            "max_block_size": _BLOCK_ROWS,
        }
        with self._said(query):
            stream = self._connected().query_rows_stream(query, parameters=dict(parameters), settings=settings)
            with stream as rows:
                yield from rows

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                if self._failed is not None and time.monotonic() - self._failed[0] < _REST_S:
                    raise SourceError(self._failed[1])
                self._client = self._opened()
            return self._client

    def _opened(self) -> Any:
        try:
            import clickhouse_connect
        except ImportError:
            raise SourceError("ClickHouse needs a library: pip install 'analyzer[clickhouse]'") from None
        # What goes wrong is said by our own errors; the libraries write lines of their own besides.
        for library in ("clickhouse_connect", "urllib3"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        if self._url.startswith("chdb:"):
            return clickhouse_connect.get_client(dsn=self._url)
        parts = urlsplit(self._url)
        return clickhouse_connect.get_client(
            host=parts.hostname,
            port=_port(parts),
            username=unquote(parts.username) if parts.username else None,
            password=self._password or "",
            database=self._database,
            secure=parts.scheme == "https",
            connect_timeout=_CONNECT_S,
            send_receive_timeout=self.tables.max_execution_time + _CONNECT_S,
            # Threads share the client, and a session takes one query at a time.
            autogenerate_session_id=False,
            query_retries=0,
        )

    @contextmanager
    def _said(self, query: str) -> Iterator[None]:
        """Turn the library's errors into ours: one line, with the next step."""
        try:
            yield
        except SourceError:
            raise
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in _LIBRARIES and not isinstance(error, OSError):
                raise
            text, number = self._worded(error, query)
            if number is None:
                self._failed = time.monotonic(), text
                self._client = None
                raise SourceError(text) from error
            raise SourceRefusedError(text, number, is_too_much=number in _TOO_MUCH) from error

    def _worded(self, error: Exception, query: str) -> tuple[str, int | None]:
        """Return what to say of an error, and its number: None where the server could not be reached at all."""
        said = str(error)
        code = _CODE.search(said)
        number = int(code.group(1)) if code else None
        parts = urlsplit(self._url)
        where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        table, setting = self._asked_table(query)
        if number in _ABSENT:
            return f"ClickHouse at {where} has no {self._absent(said, table, setting)}", number
        for numbers, words in _WORDS:
            if number in numbers:
                return f"ClickHouse at {where} {words.format(table=table)}", number
        if number is None:
            return f"ClickHouse at {where} did not answer; check ANALYZER_CLICKHOUSE_URL and the server", None
        name = _NAME.search(said)
        why = f"error {number}{f' ({name.group(1)})' if name else ''}"
        return f"ClickHouse at {where} refused the query: {why}; `analyzer doctor` checks the tables", number

    def _asked_table(self, query: str) -> tuple[str, str]:
        """Return the table that a query reads, and the setting that names it."""
        lookup = self.tables.lookup_table
        is_lookup = f" FROM {lookup} " in query
        return (lookup, "lookup_table") if is_lookup else (self.tables.traces_table, "traces_table")

    def _absent(self, said: str, table: str, setting: str) -> str:
        """Say what is not there, by the names in the settings: those that a server writes are not shown."""
        own, missing = self._database, _DATABASE_NAME.search(said)
        if missing and missing[1] == own:
            return f"database {own}; check ANALYZER_CLICKHOUSE_URL"
        of = table.partition(".")[0] if "." in table else None
        what = f"database {of}" if of and missing and missing[1] == of else f"table {table}"
        instead = "" if of else ", or the database in ANALYZER_CLICKHOUSE_URL"
        return f"{what}; set {setting} under [clickhouse] in analyzer.toml{instead}"


def _stretches(times: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return times [start, end) in seconds as stretches in order: neighbours in one, and all where they are too many.

    Where a table has billions of rows, what lies between two trajectories takes longer to pass over than they to read.
    """
    found: list[tuple[int, int]] = []
    for start, end in sorted(times):
        if found and start <= found[-1][1] + _PAUSE_S:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found if len(found) <= _STRETCHES_MAX else [(found[0][0], max(end for _, end in found))]


def _of(services: Sequence[str]) -> str:
    return " AND ServiceName IN {services:Array(String)}" if services else ""


def _port(parts: SplitResult) -> int:
    return parts.port or (8443 if parts.scheme == "https" else 8123)


_DATABASE = "default"
"""What a server takes where none is named, unless its user has another one."""
_LIBRARIES = frozenset({"clickhouse_connect", "chdb", "urllib3"})
_CODE = re.compile(r"[Cc]ode: (\d+)")
_NOT_KNOWN = (36, 42, 43, 44, 46, 47, 53, 62, 70, 167, 168, 386, 427)
"""How a server says that it knows no such function, or none for such arguments, or finds the query too deep or large;
that it cannot compile a pattern."""
_TOO_MUCH = (158, 241, 307, 396)
"""Rows, bytes or memory of one query; not its time, which the next would take again."""
_ABSENT = (60, 81)
"""UNKNOWN_TABLE, UNKNOWN_DATABASE."""
_DATABASE_NAME = re.compile(r"Database [`'\"]?(\w+)[`'\"]? (?:does not exist|doesn't exist)")
_NAME = re.compile(r"\(([A-Z_]{4,60})\)")
_WORDS = (
    ((241,), "had not the memory for the query; try again later, or give its user more (max_memory_usage)"),
    ((158, 159, 160, 307, 396), "stopped the query at a limit; raise it under [clickhouse] in analyzer.toml"),
    ((16, 47), "has a table {table} of another form than the Collector's; see docs/clickhouse.md"),
    ((192, 193, 194, 516), "refused user or password; check ANALYZER_CLICKHOUSE_URL and ANALYZER_CLICKHOUSE_PASSWORD"),
    ((164, 452, 497), "does not let this user ask; see the rights in docs/clickhouse.md"),
)  # fmt: skip
"""By the numbers of ClickHouse's errors (src/Common/ErrorCodes.cpp). Its texts hold the query, and are not shown."""
