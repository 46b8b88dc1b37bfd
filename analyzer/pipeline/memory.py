"""The analyst's own memory for the length of one walk: an `IncidentStore` that keeps everything in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from analyzer.errors import NotFoundError
from analyzer.stores.base import IncidentStore
from analyzer.triage import as_of
from analyzer.types.document import incident_document, incident_from_document
from analyzer.types.hearing import heard
from analyzer.types.report import ACTIVE, Incident
from analyzer.types.sent import Sent
from analyzer.types.word import Word

_BEFORE = timedelta(microseconds=1)


class Memory:
    """Incidents as a store gives them back: through their documents, so that a walk over it learns no more."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, Any]] = {}
        self._reports: list[tuple[datetime, str, str]] = []
        self._sent: list[tuple[str, str, Sent]] = []
        self._words: dict[str, list[Word]] = {}
        self._heard: dict[str, int] = {}

    def incidents(self, *, active_only: bool = False) -> list[Incident]:
        """See `IncidentStore.incidents`."""
        found = [self._form(name) for name in self._documents]
        found.sort(key=lambda one: one.id)
        found.sort(key=lambda one: one.opened_at, reverse=True)
        return [one for one in found if not active_only or one.state in ACTIVE]

    def incident(self, prefix: str) -> Incident:
        """See `IncidentStore.incident`."""
        wanted = prefix if prefix.startswith("inc-") else f"inc-{prefix}"
        found = sorted(name for name in self._documents if name.startswith(wanted))
        if not found or (len(found) > 1 and found[0] != wanted):
            raise NotFoundError(f"{'no incident' if not found else 'more than one incident'} begins with {wanted}")
        return self._form(found[0])

    def say(self, prefix: str, word: Word) -> Incident:
        """See `IncidentStore.say`."""
        name = self.incident(prefix).id
        number = sum(map(len, self._words.values())) + 1
        self._words.setdefault(name, []).append(replace(word, number=number))
        return self._form(name)

    def words(self, incident_id: str) -> list[Word]:
        """See `IncidentStore.words`."""
        return list(self._words.get(incident_id, ()))

    def latest_run_at(self) -> datetime | None:
        """See `IncidentStore.latest_run_at`."""
        seen = [incident.last_seen_at for incident in self.incidents()]
        return max([*seen, *(at for at, _, _ in self._reports)], default=None)

    def save_incidents(self, incidents: Sequence[Incident], *, run_trace_id: str) -> None:  # noqa: ARG002 - nobody asks for it
        """See `IncidentStore.save_incidents`."""
        self._documents.update({incident.id: incident_document(incident) for incident in incidents})
        self._heard.update({incident.id: incident.heard for incident in incidents})

    def last_sent(self, incident_id: str, route: str) -> Sent | None:
        """See `IncidentStore.last_sent`."""
        said = (one for name, where, one in reversed(self._sent) if (name, where) == (incident_id, route))
        return next(said, None)

    def sent_since(self, route: str, after: datetime) -> list[Sent]:
        """See `IncidentStore.sent_since`."""
        return [one for _, where, one in self._sent if where == route and one.at > after]

    def record_sent(self, route: str, sent: Mapping[str, Sent]) -> None:
        """See `IncidentStore.record_sent`."""
        self._sent += [(name, route, one) for name, one in sent.items()]

    def save_report(self, run_trace_id: str, document: str, markdown: str, at: datetime) -> None:  # noqa: ARG002 - the latest is all that is asked for
        """See `IncidentStore.save_report`."""
        self._reports.append((at, document, markdown))

    def latest_report(self) -> tuple[str, str] | None:
        """See `IncidentStore.latest_report`."""
        return self._reports[-1][1:] if self._reports else None

    def _form(self, name: str) -> Incident:
        kept = replace(incident_from_document(self._documents[name]), heard=self._heard[name])
        return heard(kept, self._words.get(name, ()))


def remembered_before(store: IncidentStore, at: datetime) -> Memory:
    """Return a memory of what was known before a run at `at`, as far as it is still told: to do that run once more."""
    memory = Memory()
    memory.save_incidents(as_of(store.incidents(), at - _BEFORE), run_trace_id="")
    return memory
