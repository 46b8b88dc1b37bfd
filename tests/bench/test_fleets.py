"""Fleets scored from two stores: what they say alike is said to be, and what they say otherwise is printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleets import Row, differing, main
from support.clickhouse import need_clickhouse

from analyzer.simulation.evaluate import Score

SMALL = "--first 402 --seeds 1 --agents 2 --faults 1 --decoys 0 --days 4 --judged 24 --every 6 --store both"


def _row(store: str, *told: str) -> Row:
    return Row(402, store, Score((), (), (), ()), {}, 1.0, told)


def test_a_fleet_has_the_same_incidents_and_findings_from_clickhouse(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A drawn fleet is scored alike from SQLite and from the Collector's tables, and its documents are kept apart."""
    need_clickhouse()
    monkeypatch.setattr("sys.argv", ["fleets.py", *SMALL.split(), "--keep", str(tmp_path)])
    main()
    head, _, of_sqlite, of_clickhouse, *_ = said = capsys.readouterr().out.splitlines()
    assert head.startswith("| seed | planted | found |")
    assert of_sqlite.rpartition(" | ")[0].replace("sqlite", "clickhouse") == of_clickhouse.rpartition(" | ")[0]
    assert " | 1 (1.00) | 0 | " in of_sqlite
    assert any(line.startswith("  the same from both, ") for line in said)
    assert sorted(one.name for one in tmp_path.glob("*.json")) == ["402-clickhouse.json", "402.json"]


def test_what_two_stores_say_otherwise_is_printed():
    """A line that differs stands there from either store; one store alone has nothing to be compared with."""
    assert differing([_row("sqlite", "a", "b"), _row("clickhouse", "a", "c")]) == [
        "--- sqlite",
        "+++ clickhouse",
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "+c",
    ]
    assert differing([_row("sqlite", "a"), _row("clickhouse", "a")]) == ["the same from both, 1 lines"]
    assert differing([_row("sqlite", "a")]) == []
