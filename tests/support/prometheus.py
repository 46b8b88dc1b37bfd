"""Debian's Prometheus on loopback: with a history that was backfilled as blocks, or with rules over what it scrapes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.servers import free_address, need, started


def need_prometheus() -> None:
    """Skip with a clear line where the servers are not installed."""
    for program in ("prometheus", "promtool"):
        need(program, "prometheus")


@contextmanager
def prometheus(folder: Path, openmetrics: Path) -> Iterator[str]:
    """Backfill the history, start the server on a free loopback port, and give its URL."""
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(openmetrics), str(folder / "data")],
        check=True,
        capture_output=True,
        timeout=120,
    )
    with _running(folder, "global: {}\n") as url:
        yield url


@contextmanager
def alerting(folder: Path, *, scraped: str, alertmanager: str, rules: str) -> Iterator[str]:
    """Start one that scrapes an address every second and sends what its rules find to an Alertmanager."""
    (folder / "rules.yml").write_text(rules)
    with _running(
        folder,
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{folder / 'rules.yml'}']\n"
        f"scrape_configs: [{{job_name: fleet, static_configs: [{{targets: ['{scraped}']}}]}}]\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}\n",
    ) as url:
        yield url


@contextmanager
def _running(folder: Path, configuration: str) -> Iterator[str]:
    config = folder / "prometheus.yml"
    config.write_text(configuration)
    address = free_address()
    command = (
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        # A made-up history lies in the past: it must not be thrown away.
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
    )
    with started(command, address, folder / "prometheus.log") as url:
        yield url
