"""What gets through the evidence gate: a model that lies in every generated way, and one that tells the truth.

    python bench/gate.py [FLEET ...]

Three simulated fleets with many faults are analysed, or those named. About each incident every lie of
`tests/support/lies.py` and of `tests/support/adversary.py` is told, beside true claims; and every true claim, figure
and paraphrase of `lies.py`, `honest.py` and `paraphrases.py`. Prints for each fleet how many of each sort there were
and how many got through, or were lost. Ends with exit 1 where, on any fleet, a lie got through, a true claim was struck
out, or more is lost of what people say of the figures (2 %) or in words of their own (5 %) than may be.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.adversary import sly_lies
from support.honest import honest
from support.lies import answer, got_through, lies, truths
from support.paraphrases import paraphrases
from support.simulated import FLEETS, Simulated, simulated

from analyzer.simulation.fleet import Fleet

TRUE: tuple[tuple[str, Callable[[Simulated], Iterable[dict[str, Any]]], float], ...] = (
    ("true claims", truths, 0.0),
    ("what people say of the figures", honest, 0.02),
    ("paraphrases", paraphrases, 0.05),
)
"""What an honest model says, and the part of it that may be lost."""


def main(names: list[str]) -> int:
    """Try all of it, print the counts."""
    known = {make.__name__: make for make in FLEETS}
    if set(names) - set(known):
        print(f"no such fleet; there are {', '.join(known)}", file=sys.stderr)
        return 2
    held = [_fleet(known[name]) for name in names or known]
    return 0 if all(held) else 1


def _fleet(make: Callable[[], Fleet]) -> bool:
    """Try one fleet; return whether the gate held."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        incidents = simulated(Path(folder), make())
    print(f"{make.__name__}: {len(incidents)} incidents: {', '.join(one.incident.kind.value for one in incidents)}\n")
    told: Counter[str] = Counter()
    through: Counter[str] = Counter()
    for one in incidents:
        for lie in chain(lies(one), sly_lies(one)):
            told[lie.sort] += 1
            if got_through(one, lie):
                through[lie.sort] += 1
                print(f"  through: {one.incident.kind.value}: {lie.sort}: {lie.text!r} {lie.changes}")
    print("| lie | told | got through |\n|---|---|---|")
    for sort, count in sorted(told.items()):
        print(f"| {sort} | {count} | {through[sort]} |")
    print(f"| **all** | {told.total()} | {through.total()} |\n")
    held = not through
    for name, made, part_max in TRUE:
        said = lost = 0
        for one in incidents:
            every = list(made(one))
            said, lost = said + len(every), lost + _lost(one, every)
        print(f"{name}: {said}, lost: {lost}")
        held = held and lost <= part_max * said
    print(f"{time.process_time() - began:.0f} s of processor time\n", flush=True)
    return held


def _lost(one: Simulated, claims: Iterable[dict[str, Any]]) -> int:
    """Return how many true claims do not stand, and print them."""
    lost = 0
    for claim in claims:
        gated = one.judge(answer([claim]))
        if gated.struck or len(gated.diagnosis.claims) != 1:
            lost += 1
            print(f"  lost: {one.incident.kind.value}: {claim['text']!r}: {gated.struck[0].why}")
    return lost


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
