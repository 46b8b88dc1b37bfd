"""The example agents run as their users run them: recorded against a scripted provider, then replayed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.messages_api import Wire, calls, messages_api
from support.receiver import running

from analyzer.stores.trajectories import SqliteTrajectories

ROOT = Path(__file__).parents[2]
AGENTS = ROOT / "fixtures" / "agents"

Turn = tuple[tuple[str, dict[str, Any]], ...]
FAILING: tuple[Turn, ...] = (
    (("find_order", {"order": "A-17"}), ("find_order", {"order": "B-2"})),
    (("write_note", {"text": "A-17 is shipped"}), ("find_order", {"order": "B-2"})),
    (("find_order", {"order": "B-2"}),),
    (("find_order", {"order": "B-2"}),),
)
"""What the model decides: calls in parallel, and again and again the one that fails."""


@dataclass(frozen=True)
class Kind:
    """One agent over one API."""

    name: str
    script: str
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """How it is started."""
        return [sys.executable, str(AGENTS / self.script), *self.arguments]


ANTHROPIC = Kind("anthropic", "anthropic_agent.py")
CHAT = Kind("chat", "openai_agent.py", ("--api", "chat"))
RESPONSES = Kind("responses", "openai_agent.py", ("--api", "responses"))
KINDS = (ANTHROPIC, CHAT, RESPONSES)


def recorded(kind: Kind, store: Path, folder: Path, *, turns: Sequence[Turn] = FAILING) -> None:
    """Run an agent with its bug against scripted decisions; its own spans go through a real receiver into a store."""
    spoken = {"anthropic": calls, "chat": _chat, "responses": _responses}[kind.name]
    with (
        messages_api([spoken(*turn) for turn in turns]) as api,
        SqliteTrajectories(store) as trajectories,
        running(trajectories.add, mask=trajectories.masker.text) as receiver,
    ):
        done = subprocess.run(
            [*kind.command, "--bug", "--notes", str(folder / "recorded-note.txt")],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "ANTHROPIC_BASE_URL": api.url,
                "OPENAI_BASE_URL": f"{api.url}/v1",
                "ANTHROPIC_API_KEY": "scripted",
                "OPENAI_API_KEY": "scripted",
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.where.url,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "no answer after 4 turns" in done.stderr, done.stderr
    assert (folder / "recorded-note.txt").read_text() == "A-17 is shipped"


def _chat(*tools: tuple[str, dict[str, Any]]) -> Wire:
    made = [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for number, (name, given) in enumerate(tools)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": made}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-5.2", "choices": [choice]}
    return Wire(json.dumps(body).encode())


def _responses(*tools: tuple[str, dict[str, Any]]) -> Wire:
    output = [
        {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_{number}",
            "name": name,
            "arguments": json.dumps(given),
            "status": "completed",
        }
        for number, (name, given) in enumerate(tools)
    ]
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-5.2",
        "status": "completed",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    return Wire(json.dumps(body).encode())
