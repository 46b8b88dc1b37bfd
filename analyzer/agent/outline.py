"""A trajectory as an outline: one line a step, repeats folded, errors always in sight.

Lines are summaries written by us: good for finding one's way, never quotable. Folding joins neighbouring steps (or
groups of up to six steps) that are the same call with the same answer; what failed is only ever joined with what
failed in the same words, and says so. Cost is linear in the number of steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from analyzer.agent.text import Markers, estimate_tokens, one_line
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Status

PERIOD_MAX = 6
"""Longest group of steps that is looked for as a repeat: a call, its answer and a few steps around them."""
GIST_CHARS = 110
NAME_CHARS = 80
ERRORS_SHARE = 0.4
"""Part of an outline's room that error lines may take when not every line fits."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an outline: a step, or several that are the same."""

    first: int
    """1-based step numbers."""
    last: int
    line: str
    is_error: bool
    repeats: int = 1
    """How often the step, or the group of steps before this line, occurs."""

    tokens: int = field(init=False, compare=False)
    """Of the line and its line break."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", estimate_tokens(self.line) + 1)

    @property
    def is_step(self) -> bool:
        """Whether it is the line of one step, and not what stands for its repeats."""
        return self.repeats == 1


def rows_of(steps: Sequence[Step], markers: Markers) -> list[Row]:
    """Return the outline of all steps."""
    keys = [_key(step) for step in steps]
    team = has_several_agents(steps)
    rows: list[Row] = []
    at = 0
    while at < len(steps):
        period, times = _repeat_at(keys, at)
        if times == 1:
            rows.append(_row(steps[at], markers, team=team))
            at += 1
            continue
        rows.extend(_fold(steps[at : at + period * times], period, times, markers, team=team))
        at += period * times
    return rows


def chosen_lines(rows: Sequence[Row], shown: AbstractSet[int], tokens_max: int) -> list[Row]:
    """Return the rows that get a line of their own: all that fit, else errors first, then the first and the last.

    `shown` are steps that need none, because they are shown otherwise.
    """
    wanted = [row for row in rows if not (row.is_step and row.first in shown)]
    sizes = [row.tokens for row in wanted]
    if sum(sizes) <= tokens_max:
        return wanted
    chosen: set[int] = set()
    errors = [index for index, row in enumerate(wanted) if row.is_error]
    room = tokens_max - _take(chosen, errors, sizes, int(tokens_max * ERRORS_SHARE))
    last = len(wanted) - 1
    _take(chosen, [index for at in range(len(wanted)) for index in (at, last - at)][: len(wanted)], sizes, room)
    return [wanted[index] for index in sorted(chosen)]


def left_out(missing: Sequence[Row], steps: Sequence[Step]) -> str:
    """Return what stands for rows without a line: how many steps of which names, and their errors."""
    first, last = missing[0].first, missing[-1].last
    inside = steps[first - 1 : last]
    names = Counter(step.agent or step.name if step.operation is not Operation.TOOL else step.name for step in inside)
    named = ", ".join(f"{one_line(name, 40)} x{count}" for name, count in names.most_common(4))
    failed = Counter(one_line(step.status_message or step.output, 60) for step in inside if step.status is Status.ERROR)
    errors = "".join(f"; ERROR x{count}: {text}" for text, count in failed.most_common(2))
    steps_left_out = f"steps {first}-{last} are" if last > first else f"step {first} is"
    return f"  … {steps_left_out} not shown here ({named}{errors})"


def has_several_agents(steps: Sequence[Step]) -> bool:
    """Tell whether more than one agent took steps: only then does a step need its agent's name."""
    return len({step.agent for step in steps}) > 1


def what(step: Step, *, team: bool) -> str:
    """Return what a step is, without its words: number, name, its agent in a `team`, failure, figures."""
    return ", ".join([f"step {step.number}", " ".join(_named(step, team=team)), *_figures(step)])


