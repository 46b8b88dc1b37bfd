"""Verdicts on the steps of trajectories, kept beside them: what was seen once need not be read again.

A run looks at a day, and the next one an hour later at nearly the same day. What a trajectory said is settled once it
has ended: which loops are in it, or that there are none, is noted here, with the program that says so, and forgotten
when the trajectory changes (`forget`, in the transaction that writes its spans). Reading costs as much as the texts are
long, and where they lie in another database they come from there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from analyzer.errors import StoreError
from analyzer.stores.prepared import Masking
from analyzer.types.loops import Looked, Loop, Suspect
from analyzer.types.steps import Step

if TYPE_CHECKING:
    from analyzer.stores.database import Connection

_CHUNK = 500
_STEPS = 1
"""Where a state has the number of steps."""
REPEATS_MIN = 3
"""The loop rules need a tool or a reply at least this often."""
SUSPECTS_MAX = 5_000
"""Trajectories of one window that are judged: those that repeat most."""


class Judge(Protocol):
    """Who looks at the steps of a trajectory."""

    @property
    def program(self) -> bytes | None:
        """What tells this judge, and all that steps are made by, from others; None where nobody can tell."""

    def look(self, steps: Sequence[Step]) -> Looked:
        """Return what there is to see in these steps."""


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

    def known(self, trace_ids: Sequence[str]) -> dict[str, Looked]:
        """Return what is known of trajectories. Raises StoreError."""
        found: dict[str, Looked] = {}
        if self._rules is None:
            return found
        with self._connection.reading() as raw:
            for start in range(0, len(trace_ids), _CHUNK):
                chunk = trace_ids[start : start + _CHUNK]
                query = (
                    "SELECT trace_id, seen FROM trajectories t JOIN looked l ON l.trajectory = t.id"  # noqa: S608 - question marks
                    f" WHERE l.rules = ? AND trace_id IN ({_marks(chunk)})"
                )
                found.update((trace_id, _read(seen)) for trace_id, seen in raw.execute(query, (self._rules, *chunk)))
        return found

    def judged(
        self, trace_ids: Sequence[str], read: Callable[[Sequence[str]], Mapping[str, tuple[Step, ...]]]
    ) -> dict[str, Suspect]:
        """Return some hundred trajectories, with their steps where there is something to see in them; that is noted.

        Not noted is what was written while they were read, what was seen in a part of a trajectory, or in more of it
        than is here, and anything in a store that takes nothing. What was noted of one that is gone is forgotten; where
        none at all can be read, they may come again.
        """
        if self._judge is None:
            return {trace_id: Suspect(own, None) for trace_id, own in read(trace_ids).items()}
        before = self._states(trace_ids) if self.is_noting else {}
        steps = read(trace_ids)
        found = {trace_id: _suspect(own, self._judge.look(own)) for trace_id, own in steps.items()}
        if found and self.is_noting:
            seen = {trace_id: one.looked for trace_id, one in found.items() if one.looked is not None}
            known = self.known(trace_ids)
            other = {one: state for one, state in before.items() if known.get(one) != seen.get(one)}
            sure = {one: seen[one] for one in other if one in seen and _is_sure(steps[one], seen[one], before[one])}
            with suppress(StoreError):
                self._note(other, sure)
        return found

    def _states(self, trace_ids: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Return row id, steps, spans and the sum of their digests: it is another one where a span came or changed."""
        query = (
            "SELECT trace_id, id, steps, COUNT(*), SUM(digest >> 16)"  # noqa: S608 - question marks
            " FROM trajectories t JOIN spans s ON s.trajectory = t.id"
            f" WHERE trace_id IN ({_marks(trace_ids)}) GROUP BY trace_id"
        )
        with self._connection.reading() as raw:
            return {row[0]: tuple(row[1:]) for row in raw.execute(query, list(trace_ids))}

    def _note(self, states: Mapping[str, tuple[int, ...]], looked: Mapping[str, Looked]) -> None:
        """Forget what was noted of trajectories, and note what was seen: as far as they are as they were."""
        if not states:
            return
        with self._connection.writing() as raw:
            now = self._states(list(states))
            same = {trace_id: state[0] for trace_id, state in states.items() if now.get(trace_id) == state}
            forget(raw, same.values())
            raw.executemany(
                "INSERT INTO looked VALUES (?, ?, ?)",
                [(same[trace_id], self._rules, _written(one)) for trace_id, one in looked.items() if trace_id in same],
            )


def forget(raw: sqlite3.Connection, owners: Iterable[int]) -> None:
    """Forget what was said of trajectories, by row id: they change, or go. Called in that transaction."""
    raw.executemany("DELETE FROM looked WHERE trajectory = ?", [(owner,) for owner in owners])


def _suspect(steps: tuple[Step, ...], looked: Looked) -> Suspect:
    return Suspect(() if looked.is_quiet else steps, looked)


def _is_sure(steps: Sequence[Step], looked: Looked, state: tuple[int, ...]) -> bool:
    """Tell whether what was seen in steps is what the store knows of, and may be noted.

    Spans of services that are not followed are steps as well, but nobody hears of those that come later: that nothing
    repeats is noted all the same, for else such trajectories would be read by every run.
    """
    return len(steps) == state[_STEPS] or (looked.is_quiet and len(steps) > state[_STEPS])


def _written(looked: Looked) -> str | None:
    """Return what was seen as JSON, in which half a character pair may stand; None for nothing."""
    return None if looked.is_quiet else json.dumps([looked.polls, [astuple(loop) for loop in looked.loops]])


def _read(seen: str | None) -> Looked:
    """Return what `_written` wrote, where tuples became lists: the same program did, or it is not asked for."""
    if seen is None:
        return Looked()
    polls, loops = json.loads(seen)
    return Looked(tuple(map(_loop, loops)), polls)


def _loop(row: Sequence[object]) -> Loop:
    return Loop(*(tuple(part) if isinstance(part, list) else part for part in row))  # type: ignore[arg-type]


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))
