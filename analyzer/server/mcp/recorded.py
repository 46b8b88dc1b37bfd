"""The recorded tools of a replay over the Model Context Protocol: listed as the model knew them, never run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from analyzer.replay.client import UnrecordedError
from analyzer.replay.conversation import ToolDefinition
from analyzer.replay.standin import StandIn

_PREFIX = re.compile(r"mcp__.+?__(?=.)")
"""How Claude's agents name the tools of a server to their model; the server itself knows them without."""


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call of a tool gave."""

    text: str
    failed: bool


class RecordedDesk:
    """Answers calls of tools with their recorded outcomes. Never raises for what a caller sends."""

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin
        self.tools: Mapping[str, ToolDefinition] = _offered(standin.tools)
        """By the name that a client calls; each holds its recorded name."""

    def call(self, name: str, arguments: Mapping[str, Any]) -> Returned:
        """Return the recorded outcome of a call; one that was not recorded fails, and says so."""
        known = self.tools.get(name)
        try:
            told = self._standin.tool_told(name if known is None else known.name, dict(arguments))
        except UnrecordedError as error:
            return Returned(f"analyzer replay: {error}", failed=True)
        return Returned(str(told["result"]), failed=told["failed"])


def _offered(tools: Iterable[ToolDefinition]) -> dict[str, ToolDefinition]:
    """Return the tools by the names that their servers know; where two would have one name, both keep their own."""
    found = list(tools)
    short = [_PREFIX.sub("", one.name, count=1) for one in found]
    return {name if short.count(name) == 1 else one.name: one for name, one in zip(short, found, strict=True)}
