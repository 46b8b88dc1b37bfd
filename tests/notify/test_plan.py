"""What goes out now, what goes out together, and what waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.incidents import incident

from analyzer.notify.base import Message
from analyzer.notify.plan import Plan, planned
from analyzer.types.policy import AT_ONCE, Policy, digest_due, quiet_until
from analyzer.types.report import Severity, State
from analyzer.types.sent import Reason, Sent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


def message(name: str, severity: Severity, reason: Reason = Reason.FIRST_SEEN, *, at: datetime = NOON) -> Message:
    """Return a message of an incident that was opened just now; one that is known was told two hours ago."""
    state = State.RESOLVED if reason is Reason.RESOLVED else State.ONGOING
    over = at if state is State.RESOLVED else None
    found = incident(id=f"inc-{name}", severity=severity, opened_at=at, state=state, resolved_at=over)
    last = None if reason is Reason.FIRST_SEEN else Sent(Reason.FIRST_SEEN, at - 2 * HOUR, State.OPEN, severity, 0.31)
    return Message(reason, found, at, last)


def said(reason: Reason = Reason.FIRST_SEEN, *, at: datetime) -> Sent:
    """Return what was said of something."""
    return Sent(reason, at, State.OPEN, Severity.HIGH, 1.0)


def names(messages: tuple[Message, ...]) -> list[str]:
    """Return the incidents of messages."""
    return [one.incident.id.removeprefix("inc-") for one in messages]


def reasons_of(plan: Plan) -> dict[str, str]:
    """Return why what waits waits."""
    return {one.message.incident.id.removeprefix("inc-"): one.why for one in plan.waiting}


def test_worst_goes_first_and_small_matters_wait() -> None:
    """At once: medium and worse of what is new, high and worse of what is over. The rest names what it waits for."""
    due = [
        message("small", Severity.LOW),
        message("over", Severity.HIGH, Reason.RESOLVED),
        message("mild-over", Severity.MEDIUM, Reason.RESOLVED),
        message("new", Severity.MEDIUM),
        message("bad", Severity.HIGH, Reason.GOT_WORSE),
    ]
    plan = planned(due, Policy(), NOON, ())
    assert names(plan.single) == ["bad", "over", "new"]
    assert plan.together == ()
    assert reasons_of(plan) == {
        "small": "below medium: waits for the digest at 09:00 UTC",
        "mild-over": "below high: waits for the digest at 09:00 UTC",
    }


def test_what_was_told_as_bad_is_told_as_over() -> None:
    """The end of what woke somebody is told at once, also where its severity has fallen since."""
    over = message("over", Severity.HIGH, Reason.RESOLVED)
    fallen = replace(over, incident=replace(over.incident, severity=Severity.LOW))
    assert names(planned([fallen], Policy(), NOON, ()).single) == ["over"]


def test_the_days_budget_is_kept_and_the_rest_waits() -> None:
    """Five messages in 24 hours; older ones and digests do not count; what waits says so."""
    lately = [said(at=NOON - 25 * HOUR), said(Reason.DIGEST, at=NOON - HOUR), *(said(at=NOON - HOUR) for _ in range(3))]
    plan = planned([message(str(number), Severity.HIGH) for number in range(4)], Policy(), NOON, lately)
    assert names(plan.single) == ["0", "1"]
    why = "5 messages a day are sent: waits for the digest at 09:00 UTC"
    assert reasons_of(plan) == {"2": why, "3": why}


def test_critical_ones_are_never_held_back() -> None:
    """Neither the budget nor the hour holds back what is critical; that it is over can wait for the morning."""
    night = Policy(per_day=0, quiet=(time(22), time(7)))
    at = NOON.replace(hour=23)
    due = [
        message("worst", Severity.CRITICAL, at=at),
        message("bad", Severity.HIGH, at=at),
        message("done", Severity.CRITICAL, Reason.RESOLVED, at=at),
    ]
    plan = planned(due, night, at, ())
    assert names(plan.single) == ["worst"]
    assert reasons_of(plan) == {"bad": "quiet hours until 07:00 UTC", "done": "quiet hours until 07:00 UTC"}


def test_a_storm_is_one_message_with_all_of_it() -> None:
    """More than five at once are one message, worst first, with what would have waited for the digest as well."""
    due = [message("small", Severity.LOW), *(message(str(number), Severity.HIGH) for number in range(6))]
    plan = planned(due, Policy(), NOON, ())
    assert (plan.single, plan.waiting, plan.storm) == ((), (), True)
    assert names(plan.together) == ["0", "1", "2", "3", "4", "5", "small"]
    assert len(planned(due[:6], Policy(), NOON, ()).single) == 5


def test_a_storm_over_the_budget_waits_unless_it_is_critical() -> None:
    """A storm is one message of the day's budget; one with a critical incident in it is told all the same."""
    due = [message(str(number), Severity.HIGH) for number in range(6)]
    spent = [said(at=NOON - HOUR)] * 5
    assert len(planned(due, Policy(), NOON, spent).waiting) == 6
    worse = [message("worst", Severity.CRITICAL), *due]
    assert names(planned(worse, Policy(), NOON, spent).together)[0] == "worst"


