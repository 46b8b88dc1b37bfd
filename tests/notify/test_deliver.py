from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from support.incidents import NOW, full_report, incident, loop_incident, resolved

from analyzer.errors import DeliveryError, RateLimitedError, StoreError
from analyzer.notify.base import RecordedDigests, RecordedNotifier, Route
from analyzer.notify.deliver import deliver, wait_s, worth_it
from analyzer.pipeline import memory as pipeline
from analyzer.render.message import message_outline
from analyzer.render.terminal import terminal
from analyzer.retry import retrying
from analyzer.types.report import Incident, Kind, Severity, State, Subject
from analyzer.types.sent import HELD_BACK, Delivered, Delivery, Reason, Sent
from analyzer.types.shared import Part
from analyzer.types.word import Said, Word

HOUR = timedelta(hours=1)
DOWN = DeliveryError("Slack failed (500)", retryable=True)
REFUSED = DeliveryError("Slack refused the message", retryable=False)


class Memory(pipeline.Memory):
    """The analyst's memory, of which `fail` breaks one call; `kept` is what it holds."""

    def __init__(self, *incidents: Incident) -> None:
        super().__init__()
        self.save_incidents(incidents, run_trace_id="")
        self.fail = ""

    def incidents(self, *, active_only: bool = False) -> list[Incident]:
        """Return what is kept."""
        self._break("incidents")
        return super().incidents(active_only=active_only)

    def last_sent(self, incident_id: str, route: str) -> Sent | None:
        """Return what was last said."""
        self._break("last_sent")
        return super().last_sent(incident_id, route)

    def record_sent(self, route: str, sent: Mapping[str, Sent]) -> None:
        """Record a message."""
        self._break("record_sent")
        super().record_sent(route, sent)

    def _break(self, call: str) -> None:
        if self.fail == call:
            raise StoreError("the store is gone")


def retry(waits: list[float]) -> Callable:
    """Return the program's own retry with waits that are noted instead of slept."""
    return partial(retrying, worth_it=worth_it, wait_s=wait_s, sleep=waits.append)


def reasons(notifier: RecordedNotifier) -> list[tuple[str, Reason]]:
    """Return what was sent: incident and reason."""
    return [(message.incident.id, message.reason) for message in notifier.messages]


def test_incident_is_told_once_on_every_route() -> None:
    """Each route gets each incident once; a second run and a restart send nothing."""
    store, one, two = Memory(), RecordedNotifier(), RecordedNotifier()
    routes = [Route("slack", one), Route("stdout", two)]
    first = deliver([incident(), loop_incident()], routes, store, NOW)
    ids = ("inc-0123456789", "inc-00000000ab")
    assert first.deliveries == tuple(
        Delivery(name, route, Reason.FIRST_SEEN) for route in ("slack", "stdout") for name in ids
    )
    later = [replace(entry, state=State.ONGOING) for entry in (incident(), loop_incident())]
    again = deliver(later, [Route("slack", one), Route("stdout", two)], store, NOW + HOUR)
    assert (again.deliveries, again.gaps) == ((), ())
    assert len(one.messages) == len(two.messages) == 2


def test_life_of_an_incident_is_told_in_order() -> None:
    """First seen, worse, resolved, back again: a message each, in between none."""
    store, notifier = Memory(), RecordedNotifier()
    ongoing = incident(state=State.ONGOING)
    walk = [
        incident(),
        ongoing,
        replace(ongoing, observed=0.5),
        replace(ongoing, observed=0.5),
        resolved(ongoing, NOW + 4 * HOUR),
        resolved(ongoing, NOW + 4 * HOUR),
        replace(ongoing, state=State.REGRESSED),
        ongoing,
    ]
    for number, form in enumerate(walk):
        deliver([form], [Route("slack", notifier)], store, NOW + number * HOUR)
    assert [reason for _, reason in reasons(notifier)] == [
        Reason.FIRST_SEEN,
        Reason.GOT_WORSE,
        Reason.RESOLVED,
        Reason.REGRESSED,
    ]


def test_a_message_about_what_got_worse_carries_what_was_said_before() -> None:
    """The route gets the last message's figures with the new one, so that it can say what rose."""
    store, notifier = Memory(), RecordedNotifier()
    for number, observed in enumerate((0.31, 0.5)):
        deliver([incident(observed=observed)], [Route("slack", notifier)], store, NOW + number * HOUR)
    first, worse = notifier.messages
    assert first.last is None
    assert worse.last is not None
    assert (worse.last.at, worse.last.observed) == (NOW, 0.31)


