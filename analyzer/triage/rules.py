"""What triage goes by: its settings, which kind explains which, and the keys by which things are recognised."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from analyzer.types.report import Finding, Incident, Kind, Subject


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of triage. Times in seconds."""

    recovered_hold_s: float = 6 * 3600
    """A signal that came back must have stayed so for this long before its incident is resolved. Incidents closer than
    that are one in the reference's figures on false alarms, too (detectors merge within hours, not days)."""
    quiet_s: float = 24 * 3600
    """An incident without anything new for this long is resolved. A day, so that a fault of office hours is not
    resolved every night and regressed every morning."""
    onset_slack_s: float = 3600
    """Onsets this far apart may still be one moment: estimates are good to about an hour."""
    same_cause_share: float = 0.5
    """Two findings have one cause if they share this part of the smaller set of trajectories, or if the cause explains
    this part of the other's excess cost."""
    evidence_max: int = 40
    """Pointers kept with one incident."""
    trace_ids_max: int = 50
    """Trajectories listed with one incident, worst first."""


CAUSE_ORDER = (
    Kind.INJECTION,
    Kind.LOOP,
    Kind.TOOL_ERRORS,
    Kind.ERRORS,
    Kind.TOOL_CHOICE,
    Kind.TRUNCATION,
    Kind.RETRIES,
    Kind.TOOL_LATENCY,
    Kind.TOOL_COST,
    Kind.METERING,
    Kind.SILENCE,
    Kind.VOLUME,
    Kind.SUCCESS,
    Kind.COST,
    Kind.TOKENS,
    Kind.STEPS,
    Kind.LATENCY,
    Kind.RUNAWAY,
    Kind.BUDGET,
)
"""From what causes to what is only felt. An incident has the kind of its foremost finding. Where money is known to have
risen it is what people are told; that tokens or steps made it rise, the account says."""

SYMPTOMS = frozenset({Kind.TOKENS, Kind.STEPS, Kind.COST, Kind.LATENCY, Kind.RUNAWAY, Kind.BUDGET})
"""These move together: one incident, not six."""

FAILURES = frozenset({Kind.TOOL_ERRORS, Kind.ERRORS, Kind.RETRIES, Kind.SUCCESS})
"""A failing tool fails trajectories and is tried again: one story when it begins at one time."""

FELT: Mapping[Kind, frozenset[Kind]] = {
    Kind.LOOP: frozenset({Kind.SUCCESS, Kind.TOOL_COST}),
    Kind.TOOL_ERRORS: SYMPTOMS,
    Kind.ERRORS: SYMPTOMS,
    Kind.RETRIES: SYMPTOMS,
    Kind.TOOL_LATENCY: frozenset({Kind.LATENCY, Kind.RUNAWAY}),
    Kind.TOOL_COST: frozenset({Kind.BUDGET}),
    Kind.TRUNCATION: SYMPTOMS | FAILURES,
    Kind.TOOL_CHOICE: SYMPTOMS | FAILURES | {Kind.TOOL_LATENCY, Kind.TOOL_COST, Kind.TRUNCATION},
}
"""What a cause is felt as, where both began together in one agent: tries take time, a wrong table misses goals, and so
does an agent that goes round in circles until it gives up."""

EVENTS = frozenset({Kind.LOOP, Kind.RUNAWAY, Kind.INJECTION})
"""Found in single trajectories: such a finding never reports a recovery, there is only nothing new."""


def cause_rank(kind: Kind) -> int:
    """Return the place of a kind in CAUSE_ORDER, 0 for the foremost."""
    return CAUSE_ORDER.index(kind)


def key_of(finding: Finding) -> str:
    """Return what makes two findings the same anomaly in different runs: kind, agent and tool.

    Version and model are left out: they become known later than the anomaly itself.
    """
    return fingerprint(finding.kind, finding.subject)


def fingerprint(kind: Kind, subject: Subject) -> str:
    """Return 16 hex digits for a kind, an agent and a tool; without an agent for what several of them share as well."""
    parts = [kind.value, subject.agent, subject.tool]
    if subject.agent is None and (subject.model or subject.provider):
        parts += [subject.model, subject.provider]
    text = json.dumps(parts)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def incident_id(mark: str, onset: datetime) -> str:
    """Return `inc-` and 10 hex digits for a fingerprint and the hour of the first onset."""
    hour = int(onset.timestamp()) // 3600
    return "inc-" + hashlib.sha256(f"{mark}@{hour}".encode()).hexdigest()[:10]


def keys_of(incident: Incident) -> frozenset[str]:
    """Return the keys of everything an incident covers."""
    return frozenset({incident.fingerprint, *map(key_of, incident.findings)})


def nothing_new(finding: Finding, incident: Incident) -> bool:
    """Say whether a finding of single trajectories names only ones that its incident already knows.

    A list that was cut short (fewer ids than affected trajectories) may hide a new one, and counts as new.
    """
    if finding.kind not in EVENTS or len(finding.trace_ids) < finding.affected or not finding.trace_ids:
        return False
    key = key_of(finding)
    known = {trace_id for old in incident.findings if key_of(old) == key for trace_id in old.trace_ids}
    return known.issuperset(finding.trace_ids)
