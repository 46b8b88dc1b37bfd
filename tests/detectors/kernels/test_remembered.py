"""Midnights that are remembered: what is found is the same, and what had been walked is not walked again."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from detectors.fleets import DAY, HOUR, costs, counters_only, failures, flat, step, time_of
from detectors.test_price import OPUS, SONNET, priced
from hypothesis import given, settings
from hypothesis import strategies as st

import analyzer.detectors.kernels.remembered as module
from analyzer.detectors.cost import CostDetector
from analyzer.detectors.errors import ErrorsDetector
from analyzer.detectors.kernels.amounts import Amounts
from analyzer.detectors.kernels.detector import SeriesDetector
from analyzer.detectors.kernels.grid import BINS_MAX, grid_of
from analyzer.detectors.kernels.remembered import LATE_TICKS, Midnights
from analyzer.detectors.kernels.walk import Walk
from analyzer.detectors.price import PriceDetector
from analyzer.types.metric import Series, Window
from analyzer.types.report import Finding

NOON = 17 * DAY + 12 * HOUR
QUIET = costs(flat(1.0), days=19)


def never() -> bytes | None:
    """Fail whoever asks."""
    raise AssertionError


def cut(series: Series, tick: int) -> Window:
    """Return the window of a run at a tick."""
    end = time_of(tick)
    return Window(time_of(tick - DAY), end, series=(series.until(end.timestamp()),))


def walked(midnights: Midnights, tick: int, series: Series = QUIET, detector: SeriesDetector | None = None) -> Walk:
    """Return the walk of a run at a tick."""
    detector = detector or CostDetector()
    seen = series.until(time_of(tick).timestamp())
    return midnights.walked(detector.model(seen, grid_of(seen)), seen, detector.rules)


def changed(series: Series, tick: int, factor: float) -> Series:
    """Return a series in which a tick holds so many times the units, in all that is known of it."""
    count, total = (np.asarray(part, dtype=float) for part in (series.count, series.total))
    count[tick] *= factor
    total[tick] *= factor
    return replace(series, count=count.tolist(), total=total.tolist())


SERIES: dict[str, tuple[SeriesDetector, Callable[[int, int, int], Series]]] = {
    "amounts": (CostDetector(), lambda on, off, seed: costs(step(on, 1.0, 2.2, off), days=19, per_hour=12, seed=seed)),
    "few": (CostDetector(), lambda on, off, seed: costs(step(on, 1.0, 3.0, off), days=19, per_hour=2, seed=seed)),
    "counters": (
        CostDetector(),
        lambda on, off, seed: counters_only(costs(step(on, 1.0, 2.2, off), days=19, per_hour=12, seed=seed)),
    ),
    "events": (ErrorsDetector(), lambda on, off, seed: failures(step(on, 0.04, 0.1, off), days=19, seed=seed)),
    "prices": (
        PriceDetector(),
        lambda on, off, seed: priced(lambda tick: OPUS if on <= tick < off else SONNET, days=19, seed=seed),
    ),
}


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(SERIES)),
    seed=st.integers(0, 10**6),
    onset=st.integers(12 * DAY, 18 * DAY),
    hours=st.sampled_from([6, 30, 400]),
    runs=st.lists(st.integers(13 * DAY, 19 * DAY), min_size=2, max_size=5).map(sorted),
    late=st.none() | st.tuples(st.integers(5 * DAY, 18 * DAY), st.sampled_from([0.0, 3.0])),
    ratio_min=st.sampled_from([None, 1.4]),
)
def test_what_is_found_is_what_a_whole_walk_finds(
    kind: str, seed: int, onset: int, hours: int, runs: list[int], late: Any, ratio_min: float | None
) -> None:
    """Run after run, before, in and after an episode, when something came late and when settings were changed."""
    detector, made = SERIES[kind]
    series = made(onset, onset + hours * HOUR, seed)
    body: bytes | None = None
    for number, tick in enumerate(runs):
        if number == len(runs) - 1:
            series = series if late is None else changed(series, *late)
            own: Any = detector
            detector = detector if ratio_min is None else replace(own, settings=replace(own.settings, ratio_min=1.4))
        midnights = Midnights(lambda kept=body: kept)  # type: ignore[misc]
        window = cut(series, tick)
        found: tuple[Finding, ...] = replace(detector, midnights=midnights).detect(window)
        assert found == detector.detect(window)
        body = midnights.body or body


def test_a_rise_that_began_before_the_midnight_is_judged_by_the_day_it_began_on() -> None:
    """The alarm comes after the midnight that is remembered, the onset lies before it: the same to the digit."""
    found = 0
    for seed in range(6):
        series = costs(step(16 * DAY + 14 * HOUR, 1.0, 1.9), days=19, per_hour=3, seed=seed)
        first = Midnights(lambda: None)
        walked(first, 17 * DAY + 6 * HOUR, series)
        walk = walked(Midnights(lambda kept=first.body: kept), NOON, series)  # type: ignore[misc]
        whole = walked(Midnights(lambda: None), NOON, series)
        assert [one.onset for one in walk.episodes] == [one.onset for one in whole.episodes]
        for one, other in zip(walk.episodes, whole.episodes, strict=True):
            assert (one.score, one.baseline.mean, one.baseline.stop) == (
                other.score,
                other.baseline.mean,
                other.baseline.stop,
            )
            found += one.onset < 17 * DAY and walk.midnights[0].tick == 17 * DAY
    assert found


def test_the_next_run_goes_on_from_the_last_midnight_that_is_old_enough() -> None:
    """Not from one whose evening may still come in; and a run that learns nothing has nothing to keep."""
    first = Midnights(lambda: None)
    assert walked(first, NOON).midnights[0].tick < 5 * DAY
    later = Midnights(lambda: first.body)
    assert walked(later, NOON + 1).midnights[0].tick == 17 * DAY
    assert later.body is None
    early = Midnights(lambda: None)
    walked(early, 17 * DAY + LATE_TICKS - 1)
    assert walked(Midnights(lambda: early.body), NOON).midnights[0].tick == 16 * DAY


@pytest.mark.parametrize("tick", [2 * DAY, 16 * DAY + 95])
def test_what_came_late_is_walked_anew(tick: int) -> None:
    """A tick that now holds something else, wherever it lies before the midnight; one after it changes nothing."""
    first = Midnights(lambda: None)
    walked(first, NOON)
    begun = walked(Midnights(lambda: first.body), NOON, changed(QUIET, tick, 2.0)).midnights[0].tick
    assert begun < 5 * DAY
    assert walked(Midnights(lambda: first.body), NOON, changed(QUIET, 17 * DAY, 2.0)).midnights[0].tick == 17 * DAY


@pytest.mark.parametrize("part", ["count", "total"])
def test_each_of_units_and_amounts_tells_two_series_apart(part: str) -> None:
    """One unit more for the same money, or more money for the same units."""
    first = Midnights(lambda: None)
    walked(first, NOON)
    values = [value * (1.0 + (tick == 9 * DAY)) for tick, value in enumerate(getattr(QUIET, part))]
    other = replace(QUIET, **{part: values})
    assert walked(Midnights(lambda: first.body), NOON, other).midnights[0].tick < 5 * DAY


def test_another_agents_series_is_walked_anew() -> None:
    """Also where it holds the same: nothing of one agent is said of another."""
    first = Midnights(lambda: None)
    walked(first, NOON)
    other = replace(QUIET, subject=replace(QUIET.subject, agent="another"))
    assert walked(Midnights(lambda: first.body), NOON, other).midnights[0].tick < 5 * DAY


def test_another_distribution_is_walked_anew() -> None:
    """Counts and amounts alone do not tell two series apart."""
    first = Midnights(lambda: None)
    walked(first, NOON)
    sketches = list(QUIET.sketches or ())
    at = next(tick for tick, sketch in enumerate(sketches) if tick > 8 * DAY and len(sketch) > 1)
    sketches[at] = {bin_ - 1: units for bin_, units in sketches[at].items()}
    moved = replace(QUIET, sketches=tuple(sketches))
    assert walked(Midnights(lambda: first.body), NOON, moved).midnights[0].tick < 5 * DAY


def test_other_tokens_for_the_same_money_are_walked_anew() -> None:
    """A price is judged by what was bought."""
    detector = PriceDetector()
    series = priced(lambda _tick: SONNET, days=18)
    first = Midnights(lambda: None)
    walked(first, NOON, series, detector)
    assert series.bought is not None
    dearer = replace(series.bought, output=[tokens + 9.0 for tokens in series.bought.output])
    begun = [
        walked(Midnights(lambda: first.body), NOON, one, detector).midnights[0].tick
        for one in (series, replace(series, bought=dearer))
    ]
    assert begun[0] == 17 * DAY > begun[1]


@pytest.mark.parametrize(
    "detector",
    [CostDetector(settings=replace(CostDetector().settings, ratio_min=1.5)), replace(CostDetector(), signal="x")],
)
def test_other_settings_and_other_detectors_walk_anew(detector: SeriesDetector) -> None:
    """What one detector did not find another may."""
    first = Midnights(lambda: None)
    walked(first, NOON)
    assert walked(Midnights(lambda: first.body), NOON, detector=detector).midnights[0].tick < 5 * DAY


def test_other_code_walks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another release did not find is not taken for what this one does not find."""
    first = Midnights(lambda: None)
    walked(first, NOON)
    monkeypatch.setattr(module, "program_of_detectors", lambda: b"another release")
    assert walked(Midnights(lambda: first.body), NOON).midnights[0].tick < 5 * DAY


