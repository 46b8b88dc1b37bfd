from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from detectors.fleets import DAY, HOUR, WEEK, arrivals, begun, costs, flat, step, time_of, window
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors.recompute import recompute
from analyzer.detectors.silence import SilenceDetector
from analyzer.types.holidays import Calendar
from analyzer.types.report import Kind, Subject

DETECTOR = SilenceDetector()
ONSET = 15 * DAY + 10 * HOUR


def all_of(*series, end=None):
    """Return a window that reaches back over everything, so that whatever was ever found is returned."""
    return window(*series, end=end, hours=100 * 24)


def office(ticks, per_hour=30.0):
    """Return the rate of an agent that works from 8 to 18 on working days and not at all at other times."""
    hour, weekday = ticks // HOUR % 24, ticks // DAY % 7
    return np.where((hour >= 8) & (hour < 18) & (weekday < 5), per_hour, 0.0)


def every(wait, *, stop=10**9, days=18, agent="cron"):
    """Return an agent that runs once every `wait` ticks until it stops."""
    ticks = np.arange(int(days * DAY))
    return begun(((ticks % wait == 2) & (ticks < stop)).astype(float), agent=agent)


@pytest.mark.parametrize(("per_hour", "hours"), [(1.0, 36), (5.0, 9), (20.0, 4), (500.0, 1)])
def test_an_agent_that_stops(per_hour, hours):
    """A silence is found the sooner the busier the agent was, with its onset, what is missing and how it was told."""
    series = arrivals(step(ONSET, per_hour, 0.0))
    (found,) = DETECTOR.detect(window(series, end=ONSET + hours * HOUR))
    assert (found.kind, found.subject.agent, found.unit) == (Kind.SILENCE, "a", "trajectories per hour")
    assert found.onset_low <= time_of(ONSET) <= found.onset_high + timedelta(minutes=15)
    assert found.value == 0.0
    assert found.baseline == pytest.approx(per_hour, rel=0.3)
    assert found.score >= found.threshold
    assert found.recovered is None
    assert found.excess_usd is None
    assert "trajectories usually do" in found.note
    assert [recompute(evidence, series) for evidence in found.evidence] == [one.value for one in found.evidence]
    assert found.evidence[0].value == 0.0


def test_it_speaks_again():
    """A silence ends with the first trajectory, and is said to have ended as long as that lies in the window."""
    end = ONSET + 8 * HOUR
    series = arrivals(step(ONSET, 20.0, 0.0, end))
    (found,) = DETECTOR.detect(window(series, end=end + HOUR))
    assert found.recovered is not None
    assert abs(found.recovered - time_of(end)) <= timedelta(minutes=30)
    assert found.note.count("8.0 h") == 1
    assert DETECTOR.detect(window(series, end=end + 2 * DAY)) == ()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("per_hour", [0.3, 2.0, 20.0])
def test_quiet_on_clean_agents(seed, per_hour):
    """An agent that goes on as it always did raises nothing, however rarely it runs."""
    assert DETECTOR.detect(all_of(arrivals(flat(per_hour), seed=seed, days=28))) == ()


def test_nights_and_weekends():
    """An agent that keeps office hours raises nothing, not even at its first weekend, and is found when it stops."""
    assert DETECTOR.detect(all_of(arrivals(office, days=28))) == ()
    monday = 2 * WEEK + 7 * HOUR
    stopped = arrivals(lambda ticks: np.where(ticks < monday, office(ticks), 0.0), days=28)
    (found,) = DETECTOR.detect(window(stopped, end=2 * WEEK + 11 * HOUR))
    assert found.onset_high >= time_of(2 * WEEK + 8 * HOUR)
    assert found.onset == time_of(2 * WEEK + 8 * HOUR)


