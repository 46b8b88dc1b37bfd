"""The wire formats of model providers: a request read, a recorded decision written as their SDKs expect it.

One format a module, each a `Wire`: pure functions from and to JSON values. Nothing here has a clock or a random id:
the same recording gives the same bytes.
"""

from __future__ import annotations

from analyzer.replay.wires import anthropic_messages, openai_chat, openai_responses
from analyzer.replay.wires.wire import Wire

WIRES: tuple[Wire, ...] = (anthropic_messages.WIRE, openai_chat.WIRE, openai_responses.WIRE)
"""What the stand-in speaks."""
