"""Which agents the settings name, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from analyzer.config import Settings
from analyzer.detectors.configure import AGENTS
from analyzer.types.limits import EVERY
from analyzer.types.named import Named


def agents_named(settings: Settings) -> tuple[Named, ...]:
    """Return every place of the settings that is about agents by name, in the order of the tables."""
    return tuple(_named(settings))


def _named(settings: Settings) -> Iterator[Named]:
    for table, names in (("budgets", settings.budgets), ("floors", settings.floors)):
        for name in names:
            if name != EVERY:
                yield Named(f"[{table}.{name}]", name)
    for detector, own in settings.detectors.items():
        patterns = own.get(AGENTS, {})
        for pattern in patterns if isinstance(patterns, Mapping) else ():
            yield Named(f'[detectors.{detector}.{AGENTS}."{pattern}"]', pattern)
