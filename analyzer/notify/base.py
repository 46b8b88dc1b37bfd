"""What a route is: something with a name that takes messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from analyzer.types.report import Gap, Incident
from analyzer.types.sent import Reason, Sent


@dataclass(frozen=True, slots=True)
class Message:
    """What is said about one incident, and why."""

    reason: Reason
    incident: Incident
    at: datetime
    """The run's now."""
    last: Sent | None = None
    """What was said about it before on the same route."""


class Notifier(Protocol):
    """Sends one message. Says of a failure whether trying again could help; does not try again itself."""

    def send(self, message: Message) -> None:
        """Send a message, in bounded time. Raises DeliveryError."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Several messages that are told as one, worst first; each has a reason of its own, never DIGEST."""

    messages: tuple[Message, ...]
    at: datetime
    """The run's now."""
    storm: bool = False
    """Whether they are one because they came all at once, and not because they could wait."""


@runtime_checkable
class DigestNotifier(Notifier, Protocol):
    """A notifier that can tell several messages as one, listing them all.

    To one that cannot, such as one that a program reads, the same messages are sent one by one.
    """

    def send_digest(self, digest: Digest) -> None:
        """Send a digest, in bounded time. Raises DeliveryError."""


@runtime_checkable
class Remarking(Protocol):
    """A notifier whose messages can go out with something missing that is no reason to send them again."""

    def remarks(self) -> tuple[Gap, ...]:
        """Return what was missing since it was asked last."""


@dataclass(frozen=True, slots=True)
class Route:
    """A notifier under the name by which it is remembered what was said there."""

    name: str
    notifier: Notifier
    hint: str = ""
    """What the operator can do when it fails."""


class RecordedNotifier:
    """Keeps what it is sent, and fails as it is told: the fake beside the real ones."""

    def __init__(self, failures: tuple[Exception | None, ...] = ()) -> None:
        self.messages: list[Message] = []
        self.tries = 0
        self._failures = failures

    def send(self, message: Message) -> None:
        """Keep the message, or raise the failure that stands for this try."""
        self._fail()
        self.messages.append(message)

    def _fail(self) -> None:
        failure = self._failures[self.tries] if self.tries < len(self._failures) else None
        self.tries += 1
        if failure is not None:
            raise failure


class RecordedDigests(RecordedNotifier):
    """The same of a route that can tell several messages as one."""

    def __init__(self, failures: tuple[Exception | None, ...] = ()) -> None:
        super().__init__(failures)
        self.digests: list[Digest] = []

    def send_digest(self, digest: Digest) -> None:
        """Keep the digest, or raise the failure that stands for this try."""
        self._fail()
        self.digests.append(digest)