def test_a_silent_fleet_makes_no_agent_worse() -> None:
    """While an incident says that the whole fleet is silent, no agent's rise is told; afterwards it is."""
    store, notifier = Memory(), RecordedNotifier()
    silence = incident(id="inc-silence000", kind=Kind.SILENCE, subject=Subject())
    worse = incident(state=State.ONGOING, observed=0.9)
    for number, forms in enumerate(([incident()], [silence, worse], [worse])):
        deliver(forms, [Route("slack", notifier)], store, NOW + number * HOUR)
    assert reasons(notifier) == [
        ("inc-0123456789", Reason.FIRST_SEEN),
        ("inc-silence000", Reason.FIRST_SEEN),
        ("inc-0123456789", Reason.GOT_WORSE),
    ]


def test_a_silence_that_agents_share_is_not_the_fleets() -> None:
    """Where some agents are silent and named, what others do is seen: their rise is told."""
    store, notifier = Memory(), RecordedNotifier()
    parts = tuple(Part(name, "silence", NOW, 0.0, 9.0, "trajectories per hour", 0, 0, None, 0.5) for name in "ab")
    silence = incident(id="inc-silence000", kind=Kind.SILENCE, subject=Subject(provider="p"), agents=parts)
    worse = incident(state=State.ONGOING, observed=0.9)
    for number, forms in enumerate(([incident()], [silence, worse])):
        deliver(forms, [Route("slack", notifier)], store, NOW + number * HOUR)
    assert ("inc-0123456789", Reason.GOT_WORSE) in reasons(notifier)


def test_failed_route_is_a_gap_and_is_tried_again() -> None:
    """A message that failed is not recorded: the run names it in a gap, and the next run sends it."""
    store, notifier = Memory(), RecordedNotifier((REFUSED,))
    routes = [Route("slack", notifier, hint="check ANALYZER_SLACK_WEBHOOK_URL")]
    first = deliver([incident()], routes, store, NOW)
    (gap,) = first.gaps
    assert (gap.what, gap.why) == ("messages to slack", "1 not delivered: Slack refused the message")
    assert gap.hint == "check ANALYZER_SLACK_WEBHOOK_URL; the next run tries again"
    assert store.last_sent(incident().id, "slack") is None
    second = deliver([replace(incident(), state=State.ONGOING)], routes, store, NOW + HOUR)
    assert second.gaps == ()
    assert reasons(notifier) == [("inc-0123456789", Reason.FIRST_SEEN)]


def test_resolution_whose_message_failed_is_told_by_the_next_run() -> None:
    """A resolved incident leaves the list of later runs, but not before it was told, however long that takes."""
    done = resolved(incident(), NOW)
    store, notifier = Memory(done), RecordedNotifier((None, REFUSED))
    routes = [Route("slack", notifier)]
    deliver([incident()], routes, store, NOW - HOUR)
    assert len(deliver([done], routes, store, NOW).gaps) == 1
    later = NOW + timedelta(days=40)
    assert deliver([], routes, store, later).deliveries == (Delivery("inc-0123456789", "slack", Reason.RESOLVED),)
    assert deliver([], routes, store, later + HOUR).deliveries == ()


def test_a_new_route_does_not_tell_the_whole_past() -> None:
    """What was over for more than three days when a route is set up is no news on it; what was muted till now is."""
    old = resolved(incident(), NOW - timedelta(days=4))
    muted = resolved(replace(loop_incident(), muted_until=NOW - HOUR), NOW - timedelta(days=4))
    done = deliver([], [Route("slack", RecordedNotifier())], Memory(old, muted), NOW)
    assert done.deliveries == (Delivery(muted.id, "slack", Reason.FIRST_SEEN),)


def test_what_was_dismissed_while_the_run_was_at_work_wakes_nobody() -> None:
    """A run knows nothing of a word that was said after it began; delivery asks the store once more."""
    store, notifier = Memory(incident()), RecordedNotifier()
    store.say(incident().id, Word(0, Said.DISMISSED, NOW, "ada"))
    deliver([incident()], [Route("slack", notifier)], store, NOW)
    assert notifier.messages == []


def test_retry_helps_where_the_notifier_says_it_could() -> None:
    """A failure that may pass is tried again in the same run; the wait asked for is kept."""
    waits: list[float] = []
    notifier = RecordedNotifier((DOWN, RateLimitedError("wait", retry_after_s=3)))
    done = deliver([incident()], [Route("slack", notifier)], Memory(), NOW, retry=retry(waits))
    assert len(done.deliveries) == 1
    assert notifier.tries == 3
    assert waits[1] == 3


