"""Settings that are tables of `analyzer.toml`, checked name by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from analyzer.config.queries import DEFAULT_QUERIES
from analyzer.config.scalars import parse_duration
from analyzer.config.settings import DATED
from analyzer.errors import UsageError
from analyzer.types.budget import read_budgets
from analyzer.types.collector import read_tables
from analyzer.types.floor import read_floors
from analyzer.types.holidays import read_calendar
from analyzer.types.policy import read_policies
from analyzer.types.servers import read_servers

_READERS: Mapping[str, Callable[[Mapping[str, Any], str], Any]] = {
    "budgets": read_budgets,
    "floors": read_floors,
    "calendar": read_calendar,
    "prometheus": read_servers,
    "clickhouse": partial(read_tables, duration=parse_duration),
    "notify": partial(read_policies, duration=parse_duration),
}
"""Tables that have a form of their own."""


def checked_table(name: str, value: Any, place: str) -> Any:
    """Return a table of the file as the setting `name` holds it. Raises UsageError that names `place`."""
    if name == "mask_allow":
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise UsageError(f"{place}: expected a list of texts")
        return tuple(value)
    if not isinstance(value, Mapping):
        raise UsageError(f"{place}: expected a table")
    if name in _READERS:
        return _READERS[name](value, place)
    if name == "queries":
        return {**DEFAULT_QUERIES, **{key: _as_queries(key, query, place) for key, query in value.items()}}
    if name == "mask_patterns":
        for key, pattern in value.items():
            _check_pattern(pattern, f"{place}.{key}")
    elif not all(isinstance(entry, Mapping) or (name in DATED and _is_tables(entry)) for entry in value.values()):
        raise UsageError(f"{place}: expected a table for each name")
    return dict(value)


def _is_tables(entry: Any) -> bool:
    return isinstance(entry, list) and bool(entry) and all(isinstance(table, Mapping) for table in entry)


def _as_queries(key: str, query: Any, place: str) -> tuple[str, ...]:
    if key not in DEFAULT_QUERIES:
        raise UsageError(f"{place}: '{key}' is no signal{nearest(key, set(DEFAULT_QUERIES))}")
    queries = [query] if isinstance(query, str) else query
    if not isinstance(queries, list) or not queries or not all(isinstance(text, str) for text in queries):
        raise UsageError(f"{place}.{key}: expected PromQL or a list of it")
    return tuple(queries)


def _check_pattern(pattern: Any, place: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise UsageError(f"{place}: no regular expression: {error}") from None


def nearest(name: str, known: set[str]) -> str:
    """Return the hint that ends an error about a name which is not known."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else "; `analyzer doctor` lists them"
