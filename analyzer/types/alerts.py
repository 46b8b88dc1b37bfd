"""Alerts of somebody's Prometheus that came in by Alertmanager's webhook, and what the analyst has to say of each.

They are data like spans: an alert says that somebody's rule fires on an agent, and so when and where to look. It opens
no incident, makes none worse and closes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

HEARD_FOR = timedelta(days=3)
"""An alert that fires and is not told again for so long is taken to be over unheard: Alertmanager tells it again every
`repeat_interval`, 4 h unless set and hardly ever more than a day; what stopped is then Alertmanager, or its route."""


@dataclass(frozen=True, slots=True)
class PrometheusAlert:
    """One alert as it was last told. Its texts are masked; whoever shows them escapes them."""

    fingerprint: str
    """Of its labels, as Alertmanager counts it. With `starts_at` it names one firing of one rule."""
    name: str
    """The label `alertname`."""
    agent: str | None
    """What its labels call the agent; None where they name none: then it is about the fleet."""
    starts_at: datetime
    ends_at: datetime | None = None
    """None while it fires."""
    summary: str = ""
    url: str = ""
    """Where its rule is seen (generatorURL): http or https, or ""."""
    alertmanager_url: str = ""
    """Alertmanager's own page (externalURL): http or https, or ""."""

    @property
    def key(self) -> tuple[str, datetime]:
        """What tells one firing from another."""
        return self.fingerprint, self.starts_at


@dataclass(frozen=True, slots=True)
class AlertAnswer:
    """What a run has to say of an alert: the incidents that carry it, or why there is none."""

    alert: PrometheusAlert
    incidents: tuple[str, ...]
    """Ids, worst first."""
    said: str
    """In words, one line."""


@dataclass(frozen=True, slots=True)
class AlertAsked:
    """An alert in the store, and the answer it has so far."""

    alert: PrometheusAlert
    received_at: datetime
    answered_at: datetime | None = None
    """The now of the run that looked first; None while none has."""
    incidents: tuple[str, ...] = ()
    said: str = ""

    @property
    def is_waiting(self) -> bool:
        """Whether it calls for a run: it fires, and nobody has looked. What is over by itself waits for the next."""
        return self.answered_at is None and self.alert.ends_at is None


class AlertBook(Protocol):
    """Where alerts are kept with their answers; `SqliteAlerts` in the store."""

    def asked(self, at: datetime) -> Sequence[AlertAsked]:
        """Return what a run at a moment answers: what nobody looked at yet, what fires, what was over lately.

        Raises StoreError.
        """

    def answer(self, answers: Sequence[AlertAnswer], at: datetime) -> None:
        """Keep answers; a later one takes the place of an earlier one. Raises StoreError."""


class NoAlerts:
    """The book of walks that nobody tells of alerts: a backtest, a rehearsal."""

    def asked(self, at: datetime) -> Sequence[AlertAsked]:  # noqa: ARG002 - the protocol's
        """Have none."""
        return ()

    def answer(self, answers: Sequence[AlertAnswer], at: datetime) -> None:
        """Forget them."""
