"""The evidence gate: what a model claims against what is stored. Nothing passes that a machine cannot check.

A claim stands when every piece of its evidence holds and every number and quoted word in it is known. A quote must be
at least 8 characters (or the whole field), stand verbatim (white space folded, nothing else) in the masked text of a
span in the case, and in something the model was shown. A metric value is computed again. Ids must exist. What fails
is struck out with a reason; a summary or cause with anything unproven in it is replaced by the one made by rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from analyzer.agent.answer import CLAIM_CHARS, QUOTE_CHARS, TEXT_CHARS, Draft, DraftClaim, FactRef, MetricValue, Quote
from analyzer.agent.case import CaseFile
from analyzer.agent.facts import Fact, evidence_of
from analyzer.agent.numbers import COUNT, RATIO, SECONDS, SHARE, TOKENS, USD, Known, Quantity, quantities_in, unproven
from analyzer.agent.promql import objection
from analyzer.agent.shown import Shown
from analyzer.agent.text import Mask, defuse, find_verbatim, has_hidden, text_of
from analyzer.agent.verdict import Standing, contradicts, verdict_of
from analyzer.types.report import (
    PROMETHEUS,
    Claim,
    Diagnosis,
    Ending,
    Evidence,
    Kind,
    MetricEvidence,
    Responsible,
    SpanEvidence,
    Verdict,
)
from analyzer.types.trace import TEXT_FIELDS, Span

QUOTE_MIN = 8
"""Characters other than white space. Shorter ones ("error", "null") stand everywhere and prove nothing."""
VALUE_TOLERANCE = 0.01
_QUOTED = re.compile(r"\"([^\"\n]*)\"|[“„«]([^“”„«»\n]*)[”“»]|`([^`\n]*)`|(?<!\w)'([^'\n]{8,400})'(?!\w)")
"""Words in quotation marks, pair by pair."""
_WORDS_MIN = 3
"""Shorter quoted words are signs and letters that stand everywhere."""
_IDS = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{16})(?![0-9a-fA-F])")
_FALLS = re.compile(
    r"\b(fell|fallen|falls|dropped|drops|decreased?s?|declined?s?|went down|improved?s?|shrank)\b", re.IGNORECASE
)

Recompute = Callable[[MetricEvidence], float | None]
Lookup = Callable[[str, str], Span | None]
"""Trace id and span id -> the span with all its text, or None where it is not in the case."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A claim, or a part of an answer, that did not survive, and why."""

    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Gated:
    """An answer after the gate."""

    diagnosis: Diagnosis
    evidence: tuple[Evidence, ...]
    """New pieces that the standing claims rest on, with ids that follow the filed ones."""
    struck: tuple[Struck, ...]


@dataclass(slots=True)
class _Ids:
    """Gives new evidence the next free ids; the same piece gets the same id."""

    taken: set[str]
    new: dict[Evidence, str]

    def of(self, evidence: Evidence) -> str:
        if evidence not in self.new:
            number = len(self.taken) + 1
            while f"E{number}" in self.taken:
                number += 1
            self.taken.add(f"E{number}")
            self.new[evidence] = f"E{number}"
        return self.new[evidence]


