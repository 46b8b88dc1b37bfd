"""Trajectories for people: the tree of one, with repeats folded, and the list of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from analyzer.render.blocks import Line, Table, code, plain
from analyzer.render.folding import Repeat, folded, shapes
from analyzer.render.numbers import count, duration, moment, money, number, tokens
from analyzer.render.text import cut, one_line, padded, width, wrapped
from analyzer.types.messages import last_message, readable
from analyzer.types.percents import percent
from analyzer.types.repeats import repeats_of
from analyzer.types.trace import Operation, Span, Status
from analyzer.types.trajectory import ToolUse, Trajectory, TrajectorySummary

WIDTH = 120
WIDTH_MIN = 60
INDENT_MAX = 12
"""Levels that are indented; deeper spans stand below each other, with their level as a number."""
_EXCERPT_CHARACTERS = 2000
"""Of a payload this much is looked at for the one line that is shown."""
_PARSED_CHARACTERS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class _Tree:
    children: dict[str | None, list[Span]]
    numbers: dict[str, int]
    """Step numbers by span id, as `Trajectory.steps` counts."""
    repeats: dict[str, str]
    """Spans that only report another one again, see `repeats_of`."""
    start_ns: int | None
    agent: str
    model: str | None
    """The trajectory's own, which are not named again on every line."""
    columns: int


ID_SHOWN = 12
"""Digits of a trace id in a list: one in 16^12 for a second trajectory to begin alike."""


def trajectory_view(trajectory: Trajectory, columns: int = WIDTH) -> str:
    """Return a trajectory as text: a header, then a line a span, children indented, repeats folded into one line.

    A line holds the step's number, start (from the beginning), duration, tokens, cost, name, and a line of what went
    in and came out; the error stands on a line of its own and is never folded away. What the header names, agent and
    model, is not named again. Lines are at most `columns` wide; a narrow terminal does without the start, then
    without the duration. Spans whose parent is missing stand at the top; spans that are each other's parents are
    shown once.
    """
    columns = max(columns, WIDTH_MIN)
    repeats = repeats_of(trajectory.spans)
    summary = trajectory.summary
    shared = (summary.start_ns, summary.agent, summary.model, columns)
    tree = _Tree(children_of(trajectory.spans), trajectory.step_numbers, repeats, *shared)
    marks = shapes(tree.children)
    lines = [*_header(trajectory, columns), "", f"{_columns(columns, *_TITLES)}what"]
    stack: list[tuple[Span | Repeat, int]] = [(entry, 0) for entry in reversed(folded(tree.children[None], marks))]
    while stack:
        entry, depth = stack.pop()
        if isinstance(entry, Repeat):
            lines += _repeat_lines(entry, depth, tree)
            continue
        lines += _span_lines(entry, depth, tree)
        below = folded(tree.children.get(entry.span_id, []), marks)
        stack += [(child, depth + 1) for child in reversed(below)]
    return "\n".join(lines) + "\n"


def trajectory_table(summaries: Sequence[TrajectorySummary]) -> Table:
    """Return the list of trajectories, a row each, in the order given."""
    header = ("trace", "agent", "version", "started", "took", "steps", "tokens", "cost", "errors", "outcome")
    return Table(header, tuple(_row(summary) for summary in summaries), right=frozenset({4, 5, 6, 7, 8}))


def tool_table(uses: Sequence[ToolUse]) -> Table:
    """Return what tools were used for, a row an agent and tool, in the order given."""
    rows = [
        (
            plain(one_line(use.agent, 40)),
            plain(one_line(use.tool, 40)),
            plain(number(use.calls)),
            plain("-" if use.seconds is None else duration(use.seconds)),
            plain("-" if use.cost_usd is None else money(use.cost_usd)),
        )
        for use in uses
    ]
    return Table(("agent", "tool", "calls", "took", "cost"), tuple(rows), right=frozenset({2, 3, 4}))


def _row(summary: TrajectorySummary) -> tuple[Line, ...]:
    return (
        # A beginning of the id is enough for every command, and a whole one leaves no room for the rest.
        (code(summary.trace_id[:ID_SHOWN]),),
        plain(one_line(summary.agent, 40)),
        plain(one_line(summary.version or "-", 20)),
        plain(_moment(summary.start_ns)),
        plain(_took(summary)),
        plain(number(summary.steps)),
        plain(tokens(summary.tokens)),
        plain(_cost(summary)),
        plain(number(summary.errors)),
        plain(summary.outcome.value if summary.complete else f"{summary.outcome.value} (running)"),
    )


