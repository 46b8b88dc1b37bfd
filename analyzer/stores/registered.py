"""What somebody said of agents: whose each is, whom to ask, what it is for.

Masked as everything is, but for a mail address that stands alone: it was given to be shown.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from analyzer.errors import UsageError
from analyzer.masking import Masker
from analyzer.stores.state import StateDatabase
from analyzer.types.agents import Entry
from analyzer.types.document import time_text

NAME_CHARS_MAX = 255
TEXT_CHARS_MAX = 500
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")


class SqliteRegistered:
    """Entries of agents, over the state."""

    def __init__(self, connection: StateDatabase, masker: Masker) -> None:
        self._connection = connection
        self._masker = masker

    def register(
        self,
        agent: str,
        at: datetime,
        *,
        owner: str | None = None,
        contact: str | None = None,
        description: str | None = None,
    ) -> Entry:
        """Keep what is said of an agent and return all that is known; None leaves what was said before, "" takes it.

        Raises UsageError for a name that none has, StoreError.
        """
        # As in the spans, where names are masked too.
        name = self._masker.text(" ".join(agent.split()))
        if not name or len(name) > NAME_CHARS_MAX:
            raise UsageError(f"name the agent as its spans do: 1 to {NAME_CHARS_MAX} characters")
        with self._connection.writing() as raw:
            known = self._one(raw.execute(f"{_ALL} WHERE agent = ?", (name,)).fetchone()) or Entry(name)
            entry = replace(
                known,
                owner=known.owner if owner is None else self._shown(owner),
                contact=known.contact if contact is None else self._shown(contact),
                description=known.description if description is None else self._said(self._masker.text(description)),
                at=at,
            )
            row = (entry.agent, entry.owner, entry.contact, entry.description, time_text(at))
            raw.execute(_KEEP, row)
        return entry

    def all(self) -> dict[str, Entry]:
        """Return every entry by its agent, sorted. Raises StoreError."""
        with self._connection.reading() as raw:
            entries = [self._one(row) for row in raw.execute(f"{_ALL} ORDER BY agent")]
        return {one.agent: one for one in entries if one is not None}

    def owners(self) -> dict[str, str]:
        """Return whose each agent is, where somebody said. Raises StoreError."""
        with self._connection.reading() as raw:
            return dict(raw.execute("SELECT agent, owner FROM registered WHERE owner != '' ORDER BY agent"))

    def _shown(self, text: str) -> str:
        said = self._said(text)
        return said if _ADDRESS.fullmatch(said) else self._said(self._masker.text(said))

    @staticmethod
    def _said(text: str) -> str:
        return " ".join(text.split())[:TEXT_CHARS_MAX]

    @staticmethod
    def _one(row: tuple[str, str, str, str, str] | None) -> Entry | None:
        if row is None:
            return None
        agent, owner, contact, description, at = row
        return Entry(agent, owner, contact, description, datetime.fromisoformat(at))


_KEEP = (
    "INSERT INTO registered (agent, owner, contact, description, at) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (agent) DO UPDATE SET owner = excluded.owner, contact = excluded.contact,"
    " description = excluded.description, at = excluded.at"
)
_ALL = "SELECT agent, owner, contact, description, at FROM registered"
