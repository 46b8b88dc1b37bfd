"""Rounds: one run's detection, divided into parts among the instances that share a state in PostgreSQL.

The holder of the turn opens a round and lays out its parts; whoever stands by claims one, and hands in what was found.
A part is known by a digest of all that was looked at (`pipeline.parts`), so that it does not matter who hands it in,
nor how often: the same digest has the same findings. A claim is only a lease that keeps others from the same work. It
is renewed, on the database's own clock, and runs out where its instance died or stands still; and the holder, which
has nothing else left to do, does not wait for it.

Only PostgreSQL is shared by several instances, and so this is the one part of the state that SQLite does not have.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from analyzer.errors import AnalyzerError
from analyzer.stores.state import Queries, StateDatabase
from analyzer.stores.turn import BEAT_S, Process

LEASE_S = 30.0
"""How long a claim stands without being renewed; as long as a turn that stands still (`turn.WATCH_S`)."""
SEEN_S = 3 * BEAT_S
"""Whoever stands by and gave no sign of life for so long is not counted on."""


class Stage(StrEnum):
    """How far a round is."""

    OPEN = "open"
    """The holder loads what it looks at."""
    DIVIDED = "divided"
    """Its parts are there to be claimed."""
    POOLED = "pooled"
    """All that was found is with the holder, which files it."""
    DONE = "done"
    """The run is over: all is filed and told."""


@dataclass(frozen=True, slots=True)
class Round:
    """The round of a run, as others see it."""

    turn: str
    """The token of the turn under which it was opened."""
    at: datetime
    """The run's now."""
    live: bool
    """Whether that is the clock's own."""
    stage: Stage


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What was found in a part."""

    findings: str
    """JSON, see `types.whole`."""
    by: str
    """The machine that found it."""


class Rounds(Protocol):
    """What the holder of the turn asks of a round. Raises StoreError, and StoreBusyError once the turn is another's."""

    def open(self, at: datetime, *, live: bool) -> None:
        """Say that a run at a moment has begun."""

    def has_others(self) -> bool:
        """Tell whether anybody stands by to help, or has left something found in a round that broke off."""

    def divide(self, digests: Sequence[str]) -> None:
        """Lay out the parts; those that were handed in already, in a round that broke off, stay so."""

    def claim(self, digests: Collection[str]) -> str | None:
        """Take the first of these parts that is free and not done, or None."""

    def hand_in(self, digest: str, findings: str) -> bool:
        """Say what was found in a part; return whether nobody had said it yet."""

    def handed_in(self) -> Mapping[str, HandedIn]:
        """Return what is done, by digest."""

    def pool(self) -> None:
        """Say that everything is found."""

    def done(self) -> None:
        """Say that the run is over."""


class NoRounds:
    """Nobody is there to divide anything with."""

    def open(self, at: datetime, *, live: bool) -> None:
        """See `Rounds.open`."""

    def has_others(self) -> bool:  # noqa: D102 - see Rounds
        return False

    def divide(self, digests: Sequence[str]) -> None:
        """See `Rounds.divide`."""

    def claim(self, digests: Collection[str]) -> str | None:  # noqa: ARG002, D102 - see Rounds
        return None

    def hand_in(self, digest: str, findings: str) -> bool:  # noqa: ARG002, D102 - see Rounds
        return True

    def handed_in(self) -> Mapping[str, HandedIn]:  # noqa: D102 - see Rounds
        return {}

    def pool(self) -> None:
        """See `Rounds.pool`."""

    def done(self) -> None:
        """See `Rounds.done`."""


