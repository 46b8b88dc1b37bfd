"""`POST /api/alerts`: alerts are kept, then acknowledged, then looked into.

Alertmanager sends a webhook again after 5xx and drops it after 4xx. So whatever may work later is a 503, and 200 means
that the alerts are on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from analyzer.errors import AnalyzerError
from analyzer.server.investigations import Investigations
from analyzer.server.refusal import RefusalError, busy
from analyzer.server.webhook import read_webhook
from analyzer.stores.alerts import Taken
from analyzer.types.alerts import PrometheusAlert

PATH = "/api/alerts"
BODY_BYTES_MAX = 8 << 20
"""Some 4 kB for each of as many alerts as one request may hold."""


class Keeper(Protocol):
    """Keeps alerts; `SqliteAlerts` in the store."""

    def take(self, alerts: Sequence[PrometheusAlert], at: datetime) -> Taken:
        """Keep them all, or raise StoreError."""


class AlertInbox:
    """Takes webhooks of Alertmanager, and has what is new looked into."""

    def __init__(
        self,
        keeper: Keeper,
        investigations: Investigations,
        *,
        labels: Sequence[str],
        mask: Callable[[str], str],
        say: Callable[[str], None],
    ) -> None:
        """`labels` are those that may name an agent; `say` gets lines for the operator."""
        self._keeper = keeper
        self._labels = labels
        self._mask = mask
        self._say = say
        self.investigations = investigations

    async def take(self, body: bytes) -> dict[str, Any]:
        """Keep what a request holds, and return what became of it. Raises RefusalError."""
        found, taken = await asyncio.to_thread(self._taken, body)
        if taken.new:
            self.investigations.wake()
        return {"status": "ok", "new": taken.new, "known": taken.known, "own": found.own, "refused": found.refused}

    def _taken(self, body: bytes) -> tuple[Any, Taken]:
        now = datetime.now(UTC)
        found = read_webhook(body, labels=self._labels, mask=self._mask, now=now)
        if found.refused:
            self._say(f"{found.refused} entries of a webhook are no alerts with a usable time")
        if found.refused and not found.alerts and not found.own:
            raise RefusalError(400, "no entry of `alerts` is an alert with labels and a usable `startsAt`")
        try:
            return found, self._keeper.take(found.alerts, now)
        except AnalyzerError as error:
            self._say(f"alerts could not be kept: {error}")
            raise busy("the alerts could not be kept") from None
