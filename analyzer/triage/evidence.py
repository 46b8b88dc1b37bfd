"""Numbering the evidence of an incident: E1, E2, ... over everything its findings and its diagnosis rest on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from analyzer.types.diagnosis import Diagnosis
from analyzer.types.report import Evidence, Examined, Finding, Incident

_ID = re.compile(r"E(\d{1,9})")


class Numbering:
    """Gives out ids. The same evidence keeps its id, and an id that a diagnosis names is never given to another."""

    def __init__(self, kept: Iterable[Evidence], evidence_max: int) -> None:
        self._entries: dict[Evidence, Evidence] = {replace(entry, id=""): entry for entry in kept}
        self._last = max((_number(entry.id) for entry in self._entries.values()), default=0)
        self._max = evidence_max

    @property
    def entries(self) -> tuple[Evidence, ...]:
        """All evidence so far, in the order of the ids."""
        return tuple(sorted(self._entries.values(), key=lambda entry: (_number(entry.id), entry.id)))

    def add(self, entries: Iterable[Evidence]) -> tuple[Evidence, ...]:
        """Return the entries with their ids. What would exceed the limit is left out: the foremost come first."""
        numbered = []
        for entry in entries:
            bare = replace(entry, id="")
            known = self._entries.get(bare)
            if known is None:
                if len(self._entries) >= self._max:
                    continue
                self._last += 1
                known = replace(entry, id=f"E{self._last}")
                self._entries[bare] = known
            numbered.append(known)
        return tuple(numbered)


def numbered(
    fresh: Sequence[Examined],
    retained: Sequence[Finding],
    base: Incident | None,
    kept_diagnosis: Diagnosis | None,
    *,
    limit: int,
) -> tuple[list[Finding], tuple[Evidence, ...]]:
    """Return the fresh findings with their evidence numbered, and all evidence of the incident.

    Of the evidence of an earlier run stays what the kept diagnosis or a retained finding names: other pointers are to
    figures that this run has measured anew.
    """
    kept: list[Evidence] = []
    if base is not None:
        named = {entry.id for finding in retained for entry in finding.evidence}
        if kept_diagnosis is not None:
            named.update(name for claim in kept_diagnosis.claims for name in claim.evidence)
        kept = [entry for entry in base.evidence if entry.id in named]
    numbering = Numbering(kept, len(kept) + limit)
    findings = [replace(entry.finding, evidence=numbering.add(entry.finding.evidence)) for entry in fresh]
    for entry in fresh:
        numbering.add(entry.evidence)
    return findings, numbering.entries


def _number(name: str) -> int:
    found = _ID.fullmatch(name)
    return int(found[1]) if found else 0
