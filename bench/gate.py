"""What gets through the evidence gate: a model that lies in every generated way, and one that tells the truth.

    python bench/gate.py

Two simulated fleets with many faults are analysed; about each incident every lie of `tests/support/lies.py` is told,
beside true claims, every true claim in many phrasings, and every paraphrase of `tests/support/paraphrases.py`. Prints
for each fleet how many of each sort there were and how many got through, or were lost. The rules were written with the
first fleet at hand, not with the second. Ends with exit 1 where the gate let a lie of the first pass or struck out a
truth of it, or where more than a twentieth of the paraphrases are lost.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.lies import answer, got_through, lies, truths
from support.paraphrases import paraphrases
from support.simulated import FLEETS, Simulated, simulated

from analyzer.simulation.fleet import Fleet

PARAPHRASES_LOST = 0.05


def main() -> int:
    """Try all of it, print the counts."""
    wrong = [_fleet(make) for make in FLEETS]
    return 1 if wrong[0][0] or any(lost for _, lost in wrong) else 0


def _fleet(make: Callable[[], Fleet]) -> tuple[int, bool]:
    """Try one fleet; return what went wrong with lies and truths, and whether too many paraphrases are lost."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        incidents = simulated(Path(folder), make())
    print(f"{make.__name__}: {len(incidents)} incidents: {', '.join(one.incident.kind.value for one in incidents)}\n")
    told: Counter[str] = Counter()
    through: Counter[str] = Counter()
    true, lost = 0, 0
    said, gone = 0, 0
    for one in incidents:
        for lie in lies(one):
            told[lie.sort] += 1
            if got_through(one, lie):
                through[lie.sort] += 1
                print(f"  through: {one.incident.kind.value}: {lie.sort}: {lie.text!r} {lie.changes}")
        kept, struck = _honest(one, truths(one))
        true, lost = true + kept + struck, lost + struck
        kept, struck = _honest(one, paraphrases(one))
        said, gone = said + kept + struck, gone + struck
    print("| lie | told | got through |\n|---|---|---|")
    for sort, count in sorted(told.items()):
        print(f"| {sort} | {count} | {through[sort]} |")
    print(f"| **all** | {told.total()} | {through.total()} |")
    print(f"\ntrue claims: {true}, lost: {lost}; paraphrases: {said}, lost: {gone}")
    print(f"{time.process_time() - began:.0f} s of processor time\n")
    return through.total() + lost, gone > PARAPHRASES_LOST * said


def _honest(one: Simulated, claims: Iterator[dict[str, Any]]) -> tuple[int, int]:
    """Return how many true claims stand, and how many do not."""
    kept = gone = 0
    for claim in claims:
        gated = one.judge(answer([claim]))
        stands = not gated.struck and len(gated.diagnosis.claims) == 1
        kept, gone = kept + stands, gone + (not stands)
        if not stands:
            print(f"  lost: {one.incident.kind.value}: {claim['text']!r}: {gated.struck[0].why}")
    return kept, gone


if __name__ == "__main__":
    sys.exit(main())
