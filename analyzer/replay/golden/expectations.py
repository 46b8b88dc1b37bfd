"""What can be expected of a run, and whether it holds.

An expectation is met, not met, or cannot be judged: where the run has no tokens, or has not ended, nothing is passed by
default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from analyzer.detectors.loops.classify import is_failure
from analyzer.detectors.loops.scan import scan
from analyzer.errors import UsageError
from analyzer.replay.golden.observed import Observed, unkeyed
from analyzer.types.audit import canonical
from analyzer.types.noise import parsed, whole
from analyzer.types.steps import Step

STEPS_NAMED_MAX = 5
"""Steps that a sentence names before the rest is only counted."""


ROUNDING = 1e-9
"""Relative: three calls at 0.0004 USD cost no more than 0.0012 USD, whatever their sum is in binary."""


class Check(StrEnum):
    """What can be expected."""

    NO_LOOP = "no_loop"
    """The loop detector finds nothing in it."""
    MUST_CALL = "must_call"
    """It calls the tool, with these arguments among others where some are given."""
    MUST_NOT_CALL = "must_not_call"
    """It never does."""
    ARGUMENTS_MATCH = "arguments_match"
    """In every call of the tool the named arguments match their patterns."""
    STEPS_AT_MOST = "steps_at_most"
    TOKENS_AT_MOST = "tokens_at_most"
    COST_AT_MOST_USD = "cost_at_most_usd"
    ANSWER_CONTAINS = "answer_contains"
    """One of its replies to whoever asked holds the text, in any case."""
    ANSWER_MATCHES = "answer_matches"
    """One of them matches the regular expression."""
    NO_ERROR = "no_error"
    """No step fails: no call of the tool, where one is named."""


OF_TOOL = frozenset({Check.MUST_CALL, Check.MUST_NOT_CALL, Check.ARGUMENTS_MATCH})
AT_MOST = frozenset({Check.STEPS_AT_MOST, Check.TOKENS_AT_MOST, Check.COST_AT_MOST_USD})
OF_ANSWER = frozenset({Check.ANSWER_CONTAINS, Check.ANSWER_MATCHES})


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that a run must do, or must not."""

    check: Check
    tool: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """By name: values of MUST_CALL and MUST_NOT_CALL, patterns of ARGUMENTS_MATCH."""
    at_most: float | None = None
    """In steps, tokens or USD; as many as this are still right."""
    text: str | None = None
    """What the answer holds, or its pattern."""
    because: str = ""
    """Where it comes from: an incident, a difference from a healthy run, a person."""

    @property
    def about_goal(self) -> bool:
        """Whether it is about this very goal: the values of another one are other values."""
        wants = self.check is Check.MUST_CALL and bool(self.arguments)
        return wants or self.check is Check.ARGUMENTS_MATCH or self.check in OF_ANSWER

    @property
    def words(self) -> str:
        """Say it in a phrase: `must not call refund with {"order":"A-1"}`."""
        if self.check in OF_TOOL:
            how = {Check.MUST_CALL: "must call", Check.MUST_NOT_CALL: "must not call"}.get(self.check)
            spelt = canonical(dict(self.arguments))
            if how is None:
                return f"every call of {self.tool} must match {spelt}"
            return f"{how} {self.tool}" + (f" with {spelt}" if self.arguments else "")
        if self.check in AT_MOST:
            return f"at most {self.at_most:g} {_UNITS[self.check]}"
        if self.check in OF_ANSWER:
            return f"an answer {'contains' if self.check is Check.ANSWER_CONTAINS else 'matches'} {self.text!r}"
        return "must not loop" if self.check is Check.NO_LOOP else f"no {self.tool or 'step'} may fail"


