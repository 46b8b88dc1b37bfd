"""How sure a share is that was counted in few."""

from __future__ import annotations

import math

_Z = 1.96
"""Of a two-sided interval of 95 %."""


def least_share(hits: int, of: int) -> float:
    """Return the lower end of Wilson's score interval (1927) for `hits` of `of`; 0 of nothing."""
    if of == 0:
        return 0.0
    share, z2 = hits / of, _Z**2
    spread = _Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    return (share + z2 / (2 * of) - spread) / (1 + z2 / of)