def page(rows: Sequence[Row], number: int, rows_max: int) -> tuple[list[str], int]:
    """Return the lines of a page (1-based) and the number of pages."""
    pages = max(-(-len(rows) // rows_max), 1)
    start = (number - 1) * rows_max
    return [row.line for row in rows[start : start + rows_max]], pages


def _key(step: Step) -> tuple[object, ...]:
    failed = step.status is Status.ERROR
    answer = step.status_message if failed and step.status_message else step.output
    return (step.operation, step.name, failed, hash(" ".join(step.input.split())), hash(" ".join(answer.split())))


def _repeat_at(keys: Sequence[tuple[object, ...]], at: int) -> tuple[int, int]:
    """Return the period and count of the repeat that begins here and covers most; (1, 1) where there is none."""
    best = (1, 1)
    for period in range(1, PERIOD_MAX + 1):
        if at + 2 * period > len(keys):
            break
        end = at + period
        while end < len(keys) and keys[end] == keys[end - period]:
            end += 1
        times = (end - at) // period
        if times > 1 and period * times > best[0] * best[1]:
            best = (period, times)
        if times > 1:
            break
    return best


def _fold(steps: Sequence[Step], period: int, times: int, markers: Markers, *, team: bool) -> list[Row]:
    first, last = steps[0], steps[-1]
    cost = sum(step.cost_usd or 0.0 for step in steps)
    tokens = sum(step.tokens for step in steps)
    spent = f", {tokens} tokens" if tokens else ""
    spent += f", {cost:.4f} USD" if cost else ""
    failed = any(step.status is Status.ERROR for step in steps[:period])
    if period == 1:
        words = "same error" if failed else "same result"
        name = markers.clean(first.name)
        line = f"  steps {first.number}-{last.number}: {name} x{times}, same arguments, {words}{spent}"
        return [_row(first, markers, team=team), Row(steps[1].number, last.number, line, failed, times)]
    rows = [_row(step, markers, team=team) for step in steps[:period]]
    names = " -> ".join(markers.clean(step.name) for step in steps[:period])
    line = f"  steps {first.number}-{last.number}: these {period} steps x{times} ({names}), each time the same{spent}"
    return [*rows, Row(steps[period].number, last.number, line, failed, times)]


def _row(step: Step, markers: Markers, *, team: bool) -> Row:
    line = " ".join([str(step.number), step.span_id, *_named(step, team=team), *_figures(step)])
    failed = step.status is Status.ERROR
    return Row(step.number, step.number, f"{markers.clean(line)} | {_gist(step, markers)}", failed)


def _named(step: Step, *, team: bool) -> list[str]:
    """Return operation and name of a step, each once, its agent where there are several, and how it ended."""
    operation = "tool" if step.operation is Operation.TOOL else step.operation.value
    names = [
        operation,
        one_line(step.name, NAME_CHARS),
        *([one_line(step.agent, NAME_CHARS)] if team and step.agent else []),
    ]
    error = f" {step.error.value}" if step.error else ""
    return [*dict.fromkeys(names), f"ERROR{error}" if step.status is Status.ERROR else "ok"]


def _figures(step: Step) -> list[str]:
    """Return tokens, milliseconds and cost of a step, as far as they are known."""
    figures = [f"{step.tokens} tok"] if step.tokens else []
    if step.start_ns is not None and step.end_ns is not None:
        figures.append(f"{(step.end_ns - step.start_ns) / 1e6:.0f} ms")
    if step.cost_usd is not None:
        figures.append(f"{step.cost_usd:.4f} USD")
    return figures


def _gist(step: Step, markers: Markers) -> str:
    if step.status is Status.ERROR and (step.status_message or step.output):
        return markers.clean(one_line(step.status_message or step.output, GIST_CHARS))
    if step.operation is Operation.TOOL:
        half = GIST_CHARS // 2
        return markers.clean(f"{one_line(step.input, half)} -> {one_line(step.output, half)}")
    return markers.clean(one_line(step.output, GIST_CHARS))


def _take(chosen: set[int], order: Sequence[int], sizes: Sequence[int], room: int) -> int:
    """Choose indices in order while their sizes fit into a room; return what they take."""
    used = 0
    for index in order:
        if index in chosen:
            continue
        if used + sizes[index] > room:
            break
        chosen.add(index)
        used += sizes[index]
    return used
