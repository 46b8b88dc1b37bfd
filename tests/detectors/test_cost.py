from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from detectors.fleets import DAY, HOUR, WEEK, costs, counters_only, flat, step, time_of, window
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors.cost import CostDetector
from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.amounts import Amounts
from analyzer.detectors.kernels.findings import amount_episodes
from analyzer.detectors.kernels.grid import grid_of
from analyzer.detectors.kernels.walk import Walk
from analyzer.detectors.recompute import recompute
from analyzer.types.metric import Unpriced, bin_of
from analyzer.types.reading import Gate
from analyzer.types.report import Kind

DETECTOR = CostDetector()
ONSET = 15 * DAY + 10 * HOUR
DOUBLED = costs(step(ONSET, 1.0, 2.0))
NONE = flat(0.0)


def test_doubling():
    """A doubling is found with its onset within the hour, its ratio and its money."""
    (found,) = DETECTOR.detect(window(DOUBLED))
    assert found.kind is Kind.COST
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=1)
    assert found.onset_low <= time_of(ONSET) <= found.onset_high
    assert found.value / found.baseline == pytest.approx(2.0, rel=0.15)
    assert found.of == sum(DOUBLED.count[round((found.onset - time_of(0)) / timedelta(minutes=15)) :])
    assert found.of / 4 < found.affected < found.of
    assert found.excess_usd == pytest.approx((found.value - found.baseline) * found.of)
    assert found.score >= found.threshold
    assert found.recovered is None
    assert found.subject.version is None


def test_evidence_is_recomputed_from_the_series():
    """Both numbers of a finding are plain means that the series gives over the range its query names."""
    (found,) = DETECTOR.detect(window(DOUBLED))
    observed, usual = found.evidence
    for evidence in (observed, usual):
        assert recompute(evidence, DOUBLED) == evidence.value
        seconds = int((evidence.end - evidence.start).total_seconds())
        assert f"[{seconds}s]" in evidence.promql
        assert evidence.step == seconds
    assert observed.start == found.onset
    assert usual.end < found.onset
    assert observed.value / usual.value == pytest.approx(2.0, rel=0.2)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("per_hour", [5.0, 60.0])
def test_quiet_on_clean_agents(seed, per_hour):
    """A healthy agent raises nothing in eighteen days, at low and at middling volume."""
    assert amount_episodes(costs(flat(1.0), seed=seed, per_hour=per_hour), time_of(18 * DAY), AmountSettings()) == []


def test_a_fall_is_no_anomaly():
    """An agent that becomes cheaper is not reported."""
    assert DETECTOR.detect(window(costs(step(ONSET, 1.0, 0.3)))) == ()


def test_a_few_very_dear_trajectories():
    """A fifth of the trajectories six times as dear doubles the mean and is found, though the median hardly moves."""
    (found,) = DETECTOR.detect(window(costs(step(ONSET, 1.0, 6.0), share=0.2)))
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=3)
    assert 1.6 <= found.value / found.baseline <= 2.6


def test_a_ramp():
    """A cost that doubles over a day is found, with an onset inside the ramp."""
    series = costs(lambda ticks: 2.0 ** np.clip((ticks - ONSET) / DAY, 0, 1.3), days=18)
    (found,) = DETECTOR.detect(window(series))
    assert time_of(ONSET) <= found.onset <= time_of(ONSET + DAY)


def test_recovery():
    """After the fault the finding says when it ended, stays in the window's reports, and then is gone."""
    end = ONSET + 20 * HOUR
    series = costs(step(ONSET, 1.0, 2.5, end), days=20)
    (found,) = DETECTOR.detect(window(series, end=end + 20 * HOUR))
    assert found.recovered is not None
    assert abs(found.recovered - time_of(end)) <= timedelta(hours=3)
    assert found.value / found.baseline == pytest.approx(2.5, rel=0.2)
    assert DETECTOR.detect(window(series, end=end + 4 * DAY)) == ()


def test_an_outage_does_not_become_the_norm():
    """A second incident is judged by the days before the first one, not by the first one."""
    first, second = 8 * DAY, 15 * DAY + 5 * HOUR
    series = costs(lambda t: np.where((t >= first) & (t < first + 3 * DAY), 3.0, np.where(t >= second, 2.0, 1.0)))
    (found,) = DETECTOR.detect(window(series))
    assert found.value / found.baseline == pytest.approx(2.0, rel=0.15)


def test_a_permanent_level_becomes_normal():
    """A level that lasts stays open for fourteen days and is the norm after that."""
    series = costs(step(8 * DAY, 1.0, 2.0), days=30)
    (found,) = DETECTOR.detect(window(series, end=8 * DAY + 13 * DAY))
    assert found.recovered is None
    assert abs(found.onset - time_of(8 * DAY)) <= timedelta(hours=1)
    assert DETECTOR.detect(window(series, end=25 * DAY)) == ()
    assert DETECTOR.detect(window(series)) == ()