def test_a_quiet_first_weekend():
    """A weekend with a third of the usual traffic raises nothing before anyone has seen one."""
    quiet = arrivals(lambda ticks: np.where(ticks // DAY % 7 >= 5, 7.0, 20.0), days=12)
    assert DETECTOR.detect(all_of(quiet)) == ()


@pytest.mark.parametrize("seed", range(4))
def test_a_first_weekend_with_next_to_nothing(seed):
    """A first weekend with a thirtieth of the usual traffic raises nothing; at high volume a silence on it does."""
    quiet = arrivals(lambda ticks: np.where(ticks // DAY % 7 >= 5, 0.5, 15.0), seed=seed, days=12)
    assert DETECTOR.detect(all_of(quiet)) == ()
    stop = 5 * DAY + 12 * HOUR
    stopped = arrivals(lambda ticks: np.where(ticks < stop, 100.0, 0.0), seed=seed, days=7)
    (found,) = DETECTOR.detect(window(stopped, end=stop + 6 * HOUR))
    assert found.onset == time_of(stop)


def test_a_nightly_batch():
    """A batch that begins within an hour of every night is waited for at that hour, and missed when it is not there."""
    batch = arrivals(lambda ticks: np.where(ticks // HOUR % 24 == 2, 100.0, 0.0), days=18)
    assert DETECTOR.detect(all_of(batch)) == ()
    counts = np.asarray(batch.count)
    counts[16 * DAY :] = 0.0
    (found,) = DETECTOR.detect(window(begun(counts), end=16 * DAY + 4 * HOUR))
    assert found.onset == time_of(16 * DAY + 2 * HOUR)


def test_arrivals_in_bursts():
    """Users who come in crowds leave long pauses: an agent with such a history is given more time."""
    rng = np.random.default_rng(5)
    crowds = rng.poisson(0.1, 28 * DAY) * rng.integers(5, 40, 28 * DAY)
    assert DETECTOR.detect(all_of(begun(crowds))) == ()


@pytest.mark.parametrize("wait", [HOUR, 6 * HOUR, DAY])
def test_a_schedule(wait):
    """An agent on a schedule is missed when a wait is twice the usual, however few runs that is; not a tick before."""
    series = every(wait, stop=ONSET)
    last = max(tick for tick, count in enumerate(series.count) if count)
    assert DETECTOR.detect(all_of(series, end=last + 2 * wait)) == ()
    (found,) = DETECTOR.detect(all_of(series, end=last + 2 * wait + 2))
    assert found.onset == time_of(last + wait)
    assert found.onset_low <= time_of(last + 1)


def test_a_schedule_of_working_days():
    """A daily run that rests at weekends is not missed on a Sunday."""
    runs = every(DAY, days=28)
    weekday = np.arange(28 * DAY) // DAY % 7
    assert DETECTOR.detect(all_of(begun(np.where(weekday < 5, runs.count, 0.0)))) == ()


def test_a_run_about_midnight_is_no_run_of_a_day_off():
    """Friday's last run came on Saturday at 0:30 once: Saturdays are off all the same, that one and those after it."""
    runs, ticks = np.zeros(28 * DAY), np.arange(28 * DAY)
    runs[(ticks % (6 * HOUR) == 5 * HOUR) & (ticks // DAY % 7 < 5)] = 1.0
    runs[[11 * DAY + 23 * HOUR, 12 * DAY + HOUR // 2]] = 0.0, 1.0
    assert DETECTOR.detect(all_of(begun(runs))) == ()


def begins(found):
    """Return the day, from the first Monday on, on which each silence begins."""
    return [(one.onset - time_of(0)).days for one in found]


KINDS = {
    "schedule": lambda at_work, ticks: at_work & (ticks % (6 * HOUR) == 0),
    "busy": lambda at_work, _: 5.0 * at_work,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rest", [(4,), (4, 5), (3, 4)])
def test_working_days_off_are_learnt_by_twice(rest, kind):
    """An empty working day is a silence, and so is the second of its name; from the third on it is a day off."""
    ticks = np.arange(40 * DAY)
    runs = KINDS[kind](~np.isin(ticks // DAY % 7, rest), ticks).astype(float)
    found = DETECTOR.detect(all_of(begun(runs)))
    assert begins(found) == [min(rest), 7 + min(rest)]
    assert all(one.recovered is not None for one in found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rest", [(4,), (4, 5)])
@pytest.mark.parametrize("stop", range(26, 33))
def test_who_rests_on_a_friday_is_missed_on_any_other_day(rest, kind, stop):
    """Once its days off are learnt it is told within a day of work after it stopped, whichever day that was."""
    ticks = np.arange(40 * DAY)
    runs = KINDS[kind](~np.isin(ticks // DAY % 7, rest), ticks).astype(float)
    stopped = begun(np.where(ticks < stop * DAY, runs, 0.0))
    first = next(day for day in range(stop, 40) if day % 7 not in rest)
    assert begins(DETECTOR.detect(all_of(stopped, end=first * DAY)))[2:] == []
    (found,) = DETECTOR.detect(all_of(stopped, end=(first + 1) * DAY))[2:]
    assert (begins([found]), found.recovered) == ([first], None)


@pytest.mark.parametrize("per_hour", [10.0, 60.0, 400.0])
def test_a_busy_agent_that_rests_at_weekends_is_missed_on_the_first_alone(per_hour):
    """Around the clock on working days, without a schedule: its first empty weekend may be an outage, no later one."""

    def at_work(ticks):
        return np.where(ticks // DAY % 7 < 5, per_hour, 0.0)

    one, other = (arrivals(at_work, days=40, seed=seed, agent=f"a{seed}") for seed in (3, 4))
    for fleet in ([one], [one, other]):
        assert begins(DETECTOR.detect(all_of(*fleet))) == [5]


@pytest.mark.parametrize("rest", [(4,), (5, 6), (4, 5)])
@pytest.mark.parametrize("worked", [0, DAY // 2, DAY])
def test_who_worked_on_a_day_off_once_is_missed_as_soon_as_ever(rest, worked):
    """That the day is none any more makes no pauses of those before it: a silence on a Tuesday is told in two hours."""
    ticks, odd, stop = np.arange(38 * DAY), (28 + min(rest)) * DAY, 36 * DAY + 10 * HOUR
    rates = 20.0 * (~np.isin(ticks // DAY % 7, rest) | ((ticks >= odd) & (ticks < odd + worked)))
    stopped = arrivals(lambda _: np.where(ticks < stop, rates, 0.0), days=38, seed=3)
    (found,) = DETECTOR.detect(window(stopped, end=stop + 2 * HOUR, hours=12))
    assert (found.onset, found.recovered) == (time_of(stop), None)


def test_a_few_runs_on_a_day_off_are_all_that_is_expected_of_the_next():
    """Somebody started three by hand on a Friday that is off: the next Friday is no silence."""
    ticks = np.arange(40 * DAY)
    runs = np.random.default_rng(3).poisson(5.0 * (ticks // DAY % 7 != 4))
    runs[[32 * DAY + hour * HOUR for hour in (9, 10, 14)]] = 1
    assert begins(DETECTOR.detect(all_of(begun(runs)))) == [4, 11]


@pytest.mark.parametrize("day", [5, 6])
def test_an_outage_of_one_whole_saturday_or_sunday_is_no_day_off(day):
    """An agent of a few days that works around the clock: later outages on that day are found."""
    later = [(day + 7 * week) * DAY + 9 * HOUR for week in (1, 2)]
    outages = [(day * DAY, (day + 1) * DAY), *((first, first + 14 * HOUR) for first in later)]
    ticks = np.arange(24 * DAY)
    runs = 5.0 * ~np.any([(ticks >= first) & (ticks < stop) for first, stop in outages], axis=0)
    for known, (_, stop) in enumerate(outages, 1):
        found = DETECTOR.detect(all_of(begun(runs), end=stop))
        assert [one.onset for one in found] == [time_of(begin) for begin, _ in outages[:known]]


def test_what_lasts_longer_than_days_off_is_an_outage_each_time():
    """Three days in a row are no days off, however often they come."""
    ticks = np.arange(32 * DAY)
    away = np.isin(ticks // DAY % 7, (1, 2, 3)) & (ticks >= 7 * DAY)
    found = DETECTOR.detect(all_of(begun(((ticks % (6 * HOUR) == 0) & ~away).astype(float))))
    assert begins(found) == [8, 15, 22, 29]


RESTS = {"weekends": (5, 6), "sundays": (6,), "never": ()}


def drawn(seed, rest, *, days=28, stop=10**9):
    """Return the runs of a schedule that rests on some days of the week: every two to eighteen hours, nearly."""
    rng = np.random.default_rng(seed)
    wait = int(rng.integers(2 * HOUR, 18 * HOUR + 1))
    late = int(rng.integers(0, min(wait // 20, 2) + 1))
    due = np.arange(int(rng.integers(wait)), days * DAY - late, wait)
    at = due + rng.integers(0, late + 1, len(due))
    runs = np.zeros(days * DAY)
    runs[at[~np.isin(due // DAY % 7, rest) & (at < stop)]] = 1.0
    return runs, wait


@pytest.mark.parametrize("rest", RESTS)
@pytest.mark.parametrize("seed", range(20))
def test_a_schedule_that_rests_is_not_missed_on_its_days_off(seed, rest):
    """Not on the first of them, which nobody could know of, nor on a later one, nor on the day after."""
    runs, _ = drawn(seed, RESTS[rest])
    assert DETECTOR.detect(all_of(begun(runs))) == ()


def told_after(runs, last):
    """Return after how many ticks without a run a silence is told; it stays told."""
    low, high = last + 1, last + 5 * DAY
    while low < high:
        end = (low + high) // 2
        is_told = any(one.recovered is None for one in DETECTOR.detect(all_of(begun(runs[:end]), end=end)))
        low, high = (low, end) if is_told else (end + 1, high)
    return low - last


@pytest.mark.parametrize("rest", ["weekends", "sundays"])
@pytest.mark.parametrize("seed", range(20))
def test_a_schedule_that_rests_is_missed_as_soon_as_one_that_never_does(seed, rest):
    """On a working day after its first weekend, and later: its days off are no part of its wait."""
    _, wait = drawn(seed, ())
    # Ten runs must be learnt from: rare ones that rest are not judged in their second week yet.
    early = 9 * DAY + 12 * HOUR if wait <= 12 * HOUR else 15 * DAY + 20 * HOUR
    for stop in (early, 22 * DAY + 20 * HOUR):
        runs, _ = drawn(seed, RESTS[rest], stop=stop)
        always, _ = drawn(seed, (), stop=stop)
        last = int(np.flatnonzero(runs)[-1])
        assert last == int(np.flatnonzero(always)[-1])
        took = told_after(runs, last)
        assert took <= max(told_after(always, last), 2 * wait) + HOUR


def test_what_is_known_of_a_schedules_weekends_is_said():
    """First that they are not counted, afterwards which days are off; of one that never rests nothing."""
    runs, days = np.asarray(every(6 * HOUR, days=28).count), np.arange(28 * DAY) // DAY % 7
    rests = begun(np.where(days < 5, runs, 0.0))

    def said(series, day):
        (one,) = DETECTOR.explain(all_of(series, end=int(day * DAY)), "a")
        return one.detectable

    missed = "It runs every 6.0 h; a run is missed after 12.0 h without one"
    assert said(rests, 5.5) == f"{missed}, weekends not counted until a whole one was seen."
    assert said(rests, 9.5) == f"{missed}, not counting Saturdays and Sundays, on which nothing ran."
    assert said(begun(runs), 9.5) == f"{missed}."


def test_a_schedule_that_stops_before_or_on_its_first_weekend():
    """It may rest then: it is missed on Monday; one that ran on the Saturday already, before that day is over."""
    hourly = every(HOUR, days=28).count
    friday, saturday = (begun(np.where(np.arange(28 * DAY) < stop, hourly, 0.0)) for stop in (476, 5 * DAY + 12 * HOUR))
    assert DETECTOR.detect(all_of(friday, end=7 * DAY)) == ()
    (found,) = DETECTOR.detect(all_of(friday, end=7 * DAY + 3 * HOUR))
    # The hour is counted from Monday's midnight on.
    assert found.onset == time_of(7 * DAY + 3)
    assert len(DETECTOR.detect(all_of(saturday, end=5 * DAY + 15 * HOUR))) == 1


def test_a_single_batch_is_no_habit():
    """An agent that ran for one evening is not missed on the days after."""
    once = arrivals(lambda ticks: np.where(ticks < 5 * HOUR, 200.0, 0.0), days=18)
    assert DETECTOR.detect(all_of(once)) == ()


@pytest.mark.parametrize("days", [2.9, 3.6])
def test_three_days_of_history(days):
    """Before the fourth day nothing is said; on it a silence is found."""
    series = arrivals(step(int((days - 0.4) * DAY), 30.0, 0.0), days=days)
    assert len(DETECTOR.detect(window(series))) == (days > 3)


FLEET = tuple(
    arrivals(step(ONSET, rate, 0.0), agent=name, seed=rate) for name, rate in (("a", 60), ("b", 20), ("c", 5))
)


def test_the_whole_fleet():
    """When all agents stop at once it is one finding without an agent, proved by the queries of the busiest."""
    (found,) = DETECTOR.detect(window(*FLEET, end=ONSET + 4 * HOUR))
    assert found.subject == Subject()
    assert found.onset == time_of(ONSET)
    assert found.baseline == pytest.approx(85, rel=0.2)
    assert "All 3 agents stopped at once" in found.note
    assert [evidence.agent for evidence in found.evidence] == ["a", "a", "b", "b", "c", "c"]
    assert [evidence.promql.split('"')[1] for evidence in found.evidence] == [one.agent for one in found.evidence]


def test_one_agent_that_stays_silent_after_the_fleet():
    """What does not come back with the fleet is found by its own name, dated when the others spoke again."""
    back = ONSET + 8 * HOUR
    fleet = [arrivals(step(ONSET, 20.0, 0.0, back), agent=name, seed=seed) for seed, name in enumerate("abc")]
    dead = arrivals(step(ONSET, 20.0, 0.0), agent="dead", seed=9)
    whole, one = DETECTOR.detect(window(*fleet, dead, end=back + 6 * HOUR))
    assert (whole.subject, whole.recovered is None) == (Subject(), False)
    assert (one.subject.agent, one.recovered) == ("dead", None)


def test_the_largest_agent_is_not_the_fleet():
    """A busy agent that stops beside one that hardly ever runs is found by its own name."""
    busy, rare = arrivals(step(ONSET, 200.0, 0.0), agent="busy"), every(DAY, agent="rare")
    (found,) = DETECTOR.detect(window(busy, rare, end=ONSET + 3 * HOUR))
    assert found.subject.agent == "busy"


def test_ticks_in_which_nobody_looked():
    """A hole in what Prometheus scraped is no silence."""
    series = arrivals(flat(50.0))
    count = list(series.count)
    count[ONSET : ONSET + 12 * HOUR] = [float("nan")] * (12 * HOUR)
    assert DETECTOR.detect(all_of(replace(series, count=count, total=count))) == ()


def test_a_retired_agent():
    """After fourteen days without a trajectory an agent counts as retired."""
    series = arrivals(step(10 * DAY, 20.0, 0.0), days=30)
    assert len(DETECTOR.detect(window(series, end=23 * DAY))) == 1
    assert DETECTOR.detect(window(series, end=28 * DAY)) == ()


def test_other_signals_are_none_of_its_business():
    """A series of what ended says nothing about what begins."""
    assert DETECTOR.detect(window(costs(step(ONSET, 1.0, 1.0), per_hour=0.0))) == ()


def resting(*days, zone: tzinfo = UTC):
    """Return the detector with the days that begin at these ticks as holidays."""
    return SilenceDetector(calendar=Calendar(tuple(time_of(day).date() for day in days), zone))


def on_holiday(rate, *days):
    """Return a rate of which nothing is left on the days that begin at these ticks."""
    return lambda ticks: np.where(np.isin(ticks // DAY, [day // DAY for day in days]), 0.0, rate(ticks))


THURSDAY, FRIDAY, MONDAY = 2 * WEEK + 3 * DAY, 2 * WEEK + 4 * DAY, 3 * WEEK


def test_a_holiday():
    """Agents that rest at weekends rest on a holiday that was set, and are missed when the next day brings nothing."""
    fleet = [
        arrivals(on_holiday(lambda t, r=rate: office(t, r), THURSDAY), agent=f"a{rate}", seed=rate, days=28)
        for rate in (4, 30, 200)
    ]
    assert DETECTOR.detect(all_of(*fleet))
    assert resting(THURSDAY).detect(all_of(*fleet)) == ()
    habit = lambda t: np.where(t < THURSDAY, office(t), 0.0)  # noqa: E731 - a rate
    gone = [arrivals(habit, seed=seed, agent=f"{seed}", days=20) for seed in range(3)]
    at = THURSDAY + 16 * HOUR
    assert len(DETECTOR.detect(window(*gone, end=at))) == 1
    assert resting(THURSDAY).detect(window(*gone, end=at)) == ()
    (found,) = resting(THURSDAY).detect(window(*gone, end=FRIDAY + 13 * HOUR))
    assert found.subject == Subject()
    assert found.onset == time_of(FRIDAY + 8 * HOUR)


def test_an_agent_that_works_at_weekends_is_missed_on_a_holiday():
    """Who runs every day is watched on a holiday too, at what the quietest day of a weekend brings."""
    seven = lambda t: np.where(t // DAY % 7 == 6, 20.0, 60.0)  # noqa: E731 - a rate
    stopped = arrivals(lambda t: np.where(t < THURSDAY + 10 * HOUR, seven(t), 0.0))
    (found,) = resting(THURSDAY).detect(window(stopped, end=THURSDAY + 15 * HOUR))
    assert found.onset == time_of(THURSDAY + 10 * HOUR)
    assert found.baseline == pytest.approx(20, rel=0.2)
    quiet = arrivals(lambda t: np.where(t // DAY == THURSDAY // DAY, 20.0, seven(t)))
    assert resting(THURSDAY).detect(all_of(quiet)) == ()


def test_a_holiday_is_no_busy_sunday():
    """Nothing is missed that a holiday's own day of the week does not bring, where weekends are the busy days."""
    shop = arrivals(lambda t: np.where((t // DAY % 7 >= 5) | (t // HOUR % 24 >= 12), 40.0, 0.0))
    assert resting(THURSDAY).detect(all_of(shop)) == ()


def test_a_holiday_begins_at_its_own_midnight():
    """The days are those of the time zone that was set: in Auckland a Thursday begins at noon of UTC's Wednesday."""
    ahead = 12 * HOUR
    rest = lambda t: np.where((t + ahead) // DAY == THURSDAY // DAY, 0.0, office(t + ahead))  # noqa: E731 - a rate
    there = window(arrivals(rest), end=THURSDAY + 18 * HOUR, hours=30)
    assert resting(THURSDAY, zone=ZoneInfo("Pacific/Auckland")).detect(there) == ()
    assert len(resting(zone=ZoneInfo("Pacific/Auckland")).detect(there)) == 1


@pytest.mark.parametrize(("zone", "ahead"), [("Pacific/Auckland", 12), ("America/Los_Angeles", -8)])
def test_weekends_lie_where_people_live(zone, ahead):
    """An office far from Greenwich rests on Saturdays and Sundays of its own: no silence once its time zone is set."""
    series = arrivals(lambda t: office(t + ahead * HOUR), days=28)
    assert DETECTOR.detect(all_of(series))
    assert resting(zone=ZoneInfo(zone)).detect(all_of(series)) == ()


def test_a_schedule_over_a_holiday():
    """What runs four times a working day is not late on a holiday, and is when it stays away after it."""
    days = np.arange(20 * DAY) // DAY
    runs = np.where((days % 7 < 5) & (days != THURSDAY // DAY), every(6 * HOUR, days=20).count, 0.0)
    there = window(begun(runs), end=FRIDAY + 4 * HOUR)
    assert DETECTOR.detect(there)
    assert resting(THURSDAY).detect(there) == ()
    runs[THURSDAY:] = 0.0
    (found,) = resting(THURSDAY).detect(window(begun(runs), end=FRIDAY + 20 * HOUR))
    assert found.onset >= time_of(FRIDAY)


@settings(max_examples=10, deadline=None)
@given(day=st.integers(4, 19), seed=st.integers(0, 99), rate=st.sampled_from([0.5, 4.0, 60.0]))
def test_a_holiday_adds_no_silence(day, seed, rate):
    """Whatever day is set as a holiday, an agent that goes on as ever raises nothing, whether it rests on it or not."""
    for habit in (flat(rate), lambda ticks: office(ticks, rate)):
        assert resting(day * DAY).detect(all_of(arrivals(habit, seed=seed, days=20))) == ()


def test_a_holiday_teaches_nothing():
    """A day that brought a third is no Thursday: on the next one as much is expected as if it had not been."""
    stop = THURSDAY + WEEK + 10 * HOUR
    habit = lambda t: office(t) / np.where(t // DAY == THURSDAY // DAY, 3.0, 1.0)  # noqa: E731 - a rate
    stopped = arrivals(lambda t: np.where(t < stop, habit(t), 0.0), days=28)
    known, unknown = (one.detect(window(stopped, end=stop + 3 * HOUR)) for one in (resting(THURSDAY), DETECTOR))
    assert [one.onset for one in known] == [time_of(stop)]
    assert known[0].baseline == pytest.approx(30, rel=0.2)
    assert unknown == () or unknown[0].baseline < 0.8 * known[0].baseline


@settings(max_examples=12, deadline=None)
@given(cut=st.integers(5 * DAY, 18 * DAY))
def test_causal(cut):
    """A run in the middle of the history finds exactly what the later run says it would have found."""
    silent = lambda t: ((t > 900) & (t < 960)) | ((t > 1300) & (t < 1330)) | (t > 1600)  # noqa: E731 - a rate
    fleet = [
        arrivals(lambda t, rate=rate: np.where(silent(t), 0.0, rate), agent=f"{rate}", seed=rate) for rate in (8, 30)
    ]
    fleet.append(arrivals(lambda t: np.where((t > 1100) & (t < 1160), 0.0, 12.0), agent="alone", seed=3))
    whole = {(f.subject, f.onset, f.onset_low, f.onset_high): f for f in DETECTOR.detect(all_of(*fleet))}
    then = DETECTOR.detect(all_of(*fleet, end=cut))
    assert {(f.subject, f.onset, f.onset_low, f.onset_high) for f in then} <= set(whole)
    for found in then:
        later = whole[found.subject, found.onset, found.onset_low, found.onset_high].recovered
        assert found.recovered in {None, later}


def test_whole_weeks_shift_the_findings():
    """Moving the clock by whole weeks moves the findings by as much and changes nothing else."""
    shift = 5 * 7 * 86_400
    (here,) = DETECTOR.detect(window(FLEET[0]))
    (there,) = DETECTOR.detect(window(replace(FLEET[0], start_s=FLEET[0].start_s + shift)))
    assert there.onset - here.onset == timedelta(seconds=shift)
    assert (there.value, there.baseline, there.score) == (here.value, here.baseline, here.score)
