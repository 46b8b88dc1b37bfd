"""The analyst's own memory in SQLite: incidents, what was said about them, reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from analyzer.errors import NotFoundError
from analyzer.stores.database import Connection
from analyzer.types.document import incident_document, incident_from_document
from analyzer.types.report import Incident, Severity, State
from analyzer.types.sent import Reason, Sent

_ACTIVE = (State.OPEN, State.ONGOING, State.REGRESSED)


class SqliteIncidents:
    """An `IncidentStore` in the same file as the trajectories."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def incidents(self, *, active_only: bool = False) -> list[Incident]:
        """See `IncidentStore.incidents`."""
        states = _ACTIVE if active_only else tuple(State)
        marks = ",".join("?" * len(states))
        query = f"SELECT document FROM incidents WHERE state IN ({marks}) ORDER BY opened_at DESC, id"  # noqa: S608 - only question marks
        with self._connection.reading() as raw:
            return [incident_from_document(json.loads(row[0])) for row in raw.execute(query, states)]

    def incident(self, prefix: str) -> Incident:
        """See `IncidentStore.incident`."""
        wanted = prefix if prefix.startswith("inc-") else f"inc-{prefix}"
        with self._connection.reading() as raw:
            rows = raw.execute(
                "SELECT id, document FROM incidents WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 3",
                (len(wanted), wanted),
            ).fetchall()
        if not rows:
            raise NotFoundError(f"no incident begins with {wanted}; `analyzer incidents list` shows what is there")
        if len(rows) > 1 and rows[0][0] != wanted:
            raise NotFoundError(f"{wanted} is the beginning of several incidents: give more digits")
        return incident_from_document(json.loads(rows[0][1]))

    def latest_run_at(self) -> datetime | None:
        """See `IncidentStore.latest_run_at`. A run that was killed has kept incidents, but no report."""
        query = "SELECT max(at) FROM (SELECT at FROM reports UNION ALL SELECT last_seen_at FROM incidents)"
        with self._connection.reading() as raw:
            latest = raw.execute(query).fetchone()[0]
        return None if latest is None else datetime.fromisoformat(latest)

    def save_incidents(self, incidents: Sequence[Incident], *, run_trace_id: str) -> None:
        """See `IncidentStore.save_incidents`."""
        with self._connection.writing() as raw:
            raw.executemany(
                "INSERT INTO incidents (id, fingerprint, state, agent, opened_at, last_seen_at, run, document)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
                " fingerprint = excluded.fingerprint, agent = excluded.agent, opened_at = excluded.opened_at,"
                " last_seen_at = excluded.last_seen_at, run = excluded.run, document = excluded.document",
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
                    )
                    for incident in incidents
                ],
            )

    def last_sent(self, incident_id: str, route: str) -> Sent | None:
        """See `IncidentStore.last_sent`."""
        with self._connection.reading() as raw:
            row = raw.execute(
                "SELECT reason, at, state, severity, observed FROM deliveries WHERE incident = ? AND route = ?"
                " ORDER BY id DESC LIMIT 1",
                (incident_id, route),
            ).fetchone()
        if row is None:
            return None
        return Sent(Reason(row[0]), datetime.fromisoformat(row[1]), State(row[2]), Severity(row[3]), float(row[4]))

    def record_sent(self, incident_id: str, route: str, sent: Sent) -> None:
        """See `IncidentStore.record_sent`."""
        values = (sent.reason.value, sent.at.isoformat(), sent.state.value, sent.severity.value, sent.observed)
        with self._connection.writing() as raw:
            raw.execute(
                "INSERT INTO deliveries (incident, route, reason, at, state, severity, observed)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (incident_id, route, *values),
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