def test_nightly_batch():
    """Dear hours that come every night are normal."""
    nightly = costs(lambda ticks: np.where((ticks % DAY) < 2 * HOUR, 4.0, 1.0))
    episodes = amount_episodes(nightly, time_of(18 * DAY), AmountSettings())
    assert all(episode.alarmed < 7 * DAY for episode in episodes)


def test_weekly_job():
    """Dear hours on the same day of every week are normal from the second week on."""
    weekly = costs(lambda ticks: np.where((ticks % WEEK >= 6 * DAY) & (ticks % WEEK < 6 * DAY + 12), 2.5, 1.0), days=28)
    episodes = amount_episodes(weekly, time_of(28 * DAY), AmountSettings())
    assert all(episode.onset < 7 * DAY for episode in episodes)


@pytest.mark.parametrize("day", [5, 6])
def test_a_job_of_two_hours_in_the_first_week_is_no_anomaly(day):
    """Before a week is known, two hours at 1.8 times the cost may be a weekly job's; why-not says what they lack."""
    begun = day * DAY + 2 * HOUR
    job = costs(step(begun, 1.0, 1.8, begun + 2 * HOUR), per_hour=500, days=day + 1, sigma=0.6)
    assert amount_episodes(job, time_of((day + 1) * DAY), AmountSettings()) == []
    (reading,) = DETECTOR.explain(window(job, end=begun + 2 * HOUR), "a")
    assert reading.gate is Gate.EFFECT
    assert "times over the last four hours, as much needed until a week is known" in reading.why


def test_a_job_of_two_hours_on_a_high_night_is_no_anomaly():
    """Drift of an eighth beside a job of two hours is no rise that lasts; why-not says that the job is all there is."""
    begun = 6 * DAY + 2 * HOUR
    night = (begun - 2 * HOUR, begun + 4 * HOUR)

    def level(ticks):
        drift = np.where((ticks >= night[0]) & (ticks < night[1]), 1.15, 1.0)
        return drift * step(begun, 1.0, 2.4, begun + 2 * HOUR)(ticks)

    job = costs(level, per_hour=500, days=7, sigma=0.6)
    assert amount_episodes(job, time_of(7 * DAY), AmountSettings()) == []
    (reading,) = DETECTOR.explain(window(job, end=begun + 2 * HOUR), "a")
    assert reading.gate is Gate.EFFECT
    assert "until a week is known it must last longer than a weekly job of two hours could" in reading.why


def test_two_hours_at_five_times_the_cost_are_told_in_the_first_week():
    """Known or not, what no weekly job and no drift explain together is an anomaly."""
    begun = 6 * DAY + 2 * HOUR
    burst = costs(step(begun, 1.0, 5.0, begun + 2 * HOUR), per_hour=500, days=7, sigma=0.6)
    (episode,) = amount_episodes(burst, time_of(7 * DAY), AmountSettings())
    assert abs(episode.onset - begun) <= 1
    assert episode.alarmed - begun < 2 * HOUR


def test_a_doubling_in_the_first_week_is_found_within_hours():
    """What lasts is told before a week is known: it takes three hours where it took one."""
    onset = 4 * DAY + 2 * HOUR
    lasting = costs(step(onset, 1.0, 2.0), per_hour=500, days=6, sigma=0.6)
    (episode,) = amount_episodes(lasting, time_of(6 * DAY), AmountSettings())
    assert abs(episode.onset - onset) <= 1
    assert episode.alarmed - onset <= 4 * HOUR


@pytest.mark.parametrize(("days", "gate"), [(4, 1.8), (6, 1.69), (8, 1.62), (14, 1.5), (15, 1.4), (18, 1.4)])
def test_an_agent_that_is_not_known_for_long_may_drift_as_others_do(days, gate):
    """Of a steady agent little is asked once it is known to be steady; before, the drift of others counts.

    And the level itself is a mean of few days: less is asked from day to day, and no more than its settings from a
    whole baseline on.
    """
    model = Amounts(grid_of(costs(flat(1.0), per_hour=100, days=days)), AmountSettings(ratio_min=1.4))
    known = model.baseline(days - 1, np.zeros(days * DAY, dtype=bool))
    assert known is not None
    assert (known.gate, known.gate_whole) == (pytest.approx(gate, abs=0.01), 1.4)


