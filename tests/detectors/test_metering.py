from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from detectors.fleets import DAY, HOUR, time_of
from detectors.two_sides import both, work
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors.kernels.discrepancy import Shares, discrepancies, lag_between
from analyzer.detectors.kernels.sides import compared
from analyzer.detectors.metering import MeteringDetector, sentence
from analyzer.types.metering import Accord, Measure, Side
from analyzer.types.metric import Unpriced
from analyzer.types.reading import Gate
from analyzer.types.report import PROMETHEUS, Kind, Subject

DETECTOR = MeteringDetector()
ONSET = 12 * DAY + 10 * HOUR


def kept(share, since=0, until=10**9):
    """Return a share that one side keeps between two ticks; all of it before and after."""
    return lambda tick: share if since <= tick < until else 1.0


def table(window):
    """Return the table: accord of each measure, by agent and tool."""
    return {(str(row.subject), row.measure): row.now for row in compared(window, DETECTOR.settings)}


@pytest.mark.parametrize("per_hour", [0.3, 5, 20, 200])
@pytest.mark.parametrize("late", [0, 1])
def test_a_healthy_agent_agrees(per_hour, late):
    """Both sides count the same work, up to a scrape later: they agree in every measure, at any volume."""
    window = both(work(per_hour=per_hour, late=late, tool="sql"))
    assert DETECTOR.detect(window) == ()
    assert set(table(window).values()) == {Accord.AGREE}
    assert [key[1] for key in table(window)] == ["trajectories", "calls", "tokens", "USD"]


def test_spans_that_are_lost_since_a_moment():
    """A fifth of the traces goes missing: under-traced, dated within hours, with both sums and their queries."""
    (found,) = DETECTOR.detect(both(work(traced=kept(0.8, ONSET))))
    assert (found.kind, found.subject, found.recovered) == (Kind.METERING, Subject(agent="a"), None)
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=6)
    assert found.value / found.baseline == pytest.approx(0.8, abs=0.05)
    assert found.unit == "trajectories per day"
    assert found.affected == pytest.approx(found.of * 0.2, rel=0.25)
    assert found.note.startswith("a: under-traced since 20")
    assert "sampling" not in found.note
    stored, metered = found.evidence
    assert (stored.value, metered.value) == (found.value, found.baseline)
    assert metered.value * metered.step / 86_400 == pytest.approx(found.of)
    assert metered.source == PROMETHEUS
    assert (
        metered.promql
        == f'sum(increase(agent_trajectories_total{{agent="a"}}[{metered.step:.0f}s])) * 86400 / {metered.step:.0f}'
    )


@pytest.mark.parametrize("at", [ONSET + 16 * HOUR, ONSET + DAY])
def test_how_soon_a_loss_is_seen(at):
    """A fifth missing of 20 runs an hour is not said after two hours, and is after sixteen."""
    lossy = work(traced=kept(0.8, ONSET), seed=3)
    assert DETECTOR.detect(both(lossy, at=ONSET + 2 * HOUR)) == ()
    assert len(DETECTOR.detect(both(lossy, at=at))) == 1


def test_steady_sampling_is_one_thing_said_in_the_same_words():
    """A head sampling of 20 % that was always there is under-traced since ever: the same onset in every run."""
    sampled = work(traced=kept(0.2))
    found = [DETECTOR.detect(both(sampled, at=at)) for at in (14 * DAY, 15 * DAY, 16 * DAY)]
    assert [len(one) for one in found] == [1, 1, 1]
    assert len({one.onset for (one,) in found}) == 1
    assert all("sampling, most likely" in one.note for (one,) in found)


def test_metrics_that_miss_work():
    """Traces hold more than Prometheus counted: under-metered."""
    window = both(work(metered=kept(0.7, ONSET)))
    (found,) = DETECTOR.detect(window)
    assert "under-metered" in found.note
    assert table(window)["a", Measure.TRAJECTORIES] is Accord.UNDER_METERED


def test_a_loss_that_is_mended_is_reported_as_over():
    """What agrees again has a recovery while that is news, and is not told for ever after."""
    mended = ONSET + DAY
    lossy = work(traced=kept(0.5, ONSET, mended))
    reports = {at: DETECTOR.detect(both(lossy, at=at)) for at in range(mended, mended + 3 * DAY, 2 * HOUR)}
    over = [one for (one,) in filter(None, reports.values()) if one.recovered is not None]
    assert over
    assert all(abs(one.recovered - time_of(mended)) <= timedelta(hours=3) for one in over)
    assert reports[max(reports)] == ()
    assert set(table(both(lossy, at=max(reports))).values()) == {Accord.AGREE}


