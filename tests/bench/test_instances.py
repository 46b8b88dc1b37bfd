"""Several instances over one state: whoever dies, everything is filed once and told once."""

from __future__ import annotations

from pathlib import Path

import instances
import pytest
from support import postgres


@pytest.mark.server
@pytest.mark.timeout(300)
def test_one_of_three_is_killed_and_everything_is_filed_and_told_once(tmp_path: Path) -> None:
    """Killed at the beginning, in the middle and late in its run: the others take over, and nothing comes twice."""
    fleet = instances.filled(tmp_path)
    with postgres.server() as server:
        rounds = [
            instances.one_round(server, fleet, tmp_path / str(number), after_s)
            for number, after_s in enumerate((0.0, 0.7, 1.4))
        ]
    assert [one.is_right for one in rounds] == [True] * 3, rounds
    assert any(one.was_running for one in rounds), rounds


@pytest.mark.server
@pytest.mark.timeout(300)
def test_one_that_helps_is_killed_and_everything_is_filed_and_told_once(tmp_path: Path) -> None:
    """Killed in the middle of a part: the one that runs does it, and nothing is missing."""
    with postgres.server() as server:
        one = instances.one_round(server, instances.filled(tmp_path), tmp_path / "round", 0.0, helper=True)
    assert one.is_right, one
    assert one.had_part, one
