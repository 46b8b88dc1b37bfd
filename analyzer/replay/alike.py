"""When a decision is the recorded one: the same tools with the same arguments, or the same answer. Pure.

Noise is what the loop detector takes for noise: ids that nobody gave, times of day, temporary paths, the arguments
that carry no meaning. Numbers count: another amount is another decision.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from analyzer.detectors.loops.normalise import call_of, ids_in, jaccard, mask, shingles
from analyzer.detectors.loops.replies import ALIKE_JACCARD
from analyzer.replay.conversation import Message, ToolCall
from analyzer.types.trace import FinishReason

_WORDS_MIN = 10
"""Shorter answers are the same only where their words are: one word of few changes what they say."""

_NEGATIONS = frozenset({"no", "not", "never", "none", "cannot", "without", "neither", "nor", "unable"})


@dataclass(frozen=True, slots=True)
class Decision:
    """What a model call decided."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish: FinishReason | None = None
    """None where the source does not tell."""

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a text nor a call: as good as not recorded."""
        return not self.text and not self.tool_calls


def normalised(arguments: Any, given: AbstractSet[str] = frozenset()) -> str:
    """Return arguments as one text without their noise; equal texts are the same arguments.

    `given` are the ids that stand in what the model was told (`ids_in`): such an id is what a call is about, and stays.
    """
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str)
    return call_of("", text, given).plain


def same_decision(recorded: Decision, other: Decision, given: AbstractSet[str] = frozenset()) -> bool:
    """Tell whether two decisions are the same.

    Tool calls decide where either has some: the same tools with the same `normalised` arguments, in any order, for
    calls of one reply run side by side. Otherwise the answers are compared: the same words, or almost (trigrams as the
    loop detector compares replies) with the same figures and negations. A reply that was cut is another one.
    """
    if recorded.tool_calls or other.tool_calls:
        return _calls(recorded.tool_calls, given) == _calls(other.tool_calls, given)
    if (recorded.finish is FinishReason.LENGTH) is not (other.finish is FinishReason.LENGTH):
        return False
    left, right = mask(recorded.text), mask(other.text)
    if left == right:
        return True
    if min(len(left.split()), len(right.split())) < _WORDS_MIN or _weighty(left) != _weighty(right):
        return False
    return jaccard(shingles(left), shingles(right)) >= ALIKE_JACCARD


def ids_given(system: str, messages: Iterable[Message]) -> frozenset[str]:
    """Return the ids that stand in what a model was told: what its calls may be about."""
    found: set[str] = set(ids_in(system))
    for message in messages:
        found |= ids_in(message.text)
        for returned in message.returns:
            found |= ids_in(returned.text)
    return frozenset(found)


def _calls(calls: Iterable[ToolCall], given: AbstractSet[str]) -> list[tuple[str, str]]:
    return sorted((call.name, normalised(call.arguments, given)) for call in calls)


def _weighty(text: str) -> list[str]:
    """Return the words of which one decides what a text says: its figures and its negations."""
    words = (word.strip(".,;:!?()[]$%\"'*") for word in text.split())
    return sorted(word for word in words if word in _NEGATIONS or "n't" in word or any(one.isdigit() for one in word))
