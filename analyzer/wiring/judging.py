"""Who judges for a store which trajectories are quiet. What it takes is loaded when it is asked: receivers never do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analyzer.stores.verdicts import Judge


def quiet_judge() -> Judge:
    """Return who tells which trajectories need not be read again."""
    from analyzer.detectors.loops.quiet import QuietJudge

    return QuietJudge()
