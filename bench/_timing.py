"""Processor time of a piece of work, as the benchmarks tell it."""

from __future__ import annotations

import time
from collections.abc import Callable


def took(work: Callable[[], object], rounds: int) -> float:
    """Return the least processor time of some rounds, in seconds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best
