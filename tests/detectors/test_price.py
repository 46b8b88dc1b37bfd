from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from detectors.fleets import DAY, HOUR, START_S, WEEK, flat, step, time_of, window
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors.kernels.grid import grid_of
from analyzer.detectors.kernels.prices import Prices, PriceSettings
from analyzer.detectors.kernels.tariff import tariff_of
from analyzer.detectors.price import PriceDetector
from analyzer.types.metric import Bought, Series, Signal, Unpriced
from analyzer.types.reading import Gate
from analyzer.types.report import Kind, Subject

DETECTOR = PriceDetector()
ONSET = 15 * DAY + 10 * HOUR
SONNET, OPUS = np.array([3.0, 15.0, 0.3, 3.75]) / 1e6, np.array([5.0, 25.0, 0.5, 6.25]) / 1e6
HAIKU = np.array([1.0, 5.0, 0.1, 1.25]) / 1e6


def priced(
    prices,
    *,
    seed=1,
    per_hour=5.0,
    days=18.0,
    length=None,
    cached=None,
    agent="a",
    share=None,
    dearer=OPUS,
):
    """Return trajectories of log-normal length, each at USD per token `prices(tick)`, shape (4,).

    `length(ticks)` multiplies their tokens, `cached(ticks)` is the part of the input that comes from a cache, and
    `share(ticks)` the part of the trajectories that the `dearer` model handles.
    """
    rng = np.random.default_rng(seed)
    ticks = np.arange(int(days * DAY))
    shape = 1 + 0.4 * np.sin(ticks / DAY * 2 * math.pi)
    counts = rng.poisson(per_hour / 4 * shape)
    long, hit, moved = (level(ticks) for level in (length or flat(1.0), cached or flat(0.6), share or flat(0.0)))
    total, tokens = np.zeros(len(ticks)), np.zeros((4, len(ticks)))
    for tick, count in enumerate(counts.tolist()):
        for _ in range(count):
            size = 20_000 * math.exp(rng.normal(0, 0.9)) * long[tick]
            read = size * min(hit[tick] * rng.uniform(0.7, 1.3), 1.0)
            written = (size - read) * rng.uniform(0, 0.5) * (hit[tick] > 0)
            bought = np.array([size - read - written, size * rng.uniform(0.02, 0.2), read, written]).round()
            usd = dearer if rng.random() < moved[tick] else prices(tick)
            tokens[:, tick] += bought
            total[tick] += float(bought @ usd)
    return Series(
        signal=Signal.PRICE,
        subject=Subject(agent=agent),
        unit="USD",
        source="store",
        query=f'sum(increase(agent_cost_usd_total{{agent="{agent}"}}[$range])) / sum(increase(runs[$range]))',
        start_s=START_S,
        count=counts.astype(float).tolist(),
        total=total.tolist(),
        bought=Bought(*tokens.tolist()),
    )


def switch(before, after, onset=ONSET, end=10**9):
    """Return the prices of a tick when they change at an onset, and are back at an end."""
    return lambda tick: after if onset <= tick < end else before


def always(prices):
    """Return the same prices at every tick."""
    return lambda _tick: prices


def confirmed(finding):
    """Return the moment of the alarm, from the note."""
    return finding.note.split(" at ")[1][:16]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("after", "hours"), [(OPUS, 5), (SONNET * 1.3, 5)], ids=["opus", "x1.3"])
def test_a_dearer_model_is_found_within_hours(after, hours, seed):
    """At five trajectories an hour, of lengths that differ tenfold, a switch and a rise by 1.3 are found and sized."""
    ratio = float(after[0] / SONNET[0])
    series = priced(switch(SONNET, after), seed=seed)
    (found,) = DETECTOR.detect(window(series, end=ONSET + hours * HOUR))
    assert (found.kind, found.detector, found.unit, found.recovered) == (Kind.COST, "price", "USD", None)
    assert found.onset_low <= time_of(ONSET + HOUR)
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=1)
    assert found.value / found.baseline == pytest.approx(ratio, rel=0.01)
    cut = slice(round((found.onset - time_of(0)) / timedelta(minutes=15)), ONSET + hours * HOUR)
    assert found.value == pytest.approx(sum(series.total[cut]) / sum(series.count[cut]))
    assert found.excess_usd == pytest.approx((found.value - found.baseline) * found.of)
    assert f"{found.value / found.baseline:.2f} times what the same tokens" in found.note


def test_it_ends_when_the_price_is_back():
    """An episode recovers when the tokens cost what they did."""
    (found,) = DETECTOR.detect(window(priced(switch(SONNET, OPUS, end=ONSET + DAY)), end=ONSET + 2 * DAY))
    assert found.recovered is not None
    assert abs(found.recovered - time_of(ONSET + DAY)) <= timedelta(hours=2)


def test_a_rise_that_is_too_small():
    """A price that rises by a sixth is no incident, and why-not says how much it is and must be."""
    series = priced(switch(SONNET, SONNET * 1.17))
    assert DETECTOR.detect(window(series)) == ()
    (one,) = DETECTOR.explain(window(series), "a")
    assert one.gate is Gate.EFFECT
    assert one.why.startswith("1.16 times as much, 1.20 needed")