@pytest.mark.parametrize(("side", "other"), [("traced", "Prometheus"), ("metered", "the traces")])
def test_an_agent_on_one_side_only(side, other):
    """An agent that only one side knows is blind, whichever it is; the others agree."""
    lone = work(agent="lone", seed=2, **{side: kept(0.0)})
    window = both(work(), lone)
    (found,) = DETECTOR.detect(window)
    assert found.subject == Subject(agent="lone")
    assert "blind since" in found.note
    assert found.value == 0
    assert table(window)["lone", Measure.TRAJECTORIES] is Accord.BLIND
    assert table(window)["a", Measure.TRAJECTORIES] is Accord.AGREE


def test_a_side_that_knows_nothing_at_all():
    """Without a Prometheus, or without traces, there is nothing to hold against anything."""
    traces, metrics = work(metered=kept(0.0)), work(traced=kept(0.0))
    assert DETECTOR.detect(both(traces)) == ()
    assert DETECTOR.detect(both(metrics)) == ()
    (reading,) = DETECTOR.explain(both(traces), "a")
    assert reading.gate is Gate.NO_SERIES


def test_traces_that_are_brought_in_once_a_day():
    """A store that is half a day behind is late, and not under-traced; after more than a day it is."""
    for behind, said in ((DAY // 2, 0), (3 * DAY, 1)):
        late = work(traced=kept(0.0, 16 * DAY - behind))
        assert len(DETECTOR.detect(both(late))) == said, behind


def test_a_store_that_begins_later():
    """What one side cannot know, because it begins later, is not held against it."""
    assert DETECTOR.detect(both(work(traced=kept(0.0, 0, 10 * DAY)))) == ()


@pytest.mark.parametrize("hours", [-8, -1, 1, 3, 8])
def test_clocks_that_are_apart(hours):
    """Traces whose clock is hours off are the same work: they agree."""
    window = both(work(skew=hours * HOUR, seed=5))
    assert DETECTOR.detect(window) == ()
    assert set(table(window).values()) == {Accord.AGREE}


@pytest.mark.parametrize("per_hour", [5, 20])
def test_a_clock_that_is_set_wrong(per_hour):
    """A clock that is two hours off since some moment is no loss, once a day of its traces has come in."""
    before, after = work(per_hour=per_hour), work(per_hour=per_hour, skew=2 * HOUR)
    stored = []
    for old, new in zip(before.stored, after.stored, strict=True):
        count, total = ([*a[:ONSET], *b[ONSET:]] for a, b in ((old.count, new.count), (old.total, new.total)))
        # The new clock tells nothing of its first two hours.
        count[ONSET : ONSET + 2 * HOUR] = total[ONSET : ONSET + 2 * HOUR] = [0.0] * 2 * HOUR
        stored.append(replace(old, count=count, total=total))
    sides = replace(before, stored=tuple(stored))
    for at in range(ONSET + DAY, 16 * DAY, 12 * HOUR):
        assert DETECTOR.detect(both(sides, at=at)) == (), at


def test_a_loss_under_clocks_that_are_apart():
    """A loss is seen through a skew, and both are said."""
    (found,) = DETECTOR.detect(both(work(skew=8 * HOUR, traced=kept(0.6, ONSET))))
    assert "under-traced" in found.note
    assert "8 h later" in found.note


@pytest.mark.parametrize("side", ["traced", "metered"])
def test_amounts_that_are_counted_twice(side):
    """Sums of two to one over as many runs are recognised as counted twice, on the side that has more."""
    window = both(work(**{f"tokens_{side}": 2.0}))
    (found,) = DETECTOR.detect(window)
    rows = {row.measure: row for row in compared(window, DETECTOR.settings)}
    assert rows[Measure.TRAJECTORIES].accord is Accord.AGREE
    assert rows[Measure.TOKENS].doubled
    assert rows[Measure.TOKENS].doubted is (Side.TRACES if side == "traced" else Side.METRICS)
    assert f"the {'traces' if side == 'traced' else 'metrics'} count twice" in found.note
    assert found.unit == "tokens per day"


def test_prices_that_differ_a_little():
    """Sums a tenth apart are two tokenizers or two price lists, and no finding."""
    assert DETECTOR.detect(both(work(tokens_metered=1.1))) == ()


def test_costs_without_a_price_are_not_compared():
    """Where calls have no known price, USD of the two sides are not held against each other."""
    sides = work(tokens_metered=3.0)
    ticks = len(sides.stored[0].count)
    unknown = Unpriced([0.0] * ticks, [1.0] * ticks, [2.0] * ticks)
    stored = tuple(replace(one, unpriced=unknown) if one.unit == "USD" else one for one in sides.stored)
    rows = compared(both(replace(sides, stored=stored)), DETECTOR.settings)
    assert [row.measure for row in rows] == [Measure.TRAJECTORIES, Measure.TOKENS]


def test_calls_of_a_tool_that_are_lost():
    """Calls of one tool that traces do not hold are found where the runs agree."""
    sides = work(tool="sql")
    stored = tuple(
        replace(one, count=[value / 2 for value in one.count]) if one.subject.tool else one for one in sides.stored
    )
    (found,) = DETECTOR.detect(both(replace(sides, stored=stored)))
    assert found.unit == "calls per day"
    assert "a / sql: under-traced" in found.note


def test_what_was_always_so_of_three_agents_is_told_once():
    """Sampling of the whole fleet is one finding of the fleet; two agents are two."""
    sampled = [work(agent=name, seed=seed, traced=kept(0.3)) for seed, name in enumerate("abc")]
    (found,) = DETECTOR.detect(both(*sampled))
    assert found.subject == Subject()
    assert found.value / found.baseline == pytest.approx(0.3, abs=0.05)
    assert len(DETECTOR.detect(both(*sampled[:2]))) == 2
    (reading,) = DETECTOR.explain(both(*sampled), "b")
    assert reading.gate is Gate.MASK


def test_what_differs_is_told_apart():
    """An agent in traces only, one in metrics only and one that counts twice have nothing in common: three findings."""
    apart = [work(agent="t", metered=kept(0.0)), work(agent="m", traced=kept(0.0)), work(agent="d", tokens_metered=2.0)]
    assert {one.subject.agent for one in DETECTOR.detect(both(work(), *apart))} == {"t", "m", "d"}


def test_explain_says_where_both_stand():
    """A reading has both sums a day, the score and the sentence of every measure."""
    (healthy,) = DETECTOR.explain(both(work()), "a")
    assert healthy.gate is Gate.SCORE
    assert healthy.value == healthy.baseline == pytest.approx(20 * 24, rel=0.2)
    assert healthy.why.count("a: agree since") == 3
    (found,) = DETECTOR.explain(both(work(traced=kept(0.5))), "a")
    assert found.gate is Gate.FOUND


def test_a_row_is_a_sentence():
    """A row of the table reads whole."""
    row = compared(both(work(traced=kept(0.0, 13 * DAY))), DETECTOR.settings)[0]
    assert (row.accord, row.traced) == (Accord.BLIND, 0.0)
    assert sentence(replace(row, traced=0.0, metered=1204.0, start=time_of(13 * DAY))) == (
        f"a: blind since {time_of(13 * DAY):%Y-%m-%d %H:%M} UTC: 0 trajectories in traces, 1,204 in Prometheus;"
        " the traces hold nothing."
    )


@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=200),
    late=st.lists(st.integers(0, 40), min_size=1, max_size=200),
)
@settings(max_examples=100, deadline=None)
def test_what_only_moves_by_a_tick_is_never_missing(counts, late):
    """However much of a tick is counted in the next one, nothing is missing on either side."""
    full = np.array([*counts, 0.0])
    moved = np.minimum(np.resize(late, len(counts)), counts)
    other = full - np.append(moved, 0) + np.insert(moved, 0, 0)
    shares = Shares(0.02, 0.1, 10.5)
    assert discrepancies(full, other, 1.0, 1, shares) == []
    assert discrepancies(other, full, 1.0, 1, shares) == []


@given(lag=st.integers(-20, 20), seed=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_the_lag_is_found(lag, seed):
    """A side that is later by some ticks is seen to be later by just that."""
    first = np.random.default_rng(seed).poisson(3, size=400).astype(float)
    second = np.roll(first, lag)
    assert lag_between(first, second, 56) == lag