class Gate:
    """Judges the answers to one case."""

    def __init__(
        self,
        case: CaseFile,
        shown: Shown,
        lookup: Lookup,
        recompute: Recompute,
        mask: Mask,
        *,
        metered: bool = True,
        found: Callable[[], Sequence[Fact]] = tuple,
    ) -> None:
        """`metered`: there is a Prometheus that answers, so that a query is a check which a reader can run.

        `found` gives the facts that tools have computed since the case file was made. Each proves numbers only of
        what cites it: a table of a hundred numbers, all known at once, would bear out almost any.
        """
        self._case = case
        self._shown = shown
        self._lookup = lookup
        self._recompute = recompute
        self._mask = mask
        self._metered = metered
        self._filed = {entry.id: entry for entry in evidence_of(case.incident)}
        self._facts = {fact.id: fact for fact in case.facts}
        self._found = found
        self._steps = {
            one.summary.trace_id: {step.span_id: step for step in one.steps}
            for one in (*case.trajectories, *case.healthy)
        }
        self._repeats = {Quantity(float(times), COUNT) for times in case.repeats}

    def judge(self, draft: Draft, fallback: Diagnosis, by: str) -> Gated:
        """Return what stands of a draft; `fallback` is the explanation by rules, `by` the model's id."""
        ids = _Ids(set(self._filed), {})
        claims: list[Claim] = []
        struck: list[Struck] = []
        cited: set[Fact] = set()
        quoted = decisive = False
        for one in draft.claims:
            try:
                claim, from_span, rows = self._claim(one, ids)
            except _StruckError as reason:
                struck.append(Struck(one.text, str(reason)))
                continue
            claims.append(claim)
            cited |= rows
            quoted = quoted or from_span
            decisive = decisive or (from_span and one.decisive)
        known = self._known(ids, cited)
        summary = self._prose(draft.summary, known, bool(claims), struck, "summary")
        cause = self._prose(draft.cause, known, bool(claims), struck, "cause")
        used = {name for claim in claims for name in claim.evidence}
        standing = Standing(
            claims=len(claims),
            struck=len(struck),
            quoted=quoted,
            decisive=decisive,
            contradicted=bool(claims) and contradicts(draft.category, self._case.incident),
            undecided=draft.category == "unknown",
        )
        verdict = verdict_of(standing, self._case.incident)
        responsible = self._responsible(draft)
        diagnosis = Diagnosis(
            verdict=verdict,
            by=by,
            ending=Ending.ANSWERED,
            summary=summary or fallback.summary,
            cause=cause or fallback.cause,
            claims=tuple(claims),
            responsible=responsible or fallback.responsible,
            actions=self._actions(draft, known) or fallback.actions,
            check=self._check(draft.check) or fallback.check,
            struck_out=len(struck),
            note=_note(struck, summary, cause),
            category=draft.category if cause and verdict is not Verdict.INCONCLUSIVE else "unknown",
            refutation=self._prose(draft.refutation, known, bool(claims), [], "refutation") or fallback.refutation,
        )
        new = tuple(replace(entry, id=name) for entry, name in ids.new.items() if name in used)
        return Gated(diagnosis, new, tuple(struck))

    def _claim(self, claim: DraftClaim, ids: _Ids) -> tuple[Claim, bool, set[Fact]]:
        if not claim.evidence:
            raise _StruckError("it has no evidence")
        names: list[str] = []
        quantities: set[Quantity] = set()
        texts: list[str] = []
        rows: set[Fact] = set()
        from_span = False
        for entry in claim.evidence:
            if isinstance(entry, Quote):
                span, stretch = self._quote(entry)
                names.append(ids.of(SpanEvidence("", entry.trace_id, entry.span_id, entry.field, stretch)))
                quantities |= quantities_in(stretch) | self._span_quantities(span)
                texts.append(stretch)
                affected = {one.summary.trace_id for one in self._case.trajectories} | set(
                    self._case.incident.trace_ids
                )
                from_span = from_span or entry.trace_id in affected
            elif isinstance(entry, MetricValue):
                metric = self._metric(entry)
                names.append(ids.of(metric))
                quantities |= _any_unit(metric.value)
            else:
                names += self._fact(entry, ids, rows)
        if not names:
            raise _StruckError("it rests on facts without filed evidence; add a quote or a metric")
        known = self._known(ids, rows).with_more(quantities)
        self._text_holds(claim.text, known, texts)
        text = self._mask(defuse(claim.text, CLAIM_CHARS))
        return Claim(text, tuple(dict.fromkeys(names))), from_span, rows

    def _quote(self, entry: Quote) -> tuple[Span, str]:
        if entry.field not in TEXT_FIELDS:
            raise _StruckError(f"{entry.field!r} is no text field of a span; use one of {', '.join(TEXT_FIELDS)}")
        span = self._lookup(entry.trace_id, entry.span_id)
        if span is None:
            raise _StruckError(f"span {entry.span_id!r} of trace {entry.trace_id!r} is not in the case")
        text = text_of(span, entry.field, self._mask)
        if len(entry.quote) > QUOTE_CHARS:
            raise _StruckError(f"the quote has more than {QUOTE_CHARS} characters")
        if has_hidden(entry.quote) or "⟨U+" in entry.quote:
            raise _StruckError("the quote reaches across a hidden character; quote the text beside it")
        if len("".join(entry.quote.split())) < QUOTE_MIN and " ".join(entry.quote.split()) != " ".join(text.split()):
            raise _StruckError(f"the quote has fewer than {QUOTE_MIN} characters and is not the whole field")
        stretch = find_verbatim(entry.quote, text)
        if stretch is None:
            raise _StruckError(f"the quote does not stand in {entry.field} of span {entry.span_id}")
        if not self._shown.holds(entry.trace_id, entry.span_id, entry.field, entry.quote):
            raise _StruckError("the quote stands in the span but was never shown to you")
        return span, stretch

    def _metric(self, entry: MetricValue) -> MetricEvidence:
        start, end = _time(entry.start), _time(entry.end)
        if start is None or end is None:
            raise _StruckError("start and end must be ISO 8601 times with a time zone")
        if not self._case.start <= start <= end <= self._case.end:
            raise _StruckError("the query lies outside the window of the case")
        reason = objection(entry.promql, self._case.agents, self._case.end - self._case.start)
        if reason:
            raise _StruckError(f"the query leaves the case: {reason}")
        if not entry.step > 0:
            raise _StruckError("step must be more than 0 seconds")
        evidence = MetricEvidence("", entry.promql, start, end, entry.step, entry.value, PROMETHEUS)
        value = self._recompute(evidence)
        if value is None or not math.isfinite(value):
            raise _StruckError("the query gives no single value when it is evaluated again")
        if not _same(entry.value, value):
            raise _StruckError(f"the query gives {value:.6g}, not {entry.value:.6g}")
        return replace(evidence, value=value)

    def _fact(self, entry: FactRef, ids: _Ids, rows: set[Fact]) -> list[str]:
        if entry.id in self._filed:
            return [entry.id]
        fact = self._facts.get(entry.id) or next((one for one in self._found() if one.id == entry.id), None)
        if fact is None:
            raise _StruckError(f"there is no fact or evidence {entry.id!r}")
        if fact.basis is not None:
            rows.add(fact)
            return [ids.of(fact.basis)]
        return [name for name in fact.evidence if name in self._filed][:3]

    def _known(self, ids: _Ids, rows: set[Fact]) -> Known:
        quantities: set[Quantity] = set()
        times: set[datetime] = set()
        for fact in (*self._case.facts, *rows):
            quantities |= fact.quantities
            times |= fact.times
        for entry in (*self._filed.values(), *ids.new):
            if isinstance(entry, MetricEvidence):
                quantities |= _any_unit(entry.value)
                times |= {entry.start, entry.end}
            else:
                quantities |= quantities_in(entry.quote)
                span = self._lookup(entry.trace_id, entry.span_id)
                quantities |= self._span_quantities(span) if span is not None else set()
        quantities |= self._repeats
        quantities |= {Quantity(float(time.year)) for time in times}
        steps_max = max((len(steps) for steps in self._steps.values()), default=0)
        return Known(frozenset(quantities), steps_max, frozenset(times), self._shown.names)

    def _span_quantities(self, span: Span) -> set[Quantity]:
        found: set[Quantity] = set()
        if span.tokens is not None:
            used = (span.tokens.input, span.tokens.output, span.tokens.total, span.tokens.cache_read)
            found |= {Quantity(float(count), TOKENS) for count in used}
        if span.duration_ms is not None:
            found.add(Quantity(span.duration_ms / 1000, SECONDS))
        if span.cost_usd is not None:
            found.add(Quantity(span.cost_usd, USD))
        return found

    def _text_holds(self, text: str, known: Known, quotes: list[str]) -> None:
        """Raise where a text holds a number, an id or quoted words that nothing bears out, or a false direction."""
        for match in _IDS.finditer(text):
            if not self._shown.names(match.group()):
                raise _StruckError(f"id {match.group()} is not in the case")
        for match in _QUOTED.finditer(text):
            words = next((group for group in match.groups() if group), "")
            if len("".join(words.split())) < _WORDS_MIN:
                continue
            if not self._shown.contains(words) and not any(find_verbatim(words, quote) for quote in quotes):
                raise _StruckError(f"{words!r} stands in quotation marks but was not shown")
        wrong = unproven(_IDS.sub(" ", text), known)
        if wrong:
            raise _StruckError(f"{', '.join(wrong[:4])}: not borne out by facts or by its evidence")
        incident = self._case.incident
        # Of success the missed goals are measured: that it fell is what their rise means.
        rises = incident.kind is not Kind.SUCCESS and incident.ratio is not None and incident.ratio > 1
        noun = incident.kind.value.replace("-", " ").rstrip("s")
        if rises and re.search(rf"\b{noun}\w*\b[^.;]{{0,40}}{_FALLS.pattern}", text, re.IGNORECASE):
            raise _StruckError(f"it says that {noun} fell; computed facts say that it rose")

    def _prose(self, text: str, known: Known, has_claims: bool, struck: list[Struck], what: str) -> str:
        """Return text that holds, masked and defused; "" where anything in it is unproven or no claim stands."""
        if not text or not has_claims:
            return ""
        try:
            self._text_holds(text, known, [])
        except _StruckError as reason:
            struck.append(Struck(f"{what}: {text}", str(reason)))
            return ""
        return self._mask(defuse(text, TEXT_CHARS))

    def _responsible(self, draft: Draft) -> Responsible | None:
        named = draft.responsible
        steps = self._steps.get(named.trace_id) if named else None
        step = steps.get(named.span_id) if named and steps else None
        if named is None or step is None or (named.step is not None and named.step != step.number):
            return None
        return Responsible(step.agent or self._case.incident.subject.agent, named.trace_id, step.span_id, step.number)

    def _actions(self, draft: Draft, known: Known) -> tuple[str, ...]:
        """Return the actions whose numbers hold; advice may be wrong, but it may not carry invented figures."""
        kept = (self._prose(action, known, True, [], "action") for action in draft.actions)  # noqa: FBT003 - internal
        return tuple(action for action in kept if action)

    def _check(self, check: str) -> str:
        """Return a check that anyone can run without harm: a look at a trajectory, or a confined query; else ""."""
        line = self._mask(check.strip().strip("`").strip())
        command = re.fullmatch(
            r"analyzer traces (?:show ([0-9a-f]{8,32})|diff ([0-9a-f]{8,32}) ([0-9a-f]{8,32}))", line
        )
        if command is not None:
            given = [prefix for prefix in command.groups() if prefix]
            return line if all(any(one.startswith(p) for one in self._case.trace_ids) for p in given) else ""
        if not self._metered or not self._case.agents or "\n" in line or not re.search(r"[{(]", line):
            return ""
        return line if objection(line, self._case.agents, self._case.end - self._case.start) is None else ""


class _StruckError(Exception):
    """Why a claim does not stand. Never leaves this module."""


def _any_unit(value: float) -> set[Quantity]:
    return {Quantity(value, unit) for unit in ("", USD, COUNT, SECONDS, TOKENS, RATIO)} | {Quantity(value * 100, SHARE)}


def _same(given: float, value: float) -> bool:
    """Agree within 1 %, or within the rounding of the decimals given."""
    digits = repr(given).partition(".")[2]
    slack = 0.5 * 10.0 ** -len(digits) if digits.isdigit() and not given.is_integer() else 0.0
    return abs(given - value) <= max(VALUE_TOLERANCE * abs(value), slack * 1.0000001)


def _time(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when.astimezone(UTC) if when.tzinfo is not None else None


def _note(struck: list[Struck], summary: str, cause: str) -> str:
    parts: list[str] = []
    if struck:
        parts.append(f"{len(struck)} {'statement was' if len(struck) == 1 else 'statements were'} struck out")
    replaced = [name for name, text in (("summary", summary), ("cause", cause)) if not text]
    if replaced:
        parts.append(f"{' and '.join(replaced)} by rules")
    return "; ".join(parts)
