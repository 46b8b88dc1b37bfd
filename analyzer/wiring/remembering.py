"""What a run leaves in the store for the next one: the scans for loops, and walks' midnights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from analyzer.detectors import Detector
from analyzer.detectors.kernels.detector import resuming
from analyzer.detectors.kernels.remembered import Midnights
from analyzer.detectors.loop import remembering
from analyzer.detectors.loops.remembered import Scans
from analyzer.errors import StoreError
from analyzer.stores.database import Connection
from analyzer.stores.remembered import SqliteRemembered

_SCANS, _MIDNIGHTS = "loop scans", "midnights"


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the run before knew, and what this one will have known."""

    scans: Scans
    midnights: Midnights

    def given_to(self, detectors: Sequence[Detector]) -> tuple[Detector, ...]:
        """Return the detectors, those that can with what is remembered."""
        return resuming(remembering(detectors, self.scans), self.midnights)


def remembered_in(connection: Callable[[], Connection]) -> Remembered:
    """Return what the run before left; the store is asked when something is looked at, and not before.

    Detectors are made before a store is: settings that are wrong leave none behind.
    """
    return Remembered(
        Scans(lambda: SqliteRemembered(connection()).read(_SCANS)),
        Midnights(lambda: SqliteRemembered(connection()).read(_MIDNIGHTS)),
    )


def keep(remembered: Remembered, connection: Connection) -> None:
    """Keep it for the next run, which can do without: a store that takes nothing fails nothing."""
    for name, body in ((_SCANS, remembered.scans.body), (_MIDNIGHTS, remembered.midnights.body)):
        if body is not None:
            with suppress(StoreError):
                SqliteRemembered(connection).keep(name, body)
