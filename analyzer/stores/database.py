"""Opening the SQLite file: settings, migrations, and the one way to write."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from analyzer.errors import StoreBusyError, StoreError
from analyzer.stores.migrations import MIGRATIONS

BUSY_TIMEOUT_MS = 15_000
"""How long a writer waits for another one. An ingest commits every few hundred milliseconds."""

LOG_BYTES = 64 << 20
"""The write-ahead log that is left to SQLite. It copies the log into the file as it grows, but begins it anew only in
a moment in which nobody reads; where readers take turns there is none, and the log grows for as long as they do."""
LOG_WAIT_MS = 500
"""How long a writer then waits for those who read: whoever comes later reads the file, and the log begins anew."""
LOG_REST_S = 5.0
"""How long it waits for nobody after it has waited in vain: a long read slows a writer by a tenth, and stops none."""

PRAGMAS = (
    # Readers never block the writer, nor it them.
    "PRAGMA journal_mode = WAL",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    # In WAL mode NORMAL may lose the last commits when the power fails; an accepted span must not be lost.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # 24 MiB: the tables grow at their ends, and twice as much gains an ingest nothing.
    "PRAGMA cache_size = -24576",
    "PRAGMA temp_store = MEMORY",
    # A long read lets the log grow beside a busy writer; once it is over the file need not stay that large.
    f"PRAGMA journal_size_limit = {LOG_BYTES}",
)


_WRITABLE = "make the file and its folder writable for this user, or set ANALYZER_STORE to one that is"
_OLDER = (
    "`analyzer doctor` checks it; one of an earlier release is brought up to date by `analyzer store stats`, run by a"
    " user who may write it"
)
_HINTS = (
    ("readonly", _WRITABLE),
    ("unable to open", _WRITABLE),
    ("disk is full", "make room on its disk, or run `analyzer` with its store elsewhere (ANALYZER_STORE)"),
    ("no such table", _OLDER),
    ("no such column", _OLDER),
    ("disk I/O", "check its disk, and restore the store from a backup if it is damaged"),
)
"""What to do by a word of SQLite's own message."""


def make_room(path: Path) -> None:
    """Make the folder of a store. Raises StoreError where no file can be at this path."""
    if path.is_dir():
        raise StoreError(f"the store {path} is a folder; set ANALYZER_STORE to a file, {path / 'analyzer.db'} say")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        clash = isinstance(error, FileExistsError | NotADirectoryError)
        why = "its folder is a file" if clash else str(error.strerror)
        raise StoreError(f"cannot open the store {path}: {why}; set ANALYZER_STORE to a writable file") from None


