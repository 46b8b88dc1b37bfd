"""The analyst's own metrics at a Prometheus Pushgateway: cron jobs end before anyone can scrape them.

What is pushed are the sums of the store, so a counter rises from run to run as that of a long-lived process would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from urllib.error import HTTPError

from prometheus_client import delete_from_gateway, push_to_gateway

from analyzer.errors import DeliveryError
from analyzer.selfwatch.exposition import registry
from analyzer.types.measures import OWN, Amount

JOB = "analyzer"
TIMEOUT_S = 5.0
"""For one answer of the gateway."""
WHOLE_S = 8.0
"""For everything: a name that does not resolve, or a gateway that sends a byte a second, must not hold up a run."""


def push(url: str, amounts: Iterable[Amount], instance: str) -> None:
    """Put the figures of an instance in the place of those that are there. Raises DeliveryError."""
    figures = registry(amounts, OWN)
    _bounded(lambda: push_to_gateway(url, JOB, figures, {"instance": instance}, timeout=TIMEOUT_S))


def delete(url: str, instance: str) -> None:
    """Delete the figures of an instance; that there are none is as good. Raises DeliveryError."""
    _bounded(lambda: delete_from_gateway(url, JOB, {"instance": instance}, timeout=TIMEOUT_S))


def _bounded(work: Callable[[], None], seconds: float = WHOLE_S) -> None:
    """Do something in a thread that is left behind where it takes too long. Raises DeliveryError."""
    failed: list[Exception] = []

    def attempt() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - carried to the caller, who may have gone on
            failed.append(error)

    worker = threading.Thread(target=attempt, name="pushgateway", daemon=True)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        raise DeliveryError(f"the Pushgateway did not answer within {seconds:g} s", retryable=False)
    if failed:
        [error] = failed
        why = _reason(error)
        raise DeliveryError(f"the Pushgateway did not take them: {why}", retryable=False)


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        # It is the answer as well, and holds its connection.
        error.close()
        return f"answered {error.code}"
    return str(getattr(error, "reason", None) or type(error).__name__)
