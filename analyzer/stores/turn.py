"""One run at a time: two runs over one store would tell everybody everything twice.

The turn is a lease: a row of the store that its holder renews. No clocks are compared, because those of two machines
may differ by hours: whoever finds the turn taken looks whether it is still being renewed. A holder that is known to be
dead, a process of this machine that is not there any more, is not waited for.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from analyzer.errors import AnalyzerError, StoreBusyError, TurnTakenError
from analyzer.stores.database import BUSY_TIMEOUT_MS, Connection
from analyzer.stores.postgres import PostgresState
from analyzer.stores.state import Queries, StateDatabase

BEAT_S = 5.0
"""Between two renewals."""
WATCH_S = BUSY_TIMEOUT_MS / 1000 + 3 * BEAT_S
"""How long a turn may stand still before its holder counts as dead: a renewal may wait for another writer, and fail."""
_LOOK_S = 0.5
_NAME = "run"


@dataclass(frozen=True, slots=True)
class Process:
    """A process, so that it can be told from every other one and be looked for."""

    what: str
    """What it does, for people: `analyzer run`."""
    host: str
    pid: int
    place: str
    """Where the number means this process: one boot of one machine and one PID namespace; "" where nobody can tell."""
    started: str
    """When it was started, in the kernel's ticks: numbers are given out again."""

    def lives(self) -> bool | None:
        """Return whether it is there; None where that cannot be told from here."""
        if not self.place or self.place != _place():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            # It is another user's, and may be hidden from us: that is no reason to call it dead.
            return True if _started(self.pid) == self.started else None
        return _started(self.pid) == self.started


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the turn."""

    process: Process
    since: datetime
    """By its own clock."""
    token: str
    beats: int
    """How often it was renewed."""

    def __str__(self) -> str:
        """Return who and since when, for people."""
        one = self.process
        return f"{one.what}, process {one.pid} on {one.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


def this_process(what: str) -> Process:
    """Return the running process."""
    pid = os.getpid()
    return Process(what, socket.gethostname(), pid, _place(), _started(pid))


class Turn:
    """The turn while it is held. Renewed in a thread of its own, however long the run takes."""

    def __init__(self, connection: StateDatabase, token: str, *, beat_s: float) -> None:
        self.token = token
        """What tells it from every other turn."""
        self._connection = connection
        self._beat_s = beat_s
        self._over = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="turn", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise StoreBusyError where another run took the turn: this process stood still for too long."""
        if self._lost.is_set():
            why = "this process stood still, and another run took its turn"
            raise StoreBusyError(f"{why} over {self._connection.place}; what was done so far is kept")

    def fence(self, raw: Queries) -> None:
        """Raise StoreBusyError where the turn is another's, asked within the transaction that would write.

        Between a check and a write this process may have stood still for any time; within a transaction nobody else
        can take the turn.
        """
        held = raw.execute("SELECT 1 FROM leases WHERE name = ? AND token = ?", (_NAME, self.token)).fetchone()
        if held is None:
            self._lost.set()
            self.check()

    def give_back(self) -> None:
        """End it."""
        self._over.set()
        self._thread.join(BUSY_TIMEOUT_MS / 1000)
        # One that cannot be given back stands still, and ends with this process.
        with suppress(AnalyzerError), self._connection.writing() as raw:
            raw.execute("DELETE FROM leases WHERE name = ? AND token = ?", (_NAME, self.token))

    def _renew(self) -> None:
        while not self._over.wait(self._beat_s):
            # A store that is busy for long is tried again: until then nobody else can take the turn either.
            with suppress(AnalyzerError), self._connection.writing() as raw:
                query = "UPDATE leases SET beats = beats + 1 WHERE name = ? AND token = ?"
                if not raw.execute(query, (_NAME, self.token)).rowcount:
                    self._lost.set()
                    return


@contextmanager
def alone(
    store: Path,
    what: str = "analyzer run",
    *,
    me: Process | None = None,
    beat_s: float = BEAT_S,
    watch_s: float = WATCH_S,
    or_read: bool = False,
    state: str | None = None,
) -> Iterator[Turn | None]:
    """Hold the turn over a store for a block, or over the state that several share, where its URL is given.

    Raises TurnTakenError where another run has it, StoreError.

    With `or_read` there is no turn, None, where this user may not write the store: nothing can be kept or told twice.

    `what` says for people what the holder does. A holder on this machine that lives is refused at once; one elsewhere
    within some seconds, as soon as it renews its turn. One that does not for `watch_s` is dead, and its turn is taken.
    """
    me = me or this_process(what)
    # A connection of its own: the turn is renewed while the run waits for the other one.
    opened: Connection | PostgresState = Connection(store, or_read=or_read) if state is None else PostgresState(state)
    with closing(opened) as connection:
        if isinstance(connection, Connection) and connection.is_sealed:
            yield None
            return
        turn = Turn(connection, _taken(connection, me, watch_s), beat_s=beat_s)
        try:
            yield turn
        finally:
            turn.give_back()


def holder(connection: StateDatabase) -> Holder | None:
    """Return who has the turn, dead or alive. Raises StoreError."""
    query = "SELECT what, host, pid, place, started, since, token, beats FROM leases WHERE name = ?"
    with connection.reading() as raw:
        row = raw.execute(query, (_NAME,)).fetchone()
    return None if row is None else Holder(Process(*row[:5]), datetime.fromisoformat(row[5]), *row[6:])


def _taken(connection: StateDatabase, me: Process, watch_s: float) -> str:
    """Take the turn and return its token. Raises TurnTakenError."""
    while True:
        held = holder(connection)
        if held is not None:
            _watched(connection, held, watch_s)
        token = secrets.token_hex(8)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        with connection.writing() as raw:
            if held is not None:
                # Only as it was seen: it may have been renewed, or taken by a third one, in between.
                stale = "DELETE FROM leases WHERE name = ? AND token = ? AND beats = ?"
                raw.execute(stale, (_NAME, held.token, held.beats))
            query = (
                "INSERT INTO leases (name, token, what, host, pid, place, started, since, beats)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING"
            )
            values = (_NAME, token, me.what, me.host, me.pid, me.place, me.started, since)
            if raw.execute(query, values).rowcount:
                return token


def _watched(connection: StateDatabase, held: Holder, watch_s: float) -> None:
    """Return once a holder is known to be dead, or has given its turn back. Raises TurnTakenError where it lives."""
    refusal = TurnTakenError(f"another run over {connection.place} is under way: {held}; this one did nothing")
    lives = held.process.lives()
    if lives:
        raise refusal
    if lives is False:
        return
    until = time.monotonic() + watch_s
    while time.monotonic() < until:
        time.sleep(min(_LOOK_S, watch_s))
        now = holder(connection)
        if now is None:
            return
        if (now.token, now.beats) != (held.token, held.beats):
            raise refusal


def _place() -> str:
    """Return where process numbers mean what they mean here; "" on systems without Linux's /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process was started, in ticks since the boot; "" where there is none, or only its remains."""
    try:
        # proc(5): state is the first and starttime the 20th field after the name, which may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""