def test_a_rise_after_a_fall():
    """What a model costs since its price fell is the measure of the next switch, also where it was dearer before."""
    fall, rise = 13 * DAY + 20 * HOUR, 15 * DAY + 8 * HOUR
    series = priced(lambda tick: SONNET * 2.25 if tick < fall else SONNET if tick < rise else OPUS, per_hour=10)
    (found,) = DETECTOR.detect(window(series, end=16 * DAY + 6 * HOUR))
    assert abs(found.onset - time_of(rise)) <= timedelta(hours=2)
    assert found.value / found.baseline == pytest.approx(5 / 3, rel=0.02)
    assert DETECTOR.detect(window(series, end=rise)) == ()


def test_nothing_ran_lately():
    """Where nothing ran there is no basket of tokens: why-not says what a run usually cost, and not that it is free."""
    series = priced(always(SONNET))
    quiet = [count * (tick < ONSET) for tick, count in enumerate(series.count)]
    (one,) = DETECTOR.explain(window(replace(series, count=quiet)), "a")
    cut = slice(DAY * 4, ONSET)
    usual = sum(series.total[cut]) / sum(series.count[cut])
    assert (one.value, one.baseline) == (None, pytest.approx(usual, rel=0.1))
    assert "; nothing ran since " in one.why


def test_a_price_that_fell():
    """Cheaper is no incident."""
    assert DETECTOR.detect(window(priced(switch(OPUS, SONNET)))) == ()


def test_a_few_trajectories_are_too_few():
    """However certain the price is, nothing is told before as many trajectories as are asked for were seen since."""
    series = priced(switch(SONNET, OPUS), per_hour=8.0)
    asked = PriceDetector(settings=PriceSettings(risen_units_min=60.0))
    seen = np.cumsum(series.count[ONSET:])
    before, after = (ONSET + int(np.flatnonzero(seen >= units)[0]) for units in (50, 75))
    assert DETECTOR.detect(window(series, end=before))
    assert asked.detect(window(series, end=before)) == ()
    assert asked.detect(window(series, end=after))


BUSY_NIGHTS = {"length": lambda ticks: np.where(ticks % DAY < 4 * HOUR, 8.0, 1.0)}


@pytest.mark.parametrize("vendor", [SONNET, SONNET * [1, 1, 10, 1], SONNET * [1, 2.5, 5, 0.8]], ids="abc")
@pytest.mark.parametrize(
    "of",
    [
        {"length": step(ONSET, 1.0, 6.0)},
        {"length": step(ONSET, 6.0, 1.0)},
        {"cached": step(ONSET, 0.9, 0.0)},
        {"cached": step(ONSET, 0.0, 0.9)},
        {"cached": step(ONSET, 0.2, 0.7), "length": step(ONSET, 1.0, 3.0)},
        BUSY_NIGHTS,
        {"per_hour": 1.0, "length": step(ONSET, 1.0, 20.0)},
    ],
    ids=["longer", "shorter", "cache lost", "first cache", "both", "nights", "rare"],
)
def test_what_is_not_a_price(of, vendor):
    """Longer prompts, a cache that is lost or the first one there was, other hours: tokens cost what they did."""
    assert DETECTOR.detect(window(priced(always(vendor), **of), hours=24 * 14)) == ()


def test_a_mix_of_models_that_stays():
    """Where tasks go to models of several prices the mix scatters: 36 agent-weeks have at most one false alarm."""
    mixes = [(share, seed) for share in (0.02, 0.2, 0.5) for seed in range(3)]
    every = [priced(always(HAIKU), share=flat(share), days=28, seed=seed) for share, seed in mixes]
    assert sum(len(DETECTOR.detect(window(one, hours=24 * 28))) for one in every) <= 1


def test_a_mix_that_moves_to_the_dear_model():
    """Work that goes from the cheap to the dear model is found though no price has changed."""
    series = priced(always(HAIKU), share=step(ONSET, 0.2, 0.9), per_hour=10)
    (found,) = DETECTOR.detect(window(series))
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=3)


@pytest.mark.parametrize("seed", range(3))
def test_a_nightly_batch_on_another_model(seed):
    """A batch that runs on a dear model each night is no incident on any night after the first ones."""
    night = lambda ticks: np.where((ticks % DAY >= 2 * HOUR) & (ticks % DAY < 4 * HOUR), 1.0, 0.0)  # noqa: E731
    series = priced(always(HAIKU), share=night, days=21, seed=seed)
    found = DETECTOR.detect(window(series, hours=24 * 21))
    assert [one for one in found if one.onset > time_of(4 * DAY)] == []


