"""One run at a time: two runs over one store would tell everybody everything twice."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analyzer.errors import StoreBusyError, StoreError
from analyzer.stores.database import make_room


@contextmanager
def alone(store: Path) -> Iterator[None]:
    """Hold the store's turn for a block. Raises StoreBusyError where another run on this machine has it.

    A lock of the operating system on a file beside the store: it goes with its process, so that a run that was killed
    holds up nobody. Where the system has no such locks (Windows) nothing is held.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    make_room(store)
    path = store.with_name(f"{store.name}.run")
    try:
        held = path.open("a")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; set ANALYZER_STORE to a writable place") from None
    with held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreBusyError(f"another run over {store} is under way; this one did nothing") from None
        yield
