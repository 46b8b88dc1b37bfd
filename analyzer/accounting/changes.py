"""What else became different near an onset: candidates for a cause, nearest first."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from analyzer.accounting.cube import Sums
from analyzer.stores.base import DIMENSIONS, Cohort
from analyzer.types.place import Place
from analyzer.types.report import Change

BEFORE = timedelta(hours=2)
"""A change comes before its effect; 86 % to 97 % of onsets are dated within two hours of the truth at 20 an hour and
more (docs/detectors/README.md)."""
AFTER = timedelta(minutes=30)
"""First-seen times lie up to two ticks after the change itself."""
ROLL_OUT = timedelta(days=7)
"""How long before the onset a value may have been seen first that the rise is concentrated in: roll-outs are slow."""
ONE_DEPLOY = timedelta(minutes=15)
"""Changes this close together came with one deploy: then the version names it, and the rest is what it brought."""
COMPARED_MIN = 20
"""Trajectories of the old and of the new value that it takes to compare them."""
SURE_Z = 4.0
"""Standard errors by which the new value has to be above the old one to bear the rise out."""
RATIO_MIN = 1.15
NO_RATIO = 1.05
"""A new value that takes less than this of what the old one takes in the same hours is not what made both rise."""
_NAMING = ("version", "model", "prompt", "tools")


def rank_changes(
    changes: Sequence[Change],
    onset_low: datetime,
    onset: datetime,
    onset_high: datetime,
    places: Sequence[Place] = (),
) -> tuple[Change, ...]:
    """Return the changes between two hours before and half an hour after the onset, nearest to it first.

    Where little traffic leaves the onset less certain than that, its interval [onset_low, onset_high] widens the range;
    and a value that a place names may be a week old, for a roll-out may have been slow. What is borne out by a
    comparison comes first, then what a place names. Of equally near ones (to a quarter of an hour) the version comes
    first, then model, prompt, tools. What lies outside is left out: a change after an effect is not its cause, and one
    long before had its chance. Being near is a coincidence in time and no proof.
    """
    low, high = min(onset_low, onset - BEFORE), max(onset_high, onset + AFTER)
    near = [change for change in changes if (low - ROLL_OUT if _is_in(change, places) else low) <= change.at <= high]
    return tuple(
        sorted(near, key=lambda change: (not change.borne_out, not _is_in(change, places), _rank(change, onset)))
    )


def _is_in(change: Change, places: Sequence[Place]) -> bool:
    return any(change.to_value is not None and place.value(change.what) == change.to_value for place in places)


def _rank(change: Change, onset: datetime) -> tuple[int, int, datetime, str, str]:
    distance = abs(change.at - onset) // ONE_DEPLOY
    naming = _NAMING.index(change.what) if change.what in _NAMING else len(_NAMING)
    return distance, naming, change.at, change.what, str(change.to_value)


def together(seen: Sequence[Change], builds: Sequence[Change]) -> list[Change]:
    """Return what spans and metrics tell; a version that both saw counts as the spans saw it, to the second."""
    known = {(change.what, change.to_value) for change in seen}
    return [*seen, *(change for change in builds if (change.what, change.to_value) not in known)]


def compared(changes: Iterable[Change], since: Sequence[Cohort]) -> list[Change]:
    """Hold new values against old ones in the same hours: `since` are the agent's trajectories since the onset.

    Only where both ran often enough can this tell. One whose new value takes more than the old, task by task, is borne
    out; one whose new value takes no more is left out, for what made both rise is something else.
    """
    found = []
    for change in changes:
        times, sure = _times(change, since) if change.what in DIMENSIONS else (math.nan, 0.0)
        if times >= RATIO_MIN and sure > SURE_Z:
            found.append(replace(change, borne_out=True))
        elif not times < NO_RATIO:
            found.append(change)
    return found


def _times(change: Change, since: Sequence[Cohort]) -> tuple[float, float]:
    """Return how many times the old value's amount the new one takes, and by how many standard errors it is above it.

    Not a number where one of them is rare. Trajectories are compared within their task; where a task ran on one of
    them alone, it says nothing.
    """
    dimension, task = DIMENSIONS.index(change.what), DIMENSIONS.index("task")
    by_task: dict[str | None, tuple[Sums, Sums]] = defaultdict(lambda: (Sums(), Sums()))
    for one in since:
        if one.values[dimension] is not None:
            by_task[one.values[task]][one.values[dimension] == change.to_value].add(one)
    both = [(old, new) for old, new in by_task.values() if old.trajectories and new.trajectories]
    counts = [sum(pair[side].trajectories for pair in both) for side in (0, 1)]
    if min(counts, default=0) < COMPARED_MIN:
        return math.nan, 0.0
    observed = sum(new.total for _, new in both)
    expected = sum(new.trajectories * old.mean for old, new in both)
    # Spread is that of all tasks together: within one there may be a single trajectory.
    spread = [_spread([pair[side] for pair in both]) for side in (0, 1)]
    error = math.sqrt(counts[1] * spread[1] + counts[1] ** 2 * spread[0] / counts[0])
    if expected <= 0:
        return (math.inf if observed > 0 else math.nan), (observed / error if error > 0 else 0.0)
    return observed / expected, (observed - expected) / error if error > 0 else 0.0


def _spread(sums: Sequence[Sums]) -> float:
    whole = Sums(
        sum(one.trajectories for one in sums), sum(one.total for one in sums), sum(one.squares for one in sums)
    )
    return whole.variance
