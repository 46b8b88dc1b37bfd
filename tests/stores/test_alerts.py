from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.alerts import STARTS, alert

from analyzer.errors import StoreBusyError
from analyzer.stores import alerts as module
from analyzer.stores.alerts import LATE, REOPENED_AFTER, SqliteAlerts, Taken
from analyzer.stores.state import StateDatabase
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.alerts import HEARD_FOR, AlertAnswer, PrometheusAlert

NOW = STARTS + timedelta(hours=1)
LATER = NOW + timedelta(hours=4)


@pytest.fixture
def book(state: StateDatabase) -> SqliteAlerts:
    """Return an empty book, in each kind of database."""
    return SqliteAlerts(state)


def answer(one: PrometheusAlert, *ids: str, said: str = "nothing unusual") -> AlertAnswer:
    """Return an answer."""
    return AlertAnswer(one, ids, said)


def test_an_alert_waits_until_it_is_answered_and_is_then_told_again_without_waiting(book) -> None:
    """`repeat_interval` sends the same firing again: it is known, and calls for no second run."""
    assert book.take([alert()], NOW) == Taken(1, 0)
    assert book.waiting() == 1
    book.answer([answer(alert(), "inc-1")], NOW)
    assert book.waiting() == 0
    assert book.take([alert()], LATER) == Taken(0, 1)
    assert book.waiting() == 0
    [kept] = book.asked(LATER)
    assert (kept.alert, kept.incidents, kept.said) == (alert(), ("inc-1",), "nothing unusual")
    assert (kept.received_at, kept.answered_at) == (NOW, NOW)


def test_an_end_is_answered_once_more_and_then_done_with(book) -> None:
    """What is over is asked until a run has seen its end; being told again afterwards does not begin it anew."""
    over = alert(ends_at=NOW + timedelta(minutes=5))
    book.take([alert()], NOW)
    book.answer([answer(alert())], NOW)
    assert book.take([over], LATER) == Taken(0, 1)
    [kept] = book.asked(LATER)
    assert kept.alert == over
    assert not kept.is_waiting
    book.answer([answer(over, "inc-1")], LATER)
    assert book.asked(LATER) == []
    assert book.take([over], LATER + timedelta(hours=1)) == Taken(0, 1)
    assert book.asked(LATER) == []


def test_a_firing_that_was_over_and_is_told_again_is_open_again(book) -> None:
    """With the beginning that it had: it waits for a run, and its next end is an end."""
    book.take([alert(ends_at=NOW)], NOW)
    book.answer([answer(alert(ends_at=NOW), "inc-1")], NOW)
    again = NOW + REOPENED_AFTER
    assert book.take([alert()], again) == Taken(1, 0)
    assert book.waiting() == 1
    [kept] = book.asked(again)
    assert (kept.alert.ends_at, kept.received_at, kept.answered_at, kept.incidents) == (None, again, None, ())
    book.answer([answer(alert())], again)
    assert book.take([alert(ends_at=LATER)], LATER) == Taken(0, 1)
    assert [one.alert.ends_at for one in book.asked(LATER)] == [LATER]


def test_a_firing_that_comes_late_does_not_open_what_is_over(book) -> None:
    """Of two Alertmanagers the slower one tells of what it saw before the end."""
    book.take([alert(ends_at=NOW)], NOW)
    book.answer([answer(alert(ends_at=NOW), "inc-1")], NOW)
    late = NOW + REOPENED_AFTER - timedelta(seconds=1)
    assert book.take([alert()], late) == Taken(0, 1)
    assert (book.waiting(), book.asked(late)) == (0, [])


def test_an_incident_may_be_found_for_a_day_after_the_end(book) -> None:
    """What a rule sees in a minute may take a detector hours: without an incident it is asked again until then."""
    over = alert(ends_at=NOW)
    book.take([over], NOW)
    book.answer([answer(over)], NOW)
    book.answer([answer(over)], NOW + LATE)
    assert [one.alert for one in book.asked(NOW + LATE)] == [over]
    book.answer([answer(over)], NOW + LATE + timedelta(minutes=1))
    assert book.asked(NOW + LATE) == []


def test_an_end_that_came_during_the_run_is_left_to_the_next(book) -> None:
    """A run answers what it saw: it saw the alert fire."""
    book.take([alert()], NOW)
    book.take([alert(ends_at=NOW)], NOW)
    book.answer([answer(alert())], NOW)
    assert [one.alert.ends_at for one in book.asked(LATER)] == [NOW]


