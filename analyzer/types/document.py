"""Reports and incidents as JSON documents (schema `analyzer.report/1`).

The one place where values become the JSON that other programs read; every key is described in docs/schema.md. The
documents hold nothing but dicts, lists, strings, finite numbers, booleans and None. `incident_from_document` is the
way back.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from analyzer.types.alerts import PrometheusAlert
from analyzer.types.choices import Shifted
from analyzer.types.diagnosis import Diagnosis, Proof
from analyzer.types.drawn import Curve, Strip
from analyzer.types.from_document import incident_from_document
from analyzer.types.place import Place
from analyzer.types.report import Change, Evidence, Factor, Finding, Gap, Incident, Report, Run, SpanEvidence, Subject
from analyzer.types.shared import Part
from analyzer.types.spending import ModelUse
from analyzer.types.word import Episode, Word

__all__ = [
    "OWNER",
    "SCHEMA",
    "alert_document",
    "gap_document",
    "incident_document",
    "incident_from_document",
    "report_document",
    "time_text",
    "word_document",
]

SCHEMA = "analyzer.report/1"
"""The name of the schema; its number rises when a key changes its meaning or goes away, not when one is added."""

OWNER = "owner"
"""The key of whose an agent is: masked where it was entered, but for a mail address, which was given to be shown."""

Document = dict[str, Any]


def report_document(report: Report) -> Document:
    """Return a report in schema `analyzer.report/1`: every key present, null where it does not apply."""
    return {
        "schema": SCHEMA,
        "run": _run(report.run),
        "incidents": [incident_document(incident) for incident in report.incidents],
        "gaps": [gap_document(gap) for gap in report.gaps],
        "notes": {str(name): str(text) for name, text in report.notes.items()},
    }


def incident_document(incident: Incident) -> Document:
    """Return one incident as it stands in a report. `incident_from_document` gives the same incident back.

    Findings name their evidence by id. Evidence that only a finding carries is listed with the incident's own, so
    that no id dangles. A number that is not finite becomes null.
    """
    return {
        "id": incident.id,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "kind": incident.kind.value,
        "title": incident.title,
        "subject": subject_document(incident.subject),
        "onset": time_text(incident.onset),
        "opened_at": time_text(incident.opened_at),
        "last_seen_at": time_text(incident.last_seen_at),
        "observed": finite(incident.observed),
        "expected": finite(incident.expected),
        "ratio": finite(incident.ratio),
        "unit": incident.unit,
        "affected": {"trajectories": incident.affected.trajectories, "of": incident.affected.of},
        "excess_usd": finite(incident.excess_usd),
        "account": [_factor(factor) for factor in incident.account],
        "changes": [_change(change) for change in incident.changes],
        "findings": [finding_document(finding) for finding in incident.findings],
        "trace_ids": list(incident.trace_ids),
        "diagnosis": None if incident.diagnosis is None else _diagnosis(incident.diagnosis),
        "evidence": [evidence_document(entry) for entry in _all_evidence(incident)],
        "fingerprint": incident.fingerprint,
        "healthy_trace_ids": list(incident.healthy_trace_ids),
        "resolved_at": _time_or_none(incident.resolved_at),
        "places": [_place(place) for place in incident.places],
        "word": None if incident.word is None else word_document(incident.word),
        "muted_until": _time_or_none(incident.muted_until),
        "past": [_episode(episode) for episode in incident.past],
        "agents": [_part(part) for part in incident.agents],
        "curve": None if incident.curve is None else _curve(incident.curve),
        "strip": None if incident.strip is None else _strip(incident.strip),
        "alerts": [alert_document(alert) for alert in incident.alerts],
        "last_ran_at": _time_or_none(incident.last_ran_at),
        OWNER: incident.owner or None,
    }


def word_document(word: Word) -> Document:
    """Return what a human said."""
    return {
        "number": word.number,
        "said": word.said.value,
        "at": time_text(word.at),
        "by": word.by,
        "reason": word.reason,
        "until": _time_or_none(word.until),
    }


def alert_document(alert: PrometheusAlert) -> Document:
    """Return an alert that came in by Alertmanager's webhook."""
    return {
        "name": alert.name,
        "agent": alert.agent,
        "starts_at": time_text(alert.starts_at),
        "ends_at": _time_or_none(alert.ends_at),
        "summary": alert.summary,
        "url": alert.url,
        "alertmanager_url": alert.alertmanager_url,
        "fingerprint": alert.fingerprint,
    }


