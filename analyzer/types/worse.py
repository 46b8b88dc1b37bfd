"""When a thing that was already reported has become worse enough to speak of it again.

Triage asks it of dismissed incidents, delivery asks it of what was last said: both must give the same answer.
"""

from __future__ import annotations

import math

from analyzer.types.report import Kind

WORSE_FACTOR = 1.5
"""How far a figure must move from what was last said. Half as much again is beyond what the uncertainty of an estimate
explains (baselines are known to about 20 %), and a doubling is spoken of before it is complete."""

_ROUNDING = 1e-9
"""Half as much again of 0.2 is 0.3, whatever binary fractions say."""

LOWER_IS_WORSE = frozenset({Kind.VOLUME, Kind.SILENCE, Kind.METERING})
"""Kinds of which the figure falls when things get worse; of all others it rises. Of metering
it is what the short side has. Of `success` the share that missed its goal is measured."""


def clearly_worse(kind: Kind, before: float, now: float) -> bool:
    """Say whether `now` is worse than `before` by WORSE_FACTOR or more; both in the unit of the incident.

    From zero any rise is clearly worse, there is no ratio to wait for. A figure that is not finite says nothing.
    """
    if not (math.isfinite(before) and math.isfinite(now)):
        return False
    if kind in LOWER_IS_WORSE:
        return now < before and now <= before / WORSE_FACTOR * (1 + _ROUNDING)
    return now > before and now >= before * WORSE_FACTOR * (1 - _ROUNDING)
