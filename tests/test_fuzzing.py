"""Everything that takes bytes from outside against hostile input, for about a minute; `bench/fuzz.py` goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fuzz_seeds import IMPORTS, files
from support.fuzzing import Case, Fuzzer, Targets, read

from analyzer.ingest.formats import OTLP_JSON, OTLP_PROTO

ROUNDS, CASES = 12, 150
"""Cases of a round go against every target: some thirty thousand tries."""


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[Targets]:
    """Everything that is tried, over a scratch store."""
    made = Targets(tmp_path)
    yield made
    made.close()


def test_the_seeds_are_sound() -> None:
    """What the fuzzer changes is read whole before it is changed, each file as the format that it is."""
    for name, data in files().items():
        kind = name.split()[0]
        if kind in IMPORTS or kind in ("otlp", "fleet", "list", "captured", "gzip"):
            spans, refused = read(data, source=name)
            assert spans, name
            assert refused == [], name
    assert read(files()["fleet proto"], OTLP_PROTO)[0] == read(files()["fleet"], OTLP_JSON)[0]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_no_input_breaks_a_reader(targets: Targets, seed: int) -> None:
    """Whatever bytes arrive: nothing raises, what is taken can be stored, what is not is said, neighbours are kept."""
    fuzzer = Fuzzer(seed)
    for _ in range(CASES):
        case: Case = fuzzer.case()
        for name, target in targets.all.items():
            try:
                target(case.data)
            except Exception as error:
                error.add_note(f"target {name!r}, made of {case.seed!r}, input {case.data[:2000]!r}")
                raise