def test_why_not_says_why_more_is_asked_of_a_short_history():
    """In the first fortnight the wider gate has its reason and the one it will be beside it; after it, neither."""
    young, known = (DETECTOR.explain(window(costs(flat(1.0), per_hour=100, days=days)), "a")[0].why for days in (5, 18))
    assert "1.75 needed (1.60 when a fortnight is known: 3.0 days say little of how far it drifts)" in young
    assert "1.60 needed" in known
    assert "fortnight" not in known


def test_one_runaway_is_no_shift():
    """A single trajectory a thousand times as dear does not make a finding."""
    series = costs(flat(1.0))
    tick = 17 * DAY
    sketches = list(series.sketches)
    sketches[tick] = {**sketches[tick], bin_of(50.0): 1}
    totals = list(series.total)
    totals[tick] += 50.0
    count = list(series.count)
    count[tick] += 1
    assert DETECTOR.detect(window(replace(series, sketches=tuple(sketches), total=totals, count=count))) == ()


def test_counters_only():
    """From Prometheus counters alone a doubling is found too, and the note says what could not be seen."""
    (found,) = DETECTOR.detect(window(counters_only(DOUBLED)))
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=2)
    assert found.value / found.baseline == pytest.approx(2.0, rel=0.25)
    assert "no distribution" in found.note


@pytest.mark.parametrize("seed", range(4))
def test_counters_only_quiet(seed):
    """Counters alone raise nothing on a healthy agent."""
    series = counters_only(costs(flat(1.0), seed=seed))
    assert amount_episodes(series, time_of(18 * DAY), AmountSettings()) == []


def test_every_run_costs_the_same():
    """An agent whose runs never vary is judged all the same: a doubling is a doubling."""
    (found,) = DETECTOR.detect(window(costs(step(ONSET, 1.0, 2.0), sigma=0.0, per_hour=8)))
    assert found.value / found.baseline == pytest.approx(2.0, rel=0.06)


def test_tenfold():
    """A whole distribution that moves tenfold is reported as ten times, not as much as the cap for runaways allows."""
    (found,) = DETECTOR.detect(window(costs(step(ONSET, 1.0, 10.0))))
    assert found.value / found.baseline == pytest.approx(10.0, rel=0.15)


def test_three_days_of_history():
    """With three days of history a doubling on the fourth is found."""
    onset = 3 * DAY + 6 * HOUR
    (found,) = DETECTOR.detect(window(costs(step(onset, 1.0, 2.0), days=4)))
    assert abs(found.onset - time_of(onset)) <= timedelta(hours=1)


@pytest.mark.parametrize(("days", "per_hour"), [(2.9, 60.0), (18.0, 0.1)])
def test_too_little_history(days, per_hour):
    """Below three days, or fifty trajectories, nothing is said."""
    series = costs(step(int(days * DAY) - 8 * HOUR, 1.0, 5.0), days=days, per_hour=per_hour)
    assert DETECTOR.detect(window(series)) == ()


@pytest.mark.parametrize("per_hour", [3.0, 1500.0])
def test_extreme_volumes(per_hour):
    """A doubling is found at three an hour and at many an hour."""
    (found,) = DETECTOR.detect(window(costs(step(14 * DAY, 1.0, 2.0), per_hour=per_hour)))
    assert abs(found.onset - time_of(14 * DAY)) <= timedelta(hours=12 if per_hour < 10 else 1)


def test_broken_ticks():
    """Ticks that cannot be (NaN, infinite, negative) count as unseen and change nothing else."""
    series = counters_only(DOUBLED)
    total, count = list(series.total), list(series.count)
    for tick, bad in ((100, float("nan")), (200, float("inf")), (300, -5.0)):
        total[tick] = bad
        count[tick + 1] = bad
    (found,) = DETECTOR.detect(window(replace(series, total=total, count=count)))
    assert abs(found.onset - time_of(ONSET)) <= timedelta(hours=2)


@pytest.mark.parametrize("sketches", [None, ()])
def test_nothing_there(sketches):
    """Series without ticks or without units give nothing."""
    empty = replace(DOUBLED, count=(), total=(), sketches=sketches)
    silent = replace(costs(flat(1.0), per_hour=0.0), sketches=None)
    assert DETECTOR.detect(replace(window(DOUBLED), series=(empty, silent))) == ()


def test_free_trajectories():
    """Trajectories that cost nothing count as trajectories and as nothing else."""
    count = [value * 2 for value in DOUBLED.count]
    (found,) = DETECTOR.detect(window(replace(DOUBLED, count=count)))
    assert found.value / found.baseline == pytest.approx(2.0, rel=0.15)
    assert found.value == pytest.approx(found.evidence[0].value, rel=0.2)


