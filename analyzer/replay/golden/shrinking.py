"""The fewest steps of a run that keep it red: what a person reads of a case, and what it is held against later.

Delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE 28(2), 2002), with
the pieces taken away from the front: where something is missing from a run, its end is what stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from analyzer.replay.golden.expectations import Expectation, judged
from analyzer.replay.golden.observed import Observed
from analyzer.types.steps import Step

TRIES_MAX = 2_000
"""Judgements of one shrinking; a run of some hundred steps takes a tenth of it. Beyond it, what is left stays."""


def shrunk(run: Observed, red: Sequence[Expectation]) -> Observed:
    """Return the run with as few of its steps as keep each of `red` unmet; with all of them where some are met.

    No single step can be taken away from what is returned, but for the longest runs (TRIES_MAX).
    """

    def is_red(steps: Sequence[Step]) -> bool:
        part = replace(run, steps=tuple(steps))
        return all(judged(one, part).met is False for one in red)

    if not red or not is_red(run.steps):
        return run
    return replace(run, steps=tuple(fewest(run.steps, is_red)))


def fewest(steps: Sequence[Step], is_red: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """Return steps that are red and of which none can be taken away; `steps` are red. At least one is left."""
    kept = list(steps)
    size, tries = max(len(kept) // 2, 1), 0
    while tries < TRIES_MAX:
        start, lost = 0, False
        while start < len(kept) and tries < TRIES_MAX:
            rest = kept[:start] + kept[start + size :]
            tries += 1
            if rest and is_red(rest):
                kept, lost = rest, True
            else:
                start += size
        if size > 1:
            size = max(size // 2, 1)
        elif not lost:
            break
    return kept
