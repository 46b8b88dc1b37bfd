"""Trajectories: the list with filters and search, and one of them as a tree beside its times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from analyzer.render.folding import Repeat, folded, shapes
from analyzer.render.links import evidence_link, link
from analyzer.render.trajectory import children_of
from analyzer.server.pages.drawing import bar
from analyzer.server.pages.page import Asked, Page
from analyzer.server.pages.reading import Reader
from analyzer.stores.base import Order
from analyzer.stores.summaries import OWN_AGENT
from analyzer.types.messages import last_message, readable
from analyzer.types.repeats import repeats_of
from analyzer.types.report import Incident, SpanEvidence
from analyzer.types.trace import Operation, Span, Status
from analyzer.types.trajectory import Trajectory

PAGE_ROWS = 50
PAGES_MAX = 200
"""The list ends there: whoever looks for one of ten thousand needs a filter, not another page."""
HITS_MAX = 50
ROWS_MAX = 400
"""Rows of one page of a trajectory. Browsers lay out so many in a moment, and 10,000 in seconds."""
INDENT_MAX = 10
ORDERS: tuple[Order, ...] = ("recent", "cost", "tokens", "errors", "steps", "duration", "repeats", "retries", "oldest")
_EXCERPT = 2_000
"""Characters of a payload that are looked at for its one line."""
_PARSED_MAX = 100_000


def listed(reader: Reader, asked: Asked) -> Page:
    """Return a page of the trajectories that meet the filters, or of the places where a text stands."""
    agent, version, text = asked.text("agent"), asked.text("version"), asked.text("q")
    order = next((one for one in ORDERS if one == asked.text("order")), ORDERS[0])
    page = asked.number("page", 1, PAGES_MAX)
    errors_only = asked.text("errors") == "1"
    now = reader.now()
    values = {
        "agent": agent,
        "version": version,
        "order": order,
        "orders": ORDERS,
        "errors_only": errors_only,
        "q": text,
        "page": page,
        "agents": sorted({*reader.trajectories.agents(now - timedelta(days=28), now), *([agent] if agent else [])}),
        "own": OWN_AGENT,
    }
    if text:
        hits = reader.trajectories.search(text, agent=agent or None, limit=HITS_MAX)
        return Page("search.html", {**values, "hits": hits, "most": HITS_MAX})
    found = reader.trajectories.summaries(
        agent=agent or None,
        version=version or None,
        errors_only=errors_only,
        order=order,
        limit=page * PAGE_ROWS + 1,
    )
    asked_for = {"agent": agent, "version": version, "order": order, "errors": "1" if errors_only else ""}
    values |= {
        "found": found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS],
        "before": link("trajectories", **asked_for, page=page - 1) if page > 1 else "",
        "after": link("trajectories", **asked_for, page=page + 1)
        if len(found) > page * PAGE_ROWS and page < PAGES_MAX
        else "",
    }
    return Page("trajectories.html", values)


Mark = tuple[str, str, str]
"""A quote of an incident: its name there, the incident's title, and where it is seen."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tree: a span, or a stretch of spans that do the same again and again."""

    span: Span
    """Of a stretch its first."""
    depth: int
    step: int | None
    name: str
    gist: str
    again: str
    """Of a span that only reports another one again: which step that is."""
    bar: tuple[float, float] | None
    marks: tuple[Mark, ...]
    repeat: Repeat | None = None
    last_step: int | None = None
    """Of a stretch."""
    tokens: int | None = None
    cost_usd: float | None = None
    failed: int = 0
    """Spans with an error: 1 for a span that failed."""


