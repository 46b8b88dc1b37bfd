"""A stand-in for the Argus Catalog, over HTTP, made from the shapes of its API (release 0.1.2).

What it checks is what the real one checks: who may write, which names are there, and the types of what it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from support.http import Answer, Asked, loopback

TOKEN = "catalogue-token"
BASE = "/api/v1/ai-agents"
STATUSES = {"draft", "staging", "active", "blocked", "deprecated", "retired"}
_TEXTS = [
    "display_name",
    "description",
    "version",
    "status",
    "owner_email",
    "department",
    "category",
    "base_model",
    "model_provider",
    "framework",
    "execution_policy",
    "endpoint",
    "protocol",
    "invocation_method",
    "auth_method",
    "pii_handling",
    "data_residency",
]
_LISTS = ["capabilities", "use_cases", "limitations", "network_allowlist", "tags"]
_CREATE = {"name": str, **dict.fromkeys(_TEXTS, str), **dict.fromkeys(_LISTS, list), "max_steps": int}
_INVOCATION = {
    "status": str, "consumer": str, "error_type": str, "latency_ms": int, "input_tokens": int, "output_tokens": int,
    "cost": (int, float), "session_id": str,
}  # fmt: skip
_EVENT = {
    "stage": str, "decision": str, "action_type": str, "target": str, "policy_ref": str, "reason": str,
    "session_id": str, "consumer": str, "metadata": dict,
}  # fmt: skip
_LENGTHS = {"name": 255, "version": 50, "status": 20, "stage": 20, "decision": 30}


@dataclass
class Catalogue:
    """What is entered, and what was told."""

    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    tools: dict[str, list[str]] = field(default_factory=dict)
    invocations: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Methods and paths that were asked for, below the base."""
        return [(one.method, one.path.removeprefix(BASE)) for one in self.asked]

    def enter(self, name: str, **fields: Any) -> None:
        """Enter an agent, as somebody else does."""
        self.agents[name] = {"created_by": "ops", "status": "active", **fields}

    def answer(self, asked: Asked) -> Answer:
        """Answer as the real one does."""
        body = json.loads(asked.body) if asked.body else {}
        parts = [unquote(part) for part in asked.path.removeprefix(BASE).split("/")[1:]]
        if parts == ["stats"]:
            return _said({"total_agents": len(self.agents), "active_agents": 0})
        if len(parts) <= 1:
            if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
                return _said({"detail": "Not authenticated"}, 401)
            return self._written(parts, asked.method, body)
        return self._told(*parts, body)

    def _told(self, name: str, what: str, body: dict[str, Any]) -> Answer:
        if name not in self.agents:
            return _said({"detail": f"AI Agent '{name}'"}, 404)
        if what == "policy":
            return _said(self._policy(name))
        shape = _INVOCATION if what == "invocations" else _EVENT
        wrong = _wrong(body, shape, () if what == "invocations" else ("stage", "decision"))
        if wrong:
            return _said({"detail": wrong}, 422)
        (self.invocations if what == "invocations" else self.events).append((name, body))
        return _said({"status": "ok"})

    def _written(self, parts: list[str], method: str, body: dict[str, Any]) -> Answer:
        wrong = _wrong(body, _CREATE, ("name",) if method == "POST" else ())
        if wrong or body.get("status", "draft") not in STATUSES:
            return _said({"detail": wrong or "status"}, 422)
        if method == "POST":
            if body["name"] in self.agents:
                return _said({"detail": "already exists"}, 409)
            self.agents[body["name"]] = {"created_by": "analyst", **body}
            return _said({"id": 1, **body})
        agent = self.agents.get(parts[0])
        if agent is None:
            return _said({"detail": "not found"}, 404)
        if agent["created_by"] != "analyst":
            return _said({"detail": "owner or admin"}, 403)
        agent.update(body)
        return _said({"id": 1})

    def _policy(self, name: str) -> dict[str, Any]:
        agent = self.agents[name]
        return {
            "name": name,
            "urn": f"{name}.agent",
            "version": agent.get("version", "0.1.0"),
            "status": agent["status"],
            "policy_version": "2026-06-13T00:00:00",
            "max_steps": agent.get("max_steps"),
            "budget_limit": agent.get("budget_limit"),
            "network_allowlist": [],
            "allowed_tools": [{"name": tool, "description": None, "schema": None} for tool in self.tools.get(name, [])],
            "allowed_mcp_servers": [],
        }


def _wrong(body: Mapping[str, Any], shape: Mapping[str, Any], needed: tuple[str, ...]) -> str:
    for name in needed:
        if not body.get(name):
            return f"{name} is missing"
    for name, value in body.items():
        if name in shape and (not isinstance(value, shape[name]) or isinstance(value, bool)):
            return f"{name} is {value!r}"
        if isinstance(value, str) and len(value) > _LENGTHS.get(name, 10_000):
            return f"{name} is too long"
    return ""


def _said(document: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(document).encode(), status, {"Content-Type": "application/json"})


@contextmanager
def catalogue() -> Iterator[Catalogue]:
    """Serve an empty catalogue on loopback."""
    made = Catalogue()
    with loopback(made.answer) as server:
        made.url, made.asked = server.url, server.asked
        yield made
