"""Incidents from the JSON documents that `types.document` wrote: how stores get back what they kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from analyzer.errors import InputError
from analyzer.types.alerts import PrometheusAlert
from analyzer.types.choices import Shifted
from analyzer.types.diagnosis import (
    Claim,
    Counted,
    Diagnosis,
    Ending,
    Proof,
    ProofFactor,
    ProofOutcome,
    Responsible,
    Verdict,
)
from analyzer.types.doubt import Doubt
from analyzer.types.drawn import Curve, Drawn, Strip
from analyzer.types.place import Place
from analyzer.types.report import (
    Affected,
    Change,
    Evidence,
    Factor,
    Finding,
    Incident,
    Kind,
    MetricEvidence,
    Severity,
    SpanEvidence,
    State,
    Subject,
)
from analyzer.types.shared import Part
from analyzer.types.word import Episode, Said, Word

_E = TypeVar("_E", bound=StrEnum)


def incident_from_document(document: Mapping[str, Any]) -> Incident:
    """Return the incident that `incident_document` wrote.

    Keys beyond the contract may be missing (an older release wrote the document). Raises InputError naming the
    incident and the key where the document is not one of ours.
    """
    try:
        return _incident(document)
    except KeyError as error:
        raise InputError(f"incident document {_name(document)}: key {error} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"incident document {_name(document)}: {error}") from error


def _name(document: Any) -> str:
    return repr(document.get("id")) if isinstance(document, Mapping) else type(document).__name__


def _incident(document: Mapping[str, Any]) -> Incident:
    evidence = tuple(_read_evidence(entry) for entry in document["evidence"])
    by_id = {entry.id: entry for entry in evidence}
    return Incident(
        id=_text(document["id"]),
        fingerprint=_text(document.get("fingerprint", document["id"])),
        state=_member(State, document["state"]),
        severity=_member(Severity, document["severity"]),
        kind=_member(Kind, document["kind"]),
        title=_text(document["title"]),
        subject=_read_subject(document["subject"]),
        onset=_read_time(document["onset"]),
        opened_at=_read_time(document["opened_at"]),
        last_seen_at=_read_time(document["last_seen_at"]),
        observed=_number(document["observed"]),
        expected=_number(document["expected"]),
        ratio=_number_or_none(document["ratio"]),
        unit=_text(document["unit"]),
        affected=Affected(int(document["affected"]["trajectories"]), int(document["affected"]["of"])),
        excess_usd=_number_or_none(document["excess_usd"]),
        findings=tuple(_read_finding(entry, document, by_id) for entry in document["findings"]),
        account=tuple(_read_factor(entry) for entry in document["account"]),
        changes=tuple(_read_change(entry) for entry in document["changes"]),
        trace_ids=_texts(document["trace_ids"]),
        healthy_trace_ids=_texts(document.get("healthy_trace_ids", [])),
        diagnosis=None if document["diagnosis"] is None else _read_diagnosis(document["diagnosis"]),
        evidence=evidence,
        resolved_at=_read_time_or_none(document.get("resolved_at")),
        places=tuple(_read_place(entry) for entry in document.get("places", [])),
        agents=tuple(_read_part(entry) for entry in document.get("agents", [])),
        word=None if document.get("word") is None else _read_word(document["word"]),
        muted_until=_read_time_or_none(document.get("muted_until")),
        past=tuple(_read_episode(entry) for entry in document.get("past", [])),
        curve=None if document.get("curve") is None else _read_curve(document["curve"]),
        strip=None if document.get("strip") is None else _read_strip(document["strip"]),
        last_ran_at=_read_time_or_none(document.get("last_ran_at")),
        alerts=tuple(_read_alert(entry) for entry in document.get("alerts", [])),
        owner=_read_owner(document),
    )


def _read_word(entry: Mapping[str, Any]) -> Word:
    return Word(
        number=int(entry["number"]),
        said=_member(Said, entry["said"]),
        at=_read_time(entry["at"]),
        by=_text(entry["by"]),
        reason=_text(entry["reason"]),
        until=_read_time_or_none(entry["until"]),
    )


def _read_alert(entry: Mapping[str, Any]) -> PrometheusAlert:
    return PrometheusAlert(
        fingerprint=_text(entry["fingerprint"]),
        name=_text(entry["name"]),
        agent=None if entry["agent"] is None else _text(entry["agent"]),
        starts_at=_read_time(entry["starts_at"]),
        ends_at=_read_time_or_none(entry["ends_at"]),
        summary=_text(entry["summary"]),
        url=_text(entry["url"]),
        alertmanager_url=_text(entry["alertmanager_url"]),
    )


def _read_episode(entry: Mapping[str, Any]) -> Episode:
    return Episode(_read_time(entry["onset"]), _read_time(entry["resolved_at"]), _number(entry["observed"]))


def _read_finding(entry: Mapping[str, Any], incident: Mapping[str, Any], by_id: Mapping[str, Evidence]) -> Finding:
    onset = entry.get("onset", incident["onset"])
    return Finding(
        detector=_text(entry["detector"]),
        kind=_member(Kind, entry["kind"]),
        subject=_read_subject(entry.get("subject", incident["subject"])),
        onset=_read_time(onset),
        onset_low=_read_time(entry.get("onset_low", onset)),
        onset_high=_read_time(entry.get("onset_high", onset)),
        value=_number(entry["value"]),
        baseline=_number(entry["baseline"]),
        threshold=_number(entry["threshold"]),
        score=_number(entry["score"]),
        unit=_text(entry.get("unit", incident["unit"])),
        recovered=_read_time_or_none(entry.get("recovered")),
        affected=int(entry.get("affected", 0)),
        of=int(entry.get("of", 0)),
        excess_usd=_number_or_none(entry.get("excess_usd")),
        evidence=tuple(by_id[name] for name in entry["evidence"]),
        trace_ids=_texts(entry.get("trace_ids", [])),
        note=_text(entry.get("note", "")),
        shifted=_read_shifted(entry.get("shifted")),
        doubt=_read_doubt(entry.get("doubt")),
    )


def _read_doubt(entry: Mapping[str, Any] | None) -> Doubt | None:
    return None if entry is None else Doubt(_text(entry["said"]), from_short=entry["from_short"] is True)


def _read_shifted(entry: Mapping[str, Any] | None) -> Shifted | None:
    if entry is None:
        return None
    return Shifted(_text(entry["what"]), entry["usual"], entry["picked"], entry["task"], worse=entry["worse"])


def _read_evidence(entry: Mapping[str, Any]) -> Evidence:
    if "promql" not in entry:
        return SpanEvidence(
            id=_text(entry["id"]),
            trace_id=_text(entry["trace_id"]),
            span_id=_text(entry["span_id"]),
            field=_text(entry["field"]),
            quote=_text(entry["quote"]),
        )
    return MetricEvidence(
        id=_text(entry["id"]),
        promql=_text(entry["promql"]),
        start=_read_time(entry["start"]),
        end=_read_time(entry["end"]),
        step=_number(entry["step"]),
        value=_number(entry["value"]),
        source=_text(entry.get("source", "store")),
        agent=entry.get("agent"),
    )


def _read_subject(entry: Mapping[str, Any]) -> Subject:
    known = {name: entry[name] for name in ("agent", "version", "model", "tool")}
    return Subject(**known, provider=entry.get("provider"))


def _read_factor(entry: Mapping[str, Any]) -> Factor:
    return Factor(
        _text(entry["factor"]),
        _number_or_none(entry["from"]),
        _number_or_none(entry["to"]),
        _number(entry["share"]),
    )


def _read_change(entry: Mapping[str, Any]) -> Change:
    at = _read_time(entry["at"])
    return Change(_text(entry["what"]), entry["from"], entry["to"], at, borne_out=entry.get("borne_out") is True)


def _read_place(entry: Mapping[str, Any]) -> Place:
    return Place(
        where=tuple((_text(name), _text(value)) for name, value in entry["where"].items()),
        way=entry["way"],
        share=_number(entry["share"]),
        trajectories=int(entry["trajectories"]),
        expected=_number(entry["expected"]),
        observed=_number(entry["observed"]),
        new=entry["new"] is True,
    )


def _read_part(entry: Mapping[str, Any]) -> Part:
    return Part(
        agent=_text(entry["agent"]),
        kind=_text(entry["kind"]),
        onset=_read_time(entry["onset"]),
        observed=_number(entry["observed"]),
        expected=_number(entry["expected"]),
        unit=_text(entry["unit"]),
        affected=int(entry["affected"]["trajectories"]),
        of=int(entry["affected"]["of"]),
        excess_usd=_number_or_none(entry["excess_usd"]),
        share=_number(entry["share"]),
        owner=_read_owner(entry),
    )


def _read_owner(entry: Mapping[str, Any]) -> str:
    owner = entry.get("owner")
    return "" if owner is None else _text(owner)


def _read_curve(entry: Mapping[str, Any]) -> Curve:
    parts = [tuple(map(_number_or_none, entry[name])) for name in ("values", "usual", "low", "high")]
    step_s = int(entry["step_s"])
    if step_s <= 0 or any(len(part) not in {0, len(parts[0])} for part in parts):
        raise ValueError("the sequences of a curve are of one length, and its step is positive")
    return Curve(
        _text(entry["kind"]), entry["agent"], entry["tool"], _text(entry["unit"]), _read_time(entry["start"]), step_s,
        *parts,
    )  # fmt: skip


def _read_strip(entry: Mapping[str, Any]) -> Strip:
    steps = (
        Drawn(int(one["step"]), _text(one["name"]), one["tool"] is True, one["failed"] is True, one["again"] is True)
        for one in entry["steps"]
    )
    return Strip(_text(entry["trace_id"]), int(entry["of"]), tuple(steps))


def _read_diagnosis(entry: Mapping[str, Any]) -> Diagnosis:
    where = entry["responsible"]
    return Diagnosis(
        verdict=_member(Verdict, entry["verdict"]),
        by=_text(entry["by"]),
        ending=_member(Ending, entry.get("ending", Ending.ANSWERED.value)),
        summary=_text(entry["summary"]),
        cause=_text(entry["cause"]),
        claims=tuple(Claim(_text(claim["text"]), _texts(claim["evidence"])) for claim in entry["claims"]),
        responsible=None
        if where is None
        else Responsible(where["agent"], where["trace_id"], where["span_id"], where["step"]),
        actions=_texts(entry["actions"]),
        check=_text(entry["check"]),
        struck_out=int(entry["struck_out"]),
        note=_text(entry.get("note", "")),
        category=_text(entry.get("category", "unknown")),
        refutation=_text(entry.get("refutation", "")),
        missing=_text(entry.get("missing", "")),
        as_of=_read_time_or_none(entry.get("as_of")),
        observed=_number_or_none(entry.get("observed")),
        basis=_texts(entry.get("basis", [])),
        proof=None if entry.get("proof") is None else _read_proof(entry["proof"]),
    )


def _read_proof(entry: Mapping[str, Any]) -> Proof:
    unchanged, restored = (
        Counted(int(entry[name]["shown"]), int(entry[name]["of"])) for name in ("unchanged", "restored")
    )
    return Proof(
        factor=_member(ProofFactor, entry["factor"]),
        steps=tuple((_text(one["trace_id"]), int(one["step"])) for one in entry["steps"]),
        times=int(entry["times"]),
        measure=_text(entry["measure"]),
        unchanged=unchanged,
        restored=restored,
        chance=_number_or_none(entry["chance"]),
        outcome=_member(ProofOutcome, entry["outcome"]),
        why=_text(entry["why"]),
        at=_read_time(entry["at"]),
        explained=_member(Verdict, entry["explained"]),
        cost_usd=_number_or_none(entry["cost_usd"]),
    )


def _member(kind: type[_E], value: Any) -> _E:
    return kind(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {value!r:.40}")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list | tuple):
        raise TypeError(f"a list of texts was expected, not {values!r:.40}")
    return tuple(_text(value) for value in values)


def _number_or_none(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number was expected, not {value!r:.40}")
    return value


def _number(value: Any) -> float:
    """Read a number that values always have: null stands for one that was not finite."""
    number = _number_or_none(value)
    return math.nan if number is None else number


def _read_time(value: Any) -> datetime:
    time = datetime.fromisoformat(_text(value))
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _read_time_or_none(value: Any) -> datetime | None:
    return None if value is None else _read_time(value)
