"""The answer to a question as blocks: about a trajectory, an incident or the fleet."""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.render.blocks import Block, Bullets, Heading, Paragraph, Quote, code, line, plain, prose, strong
from analyzer.render.evidence import tabled_evidence
from analyzer.render.numbers import count, money, period
from analyzer.render.tables import computed
from analyzer.render.text import one_line, visible
from analyzer.types.explained import Answer, Statement
from analyzer.types.report import STORE, Evidence, MetricEvidence, SpanEvidence

ID_CHARS = 12


def answer_outline(answer: Answer, trace_id: str | None, *, heading: str = "") -> tuple[Block, ...]:
    """Return the answer, its tables, its claims with their evidence, and how it came about.

    `trace_id` is the trajectory that is asked about, or the worst of an incident; None for the fleet. A model's answer
    begins with `statements_outline`, so that statements can be shown while the rest of it is still being written.
    """
    by_rules = answer.by == "rules"
    title = heading or f"Trajectory {trace_id}"
    blocks = list(heading_outline(title) if by_rules else statements_outline(statements(answer), title))
    if by_rules and answer.note:
        blocks.append(Paragraph(prose(_without_a_model(answer))))
    said = () if by_rules else {claim.text for claim in answer.claims}
    texts = (text for text in answer.text.splitlines() if text.strip() and text not in said)
    blocks += [Paragraph(prose(one_line(text))) for text in texts]
    blocks += [block for table in answer.tables for block in computed(table)]
    blocks += _borne_out(answer) if by_rules else _beside(answer)
    blocks.append(_how(answer))
    source = next(iter(sources(answer)), trace_id[:ID_CHARS] if trace_id else "")
    if source:
        blocks.append(Paragraph(line("The spans: ", code(f"analyzer traces show {source}"))))
    return tuple(blocks)


def heading_outline(heading: str) -> tuple[Block, ...]:
    """Return what an answer begins with: what is asked about."""
    return (Heading(1, plain(one_line(heading))),)


def statements_outline(given: Sequence[Statement], heading: str) -> tuple[Block, ...]:
    """Return the heading, and each statement with the evidence that no statement before it has shown.

    With one more statement the blocks are the same, and more: what was printed can stay.
    """
    blocks = list(heading_outline(heading))
    shown: set[str] = set()
    for one in given:
        names = ", ".join(one.claim.evidence)
        blocks.append(Bullets((line(*prose(one_line(one.claim.text)), f" ({names})"),)))
        blocks += _shown([entry for entry in one.evidence if entry.id not in shown])
        shown |= set(one.claim.evidence)
    return tuple(blocks)


def statements(answer: Answer) -> tuple[Statement, ...]:
    """Return the claims of an answer with their evidence."""
    known = {entry.id: entry for entry in answer.evidence}
    return tuple(
        Statement(claim, tuple(known[name] for name in claim.evidence if name in known)) for claim in answer.claims
    )


def sources(answer: Answer) -> tuple[str, ...]:
    """Return the spans that the answer quotes, as `traces show` opens them, each once."""
    spans = (entry for entry in answer.evidence if isinstance(entry, SpanEvidence))
    return tuple(dict.fromkeys(_source(entry) for entry in spans))


def _source(entry: SpanEvidence) -> str:
    return f"{entry.trace_id[:ID_CHARS]}/{entry.span_id}"


def _borne_out(answer: Answer) -> list[Block]:
    """Return the claims that the text of the rules does not hold already, and all evidence."""
    said = set(answer.text.splitlines())
    entries = tuple(
        line(*prose(one_line(one.text)), f" ({', '.join(one.evidence)})")
        for one in answer.claims
        if one.text not in said
    )
    claims: list[Block] = [Bullets(entries)] if entries else []
    cited = {name for claim in answer.claims for name in claim.evidence}
    measured = [entry for entry in answer.evidence if isinstance(entry, MetricEvidence) and entry.id in cited]
    quoted = [entry for entry in answer.evidence if isinstance(entry, SpanEvidence)]
    return [*claims, *_shown([*measured, *quoted])]


def _beside(answer: Answer) -> list[Block]:
    """Return what else a model's answer has: what is missing, whose step it was, and what is on file besides."""
    blocks: list[Block] = []
    if answer.missing:
        blocks.append(Paragraph(line(strong("What would decide it: "), *prose(one_line(answer.missing)))))
    named = answer.responsible
    if named is not None and named.span_id:
        who = f" of {one_line(named.agent)}" if named.agent else ""
        blocks.append(Paragraph(line(f"Decisive step: step {named.step}{who}, span ", code(named.span_id))))
    cited = {name for claim in answer.claims for name in claim.evidence}
    quoted = [entry for entry in answer.evidence if isinstance(entry, SpanEvidence) and entry.id not in cited]
    return [*blocks, *_shown(quoted)]


def _shown(entries: Sequence[Evidence]) -> list[Block]:
    """Return evidence as blocks: rows of tables, then quotes with the place they stand in."""
    rows = [
        tabled_evidence(entry, period(entry.start, entry.end))
        for entry in entries
        if isinstance(entry, MetricEvidence) and entry.source == STORE
    ]
    blocks: list[Block] = [Bullets(tuple(rows))] if rows else []
    for entry in entries:
        if isinstance(entry, SpanEvidence):
            where = (" span ", code(_source(entry)), f", {entry.field}:")
            blocks.append(Quote(visible(entry.quote), line(strong(entry.id), *where)))
    return blocks


def _how(answer: Answer) -> Block:
    """Return who answered, what of it was checked, and what it cost."""
    by_rules = answer.by == "rules"
    parts = ["By rules, without a model" if by_rules else f"By {answer.by}"]
    if answer.claims or not by_rules:
        parts.append(f"{count(len(answer.claims), 'claim')} borne out by evidence, {answer.struck_out} struck out")
    if answer.use.calls:
        parts.append(f"{count(answer.use.calls, 'call')}, {money(answer.use.cost_usd)}")
    note = f" {one_line(answer.note)}" if answer.note and not by_rules else ""
    return Paragraph(plain("; ".join(parts) + "." + note))


def _without_a_model(answer: Answer) -> str:
    """Return why no model answered, as the first thing to be read: what follows does not heed the question."""
    why = one_line(answer.note).rstrip(".")
    return f"{why[:1].upper()}{why[1:]}. What follows is what can be computed."
