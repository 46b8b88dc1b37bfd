"""PromQL that holds its own time, so that whoever runs it gets the number that was written beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`")
_SELECTOR = re.compile(r"(?:\{[^{}]*\}\s*)?\[[^\[\]]*\]|\{[^{}]*\}")
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
"""What RE2, the language of PromQL's patterns, gives a meaning (https://github.com/google/re2/wiki/Syntax)."""
_HELD = re.compile(r"\x00(\d+)\x00")


def pinned(promql: str, at: datetime) -> str | None:
    """Return the query with `@ <unix time>` behind each of its selectors, or None where that cannot be said safely.

    `@` holds a selector at a moment whatever the evaluation time (Prometheus 2.33 and later; also Mimir, Thanos and
    VictoriaMetrics). Not safe are queries with a subquery, whose inner selectors must move, with an `@` of their own,
    with a string that does not end, and with no selector that shows itself by a brace or a range. A bare metric name
    beside others is left as it is.
    """
    strings: list[str] = []

    def hide(match: re.Match[str]) -> str:
        strings.append(match.group())
        return f"\x00{len(strings) - 1}\x00"

    bare = _STRING.sub(hide, promql.replace("\x00", ""))
    selectors = _SELECTOR.findall(bare)
    if (
        re.search("[@\"'`]", bare)
        or not selectors
        or any(":" in found.rpartition("[")[2] for found in selectors if "[" in found)
    ):
        return None
    when = f"{at.timestamp():.3f}".rstrip("0").rstrip(".")
    held = _SELECTOR.sub(lambda match: f"{match.group().rstrip()} @ {when}", bare)
    return _HELD.sub(lambda match: strings[int(match.group(1))], held)


def quoted(label: str) -> str:
    """Return a label value as a PromQL string: an agent's name may hold quotes."""
    escaped = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def one_of(label: str, values: Sequence[str]) -> str:
    """Return the matcher of a selector that finds a label with one of these values, word for word."""
    if len(values) == 1:
        return f"{label}={quoted(values[0])}"
    literal = (_SPECIAL.sub(r"\\\g<0>", value) for value in values)
    return f"{label}=~{quoted('|'.join(literal))}"
