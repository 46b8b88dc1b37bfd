"""What is kept of incidents and reports, held against what the log says was filed: whoever edits a row is found out.

The log has the hash of each incident and each report as it was kept. A run that is killed halfway is no forgery, so
only what must have been kept is asked for: an incident of a run whose report is in the log, for that is written after
both were kept; and where a killed run may have left another form, that one is right as well.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from analyzer.stores.state import Queries
from analyzer.types.audit import Action, Fault, canonical, digest

_FILED = frozenset({Action.INCIDENT_FILED.value, Action.REPORT_FILED.value})


@dataclass(slots=True)
class _Incident:
    """What the log knows of one incident."""

    number: int = 0
    """The last entry after which it must be there; 0: none."""
    forms: dict[str | None, int] = field(default_factory=dict)
    """The hash of that form and of later ones, each with its entry; None: an older release wrote no hash."""


@dataclass(slots=True)
class _Filed:
    """What the log knows."""

    incidents: dict[str, _Incident] = field(default_factory=lambda: defaultdict(_Incident))
    """By id."""
    reports: dict[str, dict[tuple[str, str], int]] = field(default_factory=lambda: defaultdict(dict))
    """By run: the hashes of document and Markdown of each form, each with its entry."""


def tampered(raw: Queries, entries: Iterable[tuple[int, str]]) -> Iterator[Fault]:
    """Yield which incidents and reports are gone or were changed, each with the entry that filed it.

    `entries` are those of the log in their order, each with its number.
    """
    filed = _read(entries)
    kept = {name: _form(*row) for name, *row in raw.execute("SELECT id, state, document FROM incidents")}
    for name, one in filed.incidents.items():
        if name not in kept:
            if one.number:
                yield Fault(one.number, f"the incident {name} that entry {one.number} filed is gone from the store")
        elif None not in one.forms and kept[name] not in one.forms:
            last = max(one.forms.values())
            yield Fault(last, f"the incident {name} is not in the store as entry {last} filed it")
    for run, forms in filed.reports.items():
        last = max(forms.values())
        row = raw.execute("SELECT document, markdown FROM reports WHERE run = ?", (run,)).fetchone()
        if row is None:
            yield Fault(last, f"the report of run {run[:12]} that entry {last} filed is gone from the store")
        elif (digest(str(row[0])), digest(str(row[1]))) not in forms:
            yield Fault(last, f"the report of run {run[:12]} is not in the store as entry {last} filed it")


def _read(entries: Iterable[tuple[int, str]]) -> _Filed:
    found = _Filed()
    begun: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for number, text in entries:
        entry = _entry(text)
        action, run, about = (str(entry.get(name)) for name in ("action", "run", "about"))
        if action not in _FILED:
            continue
        arguments = entry.get("arguments")
        arguments = arguments if isinstance(arguments, dict) else {}
        document, markdown = arguments.get("document_sha256"), str(arguments.get("markdown_sha256"))
        if action == Action.INCIDENT_FILED:
            found.incidents[about].forms[document] = number
            if document is not None:
                begun[run].append((about, document, number))
            continue
        found.reports[run][str(document), markdown] = number
        for name, form, filed in begun.pop(run, ()):
            found.incidents[name] = _Incident(filed, {form: filed})
    return found


def _entry(text: str) -> dict[str, Any]:
    """Return an entry as JSON; nothing of what is none any more, which its hash tells of."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _form(state: str, document: str) -> str:
    """Return the hash of an incident as it is kept; "" of what is none any more, or stands in another state's row."""
    try:
        read = json.loads(document)
    except (ValueError, RecursionError):
        return ""
    return digest(canonical(read)) if isinstance(read, dict) and read.get("state") == state else ""
