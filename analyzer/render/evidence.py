"""The evidence of an incident as blocks: numbers with what gives them, quotes with the place they stand in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from analyzer.render.blocks import Block, Bullets, Heading, Line, Paragraph, Quote, code, line, plain, strong
from analyzer.render.numbers import clock, figure, number
from analyzer.render.text import one_line, visible
from analyzer.types.promql import pinned
from analyzer.types.report import STORE, Evidence, Incident, MetricEvidence, SpanEvidence

QUOTE_CHARACTERS_MAX = 1200
EVIDENCE_SHOWN_MAX = 12
"""Beyond this a report is no longer read; the JSON document has all of it."""


def evidence_outline(incident: Incident, at: datetime, level: int) -> Iterable[Block]:
    """Yield the evidence under a heading of `level`: what the claims rest on first, numbers before quotes.

    A number from Prometheus comes with a query that gives it whenever it is run. One from the store's own series has no
    server that could be asked: it is named in words, and the command that computes it again is said once.
    """
    if not incident.evidence:
        return
    yield Heading(level, plain("Evidence"))
    shown = _cited_first(incident)[:EVIDENCE_SHOWN_MAX]
    measured = [entry for entry in shown if isinstance(entry, MetricEvidence)]
    if measured:
        yield Bullets(tuple(_metric(entry, incident, at) for entry in measured))
    if any(entry.source == STORE for entry in measured):
        again = f"analyzer run --at {incident.last_seen_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} --llm off --json"
        yield Paragraph(line("Computed from the stored trajectories; again by ", code(again), "."))
    for entry in shown:
        if isinstance(entry, SpanEvidence):
            yield _quote(entry)
    hidden = len(incident.evidence) - len(shown)
    if hidden:
        yield Paragraph(line(f"{hidden} more in ", code(f"analyzer incidents show {incident.id} --json")))


def _cited_first(incident: Incident) -> list[Evidence]:
    """Return the evidence with what the claims rest on first: that must be shown in any case."""
    claims = incident.diagnosis.claims if incident.diagnosis is not None else ()
    cited = {name for claim in claims for name in claim.evidence}
    return sorted(incident.evidence, key=lambda entry: entry.id not in cited)


def _metric(entry: MetricEvidence, incident: Incident, at: datetime) -> Line:
    span = f"from {clock(entry.start, at)} to {clock(entry.end, at)}"
    if entry.source == STORE:
        return line(strong(entry.id), f" {_named(entry, incident)}, {span}")
    held = pinned(entry.promql, entry.end)
    when = "" if held else f", evaluated at {entry.end.timestamp():.0f}"
    query = code(one_line(held or entry.promql))
    return line(strong(entry.id), " ", query, f" = {number(entry.value)} {span}{when} ({entry.source})")


def _named(entry: MetricEvidence, incident: Incident) -> str:
    """Return what a number of the store says: the finding that filed it knows its kind, subject and unit."""
    owner = next((one for one in incident.findings if any(own.id == entry.id for own in one.evidence)), None)
    kind, subject, unit = (
        (owner.kind, owner.subject, owner.unit) if owner else (incident.kind, incident.subject, incident.unit)
    )
    return f"{kind.value} of {one_line(str(subject))}: {figure(entry.value, kind, unit)}"


def _quote(entry: SpanEvidence) -> Quote:
    text = visible(entry.quote)
    if len(text) > QUOTE_CHARACTERS_MAX:
        text = text[:QUOTE_CHARACTERS_MAX] + "…"
    where = (" trajectory ", code(entry.trace_id), ", span ", code(entry.span_id), f", {entry.field}:")
    return Quote(text, line(strong(entry.id), *where))
