"""What a run leaves in the store for the next one, so that it has less to do: the scans for loops, and who has none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from analyzer.detectors.loops.remembered import Scans
from analyzer.errors import StoreError
from analyzer.stores.database import Connection
from analyzer.stores.remembered import SqliteRemembered

if TYPE_CHECKING:
    from analyzer.stores.verdicts import Judge

_SCANS = "loop scans"


def quiet_judge() -> Judge:
    """Return who tells which trajectories need not be read again."""
    from analyzer.detectors.loops.quiet import QuietJudge

    return QuietJudge()


def scans_in(connection: Callable[[], Connection]) -> Scans:
    """Return the scans of the run before; the store is asked when the first trajectory is looked at, and not before.

    Detectors are made before a store is: settings that are wrong leave none behind.
    """
    return Scans(lambda: SqliteRemembered(connection()).read(_SCANS))


def keep_scans(scans: Scans, connection: Connection) -> None:
    """Keep the scans of a run for the next one, which can do without: a store that takes nothing fails nothing."""
    body = scans.body
    if body is not None:
        with suppress(StoreError):
            SqliteRemembered(connection).keep(_SCANS, body)