def _header(trajectory: Trajectory, columns: int) -> list[str]:
    summary = trajectory.summary
    names = [summary.agent, summary.version and f"version {summary.version}", summary.model]
    cached = ""
    if summary.input_tokens and summary.cache_read_tokens:
        cached = f", {percent(summary.cache_read_tokens / summary.input_tokens)} of the input from cache"
    calls = f"{count(summary.inferences, 'inference')}, {count(summary.tool_calls, 'tool call')}"
    steps = f"{count(summary.steps, 'step')}: {calls}"
    failures = f"{count(summary.errors, 'error')}, {count(summary.retries, 'retry', 'retries')}"
    used = f"{tokens(summary.input_tokens)} tokens in, {tokens(summary.output_tokens)} out{cached}"
    if summary.inferences and all(span.tokens is None for span in trajectory.spans):
        used = "tokens not reported"
    lines = [
        f"trajectory {summary.trace_id}",
        # Names come from outside: they must not take more than their line.
        cut(" · ".join(one_line(name) for name in names if name), columns),
        f"started {_moment(summary.start_ns)}, took {_took(summary)}, outcome {summary.outcome.value}"
        + ("" if summary.complete else ", no root span yet"),
        f"{count(summary.spans, 'span')}, {steps}; {failures}",
        f"{used}; cost {_cost(summary)}",
    ]
    tools = _tools_cost(trajectory)
    return [*(part for line in lines for part in wrapped(line, columns)), *([cut(tools, columns)] if tools else [])]


def _tools_cost(trajectory: Trajectory) -> str:
    """Return what the tools cost, by tool, dearest first; "" where no rule prices one."""
    spent = trajectory.summary.tool_cost_usd
    if spent is None:
        return ""
    parts = [
        f"{one_line(use.tool, 40)} {money(use.cost_usd)} ({count(use.calls, 'call')})"
        for use in trajectory.tool_uses
        if use.cost_usd is not None
    ]
    return f"tools cost {money(spent)} more: {', '.join(parts)}"


_TITLES = ("step", "at", "took", "tokens", "cost")
_SIZES = (7, 12, 11, 8, 8)
_WITHOUT = ((100, 1), (80, 2))
"""Below so many columns a row does without the cell of this number: the start, then the duration."""


@cache
def _kept(columns: int) -> tuple[int, ...]:
    gone = {index for least, index in _WITHOUT if columns < least}
    return tuple(index for index in range(len(_SIZES)) if index not in gone)


def _columns(columns: int, *cells: str) -> str:
    return " ".join([padded(cells[n], _SIZES[n], right=True) for n in _kept(columns)]) + "  "


def _span_lines(span: Span, depth: int, tree: _Tree) -> list[str]:
    step = tree.numbers.get(span.span_id)
    again = tree.repeats.get(span.span_id)
    used, cost = _used(span) if again is None else ("", "")
    at = ""
    if span.start_ns is not None and tree.start_ns is not None:
        at = f"+{duration((span.start_ns - tree.start_ns) / 1e9)}"
    took = duration(span.duration_ms / 1000) if span.duration_ms is not None else ""
    row = _columns(tree.columns, str(step) if step is not None else "", at, took, used, cost)
    indent = _indent(depth)
    head = f"{row}{indent}{_name(span, tree)}{_speaker(span, tree)}"
    gist = _gist(span, tree.columns - width(head))
    if again is not None:
        gist = f"  = step {tree.numbers[again]}, reported again" if again in tree.numbers else "  reported again"
    lines = [cut(f"{head}{gist}", tree.columns)]
    if span.status is Status.ERROR:
        lines.append(cut(f"{' ' * len(row)}{indent}  error: {_error(span)}", tree.columns))
    return lines


def _used(span: Span) -> tuple[str, str]:
    """Return tokens and cost as they stand in a row; a report that repeats another one shows neither a second time."""
    used = tokens(span.tokens.total) if span.tokens is not None else ""
    cost = money(span.cost_usd) if span.cost_usd is not None else ("unpriced" if span.tokens is not None else "")
    return used, cost


def _repeat_lines(repeat: Repeat, depth: int, tree: _Tree) -> list[str]:
    spans = repeat.spans
    steps = [number for span in spans if (number := tree.numbers.get(span.span_id)) is not None]
    names = " + ".join(dict.fromkeys(_name(span, tree) for span in repeat.pattern))
    counted = [span for span in spans if span.span_id not in tree.repeats]
    used = sum(span.tokens.total for span in counted if span.tokens is not None)
    costs = [span.cost_usd for span in counted if span.cost_usd is not None]
    parts = [f"{names} x{repeat.times}", "same arguments" if repeat.has_arguments else "same calls"]
    if repeat.has_results:
        parts.append("same result" if repeat.same_results else "results differ")
    where = f"steps {min(steps)}-{max(steps)}: " if steps else f"{len(spans)} spans: "
    row = _columns(tree.columns, "...", "", "", tokens(used) if used else "", money(sum(costs)) if costs else "")
    example = next((span for span in repeat.pattern if span.operation is Operation.TOOL), repeat.pattern[0])
    indent = _indent(depth)
    head = f"{row}{indent}{where}{', '.join(parts)}"
    lines = [cut(f"{head}{_gist(example, tree.columns - width(head))}", tree.columns)]
    failed = [span for span in spans if span.status is Status.ERROR]
    if failed:
        messages = f"{len(failed)} of these failed: {_error(failed[0])}"
        lines.append(cut(f"{' ' * len(row)}{indent}  error: {messages}", tree.columns))
    return lines


