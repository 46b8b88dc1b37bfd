"""Trajectories into metrics: each is counted when it is finished, and what comes late adds what it brings.

A write only notes which trajectories it touched. Who wants the metrics counts what was noted, so a scrape costs what is
new and not what is stored. What a trajectory has added is remembered while spans of it may still come: counted again,
it adds the difference, and never takes away. Deleting trajectories changes no sum, and one that is read in again after
that adds nothing that it has added before.

A span may come again with another model, tool or duration. What it added under its first name cannot be taken from a
counter, so it stays there, and under the new one a trajectory adds no more than all its spans together have become
more: sums over models and tools are right, and a span counts once.

What began more than `LATE_S` before it arrives is history that is read in, and is not counted: a month of it in one
scrape would look like the dearest minute that the fleet ever had.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import orjson

from analyzer.stores import measures
from analyzer.stores.database import Connection
from analyzer.stores.measures import Key
from analyzer.stores.rollups import NS, SETTLED_S
from analyzer.stores.summaries import OWN_AGENT
from analyzer.types import measures as families
from analyzer.types.measures import FAMILIES, SAME_CALLS_MIN, SUM, Amount, Exemplar, Shape, observed
from analyzer.types.trace import Outcome

LATE_S = 2 * 86_400
"""Longer than a nightly import needs, and longer than agents run."""
CALM_S = 30
"""A finished trajectory is counted when it was left alone for this long: exporters send every few seconds, and parts of
one trace may come from several of them."""
BUILD_S = 3600
"""A version runs for as long as a trajectory of it was counted within this time."""
_AT_ONCE = 200
"""Trajectories counted in one transaction: some tens of milliseconds."""

_DUE = (
    "SELECT u.trajectory, t.agent, t.trace_id, t.version, t.outcome, t.steps, t.retries, t.truncated, t.start_ns,"  # noqa: S608 - own numbers
    " t.end_ns FROM uncounted u LEFT JOIN trajectories t ON t.id = u.trajectory"
    f" WHERE (u.touched_s <= ?1 - {CALM_S} AND t.complete) OR u.touched_s <= ?1 - {SETTLED_S} OR t.id IS NULL"
    f" LIMIT {_AT_ONCE}"
)
_MODELS = (
    "SELECT trajectory, COALESCE(model, 'unknown'), TOTAL(input_tokens), TOTAL(output_tokens), SUM(cost_usd),"
    " SUM(input_tokens IS NOT NULL AND cost_usd IS NULL) FROM spans WHERE trajectory IN ({marks})"
    " AND operation IN ('chat', 'embeddings') AND repeated = 0 GROUP BY 1, 2"
)
_TOOLS = (
    "SELECT trajectory, tool, (end_ns - start_ns) / 1e9, status = 'error', cost_usd FROM spans"
    " WHERE trajectory IN ({marks}) AND operation = 'execute_tool' AND repeated = 0 AND tool IS NOT NULL"
)
_SAME_CALLS = (
    "SELECT DISTINCT trajectory FROM (SELECT trajectory FROM spans WHERE trajectory IN ({marks})"  # noqa: S608 - own number
    " AND operation = 'execute_tool' AND repeated = 0 AND COALESCE(input, input_hash) IS NOT NULL"
    f" GROUP BY trajectory, tool, COALESCE(input, input_hash) HAVING COUNT(*) >= {SAME_CALLS_MIN})"
)
"""A text is stored once, so calls with the same arguments have the same reference; of one elsewhere there is a hash."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one pass of counting did."""

    trajectories: int
    waiting: int
    """That are under way, or came too late for this pass."""


def note(raw: sqlite3.Connection, touched: Iterable[tuple[int, int | None]], at_s: float) -> None:
    """Note trajectories that a write touched, by row id and the latest time in it. Called in its transaction."""
    oldest = (at_s - LATE_S) * NS
    fresh = [(owner, int(at_s)) for owner, latest_ns in touched if latest_ns is not None and latest_ns >= oldest]
    raw.executemany("INSERT OR REPLACE INTO uncounted VALUES (?, ?)", fresh)


