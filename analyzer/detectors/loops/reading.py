"""Why no loop of an agent is reported: its suspects, and the rule that came nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analyzer.detectors.loops.calls import LONG_POLL
from analyzer.types.loops import Looked
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import Kind, Subject

DETECTABLE = "A loop is seen from the third or fourth turn on, whatever the volume; one trajectory is enough."


def reading_of(suspects: Sequence[Looked], agent: str, confidence_min: float, detector: str) -> Reading:
    """Return where the rules stand with an agent's suspects; `score` and `threshold` are confidences."""
    blank = Reading(
        detector,
        Kind.LOOP,
        Subject(agent=agent),
        Gate.NO_SERIES,
        "no trajectory of the window repeats a call or a reply three times",
        threshold=confidence_min,
        detectable=DETECTABLE,
    )
    if not suspects:
        return blank
    loops = [loop for one in suspects for loop in one.loops]
    if not loops:
        why = f"of {len(suspects)} trajectories that repeat themselves none does so without getting anywhere"
        why += _polling(suspects)
        return replace(blank, gate=Gate.SCORE, why=why, score=0.0)
    surest = max(loops, key=lambda loop: (loop.confidence, loop.repeats))
    gate = Gate.FOUND if surest.confidence >= confidence_min else Gate.SCORE
    return replace(
        blank,
        gate=gate,
        why=f"{surest.what}; confidence {surest.confidence:.2f}, {confidence_min:.2f} needed",
        value=float(surest.repeats),
        baseline=float(surest.limit),
        unit="repeats",
        kernel=surest.rule,
        score=surest.confidence,
    )


def _polling(suspects: Sequence[Looked]) -> str:
    """Say how many wait for something, and how near they come to a loop: rules let them ask far longer than others."""
    waiting = [one.polls for one in suspects if one.polls]
    if not waiting:
        return ""
    return (
        f"; taken for polling: {len(waiting)} of them, up to {max(waiting)} equal answers, a loop from {LONG_POLL} on"
    )
