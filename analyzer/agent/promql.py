"""Keeps a query that a model wrote inside the case: its agents, its window, and nothing that costs without bound."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta

AGENT_LABELS = frozenset({"agent", "gen_ai_agent_name", "agent_name"})
CHARS_MAX = 1500
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`")
_SELECTOR = re.compile(r"(?P<name>[A-Za-z_:][\w:.]*)?\s*\{(?P<matchers>[^{}]*)\}")
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_RANGE = re.compile(r"\[([^\[\]]*)\]")
_NUMBER = re.compile(
    r"(?<![\w.])(?:0[xX][0-9a-fA-F]+|\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+|(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)?)(?![\w.])"
)
"""A number or a duration; what only begins like one is judged as a name."""
_KEYWORDS = frozenset(
    {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "inf", "nan", "atan2"}
)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}


def objection(promql: str, agents: Collection[str], reach: timedelta) -> str | None:
    """Return why a query leaves the case, in words its author can act on, or None where it stays inside.

    Every selector must name one of the agents with `=`; ranges and offsets may reach back as far as the window is
    long; `@`, negative offsets and subqueries are refused. With no agents (a finding about the whole fleet) any
    selector is allowed.
    """
    if not promql.strip() or len(promql) > CHARS_MAX:
        return f"a query has 1 to {CHARS_MAX} characters"
    strings: list[str] = []

    def hide(match: re.Match[str]) -> str:
        strings.append(match.group()[1:-1])
        return f'"{len(strings) - 1}"'

    bare = _STRING.sub(hide, promql)
    if not bare.isascii():
        return "characters beyond ASCII may only stand inside strings"
    if "@" in bare or "#" in bare:
        return "`@` and comments are not allowed: the window is given by start and end"
    if re.search(r"\boffset\s+-", bare):
        return "a negative offset looks beyond the window"
    return _too_far(bare, reach) or _not_confined(bare, strings, agents)


def _too_far(bare: str, reach: timedelta) -> str | None:
    spans = [match.group(1) for match in _RANGE.finditer(bare)]
    if any(":" in span for span in spans):
        return "subqueries are not allowed; ask for a range with start, end and step"
    offsets = re.findall(r"\boffset\s+((?:\d+(?:\.\d+)?(?:ms|[smhdwy]))+)", bare)
    longest = max((_seconds(text) for text in [*spans, *offsets]), default=0.0)
    total = max((_seconds(text) for text in spans), default=0.0) + max(
        (_seconds(text) for text in offsets), default=0.0
    )
    if max(longest, total) > reach.total_seconds():
        return f"ranges and offsets may reach back {reach.total_seconds() / 3600:.0f} h, the length of the window"
    return None


def _not_confined(bare: str, strings: list[str], agents: Collection[str]) -> str | None:
    if not agents:
        return None
    names = ", ".join(sorted(agents))
    for match in _SELECTOR.finditer(bare):
        allowed = re.findall(r"([A-Za-z_][\w.]*)\s*=\s*\"(\d+)\"", match.group("matchers"))
        if not any(label in AGENT_LABELS and strings[int(index)] in agents for label, index in allowed):
            return f'every selector must name the agent of the case, such as {{agent="{names}"}}'
    rest = _SELECTOR.sub(" ", _RANGE.sub(" ", _LABELS.sub(" ", bare)))
    rest = _NUMBER.sub(" ", re.sub(r'"\d+"', " ", rest))
    for match in re.finditer(r"[A-Za-z_:][\w:.]*", rest):
        if match.group().lower() in _KEYWORDS or rest[match.end() :].lstrip().startswith("("):
            continue
        return f'{match.group()} has no selector; write {match.group()}{{agent="{names}"}}'
    return None


def _seconds(text: str) -> float:
    return sum(float(count) * _SECONDS[unit] for count, unit in _DURATION.findall(text))