def one(reader: Reader, asked: Asked) -> Page:
    """Return a page of one trajectory. Raises NotFoundError.

    `open` names the first span of a stretch that is shown row by row; with it the rows of that stretch alone come.
    """
    trace_id = reader.trajectories.resolve(asked.path["trace"])
    trajectory = reader.trajectories.outline(trace_id)
    incidents = [one for one in reader.memory.incidents() if _names(one, trace_id)]
    tree = _Tree(trajectory, _marks(incidents, trace_id))
    opened = asked.text("open")
    entries = tree.stretch(opened) if opened else tree.entries()
    pages = max(-(-len(entries) // ROWS_MAX), 1)
    page = asked.number("page", 1, pages)
    rows = [tree.row(*entry) for entry in entries[(page - 1) * ROWS_MAX : page * ROWS_MAX]]
    chat = next((span for span in reversed(trajectory.spans) if span.operation is Operation.CHAT), None)
    values = {
        "trajectory": trajectory,
        "summary": trajectory.summary,
        "incidents": incidents,
        "rows": rows,
        "opened": opened,
        "page": page,
        "pages": [(number, link("trajectories", trace_id, open=opened, page=number)) for number in range(1, pages + 1)],
        "indent_max": INDENT_MAX,
        "chat": link("trajectories", trace_id, "spans", chat.span_id) if chat is not None else "",
        "goal": readable(trajectory.spans[0].input)[:_EXCERPT] if trajectory.spans else "",
    }
    return Page("trajectory.html", values)


class _Tree:
    """The spans of a trajectory in the order in which they are drawn."""

    def __init__(self, trajectory: Trajectory, marks: Mapping[str, tuple[Mark, ...]]) -> None:
        self._children = children_of(trajectory.spans)
        self._shapes = shapes(self._children)
        self._numbers = trajectory.step_numbers
        self._again = repeats_of(trajectory.spans)
        self._marks = marks
        self._summary = trajectory.summary

    def entries(self) -> list[tuple[Span | Repeat, int]]:
        """Return every row with its depth, stretches folded."""
        return self._walk([(entry, 0) for entry in folded(self._children[None], self._shapes)])

    def stretch(self, first: str) -> list[tuple[Span | Repeat, int]]:
        """Return the rows of the stretch that begins with a span; none where there is no such stretch."""
        for entry, depth in self.entries():
            if isinstance(entry, Repeat) and entry.spans[0].span_id == first:
                return self._walk([(span, depth) for span in entry.spans])
        return []

    def _walk(self, top: list[tuple[Span | Repeat, int]]) -> list[tuple[Span | Repeat, int]]:
        found: list[tuple[Span | Repeat, int]] = []
        stack = top[::-1]
        while stack:
            entry, depth = stack.pop()
            found.append((entry, depth))
            if isinstance(entry, Span):
                below = folded(self._children.get(entry.span_id, []), self._shapes)
                stack += [(child, depth + 1) for child in reversed(below)]
        return found

    def row(self, entry: Span | Repeat, depth: int) -> Row:
        """Return one row."""
        span = entry.spans[0] if isinstance(entry, Repeat) else entry
        spans = entry.spans if isinstance(entry, Repeat) else (entry,)
        counted = [one for one in spans if one.span_id not in self._again]
        used = [one.tokens.total for one in counted if one.tokens is not None]
        costs = [one.cost_usd for one in counted if one.cost_usd is not None]
        ends = [one.end_ns for one in spans if one.end_ns is not None]
        steps = [self._numbers[one.span_id] for one in spans if one.span_id in self._numbers]
        names = dict.fromkeys(self._name(one) for one in (entry.pattern if isinstance(entry, Repeat) else spans))
        return Row(
            span=span,
            depth=depth,
            step=self._numbers.get(span.span_id),
            name=" + ".join(names),
            gist=gist_of(span),
            again=self._reported(span),
            bar=bar(span.start_ns, max(ends, default=None), self._summary.start_ns, self._summary.end_ns),
            marks=tuple(dict.fromkeys(mark for one in spans for mark in self._marks.get(one.span_id, ()))),
            repeat=entry if isinstance(entry, Repeat) else None,
            last_step=max(steps) if isinstance(entry, Repeat) and steps else None,
            tokens=sum(used) if used else None,
            cost_usd=sum(costs) if costs else None,
            failed=sum(one.status is Status.ERROR for one in spans),
        )

    def _reported(self, span: Span) -> str:
        first = self._again.get(span.span_id)
        if first is None:
            return ""
        return f"step {self._numbers[first]}, reported again" if first in self._numbers else "reported again"

    def _name(self, span: Span) -> str:
        if span.operation is Operation.TOOL:
            return span.tool or span.name or "tool"
        if span.operation is Operation.CHAT:
            model = f" {span.model}" if span.model and span.model != self._summary.model else ""
            return f"chat{model}"
        return span.name or span.operation.value


def gist_of(span: Span) -> str:
    """Return what went in and what came out in a line; of an inference only the reply, for its input repeats."""
    arguments = "" if span.operation is Operation.CHAT or not span.input else _short(span.input, readable_only=True)
    reply = _short(span.output, readable_only=False) if span.output else ""
    return " → ".join(part for part in (arguments, reply) if part)


def _short(payload: str, *, readable_only: bool) -> str:
    if len(payload) <= _PARSED_MAX:
        payload = readable(payload) if readable_only else last_message(payload)
    return " ".join(payload[:_EXCERPT].split())[:240]


def _names(incident: Incident, trace_id: str) -> bool:
    """Tell whether an incident names a trajectory."""
    return trace_id in incident.trace_ids or any(
        isinstance(entry, SpanEvidence) and entry.trace_id == trace_id for entry in incident.evidence
    )


def _marks(incidents: Iterable[Incident], trace_id: str) -> dict[str, tuple[Mark, ...]]:
    """Return by span what is cited of it."""
    marks: dict[str, tuple[Mark, ...]] = {}
    for incident in incidents:
        for entry in incident.evidence:
            if isinstance(entry, SpanEvidence) and entry.trace_id == trace_id:
                mark = (entry.id, incident.title, evidence_link(incident, entry))
                marks[entry.span_id] = (*marks.get(entry.span_id, ()), mark)
    return marks
