"""Incidents: the list with its filters, and one of them whole with the buttons for a human's word."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from analyzer.render.blocks import Block, Heading
from analyzer.render.links import kind_link, link, links_of
from analyzer.render.numbers import LIMITED, clock, figure, money, ratio
from analyzer.render.outline import incident_outline
from analyzer.render.said import word_text
from analyzer.server.pages.page import Asked, Page
from analyzer.server.pages.reading import Reader
from analyzer.triage import newest_first
from analyzer.types.report import ACTIVE, Incident, Kind, Severity, State
from analyzer.types.word import Said

STATES = ("active", "all", *(state.value for state in State))
SEVERITIES = ("", *(severity.value for severity in reversed(Severity)))
KINDS = ("", *(kind.value for kind in Kind))
SHOWN_MAX = 500
MUTES = ("4h", "12h", "1d", "3d", "7d")
"""How long an incident can be muted from a page; the command line takes any length."""


def listed(reader: Reader, asked: Asked) -> Page:
    """Return the incidents that meet every filter, newest first and of one run the worst first."""
    state = asked.choice("state", STATES)
    severity, kind = asked.choice("severity", SEVERITIES), asked.choice("kind", KINDS)
    agent = asked.text("agent")
    known = newest_first(reader.memory.incidents(active_only=state == "active"))
    found = [
        one
        for one in known
        if (state in {"active", "all"} or one.state.value == state)
        and (not severity or one.severity.value == severity)
        and (not kind or one.kind.value == kind)
        and (not agent or agent in one.concerned)
    ]
    # Of the clock, unlike the range of a page: on a store that has grown old "02:00 UTC" would be read as today's.
    now = datetime.now(UTC)
    values = {
        "found": [(one, clock(one.onset, now), *figures(one)) for one in found[:SHOWN_MAX]],
        "more": len(found) - SHOWN_MAX,
        "state": state,
        "severity": severity,
        "kind": kind,
        "agent": agent,
        "states": STATES,
        "severities": SEVERITIES,
        "kinds": KINDS,
        "agents": sorted({name for one in known for name in one.concerned} | ({agent} if agent else set())),
        "is_filtered": bool(severity or kind or agent or state != "active"),
    }
    return Page("incidents.html", values)


def one(reader: Reader, asked: Asked) -> Page:
    """Return one incident: everything of its report, and what can be said of it. Raises NotFoundError."""
    incident = reader.memory.incident(asked.path["incident"])
    now = datetime.now(UTC)
    observed, times, excess = figures(incident)
    values = {
        "incident": incident,
        "observed": observed,
        "expected": figure(incident.expected, incident.kind, incident.unit),
        "is_limit": incident.kind in LIMITED,
        "times": times,
        "excess": excess,
        "since": clock(incident.onset, now),
        "blocks": tuple(_below_title(incident_outline(incident, now))),
        "links": links_of(incident),
        "words": [word_text(word) for word in reader.memory.words(incident.id)],
        "buttons": buttons(incident, is_muted=incident.muted_until is not None and incident.muted_until > now),
        "mutes": MUTES,
        "compared": _compared(incident),
        "meaning": kind_link(incident.kind),
    }
    return Page("incident.html", values)


def figures(incident: Incident) -> tuple[str, str, str]:
    """Return what was observed, how many times the usual, and what it cost too much; "" for what is not known."""
    times = ratio(incident.ratio) if incident.ratio is not None and incident.kind not in LIMITED else ""
    excess = money(incident.excess_usd) if incident.excess_usd is not None else ""
    return figure(incident.observed, incident.kind, incident.unit), times, excess


def buttons(incident: Incident, *, is_muted: bool) -> tuple[Said, ...]:
    """Return what can be said of an incident as it stands."""
    said: list[Said] = []
    if incident.state in ACTIVE:
        confirmed = incident.word is not None and incident.word.said is Said.CONFIRMED
        said += [*(() if confirmed else (Said.CONFIRMED,)), Said.DISMISSED, Said.RESOLVED]
        said.append(Said.UNMUTED if is_muted else Said.MUTED)
    else:
        said.append(Said.REOPENED)
    return tuple(said)


def mute_length(text: str) -> timedelta:
    """Return how long a form asks to mute; what it does not offer is a day."""
    return {"4h": timedelta(hours=4), "12h": timedelta(hours=12), "3d": timedelta(days=3), "7d": timedelta(days=7)}.get(
        text, timedelta(days=1)
    )


def _compared(incident: Incident) -> str:
    """Return the page that puts the worst trajectory beside a healthy one; "" where there are not both."""
    if not incident.trace_ids or not incident.healthy_trace_ids:
        return ""
    return link("compare", a=incident.trace_ids[0], b=incident.healthy_trace_ids[0])


def _below_title(blocks: Iterable[Block]) -> Iterable[Block]:
    """Yield an outline without its title and the line below it: the page says both in its own way."""
    for index, block in enumerate(blocks):
        if index > 1 or (index == 0 and not isinstance(block, Heading)):
            yield block
