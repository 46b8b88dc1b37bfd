"""Delivery: for each incident and route a reason, then the message, then the record that it was sent.

The record is written after the message went out. A crash between the two sends the message again with the next run;
the other order would lose it, and a doubled message costs less than a lost one. A route that fails is a Gap in the
report, and since nothing was recorded the next run tries again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from analyzer.errors import AnalyzerError, DeliveryError, RateLimitedError
from analyzer.notify.base import Digest, DigestNotifier, Message, Remarking, Route
from analyzer.notify.plan import LATELY, planned
from analyzer.notify.reasons import is_fleets_silence, reason
from analyzer.stores.base import IncidentStore
from analyzer.types.policy import AT_ONCE, Policy, policy_of
from analyzer.types.report import Gap, Incident, State
from analyzer.types.sent import Delivered, Delivery, Held, Reason, Sent, figures_of
from analyzer.types.watch import Unwatched, Watch

CATCH_UP = timedelta(days=3)
"""How long after its resolution an incident is still spoken of on a route that never heard of it: a weekend."""

_Said = TypeVar("_Said", Message, Digest)
Send = Callable[..., None]
Retry = Callable[[Send], Send]
"""Gives a sending function that tries again where `worth_it` says so; `retry.retrying` with its arguments filled in."""

_UNWATCHED = Unwatched()
_NO_WISHES: Mapping[str, Mapping[str, Any]] = {}


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
    policies: Mapping[str, Mapping[str, Any]] = _NO_WISHES,
) -> Delivered:
    """Send on every route what there is to say and its policy does not hold back; raise nothing.

    `policies` are the settings `[notify]`, over AT_ONCE for routes without digests and over Policy() for the others.
    Besides the given incidents the resolved ones are looked at again: a resolution whose message failed or waited is
    not in a later run's list.
    """
    gaps: list[Gap] = []
    candidates = list(incidents)
    try:
        candidates = _as_they_stand(incidents, store.incidents(), at)
    except AnalyzerError as error:
        gaps.append(_store_gap(error))
    over = {State.RESOLVED, State.DISMISSED}
    silent = any(is_fleets_silence(incident) and incident.state not in over for incident in candidates)
    done = Delivered(gaps=tuple(gaps))
    for route in routes:
        default = Policy() if isinstance(route.notifier, DigestNotifier) else AT_ONCE
        this = _Round(route, policy_of(policies, route.name, default), store, at, retry, watch, silent)
        one = this.delivered(candidates)
        done = Delivered(
            done.deliveries + one.deliveries, done.gaps + one.gaps, done.held + one.held, done.missed + one.missed
        )
    return done


def _as_they_stand(incidents: Sequence[Incident], kept: Iterable[Incident], at: datetime) -> list[Incident]:
    """Return what may be spoken of: the given incidents, and all others that are over.

    Where a human spoke while the run was at work, the store knows and the run does not: what was dismissed meanwhile
    wakes nobody.
    """
    stored = {incident.id: incident for incident in kept}
    given = [stored[one.id] if one.id in stored and stored[one.id].heard > one.heard else one for one in incidents]
    names = {incident.id for incident in incidents}
    over = (one for one in stored.values() if one.state is State.RESOLVED and one.id not in names)
    return [*given, *(one for one in over if one.resolved_at is not None and one.resolved_at <= at)]


def _is_stale(incident: Incident, last: Sent | None, at: datetime) -> bool:
    """Say whether what is over is too old to begin with: a new route does not tell the whole past.

    The end of what was told is owed, however long the route was down; and what was muted is new when the mute ends.
    """
    if incident.state is not State.RESOLVED or (last is not None and last.state is not State.RESOLVED):
        return False
    times = [time for time in (incident.resolved_at, incident.muted_until) if time is not None and time <= at]
    return bool(times) and max(times) < at - CATCH_UP


class _Round:
    """One route in one run."""

    def __init__(
        self, route: Route, policy: Policy, store: IncidentStore, at: datetime, retry: Retry, watch: Watch, silent: bool
    ) -> None:
        self._route = route
        self._policy = policy
        self._store = store
        self._at = at
        self._retry = retry
        self._watch = watch
        self._silent = silent
        """Whether the whole fleet is silent."""
        self._deliveries: list[Delivery] = []
        self._gaps: list[Gap] = []
        self._failures: list[str] = []
        self._missed = 0
        self._dead = False

    def delivered(self, candidates: Sequence[Incident]) -> Delivered:
        """Send what is due and may go out; return what was said, what waits and what failed."""
        try:
            due = [message for incident in candidates if (message := self._due(incident)) is not None]
            plan = planned(due, self._policy, self._at, self._store.sent_since(self._route.name, self._at - LATELY))
        except AnalyzerError as error:
            return Delivered(gaps=(_store_gap(error),))
        notifier = self._route.notifier
        for message in plan.single:
            self._say(notifier.send, message, (message,))
        if plan.together and isinstance(notifier, DigestNotifier):
            self._say(notifier.send_digest, Digest(plan.together, self._at, plan.storm), plan.together)
        else:
            for message in plan.together:
                self._say(notifier.send, message, (message,))
        self._name_failures()
        if isinstance(notifier, Remarking):
            self._gaps += notifier.remarks()
        held = tuple(
            Held(one.message.incident.id, self._route.name, one.message.reason, one.why) for one in plan.waiting
        )
        missed = ((self._route.name, self._missed),) if self._missed else ()
        return Delivered(tuple(self._deliveries), tuple(self._gaps), held, missed)

    def _due(self, incident: Incident) -> Message | None:
        last = self._store.last_sent(incident.id, self._route.name)
        if _is_stale(incident, last, self._at):
            return None
        why = reason(incident, last, at=self._at, silent=self._silent, policy=self._policy)
        return None if why is None else Message(why, incident, self._at, last)

    def _say(self, send: Callable[[_Said], None], said: _Said, messages: Sequence[Message]) -> None:
        """Send and record; after the retries of one message the route itself is down, and the rest waits."""
        if self._dead:
            self._missed += len(messages)
            return
        texts = [f"{message.reason.value} {message.incident.id}" for message in messages]
        try:
            about: dict[str, Any] = {"analyzer.incident.ids": [message.incident.id for message in messages]}
            with self._watch.span(f"deliver {self._route.name}", input=", ".join(texts), **about):
                self._retry(send)(said)
        except DeliveryError as error:
            self._missed += len(messages)
            self._failures.append(str(error))
            # Each further message would only wait as long again.
            self._dead = error.retryable
        except Exception as error:  # noqa: BLE001 - one broken route must silence neither the others nor the run
            self._missed += len(messages)
            self._failures.append(f"{type(error).__name__} while sending")
        else:
            self._record(said, messages)

    def _record(self, said: object, messages: Sequence[Message]) -> None:
        """Keep what was said, of one message all or nothing: a digest of which half is known would be told again.

        A storm counts as one message above the digest.
        """
        above = isinstance(said, Message) or (isinstance(said, Digest) and said.storm)
        sent: dict[str, Sent] = {}
        for message in messages:
            why = message.reason if above and not sent else Reason.DIGEST
            incident = message.incident
            observed = incident.observed if math.isfinite(incident.observed) else 0.0
            figures = figures_of(incident, incident.kind)
            sent[incident.id] = Sent(why, self._at, incident.state, incident.severity, observed, incident.kind, figures)
            self._deliveries.append(Delivery(incident.id, self._route.name, message.reason))
        try:
            self._store.record_sent(self._route.name, sent)
        except AnalyzerError as error:
            self._gaps.append(replace(_store_gap(error), hint="the next run may send the same message again"))

    def _name_failures(self) -> None:
        if self._failures:
            what = f"messages to {self._route.name}"
            why = f"{self._missed} not delivered: {'; '.join(dict.fromkeys(self._failures))}"
            hint = self._route.hint or "check the route's settings with `analyzer doctor`"
            self._gaps.append(Gap(what, why, f"{hint}; the next run tries again"))


def _store_gap(error: AnalyzerError) -> Gap:
    return Gap("what was already said", str(error), "the store must be readable; the next run tries again")