def gap_document(gap: Gap) -> Document:
    """Return one gap as it stands in a report."""
    return {"what": gap.what, "why": gap.why, "hint": gap.hint}


def time_text(time: datetime) -> str:
    """Return a time as ISO 8601 in UTC with `Z`: whole seconds, or as many decimals (3, 6) as lose nothing.

    A naive time is taken for UTC.
    """
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    digits = "seconds" if aware.microsecond == 0 else "milliseconds" if aware.microsecond % 1000 == 0 else "auto"
    return aware.replace(tzinfo=None).isoformat(timespec=digits) + "Z"


def finite(value: float | None) -> float | None:
    """Return a number, or None for what JSON has no number for."""
    return value if value is not None and math.isfinite(value) else None


def _time_or_none(time: datetime | None) -> str | None:
    return None if time is None else time_text(time)


def _run(run: Run) -> Document:
    return {
        "trace_id": run.trace_id,
        "at": time_text(run.at),
        "window": {"start": time_text(run.start), "end": time_text(run.end)},
        "duration_s": finite(run.duration_s),
        "trajectories_seen": run.trajectories_seen,
        "spans_seen": run.spans_seen,
        "llm": _use(run.llm),
        "audit": None if run.audit is None else {"entries": run.audit.entries, "hash": run.audit.hash},
    }


def _use(use: ModelUse) -> Document:
    return {
        "calls": use.calls,
        "input_tokens": use.input_tokens,
        "output_tokens": use.output_tokens,
        "cost_usd": finite(use.cost_usd),
        "budget_usd": finite(use.budget_usd),
        "cache_read_tokens": use.cache_read_tokens,
        "cache_write_tokens": use.cache_write_tokens,
        "left": None if use.left is None else {"usd": finite(use.left.usd), "tokens": use.left.tokens},
    }


def subject_document(subject: Subject) -> Document:
    """Return what an anomaly is about; null where a part does not apply."""
    entry = {"agent": subject.agent, "version": subject.version, "model": subject.model, "tool": subject.tool}
    # Told only where it is so: the contract has four keys.
    return {**entry, "provider": subject.provider} if subject.provider else entry


def _factor(factor: Factor) -> Document:
    return {
        "factor": factor.factor,
        "from": finite(factor.from_value),
        "to": finite(factor.to_value),
        "share": finite(factor.share),
    }


def _change(change: Change) -> Document:
    entry = {"what": change.what, "from": change.from_value, "to": change.to_value, "at": time_text(change.at)}
    # Told only where it is so: the contract has four keys.
    return {**entry, "borne_out": True} if change.borne_out else entry


def _place(place: Place) -> Document:
    return {
        "where": dict(place.where),
        "way": place.way,
        "share": finite(place.share),
        "trajectories": place.trajectories,
        "expected": finite(place.expected),
        "observed": finite(place.observed),
        "new": place.new,
    }


def _curve(curve: Curve) -> Document:
    return {
        "kind": curve.kind,
        "agent": curve.agent,
        "tool": curve.tool,
        "unit": curve.unit,
        "start": time_text(curve.start),
        "step_s": curve.step_s,
        **{name: [finite(value) for value in getattr(curve, name)] for name in ("values", "usual", "low", "high")},
    }


def _strip(strip: Strip) -> Document:
    steps = [
        {"step": one.number, "name": one.name, "tool": one.is_tool, "failed": one.failed, "again": one.again}
        for one in strip.steps
    ]
    return {"trace_id": strip.trace_id, "of": strip.of, "steps": steps}


def _part(part: Part) -> Document:
    return {
        "agent": part.agent,
        "share": finite(part.share),
        "kind": part.kind,
        "onset": time_text(part.onset),
        "observed": finite(part.observed),
        "expected": finite(part.expected),
        "unit": part.unit,
        "affected": {"trajectories": part.affected, "of": part.of},
        "excess_usd": finite(part.excess_usd),
        OWNER: part.owner or None,
    }


