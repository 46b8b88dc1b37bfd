"""The answer to a question about a trajectory, as blocks."""

from __future__ import annotations

from analyzer.render.blocks import Block, Bullets, Heading, Paragraph, Quote, code, line, plain, prose, strong
from analyzer.render.numbers import count, money
from analyzer.render.text import one_line, visible
from analyzer.types.explained import Answer
from analyzer.types.report import SpanEvidence


def answer_outline(answer: Answer, trace_id: str) -> tuple[Block, ...]:
    """Return the answer, its claims with their evidence, and how it came about."""
    blocks: list[Block] = [Heading(1, plain(f"Trajectory {trace_id}"))]
    computed = answer.by == "rules"
    if computed and answer.note:
        blocks.append(Paragraph(prose(_without_a_model(answer))))
    blocks += [Paragraph(prose(one_line(text))) for text in answer.text.splitlines() if text.strip()]
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
    for entry in answer.evidence:
        if isinstance(entry, SpanEvidence):
            where = (" span ", code(entry.span_id), f", {entry.field}:")
            blocks.append(Quote(visible(entry.quote), line(strong(entry.id), *where)))
    by = "rules, without a model" if computed else answer.by
    parts = [f"By {by}", f"{count(len(answer.claims), 'claim')} borne out by evidence, {answer.struck_out} struck out"]
    if answer.use.calls:
        parts.append(f"{count(answer.use.calls, 'call')}, {money(answer.use.cost_usd)}")
    note = f" {one_line(answer.note)}" if answer.note and not computed else ""
    blocks.append(Paragraph(plain("; ".join(parts) + "." + note)))
    blocks.append(Paragraph(line("The spans: ", code(f"analyzer traces show {trace_id[:12]}"))))
    return tuple(blocks)


def _without_a_model(answer: Answer) -> str:
    """Return why no model answered, as the first thing to be read: what follows does not heed the question."""
    why = one_line(answer.note).rstrip(".")
    return f"{why[:1].upper()}{why[1:]}. What follows is what can be computed."
