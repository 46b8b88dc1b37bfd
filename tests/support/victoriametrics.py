"""Debian's VictoriaMetrics on loopback, with a history that was imported."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.servers import asked, free_address, need, started

_LINES = 50_000


def need_victoriametrics() -> None:
    """Skip with a clear line where the server is not installed."""
    need("victoria-metrics", "victoria-metrics")


@contextmanager
def victoriametrics(folder: Path, openmetrics: Path) -> Iterator[str]:
    """Start the server on a free loopback port, import a history, and give its URL."""
    address = free_address()
    command = (
        "victoria-metrics",
        f"-storageDataPath={folder / 'victoria'}",
        # A made-up history lies in the past: it must not be thrown away.
        "-retentionPeriod=100y",
        f"-httpListenAddr={address}",
    )
    with started(command, address, folder / "victoria.log") as url:
        lines = (one for one in openmetrics.read_text().splitlines() if not one.startswith("#"))
        batch: list[str] = []
        for line in lines:
            series, value, seconds = line.rsplit(" ", 2)
            # OpenMetrics counts seconds, this import milliseconds.
            batch.append(f"{series} {value} {round(float(seconds) * 1000)}")
            if len(batch) == _LINES:
                _sent(url, batch)
        _sent(url, batch)
        asked(f"{url}/internal/force_flush")
        yield url


def _sent(url: str, batch: list[str]) -> None:
    body = "\n".join(batch).encode()
    with urllib.request.urlopen(f"{url}/api/v1/import/prometheus", body, timeout=30) as answer:  # noqa: S310 - loopback
        assert answer.status == 204
    batch.clear()