def leave(raw: sqlite3.Connection, owners: Sequence[tuple[int, str]]) -> None:
    """Let go of trajectories that are deleted, by row id and trace id: their row ids may be given to others.

    What they have added is kept by their trace ids for as long as spans of them would be counted.
    """
    for owner, trace_id in owners:
        raw.execute("UPDATE OR REPLACE counted SET trajectory = ? WHERE trajectory = ?", (_absent(trace_id), owner))
    raw.executemany("DELETE FROM uncounted WHERE trajectory = ?", [(owner,) for owner, _ in owners])


def _absent(trace_id: str) -> int:
    """Return the key of a trajectory that has no row: below 0, where no row id is, and the same for the same trace."""
    return -1 - (int.from_bytes(blake2b(trace_id.encode(), digest_size=8).digest()) >> 1)


def count(connection: Connection, at_s: float, *, seconds: float = 1.0) -> Counted:
    """Count what is finished, for some seconds at most; the rest is left to the next pass. Raises StoreError.

    Short transactions, so that the receiver's writes are not held up.
    """
    until = time.monotonic() + seconds
    done = 0
    while True:
        with connection.writing() as raw:
            due = [_Due(*row) for row in raw.execute(_DUE, (int(at_s),))]
            if due:
                _count(raw, due, at_s)
            else:
                _tidy(raw, at_s)
        done += len(due)
        if not due or time.monotonic() >= until:
            break
    with connection.reading() as raw:
        waiting = int(raw.execute("SELECT COUNT(*) FROM uncounted").fetchone()[0])
    return Counted(done, waiting)


@dataclass(frozen=True, slots=True)
class _Due:
    """A trajectory that is to be counted: its row, of which nothing is left where it was deleted."""

    owner: int
    agent: str | None
    trace_id: str
    version: str | None
    outcome: str
    steps: int
    retries: int
    truncated: int
    start_ns: int | None
    end_ns: int | None

    @property
    def began_s(self) -> int:
        """When it began, or else ended, in Unix seconds."""
        return (self.start_ns or self.end_ns or 0) // NS

    def amounts(self) -> Iterator[Amount]:
        """Yield what it counts for as a whole."""
        agent = self.agent or ""
        # What did not happen is said too: a rate wants a series that stood at 0 before the first event.
        for outcome in Outcome:
            yield Amount(families.TRAJECTORIES.name, (agent, outcome.value), float(outcome.value == self.outcome))
        yield from observed(families.STEPS, (agent,), self.steps)
        if self.start_ns is not None and self.end_ns is not None and self.end_ns > self.start_ns:
            yield from observed(families.SECONDS, (agent,), (self.end_ns - self.start_ns) / NS)
        yield Amount(families.RETRIES.name, (agent,), float(self.retries))
        yield Amount(families.RETRIED.name, (agent,), float(self.retries > 0))
        yield Amount(families.TRUNCATED.name, (agent,), float(self.truncated > 0))
        if self.version:
            yield Amount(families.BUILD.name, (agent, self.version), 1.0)


def _count(raw: sqlite3.Connection, due: Sequence[_Due], at_s: float) -> None:
    # What is deleted has no agent any more; the analyst's own runs have metrics of their own.
    kept = {one.owner: one for one in due if one.agent not in {None, OWN_AGENT} and one.began_s >= at_s - LATE_S}
    before = _before(raw, kept)
    for owner, known in before.items():
        # A root that comes late may name another agent: all of a trajectory stays with the one it was counted for.
        kept[owner] = replace(kept[owner], agent=next(iter(known))[1][0])
    sums = {owner: _summed(one.amounts()) for owner, one in kept.items()}
    for owner, amount in _of_spans(raw, kept):
        _add_to(sums[owner], amount)
    fresh: list[Amount] = []
    bodies = []
    for owner, own in sums.items():
        past = before.get(owner)
        new = list(_fresh(own, past, kept[owner].trace_id, at_s))
        added = dict(past or {})
        for amount in new:
            _add_to(added, amount)
        fresh += new
        body = [[name, *labels, value] for (name, labels), value in added.items() if value]
        bodies.append((owner, kept[owner].began_s, orjson.dumps(body)))
    measures.add(raw, fresh, at_s)
    raw.executemany("INSERT OR REPLACE INTO counted VALUES (?, ?, ?)", bodies)
    raw.executemany("DELETE FROM uncounted WHERE trajectory = ?", [(one.owner,) for one in due])


