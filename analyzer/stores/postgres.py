"""The state in PostgreSQL, where several instances share it; see `state`. The one door of psycopg.

Writers take turns by one advisory lock, as they do by SQLite's file: what was true when a transaction began is true
when it ends, and numbers are given out in the order in which they are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

from analyzer.errors import StoreBusyError, StoreError, UsageError
from analyzer.retry import retrying
from analyzer.stores.postgres_schema import STEPS
from analyzer.stores.state import Queries, Rows

if TYPE_CHECKING:
    import psycopg

CONNECT_S = 10
LOCK_S = 15
"""How long a writer waits for another one; as for SQLite (`database.BUSY_TIMEOUT_MS`)."""
IDLE_S = 60
"""A process that stands still within a transaction (its machine was suspended) holds the others up no longer."""
_TURN = "SELECT pg_advisory_xact_lock(hashtext('analyzer'), hashtext(current_schema()))"
"""One lock for each schema: two analysts may share a database without waiting for each other."""
# Said in each transaction and not once: a pooler may give each one another session.
_BOUNDS = f"SET LOCAL lock_timeout = '{LOCK_S}s'; SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S}s'"
_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITING = "BEGIN ISOLATION LEVEL READ COMMITTED"
_HINT = "`analyzer doctor` checks it (ANALYZER_STATE)"


class PostgresState:
    """A `StateDatabase`. All access goes through one lock, so that several threads may share it."""

    def __init__(self, url: str) -> None:
        """Connect and bring the schema up to date. Raises UsageError, StoreBusyError, StoreError."""
        self.lock = threading.RLock()
        self.fence: Callable[[Queries], None] | None = None
        """Asked at the beginning of each transaction that writes, within it; raises where it must not be."""
        self._url = url
        self.place = _place(url)
        self._raw: psycopg.Connection[Any] | None = None
        try:
            with self.lock, _translated(self.place):
                self._migrate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; closing twice does no harm."""
        if self._raw is not None:
            self._raw.close()

    @contextmanager
    def reading(self) -> Iterator[Queries]:
        """See `State.reading`."""
        with self.lock, _translated(self.place):
            if self._is_within():
                yield _Queries(self._connected())
                return
            raw = self._begun(_READING, _BOUNDS)
            try:
                yield _Queries(raw)
            finally:
                _rolled_back(raw)

    @contextmanager
    def writing(self) -> Iterator[Queries]:
        """See `State.writing`."""
        with self.lock, _translated(self.place):
            if self._is_within():
                with self._connected().transaction():
                    yield _Queries(self._connected())
                return
            raw = self._begun(_WRITING, _BOUNDS, _TURN)
            try:
                queries = _Queries(raw)
                if self.fence is not None:
                    self.fence(queries)
                yield queries
                raw.execute("COMMIT")
            except BaseException:
                _rolled_back(raw)
                raise

    def version(self) -> str:
        """Return the server's version. Raises StoreError."""
        with self.reading() as raw:
            return str(raw.execute("SHOW server_version").fetchone()[0]).split()[0]

    def _is_within(self) -> bool:
        """Tell whether a transaction is open, also one that has failed."""
        if self._raw is None or self._raw.closed:
            return False
        return self._raw.info.transaction_status.name in {"INTRANS", "INERROR"}

    def _connected(self) -> psycopg.Connection[Any]:
        """Return the connection, a new one where the last was lost."""
        library = _library()
        if self._raw is None or self._raw.closed:
            # Prepared statements would tie a transaction to one session of a pooler.
            options: dict[str, Any] = {"autocommit": True, "prepare_threshold": None}
            raw = library.connect(self._url, connect_timeout=CONNECT_S, tcp_user_timeout=1000 * IDLE_S, **options)
            try:
                self._check_encoding(raw)
            except BaseException:
                raw.close()
                raise
            self._raw = raw
        return self._raw

    def _check_encoding(self, raw: psycopg.Connection[Any]) -> None:
        # In some encodings psycopg gives every text as bytes; this name comes with the connection.
        encoding = str(raw.info.parameter_status("server_encoding"))
        if encoding != "UTF8":
            hint = "make one by CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
            raise StoreError(f"the state {self.place} cannot hold every text: its encoding is {encoding}; {hint}")

    def _begun(self, *statements: str) -> psycopg.Connection[Any]:
        """Begin a transaction. A connection that was lost meanwhile is made anew: nothing is half done yet."""
        library = _library()

        def begin() -> Any:
            raw = self._connected()
            try:
                for statement in statements:
                    raw.execute(statement)
            except BaseException:
                _rolled_back(raw)
                raise
            return raw

        def is_lost(error: BaseException) -> bool:
            is_busy = isinstance(error, library.errors.LockNotAvailable)
            return isinstance(error, library.OperationalError) and not is_busy

        begun: psycopg.Connection[Any] = retrying(begin, worth_it=is_lost)()
        return begun

    def _migrate(self) -> None:
        if not self._pending(self._connected()):
            return
        raw = self._begun(_WRITING, _BOUNDS, _TURN)
        try:
            raw.execute("CREATE TABLE IF NOT EXISTS analyzer_steps (name TEXT PRIMARY KEY)")
            # Two instances may find it empty at once: the second one waited, and finds nothing to do.
            for name in self._pending(raw):
                raw.execute(STEPS[name].encode())
                raw.execute("INSERT INTO analyzer_steps (name) VALUES (%s)", (name,))
            raw.execute("COMMIT")
        except BaseException:
            _rolled_back(raw)
            raise

    @staticmethod
    def _pending(raw: psycopg.Connection[Any]) -> list[str]:
        """Return the steps that a database lacks. Only reads."""
        there = raw.execute("SELECT to_regclass('analyzer_steps') IS NOT NULL").fetchone()
        if there is None or not there[0]:
            return list(STEPS)
        had = {name for (name,) in raw.execute("SELECT name FROM analyzer_steps")}
        return [name for name in STEPS if name not in had]


