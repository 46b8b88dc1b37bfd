"""The evidence of an incident as blocks: numbers with what gives them, quotes with the place they stand in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from analyzer.render.blocks import Block, Bullets, Heading, Line, Paragraph, Quote, code, line, plain, strong
from analyzer.render.numbers import clock, figure, number
from analyzer.render.text import one_line, visible
from analyzer.types.promql import pinned
from analyzer.types.report import STORE, Evidence, Finding, Incident, Kind, MetricEvidence, SpanEvidence

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
    if any(entry.source == STORE and _owner(entry, incident) is not None for entry in measured):
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
    # Of a span over days the end has its date too: "from 24 Nov 20:00 UTC to 20:00 UTC" reads as no time at all.
    is_of_days = entry.start.astimezone(UTC).date() != entry.end.astimezone(UTC).date()
    span = f"from {clock(entry.start, at)} to {clock(entry.end, entry.start if is_of_days else at)}"
    owner = _owner(entry, incident)
    if entry.source == STORE and owner is not None:
        whose = one_line(entry.agent or str(owner.subject))
        # "Silence of an agent: 9.5 trajectories per hour" would be a contradiction: what is counted there are its runs.
        what = "volume" if owner.kind is Kind.SILENCE else owner.kind.value
        named = f"{what} of {whose}: {figure(entry.value, owner.kind, owner.unit)}"
        return line(strong(entry.id), f" {named}, {span}")
    if entry.source == STORE:
        return tabled_evidence(entry, span)
    held = pinned(entry.promql, entry.end)
    when = "" if held else f", evaluated at {entry.end.timestamp():.0f}"
    query = code(one_line(held or entry.promql))
    return line(strong(entry.id), " ", query, f" = {number(entry.value)} {span}{when} ({entry.source})")


def tabled_evidence(entry: MetricEvidence, span: str) -> Line:
    """Return a number of a computed table: what was asked of the stored trajectories, and what came out."""
    query = code(one_line(entry.promql))
    return line(
        strong(entry.id), " ", query, f" = {number(entry.value)} {span} (computed from the stored trajectories)"
    )


def _owner(entry: MetricEvidence, incident: Incident) -> Finding | None:
    """Return the finding that filed a number: it knows its kind, subject and unit. None for a row of a table."""
    return next((one for one in incident.findings if any(own.id == entry.id for own in one.evidence)), None)


def _quote(entry: SpanEvidence) -> Quote:
    text = visible(entry.quote)
    if len(text) > QUOTE_CHARACTERS_MAX:
        text = text[:QUOTE_CHARACTERS_MAX] + "…"
    where = (" trajectory ", code(entry.trace_id), ", span ", code(entry.span_id), f", {entry.field}:")
    return Quote(text, line(strong(entry.id), *where))
