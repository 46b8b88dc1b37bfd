"""Tools that look at the incidents that were filed: what is like this one, and how it ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from analyzer.agent.answer import CATEGORIES
from analyzer.agent.desk import Desk, ToolError
from analyzer.agent.model import ToolSpec
from analyzer.agent.tools.arguments import range_of, text_of, word_of
from analyzer.agent.tools.base import CITABLE, END, START, Arguments, Tool, choice, closed_schema
from analyzer.types.report import Incident, Kind, State
from analyzer.types.table import Column, Line, Table, Unit

LISTED = 8
KIND, AGENT, TOOL, CATEGORY = 3, 2, 2, 2
"""Points for agreeing in kind, agent, tool and category of the cause."""
SIMILAR_MIN = 3
"""From here on an incident is like another one: the same kind, or two of the others."""
ANY = "any"
KINDS = (ANY, *(kind.value for kind in Kind))
_HUMAN = {
    State.DISMISSED: "dismissed by a human",
    State.RESOLVED: "resolved",
    State.REGRESSED: "came back",
}
COLUMNS = (
    Column("incident"),
    Column("observed", Unit.VALUE),
    Column("expected", Unit.VALUE),
    Column("unit"),
    Column("kind"),
    Column("subject"),
    Column("severity"),
    Column("opened"),
    Column("how it ended"),
    Column("category"),
    Column("verdict"),
    Column("cause as explained then"),
)


def similar(desk: Desk, arguments: Arguments) -> Table:
    """Return past incidents like the case's, the most alike first."""
    category = word_of(arguments, "category", (ANY, *CATEGORIES))
    own = desk.case.incident
    earlier = [one for one in desk.past() if one.id != own.id and one.opened_at <= max(own.opened_at, desk.end)]
    ranked = sorted(((_points(one, own, category), one) for one in earlier), key=lambda pair: pair[1].id)
    ranked.sort(key=lambda pair: (pair[0], pair[1].opened_at), reverse=True)
    found = [one for points, one in ranked if points >= SIMILAR_MIN][:LISTED]
    note = f"Other incidents on file: {len(earlier)}. What was the cause then is a hint and no proof."
    return _table("Past incidents like this one", found, desk.start, desk.end, note)


def incidents(desk: Desk, arguments: Arguments) -> Table:
    """Return incidents of a range, the newest first."""
    kind = word_of(arguments, "kind", KINDS)
    agent = text_of(arguments, "agent")
    start, end = range_of(desk, arguments)
    wanted = frozenset({agent}) if agent else desk.agents
    if desk.agents and not wanted <= desk.agents:
        raise ToolError(f"agent must be empty or one of the case: {', '.join(sorted(desk.agents))}")
    past = [one for one in desk.past() if kind in {ANY, one.kind.value}]
    desk.admit([trace_id for one in _going_on(past, wanted, start, end)[:LISTED] for trace_id in one.trace_ids[:1]])
    return incidents_table(past, wanted, start, end)


def incidents_table(past: Sequence[Incident], agents: Collection[str], start: datetime, end: datetime) -> Table:
    """Return the incidents of some agents, or of all, that were going on in a range."""
    found = _going_on(past, agents, start, end)
    note = f"{len(found)} incidents were going on in this range." if len(found) > LISTED else ""
    return _table("Incidents", found[:LISTED], start, end, note)


def _going_on(past: Sequence[Incident], agents: Collection[str], start: datetime, end: datetime) -> list[Incident]:
    return [
        one
        for one in past
        if (not agents or not set(agents).isdisjoint(one.concerned))
        and one.opened_at <= end
        and one.last_seen_at >= start
    ]


def _points(one: Incident, own: Incident, category: str) -> int:
    same = (KIND, one.kind is own.kind), (AGENT, not set(one.concerned).isdisjoint(own.concerned))
    points = sum(worth for worth, agrees in same if agrees)
    if own.subject.tool is not None and one.subject.tool == own.subject.tool:
        points += TOOL
    if category not in {ANY, "unknown"} and one.diagnosis is not None and one.diagnosis.category == category:
        points += CATEGORY
    return points


def _table(title: str, found: Sequence[Incident], start: datetime, end: datetime, note: str) -> Table:
    return Table(title, COLUMNS, tuple(_line(one) for one in found), start, end, leading=1, note=note)


def _line(one: Incident) -> Line:
    told = one.diagnosis
    ended = _HUMAN.get(one.state, "still going on")
    if one.resolved_at is not None:
        ended += f" {one.resolved_at:%Y-%m-%dT%H:%MZ}"
    cells = (
        one.id,
        one.observed,
        one.expected,
        one.unit,
        one.kind.value,
        str(one.subject),
        one.severity.value,
        f"{one.opened_at:%Y-%m-%dT%H:%MZ}",
        ended,
        told.category if told is not None else "unknown",
        told.verdict.value if told is not None else "none",
        (told.cause or told.summary) if told is not None else "not explained",
    )
    return Line(cells, f'analyzer_incident_observed{{id="{one.id}"}}')


SIMILAR = Tool(
    ToolSpec(
        "similar",
        "Past incidents like this one, how they ended, and what was found to be the cause: a hint, no proof." + CITABLE,
        closed_schema(category=choice("the category of cause you suspect", (ANY, *CATEGORIES))),
    ),
    similar,
)
INCIDENTS = Tool(
    ToolSpec(
        "incidents",
        "Lists incidents that were going on in a range, the newest first; their worst run may be opened afterwards."
        + CITABLE,
        closed_schema(
            kind=choice("of one kind", KINDS),
            agent={"type": "string", "description": "an agent's name, or empty for all"},
            start=START,
            end=END,
        ),
    ),
    incidents,
)
