"""Tables of numbers by agent, as people write them in the settings: `[budgets.<agent>]`, `[floors.<agent>]`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from typing import Any

from analyzer.errors import UsageError

EVERY = "*"
"""The name under which a table holds for every agent."""


def read_limits(
    table: Mapping[str, Any], place: str, known: Collection[str], what: str, *, may_be_zero: bool = False
) -> dict[str, dict[str, float]]:
    """Return the numbers of each agent's table; `what` is what one of them is called, `place` the tables' name.

    Raises UsageError that names the place of a fault.
    """
    found = {}
    for agent, entry in table.items():
        if not isinstance(entry, Mapping):
            hint = f"[{place}.{agent}]" if agent not in known else f'[{place}."*"] or [{place}.<agent>]'
            raise UsageError(f"{place}: '{agent}' stands outside an agent's table: write it under {hint}")
        for name, limit in entry.items():
            where = f"{place}.{agent}.{name}"
            if name not in known:
                close = difflib.get_close_matches(name, sorted(known), n=1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
                raise UsageError(f"{where}: there is no such {what}; {hint}")
            number = isinstance(limit, int | float) and not isinstance(limit, bool)
            if not number or not math.isfinite(limit) or limit < 0 or (limit == 0 and not may_be_zero):
                wanted = "of 0 or more" if may_be_zero else "above 0"
                raise UsageError(f"{where}: expected a number {wanted}, not {limit!r}")
        found[agent] = {name: float(limit) for name, limit in entry.items()}
    return found