def test_without_its_sources_a_program_walks_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can tell then whether the rules are those of the run before: nothing is taken from it, or kept."""
    monkeypatch.setattr(module, "program_of_detectors", lambda: None)
    midnights = Midnights(never)
    assert walked(midnights, NOON).midnights
    assert midnights.body is None


def test_the_program_is_known_by_all_that_a_walk_uses() -> None:
    """Whatever module of the house the models come to use, it is part of what tells programs apart."""
    ahead = [module.__name__, *{type(detector).__module__ for detector, _ in SERIES.values()}]
    seen: set[str] = set()
    while ahead:
        name = ahead.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(Path(str(sys.modules[name].__file__)).read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("analyzer"):
                named = {f"{node.module}.{one.name}" for one in node.names} | {str(node.module)}
                ahead += [one for one in named if hasattr(sys.modules.get(one), "__file__")]
    assert {name for name in seen if not name.startswith(("analyzer.detectors", "analyzer.types"))} <= {"analyzer"}
    assert "analyzer.detectors.kernels.walk" in seen


def test_values_too_far_apart_for_one_grid_are_walked_whole() -> None:
    """What comes later moves the bins of what came before: nothing is remembered of such a series."""
    sketches = list(QUIET.sketches or ())
    sketches[3] = {-BINS_MAX: 1, 0: 1}
    midnights = Midnights(never)
    walked(midnights, NOON, replace(QUIET, sketches=tuple(sketches)))
    assert midnights.body is None


def test_after_an_episode_nothing_is_remembered_but_the_midnight_before_it() -> None:
    """An episode moves baselines and masks: a walk knows it only by walking through it."""
    series = costs(step(15 * DAY + 10 * HOUR, 1.0, 4.0, 15 * DAY + 20 * HOUR), days=19)
    first = Midnights(lambda: None)
    assert len(walked(first, NOON, series).episodes) == 1
    later = walked(Midnights(lambda: first.body), NOON, series)
    assert later.midnights[0].tick == 15 * DAY
    assert len(later.episodes) == 1


def test_what_is_looked_at_no_more_is_forgotten() -> None:
    """What is kept is what one run looked at: it does not grow with the runs."""
    first = Midnights(lambda: None)
    walked(first, NOON)
    walked(first, NOON, replace(QUIET, source="prometheus"))
    later = Midnights(lambda: first.body)
    walked(later, NOON)
    assert (len(orjson.loads(first.body or b"")), len(orjson.loads(later.body or b""))) == (2, 1)


def test_nothing_is_asked_for_before_a_series_is_walked() -> None:
    """A run without series reads and keeps nothing."""
    assert Midnights(never).body is None


@pytest.mark.parametrize("broken", [b"", b"[]", b"{", b'{"a": 1}', b'{"a": [1, [], 2, 3]}', b'{"a": [1, [1], "x"]}'])
def test_what_cannot_be_read_is_walked_anew(broken: bytes) -> None:
    """What another release kept in another form is no reason to fail."""
    midnights = Midnights(lambda: broken)
    assert walked(midnights, NOON).midnights[0].tick < 5 * DAY
    assert midnights.body is not None


def test_levels_at_midnight_have_six_decimals() -> None:
    """So that a walk which goes on from what another one added up ends in the same digits as one that added up all."""
    series = costs(step(6 * DAY, 1.0, 1.25), days=18, per_hour=20)
    levels = [
        level
        for one in Walk(Amounts(grid_of(series), CostDetector().settings)).run().midnights
        for _, level in one.rising
    ]
    assert any(levels)
    assert levels == [round(level, 6) for level in levels]