def test_refusal_is_not_tried_again() -> None:
    """What will be refused again is tried once, and the other incidents of the route still go out."""
    notifier = RecordedNotifier((REFUSED,))
    done = deliver([incident(), loop_incident()], [Route("slack", notifier)], Memory(), NOW, retry=retry([]))
    assert notifier.tries == 2
    assert [delivery.incident_id for delivery in done.deliveries] == ["inc-00000000ab"]
    assert done.gaps[0].why.startswith("1 not delivered")


def test_dead_route_is_given_up_for_this_run() -> None:
    """After a route failed for good no further message waits for it; the gap counts them, other routes go on."""
    dead, alive = RecordedNotifier((DOWN,) * 9), RecordedNotifier()
    routes = [Route("slack", dead), Route("stdout", alive)]
    done = deliver([incident(), loop_incident()], routes, Memory(), NOW, retry=retry([]))
    assert dead.tries == 3
    assert len(alive.messages) == 2
    assert [gap.why for gap in done.gaps] == ["2 not delivered: Slack failed (500)"]


def test_broken_notifier_does_not_break_the_run() -> None:
    """A defect in one route is a gap without its text, which may hold a secret; the others are served."""
    broken, alive = RecordedNotifier((ValueError("https://hooks.example/secret"),)), RecordedNotifier()
    done = deliver([incident()], [Route("slack", broken), Route("stdout", alive)], Memory(), NOW)
    assert len(alive.messages) == 1
    assert [gap.why for gap in done.gaps] == ["1 not delivered: ValueError while sending"]


@pytest.mark.parametrize(
    ("call", "messages", "hint"),
    [
        ("incidents", 1, "the store must be readable; the next run tries again"),
        ("last_sent", 0, "the store must be readable; the next run tries again"),
        ("record_sent", 1, "the next run may send the same message again"),
    ],
)
def test_store_that_fails_is_a_gap(call: str, messages: int, hint: str) -> None:
    """Without its memory delivery says nothing twice on purpose; it raises nothing and names what happened."""
    store, notifier = Memory(), RecordedNotifier()
    store.fail = call
    done = deliver([incident()], [Route("slack", notifier)], store, NOW)
    assert len(notifier.messages) == messages
    assert [(gap.what, gap.why, gap.hint) for gap in done.gaps] == [
        ("what was already said", "the store is gone", hint)
    ]


def test_a_message_from_the_future_silences_nothing() -> None:
    """A run at a wrong time may have told of an incident; what is due is decided by what was said, not when."""
    store, notifier = Memory(), RecordedNotifier()
    routes = [Route("slack", notifier)]
    deliver([incident()], routes, store, NOW + 1000 * HOUR)
    deliver([resolved(incident(), NOW)], routes, store, NOW)
    assert [message.reason for message in notifier.messages] == [Reason.FIRST_SEEN, Reason.RESOLVED]


def test_number_that_is_not_finite_can_be_recorded() -> None:
    """What was said is kept in a database: a figure that is not finite is kept as 0."""
    store = Memory()
    deliver([incident(observed=float("nan"))], [Route("slack", RecordedNotifier())], store, NOW)
    last = store.last_sent("inc-0123456789", "slack")
    assert last is not None
    assert last.observed == 0.0


def low(number: int, **fields: Any) -> Incident:
    """Return an incident that waits for the digest, opened in the night before NOW."""
    return incident(id=f"inc-{number:010}", severity=Severity.LOW, opened_at=NOW - 12 * HOUR, **fields)


def test_a_digest_is_one_message_and_each_of_its_incidents_is_told() -> None:
    """Once a day what waited goes out together; it is recorded whole, and told no second time."""
    store, notifier = Memory(low(1), low(2)), RecordedDigests()
    routes = [Route("slack", notifier)]
    done = deliver([low(1), low(2)], routes, store, NOW)
    (digest,) = notifier.digests
    assert [(one.incident.id, one.reason) for one in digest.messages] == [
        ("inc-0000000001", Reason.FIRST_SEEN),
        ("inc-0000000002", Reason.FIRST_SEEN),
    ]
    assert not digest.storm
    assert len(done.deliveries) == 2
    assert [one.reason for one in store.sent_since("slack", NOW - HOUR)] == [Reason.DIGEST, Reason.DIGEST]
    assert deliver([low(1), low(2)], routes, store, NOW + HOUR) == Delivered()
    assert (notifier.messages, len(notifier.digests)) == ([], 1)


