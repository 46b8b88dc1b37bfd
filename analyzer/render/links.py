"""Addresses of our own pages, and the pieces of an outline that lead there.

A link is made from ids, escaped as parts of a path below the address that the operator set; never from text of a span.
What it reads is the id itself: whoever sees it knows where it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from analyzer.render.blocks import Block, Bullets, Heading, Line, Paragraph, Piece, Quote, Style, Table, code, line
from analyzer.types.report import Incident, Kind, SpanEvidence


def link(*parts: str, **query: str | int | None) -> str:
    """Return the path of a page: its parts and what is asked, escaped; what is None or "" is left out."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    asked = urlencode({name: value for name, value in query.items() if value not in (None, "")})
    return f"{path}?{asked}" if asked else path


def evidence_link(incident: Incident, entry: SpanEvidence) -> str:
    """Return where a quote is seen in its span."""
    place = link("trajectories", entry.trace_id, "spans", entry.span_id, incident=incident.id, evidence=entry.id)
    return f"{place}#quote"


def kind_link(kind: Kind) -> str:
    """Return the page that says what a kind of incident means."""
    return link("docs", kind.value)


def links_of(incident: Incident, base: str = "") -> dict[str, str]:
    """Return where names in an incident's outline lead: evidence to its place in the span, ids to their pages.

    `base` is the address of the pages, in front of every path.
    """
    links = {incident.id: link("incidents", incident.id)}
    links |= {
        trace_id: link("trajectories", trace_id) for trace_id in (*incident.trace_ids, *incident.healthy_trace_ids)
    }
    responsible = incident.diagnosis.responsible if incident.diagnosis is not None else None
    if responsible is not None and responsible.trace_id:
        links[responsible.trace_id] = link("trajectories", responsible.trace_id)
        if responsible.span_id:
            links[responsible.span_id] = link("trajectories", responsible.trace_id, "spans", responsible.span_id)
    for agent in incident.concerned:
        links[agent] = link("trajectories", agent=agent)
    for entry in incident.evidence:
        if isinstance(entry, SpanEvidence):
            links[entry.trace_id] = link("trajectories", entry.trace_id)
            links[entry.span_id] = link("trajectories", entry.trace_id, "spans", entry.span_id)
            links[entry.id] = evidence_link(incident, entry)
    return {name: f"{base}{place}" for name, place in links.items() if name}


@dataclass(frozen=True, slots=True)
class Links:
    """Links to the pages of this installation; none where it is not said where these are reached."""

    base: str = ""
    """`https://analyzer.example.com`, checked by the settings; "" for none."""

    def incident(self, incident: Incident) -> str:
        """Return the address of an incident's page; "" for none."""
        return f"{self.base}{link('incidents', incident.id)}" if self.base else ""

    def where(self, incident: Incident) -> Line:
        """Return where all of an incident is seen: its page, and what its kind means; else the command to run."""
        if not self.base:
            return line("All of it: ", code(f"analyzer incidents show {incident.id}"))
        page, meaning = self.incident(incident), f"{self.base}{kind_link(incident.kind)}"
        return line("All of it: ", Piece(page, href=page), " · what it means: ", Piece(meaning, href=meaning))

    def where_all(self) -> Line:
        """Return where all incidents are seen."""
        if not self.base:
            return line("All of it: ", code("analyzer incidents list --all"))
        page = f"{self.base}{link('incidents', state='all')}"
        return line("All of it: ", Piece(page, href=page))

    def within(self, blocks: Iterable[Block], *incidents: Incident) -> tuple[Block, ...]:
        """Return an outline of some incidents in which ids lead to their pages."""
        if not self.base:
            return tuple(blocks)
        places: dict[str, str] = {}
        for incident in reversed(incidents):
            places |= links_of(incident, self.base)
        return tuple(_linked(block, places) for block in blocks)


NO_LINKS = Links()


def _linked(block: Block, places: Mapping[str, str]) -> Block:
    match block:
        case Heading() | Paragraph():
            return replace(block, line=_line(block.line, places))
        case Bullets():
            return replace(block, entries=tuple(_line(entry, places) for entry in block.entries))
        case Table():
            return replace(block, rows=tuple(tuple(_line(cell, places) for cell in row) for row in block.rows))
        case Quote():
            return replace(block, source=_line(block.source, places))
        case _:
            return block


def _line(pieces: Line, places: Mapping[str, str]) -> Line:
    return tuple(
        replace(piece, href=places[piece.text])
        if piece.style is not Style.PLAIN and not piece.href and piece.text in places
        else piece
        for piece in pieces
    )
