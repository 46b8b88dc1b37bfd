"""What was computed about an incident, as numbered sentences with the numbers in them.

Facts are the only source of numbers besides evidence: what the model writes is held against their quantities. F ids
are for the model; where a fact rests on filed evidence (E ids), citing the fact cites that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from analyzer.agent.binding import AGE, about_factor, about_kind, about_move, about_trajectory, only_about
from analyzer.agent.ends import EXCESS, EXPECTED, HIT, OBSERVED, SCORE, SPARED, WHOLE
from analyzer.agent.numbers import ANY, COUNT, RATIO, SECONDS, SHARE, TOKENS, USD, Quantity, quantities_of
from analyzer.types.place import Place
from analyzer.types.report import (
    AGAINST_SHARE,
    CALLS,
    OF_CALLS,
    STORE,
    Change,
    Evidence,
    Factor,
    Finding,
    Incident,
    Kind,
    MetricEvidence,
)
from analyzer.types.trajectory import Trajectory, TrajectorySummary

FACTS_MAX = 60
NAMED_SHARE = 0.2
"""A factor with at least this part of the change is named; below are small change and the noise of an account."""
TAKEN_BACK = ", against what other factors took back"
_NS_MAX = 4e18
"""Unix nanoseconds in the year 2096: later times are broken clocks."""
_EVENT_KINDS = frozenset({Kind.ERRORS, Kind.TOOL_ERRORS, Kind.SUCCESS, Kind.RETRIES, Kind.TRUNCATION})
"""Kinds whose values are shares: how many of the units had the event."""
_NAMED_UNITS = ((("usd", "cost"), USD), (("_seconds", "duration", "latency"), SECONDS), (("token",), TOKENS))
"""Parts of a metric's name, and the unit they stand for."""
_ROUNDED = 0.05
"""Notes are rounded to a digit behind the point: 1.3 % for 1.34 %."""
_PER = {
    Kind.COST: "run", Kind.TOKENS: "run", Kind.STEPS: "run", Kind.LATENCY: "run", Kind.TOOL_LATENCY: "call",
}  # fmt: skip
"""What the figure of a kind is of each, as `binding.per_of` names it."""
NAME_CHARS = 120
"""Names and values from telemetry are cut to this in facts: they come from outside."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One computed sentence."""

    id: str
    text: str
    quantities: frozenset[Quantity] = frozenset()
    evidence: tuple[str, ...] = ()
    """Ids of the filed evidence behind it."""
    times: frozenset[datetime] = frozenset()
    basis: MetricEvidence | None = None
    """Evidence that is filed with the first claim that cites the fact: of a row of a table, what was computed."""


def number(value: float) -> str:
    """Write a number for people: three significant digits below a thousand, whole with separators above."""
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - not a number is unequal to itself
        return "unknown"
    magnitude = abs(value)
    if magnitude >= 1000:  # noqa: PLR2004 - from here on digits after the point say nothing
        return f"{value:,.0f}"
    if magnitude and magnitude < 0.001:  # noqa: PLR2004 - below, zeros hide the digits
        return f"{value:.2g}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.0f}"


def amount(value: float, unit: str, kind: Kind) -> str:
    """Write a value with its unit: `0.12 USD per trajectory`; a share is written in per cent of its units."""
    if is_share(unit, kind):
        return f"{number(value * 100)} % of {unit}" if not unit.startswith("share") else f"{number(value * 100)} %"
    return f"{number(value)} {unit}{' per trajectory' if unit == 'USD' and kind is Kind.COST else ''}".strip()


def is_share(unit: str, kind: Kind) -> bool:
    """Tell whether values are shares of 1: those of the kinds that count events among units."""
    return unit.startswith(("share", "fraction")) or (kind in _EVENT_KINDS and not unit.startswith(("%", "USD", "per")))


