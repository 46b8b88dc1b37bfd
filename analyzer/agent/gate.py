"""The evidence gate: what a model claims against what is stored. Nothing passes that a machine cannot check.

A claim stands when every piece of its evidence holds and every number and quoted word in it is known. A quote must be
at least 8 characters (or the whole field), stand verbatim (white space folded, nothing else) in the masked text of a
span in the case, and in something the model was shown. A metric value is computed again. Ids must exist. What fails
is struck out with a reason; a summary or cause with anything unproven in it is replaced by the one made by rules.

    grounds     what a claim rests on
    statements  one text against what it may rest on
    wording     text as a reader takes it in
    numbers     numbers and names, and what proves them
    moments     times, and what they are the time of
    binding     what a number is said of
    ends        what a number is: observed, usual, those hit, those spared, an excess, a score
    relations   directions and ends against the computed facts, and all of the following
    quantifiers all, most, none, three in ten
    course      denials, what is over, how severe, for how long
    compared    one run against another
    causes      factors and changes, and cause and effect turned round
    subjects    whether a sentence speaks of what its evidence speaks of
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

from analyzer.agent.answer import CLAIM_CHARS, QUOTE_CHARS, TEXT_CHARS, Draft, DraftClaim, FactRef, MetricValue, Quote
from analyzer.agent.case import CaseFile
from analyzer.agent.compared import Sides
from analyzer.agent.facts import Fact, evidence_of, metric_quantities
from analyzer.agent.grounds import Ground, known_from_start, span_quantities
from analyzer.agent.kind_words import words_of
from analyzer.agent.promql import objection
from analyzer.agent.shown import Shown
from analyzer.agent.statements import Grounds, steps_in, why_not
from analyzer.agent.subjects import stems
from analyzer.agent.text import Mask, defuse, find_verbatim, has_hidden, text_of
from analyzer.agent.verdict import Standing, contradicts, lacking, verdict_of
from analyzer.types.diagnosis import Claim, Diagnosis, Ending, Responsible, Verdict
from analyzer.types.explained import Statement
from analyzer.types.report import PROMETHEUS, Evidence, MetricEvidence, SpanEvidence
from analyzer.types.trace import TEXT_FIELDS, Span

QUOTE_MIN = 8
"""Characters other than white space. Shorter ones ("error", "null") stand everywhere and prove nothing."""
VALUE_TOLERANCE = 0.01
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
    missing: str = ""
    """What the author says would decide it, where that holds; "" where the verdict needs no more."""


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
        self._recompute = cache(recompute)
        self._mask = mask
        self._metered = metered
        self._filed = {entry.id: entry for entry in evidence_of(case.incident)}
        self._facts = {fact.id: fact for fact in case.facts}
        self._found = found
        self._steps = {
            one.summary.trace_id: {step.span_id: step for step in one.steps}
            for one in (*case.trajectories, *case.healthy)
        }
        self._affected = {one.summary.trace_id for one in case.trajectories} | set(case.incident.trace_ids)
        subject = case.incident.subject
        own = stems(" ".join(part for part in (subject.agent, subject.tool, subject.model) if part))
        self._names = own | words_of(case.incident)
        self._sides = Sides([one.summary for one in case.trajectories], [one.summary for one in case.healthy])
        self._base = known_from_start(case, self._filed.values(), shown)

    def judge(self, draft: Draft, fallback: Diagnosis, by: str) -> Gated:
        """Return what stands of a draft; `fallback` is the explanation by rules, `by` the model's id."""
        ids = _Ids(set(self._filed), {})
        claims: list[Claim] = []
        struck: list[Struck] = []
        grounds: list[Ground] = []
        decisive = False
        for one in draft.claims:
            try:
                claim, ground = self._claim(one, ids)
            except _StruckError as reason:
                struck.append(Struck(one.text, str(reason)))
                continue
            claims.append(claim)
            grounds.append(ground)
            decisive = decisive or (ground.affected and one.decisive)
        responsible = self._responsible(draft, struck)
        whole = self._together(claims, grounds, responsible)
        summary = self._prose(draft.summary, whole, struck, "summary")
        cause = self._prose(draft.cause, whole, struck, "cause")
        standing = Standing(
            claims=len(claims),
            struck=len(struck),
            quoted=any(one.affected for one in grounds),
            decisive=decisive,
            contradicted=bool(claims) and contradicts(draft.category, self._case.incident),
            undecided=draft.category == "unknown",
        )
        verdict = verdict_of(standing, self._case.incident)
        inconclusive = verdict is Verdict.INCONCLUSIVE
        missing = self._prose(draft.missing, whole, [], "missing", stated=False) if inconclusive else ""
        used = {name for claim in claims for name in claim.evidence}
        diagnosis = Diagnosis(
            verdict=verdict,
            by=by,
            ending=Ending.ANSWERED,
            summary=summary or fallback.summary,
            cause=cause or fallback.cause,
            claims=tuple(claims),
            responsible=responsible or fallback.responsible,
            actions=self._actions(draft, whole) or fallback.actions,
            check=self._check(draft.check) or fallback.check,
            struck_out=len(struck),
            note=_note(struck, summary, cause),
            category=draft.category if cause and not inconclusive else "unknown",
            refutation=self._prose(draft.refutation, whole, [], "refutation", stated=False) or fallback.refutation,
            missing=missing or lacking(standing, self._case.incident),
        )
        new = tuple(replace(entry, id=name) for entry, name in ids.new.items() if name in used)
        return Gated(diagnosis, new, tuple(struck), missing)

    def one_by_one(self) -> Callable[[DraftClaim], Statement | None]:
        """Return what judges the claims of one answer as they come: as `judge` does, and with the same ids."""
        ids = _Ids(set(self._filed), {})

        def judged(claim: DraftClaim) -> Statement | None:
            try:
                standing, _ = self._claim(claim, ids)
            except _StruckError:
                return None
            known = self._filed | {name: replace(entry, id=name) for entry, name in ids.new.items()}
            return Statement(standing, tuple(known[name] for name in standing.evidence))

        return judged

    def _claim(self, claim: DraftClaim, ids: _Ids) -> tuple[Claim, Ground]:
        if not claim.evidence:
            raise _StruckError("it has no evidence")
        names: list[str] = []
        ground = Ground()
        for entry in claim.evidence:
            if isinstance(entry, Quote):
                span, stretch = self._quote(entry)
                names.append(ids.of(SpanEvidence("", entry.trace_id, entry.span_id, entry.field, stretch)))
                ground.quote(span, stretch, text_of(span, entry.field, self._mask))
                ground.affected = ground.affected or entry.trace_id in self._affected
                step = self._steps.get(entry.trace_id, {}).get(entry.span_id)
                ground.steps |= {step.number} if step is not None else set()
                ground.traces.add(entry.trace_id)
            elif isinstance(entry, MetricValue):
                metric = self._metric(entry)
                names.append(ids.of(metric))
                ground.quantities |= metric_quantities(metric)
                ground.texts.append(metric.promql)
                ground.computed = True
            else:
                names += self._fact(entry, ids, ground)
        if not names:
            raise _StruckError("it rests on facts without filed evidence; add a quote or a metric")
        text = self._mask(defuse(claim.text, CLAIM_CHARS))
        reason = why_not(text, claim.text, self._grounds(ground))
        if reason is not None:
            raise _StruckError(reason)
        return Claim(text, tuple(dict.fromkeys(names))), ground

    def _grounds(self, ground: Ground, *, stated: bool = True) -> Grounds:
        known = self._base.with_more(ground.quantities, ground.times)
        known = replace(known, onsets=known.onsets | ground.times if known.onsets else frozenset())
        lengths = [len(self._steps[trace_id]) for trace_id in ground.traces if trace_id in self._steps]
        if lengths and len(lengths) == len(ground.traces):
            known = replace(known, steps_max=max(lengths))
        return Grounds(
            known=known,
            shown=self._shown,
            incident=self._case.incident,
            quotes=ground.quotes,
            texts=ground.texts if stated else None,
            names=self._names | ground.names,
            trace_ids=self._case.trace_ids,
            steps=frozenset(ground.steps),
            sides=self._sides,
            computed=ground.computed,
        )

    def _together(self, claims: list[Claim], grounds: list[Ground], responsible: Responsible | None) -> Ground | None:
        """Return what prose may rest on: what the standing claims do, and the facts. None where no claim stands."""
        if not claims:
            return None
        whole = Ground()
        for claim, own in zip(claims, grounds, strict=True):
            whole.take(claim.text, [own])
            whole.steps |= steps_in(claim.text)
        facts = [fact.text for fact in self._case.facts]
        whole.texts += facts
        if whole.steps:
            whole.steps |= {step for text in facts for step in steps_in(text)}
            whole.steps |= {responsible.step} if responsible is not None and responsible.step else set()
        return whole

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

    def _fact(self, entry: FactRef, ids: _Ids, ground: Ground) -> list[str]:
        filed = self._filed.get(entry.id)
        if filed is not None:
            ground.texts.append(filed.quote if isinstance(filed, SpanEvidence) else filed.promql)
            span = self._lookup(filed.trace_id, filed.span_id) if isinstance(filed, SpanEvidence) else None
            ground.quantities |= span_quantities(span) if span is not None else set()
            ground.texts += [fact.text for fact in self._case.facts if entry.id in fact.evidence]
            return [entry.id]
        fact = self._facts.get(entry.id) or next((one for one in self._found() if one.id == entry.id), None)
        if fact is None:
            raise _StruckError(f"there is no fact or evidence {entry.id!r}")
        ground.texts.append(fact.text)
        if fact.basis is not None:
            ground.row(fact)
            return [ids.of(fact.basis)]
        return [name for name in fact.evidence if name in self._filed][:3]

    def _prose(self, text: str, ground: Ground | None, struck: list[Struck], what: str, *, stated: bool = True) -> str:
        """Return text that holds, masked and defused; "" where anything in it is unproven or no claim stands."""
        if not text or ground is None:
            return ""
        printed = self._mask(defuse(text, TEXT_CHARS))
        reason = why_not(printed, text, self._grounds(ground, stated=stated))
        if reason is not None:
            struck.append(Struck(f"{what}: {text}", reason))
            return ""
        return printed

    def _responsible(self, draft: Draft, struck: list[Struck]) -> Responsible | None:
        """Return the step held responsible, where its parts belong together and it is of an affected trajectory."""
        named = draft.responsible
        if named is None:
            return None
        step = self._steps.get(named.trace_id, {}).get(named.span_id)
        agent = (step.agent if step is not None else None) or self._case.incident.subject.agent
        why = ""
        if step is None:
            why = f"span {named.span_id!r} is no step of trajectory {named.trace_id!r} of the case file"
        elif named.step is not None and named.step != step.number:
            why = f"span {named.span_id} is step {step.number}, not step {named.step}"
        elif named.trace_id not in self._affected:
            why = "a healthy peer cannot hold the step that went wrong"
        elif named.agent and agent and named.agent != agent:
            why = f"step {step.number} is of agent {agent}, not of {named.agent}"
        if step is None or why:
            struck.append(Struck("responsible", why))
            return None
        return Responsible(agent, named.trace_id, step.span_id, step.number)

    def _actions(self, draft: Draft, ground: Ground | None) -> tuple[str, ...]:
        """Return the actions whose numbers hold; advice may be wrong, but it may not carry invented figures."""
        kept = (self._prose(action, ground or Ground(), [], "action", stated=False) for action in draft.actions)
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
