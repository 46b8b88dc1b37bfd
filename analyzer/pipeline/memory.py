"""The analyst's own memory for the length of one walk: an `IncidentStore` that keeps everything in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from analyzer.errors import NotFoundError
from analyzer.types.document import incident_document, incident_from_document
from analyzer.types.hearing import heard
from analyzer.types.report import ACTIVE, Incident
from analyzer.types.sent import Sent
from analyzer.types.word import Word


class Memory:
    """Incidents as a store gives them back: through their documents, so that a walk over it learns no more."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, Any]] = {}
        self._reports: list[tuple[datetime, str, str]] = []
        self._sent: dict[tuple[str, str], Sent] = {}
        self._words: dict[str, list[Word]] = {}

    def incidents(self, *, active_only: bool = False) -> list[Incident]:
        """See `IncidentStore.incidents`."""
        found = [incident_from_document(document) for document in self._documents.values()]
        found.sort(key=lambda one: one.id)
        found.sort(key=lambda one: one.opened_at, reverse=True)
        return [one for one in found if not active_only or one.state in ACTIVE]

    def incident(self, prefix: str) -> Incident:
        """See `IncidentStore.incident`."""
        wanted = prefix if prefix.startswith("inc-") else f"inc-{prefix}"
        found = sorted(name for name in self._documents if name.startswith(wanted))
        if not found or (len(found) > 1 and found[0] != wanted):
            raise NotFoundError(f"{'no incident' if not found else 'more than one incident'} begins with {wanted}")
        return incident_from_document(self._documents[found[0]])

    def say(self, prefix: str, word: Word) -> Incident:
        """See `IncidentStore.say`. What is kept has heard it at once: there is nobody else."""
        incident = self.incident(prefix)
        said = self._words.setdefault(incident.id, [])
        said.append(replace(word, number=sum(map(len, self._words.values())) + 1))
        after = heard(incident, said[-1:])
        self._documents[incident.id] = incident_document(after)
        return after

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

    def last_sent(self, incident_id: str, route: str) -> Sent | None:
        """See `IncidentStore.last_sent`."""
        return self._sent.get((incident_id, route))

    def record_sent(self, incident_id: str, route: str, sent: Sent) -> None:
        """See `IncidentStore.record_sent`."""
        self._sent[incident_id, route] = sent

    def save_report(self, run_trace_id: str, document: str, markdown: str, at: datetime) -> None:  # noqa: ARG002 - the latest is all that is asked for
        """See `IncidentStore.save_report`."""
        self._reports.append((at, document, markdown))

    def latest_report(self) -> tuple[str, str] | None:
        """See `IncidentStore.latest_report`."""
        return self._reports[-1][1:] if self._reports else None
