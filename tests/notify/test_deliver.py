from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from support.incidents import NOW, incident, loop_incident, resolved

from analyzer.errors import DeliveryError, StoreError
from analyzer.notify.base import RateLimitedError, RecordedNotifier, Route
from analyzer.notify.deliver import Delivery, deliver, wait_s, worth_it
from analyzer.retry import retrying
from analyzer.types.report import Incident, Kind, State, Subject
from analyzer.types.sent import Reason, Sent

HOUR = timedelta(hours=1)
DOWN = DeliveryError("Slack failed (500)", retryable=True)
REFUSED = DeliveryError("Slack refused the message", retryable=False)


class Memory:
    """The part of an `IncidentStore` that delivery uses, in a dict; `fail` breaks one call."""

    def __init__(self, *incidents: Incident) -> None:
        self.kept = list(incidents)
        self.sent: dict[tuple[str, str], Sent] = {}
        self.fail = ""

    def incidents(self, *, active_only: bool = False) -> list[Incident]:
        """Return what is kept."""
        self._break("incidents")
        return self.kept

    def last_sent(self, incident_id: str, route: str) -> Sent | None:
        """Return what was last said."""
        self._break("last_sent")
        return self.sent.get((incident_id, route))

    def record_sent(self, incident_id: str, route: str, sent: Sent) -> None:
        """Record a message."""
        self._break("record_sent")
        self.sent[(incident_id, route)] = sent

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


def test_failed_route_is_a_gap_and_is_tried_again() -> None:
    """A message that failed is not recorded: the run names it in a gap, and the next run sends it."""
    store, notifier = Memory(), RecordedNotifier((REFUSED,))
    routes = [Route("slack", notifier, hint="check ANALYZER_SLACK_WEBHOOK_URL")]
    first = deliver([incident()], routes, store, NOW)
    (gap,) = first.gaps
    assert (gap.what, gap.why) == ("messages to slack", "1 not delivered: Slack refused the message")
    assert gap.hint == "check ANALYZER_SLACK_WEBHOOK_URL; the next run tries again"
    assert store.sent == {}
    second = deliver([replace(incident(), state=State.ONGOING)], routes, store, NOW + HOUR)
    assert second.gaps == ()
    assert reasons(notifier) == [("inc-0123456789", Reason.FIRST_SEEN)]


def test_resolution_whose_message_failed_is_told_by_the_next_run() -> None:
    """A resolved incident leaves the list of later runs, but not before it was told; after three days it does."""
    done = resolved(incident(), NOW)
    store, notifier = Memory(done), RecordedNotifier((None, REFUSED))
    routes = [Route("slack", notifier)]
    deliver([incident()], routes, store, NOW - HOUR)
    assert len(deliver([done], routes, store, NOW).gaps) == 1
    assert deliver([], routes, store, NOW + timedelta(days=4)).deliveries == ()
    assert deliver([], routes, store, NOW + HOUR).deliveries == (Delivery("inc-0123456789", "slack", Reason.RESOLVED),)
    assert deliver([], routes, store, NOW + 2 * HOUR).deliveries == ()


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
    assert store.sent["inc-0123456789", "slack"].observed == 0.0
