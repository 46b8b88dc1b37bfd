"""Which ticks a day's baseline is learnt from, and what can be confirmed how fast with it."""

from __future__ import annotations

from typing import ClassVar, Generic, Protocol, TypeVar

from analyzer.detectors.kernels.grid import TICKS_PER_DAY, Bools, Floats, Grid

BASELINE_DAYS = 14
HELD_OUT_DAYS = 1
"""The last day before a baseline's midnight is left out: what is under way must not become the norm."""
LEARNT_DAYS = BASELINE_DAYS - HELD_OUT_DAYS
"""Days of a whole baseline."""
_HOURS_MAX = 48
"""From here on a wait is said in days."""


DAYS_MIN_WHY = "{needed:g} days of history needed, {there:.1f} there"


def learning_ticks(day: int) -> slice:
    """Return the ticks of the trailing 14 days less the last one; empty on the first day of a grid."""
    stop = max((day - HELD_OUT_DAYS) * TICKS_PER_DAY, 0)
    return slice(max((day - BASELINE_DAYS) * TICKS_PER_DAY, 0), stop)


def predictive(days: float) -> float:
    """Return how much further than one draw of the drift lies from its level it lies from a mean of `days`: 1 + 1 / n.

    As a ratio of variances; 1 from a whole baseline on, whose error the thresholds have in them.
    """
    return 1 + 1 / days if days < LEARNT_DAYS else 1.0


def limit(units_per_hour: float, what: str, hours: float) -> str:
    """Say what takes how long to confirm at a volume."""
    return f"At {units_per_hour:.3g} units an hour {what} takes about {waiting(hours)} to confirm."


def waiting(hours: float) -> str:
    """Write a wait for people: hours, and days from the third on."""
    return f"{hours:.1f} h" if hours < _HOURS_MAX else f"{hours / 24:.0f} days"


class Minimum(Protocol):
    """How much a baseline must rest on."""

    @property
    def history_days_min(self) -> float:
        """Days of history before the first tick that is judged."""

    @property
    def units_min(self) -> float:
        """Units that the baseline must hold."""


SettingsT = TypeVar("SettingsT", bound=Minimum)


class Learning(Generic[SettingsT]):
    """What the model of every kind of series says of what it learns from."""

    grid: Grid
    settings: SettingsT
    unlearnt: ClassVar[str] = ""
    """Why there may be no baseline though there are units enough; empty where that cannot be."""

    @property
    def learnt_from(self) -> Floats:
        """Units per tick that a baseline can rest on, shape (ticks,)."""
        return self.grid.n

    @property
    def history_days_min(self) -> float:
        """Days that must lie before the first tick that is judged."""
        return self.settings.history_days_min

    def units_learnt(self, day: int, masked: Bools) -> float:
        """Return how many units a day's baseline would rest on."""
        days = learning_ticks(day)
        return float((self.learnt_from[days] * ~masked[days]).sum())

    def shortage(self, day: int, masked: Bools) -> str:
        """Say why there is no baseline for a day."""
        units, needed = self.units_learnt(day, masked), self.settings.units_min
        if self.unlearnt and units >= needed:
            return self.unlearnt
        return f"{needed:.0f} units needed in the baseline (14 days without the last), {units:.0f} there"
