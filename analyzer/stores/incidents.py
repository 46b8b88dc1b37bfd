"""The analyst's own memory in a database: incidents, what was said about them, reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from analyzer.errors import NotFoundError
from analyzer.stores.state import Queries, StateDatabase
from analyzer.types.document import incident_document, incident_from_document
from analyzer.types.hearing import heard
from analyzer.types.report import ACTIVE, Incident, Kind, Severity, State
from analyzer.types.sent import Reason, Sent
from analyzer.types.word import Said, Word

_WORD = "id, said, at, who, reason, until"
_SENT = "reason, at, state, severity, observed, kind, figures"
_UNHEARD = "SELECT words.* FROM words JOIN incidents ON incidents.id = words.incident WHERE words.id > incidents.heard"
_STATES = ", ".join(repr(state.value) for state in sorted(ACTIVE))
_MAYBE_ACTIVE = f"(state IN ({_STATES}) OR id IN (SELECT incident FROM ({_UNHEARD}) AS unheard))"  # noqa: S608 - own text
"""What goes on, or may after what was said of it."""


class SqliteIncidents:
    """An `IncidentStore` over the state."""

    def __init__(self, connection: StateDatabase) -> None:
        self._connection = connection

    def incidents(self, *, active_only: bool = False) -> list[Incident]:
        """See `IncidentStore.incidents`."""
        query = f"SELECT document, heard, id FROM incidents WHERE {_MAYBE_ACTIVE if active_only else 'TRUE'}"  # noqa: S608 - own text
        with self._connection.reading() as raw:
            rows = raw.execute(f"{query} ORDER BY opened_at DESC, id").fetchall()
            unheard = _unheard(raw)
        found = [_form(document, seen, unheard.get(name, ())) for document, seen, name in rows]
        return [one for one in found if not active_only or one.state in ACTIVE]

    def incident(self, prefix: str) -> Incident:
        """See `IncidentStore.incident`."""
        with self._connection.reading() as raw:
            return _one(raw, prefix)

    def say(self, prefix: str, word: Word) -> Incident:
        """See `IncidentStore.say`."""
        until = None if word.until is None else word.until.isoformat()
        with self._connection.writing() as raw:
            name = _one(raw, prefix).id
            raw.execute(
                "INSERT INTO words (incident, said, at, who, reason, until) VALUES (?, ?, ?, ?, ?, ?)",
                (name, word.said.value, word.at.isoformat(), word.by, word.reason, until),
            )
            return _one(raw, name)

    def amend(self, prefix: str, change: Callable[[Incident], Incident]) -> Incident:
        """Keep what `change` makes of an incident between two runs; return it as it stands. Raises NotFoundError.

        It is given the form that the last run kept: words said since are still heard by the next one.
        """
        with self._connection.writing() as raw:
            name = _one(raw, prefix).id
            kept = raw.execute("SELECT document FROM incidents WHERE id = ?", (name,)).fetchone()[0]
            document = incident_document(change(incident_from_document(json.loads(kept))))
            raw.execute(
                "UPDATE incidents SET document = ? WHERE id = ?", (json.dumps(document, ensure_ascii=False), name)
            )
            return _one(raw, name)

    def words(self, incident_id: str) -> list[Word]:
        """See `IncidentStore.words`."""
        with self._connection.reading() as raw:
            rows = raw.execute(f"SELECT {_WORD} FROM words WHERE incident = ? ORDER BY id", (incident_id,)).fetchall()  # noqa: S608 - own text
        return [_word(row) for row in rows]

    def latest_run_at(self) -> datetime | None:
        """See `IncidentStore.latest_run_at`. A run that was killed has kept incidents, but no report."""
        query = "SELECT max(at) FROM (SELECT at FROM reports UNION ALL SELECT last_seen_at FROM incidents) AS runs"
        with self._connection.reading() as raw:
            latest = raw.execute(query).fetchone()[0]
        return None if latest is None else datetime.fromisoformat(latest)

    def run_times(self, newest: int) -> list[datetime]:
        """Return the nows of the newest runs whose reports were kept, newest first."""
        with self._connection.reading() as raw:
            rows = raw.execute("SELECT DISTINCT at FROM reports ORDER BY at DESC LIMIT ?", (newest,)).fetchall()
        return [datetime.fromisoformat(at) for (at,) in rows]

    def save_incidents(self, incidents: Sequence[Incident], *, run_trace_id: str) -> None:
        """See `IncidentStore.save_incidents`."""
        with self._connection.writing() as raw:
            raw.executemany(
                "INSERT INTO incidents (id, fingerprint, state, agent, opened_at, last_seen_at, run, document, heard)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
                " fingerprint = excluded.fingerprint, agent = excluded.agent, opened_at = excluded.opened_at,"
                " last_seen_at = excluded.last_seen_at, run = excluded.run, document = excluded.document,"
                " heard = excluded.heard",
                [
                    (
                        incident.id,
                        incident.fingerprint,
                        incident.state.value,
                        incident.subject.agent,
                        incident.opened_at.isoformat(),
                        incident.last_seen_at.isoformat(),
                        run_trace_id,
                        json.dumps(incident_document(incident), ensure_ascii=False),
                        incident.heard,
                    )
                    for incident in incidents
                ],
            )

    def last_sent(self, incident_id: str, route: str) -> Sent | None:
        """See `IncidentStore.last_sent`."""
        query = f"SELECT {_SENT} FROM deliveries WHERE incident = ? AND route = ? ORDER BY id DESC LIMIT 1"  # noqa: S608 - own text
        with self._connection.reading() as raw:
            row = raw.execute(query, (incident_id, route)).fetchone()
        return None if row is None else _sent(row)

    def sent_since(self, route: str, after: datetime) -> list[Sent]:
        """See `IncidentStore.sent_since`."""
        query = f"SELECT {_SENT} FROM deliveries WHERE route = ? AND at > ? ORDER BY id"  # noqa: S608 - own text
        with self._connection.reading() as raw:
            return [_sent(row) for row in raw.execute(query, (route, after.isoformat()))]

    def record_sent(self, route: str, sent: Mapping[str, Sent]) -> None:
        """See `IncidentStore.record_sent`."""
        rows = [
            (
                *(name, route, one.reason.value, one.at.isoformat(), one.state.value, one.severity.value, one.observed),
                *(one.kind, json.dumps(one.figures)),
            )
            for name, one in sent.items()
        ]
        with self._connection.writing() as raw:
            raw.executemany(
                f"INSERT INTO deliveries (incident, route, {_SENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - own text
                rows,
            )

    def save_report(self, run_trace_id: str, document: str, markdown: str, at: datetime) -> None:
        """See `IncidentStore.save_report`."""
        with self._connection.writing() as raw:
            raw.execute(
                "INSERT INTO reports (run, at, document, markdown) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (run) DO UPDATE SET document = excluded.document, markdown = excluded.markdown",
                (run_trace_id, at.isoformat(), document, markdown),
            )

    def latest_report(self) -> tuple[str, str] | None:
        """See `IncidentStore.latest_report`."""
        with self._connection.reading() as raw:
            row = raw.execute("SELECT document, markdown FROM reports ORDER BY id DESC LIMIT 1").fetchone()
        return (str(row[0]), str(row[1])) if row is not None else None


def _one(raw: Queries, prefix: str) -> Incident:
    """Return the incident whose id begins so, as it stands. Raises NotFoundError."""
    wanted = prefix if prefix.startswith("inc-") else f"inc-{prefix}"
    rows = raw.execute(
        "SELECT document, heard, id FROM incidents WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 3",
        (len(wanted), wanted),
    ).fetchall()
    if not rows:
        raise NotFoundError(f"no incident begins with {wanted}; `analyzer incidents list` shows what is there")
    if len(rows) > 1 and rows[0][2] != wanted:
        raise NotFoundError(f"{wanted} is the beginning of several incidents: give more digits")
    document, seen, name = rows[0]
    return _form(document, seen, _unheard(raw).get(name, ()))


def _unheard(raw: Queries) -> Mapping[str, Sequence[Word]]:
    """Return the words that no run has taken into account yet, oldest first, by incident."""
    found: dict[str, list[Word]] = {}
    for name, *word in raw.execute(f"SELECT incident, {_WORD} FROM ({_UNHEARD}) AS unheard ORDER BY id"):  # noqa: S608 - own text
        found.setdefault(name, []).append(_word(word))
    return found


def _sent(row: Sequence[Any]) -> Sent:
    reason, at, state, severity, observed, kind, figures = row
    return Sent(
        Reason(reason),
        datetime.fromisoformat(at),
        State(state),
        Severity(severity),
        float(observed),
        None if kind is None else Kind(kind),
        tuple((str(agent), value) for agent, value in json.loads(figures or "[]")),
    )


def _word(row: Sequence[Any]) -> Word:
    number, said, at, who, reason, until = row
    ends = None if until is None else datetime.fromisoformat(until)
    return Word(int(number), Said(said), datetime.fromisoformat(at), who, reason, ends)


def _form(document: str, seen: int, unheard: Sequence[Word]) -> Incident:
    return heard(replace(incident_from_document(json.loads(document)), heard=seen), unheard)
