"""Compares what an analyst reported with what was done to the fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from analyzer.errors import InputError
from analyzer.simulation.faults import FaultKind, Truth
from analyzer.types.report import Kind

ONSET_TOLERANCE_S = 2 * 3600.0
"""How far an onset may be off. Two hours: what change-point dating reaches in most cases from 20 runs per hour on."""

_SCHEMAS = frozenset({"analyzer.report/1", "analyzer.backtest/1"})

EXPECTED: Mapping[FaultKind, frozenset[Kind]] = {
    FaultKind.COST_STEP: frozenset({Kind.COST, Kind.TOKENS, Kind.STEPS, Kind.BUDGET}),
    FaultKind.MODEL_SWITCH: frozenset({Kind.COST, Kind.BUDGET}),
    FaultKind.LOOP: frozenset({Kind.LOOP, Kind.RUNAWAY}),
    FaultKind.ERROR_BURST: frozenset({Kind.ERRORS, Kind.TOOL_ERRORS}),
    FaultKind.TOOL_ERRORS: frozenset({Kind.TOOL_ERRORS, Kind.ERRORS}),
    FaultKind.RETRY_STORM: frozenset({Kind.RETRIES, Kind.TOOL_ERRORS}),
    FaultKind.SLOW_TOOL: frozenset({Kind.TOOL_LATENCY, Kind.LATENCY}),
    FaultKind.SILENCE: frozenset({Kind.SILENCE, Kind.VOLUME}),
    FaultKind.WRONG_TOOL: frozenset({Kind.TOOL_CHOICE}),
    FaultKind.SUCCESS_DROP: frozenset({Kind.SUCCESS}),
    FaultKind.LATENCY: frozenset({Kind.LATENCY}),
    FaultKind.TRUNCATION: frozenset({Kind.TRUNCATION}),
    FaultKind.PRICE_RISE: frozenset({Kind.COST, Kind.BUDGET}),
}
"""The kinds of incident that name a fault rightly."""

_COSTLY = frozenset({Kind.COST, Kind.TOKENS, Kind.STEPS, Kind.BUDGET, Kind.RUNAWAY, Kind.LATENCY})
ECHOES: Mapping[FaultKind, frozenset[Kind]] = {
    FaultKind.COST_STEP: _COSTLY,
    FaultKind.MODEL_SWITCH: frozenset({Kind.BUDGET, Kind.LATENCY}),
    FaultKind.LOOP: _COSTLY | {Kind.SUCCESS, Kind.TOOL_COST, Kind.TOOL_CHOICE},
    FaultKind.ERROR_BURST: frozenset({Kind.RETRIES, Kind.STEPS, Kind.COST, Kind.TOKENS, Kind.SUCCESS, Kind.LATENCY}),
    FaultKind.TOOL_ERRORS: frozenset({Kind.SUCCESS, Kind.RETRIES}),
    FaultKind.RETRY_STORM: frozenset({Kind.ERRORS, Kind.STEPS, Kind.LATENCY, Kind.LOOP}),
    FaultKind.SLOW_TOOL: frozenset({Kind.LATENCY}),
    FaultKind.SILENCE: frozenset({Kind.VOLUME}),
    FaultKind.WRONG_TOOL: frozenset({Kind.SUCCESS, Kind.TOOL_COST, Kind.TOOL_LATENCY}),
    FaultKind.SUCCESS_DROP: frozenset(),
    FaultKind.LATENCY: frozenset({Kind.TOOL_LATENCY}),
    FaultKind.TRUNCATION: frozenset({Kind.SUCCESS}),
    FaultKind.PRICE_RISE: frozenset({Kind.BUDGET, Kind.RUNAWAY}),
}
"""What a fault also moves: such an incident neither finds the fault nor is false."""


@dataclass(frozen=True, slots=True)
class Match:
    """A fault and the incident that names it."""

    truth: Truth
    incident_id: str
    onset_error_s: float
    """Reported onset minus true onset; negative where it was dated too early."""
    delay_s: float | None
    """From the true onset until the incident was opened; None where the document does not say."""
    named: bool | None = None
    """Whether the incident names the model, tool or version at fault; None where the fault has none."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a report compares with the truth."""

    matched: tuple[Match, ...]
    missed: tuple[Truth, ...]
    echoes: tuple[str, ...]
    """Ids of incidents that are consequences or doubles of a fault that was done."""
    false: tuple[str, ...]
    """Ids of incidents that no fault accounts for."""

    @property
    def recall(self) -> float:
        """Matched among all faults; 1 where there was none."""
        total = len(self.matched) + len(self.missed)
        return len(self.matched) / total if total else 1.0

    @property
    def precision(self) -> float:
        """Matched among matched and false; 1 where nothing was reported."""
        total = len(self.matched) + len(self.false)
        return len(self.matched) / total if total else 1.0