class PostgresRounds:
    """The rounds in a state in PostgreSQL, as one process sees them: the holder of a turn, or one that stands by."""

    def __init__(self, state: StateDatabase, me: Process, turn: str = "", *, lease_s: float = LEASE_S) -> None:
        """`turn` is the token of the turn that this process holds; "" where it stands by."""
        self._state, self._me, self._turn, self._lease_s = state, me, turn, lease_s
        self._name = f"{me.place} {me.pid} {me.started}"

    def open(self, at: datetime, *, live: bool) -> None:
        """See `Rounds.open`. There is one at a time, as there is one turn."""
        with self._state.writing() as raw:
            raw.execute("DELETE FROM rounds WHERE turn <> ?", (self._turn,))
            query = (
                "INSERT INTO rounds (turn, at, live, stage) VALUES (?, ?, ?, ?) ON CONFLICT (turn) DO UPDATE"
                " SET at = excluded.at, live = excluded.live, stage = excluded.stage"
            )
            raw.execute(query, (self._turn, at.astimezone(UTC).isoformat(), int(live), Stage.OPEN))

    def has_others(self) -> bool:
        """See `Rounds.has_others`."""
        with self._state.reading() as raw:
            query = (
                "SELECT 1 WHERE EXISTS (SELECT 1 FROM parts WHERE found IS NOT NULL) OR EXISTS (SELECT 1 FROM helpers"
                " WHERE name <> ? AND seen > clock_timestamp() - ? * INTERVAL '1 second')"
            )
            return raw.execute(query, (self._name, SEEN_S)).fetchone() is not None

    def divide(self, digests: Sequence[str]) -> None:
        """See `Rounds.divide`."""
        with self._state.writing() as raw:
            had = {row[0] for row in raw.execute("SELECT digest FROM parts")}
            raw.executemany("DELETE FROM parts WHERE digest = ?", [(one,) for one in sorted(had.difference(digests))])
            rows = [(digest, number) for number, digest in enumerate(digests)]
            query = (
                "INSERT INTO parts (digest, number) VALUES (?, ?)"
                " ON CONFLICT (digest) DO UPDATE SET number = excluded.number"
            )
            raw.executemany(query, rows)
            self._reach(raw, Stage.DIVIDED)

    def claim(self, digests: Collection[str]) -> str | None:
        """See `Rounds.claim`."""
        with self._state.writing() as raw:
            # Writers take turns, so that nobody else claims what is free here.
            free = (
                "SELECT digest FROM parts WHERE found IS NULL AND (claim IS NULL OR claim = ?"
                " OR expires < clock_timestamp()) ORDER BY number"
            )
            for (digest,) in raw.execute(free, (self._name,)).fetchall():
                if digest in digests:
                    taken = (
                        "UPDATE parts SET claim = ?, expires = clock_timestamp() + ? * INTERVAL '1 second'"
                        " WHERE digest = ?"
                    )
                    raw.execute(taken, (self._name, self._lease_s, digest))
                    return str(digest)
        return None

    def hand_in(self, digest: str, findings: str) -> bool:
        """See `Rounds.hand_in`. Whose claim it was is not asked: a part is known by what was looked at."""
        with self._state.writing() as raw:
            query = "UPDATE parts SET found = ?, found_by = ? WHERE digest = ? AND found IS NULL"
            return raw.execute(query, (findings, self._me.host, digest)).rowcount > 0

    def handed_in(self) -> Mapping[str, HandedIn]:
        """See `Rounds.handed_in`."""
        with self._state.reading() as raw:
            rows = raw.execute("SELECT digest, found, found_by FROM parts WHERE found IS NOT NULL").fetchall()
        return {digest: HandedIn(found, by) for digest, found, by in rows}

    def pool(self) -> None:
        """See `Rounds.pool`."""
        with self._state.writing() as raw:
            self._reach(raw, Stage.POOLED)

    def done(self) -> None:
        """See `Rounds.done`."""
        with self._state.writing() as raw:
            raw.execute("DELETE FROM parts")
            self._reach(raw, Stage.DONE)

    def current(self) -> Round | None:
        """Return the round that was opened last, whatever became of it."""
        with self._state.reading() as raw:
            row = raw.execute("SELECT turn, at, live, stage FROM rounds").fetchone()
        return None if row is None else Round(row[0], datetime.fromisoformat(row[1]), bool(row[2]), Stage(row[3]))

    def stage(self, turn: str) -> Stage | None:
        """Return how far the round of a turn is; None where another one was opened since."""
        found = self.current()
        return None if found is None or found.turn != turn else found.stage

    def laid_out(self) -> Collection[str]:
        """Return the digests of all parts, done or not."""
        with self._state.reading() as raw:
            return {row[0] for row in raw.execute("SELECT digest FROM parts").fetchall()}

    @contextmanager
    def attended(self, beat_s: float = BEAT_S) -> Iterator[None]:
        """Stand by for a block: be counted on, and keep what this process claims, by a thread of its own."""
        over = threading.Event()
        self._beat()

        def renew() -> None:
            while not over.wait(beat_s):
                # A database that is away for long lets the lease run out: others do the work.
                with suppress(AnalyzerError):
                    self._beat()

        thread = threading.Thread(target=renew, name="standing by", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(self._lease_s)
            # Whoever goes without a word is not counted on for long either.
            with suppress(AnalyzerError), self._state.writing() as raw:
                raw.execute("DELETE FROM helpers WHERE name = ?", (self._name,))
                raw.execute("UPDATE parts SET claim = NULL WHERE claim = ? AND found IS NULL", (self._name,))

    def _beat(self) -> None:
        with self._state.writing() as raw:
            query = (
                "INSERT INTO helpers (name, host, seen) VALUES (?, ?, clock_timestamp())"
                " ON CONFLICT (name) DO UPDATE SET seen = excluded.seen"
            )
            raw.execute(query, (self._name, self._me.host))
            raw.execute("DELETE FROM helpers WHERE seen < clock_timestamp() - INTERVAL '1 day'")
            renewed = "UPDATE parts SET expires = clock_timestamp() + ? * INTERVAL '1 second' WHERE claim = ?"
            raw.execute(f"{renewed} AND found IS NULL", (self._lease_s, self._name))

    def _reach(self, raw: Queries, stage: Stage) -> None:
        raw.execute("UPDATE rounds SET stage = ? WHERE turn = ?", (stage, self._turn))