class Connection:
    """One open store file. All access goes through one lock, so that several threads may share it."""

    def __init__(self, path: Path | str, *, read_only: bool = False, or_read: bool = False) -> None:
        """Open or create the file and bring it up to date. Raises StoreError, StoreBusyError.

        With `read_only` the file must be there and up to date; SQLite itself then refuses the write lock. So it is with
        `or_read` where this user may not write the file or its folder: whoever only asks need not.
        """
        self.path = Path(path)
        self.is_sealed = or_read and not read_only and _is_sealed(self.path)
        """Whether it was to be opened to write and could only be to read."""
        read_only = read_only or self.is_sealed
        self.is_writable = not read_only
        self.lock = threading.RLock()
        self._log = self.path.with_name(self.path.name + "-wal")
        self._log_after_s = 0.0
        self._busy_ms = BUSY_TIMEOUT_MS
        if not read_only:
            make_room(self.path)
        self._mark = _mark(self.path)
        raw = _sealed(self.path) if self.is_sealed else self._connected(read_only=read_only)
        self.raw = raw
        try:
            with translated(self.path):
                if read_only:
                    raw.execute("PRAGMA cache_size = -24576").close()
                    if self.is_sealed:
                        self._check_current()
                    return
                if not raw.execute("PRAGMA page_count").fetchone()[0]:
                    # Only an empty file takes this; it lets retention give pages back without rewriting the whole file.
                    # Said of any other it would have no effect but to wait for the writer.
                    raw.execute("PRAGMA auto_vacuum = INCREMENTAL").close()
                for pragma in PRAGMAS:
                    raw.execute(pragma).close()
                self._migrate()
        except BaseException:
            self.close()
            raise

    def _connected(self, *, read_only: bool) -> sqlite3.Connection:
        name = f"{self.path.absolute().as_uri()}?mode=ro" if read_only else self.path
        try:
            return sqlite3.connect(name, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000, uri=read_only)
        except sqlite3.Error as error:
            raise StoreError(f"cannot open the store {self.path}: {error}; {_WRITABLE}") from None

    def _check_current(self) -> None:
        if MIGRATIONS.are_pending(self.raw):
            how = "`analyzer store stats` as a user who may write it brings it up to date"
            raise StoreError(f"the store {self.path} is of an earlier release, and cannot be written: {how}")

    def _migrate(self) -> None:
        raw = self.raw
        if not MIGRATIONS.are_pending(raw):
            return
        # Two processes may open a new file at once: the second one waits here and then finds nothing to do.
        raw.execute("BEGIN IMMEDIATE")
        try:
            MIGRATIONS.apply(raw)
            raw.execute("COMMIT")
        except BaseException:
            raw.rollback()
            raise

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self.path)

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        self.raw.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for queries that all see the store as it is now, whatever is written meanwhile."""
        with self.lock, self._unwritten(), translated(self.path):
            raw = self.raw
            if raw.in_transaction:
                yield raw
                return
            raw.execute("BEGIN")
            try:
                yield raw
            finally:
                raw.rollback()

    @contextmanager
    def _unwritten(self) -> Iterator[None]:
        """Hold what is read as a file that nobody changes against the file: somebody else may write it all the same.

        Before a read it is opened anew where it has changed. A read in which it changed may be of two states.
        """
        if not isinstance(self.raw, _Immutable) or self.raw.in_transaction:
            yield
            return
        if (mark := _mark(self.path)) != self._mark:
            raw = _sealed(self.path)
            self.raw.close()
            self.raw, self._mark = raw, mark
        try:
            yield
        except Exception as error:
            # What went wrong may have come of this.
            self._check_unwritten(error)
            raise
        self._check_unwritten(None)

    def _check_unwritten(self, error: Exception | None) -> None:
        if isinstance(self.raw, _Immutable) and _mark(self.path) != self._mark:
            raise StoreError(f"the store {self.path} was written meanwhile, by another user; ask again") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one transaction: all of it is kept, or nothing.

        IMMEDIATE takes the write lock first: a transaction that began by reading could not wait for another writer.
        """
        with self.lock, translated(self.path):
            raw = self.raw
            if raw.in_transaction:
                with _nested(raw):
                    yield raw
                return
            raw.execute("BEGIN IMMEDIATE")
            try:
                yield raw
                raw.execute("COMMIT")
            except BaseException:
                raw.rollback()
                raise
            # What was committed stands, whatever becomes of this.
            with suppress(OSError, sqlite3.Error):
                self._bound_log(raw)

    def _bound_log(self, raw: sqlite3.Connection) -> None:
        """Begin the log anew where it has grown beyond `LOG_BYTES`."""
        if self._log.stat().st_size < LOG_BYTES or time.monotonic() < self._log_after_s:
            return
        raw.execute(f"PRAGMA busy_timeout = {LOG_WAIT_MS}").close()
        try:
            is_busy, _, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            raw.execute(f"PRAGMA busy_timeout = {self._busy_ms}").close()
        self._log_after_s = time.monotonic() + LOG_REST_S if is_busy else 0.0

    def wait_at_most(self, milliseconds: int) -> None:
        """Wait for another writer no longer than this: who must answer soon reads what there is instead."""
        self._busy_ms = milliseconds
        with self.lock:
            self.raw.execute(f"PRAGMA busy_timeout = {milliseconds}").close()

    def secret(self, name: str) -> bytes:
        """Return a random key kept in this store, made when it is first asked for."""
        query = "SELECT value FROM meta WHERE name = ?"
        with self.reading() as raw:
            # Opening a store to read it must not wait for a writer.
            row = raw.execute(query, (name,)).fetchone()
        if row is None:
            with self.writing() as raw:
                raw.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (name, secrets.token_bytes(32)))
                row = raw.execute(query, (name,)).fetchone()
        return bytes(row[0])