def _unpriced(series, unknown, calls=NONE):
    """Return the series with `unknown` of its trajectories at no known cost, and so many calls without a price each."""
    ticks = np.arange(len(series.count))
    every = np.array(series.count) / (1 - unknown(ticks))
    unseen = np.round(every * unknown(ticks))
    runs = np.array(series.count) + unseen
    own = Unpriced(unseen.tolist(), (4 * unseen + calls(ticks) * runs).tolist(), (4 * runs).tolist())
    return replace(series, unpriced=own)


def test_cheap_work_that_moves_to_an_unpriced_model_is_no_rise():
    """Where the dear part is all that still has a price, its mean has doubled and nothing has become dearer."""
    assert DETECTOR.detect(window(_unpriced(DOUBLED, step(ONSET, 0.0, 0.7)))) == ()


def test_a_rise_that_the_unknown_part_cannot_explain_is_found():
    """Costs of four times are twice as high even if the tenth that moved away had cost nothing; the note says so."""
    (found,) = DETECTOR.detect(window(_unpriced(costs(step(ONSET, 1.0, 4.0)), step(ONSET, 0.0, 0.1))))
    assert found.value / found.baseline == pytest.approx(4.0, rel=0.15)
    assert "trajectories have no known price and are in no figure" in found.note


def test_the_same_unknown_part_before_and_after_changes_nothing():
    """An agent of whose runs a third never had a price is judged by the others."""
    (found,) = DETECTOR.detect(window(_unpriced(DOUBLED, flat(0.33), flat(0.5))))
    assert found.value / found.baseline == pytest.approx(2.0, rel=0.15)


def test_a_price_that_was_set_is_no_rise():
    """Calls whose cost was not known and now is raise the known costs, and nothing has become dearer."""
    assert DETECTOR.detect(window(_unpriced(DOUBLED, flat(0.0), step(ONSET, 2.0, 0.0)))) == ()


def test_what_was_a_rise_before_the_work_moved_stays_one():
    """An incident does not end because half of the work has since gone to a model without a price."""
    series = costs(step(ONSET, 1.0, 2.0))
    (found,) = DETECTOR.detect(window(_unpriced(series, step(ONSET + 12 * HOUR, 0.0, 0.6))))
    assert found.recovered is None


TWICE_RISEN = costs(lambda t: np.where((t > 900) & (t < 1000), 2.5, np.where(t > 1500, 2.0, 1.0)), per_hour=20)
WALK = Walk(Amounts(grid_of(TWICE_RISEN), AmountSettings())).run()


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(5 * DAY, 18 * DAY))
def test_causal(cut):
    """A run in the middle of the history finds exactly what the later run says it would have found."""
    then = amount_episodes(TWICE_RISEN, time_of(cut), AmountSettings())
    known = WALK.past(cut).episodes
    # Nothing of what a run says may be known only later: not even how an episode is dated.
    assert [(e.kernel, e.onset, e.onset_low, e.onset_high, e.alarmed, e.recovered, e.closed) for e in then] == [
        (e.kernel, e.onset, e.onset_low, e.onset_high, e.alarmed, e.recovered, e.closed) for e in known
    ]


def test_order_of_agents_does_not_matter():
    """Permuting the series permutes the findings."""
    series = [replace(DOUBLED, subject=replace(DOUBLED.subject, agent=name)) for name in "abc"]
    series[1] = costs(flat(1.0), agent="b")
    there, back = DETECTOR.detect(window(*series)), DETECTOR.detect(window(*reversed(series)))
    assert list(there) == list(reversed(back))
    assert [found.subject.agent for found in there] == ["a", "c"]


def test_whole_weeks_shift_the_findings():
    """Moving the clock by whole weeks moves the findings by as much and changes nothing else."""
    shift = 5 * 7 * 86_400
    (here,) = DETECTOR.detect(window(DOUBLED))
    (there,) = DETECTOR.detect(window(replace(DOUBLED, start_s=DOUBLED.start_s + shift)))
    assert there.onset - here.onset == timedelta(seconds=shift)
    assert (there.value, there.baseline, there.score) == (here.value, here.baseline, here.score)


def test_calibrated_on_drifting_agents():
    """Healthy agents whose level drifts from hour to hour and day to day raise at most 0.05 alarms a week."""
    alarms = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        hours = np.zeros(35 * 24)
        for hour in range(1, len(hours)):
            hours[hour] = 0.8 * hours[hour - 1] + 0.07 * rng.normal()
        level = np.exp(np.repeat(hours, HOUR) + np.repeat(0.06 * rng.normal(size=35), DAY))
        series = costs(lambda ticks, level=level: level[ticks], seed=seed, per_hour=30.0, days=35, sigma=1.1)
        alarms += len(amount_episodes(series, time_of(35 * DAY), AmountSettings()))
    assert alarms <= 0.05 * 12 * (35 - 3) / 7
