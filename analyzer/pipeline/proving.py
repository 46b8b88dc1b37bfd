"""What the replies to affected steps say of a cause. Pure; nothing is proven, or refuted, by default."""

from __future__ import annotations

import math

from analyzer.replay.proof import HALF
from analyzer.triage.shares import least_share
from analyzer.types.diagnosis import Counted, ProofOutcome

CHANCE_MAX = 0.05
"""A difference is none of luck below this (Fisher's exact test, one-sided): 5 of 5 against at most 1 of 5."""


def outcome_of(unchanged: Counted, restored: Counted) -> tuple[ProofOutcome, float | None, str]:
    """Return what the replies show, the chance that it is luck, and why.

    *proven*: the fault comes at most half as often with the factor changed back, and by luck that has a chance of at
    most 5 % (Fisher's exact test, one-sided). *refuted*: the steps as recorded show the fault in at least half of the
    replies, and the lower end of Wilson's interval says that at least half of that stays. Else it is not known.
    """
    if not unchanged.of or not restored.of:
        return ProofOutcome.CANNOT_REPRODUCE, None, "no replies came"
    chance = fisher(unchanged, restored)
    share, stays = unchanged.shown / unchanged.of, restored.shown / restored.of
    said = f"by luck with a chance of {chance:.2g}"
    if chance <= CHANCE_MAX and stays <= HALF * share:
        return ProofOutcome.PROVEN, chance, f"it goes with the factor, {said}"
    if share < HALF:
        return ProofOutcome.CANNOT_REPRODUCE, chance, "the fault hardly came in the steps as they were"
    if least_share(restored.shown, restored.of) >= HALF * share:
        return ProofOutcome.REFUTED, chance, "it stays without the factor"
    return ProofOutcome.CANNOT_JUDGE, chance, f"too few replies to tell, {said}"


def fisher(unchanged: Counted, restored: Counted) -> float:
    """Return P of so few faults among the restored replies, were both alike: Fisher's exact test (1922), one-sided.

    Counted out here, because `scipy.stats` takes most of a second to import.
    """
    shown, of = unchanged.shown + restored.shown, unchanged.of + restored.of
    ways = sum(
        math.comb(restored.of, few) * math.comb(unchanged.of, shown - few)
        for few in range(restored.shown + 1)
        if shown - few >= 0
    )
    return ways / math.comb(of, shown)
