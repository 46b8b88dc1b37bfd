"""An incident as blocks: what is said of it, in which order, whatever form it takes afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from analyzer.render.alerts import alerts_outline
from analyzer.render.blocks import (
    Block,
    Bullets,
    Code,
    Figure,
    Heading,
    Line,
    Paragraph,
    Table,
    code,
    line,
    plain,
    prose,
    strong,
)
from analyzer.render.charts.account import ACCOUNT
from analyzer.render.charts.chosen import charts_of, file_of
from analyzer.render.evidence import evidence_outline
from analyzer.render.numbers import LIMITED, count, factor_value, figure, moment, money, number, ratio, span_of
from analyzer.render.owners import owners_line
from analyzer.render.proof import proof_text
from analyzer.render.said import said_outline
from analyzer.render.text import one_line
from analyzer.types.diagnosis import Diagnosis, Ending
from analyzer.types.percents import percent
from analyzer.types.report import (
    AGAINST_SHARE,
    CALLS,
    OF_CALLS,
    Change,
    Incident,
    Kind,
)
from analyzer.types.shared import Part

TRACES_SHOWN_MAX = 5
NAME_COLUMNS_MAX = 80

_VERDICTS = {"confirmed": "cause confirmed", "likely": "cause likely", "inconclusive": "cause not established"}
_ENDINGS = {
    Ending.ANSWERED: "the model answered",
    Ending.STEPS: "the model used up its steps before it had an answer",
    Ending.TOKENS: "the limit of tokens was reached before there was an answer",
    Ending.SECONDS: "the time limit was reached before there was an answer",
    Ending.USD: "the budget was reached before there was an answer",
    Ending.REFUSED: "the model refused to answer",
    Ending.INVALID: "the model's reply was no usable answer",
    Ending.INJECTED: "the model followed an order that stood in the data",
    Ending.UNAVAILABLE: "the model could not be reached",
    Ending.OFF: "no model was asked",
}


def incident_outline(incident: Incident, at: datetime, *, level: int = 1) -> tuple[Block, ...]:
    """Return one incident under a heading of `level`, its times as seen from `at`."""
    below = level + 1
    return (
        Heading(level, plain(incident.title)),
        Paragraph(status_line(incident)),
        *said_outline(incident),
        *alerts_outline(incident),
        *_explanation(incident),
        *_figures(incident, is_account=False),
        *facts(incident, below),
        *_account(incident, below),
        *_changes(incident.changes, below),
        *evidence_outline(incident, at, below),
        *_trajectories(incident, below),
        *_advice(incident, below),
        *_provenance(incident, below),
    )


def status_line(incident: Incident) -> Line:
    """Return severity, state and verdict with the id: the line under the title."""
    verdict = incident.diagnosis.verdict.value if incident.diagnosis is not None else ""
    said = _VERDICTS.get(verdict, "not explained yet")
    return line(strong(incident.severity.value.upper()), f" · {incident.state.value} · {said} · ", code(incident.id))


def ending_text(diagnosis: Diagnosis) -> str:
    """Return how the explanation came about: by whom, how it ended, and what was struck out."""
    by = "rules, without a model" if diagnosis.by == "rules" else one_line(diagnosis.by, NAME_COLUMNS_MAX)
    ending = _ENDINGS[diagnosis.ending]
    parts = [f"Explained by {by}"]
    if diagnosis.ending not in {Ending.ANSWERED, Ending.OFF}:
        parts.append(ending)
    parts.append(f"{count(len(diagnosis.claims), 'claim')} borne out by evidence, {diagnosis.struck_out} struck out")
    note = one_line(diagnosis.note)
    # A note that only says the ending again is not read twice.
    said = not note or note.rstrip(".").lower() == ending.lower()
    return "; ".join(parts) + "." + ("" if said else f" {note}")


def as_of_note(incident: Incident) -> Iterable[Block]:
    """Yield of when an explanation is, where the incident was measured since: a kept text has figures of its time."""
    diagnosis = incident.diagnosis
    if diagnosis is None or diagnosis.as_of is None:
        return
    then, now = (figure(value, incident.kind, incident.unit) for value in (diagnosis.observed, incident.observed))
    # What rules say is made with the figures: those of a dismissed incident stay, however often it is seen again.
    if then != now or (diagnosis.as_of < incident.last_seen_at and not diagnosis.by_rules):
        observed = f"when {then} was observed; its figures are of then"
        yield Paragraph(plain(f"Explained as of {moment(diagnosis.as_of)}, {observed}."))


def _explanation(incident: Incident) -> Iterable[Block]:
    diagnosis = incident.diagnosis
    if diagnosis is None:
        return
    yield from as_of_note(incident)
    if diagnosis.cause:
        yield Paragraph(line(strong("Cause: "), *prose(one_line(diagnosis.cause))))
    if diagnosis.summary and diagnosis.summary != diagnosis.cause:
        yield Paragraph(prose(one_line(diagnosis.summary)))
    if diagnosis.proof is not None:
        yield Paragraph(line(strong("Replayed: "), proof_text(diagnosis.proof)))
    if diagnosis.claims:
        yield Bullets(
            tuple(
                line(*prose(one_line(claim.text)), f" ({', '.join(claim.evidence)})" if claim.evidence else "")
                for claim in diagnosis.claims
            )
        )


def facts(incident: Incident, level: int) -> Iterable[Block]:
    """Yield the computed facts: figures, onset, extent, and each finding of several."""
    subject = incident.subject
    names = [
        (label, value)
        for label, value in (
            ("agent", subject.agent),
            ("tool", subject.tool),
            ("version", subject.version),
            ("model", subject.model),
            ("provider", subject.provider),
        )
        if value
    ]
    entries = [line(f"{label}: ", code(one_line(value, NAME_COLUMNS_MAX))) for label, value in names]
    if whose := owners_line(incident):
        entries.append(whose)
    entries.append(plain(figures(incident)))
    low = min((finding.onset_low for finding in incident.findings), default=incident.onset)
    high = max((finding.onset_high for finding in incident.findings), default=incident.onset)
    between = f" (between {moment(low)} and {moment(high)})" if low < high else ""
    entries.append(plain(f"began: {moment(incident.onset)}{between}"))
    lasted = span_of(max(incident.seen_until - incident.onset, timedelta()))
    entries.append(plain(f"last seen: {moment(incident.seen_until)}, {lasted} after it began"))
    extent = _extent(incident)
    if extent:
        entries.append(plain(extent))
    if incident.excess_usd is not None:
        entries.append(plain(f"cost beyond what was expected: {money(incident.excess_usd)}"))
    if incident.resolved_at is not None:
        entries.append(plain(f"resolved: {moment(incident.resolved_at)}"))
    yield Heading(level, plain("What was measured"))
    yield Bullets(tuple(entries))
    if incident.agents:
        yield _agents_table(incident.agents)
    notes = [finding.note for finding in incident.findings if finding.note]
    if len(incident.findings) > 1:
        yield _findings_table(incident)
    notes += [finding.doubt.said for finding in incident.findings if finding.doubt is not None]
    for note in dict.fromkeys(notes):
        yield Paragraph(plain(one_line(note)))


def _extent(incident: Incident) -> str:
    """Say how much is hit, or nothing. Where the trajectories that called a failing tool are not known, it is calls."""
    hit = incident.affected
    if hit.of:
        whose = " that called it" if incident.kind is Kind.TOOL_ERRORS else ""
        return f"hit: {number(hit.trajectories)} of {count(hit.of, 'trajectory', 'trajectories')}{whose}"
    lead = incident.findings[0] if incident.findings else None
    if lead is None or not lead.of or (lead.unit != CALLS and lead.kind not in OF_CALLS):
        return ""
    return f"hit: {number(lead.affected)} of {count(lead.of, 'call')}"


def figures(incident: Incident) -> str:
    """Return what was observed and what it is held against: for a loop a limit, for an order in data nothing."""
    observed = figure(incident.observed, incident.kind, incident.unit)
    expected = figure(incident.expected, incident.kind, incident.unit)
    if incident.kind in LIMITED:
        return f"repeated up to {observed}, the limit is {expected}"
    if incident.kind is Kind.INJECTION:
        # How many hold an order is said as what is hit; of those acted upon none is expected, which tells nothing.
        return f"acted upon in {observed}, as far as the calls show"
    times = f" ({ratio(incident.ratio)})" if incident.ratio is not None else ""
    return f"observed {observed}, expected {expected}{times}"


def _findings_table(incident: Incident) -> Table:
    rows = tuple(
        (
            plain(finding.detector),
            plain(finding.kind.value),
            plain(figure(finding.value, finding.kind, finding.unit)),
            plain(("limit " if finding.kind in LIMITED else "") + figure(finding.baseline, finding.kind, finding.unit)),
            plain(number(finding.score)),
            plain(number(finding.threshold)),
        )
        for finding in incident.findings
    )
    header = ("detector", "kind", "observed", "expected", "score", "fires at")
    return Table(header, rows, right=frozenset({2, 3, 4, 5}))


def _agents_table(agents: Sequence[Part]) -> Table:
    """Return what each of several agents has of an incident, worst first, with its owner where any is known."""
    is_owned = any(part.owner for part in agents)
    rows = tuple(
        (
            plain(one_line(part.agent, NAME_COLUMNS_MAX)),
            *((plain(one_line(part.owner, NAME_COLUMNS_MAX) or "-"),) if is_owned else ()),
            plain(percent(part.share)),
            plain(figure(part.observed, Kind(part.kind), part.unit)),
            plain(figure(part.expected, Kind(part.kind), part.unit)),
            plain(f"{number(part.affected)} of {number(part.of)}" if part.of else "-"),
            plain(money(part.excess_usd) if part.excess_usd is not None else "-"),
        )
        for part in agents
    )
    names = ("agent", "owner") if is_owned else ("agent",)
    numbers = ("part", "observed", "expected", "hit", "excess")
    right = frozenset(range(len(names), len(names) + len(numbers)))
    return Table((*names, *numbers), rows, right=right)


def _figures(incident: Incident, *, is_account: bool) -> Iterable[Block]:
    """Yield the charts: that of the account stands with its table, the others where it is said what was seen."""
    for chart in charts_of(incident):
        if (chart.name == ACCOUNT) == is_account:
            yield Figure(chart, file_of(incident, chart), is_told=is_account)


def _account(incident: Incident, level: int) -> Iterable[Block]:
    if not incident.account:
        return
    yield Heading(level, plain("Where the change comes from"))
    yield from _figures(incident, is_account=True)
    rows = tuple(
        (
            plain(factor.factor),
            plain(factor_value(factor.factor, factor.from_value)),
            plain(factor_value(factor.factor, factor.to_value)),
            # A share is a part of the change: of less than a thousandth nobody wants the first digit.
            plain(percent(round(factor.share, 3) + 0.0)),
        )
        for factor in incident.account
    )
    yield Table(("factor", "before", "since", "share of the change"), rows, right=frozenset({1, 2, 3}))
    if any(factor.share >= AGAINST_SHARE for factor in incident.account):
        yield Paragraph(plain("A share over 100 % stands against what others took back: together they are the change."))


def _changes(changes: Sequence[Change], level: int) -> Iterable[Block]:
    yield Heading(level, plain("What changed near the onset"))
    if not changes:
        yield Paragraph(plain("Nothing we can see changed."))
        return
    yield Bullets(tuple(_change(change) for change in changes))


def _change(change: Change) -> Line:
    new = code(one_line(change.to_value, NAME_COLUMNS_MAX)) if change.to_value else "none"
    old = (" (before: ", code(one_line(change.from_value, NAME_COLUMNS_MAX)), ")") if change.from_value else ()
    return line(f"{change.what}: ", new, *old, f", first seen {moment(change.at)}")


def _trajectories(incident: Incident, level: int) -> Iterable[Block]:
    if not incident.trace_ids and not incident.healthy_trace_ids:
        return
    yield Heading(level, plain("Trajectories"))
    entries = []
    for label, ids in (("worst", incident.trace_ids), ("healthy, for comparison", incident.healthy_trace_ids)):
        if ids:
            names = [part for trace_id in ids[:TRACES_SHOWN_MAX] for part in (", ", code(one_line(trace_id)))][1:]
            rest = len(ids) - TRACES_SHOWN_MAX
            entries.append(line(f"{label}: ", *names, f" and {rest} more" if rest > 0 else ""))
    yield Bullets(tuple(entries))


def _advice(incident: Incident, level: int) -> Iterable[Block]:
    diagnosis = incident.diagnosis
    if diagnosis is None:
        return
    if diagnosis.responsible is not None:
        where = diagnosis.responsible
        parts = [
            part
            for label, value in (
                ("agent ", where.agent),
                ("trajectory ", where.trace_id),
                ("span ", where.span_id),
                ("step ", str(where.step) if where.step is not None else None),
            )
            if value
            for part in (", ", label, code(one_line(value, NAME_COLUMNS_MAX)))
        ][1:]
        if parts:
            yield Paragraph(line(strong("Where it went wrong first: "), *parts))
    if diagnosis.actions:
        yield Heading(level, plain("What to do"))
        yield Bullets(tuple(prose(one_line(action)) for action in diagnosis.actions), numbered=True)
    if diagnosis.check:
        yield Heading(level, plain("How to check"))
        yield Code(diagnosis.check.strip())
    if diagnosis.missing:
        yield Paragraph(line(strong("This would decide it: "), *prose(one_line(diagnosis.missing))))
    if diagnosis.refutation:
        yield Paragraph(line(strong("This would be wrong if: "), *prose(one_line(diagnosis.refutation))))


def _provenance(incident: Incident, level: int) -> Iterable[Block]:
    if incident.diagnosis is None:
        return
    yield Heading(level, plain("How this was explained"))
    yield Paragraph(plain(ending_text(incident.diagnosis)))