def test_an_alert_that_is_over_before_anybody_looked_calls_for_no_run(book) -> None:
    """It is answered by the next run there is."""
    book.take([alert(ends_at=NOW)], NOW)
    assert book.waiting() == 0
    assert [one.alert.ends_at for one in book.asked(NOW)] == [NOW]


def test_the_same_rule_that_fires_again_is_new(book) -> None:
    """Another beginning is another firing."""
    again = alert(starts_at=STARTS + timedelta(minutes=30))
    book.take([alert(ends_at=NOW)], NOW)
    assert book.take([again], NOW) == Taken(1, 0)
    assert book.waiting() == 1


def test_what_fires_unheard_for_days_is_no_longer_asked(book) -> None:
    """An Alertmanager that died leaves no alert that fires for ever; one that nobody answered yet stays."""
    book.take([alert(), alert(fingerprint="1")], NOW)
    book.answer([answer(alert())], NOW)
    assert len(book.asked(NOW + HEARD_FOR)) == 2
    assert [one.alert.fingerprint for one in book.asked(NOW + HEARD_FOR + timedelta(seconds=1))] == ["1"]


def test_a_run_in_the_past_is_not_asked_about_what_came_later(book) -> None:
    """Whoever walks through history knows of no alert of its future."""
    book.take([alert()], NOW)
    assert book.asked(STARTS - timedelta(hours=2)) == []


def test_what_waits_is_bounded_and_refused_whole(book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound nothing of a request is kept, so that sending it again later is right; what is known passes."""
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    many = [alert(fingerprint=f"{number:x}") for number in range(5)]
    book.take(many[:3], NOW)
    with pytest.raises(StoreBusyError, match="more than 3 alerts wait"):
        book.take(many[2:], NOW)
    assert book.waiting() == 3
    assert book.take(many[:3], LATER) == Taken(0, 3)


def test_old_answers_go_and_what_waits_stays(book, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is bounded; an alert without an answer is never thrown away."""
    monkeypatch.setattr(module, "KEPT_MAX", 2)
    old = alert(fingerprint="a")
    book.take([old, alert(fingerprint="b")], NOW)
    book.answer([answer(old)], NOW)
    book.take([alert(fingerprint=f"c{number}") for number in range(3)], LATER)
    assert {one.alert.fingerprint for one in book.latest(10)} == {"b", "c0", "c1", "c2"}


def test_what_was_over_before_any_run_is_bounded_as_well(book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends that nobody waits for call for no run: without a bound they would fill the store where none comes."""
    monkeypatch.setattr(module, "KEPT_MAX", 2)
    for number in range(5):
        book.take([alert(fingerprint=f"over{number}", ends_at=NOW)], NOW + timedelta(minutes=number))
    assert {one.alert.fingerprint for one in book.latest(10)} == {"over3", "over4"}


STEPS = st.lists(
    st.tuples(st.sampled_from(["fires", "ends", "run"]), st.integers(0, 2), st.booleans()), min_size=1, max_size=20
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_comes_in_any_order_is_answered_and_waits_only_once(tmp_path_factory, steps) -> None:
    """After a run nothing waits, and a firing that was answered waits again only where it was over for a while."""
    with SqliteTrajectories(tmp_path_factory.mktemp("alerts") / "store.db") as store:
        book = SqliteAlerts(store.connection)
        answered: set[str] = set()
        over: dict[str, datetime] = {}
        at = NOW
        for what, number, _ in steps:
            at += timedelta(minutes=1)
            one = alert(fingerprint=f"{number}", ends_at=at if what == "ends" else None)
            if what == "run":
                asked = book.asked(at)
                book.answer([answer(entry.alert) for entry in asked], at)
                answered |= {entry.alert.fingerprint for entry in asked}
                assert book.waiting() == 0
            else:
                if what == "ends":
                    over.setdefault(one.fingerprint, at)
                elif one.fingerprint in over and at >= over[one.fingerprint] + REOPENED_AFTER:
                    del over[one.fingerprint]
                    answered.discard(one.fingerprint)
                book.take([one], at)
            waiting = {entry.alert.fingerprint for entry in book.latest(9) if entry.is_waiting}
            assert waiting & answered == set()
            assert len(waiting) == book.waiting()
