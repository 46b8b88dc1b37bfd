"""Several instances over one state: whoever dies, everything is filed once and told once."""

from __future__ import annotations

from pathlib import Path

import instances
import pytest
from support import postgres


@pytest.mark.server
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
def test_one_that_helps_is_killed_and_everything_is_filed_and_told_once(tmp_path: Path) -> None:
    """Killed while it stands by, with a part where it gets one in time: nothing is missing and nothing comes twice."""
    fleet = instances.filled(tmp_path)
    rounds: list[instances.Round] = []
    with postgres.server() as server:
        while len(rounds) < 4 and not any(one.had_part for one in rounds):
            rounds.append(instances.one_round(server, fleet, tmp_path / str(len(rounds)), 0.0, helper=True))
    assert all(one.is_right for one in rounds), rounds
    assert any(one.was_running for one in rounds), rounds
