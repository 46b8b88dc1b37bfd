"""Verdicts on the steps of trajectories, kept beside them: who shows nothing need not be read again.

A run looks at a day, and the next one an hour later at nearly the same day. What a trajectory said is settled once it
has ended: that nothing in it repeats is noted here, with the program that says so, and forgotten when the trajectory
changes (`forget`, in the transaction that writes its spans). Reading costs as much as the texts are long, and where
they lie in another database they come from there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from analyzer.errors import StoreError
from analyzer.stores.prepared import Masking
from analyzer.types.steps import Step

if TYPE_CHECKING:
    from analyzer.stores.database import Connection

_CHUNK = 500
REPEATS_MIN = 3
"""The loop rules need a tool or a reply at least this often."""
SUSPECTS_MAX = 5_000
"""Trajectories of one window that are judged: those that repeat most."""


class Judge(Protocol):
    """Who looks at the steps of a trajectory."""

    @property
    def program(self) -> bytes | None:
        """What tells this judge, and all that steps are made by, from others; None where nobody can tell."""

    def is_quiet(self, steps: Sequence[Step]) -> bool:
        """Tell whether nobody has to see these steps again."""


class Verdicts:
    """What a judge said of trajectories. Without a judge nothing is known, and nothing is noted."""

    def __init__(self, connection: Connection, judge: Callable[[], Judge] | None, masking: Masking) -> None:
        """`judge` is made when it is first needed: most commands judge nothing."""
        self._connection, self._make, self._masking = connection, judge, masking

    @cached_property
    def _judge(self) -> Judge | None:
        return self._make() if self._make is not None else None

    @cached_property
    def _rules(self) -> int | None:
        """Return what verdicts are kept under: what is masked is part of what was judged."""
        program = self._judge.program if self._judge is not None else None
        if program is None:
            return None
        masked = repr((self._masking.patterns, self._masking.allow)).encode()
        return int.from_bytes(blake2b(program + masked, digest_size=8).digest(), signed=True)

    @property
    def is_noting(self) -> bool:
        """Whether there is a judge whose verdicts can be kept."""
        return self._connection.is_writable and self._rules is not None

    def quiet(self, trace_ids: Sequence[str]) -> set[str]:
        """Return those of which it is known that they show nothing. Raises StoreError."""
        found: set[str] = set()
        if self._rules is None:
            return found
        with self._connection.reading() as raw:
            for start in range(0, len(trace_ids), _CHUNK):
                chunk = trace_ids[start : start + _CHUNK]
                query = (
                    "SELECT trace_id FROM trajectories t JOIN quiet q ON q.trajectory = t.id"  # noqa: S608 - question marks
                    f" WHERE q.rules = ? AND trace_id IN ({_marks(chunk)})"
                )
                found.update(row[0] for row in raw.execute(query, (self._rules, *chunk)))
        return found

    def judged(
        self, trace_ids: Sequence[str], read: Callable[[Sequence[str]], Mapping[str, tuple[Step, ...]]]
    ) -> dict[str, tuple[Step, ...]]:
        """Return the steps of some hundred trajectories, and none of those that show nothing, which is noted.

        What was written while they were read is not noted, and neither is anything in a store that takes nothing.
        """
        if self._judge is None:
            return dict(read(trace_ids))
        before = self._states(trace_ids) if self.is_noting else {}
        steps = read(trace_ids)
        quiet = {trace_id for trace_id, own in steps.items() if self._judge.is_quiet(own)}
        with suppress(StoreError):
            self._note({trace_id: state for trace_id, state in before.items() if trace_id in quiet})
        return {trace_id: () if trace_id in quiet else own for trace_id, own in steps.items()}

    def _states(self, trace_ids: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Return row id, number of spans and sum of their digests: it is another one where a span came or changed."""
        query = (
            "SELECT trace_id, id, COUNT(*), SUM(digest >> 16) FROM trajectories t JOIN spans s ON s.trajectory = t.id"  # noqa: S608 - question marks
            f" WHERE trace_id IN ({_marks(trace_ids)}) GROUP BY trace_id"
        )
        with self._connection.reading() as raw:
            return {row[0]: tuple(row[1:]) for row in raw.execute(query, list(trace_ids))}

    def _note(self, states: Mapping[str, tuple[int, ...]]) -> None:
        if not states:
            return
        with self._connection.writing() as raw:
            now = self._states(list(states))
            same = [state[0] for trace_id, state in states.items() if now.get(trace_id) == state]
            raw.executemany("INSERT OR REPLACE INTO quiet VALUES (?, ?)", [(owner, self._rules) for owner in same])


def forget(raw: sqlite3.Connection, owners: Iterable[int]) -> None:
    """Forget what was said of trajectories, by row id: they change, or go. Called in that transaction."""
    raw.executemany("DELETE FROM quiet WHERE trajectory = ?", [(owner,) for owner in owners])


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))
