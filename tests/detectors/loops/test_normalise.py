"""What is remembered of words while calls and answers are compared."""

from __future__ import annotations

import json
import tracemalloc

from analyzer.detectors.loops.normalise import ids_in, mask


def answer(number: int) -> str:
    """Return a long answer without a space in it."""
    rows = [{"id": f"req_{number}{row}", "at": f"{number:08x}a1b2"} for row in range(150)]
    return json.dumps(rows, separators=(",", ":"))


def test_answers_without_a_space_are_not_all_remembered():
    """Compact JSON is one word; of four MB of such answers not one stays."""
    mask(answer(0))
    tracemalloc.start()
    try:
        for number in range(1, 800):
            text = answer(number)
            assert "<*>" in mask(text)
            assert f"req_{number}7" in ids_in(text)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 500_000
