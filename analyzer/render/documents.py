"""Trajectories, tables and answers as JSON documents: of the command line, and of what other agents are served."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from analyzer.render.answer import sources
from analyzer.types.document import evidence_document, finding_document, finite, gap_document, subject_document
from analyzer.types.document import time_text as moment_text
from analyzer.types.explained import Answer
from analyzer.types.messages import readable
from analyzer.types.reading import Standing, WhyNot
from analyzer.types.spending import Left, ModelUse
from analyzer.types.table import Table
from analyzer.types.trace import Span
from analyzer.types.trajectory import ToolUse, Trajectory, TrajectorySummary


def time_text(nanoseconds: int | None) -> str | None:
    """Return Unix nanoseconds as ISO 8601 in UTC, to the microsecond; None stays None."""
    if nanoseconds is None:
        return None
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    return moment.isoformat().replace("+00:00", "Z")


def summary_document(summary: TrajectorySummary) -> dict[str, Any]:
    """Return a summary as it stands in `traces list --json`."""
    return {
        "trace_id": summary.trace_id,
        "agent": summary.agent,
        "version": summary.version,
        "model": summary.model,
        "start": time_text(summary.start_ns),
        "end": time_text(summary.end_ns),
        "duration_s": summary.duration_s,
        "complete": summary.complete,
        "outcome": summary.outcome.value,
        "spans": summary.spans,
        "steps": summary.steps,
        "inferences": summary.inferences,
        "tool_calls": summary.tool_calls,
        "errors": summary.errors,
        "tool_errors": summary.tool_errors,
        "retries": summary.retries,
        "tokens": {
            "input": summary.input_tokens,
            "output": summary.output_tokens,
            "cache_read": summary.cache_read_tokens,
            "cache_write": summary.cache_write_tokens,
        },
        "cost_usd": summary.cost_usd,
        "unpriced": summary.unpriced,
        "tool_cost_usd": summary.tool_cost_usd,
        "prompt": summary.prompt,
        "conversation_id": summary.conversation_id,
        "user_id": summary.user_id,
    }


def trajectory_document(trajectory: Trajectory) -> dict[str, Any]:
    """Return schema `analyzer.trace/1`: the summary, every span, and the numbers of the steps."""
    numbers = trajectory.step_numbers
    return {
        "schema": "analyzer.trace/1",
        **summary_document(trajectory.summary),
        "span_count": trajectory.summary.spans,
        "tools": [tool_document(use) for use in trajectory.tool_uses],
        "spans": [span_document(span, numbers.get(span.span_id)) for span in trajectory.spans],
    }


def tool_document(use: ToolUse) -> dict[str, Any]:
    """Return what one tool was used for."""
    return {"tool": use.tool, "calls": use.calls, "seconds": use.seconds, "cost_usd": use.cost_usd}


def table_document(table: Table) -> dict[str, Any]:
    """Return a computed table: every row as a list in the order of the columns, null where a number is not known."""
    return {
        "title": table.title,
        "start": moment_text(table.start),
        "end": moment_text(table.end),
        "columns": [{"name": column.name, "unit": column.unit.value} for column in table.columns],
        "rows": [list(one.cells) for one in table.lines],
        "note": table.note,
    }


def span_document(span: Span, step: int | None) -> dict[str, Any]:
    """Return a span; texts in their readable form, which is the form that evidence quotes."""
    tokens = span.tokens
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "step": step,
        "name": span.name,
        "operation": span.operation.value,
        "start": time_text(span.start_ns),
        "end": time_text(span.end_ns),
        "duration_ms": span.duration_ms,
        "status": span.status.value,
        "status_message": span.status_message,
        "error": span.error.value if span.error else None,
        "error_type": span.error_type,
        "agent": span.agent,
        "agent_version": span.agent_version,
        "provider": span.provider,
        "model": span.model,
        "tool": span.tool,
        "tokens": None
        if tokens is None
        else {
            "input": tokens.input,
            "output": tokens.output,
            "cache_read": tokens.cache_read,
            "cache_write": tokens.cache_write,
            "reasoning": tokens.reasoning,
        },
        "cost_usd": span.cost_usd,
        "finish": span.finish.value if span.finish else None,
        "attempt": span.attempt,
        "input": readable(span.input) or None,
        "output": readable(span.output) or None,
        "system": readable(span.system) or None,
        "attributes": dict(span.attributes),
    }


def answer_document(answer: Answer, question: str, *, trace_id: str | None, incident_id: str | None) -> dict[str, Any]:
    """Return schema `analyzer.answer/1`: what was asked about what, and the answer with what it rests on."""
    return {
        "schema": "analyzer.answer/1",
        "trace_id": trace_id,
        "incident_id": incident_id,
        "question": question,
        "answer": answer.text,
        "tables": [table_document(table) for table in answer.tables],
        "claims": [{"text": claim.text, "evidence": list(claim.evidence)} for claim in answer.claims],
        "evidence": [evidence_document(entry) for entry in answer.evidence],
        "responsible": None if answer.responsible is None else asdict(answer.responsible),
        "sources": list(sources(answer)),
        "verdict": answer.verdict.value,
        "by": answer.by,
        "ending": answer.ending.value,
        "struck_out": answer.struck_out,
        "missing": answer.missing,
        "note": answer.note,
    }


def llm_document(use: ModelUse, left: Left | None) -> dict[str, Any]:
    """Return what a model was asked, what that cost, and what is left of the budgets (None: nothing bounds it)."""
    return {
        "calls": use.calls,
        "input_tokens": use.input_tokens,
        "output_tokens": use.output_tokens,
        "cost_usd": use.cost_usd,
        "left": None if left is None else {"usd": left.usd, "tokens": left.tokens},
    }


def why_not_document(answer: WhyNot) -> dict[str, Any]:
    """Return schema `analyzer.why-not/1`: where each detector stands with one agent."""
    return {
        "schema": "analyzer.why-not/1",
        "agent": answer.agent,
        "at": moment_text(answer.at),
        "last_seen": None if answer.last_seen is None else moment_text(answer.last_seen),
        "readings": [_standing(one) for one in answer.standings],
        "gaps": [gap_document(gap) for gap in answer.gaps],
    }


def _standing(one: Standing) -> dict[str, Any]:
    reading = one.reading
    return {
        "detector": reading.detector,
        "kind": reading.kind.value,
        "subject": subject_document(reading.subject),
        "gate": reading.gate.value,
        "why": reading.why,
        "value": finite(reading.value),
        "baseline": finite(reading.baseline),
        "unit": reading.unit,
        "kernel": reading.kernel,
        "score": finite(reading.score),
        "threshold": finite(reading.threshold),
        "detectable": reading.detectable,
        "found": None if one.fate is None else {
            "fate": one.fate.value,
            "incident": None if one.incident is None else one.incident.id,
            "said": one.said,
            "finding": None if one.finding is None else finding_document(one.finding),
        },
    }  # fmt: skip
