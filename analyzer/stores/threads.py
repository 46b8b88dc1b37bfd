"""Which message of a chat began the thread of an incident: what is said later goes there."""

from __future__ import annotations

from analyzer.stores.state import StateDatabase
from analyzer.types.sent import Thread


class SqliteThreads:
    """The threads of one route, over the state."""

    def __init__(self, connection: StateDatabase, route: str) -> None:
        self._connection = connection
        self._route = route

    def thread(self, incident_id: str) -> Thread | None:
        """Return the thread of an incident; None where there is none yet. Raises StoreError."""
        query = "SELECT channel, channel_id, ts, said FROM chat_threads WHERE incident = ? AND route = ?"
        with self._connection.reading() as raw:
            row = raw.execute(query, (incident_id, self._route)).fetchone()
        return None if row is None else Thread(*row)

    def keep(self, incident_id: str, thread: Thread) -> None:
        """Remember the thread of an incident in place of an earlier one. Raises StoreError."""
        with self._connection.writing() as raw:
            raw.execute(
                "INSERT INTO chat_threads (incident, route, channel, channel_id, ts, said) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (incident, route) DO UPDATE SET channel = excluded.channel,"
                " channel_id = excluded.channel_id, ts = excluded.ts, said = excluded.said",
                (incident_id, self._route, thread.channel, thread.channel_id, thread.ts, thread.said),
            )