class _Queries:
    """Queries as the state's modules write them, `?` for values, on a connection of psycopg."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw = raw

    def execute(self, query: str, values: Sequence[Any] = (), /) -> Rows:
        """See `Queries.execute`."""
        return self._raw.execute(_marked(query), [_adapted(value) for value in values])

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> None:
        """See `Queries.executemany`."""
        with self._raw.cursor() as cursor:
            cursor.executemany(_marked(query), [[_adapted(value) for value in row] for row in rows])


def _marked(query: str) -> bytes:
    """Return a query with psycopg's marks for values; no text in a query of ours holds a question mark."""
    return query.replace("%", "%%").replace("?", "%s").encode()


def _adapted(value: Any) -> Any:
    """Return a value as SQLite would keep it; PostgreSQL has no NUL in a text."""
    if isinstance(value, Enum):
        value = value.value
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _rolled_back(raw: psycopg.Connection[Any]) -> None:
    """End a transaction without a trace. Where the connection is lost, the server does it."""
    psycopg = _library()
    with suppress(psycopg.Error):
        if not raw.closed:
            raw.execute("ROLLBACK")


def _library() -> Any:
    try:
        import psycopg
    except ImportError:
        raise UsageError("ANALYZER_STATE needs psycopg: pip install 'analyzer[postgres]'") from None
    return psycopg


def _place(url: str) -> str:
    """Return where a state is without user and password. Raises UsageError."""
    psycopg = _library()
    try:
        found = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # What is wrong with it would be told with all of it.
        raise UsageError("ANALYZER_STATE: write it as postgresql://HOST:5432/DATABASE") from None
    if any("@" in str(found.get(part, "")) for part in ("host", "port", "dbname")):
        # A password that is not escaped ends early, and its rest would be told as a place.
        raise UsageError("ANALYZER_STATE: write @ as %40 and / as %2F in user and password")
    port = f":{found['port']}" if found.get("port") else ""
    return f"postgresql://{found.get('host', 'localhost')}{port}/{found.get('dbname', found.get('user', ''))}"


@contextmanager
def _translated(place: str) -> Iterator[None]:
    """Turn psycopg's errors into ours, with the place and the next step."""
    psycopg = _library()
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise StoreBusyError(f"the state {place} is held by another process; try again in a moment") from error
    except psycopg.IntegrityError as error:
        said = f"the state {place} refused what was written: {_line(error)}; nothing of it was kept"
        raise StoreError(said) from error
    except psycopg.errors.InsufficientPrivilege as error:
        hint = "its user must own the tables, and may create them"
        raise StoreError(f"the state {place} is not ours to use: {_line(error)}; {hint}") from error
    except psycopg.Error as error:
        raise StoreError(f"the state {place} failed: {_line(error)}; {_HINT}") from error


def _line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
