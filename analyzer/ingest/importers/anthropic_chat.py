"""Chat messages in Anthropic's form: content blocks, `system` beside the messages, results in the user's turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from analyzer.ingest.importers.base import Context, Found, Importer, Value
from analyzer.ingest.importers.conversation import messages_of, read_conversations
from analyzer.ingest.importers.turns import is_message
from analyzer.ingest.importers.values import objects_of, word_of

NAME = "anthropic-chat"
_BLOCKS = frozenset({"tool_use", "tool_result", "server_tool_use", "thinking", "redacted_thinking"})
"""Kinds of content that only Anthropic's messages have; `text` and `image` have others, too."""
_LOOKED_AT = 50


def recognises(value: Any) -> bool:
    """Whether a value is a message with Anthropic's blocks, or a conversation (or a list of them) that has such."""
    if is_message(value):
        return _has_blocks(value)
    found = messages_of(value)
    if found is None:
        return isinstance(value, list) and bool(value) and messages_of(value[0]) is not None and recognises(value[0])
    around, messages = found
    if any(_has_blocks(message) for message in messages[:_LOOKED_AT] if isinstance(message, dict)):
        return True
    # Their API has no system role; OpenAI's has no system beside the messages.
    return isinstance(around.get("system"), str | list)


def read(values: Iterator[Value], context: Context) -> Iterator[Found]:
    """Yield the spans of every conversation."""
    return read_conversations(values, context, NAME)


def _has_blocks(message: Any) -> bool:
    """Whether a message has Anthropic's blocks, or is as their API answers."""
    if message.get("type") == "message" and "stop_sequence" in message:
        return True
    return any(word_of(block.get("type")) in _BLOCKS for block in objects_of(message.get("content")))


ANTHROPIC_CHAT = Importer(NAME, recognises, read)
