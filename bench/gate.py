"""What gets through the evidence gate: a model that lies in every generated way, and one that tells the truth.

    python bench/gate.py

A simulated fleet with nine different faults is analysed; about each incident every lie of `tests/support/lies.py` is
told, beside true claims, and every true claim in many phrasings. Prints how many of each sort there were and how many
got through, or were lost. Ends with exit 1 where the gate let a lie pass or struck out a truth.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.lies import answer, got_through, lies, truths
from support.simulated import Simulated, simulated


def main() -> int:
    """Try all of it, print the counts."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        incidents = simulated(Path(folder))
    print(f"{len(incidents)} incidents: {', '.join(one.incident.kind.value for one in incidents)}\n")
    told: Counter[str] = Counter()
    through: Counter[str] = Counter()
    true, lost = 0, 0
    for one in incidents:
        for lie in lies(one):
            told[lie.sort] += 1
            if got_through(one, lie):
                through[lie.sort] += 1
                print(f"  through: {one.incident.kind.value}: {lie.sort}: {lie.text!r} {lie.changes}")
        kept, gone = _honest(one)
        true, lost = true + kept + gone, lost + gone
    print("| lie | told | got through |\n|---|---|---|")
    for sort, count in sorted(told.items()):
        print(f"| {sort} | {count} | {through[sort]} |")
    print(f"| **all** | {told.total()} | {through.total()} |\n\ntrue claims: {true}, lost: {lost}")
    print(f"{time.process_time() - began:.0f} s of processor time")
    return 1 if through or lost else 0


def _honest(one: Simulated) -> tuple[int, int]:
    """Return how many true claims stand, and how many do not."""
    kept = gone = 0
    for claim in truths(one):
        gated = one.judge(answer([claim]))
        stands = not gated.struck and len(gated.diagnosis.claims) == 1
        kept, gone = kept + stands, gone + (not stands)
        if not stands:
            print(f"  lost: {one.incident.kind.value}: {claim['text']!r}: {gated.struck[0].why}")
    return kept, gone


if __name__ == "__main__":
    sys.exit(main())
