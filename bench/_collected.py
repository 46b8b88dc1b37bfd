"""A fleet in the Collector's tables: written into ClickHouse's engine behind HTTP, and the settings that name it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.clickhouse import connected, served, write

from analyzer.config import Settings
from analyzer.simulation.fleet import Fleet
from analyzer.wiring.collecting import followed
from analyzer.wiring.opening import open_store

ALL = 2**62
"""More rows than any table has."""
_PSEUDONYM = re.compile(r"<(\w+):[0-9a-f]+(…|>)")
"""With the key of its store; one may be cut short at the end of a cell."""


@contextmanager
def collected(folder: Path, fleet: Fleet, settings: Settings) -> Iterator[Settings]:
    """Give the settings with a ClickHouse that holds the fleet while the block lasts, its files in the folder."""
    with served(folder) as url:
        with connected(url) as client:
            for request in fleet.requests():
                write(client, request)
        yield replace(settings, clickhouse_url=f"{url.replace('//', '//default@')}/default")


def follow(settings: Settings, at: datetime) -> int:
    """Follow all that lies there up to a moment in one pass; return how many spans were new."""
    with open_store(settings) as store:
        done = followed(settings, store, at, rows_max=ALL)
    if done.gaps:
        raise SystemExit(f"not all could be followed: {done.gaps[0].why}")
    return done.spans_new


def told(document: Any) -> Any:
    """Return a document without what the key of a store makes of it."""
    if isinstance(document, Mapping):
        return {key: told(value) for key, value in document.items()}
    if isinstance(document, list):
        return [told(one) for one in document]
    return _PSEUDONYM.sub(r"<\1\2", document) if isinstance(document, str) else document
