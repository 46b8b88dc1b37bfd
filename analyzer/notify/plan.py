"""What of all that is due goes out now, what goes out together, and what waits. Pure.

Nobody is told less for it: what waits is due again in the next run, until it was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from analyzer.notify.base import Message
from analyzer.types.policy import Policy, digest_due, quiet_until
from analyzer.types.report import Severity
from analyzer.types.sent import Reason, Sent

DAY = timedelta(days=1)
LATELY = timedelta(hours=26)
"""How far back what was sent counts: a day for the budget, and the longest day between two digests."""
_ORDER = (Reason.FIRST_SEEN, Reason.REGRESSED, Reason.GOT_WORSE, Reason.REMINDER, Reason.RESOLVED)
"""Of one severity, news before what is known, and that before what is over."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits, and why."""

    message: Message
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with what is due on one route; each message is in one part."""

    single: tuple[Message, ...] = ()
    """Each by itself, worst first."""
    together: tuple[Message, ...] = ()
    """In one message, worst first."""
    storm: bool = False
    """Whether `together` is no digest but more at once than anybody can read one by one."""
    waiting: tuple[Waiting, ...] = ()


def planned(due: Sequence[Message], policy: Policy, at: datetime, lately: Sequence[Sent]) -> Plan:
    """Return what to do with the messages that are due on a route.

    `lately` is what was sent there in the last LATELY. Critical ones are told at once, whatever the hour and the
    budget; they count for the budget all the same. Where more are due at once than `policy.storm`, one message tells
    them all, and with them whatever waits.
    """
    now, waiting = _sorted_out(due, policy, at)
    spent = sum(sent.reason is not Reason.DIGEST and sent.at > at - DAY for sent in lately)
    left = None if policy.per_day is None else max(0, policy.per_day - spent)
    if policy.storm is not None and len(now) > policy.storm and (left != 0 or any(map(_is_critical, now))):
        return Plan(together=(*now, *(one.message for one in waiting)), storm=True)
    single: list[Message] = []
    for message in now:
        if left is None or len(single) < left or _is_critical(message):
            single.append(message)
        else:
            waiting.append(Waiting(message, f"{policy.per_day} messages a day are sent: waits for {_digest(policy)}"))
    if _digest_goes_out([one.message for one in waiting], policy, at, lately):
        return Plan(tuple(single), tuple(sorted((one.message for one in waiting), key=_rank)))
    return Plan(tuple(single), waiting=tuple(waiting))


def _sorted_out(due: Sequence[Message], policy: Policy, at: datetime) -> tuple[list[Message], list[Waiting]]:
    """Return what may be told at this hour, worst first, and what waits whatever the budget says."""
    quiet = quiet_until(policy, at)
    now: list[Message] = []
    waiting: list[Waiting] = []
    for message in sorted(due, key=_rank):
        least = policy.resolved if message.reason is Reason.RESOLVED else policy.severity
        if _severity(message).rank < least.rank and message.reason is not Reason.REMINDER:
            waiting.append(Waiting(message, f"below {least.value}: waits for {_digest(policy)}"))
        elif quiet is not None and not _is_critical(message):
            ends = quiet.astimezone(policy.zone)
            waiting.append(Waiting(message, f"quiet hours until {ends:%H:%M} {policy.zone}"))
        else:
            now.append(message)
    return now, waiting


def _digest_goes_out(waiting: Sequence[Message], policy: Policy, at: datetime, lately: Sequence[Sent]) -> bool:
    """Say whether a digest's hour has come for anything that waits, and none was sent since that hour."""
    if not waiting or quiet_until(policy, at) is not None:
        return False
    hour = digest_due(policy, at)
    if any(sent.reason is Reason.DIGEST and sent.at >= hour for sent in lately):
        return False
    return any(_due_since(message, policy) <= hour for message in waiting)


def _due_since(message: Message, policy: Policy) -> datetime:
    """Return when a message became due, as far as incident and memory tell; else the earliest that it can be."""
    incident, last = message.incident, message.last
    if last is None:
        return max(incident.opened_at, incident.muted_until or incident.opened_at)
    if message.reason is Reason.RESOLVED and incident.resolved_at is not None:
        return incident.resolved_at
    if message.reason is Reason.REMINDER and policy.remind_after is not None:
        return last.at + policy.remind_after
    return last.at


def _severity(message: Message) -> Severity:
    """Return how bad it is, or was when it was last told: what woke somebody is told as over just the same."""
    before = message.last.severity if message.last is not None else message.incident.severity
    return max(message.incident.severity, before, key=lambda one: one.rank)


def _is_critical(message: Message) -> bool:
    """Say whether a message may wake people: its incident is critical now. That it is over can wait."""
    return message.incident.severity is Severity.CRITICAL and message.reason is not Reason.RESOLVED


def _rank(message: Message) -> tuple[int, int]:
    return (-_severity(message).rank, _ORDER.index(message.reason))


def _digest(policy: Policy) -> str:
    return f"the digest at {policy.digest_at:%H:%M} {policy.zone}"
