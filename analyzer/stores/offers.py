"""Which tools stood in which tool definitions: what an agent could have chosen, and since when."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from analyzer.stores.rollups import NS

NAMES_MAX = 500


def names_of(definitions: str) -> list[str]:
    """Return the tools' names in definitions as vendors write them; none from a text that is no such list."""
    try:
        value = orjson.loads(definitions)
    except ValueError:
        return []
    if isinstance(value, dict):
        value = value.get("tools", [])
    entries = value if isinstance(value, list) else []
    names = {name for entry in entries[:NAMES_MAX] if isinstance(entry, dict) and (name := _name(entry))}
    return sorted(names)


def _name(entry: Mapping[str, Any]) -> str:
    function = entry.get("function")
    found = entry.get("name") or (function.get("name") if isinstance(function, dict) else None)
    return found if isinstance(found, str) else ""


def keep(raw: sqlite3.Connection, offers: Iterable[tuple[str, list[str]]]) -> None:
    """Keep the names by the hash of their definitions."""
    raw.executemany(
        "INSERT OR IGNORE INTO offers VALUES (?, ?)", [(tools, orjson.dumps(names)) for tools, names in offers]
    )


def first_offered(raw: sqlite3.Connection, sent: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, float]]:
    """Return by agent and tool when its definition was first sent, in Unix seconds.

    `sent` says by agent and hash of definitions when these were first sent, in Unix nanoseconds.
    """
    names = {tools: orjson.loads(body) for tools, body in raw.execute("SELECT tools, names FROM offers")}
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for agent, by_hash in sent.items():
        for tools, first_ns in by_hash.items():
            for name in names.get(tools, ()):
                found[agent][name] = min(first_ns / NS, found[agent].get(name, first_ns / NS))
    return found
