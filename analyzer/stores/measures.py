"""Metrics kept in the store: sums that only grow, whatever process adds to them and whatever is deleted meanwhile.

One row a sample, a few thousand at most: reading all of them costs the same with a thousand trajectories stored as with
a million. The values of labels come from traces, so they are bounded: what comes after the last one that is told apart
is added to `other`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from analyzer.stores.database import Connection
from analyzer.types.measures import FAMILIES, OTHER, Amount, Exemplar, Family, Shape

AGENTS_MAX = 200
VALUES_MAX: Mapping[str, int] = {"model": 20, "tool": 40, "version": 50, "route": 20, "kind": 50}
"""Values of a label that are told apart, of each agent by itself."""
LABEL_CHARACTERS_MAX = 120
IDLE_S = 30 * 86_400
"""An agent that was not heard of for this long makes room; should it come back it begins at 0, as after a restart."""

Key = tuple[str, tuple[str, ...]]
"""Name of the family, and the values of its labels."""


class SqliteMeasures:
    """The metrics of one store."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, amounts: Iterable[Amount], at_s: float) -> None:
        """Add to counters and histograms, and set gauges, in one transaction. Raises StoreError."""
        with self._connection.writing() as raw:
            add(raw, amounts, at_s)

    def replace(self, families: Iterable[Family], amounts: Iterable[Amount], at_s: float) -> None:
        """Let gauges stand at these amounts and at no other; series that are not among them end. Raises StoreError."""
        with self._connection.writing() as raw:
            raw.executemany("DELETE FROM measures WHERE name = ?", [(one.name,) for one in families])
            add(raw, amounts, at_s)

    def all(self) -> list[tuple[Amount, float]]:
        """Return every sample and when it changed last, in Unix seconds. Raises StoreError."""
        with self._connection.reading() as raw:
            return read(raw)

    def pushed_as(self, instance: str) -> list[str]:
        """Note under which name figures are pushed from now on; return other names that were used before."""
        with self._connection.writing() as raw:
            row = raw.execute("SELECT value FROM meta WHERE name = 'pushed_as'").fetchone()
            known = json.loads(row[0]) if row is not None else []
            if known != [instance]:
                names = [instance, *(name for name in known if name != instance)][:LEFT_MAX]
                raw.execute("INSERT OR REPLACE INTO meta VALUES ('pushed_as', ?)", (json.dumps(names),))
            return [name for name in known if name != instance]

    def removed(self, instance: str) -> None:
        """Forget a name whose group is gone."""
        with self._connection.writing() as raw:
            row = raw.execute("SELECT value FROM meta WHERE name = 'pushed_as'").fetchone()
            known = [name for name in (json.loads(row[0]) if row is not None else []) if name != instance]
            raw.execute("INSERT OR REPLACE INTO meta VALUES ('pushed_as', ?)", (json.dumps(known),))


LEFT_MAX = 20
"""Names of instances that are remembered until their groups are deleted."""


def read(raw: sqlite3.Connection) -> list[tuple[Amount, float]]:
    """Return every sample of a family that this release knows, and when it changed last."""
    found = []
    query = "SELECT name, labels, value, touched_s, trace_id, exemplar, exemplar_s FROM measures ORDER BY name, labels"
    for name, labels, value, touched_s, trace_id, of, at_s in raw.execute(query):
        if name in FAMILIES:
            exemplar = None if trace_id is None else Exemplar(trace_id, of, at_s)
            found.append((Amount(name, tuple(json.loads(labels)), value, exemplar), touched_s))
    return found


def add(raw: sqlite3.Connection, amounts: Iterable[Amount], at_s: float) -> None:
    """Add amounts. Needs the write lock. What is below 0 or no number is left out: a counter never falls."""
    bounds = Bounds(raw)
    sums: dict[Key, float] = defaultdict(float)
    exemplars: dict[Key, Exemplar] = {}
    for one in amounts:
        if not 0 <= one.value < float("inf"):
            continue
        family = FAMILIES[one.name]
        key = (one.name, bounds.bounded(family, one.labels))
        sums[key] = one.value if family.shape is Shape.GAUGE else sums[key] + one.value
        if one.exemplar is not None and (key not in exemplars or exemplars[key].value <= one.exemplar.value):
            exemplars[key] = one.exemplar
    rows = []
    for (name, labels), value in sums.items():
        shown = exemplars.get((name, labels))
        example = (None, None, None) if shown is None else (shown.trace_id, shown.value, shown.at_s)
        is_gauge = FAMILIES[name].shape is Shape.GAUGE
        rows.append((name, json.dumps(labels, ensure_ascii=False), value, at_s, *example, int(is_gauge)))
    raw.executemany(
        "INSERT INTO measures VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (name, labels) DO UPDATE SET"
        " value = IIF(?8, excluded.value, value + excluded.value), touched_s = excluded.touched_s,"
        " trace_id = COALESCE(excluded.trace_id, trace_id), exemplar = COALESCE(excluded.exemplar, exemplar),"
        " exemplar_s = COALESCE(excluded.exemplar_s, exemplar_s)",
        rows,
    )


def forget_idle(raw: sqlite3.Connection, at_s: float) -> None:
    """End the series of agents that were not heard of for long: all of an agent's at once, so that no sum falls."""
    raw.execute(
        "DELETE FROM measures WHERE name GLOB 'agent_*' AND json_extract(labels, '$[0]') IN ("
        "SELECT json_extract(labels, '$[0]') FROM measures WHERE name GLOB 'agent_*' GROUP BY 1"
        " HAVING MAX(touched_s) < ?)",
        (at_s - IDLE_S,),
    )


class Bounds:
    """Which values of labels have a series of their own: the first that came."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._agents: set[str] = set()
        self._values: dict[tuple[str, str], set[str]] = defaultdict(set)
        for name, labels in raw.execute("SELECT name, labels FROM measures"):
            family = FAMILIES.get(name)
            if family is not None:
                self.bounded(family, json.loads(labels))

    def bounded(self, family: Family, labels: Sequence[str]) -> tuple[str, ...]:
        """Return label values, with `other` for those beyond the bounds."""
        kept: list[str] = []
        owner = ""
        for label, given in zip(family.labels, labels, strict=False):
            value = given[:LABEL_CHARACTERS_MAX]
            if label == "agent":
                value = owner = _among(self._agents, value, AGENTS_MAX)
            elif label in VALUES_MAX:
                value = _among(self._values[owner, label], value, VALUES_MAX[label])
            kept.append(value)
        # Of a histogram the bound follows, which is ours.
        return (*kept, *labels[len(kept) :])


def _among(known: set[str], value: str, most: int) -> str:
    if value in known or value == OTHER:
        return value
    if len(known) >= most:
        return OTHER
    known.add(value)
    return value
