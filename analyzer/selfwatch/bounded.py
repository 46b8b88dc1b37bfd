"""Work that may hang, within a bounded time: a run waits for nobody outside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from analyzer.errors import DeliveryError

_T = TypeVar("_T")


def bounded(work: Callable[[], _T], who: str, seconds: float) -> _T:
    """Return what work gives, done in a thread that is left behind where it takes too long.

    A time-out of each call does not do it: a name may not resolve, and an answer may come a byte a second. Raises
    DeliveryError that names `who` after `seconds`, and whatever the work raises.
    """
    done: list[_T] = []
    failed: list[Exception] = []

    def attempt() -> None:
        try:
            done.append(work())
        except Exception as error:  # noqa: BLE001 - carried to the caller, who may have gone on
            failed.append(error)

    worker = threading.Thread(target=attempt, name=who, daemon=True)
    worker.start()
    worker.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise DeliveryError(f"{who} did not answer within {seconds:.3g} s", retryable=False)
    return done[0]
