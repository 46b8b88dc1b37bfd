"""What runs remember for each other changes no report."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.spans import EPOCH, chat, root, tool

from analyzer.config import load
from analyzer.detectors.kernels.silences import Silences
from analyzer.detectors.kernels.walk import Walk
from analyzer.pipeline import App, run
from analyzer.types.trace import Span, Status
from analyzer.wiring.building import build

DEARER, LATE = 7.6, 3.0
"""In days from the beginning: since when runs cost three times as much, and when what comes late began."""
MOMENTS = [EPOCH + timedelta(days=days) for days in (7.5, 7.55, 8.0, 8.2, 8.6)]


@contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[App]:
    """Open the store of a folder."""
    given = replace(load({}, {}).settings, store=folder / "s.db", reports=folder / "r", llm="off", **settings)
    with build(given, out=None) as app:
        yield app


def runs_of(first: int, start_s: float, stop_s: float, *, every_s: float) -> list[Span]:
    """Return runs of a shop, each of two calls; from a moment on they cost three times as much, and a tool fails."""
    spans = []
    for number, at_s in enumerate(range(int(start_s), int(stop_s), int(every_s)), start=first):
        bad = at_s > DEARER * 86_400
        cost = (0.01 + number % 7 / 1000) * (3 if bad else 1)
        status = Status.ERROR if bad and number % 2 else Status.OK
        spans += [
            root(number, at_s=at_s, lasts_s=10 + number % 5),
            chat(number, 2, at_s=at_s + 1, cost_usd=cost),
            tool(number, 3, at_s=at_s + 3, status=status),
        ]
    return spans


def documents(folder: Path, *, remembering: bool) -> list[dict[str, Any]]:
    """Run at each moment, with something late, a dismissal and another setting in between; return what was said."""
    folder.mkdir()
    said = []
    for number, at in enumerate(MOMENTS):
        changed = {"detectors": {"cost": {"ratio_min": 1.5}}} if number == 3 else {}
        with opened(folder, **changed) as app:
            if number == 0:
                app.trajectories.add(runs_of(1, 0, 9 * 86_400, every_s=400))
            if number == 4:
                app.trajectories.add(runs_of(9_001, LATE * 86_400, (LATE + 0.1) * 86_400, every_s=100))
            if not remembering:
                forget(folder / "s.db")
            said.append(shown(app, at))
    return said


def forget(store: Path) -> None:
    """Delete what runs have left for the next one."""
    with sqlite3.connect(store) as raw:
        raw.execute("DELETE FROM meta WHERE name LIKE 'remembered %'")
    raw.close()


def shown(app: App, at: datetime) -> dict[str, Any]:
    """Return the document of a run without what is another one in every run."""
    document: dict[str, Any] = json.loads(app.document(run(app, at)))
    own = {name: value for name, value in document["run"].items() if name not in {"trace_id", "duration_s", "audit"}}
    return {**document, "run": own}


def test_reports_are_those_of_runs_that_remember_nothing(tmp_path: Path) -> None:
    """Byte for byte: before a fault and after it, with spans that came days late and with another setting."""
    with_memory = documents(tmp_path / "a", remembering=True)
    assert with_memory == documents(tmp_path / "b", remembering=False)
    incidents = [one for document in with_memory for one in document["incidents"]]
    assert {"errors", "price", "tool-errors"} <= {found["detector"] for one in incidents for found in one["findings"]}
    assert [bool(document["incidents"]) for document in with_memory] == [False, False, True, True, True]


def test_the_next_run_walks_on_where_the_one_before_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the midnight before, and not over the whole history again; silences are walked whole."""
    begun: list[set[int]] = [set(), set()]
    walked = Walk.run
    for number in range(2):

        def noted(walk: Walk[Any], ticks: set[int] = begun[number]) -> Walk[Any]:
            done = walked(walk)
            if not isinstance(walk.model, Silences):
                ticks.add(done.midnights[0].tick)
            return done

        monkeypatch.setattr(Walk, "run", noted)
        with opened(tmp_path) as app:
            if number == 0:
                app.trajectories.add(runs_of(1, 0, 7.5 * 86_400, every_s=400))
            run(app, MOMENTS[number])
    assert len(begun[1]) == 1
    assert max(begun[0]) < min(begun[1])
