from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.incidents import NOW, ONSET, finding
from support.spans import chat, trace_id

from analyzer.accounting.running import hours_of, last_runs
from analyzer.types.metric import TICK_S, OpenTrajectory, Series, Signal, Window
from analyzer.types.report import Kind, Subject
from analyzer.types.trajectory import ordered, summarise

HOUR = timedelta(hours=1)
START = datetime(2026, 11, 23, tzinfo=UTC)


def series(agent: str | None, *counts: float, signal: Signal = Signal.VOLUME) -> Series:
    """Return units per tick from midnight on."""
    subject = Subject(agent=agent)
    return Series(signal, subject, "trajectories", "store", "up", int(START.timestamp()), counts, counts)


def test_an_agent_last_ran_at_the_end_of_its_last_tick_with_anything_begun_or_ended() -> None:
    """Ends count as beginnings do, a tick in which nobody looked does not, and the window's end is the latest."""
    end = START + timedelta(seconds=4.5 * TICK_S)
    window = Window(
        START,
        end,
        series=(
            series("begins", 1, 2, 0, 0, 0),
            series("begins", 0, 0, 1, 0, 0, signal=Signal.ERRORS),
            series("unseen", 1, 0, float("nan"), float("inf"), 0),
            series("now", 0, 0, 0, 0, 1),
            series("never", 0, 0, 0, 0, 0),
            series("other", 1, 1, 1, 1, 1),
            series(None, 1, 1, 1, 1, 1),
        ),
    )
    tick = timedelta(seconds=TICK_S)
    assert last_runs(window, ["begins", "unseen", "now", "never", "gone"]) == {
        "begins": START + 3 * tick,
        "unseen": START + tick,
        "now": end,
    }


def test_what_is_still_open_was_heard_of_when_its_latest_span_ended() -> None:
    """An agent in one long trajectory is not at rest."""
    seen = START + 3 * HOUR
    summary = replace(summarise(trace_id(1), ordered([chat(1, 1)])), agent="slow")
    open_now = OpenTrajectory(summary, int(seen.timestamp() * 1e9))
    window = Window(START, START + 5 * HOUR, series=(series("slow", 1, 0),), running=(open_now,))
    assert last_runs(window, ["slow"]) == {"slow": seen}


@given(
    ran_h=st.floats(24, 400),
    quiet_h=st.floats(0, 400),
)
def test_after_its_first_day_nothing_gets_shorter_or_longer_while_nothing_runs(ran_h: float, quiet_h: float) -> None:
    """The hours of a loss are the same at whatever moment of a pause somebody looks."""
    last = ONSET + ran_h * HOUR
    found = finding()
    looked = {round(hours_of(found, last + part * quiet_h * HOUR, {"support-triage": last}), 6) for part in (0, 0.5, 1)}
    assert looked == {round((last - ONSET) / HOUR, 6)}


def test_on_its_first_day_all_hours_count_and_an_absence_always_goes_on() -> None:
    """One hour a night is no rate of a day; a silence lasts until now; what recovered lasted until then."""
    nightly = {"support-triage": ONSET + HOUR}
    assert hours_of(finding(), ONSET + 9 * HOUR, nightly) == 9
    assert hours_of(finding(), ONSET + 50 * HOUR, nightly) == 24
    assert hours_of(finding(Kind.SILENCE), ONSET + 50 * HOUR, nightly) == 50
    assert hours_of(finding(), NOW, {}) == (NOW - ONSET) / HOUR
    assert hours_of(replace(finding(), recovered=ONSET + 2 * HOUR), NOW, nightly) == 2