def _is_sealed(path: Path) -> bool:
    """Tell whether a file is there that this user may read and not write, or write nothing beside."""
    return path.is_file() and not (os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK))


def _mark(path: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what changes when a store is written: of the file and of its log which it is, its size and its time."""
    found: list[tuple[int, int, int] | None] = []
    for one in (path, path.with_name(path.name + "-wal")):
        try:
            seen = one.stat()
        except OSError:
            found.append(None)
        else:
            found.append((seen.st_ino, seen.st_size, seen.st_mtime_ns))
    return tuple(found)


class _Immutable(sqlite3.Connection):
    """A file that was opened as one that nobody changes: SQLite neither locks it nor looks at its log."""


def _sealed(path: Path) -> sqlite3.Connection:
    """Open a file beside which nothing can be written. Raises StoreError.

    SQLite keeps an index of the write-ahead log beside the file, even to read. While somebody writes, the index is
    there to be read; where there is neither index nor log, all of it is in the file, which is then read as one that
    nobody changes (https://sqlite.org/wal.html#readonly).
    """
    log, failure = path.with_name(path.name + "-wal"), None
    for how, kind in (("mode=ro", sqlite3.Connection), ("immutable=1", _Immutable)):
        raw = sqlite3.connect(
            f"{path.absolute().as_uri()}?{how}",
            check_same_thread=False,
            timeout=BUSY_TIMEOUT_MS / 1000,
            uri=True,
            factory=kind,
        )
        try:
            raw.execute("SELECT 1 FROM sqlite_master").close()
        except sqlite3.OperationalError as error:
            raw.close()
            if log.exists() and log.stat().st_size:
                why = f"{log.name} holds what is not in it yet, and cannot be read without writing"
                raise StoreError(f"cannot read the store {path}: {why}; {_WRITABLE}") from error
            failure = error
        except sqlite3.DatabaseError:
            # What it is is said by whoever reads first.
            return raw
        else:
            return raw
    raise StoreError(f"cannot open the store {path}: {failure}; make it readable for this user") from failure


@contextmanager
def _nested(raw: sqlite3.Connection) -> Iterator[None]:
    """Undo what a block wrote where it fails, and leave the transaction around it as it was."""
    raw.execute("SAVEPOINT nested")
    try:
        yield
    except BaseException:
        # What failed may have ended the whole transaction already: a full disk does.
        if raw.in_transaction:
            raw.execute("ROLLBACK TO nested")
            raw.execute("RELEASE nested")
        raise
    raw.execute("RELEASE nested")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, with the file's name and the next step."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise StoreBusyError(f"the store {path} is held by another process; try again in a moment") from error
        hint = next((hint for word, hint in _HINTS if word in str(error)), "`analyzer doctor` checks it")
        what = "cannot be written" if "readonly" in str(error) else "failed"
        raise StoreError(f"the store {path} {what}: {error}; {hint}") from error
    except sqlite3.IntegrityError as error:
        raise StoreError(f"the store {path} refused what was written: {error}; nothing of it was kept") from error
    except sqlite3.DatabaseError as error:
        hint = "move it away, or restore it from a backup"
        raise StoreError(f"the store {path} is no sound SQLite file: {error}; {hint}") from error
