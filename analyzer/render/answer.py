"""The answer to a question as blocks: about a trajectory, an incident or the fleet."""

from __future__ import annotations

from analyzer.render.blocks import Block, Bullets, Heading, Paragraph, Quote, code, line, plain, prose, strong
from analyzer.render.evidence import tabled_evidence
from analyzer.render.numbers import count, money, period
from analyzer.render.tables import computed
from analyzer.render.text import one_line, visible
from analyzer.types.explained import Answer
from analyzer.types.report import STORE, MetricEvidence, SpanEvidence

ID_CHARS = 12


def answer_outline(answer: Answer, trace_id: str | None, *, heading: str = "") -> tuple[Block, ...]:
    """Return the answer, its tables, its claims with their evidence, and how it came about.

    `trace_id` is the trajectory that is asked about, or the worst of an incident; None for the fleet.
    """
    blocks: list[Block] = [Heading(1, plain(one_line(heading) or f"Trajectory {trace_id}"))]
    by_rules = answer.by == "rules"
    if by_rules and answer.note:
        blocks.append(Paragraph(prose(_without_a_model(answer))))
    blocks += [Paragraph(prose(one_line(text))) for text in answer.text.splitlines() if text.strip()]
    blocks += [block for table in answer.tables for block in computed(table)]
    blocks += _borne_out(answer)
    by = "rules, without a model" if by_rules else answer.by
    parts = [f"By {by}"]
    if answer.claims or not answer.tables or not by_rules:
        parts.append(f"{count(len(answer.claims), 'claim')} borne out by evidence, {answer.struck_out} struck out")
    if answer.use.calls:
        parts.append(f"{count(answer.use.calls, 'call')}, {money(answer.use.cost_usd)}")
    note = f" {one_line(answer.note)}" if answer.note and not by_rules else ""
    blocks.append(Paragraph(plain("; ".join(parts) + "." + note)))
    source = next(iter(sources(answer)), trace_id[:ID_CHARS] if trace_id else "")
    if source:
        blocks.append(Paragraph(line("The spans: ", code(f"analyzer traces show {source}"))))
    return tuple(blocks)


def sources(answer: Answer) -> tuple[str, ...]:
    """Return the spans that the answer quotes, as `traces show` opens them, each once."""
    spans = (entry for entry in answer.evidence if isinstance(entry, SpanEvidence))
    return tuple(dict.fromkeys(_source(entry) for entry in spans))


def _source(entry: SpanEvidence) -> str:
    return f"{entry.trace_id[:ID_CHARS]}/{entry.span_id}"


def _borne_out(answer: Answer) -> list[Block]:
    """Return the claims that the text does not hold already, and what they rest on."""
    blocks: list[Block] = []
    said = set(answer.text.splitlines())
    claims = [claim for claim in answer.claims if claim.text not in said]
    if claims:
        blocks.append(
            Bullets(tuple(line(*prose(one_line(one.text)), f" ({', '.join(one.evidence)})") for one in claims))
        )
    named = answer.responsible
    if named is not None and named.span_id:
        who = f" of {one_line(named.agent)}" if named.agent else ""
        blocks.append(Paragraph(line(f"Decisive step: step {named.step}{who}, span ", code(named.span_id))))
    cited = {name for claim in answer.claims for name in claim.evidence}
    rows = [
        tabled_evidence(entry, period(entry.start, entry.end))
        for entry in answer.evidence
        if isinstance(entry, MetricEvidence) and entry.id in cited and entry.source == STORE
    ]
    if rows:
        blocks.append(Bullets(tuple(rows)))
    for entry in answer.evidence:
        if isinstance(entry, SpanEvidence):
            where = (" span ", code(_source(entry)), f", {entry.field}:")
            blocks.append(Quote(visible(entry.quote), line(strong(entry.id), *where)))
    return blocks


def _without_a_model(answer: Answer) -> str:
    """Return why no model answered, as the first thing to be read: what follows does not heed the question."""
    why = one_line(answer.note).rstrip(".")
    return f"{why[:1].upper()}{why[1:]}. What follows is what can be computed."
