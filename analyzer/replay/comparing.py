"""Whether a request is the recorded one, and where it differs: as lines, which a person can read as a diff.

Providers write one conversation in different JSON, and an agent that is replayed gets new ids and times. So both sides
become lines of text: who said it, and what; a call with its arguments in one order; no ids of calls. The lines are
compared as they are, then with ids and times masked as the loop detector masks them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import unified_diff

from analyzer.detectors.loops.normalise import jaccard, mask
from analyzer.replay.conversation import Message, ToolDefinition
from analyzer.replay.outcomes import changes_between
from analyzer.replay.recording import Request
from analyzer.types.messages import CALL_MARK

MODEL, SYSTEM, TOOLS, MESSAGES = "the model", "the system prompt", "the tools", "the messages"
"""What of a request may differ."""
ENDED, UNRECORDED, TOOL_CALLS = "the end", "a further request", "a call of a tool"
"""What else parts a run from its recording: it ended before a recorded request, asked after the last one, or asked for
the outcome of a tool call that was not recorded."""
_CONTEXT_LINES = 2


@dataclass(frozen=True, slots=True)
class Difference:
    """How a request differs from the recorded one."""

    parts: tuple[str, ...]
    """Of MODEL, SYSTEM, TOOLS and MESSAGES; or ENDED, UNRECORDED or TOOL_CALLS alone."""
    diff: tuple[str, ...] = ()
    """A unified diff, recorded to asked, without its head."""
    stale: tuple[str, ...] = ()
    """What changed so that the recorded decisions no longer apply, in words: another model, prompt or schema decides
    for itself."""


def difference(recorded: Request, asked: Request) -> Difference | None:
    """Return how a request differs from the recorded one, or None where it does not.

    Parameters are not compared: no model is asked, so that a temperature changes nothing here. What the recording does
    not hold is not compared either, and one tool more to choose from is no difference (`changes_between`).
    """
    sides = {
        MODEL: ([f"model: {recorded.model}"] if recorded.model else [], [f"model: {asked.model}"]),
        SYSTEM: (list(_said("system", recorded.system)), list(_said("system", asked.system))),
        TOOLS: (_tool_lines(recorded.tools), _tool_lines(asked.tools)),
        MESSAGES: (list(message_lines(recorded)), list(message_lines(asked))),
    }
    # A prompt with the day's date in it is the same prompt: it is compared here, and the tools alone there.
    schemas = changes_between(replace(recorded, system=""), replace(asked, system=""))
    parts = [part for part, (before, now) in sides.items() if part != TOOLS and before and not _same(before, now)]
    parts += [TOOLS] if schemas else []
    if not parts:
        return None
    before, now = ([line for part in parts for line in sides[part][side]] for side in (0, 1))
    diff = unified_diff(before, now, lineterm="", n=_CONTEXT_LINES)
    return Difference(
        tuple(parts),
        tuple(line for line in diff if not line.startswith(("--- ", "+++ "))),
        (*(part for part in parts if part in (MODEL, SYSTEM)), *schemas),
    )


def nearness(recorded: Request, asked: Request) -> tuple[float, float]:
    """Return how near two requests are: the words of the last message in common, then those of all (Jaccard)."""
    sides = [[list(_of(message)) for message in request.messages] for request in (recorded, asked)]
    last = (_words(lines[-1] if lines else []) for lines in sides)
    whole = (_words([line for lines in side for line in lines]) for side in sides)
    return jaccard(*last), jaccard(*whole)


def message_lines(request: Request) -> tuple[str, ...]:
    """Return a conversation as lines that do not depend on the wire format it came in."""
    return tuple(line for message in request.messages for line in _of(message))


def brought(request: Request) -> str:
    """Return the texts of the last message: what the user said or the tools gave since the last request."""
    return "\n".join(_of(request.messages[-1])) if request.messages else ""


def _of(message: Message) -> Iterator[str]:
    # A result of a tool comes as the user's message with one provider and as the tool's with another.
    yield from _said("assistant" if message.role == "assistant" else "input", message.text)
    for returned in message.returns:
        yield from _said("input", returned.text)
    for call in message.tool_calls:
        yield f"assistant: {CALL_MARK}{call.name} {_ordered(call.arguments)}]"


def _same(before: Sequence[str], now: Sequence[str]) -> bool:
    return before == now or (len(before) == len(now) and all(_alike(*pair) for pair in zip(before, now, strict=True)))


def _alike(before: str, now: str) -> bool:
    return before == now or mask(before) == mask(now)


def _words(lines: Iterable[str]) -> frozenset[str]:
    return frozenset(word for line in lines for word in mask(line).split())


def _said(speaker: str, text: str) -> Iterator[str]:
    for line in _canonical(text).splitlines():
        if line.strip():
            yield f"{speaker}: {line.rstrip()}"


def _canonical(text: str) -> str:
    """Return a text that is JSON with its keys in order, any other as it is."""
    if text.lstrip()[:1] not in ("[", "{"):
        return text
    try:
        return _ordered(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _ordered(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _tool_lines(tools: Iterable[ToolDefinition]) -> list[str]:
    """Return tools as lines, by name: in which order they are offered is no difference."""
    lines: list[str] = []
    for tool in sorted(tools, key=lambda one: one.name):
        lines += [f"tool {tool.name}: {line}" for line in tool.description.splitlines()]
        lines.append(f"tool {tool.name}: {_ordered(tool.schema)}")
    return lines
