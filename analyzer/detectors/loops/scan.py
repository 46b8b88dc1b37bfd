"""All rules over one trajectory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from analyzer.detectors.loops import calls, replies
from analyzer.detectors.loops.hits import Hit, Rule
from analyzer.detectors.loops.sequence import events_of
from analyzer.types.loops import POLLS_MIN, Looked, Loop
from analyzer.types.steps import Step

RULES: tuple[type[Rule], ...] = (
    calls.RepeatSameCall,
    calls.FixAttempts,
    calls.SameErrorDifferentArguments,
    calls.Cycle,
    calls.NothingNew,
    calls.RewordedQuery,
    calls.Stall,
    calls.Polling,
    calls.FanOut,
    calls.SameTurn,
    replies.RepeatedReply,
    replies.Monologue,
    replies.Chanting,
    replies.PingPong,
)

_WHAT = {
    "repeat_same_call": "the same call to {tool} with the same result {repeats} times",
    "repeat_same_error": "the same call to {tool} failing in the same way {repeats} times",
    "fix_attempts_same_failure": "{tool} failing in the same way {repeats} times, whatever was changed in between",
    "same_error_different_args": "{tool} failing in the same way with {repeats} different arguments",
    "cycle": "{period} calls in the same order with the same results {repeats} times",
    "near_duplicate_calls": "{repeats} calls to {tool} that differ in a number and bring nothing new",
    "pagination_no_new_data": "{repeats} pages from {tool} without anything new",
    "reworded_query_same_answer": "{repeats} wordings of one question to {tool} with one answer",
    "no_progress_stall": "{repeats} reads in a row with almost nothing new",
    "poll_after_terminal": "{tool} asked {repeats} times about something that had already ended",
    "long_poll": "{tool} asked {repeats} times without any change",
    "duplicate_fan_out": "the same call to {tool} several times at once, {repeats} rounds long",
    "repeated_turn_changing_output": "the same words and the same call to {tool} {repeats} times",
    "repeated_llm_output": "the same reply {repeats} times",
    "monologue": "{repeats} replies in a row with nobody answering",
    "text_chanting": "{period} words said {repeats} times in one reply",
    "agent_ping_pong": "agents handing the same text round {repeats} times",
}
_WHAT_UNSEEN = {
    "repeat_same_call": "the same call to {tool} {repeats} times, what came back was not recorded",
    "cycle": "{period} calls in the same order {repeats} times, what came back was not recorded",
}


def scan(steps: Sequence[Step]) -> tuple[Loop, ...]:
    """Return the loops of a trajectory, or of the beginning of one, in order; stretches do not overlap."""
    return look(steps).loops


def look(steps: Sequence[Step]) -> Looked:
    """Return all that the rules see in a trajectory, or in the beginning of one."""
    rules = [rule() for rule in RULES]
    for event in events_of(steps):
        for rule in rules:
            rule.see(event)
    polls = max((rule.longest for rule in rules if isinstance(rule, calls.Polling)), default=0)
    hits = [hit for rule in rules for hit in rule.hits]
    loops = tuple(_loop(hit, steps) for hit in _strongest(hits))
    return Looked(loops, polls if polls >= POLLS_MIN else 0)


def _strongest(hits: Sequence[Hit]) -> list[Hit]:
    """Of hits that share steps keep the one with most confidence, then the longest, then the most repeats."""
    ranked = sorted(
        hits,
        key=lambda hit: (
            -round(hit.confidence, 2),
            hit.first.number - hit.last.number,
            -hit.repeats,
            hit.rule,
        ),
    )
    kept: list[Hit] = []
    """In order of their steps, which they do not share: only the two neighbours can overlap with another."""
    for hit in ranked:
        at = bisect_left(kept, hit.first.number, key=lambda other: other.first.number)
        clear_before = at == 0 or kept[at - 1].last.number < hit.first.number
        clear_after = at == len(kept) or hit.last.number < kept[at].first.number
        if clear_before and clear_after:
            kept.insert(at, hit)
    return kept


def _loop(hit: Hit, steps: Sequence[Step]) -> Loop:
    what = (_WHAT_UNSEEN.get(hit.rule) if hit.unseen else None) or _WHAT[hit.rule]
    first, stop = (
        bisect_right(steps, n, key=lambda step: step.number) for n in (hit.confirmed.number, hit.last.number)
    )
    wasted = steps[first:stop]
    return Loop(
        rule=hit.rule,
        first_step=hit.first.number,
        last_step=hit.last.number,
        repeats=hit.repeats,
        limit=hit.limit,
        period=hit.period,
        tool=hit.tool,
        example_span_ids=tuple(dict.fromkeys(step.span_id for step in hit.examples)),
        wasted_steps=len(wasted),
        wasted_usd=sum(step.cost_usd or 0.0 for step in wasted),
        wasted_tokens=sum(step.tokens for step in wasted),
        confidence=round(hit.confidence, 4),
        what=what.format(tool=hit.tool or "a tool", repeats=hit.repeats, period=hit.period),
        began_ns=hit.first.start_ns,
    )
