"""Detectors with the settings of `[detectors.<name>]` laid over their defaults, for all agents and for some.

[detectors.cost]
ratio_min = 2                               # for every agent
[detectors.cost.agents."batch-*"]
ratio_min = 3                               # over that, for the agents that the pattern names
[detectors.cost.agents."batch-nightly"]
enabled = false                             # a whole name is stronger than any pattern
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from analyzer.detectors.base import Detector
from analyzer.detectors.per_agent import PerAgent, Rule
from analyzer.errors import UsageError

AGENTS = "agents"
"""The table of patterns within a detector's own."""


def configured(
    detectors: Sequence[Detector], settings: Mapping[str, Mapping[str, Any]], unknown: Collection[str] = ()
) -> tuple[Detector, ...]:
    """Return the detectors, each with its settings. Raises UsageError for what does not exist.

    `enabled = false` switches one off; it is still returned, so that it can say so. A value must have the type of the
    default it replaces. `unknown` are detectors that could not be loaded: what is set for them is not looked at.
    """
    names = {detector.name for detector in detectors}
    for name in settings:
        if name not in names and name not in unknown:
            raise UsageError(f"[detectors.{name}]: there is no such detector{_nearest(name, names)}")
    return tuple(_configured(detector, settings.get(detector.name, {})) for detector in detectors)


def _configured(detector: Detector, settings: Mapping[str, Any]) -> Detector:
    given = dict(settings)
    place = f"[detectors.{detector.name}]"
    agents = given.pop(AGENTS, {})
    if not isinstance(agents, Mapping):
        raise UsageError(f"{place} {AGENTS}: expected a table for each agent or pattern")
    own = _checked(detector, given, place)
    enabled = own.pop("enabled", True)
    rules = []
    for pattern, table in agents.items():
        where = f'[detectors.{detector.name}.agents."{pattern}"]'
        if not isinstance(table, Mapping):
            raise UsageError(f"{where}: expected a table of settings")
        rules.append(Rule(pattern, _checked(detector, table, where)))
    usual = laid_over(detector, own)
    if enabled and not rules:
        return usual
    return PerAgent(usual, enabled, tuple(sorted(rules, key=lambda rule: rule.weight)), laid_over)


def laid_over(detector: Detector, given: Mapping[str, Any]) -> Detector:
    """Return a detector with some settings replaced; they were checked before."""
    if not given:
        return detector
    own: Any = getattr(detector, "settings", None)
    return replace(detector, settings=replace(own, **given))  # type: ignore[type-var]


def _checked(detector: Detector, given: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return what is set as values of the right types. Raises UsageError that names the place of a fault."""
    values: dict[str, Any] = {}
    own = getattr(detector, "settings", None)
    has_own = is_dataclass(own) and not isinstance(own, type)
    known = {spec.name for spec in fields(own)} if has_own else set()  # type: ignore[arg-type]
    for name, value in given.items():
        if name == "enabled":
            if not isinstance(value, bool):
                raise UsageError(f"{place} enabled: expected true or false")
            values[name] = value
            continue
        if not has_own:
            raise UsageError(f"{place}: this detector has no settings but `enabled`")
        if name not in known:
            raise UsageError(f"{place} {name}: there is no such setting{_nearest(name, {*known, 'enabled'})}")
        values[name] = _fitting(value, getattr(own, name), f"{place} {name}")
    return values


def _fitting(value: Any, default: Any, place: str) -> Any:
    number = isinstance(default, int | float) and not isinstance(default, bool)
    fits = (
        isinstance(value, int | float) and not isinstance(value, bool) if number else isinstance(value, type(default))
    )
    whole = isinstance(default, int) and isinstance(value, float) and not value.is_integer()
    # What is not finite, or below zero, is no threshold: comparisons with it would never hold.
    if not fits or whole or (number and not 0 <= value < float("inf")):
        raise UsageError(f"{place}: expected a {type(default).__name__} like {default}")
    return type(default)(value) if number else value


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(known))}"
