"""Python's search for cycles of objects, told how ingest and walks work.

Batches of a thousand spans come and go and make no cycles, nor do the values of a run, but every 700 new objects Python
looks whether they do, and now and then at everything there is, modules and price lists included: a twentieth of the
time of an ingest, a ninth of that of a backtest, which remembers much. What does make cycles is still found, later.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 50_000
"""New objects between two searches: about those of one batch."""


@contextmanager
def rarely_sought() -> Iterator[None]:
    """Search for cycles once a batch, and not in what was there before."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
