"""One piece of work in several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable


def at_once(work: Callable[[], None], times: int) -> None:
    """Run it in so many threads, and wait for all of them; one that does not end within a minute is left."""
    threads = [threading.Thread(target=work) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