def test_what_waits_is_named_with_the_reason() -> None:
    """A run that holds something back says what, on which route and until when; a report carries it as a note."""
    late = replace(low(1), opened_at=NOW)
    done = deliver([late], [Route("slack", RecordedDigests()), Route("stdout", RecordedNotifier())], Memory(), NOW)
    assert [one.route for one in done.deliveries] == ["stdout"]
    report = done.told_in(full_report())
    assert report.notes[HELD_BACK] == (
        "slack: FIRST_SEEN inc-0000000001 (below medium: waits for the digest at 09:00 UTC)"
    )
    assert report.gaps == full_report().gaps


def test_a_digest_that_failed_is_sent_by_the_next_run() -> None:
    """Nothing of it was recorded, so that all of it is due again; the gap counts its messages."""
    store, notifier = Memory(), RecordedDigests((REFUSED,))
    routes = [Route("slack", notifier)]
    first = deliver([low(1), low(2)], routes, store, NOW)
    assert [gap.why for gap in first.gaps] == ["2 not delivered: Slack refused the message"]
    deliver([low(1), low(2)], routes, store, NOW + HOUR)
    assert [len(one.messages) for one in notifier.digests] == [2]


def test_a_storm_is_one_message_and_one_of_the_days_budget() -> None:
    """Nine agents fall at once: one message names them all, and four more may come on the same day."""
    store, notifier = Memory(), RecordedDigests()
    routes = [Route("slack", notifier)]
    deliver([incident(id=f"inc-{number}") for number in range(9)], routes, store, NOW)
    assert [(len(one.messages), one.storm) for one in notifier.digests] == [(9, True)]
    for number in range(10, 15):
        deliver([incident(id=f"inc-{number}", opened_at=NOW)], routes, store, NOW + number * timedelta(minutes=15))
    assert [one.incident.id for one in notifier.messages] == ["inc-10", "inc-11", "inc-12", "inc-13"]


def test_a_route_without_digests_gets_the_same_messages_one_by_one() -> None:
    """Settings that let something wait hold for every route; one that knows no digest gets its messages singly."""
    store, notifier = Memory(), RecordedNotifier()
    wishes = {"hook": {"severity": Severity.MEDIUM}}
    late = [replace(low(number), opened_at=NOW) for number in (1, 2)]
    held = deliver(late, [Route("hook", notifier)], store, NOW, policies=wishes).held
    assert [one.incident_id for one in held] == ["inc-0000000001", "inc-0000000002"]
    deliver(late, [Route("hook", notifier)], store, NOW + 15 * HOUR, policies=wishes)
    assert [reason for _, reason in reasons(notifier)] == [Reason.FIRST_SEEN, Reason.FIRST_SEEN]


def test_what_goes_on_is_told_again_until_somebody_takes_it_up() -> None:
    """A day after the last message a high incident is told again; not where a human confirmed it, nor a medium one."""
    store, notifier = Memory(), RecordedDigests()
    forms = [
        incident(),
        incident(id="inc-known", word=Word(1, Said.CONFIRMED, NOW, "ada")),
        incident(id="inc-medium", severity=Severity.MEDIUM),
    ]
    for hours in range(0, 50, 6):
        deliver(forms, [Route("slack", notifier)], store, NOW + hours * HOUR)
    assert [reason for name, reason in reasons(notifier) if name == incident().id] == [
        Reason.FIRST_SEEN,
        Reason.REMINDER,
        Reason.REMINDER,
    ]
    assert len(notifier.messages) == 5


def test_an_incident_that_spreads_is_told_again() -> None:
    """From one agent to ten is news, told once, though no figure and no severity rose; the memory has each of them."""
    store, notifier = Memory(), RecordedNotifier()
    route = [Route("slack", notifier)]
    alone = incident(subject=Subject("agent-0"), observed=0.4)
    names = [f"agent-{number}" for number in range(10)]
    parts = tuple(Part(name, "cost", NOW, 0.4, 0.1, "USD", 1, 2, None, 0.1) for name in names)
    shared = replace(alone, state=State.ONGOING, subject=Subject(model="opus"), observed=0.4, agents=parts)
    store.save_incidents([alone], run_trace_id="")
    for hours, one in enumerate((alone, shared, shared)):
        deliver([one], route, store, NOW + hours * HOUR)
    assert reasons(notifier) == [(alone.id, Reason.FIRST_SEEN), (alone.id, Reason.GOT_WORSE)]
    message = notifier.messages[1]
    text = terminal(message_outline(message.incident, message.reason, message.at, message.last))
    assert "since the message of 18:00 UTC: 1 to 10 agents" in text
    last = store.last_sent(alone.id, "slack")
    assert last is not None
    assert (last.kind, last.figures) == (Kind.COST, tuple((name, 0.4) for name in names))