@pytest.mark.parametrize(
    ("opened", "at", "last_digest", "goes"),
    [
        (8, 9, None, True),  # the hour has come
        (9, 9, None, True),  # opened by the very run
        (10, 11, None, False),  # waits for the next morning
        (10, 33, None, True),
        (10, 47, None, True),  # runs are rare, or the first try failed
        (32, 34, 33, False),  # one digest a day
        (32, 57, 33, True),
    ],
)
def test_a_digest_goes_out_once_a_day_at_its_hour(opened: int, at: int, last_digest: int | None, goes: bool) -> None:
    """The first run at or after the hour sends what was due before it, also where the run at the hour failed."""
    day = NOON.replace(hour=0)
    now = day + opened * HOUR
    waiting = replace(message("small", Severity.LOW, at=now), at=day + at * HOUR)
    lately = [] if last_digest is None else [said(Reason.DIGEST, at=day + last_digest * HOUR)]
    plan = planned([waiting], Policy(), day + at * HOUR, lately)
    assert names(plan.together) == (["small"] if goes else [])
    assert not plan.storm


def test_quiet_hours_and_digests_go_by_the_clock_of_the_place() -> None:
    """In Berlin 22:00 to 07:00 is 21:00 to 06:00 UTC in winter and 20:00 to 05:00 in summer, over midnight."""
    policy = Policy(quiet=(time(22), time(7)), digest_at=time(8), zone=BERLIN)
    winter, summer = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)
    assert quiet_until(policy, winter + 20 * HOUR) is None
    assert quiet_until(policy, winter + 21 * HOUR) == winter + 30 * HOUR
    assert quiet_until(policy, winter + 5 * HOUR) == winter + 6 * HOUR
    assert quiet_until(policy, winter + 6 * HOUR) is None
    assert quiet_until(policy, summer + 20 * HOUR) == summer + 29 * HOUR
    assert digest_due(policy, winter + 7 * HOUR) == winter + 7 * HOUR
    assert digest_due(policy, summer + 5 * HOUR) == summer - 18 * HOUR


severities, told = st.sampled_from(list(Severity)), st.sampled_from([one for one in Reason if one is not Reason.DIGEST])
hours = st.integers(0, 23)
policies = st.builds(
    Policy,
    severity=severities,
    resolved=severities,
    per_day=st.none() | st.integers(0, 6),
    storm=st.none() | st.integers(0, 6),
    quiet=st.none() | st.just((time(22), time(7))),
    digest_at=hours.map(time),
    zone=st.sampled_from([UTC, BERLIN, ZoneInfo("Asia/Kolkata")]),
)


@given(st.lists(st.tuples(severities, told), max_size=12), policies, hours, st.integers(0, 7), st.booleans())
def test_nothing_is_lost_and_no_limit_is_passed(
    drawn: list[tuple[Severity, Reason]], policy: Policy, hour: int, spent: int, digested: bool
) -> None:
    """Each message is in one part; what is not critical keeps budget and quiet hours; a critical one never waits."""
    at = NOON.replace(hour=hour)
    due = [message(f"{number:02}", *one, at=at) for number, one in enumerate(drawn)]
    lately = [said(at=at - HOUR)] * spent + ([said(Reason.DIGEST, at=at)] if digested else [])
    plan = planned(due, policy, at, lately)
    parts = (*plan.single, *plan.together, *(one.message for one in plan.waiting))
    assert sorted(names(parts)) == sorted(names(tuple(due)))
    mild = [one for one in plan.single if one.incident.severity is not Severity.CRITICAL]
    if policy.per_day is not None:
        assert not mild or len(plan.single) + spent <= policy.per_day
    if policy.storm is not None:
        assert len(plan.single) <= policy.storm
    assert quiet_until(policy, at) is None or not mild
    assert not [
        one
        for one in plan.waiting
        if one.message.incident.severity is Severity.CRITICAL and one.message.reason is not Reason.RESOLVED
    ]


@given(st.lists(st.tuples(severities, told), max_size=12), hours)
def test_a_route_that_a_program_reads_gets_everything_at_once(drawn: list[tuple[Severity, Reason]], hour: int) -> None:
    """Without digests nothing waits, whatever the hour and the number."""
    at = NOON.replace(hour=hour)
    due = [message(f"{number:02}", *one, at=at) for number, one in enumerate(drawn)]
    plan = planned(due, AT_ONCE, at, [said(at=at - HOUR)] * 9)
    assert sorted(names(plan.single)) == sorted(names(tuple(due)))
