"""The registry that is always there: agents as traces show them, with what people said of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from analyzer.errors import NotFoundError
from analyzer.selfwatch.registry.base import Registration
from analyzer.stores.registered import SqliteRegistered
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.agents import KnownAgent
from analyzer.types.named import names_like


def _now() -> datetime:
    return datetime.now(UTC)


class EmbeddedRegistry:
    """A `Registry` in the store of the trajectories."""

    def __init__(self, store: SqliteTrajectories, clock: Callable[[], datetime] = _now) -> None:
        self._store = store
        self._entries = SqliteRegistered(store.state, store.masker)
        self._clock = clock

    def register(self, registration: Registration) -> None:
        """Keep whose an agent is, whom to ask and what it is for; see `Registry.register`."""
        one = registration
        self._entries.register(
            one.name, self._clock(), owner=one.owner, contact=one.contact, description=one.description
        )

    def agents(self) -> list[KnownAgent]:
        """Return every agent that was seen or registered, by name. Raises StoreError."""
        entries = self._entries.all()
        seen = {one.agent: replace(one, entry=entries.get(one.agent)) for one in self._store.inventory()}
        to_come = {
            agent: KnownAgent(agent, None, None, entry=entry, is_seen=False)
            for agent, entry in entries.items()
            if agent not in seen
        }
        return [one for _, one in sorted((seen | to_come).items())]

    def agent(self, name: str) -> KnownAgent:
        """Return one agent. Raises NotFoundError that names those which are called like it, StoreError."""
        known = {one.agent: one for one in self.agents()}
        masked = self._store.masker.text(name)
        if name not in known and masked not in known:
            empty = _EMPTY.format(filled_by=self._store.elsewhere.filled_by)
            raise NotFoundError(f"no agent called '{name}'{names_like(name, known) or empty}")
        return known[name] if name in known else known[masked]


_EMPTY = ": none was seen or registered; {filled_by} brings traces, `analyzer registry register` enters one"