def _before(raw: sqlite3.Connection, kept: Mapping[int, _Due]) -> dict[int, dict[Key, float]]:
    """Return by row id what trajectories have added before, those too that were deleted since and read in again."""
    owners = {owner: owner for owner in kept} | {_absent(one.trace_id): owner for owner, one in kept.items()}
    marks = ",".join("?" * len(owners))
    query = f"SELECT trajectory, body FROM counted WHERE trajectory IN ({marks})"  # noqa: S608 - only question marks
    found = raw.execute(query, list(owners)).fetchall()
    raw.executemany("DELETE FROM counted WHERE trajectory = ?", [(key,) for key, _ in found if key < 0])
    return {owners[key]: dict(_keyed(orjson.loads(body))) for key, body in found}


def _of_spans(raw: sqlite3.Connection, owners: Mapping[int, _Due]) -> Iterator[tuple[int, Amount]]:
    """Yield by row id what the calls of models and tools add."""
    marks, given = ",".join("?" * len(owners)), list(owners)
    for owner, model, read, written, cost, unpriced in raw.execute(_MODELS.format(marks=marks), given):
        agent = owners[owner].agent or ""
        yield owner, Amount(families.TOKENS.name, (agent, model, "input"), read)
        yield owner, Amount(families.TOKENS.name, (agent, model, "output"), written)
        yield owner, Amount(families.COST.name, (agent, model), cost or 0.0)
        yield owner, Amount(families.UNPRICED.name, (agent, model), unpriced or 0.0)
    for owner, tool, took_s, failed, cost in raw.execute(_TOOLS.format(marks=marks), given):
        labels = (owners[owner].agent or "", tool)
        if took_s is not None and took_s >= 0:
            for amount in observed(families.TOOL_SECONDS, labels, took_s):
                yield owner, amount
        yield owner, Amount(families.TOOL_FAILURES.name, labels, float(failed))
        if cost is not None:
            yield owner, Amount(families.TOOL_COST.name, labels, cost)
    looping = {owner for (owner,) in raw.execute(_SAME_CALLS.format(marks=marks), given)}
    for owner, one in owners.items():
        yield owner, Amount(families.LOOPED.name, (one.agent or "",), float(owner in looping))


def _fresh(own: Mapping[Key, float], known: Mapping[Key, float] | None, trace_id: str, at_s: float) -> Iterator[Amount]:
    """Yield what a trajectory adds beyond what it has added before (None: nothing)."""
    room: dict[Key, float] = {}
    for sums, sign in ((own, 1.0), (known or {}, -1.0)):
        for key, value in sums.items():
            room[_pot(key)] = room.get(_pot(key), 0.0) + sign * value
    for (name, labels), value in own.items():
        family = FAMILIES[name]
        if family.shape is Shape.GAUGE or known is None:
            more = value
        elif family.once:
            continue
        else:
            pot = _pot((name, labels))
            more = min(value - known.get((name, labels), 0.0), room[pot])
            room[pot] -= max(more, 0.0)
        if more >= 0:
            shown = Exemplar(trace_id, value, at_s) if more and labels[-1] != SUM else None
            yield Amount(name, labels, more, shown)


def _pot(key: Key) -> Key:
    """Return what a sample is a part of, whatever the model, the tool and the bucket are called."""
    name, labels = key
    given = zip(FAMILIES[name].labels, labels, strict=False)
    kind = SUM if FAMILIES[name].shape is Shape.HISTOGRAM and labels[-1] == SUM else ""
    return name, (kind, *(value for label, value in given if label not in measures.VALUES_MAX))


def _summed(amounts: Iterator[Amount]) -> dict[Key, float]:
    sums: dict[Key, float] = {}
    for amount in amounts:
        _add_to(sums, amount)
    return sums


def _add_to(sums: dict[Key, float], amount: Amount) -> None:
    key = (amount.name, amount.labels)
    sums[key] = sums.get(key, 0.0) + amount.value


def _keyed(body: Sequence[Sequence[Any]]) -> Iterator[tuple[Key, float]]:
    for name, *labels, value in body:
        yield (name, tuple(labels)), value


def _tidy(raw: sqlite3.Connection, at_s: float) -> None:
    """Forget what no span can change any more, and what was not heard of for long."""
    raw.execute("DELETE FROM counted WHERE began_s < ?", (int(at_s - LATE_S),))
    measures.forget_idle(raw, at_s)
    raw.execute("DELETE FROM measures WHERE name = ? AND touched_s < ?", (families.BUILD.name, at_s - BUILD_S))