def _indent(depth: int) -> str:
    return "  " * depth if depth <= INDENT_MAX else f"{'  ' * INDENT_MAX}({depth}) "


def _name(span: Span, tree: _Tree) -> str:
    if span.operation is Operation.TOOL:
        return one_line(span.tool or span.name, 60) or "tool"
    if span.operation is Operation.CHAT:
        return f"chat {one_line(span.model, 40)}" if span.model and span.model != tree.model else "chat"
    return one_line(span.name or span.operation.value, 60)


def _speaker(span: Span, tree: _Tree) -> str:
    """Return who took the step, where it is not the trajectory's own agent: a subagent, one of a talk."""
    if not span.operation.is_step or not span.agent or span.agent == tree.agent:
        return ""
    return f" by {one_line(span.agent, 40)}"


def _gist(span: Span, room: int) -> str:
    """Return a line of what went in and what came out; of an inference only the reply, for its input repeats.

    Long arguments leave a third of the room to the result: which of the two is of interest, nobody knows beforehand.
    """
    arguments = "" if span.operation is Operation.CHAT else _excerpt(readable, span.input)
    reply = _excerpt(last_message, span.output)
    least = 2 * room // 3 - len(_ARROW) - 2
    if arguments and reply and least >= _ARGUMENTS_MIN:
        arguments = cut(arguments, max(room - width(reply) - len(_ARROW) - 2, least))
    elif arguments:
        arguments, reply = cut(arguments, max(room - 2, 0)), ""
    return "".join((f"  {arguments}" if arguments else "", f"{_ARROW}{reply}" if reply else ""))


_ARROW = "  -> "
_ARGUMENTS_MIN = 6
"""With less room than this for arguments beside a result, they have all of it: a line of dots tells nothing."""


def _excerpt(reader: Callable[[str], str], payload: str | None) -> str:
    if not payload:
        return ""
    # A payload of megabytes is not parsed for one line of it.
    text = reader(payload) if len(payload) <= _PARSED_CHARACTERS_MAX else payload
    return one_line(text[:_EXCERPT_CHARACTERS], 160)


def _error(span: Span) -> str:
    kind = span.error_type or (span.error.value if span.error is not None else "")
    parts = [one_line(part[:_EXCERPT_CHARACTERS], 300) for part in (kind, span.status_message) if part]
    return ": ".join(parts) or "no message"


def _moment(time_ns: int | None) -> str:
    if time_ns is None:
        return "-"
    try:
        return moment(datetime.fromtimestamp(time_ns / 1e9, UTC))
    except (OverflowError, ValueError, OSError):
        return "-"


def _took(summary: TrajectorySummary) -> str:
    return duration(summary.duration_s) if summary.duration_s is not None else "-"


def _cost(summary: TrajectorySummary) -> str:
    if summary.cost_usd is None:
        return "unpriced" if summary.unpriced else "-"
    return money(summary.cost_usd) + (f" + {summary.unpriced} unpriced" if summary.unpriced else "")


def children_of(spans: Sequence[Span]) -> dict[str | None, list[Span]]:
    """Return spans by parent; at None the top ones. Spans in a circle of parents are cut loose at their first."""
    unique = {span.span_id: span for span in reversed(spans)}
    known = unique.keys()
    children: dict[str | None, list[Span]] = {None: []}
    for span in reversed(unique.values()):
        parent = span.parent_id if span.parent_id in known and span.parent_id != span.span_id else None
        children.setdefault(parent, []).append(span)
    reached: set[str] = set()
    _reach([span.span_id for span in children[None]], children, reached)
    for span in reversed(unique.values()):
        if span.span_id not in reached:
            children[span.parent_id] = [child for child in children[span.parent_id] if child is not span]
            children[None].append(span)
            _reach([span.span_id], children, reached)
    return children


def _reach(ids: list[str], children: dict[str | None, list[Span]], reached: set[str]) -> None:
    stack = ids
    while stack:
        name = stack.pop()
        if name not in reached:
            reached.add(name)
            stack.extend(child.span_id for child in children.get(name, ()))