@dataclass(frozen=True, slots=True)
class _Reported:
    """What of an incident decides the comparison."""

    id: str
    kind: str
    agents: frozenset[str | None]
    """The agent that it is about, or those that share it."""
    onset: datetime
    earliest: datetime
    latest: datetime
    """The interval in which the foremost finding puts the onset; the onset itself where it gives none."""
    opened_at: datetime | None
    said: frozenset[str]
    """What it names as its subject or as a change near its onset."""
    cause: str
    """The explanation's sentence."""


def evaluate(document: Mapping[str, Any], truths: Sequence[Truth], *, tolerance_s: float = ONSET_TOLERANCE_S) -> Score:
    """Match the incidents of a report or a backtest document with the faults that were done.

    An incident finds a fault where it is about an agent that was hit, the kind is one of `EXPECTED` and the onset is at
    most `tolerance_s` off, or off the interval that the incident's own finding gives for it; each incident finds at
    most one fault and the other way round, closest onsets first. What a person dismissed does not count, nor does a
    fault that struck no run. Raises InputError where the document is no report.
    """
    incidents = _incidents(document)
    truths = [truth for truth in truths if truth.visible]
    pairs = sorted(
        (abs(_off(incident, truth)), number, index)
        for number, incident in enumerate(incidents)
        for index, truth in enumerate(truths)
        if incident.agents & truth.agents
        and incident.kind in EXPECTED[truth.kind]
        and _dated(incident, truth, tolerance_s)
    )
    found: dict[int, int] = {}
    for _, number, index in pairs:
        if index not in found and number not in found.values():
            found[index] = number
    rest = [incident for number, incident in enumerate(incidents) if number not in found.values()]
    echoes = [one for one in rest if any(_echoes(one, truth, tolerance_s) for truth in truths)]
    return Score(
        matched=tuple(_match(truths[index], incidents[number]) for index, number in sorted(found.items())),
        missed=tuple(truth for index, truth in enumerate(truths) if index not in found),
        echoes=tuple(incident.id for incident in echoes),
        false=tuple(incident.id for incident in rest if incident not in echoes),
    )


def _match(truth: Truth, incident: _Reported) -> Match:
    opened = incident.opened_at
    delay_s = None if opened is None else (opened - truth.onset).total_seconds()
    return Match(truth, incident.id, _off(incident, truth), delay_s, _named(truth, incident))


def _named(truth: Truth, incident: _Reported) -> bool | None:
    """Say whether an incident names what is at fault: the model, else the tool, else the version.

    A silence has none, whatever was shipped with it: no run is left to show it.
    """
    culprit = truth.model or truth.tool or truth.version
    if culprit is None or truth.kind is FaultKind.SILENCE:
        return None
    return culprit in incident.said or culprit in incident.cause


def _dated(incident: _Reported, truth: Truth, tolerance_s: float) -> bool:
    """Say whether the onset is right: as estimated, or within what the estimate calls possible."""
    slack = timedelta(seconds=tolerance_s)
    return incident.earliest - slack <= truth.onset <= incident.latest + slack


def _off(incident: _Reported, truth: Truth) -> float:
    return (incident.onset - truth.onset).total_seconds()


def _echoes(incident: _Reported, truth: Truth, tolerance_s: float) -> bool:
    """Say whether an incident is a double or a consequence of a fault: it began while the fault was there."""
    if not incident.agents & truth.agents or incident.kind not in EXPECTED[truth.kind] | ECHOES[truth.kind]:
        return False
    late = truth.end is not None and (incident.onset - truth.end).total_seconds() > tolerance_s
    return _off(incident, truth) >= -tolerance_s and not late


def _incidents(document: Mapping[str, Any]) -> list[_Reported]:
    schema = document.get("schema")
    if schema not in _SCHEMAS:
        raise InputError(f"evaluate: the document's schema is {schema}; give one of {', '.join(sorted(_SCHEMAS))}")
    try:
        return [
            _Reported(
                **_interval(incident),
                id=str(incident["id"]),
                kind=str(incident["kind"]),
                agents=frozenset(part["agent"] for part in incident.get("agents") or (incident["subject"],)),
                opened_at=_moment(incident["opened_at"]) if incident.get("opened_at") else None,
                said=frozenset(
                    str(name)
                    for name in (
                        *(incident["subject"].get(part) for part in ("version", "model", "tool")),
                        *(change.get("to") for change in incident.get("changes") or ()),
                    )
                    if name
                ),
                cause=str((incident.get("diagnosis") or {}).get("cause") or ""),
            )
            for incident in document["incidents"]
            if incident.get("state") != "dismissed"
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"evaluate: an incident of the document cannot be read ({error!r})") from error


def _interval(incident: Mapping[str, Any]) -> dict[str, datetime]:
    onset = _moment(incident["onset"])
    lead: Mapping[str, Any] = next(
        (one for one in incident.get("findings") or () if one["kind"] == incident["kind"]), {}
    )
    low, high = (_moment(lead[name]) if lead.get(name) else onset for name in ("onset_low", "onset_high"))
    return {"onset": onset, "earliest": min(low, onset), "latest": max(high, onset)}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
