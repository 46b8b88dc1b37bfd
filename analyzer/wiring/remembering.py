"""What a run leaves in the store for the next one: walks' midnights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from analyzer.detectors.kernels.remembered import Midnights
from analyzer.errors import StoreError
from analyzer.stores.database import Connection
from analyzer.stores.remembered import SqliteRemembered

_MIDNIGHTS = "midnights"


def remembered_in(connection: Callable[[], Connection]) -> Midnights:
    """Return what the run before left; the store is asked when something is looked at, and not before.

    Detectors are made before a store is: settings that are wrong leave none behind.
    """
    return Midnights(lambda: SqliteRemembered(connection()).read(_MIDNIGHTS))


def keep(midnights: Midnights, connection: Connection) -> None:
    """Keep it for the next run, which can do without: a store that takes nothing fails nothing."""
    if midnights.body is not None:
        with suppress(StoreError):
            SqliteRemembered(connection).keep(_MIDNIGHTS, midnights.body)
