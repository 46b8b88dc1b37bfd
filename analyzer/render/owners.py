"""Whose the agents of an incident are, in words."""

from __future__ import annotations

from analyzer.render.blocks import Line, code, line
from analyzer.render.text import one_line
from analyzer.types.report import Incident

OWNERS_NAMED_MAX = 5
OWNER_COLUMNS_MAX = 80


def owners_line(incident: Incident, *, columns_max: int = OWNER_COLUMNS_MAX, named_max: int = OWNERS_NAMED_MAX) -> Line:
    """Return `owner: @data-team`, or of several `owners: ...`, that of the worst hit first; () where none is known.

    A name is set as code: to a route `@channel` would be a mention.
    """
    owners = incident.owners
    if not owners:
        return ()
    named = [part for owner in owners[:named_max] for part in (", ", code(one_line(owner, columns_max)))][1:]
    more = len(owners) - named_max
    return line("owner: " if len(owners) == 1 else "owners: ", *named, f" and {more} more" if more > 0 else "")
