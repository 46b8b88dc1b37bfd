"""Several incidents in one message: all of them, the worst first, a line each."""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.render.blocks import Block, Bullets, Heading, Line, Paragraph, code, line, plain
from analyzer.render.links import NO_LINKS, Links
from analyzer.render.message import headline
from analyzer.render.numbers import count
from analyzer.render.owners import owners_line
from analyzer.render.text import one_line
from analyzer.types.report import Incident
from analyzer.types.sent import Reason

LINES_MAX = 10
"""Lines in one list: a list that is cut to a section's length by a route must not lose any."""
NAMED_MAX = 60
"""Incidents with a line of their own: about as many as a Slack message holds. The rest are counted."""
LINE_CHARACTERS_MAX = 140
"""Of a title in a list, so that no list outgrows a section."""
OWNER_CHARACTERS_MAX = 40
OWNERS_NAMED_MAX = 2
"""Of an owner's name, and so many owners: a line of a digest is read at a glance, and its incident has the whole."""
LINE_SIZE = 190
"""Of a line without an address, about: title, severity, id and their marks."""
LIST_SIZE = 2_800
"""Of a list: a section holds 3,000 characters."""


def digest_headline(entries: Sequence[tuple[Incident, Reason]], *, storm: bool) -> str:
    """Return how many there are and, of what came all at once, which is the worst."""
    if not storm:
        return f"Digest: {count(len(entries), 'message')} that could wait"
    incident, reason = entries[0]
    return f"{len(entries)} messages at once, the worst: {headline(incident, reason)}"


def digest_outline(
    entries: Sequence[tuple[Incident, Reason]], *, storm: bool, links: Links = NO_LINKS
) -> tuple[Block, ...]:
    """Return the message: a heading, a line for each incident in the order given, and where the rest is."""
    # Where each line holds an address or an owner as well there is room for fewer.
    size = LINE_SIZE + max((len(links.incident(one)) + _size(_whose(one)) for one, _ in entries), default=0)
    lines_max = min(LINES_MAX, LIST_SIZE // size)
    named = [_line(incident, reason) for incident, reason in entries[: NAMED_MAX * LINE_SIZE // size]]
    lists = [Bullets(tuple(named[start : start + lines_max])) for start in range(0, len(named), lines_max)]
    more = len(entries) - len(named)
    rest = (Paragraph(plain(f"And {more} more.")),) if more else ()
    blocks = (Heading(1, plain(digest_headline(entries, storm=storm))), *lists, *rest, Paragraph(links.where_all()))
    return links.within(blocks, *(incident for incident, _ in entries))


def _line(incident: Incident, reason: Reason) -> Line:
    title = one_line(headline(incident, reason), LINE_CHARACTERS_MAX)
    whose = _whose(incident)
    return line(f"{title} ({incident.severity.value}{'; ' if whose else ''}", *whose, ") ", code(incident.id))


def _whose(incident: Incident) -> Line:
    return owners_line(incident, columns_max=OWNER_CHARACTERS_MAX, named_max=OWNERS_NAMED_MAX)


def _size(text: Line) -> int:
    return sum(len(piece.text) for piece in text)
