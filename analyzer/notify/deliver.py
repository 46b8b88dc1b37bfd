"""Delivery: for each incident and route a reason, then the message, then the record that it was sent.

The record is written after the message went out. A crash between the two sends the message again with the next run;
the other order would lose it, and a doubled message costs less than a lost one. A route that fails is a Gap in the
report, and since nothing was recorded the next run tries again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from analyzer.errors import AnalyzerError, DeliveryError
from analyzer.notify.base import Message, RateLimitedError, Route
from analyzer.notify.reasons import reason
from analyzer.stores.base import IncidentStore
from analyzer.types.report import Gap, Incident, Kind, State
from analyzer.types.sent import Reason, Sent
from analyzer.types.watch import Unwatched, Watch

CATCH_UP = timedelta(days=3)
"""How long after its resolution an incident is still spoken of where the message about it failed: a weekend."""

Send = Callable[[Message], None]
Retry = Callable[[Send], Send]
"""Gives a sending function that tries again where `worth_it` says so; `retry.retrying` with its arguments filled in."""

_UNWATCHED = Unwatched()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that went out."""

    incident_id: str
    route: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one run said, and what it could not say."""

    deliveries: tuple[Delivery, ...]
    gaps: tuple[Gap, ...]


def worth_it(error: BaseException) -> bool:
    """Say whether sending again could help, for the retry."""
    return isinstance(error, DeliveryError) and error.retryable


def wait_s(error: BaseException) -> float | None:
    """Return the seconds the other side asked to wait, for the retry; None where it did not say."""
    return error.retry_after_s if isinstance(error, RateLimitedError) else None


def once(send: Send) -> Send:
    """Try once: the retry for routes that cannot fail for a moment."""
    return send


def deliver(
    incidents: Sequence[Incident],
    routes: Sequence[Route],
    store: IncidentStore,
    at: datetime,
    *,
    retry: Retry = once,
    watch: Watch = _UNWATCHED,
) -> Delivered:
    """Send on every route what there is to say; raise nothing.

    Besides the given incidents, those resolved in the last three days are looked at again: a resolution whose
    message failed is not in a later run's list.
    """
    deliveries: list[Delivery] = []
    gaps: list[Gap] = []
    try:
        candidates = [*incidents, *_resolved_lately(store, {incident.id for incident in incidents}, at)]
    except AnalyzerError as error:
        gaps.append(_store_gap(error))
        candidates = list(incidents)
    silent = any(_is_fleet_silence(incident) for incident in candidates)
    for route in routes:
        _deliver_route(_Round(route, store, at, retry, watch, silent), candidates, deliveries, gaps)
    return Delivered(tuple(deliveries), tuple(gaps))


@dataclass(frozen=True, slots=True)
class _Round:
    """One route in one run."""

    route: Route
    store: IncidentStore
    at: datetime
    retry: Retry
    watch: Watch
    silent: bool
    """Whether the whole fleet is silent."""


def _is_fleet_silence(incident: Incident) -> bool:
    over = incident.state in {State.RESOLVED, State.DISMISSED}
    return incident.kind is Kind.SILENCE and incident.subject.agent is None and not over


def _resolved_lately(store: IncidentStore, known: set[str], at: datetime) -> Iterable[Incident]:
    for incident in store.incidents():
        closed_at = incident.resolved_at if incident.state is State.RESOLVED else None
        if closed_at is not None and at - CATCH_UP <= closed_at <= at and incident.id not in known:
            yield incident


def _deliver_route(this: _Round, candidates: Sequence[Incident], deliveries: list[Delivery], gaps: list[Gap]) -> None:
    failures: list[str] = []
    waiting = 0
    dead = False
    for incident in candidates:
        try:
            last = this.store.last_sent(incident.id, this.route.name)
            why = reason(incident, last, at=this.at, silent=this.silent)
            if why is None:
                continue
            if dead:
                waiting += 1
                continue
            _send(Message(why, incident, this.at, last), this)
        except DeliveryError as error:
            waiting += 1
            failures.append(str(error))
            # After the retries the route itself is down: each further message would only wait as long again.
            dead = error.retryable
        except AnalyzerError as error:
            gaps.append(_store_gap(error))
            return
        except Exception as error:  # noqa: BLE001 - one broken route must silence neither the others nor the run
            waiting += 1
            failures.append(f"{type(error).__name__} while sending")
        else:
            deliveries.append(Delivery(incident.id, this.route.name, why))
            gap = _record(incident, why, this)
            if gap is not None:
                gaps.append(gap)
    if failures:
        what = f"messages to {this.route.name}"
        why_not = f"{waiting} not delivered: {'; '.join(dict.fromkeys(failures))}"
        hint = this.route.hint or "check the route's settings with `analyzer doctor`"
        gaps.append(Gap(what, why_not, f"{hint}; the next run tries again"))


def _send(message: Message, this: _Round) -> None:
    name = f"deliver {this.route.name}"
    with this.watch.span(name, input=f"{message.reason.value} {message.incident.id}"):
        this.retry(this.route.notifier.send)(message)


def _record(incident: Incident, why: Reason, this: _Round) -> Gap | None:
    observed = incident.observed if math.isfinite(incident.observed) else 0.0
    sent = Sent(why, this.at, incident.state, incident.severity, observed)
    try:
        this.store.record_sent(incident.id, this.route.name, sent)
    except AnalyzerError as error:
        return replace(_store_gap(error), hint="the next run may send the same message again")
    return None


def _store_gap(error: AnalyzerError) -> Gap:
    return Gap("what was already said", str(error), "the store must be readable; the next run tries again")
