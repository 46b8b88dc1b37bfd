"""The common shape of the tools: what the model is told, a function from arguments to an answer, and when it is there.

A tool is a value of `Tool`, a row of `catalogue.CASE` or `catalogue.FLEET`. Its function gets the desk it works at and
arguments as the model wrote them: any JSON. It returns text, or a `Table` whose rows get ids that claims may cite, and
raises ToolError in words that say what to ask instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from analyzer.agent.desk import Desk
from analyzer.agent.model import ToolSpec
from analyzer.types.table import Table

Arguments = Mapping[str, Any]
Found = str | Table


def always(_desk: Desk) -> bool:
    """Say of a tool that it is there in every case."""
    return True


@dataclass(frozen=True, slots=True)
class Tool:
    """One read-only tool."""

    spec: ToolSpec
    answer: Callable[[Desk, Arguments], Found]
    """Raises ToolError for arguments that cannot be answered."""
    offered: Callable[[Desk], bool] = always
    """Whether there is anything to ask: what cannot be answered is not offered."""

    @property
    def name(self) -> str:
        """What the model calls it by."""
        return self.spec.name


def closed_schema(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of arguments as strict tool use demands it: closed, every property required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TRACE = {"type": "string", "description": "trace id, or a beginning of it that is unique"}
PAGE = {"type": "integer", "description": "from 1 on"}
AGENT = {"type": "string", "description": "empty: the case's own, or all of a fleet"}
START = {"type": "string", "description": "ISO 8601, UTC; empty: the window's beginning"}
END = {"type": "string", "description": "ISO 8601, UTC; empty: its end"}
CITABLE = " Rows have ids (T1.2) to cite as facts."


def choice(description: str, values: tuple[str, ...]) -> dict[str, Any]:
    """Return the schema of an argument that is one of a few words."""
    return {"type": "string", "enum": list(values), "description": description}
