"""What a tool call cost, in USD, by the operator's rule: per call, per second, per unit of what it used.

    [tool_costs."trino_*"]
    usd_per_call = 0.001
    usd_per_second = 0.0002
    usd_per_unit = 5.0                            # 5 USD ...
    per = 1e12                                    # ... for each 10^12 of
    unit_attribute = "trino.processed_bytes"      # this attribute of the span,
    unit_path = "stats.processedBytes"            # or this value in the JSON of the call's result

A rule that cannot be followed for a call (the attribute is not there, the span has no times) gives None: unpriced, and
never a part of the cost in its place. A failed call costs what a good one does: it was made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from analyzer.errors import UsageError
from analyzer.ingest.dated import Dated, Named, amounts, dated

_AMOUNTS = ("usd_per_call", "usd_per_second", "usd_per_unit", "per")
_KEYS = frozenset({*_AMOUNTS, "unit_attribute", "unit_path"})
_RESULT_CHARS_MAX = 4 << 20
"""A larger result is not parsed for one number in it."""
_COST_MAX_USD = 1e6
"""No single call costs a million: what comes to more is a wrong unit."""
_INDEX = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Rule:
    """The price of one tool."""

    usd_per_call: float = 0.0
    usd_per_second: float = 0.0
    usd_per_unit: float = 0.0
    per: float = 1.0
    """How many units cost `usd_per_unit`."""
    unit_attribute: str | None = None
    unit_path: tuple[str, ...] = ()
    """Keys and list positions, outermost first."""

    def cost(self, seconds: float | None, attributes: Mapping[str, Any], result: str | None) -> float | None:
        """Return USD, or None where the call does not show what the rule asks for."""
        usd = self.usd_per_call
        if self.usd_per_second:
            if seconds is None:
                return None
            usd += self.usd_per_second * seconds
        if self.usd_per_unit:
            units = self._units(attributes, result)
            if units is None:
                return None
            usd += self.usd_per_unit * units / self.per
        return usd if usd < _COST_MAX_USD else None

    def _units(self, attributes: Mapping[str, Any], result: str | None) -> float | None:
        if self.unit_attribute is not None:
            units = _amount(attributes.get(self.unit_attribute))
            if units is not None:
                return units
        if not self.unit_path or result is None or len(result) > _RESULT_CHARS_MAX:
            return None
        return _amount(_at(result, self.unit_path))


class ToolCosts:
    """Prices tool calls by the rules of the settings."""

    def __init__(self, rules: Mapping[str, Any] | None = None) -> None:
        """Take rules by tool name; a trailing `*` is a wildcard. Raises UsageError for a rule that makes no sense."""
        self._rules: Named[Dated[Rule]] = Named({name: _rules(name, entry) for name, entry in (rules or {}).items()})
        self._empty = not rules

    def covers(self, tool: str) -> bool:
        """Whether there is a rule for a tool, of whatever date."""
        return any(True for _ in self._rules.all(tool))

    def cost(
        self,
        tool: str | None,
        *,
        start_ns: int | None,
        end_ns: int | None,
        attributes: Mapping[str, Any],
        result: str | None,
    ) -> float | None:
        """Return the cost in USD of one call of a tool, or None where no rule covers it or can be followed.

        The rule of the day the call began is used; without a time, today's.
        """
        if self._empty or not tool:
            return None
        moment = datetime.fromtimestamp(start_ns / 1e9, UTC) if start_ns else datetime.now(UTC)
        rule = next((found for entry in self._rules.all(tool) if (found := entry.at(moment))), None)
        if rule is None:
            return None
        seconds = (end_ns - start_ns) / 1e9 if start_ns is not None and end_ns is not None else None
        return rule.cost(seconds, attributes, result)


def _rules(name: str, entry: object) -> Dated[Rule]:
    what = f"tool cost {name!r}"
    return dated(what, entry, partial(_rule, what))


def _rule(what: str, table: Mapping[str, Any]) -> Rule:
    strange = sorted(table.keys() - _KEYS)
    if strange:
        raise UsageError(f"{what}: {strange[0]!r} is no part of a rule; there are {', '.join(sorted(_KEYS))}")
    values = amounts(what, table, _AMOUNTS, "USD (`per`: units)")
    if not any(values.get(name) for name in ("usd_per_call", "usd_per_second", "usd_per_unit")):
        raise UsageError(f"{what}: give usd_per_call, usd_per_second or usd_per_unit")
    attribute, path = (_text(what, table, name) for name in ("unit_attribute", "unit_path"))
    if ("usd_per_unit" in values) != bool(attribute or path):
        raise UsageError(f"{what}: usd_per_unit and unit_attribute (or unit_path) belong together")
    if values.get("per") == 0:
        raise UsageError(f"{what}: per must be more than 0")
    return Rule(**values, unit_attribute=attribute, unit_path=tuple(path.split(".")) if path else ())


def _text(what: str, table: Mapping[str, Any], name: str) -> str | None:
    value = table.get(name)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise UsageError(f"{what}: {name} must be a text, not {value!r}")
    return value


def _amount(value: object) -> float | None:
    """Return a number of units: finite, not negative, also where it was written as a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        units = float(value)
    except (ValueError, OverflowError):
        return None
    return units if math.isfinite(units) and units >= 0 else None


def _at(result: str, path: tuple[str, ...]) -> Any:
    """Return the value at a path in a JSON text; MCP tools and chat messages put JSON into a JSON string."""
    value: Any = result
    for key in path:
        if isinstance(value, str):
            try:
                value = orjson.loads(value)
            except orjson.JSONDecodeError:
                return None
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and _INDEX.fullmatch(key) and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
