"""Two trajectories side by side: which steps they share, and where they part.

What makes two steps the same stands in `pairs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from analyzer.render.numbers import count, money, ratio, tokens
from analyzer.render.pairs import Comparison, Match, Pair, compare
from analyzer.render.sent import Sent, sent_document, sent_lines
from analyzer.render.text import cut, one_line
from analyzer.render.wording import around, of_arguments, of_text
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Status
from analyzer.types.trajectory import TrajectorySummary

WIDTH = 120
WIDTH_MIN = 60
_STRETCH_LINES_MAX = 12
"""Lines of one differing stretch; `traces show` has them all."""
ID_SHOWN = 12
"""A beginning of the id is enough for every command, and a whole one leaves no room for the rest."""
_STRETCHES_MAX = 100
"""Runs of 10,000 steps that part again and again would fill a thousand screens."""
_REPLACED_MAX = 5
_EXCERPT_CHARS = 2000
APART = 1.5
"""From how many times the tokens on two inferences are told apart; less is within what the same task takes."""
_ARGUMENTS_COLUMNS = 80
_RESULT_COLUMNS = 120


@dataclass(frozen=True, slots=True)
class Walk:
    """One trajectory as it is compared."""

    summary: TrajectorySummary
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class _Shown:
    """One step on one line; a text that is None is shown from its beginning."""

    step: Step
    arguments: str | None = None
    result: str | None = None


def diff_view(a: Walk, b: Walk, columns: int = WIDTH, sent: Sent | None = None) -> str:
    """Return the comparison as text: both runs, where they part in words, then the stretches, each folded.

    `sent` gives what two inferences were sent; without it that is not compared.
    Lines are at most `columns` wide; ends with a line end.
    """
    columns = max(columns, WIDTH_MIN)
    compared = compare(a.steps, b.steps)
    lines = [_summary("A", a.summary), _summary("B", b.summary), "", *verdict_lines(compared, sent), ""]
    # What both did stands as one line; what only one did, or did otherwise, is spelt out.
    stretches = [(match, list(group)) for match, group in groupby(compared.pairs, key=_kind)]
    for match, stretch in stretches[:_STRETCHES_MAX]:
        if match is Match.SAME:
            lines += _shared_lines(stretch)
        elif match is Match.OTHER_ARGUMENTS:
            lines += _other_lines(stretch, compared)
        else:
            lines += _alone_lines(stretch)
    if len(stretches) > _STRETCHES_MAX:
        lines.append(
            f"... {count(len(stretches) - _STRETCHES_MAX, 'more stretch', 'more stretches')}: --json has them all"
        )
    return "\n".join(cut(line, columns) for line in lines).rstrip() + "\n"


def _kind(pair: Pair) -> Match:
    """Return under which heading a pair stands."""
    if pair.is_shared:
        return Match.SAME
    return Match.OTHER_ARGUMENTS if pair.a is not None and pair.b is not None else Match.ONLY_A


def diff_document(a: Walk, b: Walk, sent: Sent | None = None) -> dict[str, Any]:
    """Return schema `analyzer.trace-diff/1`; texts are the readable forms that evidence quotes.

    `sent` gives what two inferences were sent; without it that is not compared.
    """
    compared = compare(a.steps, b.steps)
    told = []
    if sent is not None:
        apart = tokens_apart(compared.pairs)
        told = [sent_document(one, other, sent) for one, other in _asked(compared.pairs, apart)]
    pairs, parted, result = compared.pairs, compared.parting, compared.other_result
    return {
        "schema": "analyzer.trace-diff/1",
        "a": a.summary.trace_id,
        "b": b.summary.trace_id,
        "steps": {"a": len(a.steps), "b": len(b.steps), "shared": sum(pair.is_shared for pair in pairs)},
        "parting": None if parted is None else _place_document(pairs, parted),
        "first_other_result": None if result is None else _place_document(pairs, result),
        "replaced": [{"a": one.a, "b": one.b, "steps": one.steps} for one in compared.replaced],
        "sent": [one for one in told if one is not None],
        "pairs": [
            {"match": pair.match.value, "a": pair.a and pair.a.number, "b": pair.b and pair.b.number} for pair in pairs
        ],
    }


def _place_document(pairs: Sequence[Pair], index: int) -> dict[str, Any]:
    a, b = _next(pairs, index)
    return {"match": pairs[index].match.value, "a": _step_document(a), "b": _step_document(b)}


def _step_document(step: Step | None) -> dict[str, Any] | None:
    if step is None:
        return None
    return {
        "step": step.number,
        "span_id": step.span_id,
        "operation": step.operation.value,
        "name": step.name,
        "input": step.input,
        "output": step.output,
        "status": step.status.value,
        "status_message": step.status_message,
    }


def _summary(letter: str, summary: TrajectorySummary) -> str:
    names = [summary.agent, summary.version and f"version {summary.version}", summary.model]
    facts = [
        " ".join(one_line(name, 40) for name in names if name),
        count(summary.steps, "step"),
        f"{tokens(summary.tokens)} tokens",
        money(summary.cost_usd) if summary.cost_usd is not None else "no known cost",
        count(summary.errors, "error"),
        f"outcome {summary.outcome.value}",
    ]
    return f"{letter}  {summary.trace_id[:ID_SHOWN]}  {' · '.join(facts)}"


def verdict_lines(compared: Comparison, sent: Sent | None = None) -> list[str]:
    """Say where the runs part, and what one says throughout where the other says something else."""
    pairs, parted, result = compared.pairs, compared.parting, compared.other_result
    if not pairs:
        return ["Neither has any steps."]
    lines = []
    if parted is None:
        lines.append(f"They take the same {count(len(pairs), 'step')}.")
    elif parted == 0:
        lines.append("They part at the first step:")
    else:
        lines.append(f"They take the same {count(parted, 'step')}, then part:")
    if parted is not None:
        lines += _both(compared, parted)
    if result is not None:
        before = "Before that, the" if parted is not None else "The"
        lines.append(f"{before} same call came back with something else:")
        lines += _both(compared, result)
    names = [
        f"{one_line(one.a, 40)} where B says {one_line(one.b, 40)} ({count(one.steps, 'step')})"
        for one in compared.replaced[:_REPLACED_MAX]
    ]
    if names:
        rest = len(compared.replaced) - len(names)
        lines.append(f"Throughout, A says {'; '.join(names)}{f'; and {rest} more' if rest else ''}.")
    apart = tokens_apart(pairs)
    if apart is not None:
        lines.append(_apart_line(*apart))
    if sent is not None:
        lines += [line for one, other in _asked(pairs, apart) for line in sent_lines(one, other, sent)]
    return lines


def _apart_line(one: Step, other: Step) -> str:
    more = max(one.tokens, other.tokens) / min(one.tokens, other.tokens)
    where = f"step {one.number}" + (f" of A and {other.number} of B" if one.number != other.number else "")
    counts = f"{tokens(one.tokens)} in A, {tokens(other.tokens)} in B"
    return f"Most tokens apart is {where}, {one_line(one.name, 40)}: {counts} ({ratio(more)})."


def _asked(pairs: Sequence[Pair], apart: tuple[Step, Step] | None) -> list[tuple[Step, Step]]:
    """Return the inferences whose texts are compared: the first of both runs, and those most tokens apart."""
    beside = ((pair.a, pair.b) for pair in pairs if pair.a is not None and pair.b is not None)
    first = next(((a, b) for a, b in beside if Operation.TOOL not in (a.operation, b.operation)), None)
    return list(dict.fromkeys(two for two in (first, apart) if two is not None))


def tokens_apart(pairs: Sequence[Pair]) -> tuple[Step, Step] | None:
    """Return the inferences whose tokens differ the most, where that is by half as much again or more.

    Runs that take the same steps may cost many times as much: by what they are sent, which no call shows.
    """
    both = [(pair.a, pair.b) for pair in pairs if pair.a is not None and pair.b is not None]
    told = [(one, other) for one, other in both if one.tokens and other.tokens]
    if not told:
        return None
    one, other = max(told, key=lambda two: abs(two[0].tokens - two[1].tokens))
    return (one, other) if max(one.tokens, other.tokens) >= APART * min(one.tokens, other.tokens) else None


def _next(pairs: Sequence[Pair], index: int) -> tuple[Step | None, Step | None]:
    """Return the step of each run at an index; where it has none there, its next one, or None at its end."""
    a = next((pair.a for pair in pairs[index:] if pair.a is not None), None)
    return a, next((pair.b for pair in pairs[index:] if pair.b is not None), None)


def _both(compared: Comparison, index: int) -> list[str]:
    """Return a line for each run at an index: its next step, or its end.

    Of inferences that asked for other calls it is the calls that tell, and they stand right behind.
    """
    pairs = compared.pairs
    pair = pairs[index]
    if pair.match is Match.OTHER_ARGUMENTS and pair.a is not None and pair.a.operation is not Operation.TOOL:
        behind = pairs[index + 1] if index + 1 < len(pairs) else pair
        if behind.match is Match.OTHER_ARGUMENTS:
            pair = behind
    if pair.a is not None and pair.b is not None:
        return [f"  {letter}  {_line(shown)}" for letter, shown in zip("AB", _beside(pair, compared), strict=True)]
    sides = zip("AB", _next(pairs, index), (_calls(pairs[index:], "a"), _calls(pairs[index:], "b")), strict=True)
    return [f"  {letter}  {_opening(step, call) if step else 'ends here'}" for letter, step, call in sides]


def _calls(pairs: Sequence[Pair], side: str) -> Step | None:
    """Return the call that stands right behind the next step of a side, or None."""
    steps = (step for pair in pairs if (step := getattr(pair, side)) is not None)
    next(steps, None)
    behind = next(steps, None)
    return behind if behind is not None and behind.operation is Operation.TOOL else None


def _opening(step: Step, call: Step | None) -> str:
    """Return a step on a line; of an inference that asked for a call, the call."""
    if step.operation is Operation.TOOL or call is None:
        return _line(_Shown(step))
    return f"step {step.number}  inference by {one_line(step.name, 40)}, then {_line(_Shown(call))}"


def _beside(pair: Pair, compared: Comparison) -> tuple[_Shown, _Shown]:
    """Return both steps of a pair, what differs first (arguments, else results) cut around the difference."""
    a, b = pair.a, pair.b
    assert a is not None  # noqa: S101 - asked of pairs alone
    assert b is not None  # noqa: S101
    if a.operation is not Operation.TOOL:
        return _Shown(a), _Shown(b)
    if pair.match is Match.OTHER_ARGUMENTS:
        texts = around(of_arguments(a.input), of_arguments(b.input), compared.alike, _ARGUMENTS_COLUMNS)
        return _Shown(a, arguments=texts[0]), _Shown(b, arguments=texts[1])
    texts = around(of_text(a.output), of_text(b.output), compared.alike, _RESULT_COLUMNS)
    return _Shown(a, result=texts[0]), _Shown(b, result=texts[1])


def _shared_lines(group: Sequence[Pair]) -> list[str]:
    differing = sum(pair.match is Match.OTHER_RESULT for pair in group)
    note = f", {count(differing, 'result differs', 'results differ')}" if differing else ""
    return [f"=  {_where(group)}: {count(len(group), 'step')} shared{note}"]


def _other_lines(group: Sequence[Pair], compared: Comparison) -> list[str]:
    """Return the calls of the same tools with other arguments, two lines each; equal ones in a row are one."""
    calls = [pair for pair in group if pair.a is not None and pair.a.operation is Operation.TOOL]
    if not calls:
        return [f"~  {_where(group)}: {count(len(group), 'step')} in other words"]
    lines = [f"~  {_where(group)}: {count(len(calls), 'call')} with other arguments:"]
    beside = ((pair, [_line(shown, numbered=False) for shown in _beside(pair, compared)]) for pair in calls)
    told = 0
    for texts, same in groupby(beside, key=itemgetter(1)):
        if len(lines) > _STRETCH_LINES_MAX:
            lines.append(f"     ... {count(len(calls) - told, 'more call')}")
            break
        some = [pair for pair, _ in same]
        told += len(some)
        for letter, text, steps in zip("AB", texts, _sides(some), strict=True):
            again = f": x{len(some)}:" if len(some) > 1 else " "
            lines.append(f"     {letter}  {_range(steps)}{again} {text}")
    return lines


def _alone_lines(group: Sequence[Pair]) -> list[str]:
    lines = []
    for letter, steps in zip("AB", _sides(group), strict=True):
        if not steps:
            continue
        lines.append(f"{letter}  {_range(steps)}, {count(len(steps), 'step')} that the other has not:")
        folded = _folded(steps)
        lines += [f"     {line}" for line in folded[:_STRETCH_LINES_MAX]]
        if len(folded) > _STRETCH_LINES_MAX:
            lines.append(f"     ... {count(len(folded) - _STRETCH_LINES_MAX, 'more line')}")
    return lines


def _folded(steps: Sequence[Step]) -> list[str]:
    """Return a line a step; the same call again and again, with nothing but inferences between, is one line."""
    lines = []
    calls = [step for step in steps if step.operation is Operation.TOOL] or list(steps)
    for _, group in groupby(calls, key=lambda step: (step.name, of_arguments(step.input).text, step.status)):
        same = list(group)
        if len(same) == 1:
            lines.append(_line(_Shown(same[0])))
            continue
        results = "same result" if len({step.output for step in same}) == 1 else "results differ"
        lines.append(f"{_range(same)}: x{len(same)}, {results}: {_line(_Shown(same[0]), numbered=False)}")
    return lines


def _sides(group: Sequence[Pair]) -> tuple[list[Step], list[Step]]:
    return [pair.a for pair in group if pair.a], [pair.b for pair in group if pair.b]


def _where(group: Sequence[Pair]) -> str:
    a, b = _sides(group)
    return f"{_range(a)} of A, {_range(b)} of B"


def _range(steps: Sequence[Step]) -> str:
    return f"step {steps[0].number}" if len(steps) == 1 else f"steps {steps[0].number}-{steps[-1].number}"


def _line(shown: _Shown, *, numbered: bool = True) -> str:
    """Return a step on one line, everything from outside made visible."""
    step = shown.step
    said = step.operation is not Operation.TOOL
    name = one_line(step.name, 40)
    parts = [f"step {step.number}" if numbered else "", f"inference by {name}" if said else name]
    if not said:
        parts.append(shown.arguments or one_line(step.input[:_EXCERPT_CHARS], _ARGUMENTS_COLUMNS))
    reply = shown.result or one_line(step.output[:_EXCERPT_CHARS], _RESULT_COLUMNS)
    if reply:
        parts.append(f"-> {reply}")
    if step.status is Status.ERROR:
        parts.append(f"[failed: {one_line(step.status_message[:_EXCERPT_CHARS], 80) or 'no message'}]")
    return "  ".join(part for part in parts if part)
