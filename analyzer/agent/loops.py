"""The loop detector's verdict on a trajectory: it knows polls, pages and progress, and there is no second rule."""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.detectors.loop import LoopSettings
from analyzer.detectors.loops.scan import scan
from analyzer.types.loops import Loop
from analyzer.types.steps import Step


def loops_in(steps: Sequence[Step]) -> tuple[Loop, ...]:
    """Return the loops that the detector would report, in order. Near linear in the number of steps."""
    return tuple(loop for loop in scan(steps) if loop.confidence >= LoopSettings().confidence_min)
