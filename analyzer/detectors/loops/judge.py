"""What the rules see in trajectories, for a store that notes it: nobody has to read their texts again for that."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from analyzer.detectors.loops.scan import look
from analyzer.types.loops import Looked
from analyzer.types.program import program_of
from analyzer.types.steps import Step

_HOUSE = Path(__file__).parents[2]
ROOMS = ("detectors/loops", "ingest", "masking", "stores", "types")
"""A verdict is of steps, and these make them: spans translated, masked, kept and put together."""


class LoopJudge:
    """A `stores.verdicts.Judge` by the rules of loops."""

    @cached_property
    def program(self) -> bytes | None:
        """See `Judge.program`: it is the code itself, so that nobody has to remember to raise a version."""
        return program_of(sorted(file for room in ROOMS for file in (_HOUSE / room).rglob("*.py")))

    def look(self, steps: Sequence[Step]) -> Looked:
        """See `scan.look`."""
        return look(steps)
