"""An hour of hostile input for everything that takes bytes from outside, and how its time and memory grow.

    python bench/fuzz.py [--minutes 60] [--seed 1] [--failures DIR]

First every shape of input that makes parsers slow is read at three sizes, each twice the one before: time that grows by
more than the size is a finding. Then inputs are changed at random until the time is over, each against every reader.
Prints each failure once, by the place that raised; keeps its input in DIR; ends with exit 1 where there was one.
`tests/test_fuzzing.py` runs the same for a minute.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.fuzz_shapes import SHAPES
from support.fuzzing import Fuzzer, Targets

CASE_S = 5
"""Seconds of processor time a case may take: all are smaller than a megabyte."""
MEMORY_FACTOR, MEMORY_BASE = 100, 64 << 20
"""A case may hold this many times its size, and what caches take."""
MEASURED_EVERY = 50
"""Tracing memory makes everything several times slower: one case in so many."""
SHAPE_BYTES = (100_000, 200_000, 400_000)
SHAPE_NOISE_S = 0.15
"""What is faster says nothing about growth."""
GROWTH_MAX = 3.0
"""Time at twice the size: 2 is linear, 4 is quadratic."""


class SlowError(Exception):
    """A case took too long."""


def _too_slow(_number: int, _frame: object) -> None:
    raise SlowError


def place(error: BaseException) -> str:
    """Return where an error came from: what tells one failure from another."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/analyzer/" in frame.filename] or frames
    last = ours[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno} ({last.name})"


def tried(target: Callable[[bytes], None], data: bytes, *, measured: bool) -> str:
    """Run one case; return what was wrong, or ""."""
    signal.setitimer(signal.ITIMER_PROF, CASE_S * (10 if measured else 1))
    if measured:
        tracemalloc.start()
    try:
        target(data)
        peak = tracemalloc.get_traced_memory()[1] if measured else 0
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{place(error)}: {str(error)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if measured:
            tracemalloc.stop()
    allowed = MEMORY_BASE + MEMORY_FACTOR * len(data)
    return f"memory: {peak >> 20} MiB for {len(data):,} bytes" if peak > allowed else ""


def growth(targets: Targets) -> list[str]:
    """Return the shapes whose time grows by more than their size."""
    found = []
    for name, (reader, make) in SHAPES.items():
        target = targets.all[reader]
        seconds = []
        for size in SHAPE_BYTES:
            data = make(size)
            start = time.process_time()
            wrong = tried(target, data, measured=False)
            seconds.append(time.process_time() - start)
            if wrong:
                found.append(f"{name} ({reader}, {size:,} bytes): {wrong}")
                break
        else:
            ratios = [later / max(before, 1e-9) for before, later in pairwise(seconds)]
            shown = ", ".join(f"{one * 1000:.0f} ms" for one in seconds)
            if seconds[-1] > SHAPE_NOISE_S and min(ratios) > GROWTH_MAX:
                found.append(f"{name} ({reader}): {shown}")
    return found


def main() -> int:
    """Fuzz and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--failures", type=Path, default=Path(tempfile.gettempdir()) / "analyzer-fuzz")
    options = parser.parse_args()
    options.failures.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGPROF, _too_slow)
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        targets = Targets(Path(folder))
        for one in growth(targets):
            seen[one] += 1
            print(f"growth: {one}", flush=True)
        print(f"{len(SHAPES)} shapes read", flush=True)
        fuzzer = Fuzzer(options.seed)
        until = time.monotonic() + options.minutes * 60
        cases = 0
        while time.monotonic() < until:
            case = fuzzer.case()
            for name, target in targets.all.items():
                cases += 1
                wrong = tried(target, case.data, measured=cases % MEASURED_EVERY == 0)
                if not wrong:
                    continue
                key = wrong.partition(": ")[0]
                seen[key] += 1
                if seen[key] == 1:
                    kept = options.failures / f"{len(seen):03d}"
                    kept.write_bytes(case.data)
                    print(f"{name} on {case.seed}: {wrong}\n    input kept in {kept}", flush=True)
        targets.close()
    print(f"{cases:,} cases in {options.minutes:g} minutes, seed {options.seed}; {len(seen)} failures")
    for one, times in seen.most_common():
        print(f"  {times:,} x {one}")
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
