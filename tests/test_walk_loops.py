"""A loop that is older than the window, from spans to report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.spans import EPOCH, chat, root, tool

from analyzer.config import load
from analyzer.detectors.loops import judge
from analyzer.detectors.loops.scan import look
from analyzer.pipeline import App, run
from analyzer.types.loops import WORST_KEPT
from analyzer.types.metric import Window
from analyzer.types.reading import Reading
from analyzer.types.report import Finding, Kind
from analyzer.types.trace import Span
from analyzer.wiring.building import build

AT = EPOCH + timedelta(days=5)
BEFORE_DAYS = (1.0, 3.0)
"""When the agent looped before the window."""


@contextmanager
def looping(tmp_path: Path) -> Iterator[App]:
    """An agent that went round in circles a day, three days and almost five days after its beginning."""
    settings = replace(load({}, {}).settings, store=tmp_path / "s.db", reports=tmp_path / "r", llm="off")
    with build(settings, out=None) as app:
        for number, days in enumerate((*BEFORE_DAYS, 4.8), start=1):
            app.trajectories.add(going_round(number, days * 86_400))
        yield app


def going_round(number: int, at_s: float) -> list[Span]:
    """Return a trajectory that makes the same call six times."""
    calls = [tool(number, 10 + i, at_s=at_s + 2 * i) for i in range(6)]
    replies = [chat(number, 50 + i, at_s=at_s + 2 * i - 1, output="") for i in range(6)]
    return [root(number, at_s=at_s - 2, lasts_s=30), *calls, *replies]


class OnlyNow:
    """A detector of costs that fails when it is asked about another time than the run's."""

    name, kind = "only-now", Kind.COST

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Find nothing."""
        assert window.end == AT
        return ()

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Say nothing."""
        return ()


def test_a_loop_that_began_days_ago_is_not_told_as_new(tmp_path: Path) -> None:
    """A first run finds it in the last day and dates it to where the history shows it first; the title says so."""
    with looping(tmp_path) as app:
        report = run(app, AT)
    [found] = [one for one in report.incidents if one.kind is Kind.LOOP]
    assert abs(found.onset - (EPOCH + timedelta(days=1))) < timedelta(minutes=1)
    assert "(first 2026-11-17 00:00 UTC)" in found.title
    assert found.affected.trajectories == 1
    assert "It began before the window: first seen 2026-11-17 00:00 UTC." in found.findings[0].note


def test_only_loops_are_looked_for_before_the_window(tmp_path: Path) -> None:
    """Other detectors are not asked about the time before, so that none of them can fail on it."""
    with looping(tmp_path) as app:
        report = run(replace(app, detectors=(*app.detectors, OnlyNow())), AT)
    assert [one.kind for one in report.incidents] == [Kind.LOOP]
    assert [gap.what for gap in report.gaps if "cost anomalies" in gap.what] == []


def test_the_next_run_finds_the_same_without_looking_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier run has seen is noted in the store; only what is quoted is read again, and looked at."""
    with looping(tmp_path) as app:
        for number in range(11, 31):
            app.trajectories.add(going_round(number, 4.9 * 86_400 + 60 * number))
        first = run(app, AT)
    shown: list[int] = []
    monkeypatch.setattr(judge, "look", lambda steps: shown.append(len(steps)) or look(steps))
    settings = replace(load({}, {}).settings, store=tmp_path / "s.db", reports=tmp_path / "r", llm="off")
    with build(settings, out=None) as app:
        second = run(app, AT + timedelta(minutes=15))
    said = [[one.findings for one in report.incidents if one.kind is Kind.LOOP] for report in (first, second)]
    assert said[0] == said[1] != []
    assert len(shown) == WORST_KEPT + len(BEFORE_DAYS)