def moment(when: datetime) -> str:
    """Write a time as `2026-11-20 14:15 UTC`."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def quantity(value: float, unit: str, kind: Kind, role: str = "") -> set[Quantity]:
    """Return a value as known quantities: in the unit its name says, of what the kind measures, in a role (`ends`)."""
    low, about = unit.lower(), about_kind(kind)
    if is_share(unit, kind):
        return {Quantity(value * 100, SHARE, about=about, role=role), Quantity(value, about=about, role=role)}
    one = Quantity(value, about=about, role=role, per=_PER.get(kind, ""))
    if "usd" in low:
        return {replace(one, unit=USD)}
    if low.startswith("token"):
        return {replace(one, unit=TOKENS)}
    if low in {"s", "seconds"} or low.startswith(("s ", "seconds ")):
        return {replace(one, unit=SECONDS)}
    if low in {"ms", "milliseconds"} or low.startswith(("ms ", "milliseconds ")):
        return {replace(one, unit=SECONDS, value=value / 1000)}
    return {replace(one, unit=COUNT, of="repeats" if low == "repeats" else "")}


def _counted(hit: int, whole: int, of: str, about: str = "") -> set[Quantity]:
    """Return how many of a whole are hit, how many are not, and their shares."""
    known = {Quantity(hit, COUNT, of, role=HIT), Quantity(whole, COUNT, of, role=WHOLE)}
    if whole:
        known |= {Quantity(whole - hit, COUNT, of, role=SPARED), Quantity(100 * hit / whole, SHARE, of, role=HIT)}
        known.add(Quantity(100 * (whole - hit) / whole, SHARE, of, role=SPARED))
    return {replace(one, about=about) for one in known}


def facts_of(
    incident: Incident, trajectories: Sequence[Trajectory], healthy: Sequence[Trajectory], *, role: str = "affected"
) -> tuple[Fact, ...]:
    """Return what was computed: the incident, its findings, account, changes, evidence and trajectories.

    `role` is what the trajectories are called.
    """
    drafts = [_headline(incident)]
    drafts += [_finding(index, incident) for index in range(len(incident.findings))]
    drafts += [_factor(factor, incident) for factor in incident.account]
    drafts += [_place(place, incident) for place in incident.places]
    drafts += [_change(change, incident) for change in incident.changes]
    if not incident.changes:
        drafts.append(Fact("", "No change of version, model, prompt, tools or price was seen near the onset."))
    drafts += [_evidence(entry, incident) for entry in evidence_of(incident) if isinstance(entry, MetricEvidence)]
    drafts += [_trajectory(trajectory.summary, role) for trajectory in trajectories]
    drafts += [_trajectory(trajectory.summary, "healthy peer") for trajectory in healthy]
    return tuple(
        Fact(f"F{index}", fact.text, fact.quantities, fact.evidence, fact.times)
        for index, fact in enumerate(drafts[:FACTS_MAX], 1)
    )


def evidence_of(incident: Incident) -> tuple[Evidence, ...]:
    """Return everything filed as evidence of the incident, each id once."""
    filed = {entry.id: entry for finding in incident.findings for entry in finding.evidence}
    filed |= {entry.id: entry for entry in incident.evidence}
    return tuple(filed.values())


def near_onset(incident: Incident) -> tuple[Change, ...]:
    """Return the changes within the interval in which the incident began: the borne out first, then the closest.

    The interval is that of its findings, at least two hours before and half an hour after the estimate: what the
    change-point estimate is good for (CUSUM's last zero -2 h / +30 min).
    """
    low = min([finding.onset_low for finding in incident.findings] + [incident.onset - timedelta(hours=2)])
    high = max([finding.onset_high for finding in incident.findings] + [incident.onset + timedelta(minutes=30)])
    named = {pair for place in incident.places for pair in place.where}

    def first(change: Change) -> tuple[bool, bool]:
        return not change.borne_out, (change.what, change.to_value) not in named

    # What a comparison or a place points to may have rolled out slowly.
    near = [change for change in incident.changes if low <= change.at <= high or first(change) != (True, True)]
    return tuple(sorted(near, key=lambda change: (*first(change), abs(change.at - incident.onset))))


def main_factor(incident: Incident) -> Factor | None:
    """Return the factor with the largest share of the change, or None without an account."""
    return max(incident.account, key=lambda factor: factor.share, default=None)


def named_factors(incident: Incident) -> tuple[Factor, ...]:
    """Return the factors worth naming, the largest share first."""
    named = [factor for factor in incident.account if round(factor.share, 3) >= NAMED_SHARE]
    return tuple(sorted(named, key=lambda factor: -factor.share))


def _ids(incident: Incident) -> tuple[str, ...]:
    return tuple(entry.id for entry in evidence_of(incident))


def _headline(incident: Incident) -> Fact:
    observed = amount(incident.observed, incident.unit, incident.kind)
    expected = amount(incident.expected, incident.unit, incident.kind)
    seconds = (incident.seen_until - incident.onset).total_seconds()
    hours = seconds / 3600
    known = (
        {Quantity(seconds, SECONDS, about=AGE)}
        | quantity(incident.observed, incident.unit, incident.kind, OBSERVED)
        | quantity(incident.expected, incident.unit, incident.kind, EXPECTED)
    )
    text = (
        f"{short(incident.title)}: kind {incident.kind.value}, subject {short(str(incident.subject))}, severity "
        f"{incident.severity.value}, state {incident.state.value}. Onset {moment(incident.onset)}, opened "
        f"{moment(incident.opened_at)}, last seen {moment(incident.seen_until)} ({number(hours)} h after the "
        f"onset). Observed {observed}, expected {expected}"
    )
    if incident.ratio is not None:
        text += f", ratio {number(incident.ratio)}"
        known.add(Quantity(incident.ratio, RATIO, about=about_kind(incident.kind)))
    hit = incident.affected
    text += f". Affected {hit.trajectories} of {hit.of}."
    known |= _counted(hit.trajectories, hit.of, "trajectories")
    if incident.excess_usd is not None:
        text += f" Money beyond what was expected: {number(incident.excess_usd)} USD."
        known.add(Quantity(incident.excess_usd, USD, role=EXCESS, per="total"))
        if hours > 0:
            # What the title says: "$0.92 a day too much".
            known.add(Quantity(24 * incident.excess_usd / hours, USD, role=EXCESS, per="day"))
    times = {incident.onset, incident.opened_at, incident.last_seen_at, incident.seen_until}
    return Fact("", text, frozenset(known), _ids(incident), frozenset(times))


def _finding(index: int, incident: Incident) -> Fact:
    finding = incident.findings[index]
    known = quantity(finding.value, finding.unit, finding.kind, OBSERVED)
    known |= quantity(finding.baseline, finding.unit, finding.kind, EXPECTED)
    known |= {Quantity(finding.score, role=SCORE), Quantity(finding.threshold, role=SCORE)}
    of = "" if finding.kind in OF_CALLS or finding.unit == CALLS else "trajectories"
    # What another detector counted is said to be of what that one measures, or not at all.
    other = finding.kind is not incident.kind and incident.affected.of > 0
    known |= _counted(finding.affected, finding.of, of, only_about(finding.kind) if other else "")
    if finding.baseline:
        known.add(Quantity(finding.value / finding.baseline, RATIO, about=about_kind(finding.kind)))
    observed = amount(finding.value, finding.unit, finding.kind)
    expected = amount(finding.baseline, finding.unit, finding.kind)
    text = (
        f"Detector {finding.detector} ({finding.kind.value}): {observed} against a baseline of {expected}; "
        f"score {number(finding.score)}, threshold {number(finding.threshold)}; affected {finding.affected} of "
        f"{finding.of}; onset between {moment(finding.onset_low)} and {moment(finding.onset_high)}."
    )
    if finding.excess_usd is not None:
        known.add(Quantity(finding.excess_usd, USD, role=EXCESS, per="total"))
    if finding.note:
        text += f" {short(finding.note, 300)}"
        about = about_kind(finding.kind)
        noted = {replace(one, role=_end_of(one, finding)) for one in quantities_of(finding.note)}
        known |= {replace(one, about=about) if one.unit == RATIO else one for one in noted}
    times = {finding.onset, finding.onset_low, finding.onset_high, *([finding.recovered] if finding.recovered else [])}
    own = tuple(entry.id for entry in finding.evidence) or _ids(incident)
    return Fact("", text, frozenset(known), own, frozenset(times))


def _end_of(noted: Quantity, finding: Finding) -> str:
    """Return which end of a finding a number of its note is: the note says the figures again, rounded."""
    scale = 100 if noted.unit == SHARE else 1

    def near(value: float) -> bool:
        return abs(noted.value - scale * value) <= _ROUNDED * max(abs(scale * value), 1.0)

    if noted.unit in {ANY, COUNT} and noted.value in {finding.affected, finding.of}:
        return HIT if noted.value == finding.affected else WHOLE
    ends = {EXPECTED: near(finding.baseline), OBSERVED: near(finding.value)}
    return next(role for role in ends if ends[role]) if sum(ends.values()) == 1 and noted.unit != RATIO else ""


def _factor(factor: Factor, incident: Incident) -> Fact:
    about = about_factor(factor.factor)
    known = {Quantity(factor.share * 100, SHARE, "change", about), Quantity(factor.share, about=about)}
    ends: list[str] = []
    unit, per = _factor_unit(factor.factor), factor.factor.partition(" per ")[2]
    for value, role in ((factor.from_value, EXPECTED), (factor.to_value, OBSERVED)):
        if value is None:
            ends.append("unknown")
            continue
        ends.append(number(value))
        known.add(Quantity(value, about=about, role=role))
        known.add(Quantity(value, unit, about=about, role=role, per=per))
    if factor.from_value and factor.to_value:
        known.add(Quantity(factor.to_value / factor.from_value, RATIO, about=about_move(factor.factor)))
    text = (
        f"Account: {short(factor.factor)} went from {ends[0]} to {ends[1]} and makes "
        f"{number(factor.share * 100)} % of the change{TAKEN_BACK if factor.share >= AGAINST_SHARE else ''}."
    )
    return Fact("", text, frozenset(known), _ids(incident))


def _place(place: Place, incident: Incident) -> Fact:
    known = {Quantity(place.share * 100, SHARE, "change"), Quantity(place.trajectories, COUNT, "trajectories")}
    known |= quantity(place.observed, incident.unit, incident.kind, OBSERVED)
    known |= quantity(place.expected, incident.unit, incident.kind, EXPECTED)
    where = " and ".join(f"{short(name)} {short(value)}" for name, value in place.where)
    text = (
        f"Place: {where}{' (not seen before)' if place.new else ''}, {place.way}: {number(place.share * 100)} % of the "
        f"excess; {place.trajectories} trajectories with {number(place.observed)} each, expected "
        f"{number(place.expected)}."
    )
    return Fact("", text, frozenset(known), _ids(incident))


def _factor_unit(name: str) -> str:
    if "price" in name or "USD" in name or "cost" in name:
        return USD
    return TOKENS if "tokens" in name else COUNT


def _change(change: Change, incident: Incident) -> Fact:
    before = short(change.from_value) if change.from_value is not None else "nothing seen before"
    after = short(change.to_value) if change.to_value is not None else "nothing"
    place = "near the onset" if change in near_onset(incident) else "not in the interval of the onset"
    shown = "; in the same hours the new value shows the rise beside the old one" if change.borne_out else ""
    text = f"Change: {short(change.what)} from {before} to {after}, first seen {moment(change.at)}, {place}{shown}."
    return Fact("", text, frozenset(), _ids(incident), frozenset({change.at}))


def _evidence(entry: MetricEvidence, incident: Incident) -> Fact:
    known = filed_quantities(entry, incident)
    query = f"{short(entry.promql, 400)} at {moment(entry.end)}"
    source = entry.source if entry.source != STORE else "computed from the stored trajectories; no server has it"
    text = f"Evidence {entry.id}: {query} = {number(entry.value)} ({source})."
    return Fact("", text, frozenset(known), (entry.id,), frozenset({entry.start, entry.end}))


def filed_quantities(entry: MetricEvidence, incident: Incident) -> set[Quantity]:
    """Return the value of a filed metric, of what its finding measures; one of before the onset is the usual."""
    about = next((about_kind(one.kind) for one in incident.findings if entry in one.evidence), "")
    role = EXPECTED if entry.end <= incident.onset else OBSERVED
    per = ""
    if "/" in entry.promql:
        per = "call" if "_tool_" in entry.promql.rpartition("/")[2] else "run"
    return {
        replace(one, about=about or one.about, role=role, per=per) if one.unit != RATIO else one
        for one in metric_quantities(entry)
    }


def metric_quantities(entry: MetricEvidence) -> set[Quantity]:
    """Return a metric's value in the unit that its query names (Prometheus' naming rules), else in those of numbers."""
    query, value = entry.promql.lower(), entry.value
    unit = next((unit for words, unit in _NAMED_UNITS if any(word in query for word in words)), None)
    known = {Quantity(value, ANY)}
    if unit is not None and "_count" not in query:
        known.add(Quantity(value, unit))
    else:
        known |= {Quantity(value, COUNT), Quantity(value * 100, SHARE)}
    if "offset" in query:
        # Now against then: the value is a factor.
        known.add(Quantity(value, RATIO))
    return known


def _trajectory(summary: TrajectorySummary, role: str) -> Fact:
    about = about_trajectory(summary.trace_id, healthy=role == "healthy peer")
    counts = {
        "steps": summary.steps,
        "inferences": summary.inferences,
        "calls": summary.tool_calls,
        "errors": summary.errors,
        "retries": summary.retries,
    }
    known = {Quantity(float(count), COUNT, of, about) for of, count in counts.items()}
    known.add(Quantity(float(summary.tool_errors), COUNT, "errors", about))
    used = {
        "input tokens": summary.input_tokens,
        "output tokens": summary.output_tokens,
        "all tokens": summary.tokens,
        "cached tokens": summary.cache_read_tokens,
        "": summary.cache_write_tokens,
    }
    known |= {Quantity(float(count), TOKENS, of, about, per="run") for of, count in used.items()}
    text = (
        f"Trajectory {summary.trace_id} ({role}): agent {short(summary.agent)}, "
        f"version {short(summary.version or 'unknown')}, model {short(summary.model or 'unknown')}, "
        f"outcome {summary.outcome.value}, {summary.steps} steps ({summary.inferences} inferences, "
        f"{summary.tool_calls} by tools), errors: {summary.errors}, retries: {summary.retries}"
    )
    # A log without usage has no tokens; that it used none would be a fact, and false.
    text += f", {summary.input_tokens} input and {summary.output_tokens} output tokens" if summary.tokens else ""
    if summary.duration_s is not None:
        text += f", {number(summary.duration_s)} s"
        known.add(Quantity(summary.duration_s, SECONDS, about=about, per="run"))
    if summary.cost_usd is not None:
        text += f", {number(summary.cost_usd)} USD"
        known.add(Quantity(summary.cost_usd, USD, about=about, per="run"))
    times = {
        datetime.fromtimestamp(ns / 1e9, UTC) for ns in (summary.start_ns, summary.end_ns) if ns and 0 < ns < _NS_MAX
    }
    return Fact("", text + ".", frozenset(known), (), frozenset(times))


def short(text: str, chars_max: int = NAME_CHARS) -> str:
    """Return a name or value from telemetry in one line and cut to a length."""
    line = " ".join(text.split())
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"
