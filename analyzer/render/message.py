"""One incident as a message: what a person needs who is woken by it, and where the rest is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from analyzer.render.alerts import alert_lines
from analyzer.render.blocks import (
    Block,
    Bullets,
    Code,
    Heading,
    Line,
    Paragraph,
    Quote,
    code,
    line,
    plain,
    prose,
    strong,
)
from analyzer.render.links import NO_LINKS, Links
from analyzer.render.numbers import clock, count, figure, money, span_of
from analyzer.render.outline import as_of_note, ending_text, figures, status_line
from analyzer.render.owners import owners_line
from analyzer.render.text import one_line, visible
from analyzer.types.percents import percent
from analyzer.types.report import AGAINST_SHARE, Incident, SpanEvidence, State
from analyzer.types.sent import Reason, Sent

QUOTES_MAX = 2
QUOTE_CHARACTERS_MAX = 500
AGENTS_NAMED_MAX = 5
TEXT_CHARACTERS_MAX = 900
ACTIONS_MAX = 3
TRACES_MAX = 3

_REASONS = {
    Reason.FIRST_SEEN: "New",
    Reason.GOT_WORSE: "Got worse",
    Reason.RESOLVED: "Resolved",
    Reason.REGRESSED: "Back again",
    Reason.REMINDER: "Still going on",
    Reason.DIGEST: "Also",
}


def headline(incident: Incident, reason: Reason) -> str:
    """Return reason and title on one line."""
    return f"{_REASONS[reason]}: {one_line(incident.title)}"


def message_outline(
    incident: Incident, reason: Reason, at: datetime, last: Sent | None = None, links: Links = NO_LINKS
) -> tuple[Block, ...]:
    """Return the message: title, status, figures, cause, what changed, two quotes, what to do, where the rest is.

    What got worse is held against what was said `last`. A resolved incident needs no advice: its message is the title,
    the status and the figures, with when it was over. A reminder repeats no proof: it was told, and is a click away.
    """
    head = (
        Heading(1, plain(headline(incident, reason))),
        Paragraph(status_line(incident)),
        _facts(incident, at, last if reason is Reason.GOT_WORSE else None),
    )
    more = Paragraph(links.where(incident))
    if reason is Reason.RESOLVED:
        return links.within((*head, more), incident)
    if reason is Reason.REMINDER:
        return links.within((*head, *_cause_alone(incident), more), incident)
    return links.within((*head, *_cause(incident), *_quotes(incident), *_advice(incident), more), incident)


def _facts(incident: Incident, at: datetime, last: Sent | None) -> Block:
    entries = [plain(_rise(incident, last, at))] if last is not None else []
    entries += [plain(f"{figures(incident)}, since {clock(incident.onset, at)}")]
    if incident.state is State.RESOLVED and incident.resolved_at is not None:
        lasted = span_of(max(incident.seen_until - incident.onset, timedelta()))
        entries.append(plain(f"resolved at {clock(incident.resolved_at, at)}; last seen {lasted} after it began"))
    if incident.agents:
        entries.append(plain(_agents(incident)))
    if whose := owners_line(incident):
        entries.append(whose)
    if incident.excess_usd is not None:
        entries.append(plain(f"{money(incident.excess_usd)} beyond what was expected"))
    main = max(incident.account, key=lambda factor: factor.share, default=None)
    if main is not None:
        others = ", against other factors" if main.share >= AGAINST_SHARE else ""
        entries.append(plain(f"{percent(main.share)} of the change comes from {main.factor}{others}"))
    entries += [_changes(incident, at), *alert_lines(incident)]
    return Bullets(tuple(entries))


def _agents(incident: Incident) -> str:
    """Name the agents that share it with their parts, worst first."""
    named = [f"{one_line(part.agent, 60)} {percent(part.share)}" for part in incident.agents[:AGENTS_NAMED_MAX]]
    more = len(incident.agents) - len(named)
    return f"agents: {', '.join(named)}{f' and {more} more' if more else ''}"


def _rise(incident: Incident, last: Sent, at: datetime) -> str:
    """Say what rose since the last message: the figure or the agents, the severity, or both.

    A rise of a figure that rounds away is none.
    """
    parts = []
    if last.figures and len(incident.concerned) > len(last.figures):
        parts.append(f"{len(last.figures)} to {count(len(incident.concerned), 'agent')}")
    elif last.kind in {None, incident.kind}:
        # A figure of another kind, or the mean of other agents, is not what it rose from.
        before, now = (figure(value, incident.kind, incident.unit) for value in (last.observed, incident.observed))
        parts.append(f"from {before} to {now}" if before != now else f"still {now}")
    else:
        parts.append(f"{incident.kind.value} leads it now")
    if incident.severity.rank > last.severity.rank:
        parts.append(f"severity {last.severity.value} to {incident.severity.value}")
    return f"since the message of {clock(last.at, at)}: {', '.join(parts)}"


def _changes(incident: Incident, at: datetime) -> Line:
    if not incident.changes:
        return plain("nothing we can see changed near the onset")
    change = incident.changes[0]
    more = len(incident.changes) - 1
    new = code(one_line(change.to_value, 80)) if change.to_value else "none"
    rest = f", and {more} more" if more else ""
    return line(f"changed: {change.what} ", new, f" at {clock(change.at, at)}{rest}")


def _cause(incident: Incident) -> Iterable[Block]:
    diagnosis = incident.diagnosis
    if diagnosis is None:
        return
    yield from as_of_note(incident)
    yield from _cause_alone(incident)
    yield Paragraph(plain(ending_text(diagnosis)))


def _cause_alone(incident: Incident) -> Iterable[Block]:
    diagnosis = incident.diagnosis
    text = "" if diagnosis is None else diagnosis.cause or diagnosis.summary
    if text:
        yield Paragraph(line(strong("Cause: "), *prose(one_line(text, TEXT_CHARACTERS_MAX))))


def _quotes(incident: Incident) -> Iterable[Block]:
    claims = incident.diagnosis.claims if incident.diagnosis is not None else ()
    cited = {name for claim in claims for name in claim.evidence}
    quotes = [entry for entry in incident.evidence if isinstance(entry, SpanEvidence)]
    for entry in sorted(quotes, key=lambda quote: quote.id not in cited)[:QUOTES_MAX]:
        text = visible(entry.quote)
        text = text if len(text) <= QUOTE_CHARACTERS_MAX else text[:QUOTE_CHARACTERS_MAX] + "…"
        where = (" trajectory ", code(entry.trace_id), ", span ", code(entry.span_id), ":")
        yield Quote(text, line(strong(entry.id), *where))


def _advice(incident: Incident) -> Iterable[Block]:
    if incident.trace_ids:
        names = [part for name in incident.trace_ids[:TRACES_MAX] for part in (", ", code(one_line(name)))][1:]
        yield Paragraph(line("Worst trajectories: ", *names))
    diagnosis = incident.diagnosis
    if diagnosis is None:
        return
    if diagnosis.actions:
        actions = diagnosis.actions[:ACTIONS_MAX]
        yield Bullets(tuple(prose(one_line(action, TEXT_CHARACTERS_MAX)) for action in actions), numbered=True)
    if diagnosis.check:
        yield Code(diagnosis.check.strip())
