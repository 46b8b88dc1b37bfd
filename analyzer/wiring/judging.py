"""Who looks at trajectories for a store. What it takes is loaded when it is asked: receivers never do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analyzer.stores.verdicts import Judge


def loop_judge() -> Judge:
    """Return who tells what there is to see in a trajectory."""
    from analyzer.detectors.loops.judge import LoopJudge

    return LoopJudge()
