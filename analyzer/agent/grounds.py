"""What a claim rests on, gathered from its evidence piece by piece: numbers, words, steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from analyzer.agent.binding import about_kind
from analyzer.agent.case import CaseFile
from analyzer.agent.facts import Fact, filed_quantities, near_onset
from analyzer.agent.numbers import COUNT, SECONDS, TOKENS, USD, Known, Quantity, quantities_in
from analyzer.agent.quantifiers import shares_of
from analyzer.agent.shown import Shown
from analyzer.agent.subjects import stems
from analyzer.types.messages import readable
from analyzer.types.report import Evidence, Incident, Kind, MetricEvidence
from analyzer.types.trace import Span

NEAR_CHARS = 300
"""Text on either side of a quote that says what the quote is about."""


@dataclass(slots=True)
class Ground:
    """The evidence of one claim, or of several together."""

    quantities: set[Quantity] = field(default_factory=set)
    times: set[datetime] = field(default_factory=set)
    quotes: list[str] = field(default_factory=list)
    """Verbatim stretches."""
    texts: list[str] = field(default_factory=list)
    """What the evidence speaks of: quotes with what stands around them, facts, queries."""
    names: frozenset[str] = frozenset()
    """Stems of the names of what was quoted: that they occur ties a sentence to nothing."""
    steps: set[int] = field(default_factory=set)
    traces: set[str] = field(default_factory=set)
    computed: bool = False
    """Whether there is a table's row or a query of its own in it, which may measure what no detector found."""
    affected: bool = False
    """Whether a quote is from an affected trajectory."""

    def quote(self, span: Span, stretch: str, text: str) -> None:
        """Take in a quote from a text, with what stands around it and what the span itself says."""
        at = max(text.find(stretch), 0)
        self.quantities |= quantities_in(stretch) | span_quantities(span)
        self.quotes.append(stretch)
        self.texts += [text[max(at - NEAR_CHARS, 0) : at + len(stretch) + NEAR_CHARS], span.status_message]
        self.texts += [span.finish or "", span.error_type, span.error.value if span.error else ""]
        # Of a tool's answer what it was asked says as much as the answer.
        self.texts += [readable(span.input or "")[:NEAR_CHARS]] if span.tool else []
        self.names |= stems(" ".join(part for part in (span.agent, span.tool, span.model, span.name) if part))

    def row(self, fact: Fact) -> None:
        """Take in the numbers and times of a table's row."""
        self.quantities |= fact.quantities
        self.times |= fact.times
        self.computed = True

    def take(self, text: str, others: Iterable[Ground]) -> None:
        """Take in a standing claim's text, and what it rests on."""
        self.texts.append(text)
        for other in others:
            self.quantities |= other.quantities
            self.times |= other.times
            self.quotes += other.quotes
            self.texts += other.texts
            self.steps |= other.steps
            self.computed = self.computed or other.computed


def span_quantities(span: Span) -> set[Quantity]:
    """Return what a span itself measures: its tokens, its time, its cost."""
    found: set[Quantity] = set()
    if span.tokens is not None:
        used = {"input tokens": span.tokens.input, "output tokens": span.tokens.output}
        used |= {"all tokens": span.tokens.total, "cached tokens": span.tokens.cache_read}
        found |= {Quantity(float(count), TOKENS, of) for of, count in used.items()}
    if span.duration_ms is not None:
        found.add(Quantity(span.duration_ms / 1000, SECONDS))
    if span.cost_usd is not None:
        found.add(Quantity(span.cost_usd, USD))
    return found


def known_from_start(case: CaseFile, filed: Iterable[Evidence], shown: Shown) -> Known:
    """Return what any statement about a case may say: facts, filed evidence, and how often steps repeat."""
    quantities = {Quantity(float(times), COUNT, "repeats", about_kind(Kind.LOOP)) for times in case.repeats}
    times: set[datetime] = set()
    for fact in case.facts:
        quantities |= fact.quantities
        times |= fact.times
    for entry in filed:
        if isinstance(entry, MetricEvidence):
            quantities |= filed_quantities(entry, case.incident)
            times |= {entry.start, entry.end}
        else:
            quantities |= quantities_in(entry.quote)
    steps_max = max((len(one.steps) for one in (*case.trajectories, *case.healthy)), default=0)
    factors = frozenset(factor.factor for factor in case.incident.account)
    known = Known(
        frozenset(),
        steps_max,
        named=shown.names,
        factors=factors,
        onsets=_onsets(case.incident),
        shares=frozenset(shares_of(case.incident)),
    )
    return known.with_more(quantities, times)


def _onsets(incident: Incident) -> frozenset[datetime]:
    """Return the times at which it may be said to have begun: those of the estimate, and of changes near it."""
    if not incident.findings:
        return frozenset()
    began = {incident.onset, *(change.at for change in near_onset(incident))}
    for finding in incident.findings:
        began |= {finding.onset, finding.onset_low, finding.onset_high}
        began |= {finding.began} if finding.began is not None else set()
    return frozenset(began)