_UNITS = {Check.STEPS_AT_MOST: "steps", Check.TOKENS_AT_MOST: "tokens", Check.COST_AT_MOST_USD: "USD"}


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether one expectation holds of one run."""

    expectation: Expectation
    met: bool | None
    """None where it cannot be judged."""
    why: str
    """What was seen, in a phrase."""
    steps: tuple[int, ...] = ()
    """Numbers of the steps that show it; empty where it is something missing."""


def judged(expectation: Expectation, run: Observed) -> Judged:
    """Judge a run, or a part of one, by one expectation."""
    try:
        met, why, steps = _JUDGES[expectation.check](expectation, run)
    except RecursionError:
        # Hostile input: no tool nests its arguments so deep.
        met, why, steps = None, "its values are nested too deep to be compared", ()
    return Judged(expectation, met, why, steps)


def document_of(expectation: Expectation) -> dict[str, Any]:
    """Return an expectation as JSON, without what it does not use."""
    whole = {
        "check": expectation.check.value,
        "tool": expectation.tool,
        "arguments": dict(expectation.arguments) or None,
        "at_most": expectation.at_most,
        "text": expectation.text,
        "because": expectation.because or None,
    }
    return {name: value for name, value in whole.items() if value is not None}


def expectation_from(document: Any) -> Expectation:
    """Return the expectation of a JSON document. Raises UsageError where it could not be judged."""
    try:
        found = Expectation(
            check=Check(document["check"]),
            tool=document.get("tool"),
            arguments=dict(document.get("arguments") or {}),
            at_most=None if document.get("at_most") is None else float(document["at_most"]),
            text=document.get("text"),
            because=str(document.get("because", "")),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        known = ", ".join(Check)
        raise UsageError(f"{canonical(document)[:120]} is no expectation; `check` is one of {known}") from None
    check_sound(found)
    return found


def check_sound(expectation: Expectation) -> None:
    """Raise UsageError for an expectation that lacks what it is about, or whose pattern does not compile."""
    check = expectation.check
    if check in OF_TOOL and not expectation.tool:
        raise UsageError(f"{check.value} needs a tool")
    if check is Check.ARGUMENTS_MATCH and not expectation.arguments:
        raise UsageError(f"{check.value} needs a pattern for an argument at least")
    if check in AT_MOST and (expectation.at_most is None or not expectation.at_most > 0):
        raise UsageError(f"{check.value} needs a number above 0: no run takes less")
    if check in OF_ANSWER and not expectation.text:
        raise UsageError(f"{check.value} needs a text: an empty one is in every answer")
    patterns = list(expectation.arguments.values()) if check is Check.ARGUMENTS_MATCH else []
    for pattern in [*patterns, expectation.text] if check is Check.ANSWER_MATCHES else patterns:
        _compiled(pattern)


def arguments_of(step: Step) -> Any:
    """Return the arguments of a call as JSON values, or as text where they are none."""
    return parsed(step.input)


def alike(left: Any, right: Any) -> bool:
    """Whether two values are the same but for white space at their ends, 100.0 for 100, and for who masked them.

    Stores have keys of their own, so that the pseudonym of one secret differs between two of them: its kind counts.
    """
    return bool(_plain(left) == _plain(right))


def holds(call: Step, arguments: Mapping[str, Any]) -> bool:
    """Whether a call has these arguments, among others."""
    given = arguments_of(call)
    if not arguments:
        return True
    return isinstance(given, dict) and all(name in given and alike(given[name], arguments[name]) for name in arguments)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return unkeyed(value.strip())
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return whole(value)
    return canonical(value)


_Verdict = tuple[bool | None, str, tuple[int, ...]]


def _no_loop(_wanted: Expectation, run: Observed) -> _Verdict:
    loops = scan(run.steps)
    if not loops:
        return True, "no loop", ()
    worst = max(loops, key=lambda one: one.repeats)
    inside = tuple(step.number for step in run.steps if worst.first_step <= step.number <= worst.last_step)
    return False, f"steps {worst.first_step} to {worst.last_step}: {worst.what}", inside


def _must_call(wanted: Expectation, run: Observed) -> _Verdict:
    of_tool = [step for step in run.calls if step.name == wanted.tool]
    found = _numbers(step for step in of_tool if holds(step, wanted.arguments))
    if found:
        return True, f"called in {_named(found)}", found
    if not run.complete:
        return None, "the run has not ended: it may still come", ()
    others = f"; {wanted.tool} was called with other arguments in {_named(_numbers(of_tool))}" if of_tool else ""
    return False, f"never called{others}", _numbers(of_tool)


def _must_not_call(wanted: Expectation, run: Observed) -> _Verdict:
    found = _numbers(step for step in run.calls if step.name == wanted.tool and holds(step, wanted.arguments))
    return (False, f"called in {_named(found)}", found) if found else _absent(run, "never called")


def _arguments_match(wanted: Expectation, run: Observed) -> _Verdict:
    of_tool = [step for step in run.calls if step.name == wanted.tool]
    if not of_tool:
        return None, f"{wanted.tool} was never called", ()
    patterns = {name: _compiled(pattern) for name, pattern in wanted.arguments.items()}
    wrong = _numbers(step for step in of_tool if not _all_match(arguments_of(step), patterns))
    return (False, f"other arguments in {_named(wrong)}", wrong) if wrong else (True, "every call matches", ())


def _all_match(given: Any, patterns: Mapping[str, Any]) -> bool:
    if not isinstance(given, dict):
        return False
    texts = {
        name: value if isinstance(value, str) else canonical(_plain(value))
        for name, value in given.items()
        if name in patterns
    }
    return all(name in texts and pattern.search(texts[name]) is not None for name, pattern in patterns.items())


def _steps_at_most(wanted: Expectation, run: Observed) -> _Verdict:
    return _bounded(run.length, wanted, run, partial=False)


def _tokens_at_most(wanted: Expectation, run: Observed) -> _Verdict:
    return _bounded(run.tokens, wanted, run, partial=False)


def _cost_at_most(wanted: Expectation, run: Observed) -> _Verdict:
    return _bounded(run.cost_usd, wanted, run, partial=run.unpriced)


def _bounded(value: float | None, wanted: Expectation, run: Observed, *, partial: bool) -> _Verdict:
    unit = _UNITS[wanted.check]
    assert wanted.at_most is not None  # noqa: S101 - `check_sound` has seen to it
    if value is None:
        return None, f"the run reports no {unit}", ()
    if value > wanted.at_most * (1 + ROUNDING):
        return False, f"{value:g} {unit}", ()
    if partial:
        return None, f"{value:g} {unit} and calls without a known price", ()
    return _absent(run, f"{value:g} {unit}")


def _answer_contains(wanted: Expectation, run: Observed) -> _Verdict:
    text = _plain(wanted.text or "").casefold()
    return _answered(run, lambda reply: text in _plain(reply).casefold(), f"contains {wanted.text!r}")


def _answer_matches(wanted: Expectation, run: Observed) -> _Verdict:
    pattern = _compiled(wanted.text or "")
    return _answered(run, lambda reply: pattern.search(reply) is not None, f"matches {wanted.text!r}")


def _answered(run: Observed, is_right: Any, what: str) -> _Verdict:
    replies = run.replies
    if not replies:
        return None, "the run has no answer that was recorded", ()
    right = _numbers(step for step in replies if is_right(step.output.removeprefix("assistant: ")))
    if right:
        return True, f"the answer in {_named(right)} {what}", right
    if not run.complete:
        return None, "the run has not ended: its answer may still come", ()
    return False, f"none of its {len(replies)} answers {what}", (replies[-1].number,)


def _no_error(wanted: Expectation, run: Observed) -> _Verdict:
    steps = [step for step in run.calls if step.name == wanted.tool] if wanted.tool else run.steps
    failed = [step for step in steps if is_failure(step)]
    if not failed and _tells_no_results(wanted, run):
        return None, "what came of its calls was not recorded", ()
    if not failed:
        return _absent(run, "nothing failed")
    said = (failed[0].status_message or failed[0].output).strip().splitlines() or [""]
    return False, f"failed in {_named(_numbers(failed))}: {said[0][:160]}", _numbers(failed)


def _tells_no_results(wanted: Expectation, run: Observed) -> bool:
    """Whether the calls in question stand in the replies alone: that none failed is then nothing that was seen."""
    if wanted.tool:
        return any(step.name == wanted.tool for step in run.untraced)
    return bool(run.untraced) and len(run.calls) == len(run.untraced)


def _absent(run: Observed, why: str) -> _Verdict:
    """Return that something did not happen: true of a run that has ended and has steps."""
    if not run.steps:
        return None, "the run has no steps", ()
    return (True, why, ()) if run.complete else (None, "the run has not ended: it may still come", ())


def _numbers(steps: Any) -> tuple[int, ...]:
    return tuple(step.number for step in steps)


def _named(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:STEPS_NAMED_MAX])
    rest = f" and {len(numbers) - STEPS_NAMED_MAX} more" if len(numbers) > STEPS_NAMED_MAX else ""
    return f"step{'s' if len(numbers) > 1 else ''} {shown}{rest}"


def _compiled(pattern: Any) -> re.Pattern[str]:
    """Return a pattern of the user's own. Raises UsageError."""
    if not isinstance(pattern, str):
        raise UsageError(f"{json.dumps(pattern)} is no pattern: patterns are texts")
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{pattern!r} is no regular expression: {error}") from None


_JUDGES = {
    Check.NO_LOOP: _no_loop,
    Check.MUST_CALL: _must_call,
    Check.MUST_NOT_CALL: _must_not_call,
    Check.ARGUMENTS_MATCH: _arguments_match,
    Check.STEPS_AT_MOST: _steps_at_most,
    Check.TOKENS_AT_MOST: _tokens_at_most,
    Check.COST_AT_MOST_USD: _cost_at_most,
    Check.ANSWER_CONTAINS: _answer_contains,
    Check.ANSWER_MATCHES: _answer_matches,
    Check.NO_ERROR: _no_error,
}
