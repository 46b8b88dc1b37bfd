"""Tools that read trajectories: the facts, an outline, a field of a span."""

from __future__ import annotations

from analyzer.agent.desk import Desk, ToolError
from analyzer.agent.model import ToolSpec
from analyzer.agent.outline import page, rows_of
from analyzer.agent.text import text_of, visible
from analyzer.agent.tools.arguments import page_of
from analyzer.agent.tools.base import PAGE, TRACE, Arguments, Tool, closed_schema
from analyzer.types.trace import TEXT_FIELDS

ROWS_PER_PAGE = 60
PAGE_CHARS = 6_000
SPAN_ID_CHARS = 16


def case_facts(desk: Desk, _: Arguments) -> str:
    """Return the facts with their ids."""
    lines = []
    for fact in desk.case.facts:
        rests = f" [rests on {', '.join(fact.evidence[:6])}]" if fact.evidence else ""
        lines.append(f"{fact.id}: {desk.clean(fact.text)}{rests}")
    return "\n".join(lines) or "no facts were computed for this case"


def outline(desk: Desk, arguments: Arguments) -> str:
    """Return one page of an outline."""
    trajectory, steps = desk.opened(desk.named(arguments.get("trace_id", ""), "trace_id"))
    number = page_of(arguments)
    lines, pages = page(rows_of(steps, desk.case.markers), number, ROWS_PER_PAGE)
    if not lines:
        raise ToolError(f"there is no page {number}; the outline has {pages}")
    head = f"Outline of {trajectory.summary.trace_id}, page {number} of {pages}; a summary, not quotable"
    return "\n".join([head, *lines])


def span(desk: Desk, arguments: Arguments) -> str:
    """Return one page of one field of one span, as text that can be quoted."""
    trajectory, steps = desk.opened(desk.named(arguments.get("trace_id", ""), "trace_id"))
    wanted = str(arguments.get("span", arguments.get("span_id", arguments.get("step", "")))).strip()
    if wanted.isdigit() and len(wanted) < SPAN_ID_CHARS:
        number = int(wanted)
        if not 1 <= number <= len(steps):
            raise ToolError(f"there is no step {number}; the trajectory has steps 1 to {len(steps)}")
        wanted = steps[number - 1].span_id
    one = desk.whole(trajectory, wanted)
    if one is None:
        raise ToolError(f"there is no span {wanted[:40]!r} in this trajectory; take ids from its outline")
    field = arguments.get("field")
    if field not in TEXT_FIELDS:
        raise ToolError(f"field must be one of {', '.join(TEXT_FIELDS)}")
    text = visible(text_of(one, str(field), desk.mask))
    if not text:
        held = [name for name in TEXT_FIELDS if getattr(one, name)]
        raise ToolError(f"{field} of this span is empty; it has {', '.join(held) or 'no text at all'}")
    number, pages = page_of(arguments), -(-len(text) // PAGE_CHARS)
    body = text[(number - 1) * PAGE_CHARS : number * PAGE_CHARS]
    if not body:
        raise ToolError(f"there is no page {number}; the field has {pages}")
    desk.shown.add(one.trace_id, one.span_id, str(field), body)
    return desk.case.markers.wrap(one.trace_id, one.span_id, str(field), body, f"page {number} of {pages}")


CASE_FACTS = Tool(
    ToolSpec(
        "case_facts",
        "All facts of the case file, with their ids.",
        closed_schema(),
    ),
    case_facts,
)
OUTLINE = Tool(
    ToolSpec(
        "outline",
        "A page of a trajectory's outline, a line a step: number, span id, name, status, tokens, time, cost, gist; "
        "repeats folded. Not quotable.",
        closed_schema(trace_id=TRACE, page=PAGE),
    ),
    outline,
)
SPAN = Tool(
    ToolSpec(
        "span",
        "One field of one span in full, by page: text that can be quoted.",
        closed_schema(
            trace_id=TRACE,
            span={"type": "string", "description": "span id, or the step's number"},
            field={"type": "string", "enum": list(TEXT_FIELDS)},
            page=PAGE,
        ),
    ),
    span,
)
