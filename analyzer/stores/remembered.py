"""What a run leaves to the next one so that it has less to do: nothing that could not be worked out again."""

from __future__ import annotations

from analyzer.stores.database import Connection


class SqliteRemembered:
    """Bodies by name, in the same file as the trajectories."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, name: str) -> bytes | None:
        """Return what was kept under a name. Raises StoreError."""
        with self._connection.reading() as raw:
            row = raw.execute("SELECT value FROM meta WHERE name = ?", (f"remembered {name}",)).fetchone()
        return None if row is None else bytes(row[0])

    def keep(self, name: str, body: bytes) -> None:
        """Keep a body in place of the one before. Raises StoreError."""
        with self._connection.writing() as raw:
            raw.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"remembered {name}", body))
