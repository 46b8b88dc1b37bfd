"""Metrics kept in the store: sums that only grow, whatever process adds to them and whatever is deleted meanwhile.

One row a sample, ROWS_MAX at most: reading all of them costs the same with a thousand trajectories stored as with a
million. The values of labels come from traces, so they are bounded, each by itself and all rows together: what comes
after the last one that is told apart is added to `other`, and how often that was so is a metric too.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from analyzer.stores.database import Connection
from analyzer.types.measures import FAMILIES, FOLDED, OTHER, SUM, Amount, Exemplar, Family, Shape

AGENTS_MAX = 200
VALUES_MAX: Mapping[str, int] = {"model": 20, "tool": 40, "version": 50, "route": 20, "kind": 50}
"""Values of a label that are told apart, of each agent by itself."""
ROWS_MAX = 30_000
"""Of the fleet's families together: agents, models and tools, each within its own bounds, could multiply to more than
100,000. A scrape of so many takes some 0.4 s of processor time and 2 MB of text."""
FAMILY_ROWS_MAX = 12_000
"""Of one family: the seconds of 1,000 pairs of agent and tool, a histogram of twelve rows each."""
AGENT_ROWS = 8_000
"""That only families without models, tools and versions may take: 200 agents need 6,400, which tools must not take."""
OTHER_ROWS = 100
"""That only `other` of `other` takes: the last resort is always there."""
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
        if one.value and one.labels[-1:] != (SUM,) and key[1] != _cut(one.labels):
            sums[FOLDED.name, (one.name,)] += 1.0
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
        self._series: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        """By family; of a histogram without its buckets, which come and stay together."""
        self._rows = 0
        for name, text in raw.execute("SELECT name, labels FROM measures"):
            family = FAMILIES.get(name)
            if family is not None:
                labels = tuple(json.loads(text))
                self._named(family, labels)
                self._take(family, labels[: len(family.labels)])

    def bounded(self, family: Family, labels: Sequence[str]) -> tuple[str, ...]:
        """Return label values, with `other` for those beyond the bounds: of what moves first, then of the agent too."""
        own = self._named(family, labels)
        # Of a histogram the bound follows, which is ours.
        bucket = tuple(labels[len(own) :])
        if "agent" not in family.labels:
            return (*own, *bucket)
        of_agent = tuple(
            OTHER if label in VALUES_MAX else value for label, value in zip(family.labels, own, strict=False)
        )
        last = tuple(
            OTHER if label == "agent" else value for label, value in zip(family.labels, of_agent, strict=False)
        )
        kept = next((one for one in (own, of_agent) if self._has_room(family, one)), last)
        self._take(family, kept)
        return (*kept, *bucket)

    def _has_room(self, family: Family, series: tuple[str, ...]) -> bool:
        known = self._series[family.name]
        if series in known:
            return True
        moves = any(label in VALUES_MAX for label in family.labels)
        most = ROWS_MAX - OTHER_ROWS - (AGENT_ROWS if moves else 0)
        width = _width(family)
        return self._rows + width <= most and (len(known) + 1) * width <= FAMILY_ROWS_MAX - OTHER_ROWS

    def _take(self, family: Family, series: tuple[str, ...]) -> None:
        known = self._series[family.name]
        if "agent" in family.labels and series not in known:
            known.add(series)
            self._rows += _width(family)

    def _named(self, family: Family, labels: Sequence[str]) -> tuple[str, ...]:
        """Return label values, with `other` for those of which there are too many already."""
        kept: list[str] = []
        owner = ""
        for label, given in zip(family.labels, labels, strict=False):
            value = given[:LABEL_CHARACTERS_MAX]
            if label == "agent":
                value = owner = _among(self._agents, value, AGENTS_MAX)
            elif label in VALUES_MAX:
                value = _among(self._values[owner, label], value, VALUES_MAX[label])
            kept.append(value)
        return tuple(kept)


def _width(family: Family) -> int:
    """Return how many rows a series takes: of a histogram one for each bucket, the infinite one, and the sum."""
    return len(family.bounds) + 2 if family.shape is Shape.HISTOGRAM else 1


def _cut(labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(value[:LABEL_CHARACTERS_MAX] for value in labels)


def _among(known: set[str], value: str, most: int) -> str:
    if value in known or value == OTHER:
        return value
    if len(known) >= most:
        return OTHER
    known.add(value)
    return value
