"""The tool that finds a text in the trajectories that may be opened."""

from __future__ import annotations

from analyzer.agent.desk import Desk, ToolError
from analyzer.agent.model import ToolSpec
from analyzer.agent.text import find_verbatim, visible
from analyzer.agent.text import text_of as field_of
from analyzer.agent.tools.base import Arguments, Tool, closed_schema
from analyzer.types.trace import TEXT_FIELDS

HITS_MAX = 15
CHARS_MIN, CHARS_MAX = 3, 200
EXCERPT_CHARS = 1_000
SAME_LISTED = 3
"""Places named beside the one whose excerpt is shown."""


def search(desk: Desk, arguments: Arguments) -> str:
    """Return where a text stands, as excerpts that can be quoted."""
    text = arguments.get("text")
    if not isinstance(text, str) or not CHARS_MIN <= len(text.strip()) <= CHARS_MAX:
        raise ToolError(f"text must have {CHARS_MIN} to {CHARS_MAX} characters")
    known = desk.trace_ids
    if not known:
        raise ToolError("no trajectory is open yet: ask for a table of runs first")
    with desk.reading() as store:
        hits = store.search(text.strip(), trace_ids=known, limit=HITS_MAX)
    held: dict[str, list[str]] = {}
    for hit in hits[:HITS_MAX]:
        if hit.trace_id not in known or hit.field not in TEXT_FIELDS:
            continue
        excerpt = visible(desk.mask(hit.excerpt[:EXCERPT_CHARS]))
        span = desk.lookup(hit.trace_id, hit.span_id)
        if span is None or find_verbatim(excerpt, visible(field_of(span, hit.field, desk.mask))) is None:
            continue
        desk.shown.add(hit.trace_id, hit.span_id, hit.field, excerpt)
        again = held.get(excerpt)
        if again is not None:
            # A history is sent again at every step: the words are shown once, and can be quoted from each.
            again.append(f"the same in {hit.field} of span {hit.span_id} of {hit.trace_id}")
            continue
        held[excerpt] = [desk.case.markers.wrap(hit.trace_id, hit.span_id, hit.field, excerpt, "an excerpt")]
    # The text itself is not repeated: what stands in an answer of a tool counts as shown.
    lines = [line for block in held.values() for line in (*block[:1], *_some(block[1:]))]
    return "\n".join(lines) or "nothing in the trajectories of the case holds this text"


def _some(places: list[str]) -> list[str]:
    """Return the first of the places that hold the same, and how many more there are."""
    more = len(places) - SAME_LISTED
    return places if more <= 0 else [*places[:SAME_LISTED], f"the same in {more} more"]


SEARCH = Tool(
    ToolSpec(
        "search",
        "Finds a text, whatever its case, in the trajectories that may be opened. Hits can be quoted.",
        closed_schema(text={"type": "string", "description": "3 to 200 characters that stand together"}),
    ),
    search,
)