def finding_document(finding: Finding) -> Document:
    """Return one finding as it stands in an incident; its evidence by id."""
    return {
        "detector": finding.detector,
        "kind": finding.kind.value,
        "value": finite(finding.value),
        "baseline": finite(finding.baseline),
        "threshold": finite(finding.threshold),
        "score": finite(finding.score),
        "evidence": [entry.id for entry in finding.evidence],
        "subject": subject_document(finding.subject),
        "onset": time_text(finding.onset),
        "onset_low": time_text(finding.onset_low),
        "onset_high": time_text(finding.onset_high),
        "unit": finding.unit,
        "recovered": _time_or_none(finding.recovered),
        "affected": finding.affected,
        "of": finding.of,
        "excess_usd": finite(finding.excess_usd),
        "trace_ids": list(finding.trace_ids),
        "note": finding.note,
        "shifted": _shifted(finding.shifted),
        "doubt": None
        if finding.doubt is None
        else {"said": finding.doubt.said, "from_short": finding.doubt.from_short},
    }


def _episode(episode: Episode) -> Document:
    return {
        "onset": time_text(episode.onset),
        "resolved_at": time_text(episode.resolved_at),
        "observed": finite(episode.observed),
    }


def _shifted(shifted: Shifted | None) -> Document | None:
    if shifted is None:
        return None
    return {
        "what": shifted.what,
        "usual": shifted.usual,
        "picked": shifted.picked,
        "task": shifted.task,
        "worse": shifted.worse,
    }


def _diagnosis(diagnosis: Diagnosis) -> Document:
    where = diagnosis.responsible
    return {
        "verdict": diagnosis.verdict.value,
        "by": diagnosis.by,
        "summary": diagnosis.summary,
        "cause": diagnosis.cause,
        "claims": [{"text": claim.text, "evidence": list(claim.evidence)} for claim in diagnosis.claims],
        "responsible": None
        if where is None
        else {"agent": where.agent, "trace_id": where.trace_id, "span_id": where.span_id, "step": where.step},
        "actions": list(diagnosis.actions),
        "check": diagnosis.check,
        "struck_out": diagnosis.struck_out,
        "ending": diagnosis.ending.value,
        "note": diagnosis.note,
        "category": diagnosis.category,
        "refutation": diagnosis.refutation,
        "missing": diagnosis.missing,
        "as_of": _time_or_none(diagnosis.as_of),
        "observed": finite(diagnosis.observed),
        "basis": list(diagnosis.basis),
        "proof": None if diagnosis.proof is None else proof_document(diagnosis.proof),
    }


def proof_document(proof: Proof) -> Document:
    """Return what a replay said of a cause, as it stands in its diagnosis."""
    return {
        "factor": proof.factor.value,
        "steps": [{"trace_id": trace_id, "step": step} for trace_id, step in proof.steps],
        "times": proof.times,
        "measure": proof.measure,
        "unchanged": {"shown": proof.unchanged.shown, "of": proof.unchanged.of},
        "restored": {"shown": proof.restored.shown, "of": proof.restored.of},
        "chance": finite(proof.chance),
        "outcome": proof.outcome.value,
        "why": proof.why,
        "at": time_text(proof.at),
        "explained": proof.explained.value,
        "cost_usd": finite(proof.cost_usd),
    }


def _all_evidence(incident: Incident) -> list[Evidence]:
    entries = list(incident.evidence)
    known = {entry.id for entry in entries}
    for finding in incident.findings:
        for entry in finding.evidence:
            if entry.id not in known:
                known.add(entry.id)
                entries.append(entry)
    return entries


def evidence_document(entry: Evidence) -> Document:
    if isinstance(entry, SpanEvidence):
        return {
            "id": entry.id,
            "trace_id": entry.trace_id,
            "span_id": entry.span_id,
            "field": entry.field,
            "quote": entry.quote,
        }
    document: Document = {
        "id": entry.id,
        "promql": entry.promql,
        "start": time_text(entry.start),
        "end": time_text(entry.end),
        "step": finite(entry.step),
        "value": finite(entry.value),
        "source": entry.source,
    }
    return {**document, "agent": entry.agent} if entry.agent else document