def test_the_price_of_the_night_is_known_by_the_hour():
    """A fortnight of five runs an hour gives the hours of a batch nearly the whole price of its model."""
    night = lambda ticks: np.where((ticks % DAY >= 2 * HOUR) & (ticks % DAY < 4 * HOUR), 1.0, 0.0)  # noqa: E731
    series = priced(always(SONNET), share=night)
    model = Prices(grid_of(series), series, PriceSettings())
    base = model.baseline(15, np.zeros(len(series.count), dtype=np.bool_))
    assert base is not None
    assert base.centre[2] - base.centre[12] == pytest.approx(math.log(5 / 3), rel=0.1)


def test_a_weekly_batch_on_another_model():
    """What runs on a dear model every Sunday is expected from its second time on."""
    weekly = lambda ticks: np.where((ticks % WEEK >= 6 * DAY) & (ticks % WEEK < 6 * DAY + 4 * HOUR), 1.0, 0.0)  # noqa: E731
    found = DETECTOR.detect(window(priced(always(SONNET), share=weekly, days=28), hours=24 * 28))
    assert [one for one in found if one.onset > time_of(14 * DAY)] == []


def test_work_that_moves_to_an_unpriced_model():
    """Where the cheap part of the work has left the known costs, the rest is no dearer than it was."""
    series = priced(always(HAIKU), share=step(ONSET, 0.5, 1.0), per_hour=10, dearer=HAIKU * 2)
    assert DETECTOR.detect(window(series))
    gone = np.where(np.arange(len(series.count)) >= ONSET, series.count, 0.0)
    calls = np.asarray(series.count) + gone
    unpriced = Unpriced(gone.tolist(), gone.tolist(), calls.tolist())
    assert DETECTOR.detect(window(replace(series, unpriced=unpriced))) == ()


def test_a_series_without_prices():
    """An agent whose tokens cost nothing is told apart from one that is not known."""
    free = priced(always(SONNET * 0))
    assert DETECTOR.detect(window(free)) == ()
    (one,) = DETECTOR.explain(window(free), "a")
    assert (one.gate, one.why) == (Gate.UNITS, "what its tokens cost is not known yet: too few hours with a cost")


def test_a_part_that_was_never_bought():
    """The first cache reads, at the price of plain input, are no rise: the baseline knows no price of theirs."""
    bought = np.random.default_rng(1).uniform(1000, 9000, (200, 4)) * [1, 0.1, 0, 0]
    prices = np.array([3.0, 15.0, 3.0, 3.0]) / 1e6
    tariff = tariff_of(bought, bought @ prices)
    assert tariff is not None
    assert tariff.cost(bought) == pytest.approx(bought @ prices, rel=1e-3)
    reads = np.array([[0.0, 100.0, 9000.0, 0.0]])
    assert (reads @ prices) / tariff.cost(reads) <= 1.01
    grid = priced(always(prices), cached=step(ONSET, 0.0, 1.0))
    assert Prices(grid_of(grid), grid, PriceSettings()).scatter(18 * DAY) == pytest.approx(0.0, abs=1e-3)


PARTS = st.lists(st.floats(0.05, 20), min_size=4, max_size=4)


@settings(max_examples=12, deadline=None)
@given(PARTS, st.floats(0.01, 100), st.integers(0, 99), st.floats(0.0, 0.9), st.floats(0.1, 10))
def test_no_basket_moves_the_index(factors, scale, seed, cached, longer):
    """At unchanged prices, whatever they are, no change of volume, length or cache is ever a rise."""
    prices = SONNET * np.clip(np.array(factors), [0.3, 0.3, 0.1, 0.3], [3, 2, 3, 1.6])
    series = priced(
        always(prices), seed=seed, length=step(ONSET, 1.0, longer), cached=step(ONSET, 0.5, cached), per_hour=3.0
    )
    assert DETECTOR.detect(window(series, hours=24 * 14)) == ()
    scaled = replace(series, bought=Bought(*([tokens * scale for tokens in part] for part in series.bought.parts)))
    assert DETECTOR.detect(window(scaled, hours=24 * 14)) == ()


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 99), st.floats(0.01, 100))
def test_a_unit_of_money_or_tokens_changes_nothing(seed, scale):
    """In another currency, with tokens counted in thousands and under another name, the same is found."""
    series = priced(switch(SONNET, OPUS), seed=seed)
    (found,) = DETECTOR.detect(window(series))
    other = replace(
        series,
        subject=Subject(agent="b"),
        total=[usd * scale for usd in series.total],
        bought=Bought(*([tokens / 1000 for tokens in part] for part in series.bought.parts)),
    )
    (same,) = DETECTOR.detect(window(other))
    assert (same.onset, same.recovered, same.of) == (found.onset, found.recovered, found.of)
    assert same.value / same.baseline == pytest.approx(found.value / found.baseline)


def test_a_backtest_says_what_runs_would_have():
    """One walk through the whole answers for each moment in it as a run of that moment did."""
    series = priced(switch(SONNET, OPUS, end=ONSET + DAY), days=19)
    replayed = DETECTOR.replay(window(series))
    for end in range(ONSET - HOUR, 19 * DAY + 1, 7 * HOUR):
        cut = window(series.until(time_of(end).timestamp()))
        assert replayed.detect(cut) == DETECTOR.detect(cut)
