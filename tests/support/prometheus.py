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
def prometheus(
    folder: Path, openmetrics: Path | None = None, *, config: str = "global: {}\n", features: str = "exemplar-storage"
) -> Iterator[str]:
    """Backfill a history, start the server on a free loopback port with a configuration, and give its URL."""
    data = folder / "data"
    if openmetrics is not None:
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(openmetrics), str(data)],
            check=True,
            capture_output=True,
            timeout=120,
        )
    settings = folder / "prometheus.yml"
    settings.write_text(config)
    address = free_address()
    command = (
        "prometheus",
        f"--config.file={settings}",
        f"--storage.tsdb.path={data}",
        # A made-up history lies in the past: it must not be thrown away.
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
        f"--enable-feature={features}",
    )
    with started(command, address, folder / "prometheus.log") as url:
        yield url


@contextmanager
def alerting(folder: Path, *, scraped: str, alertmanager: str, rules: str) -> Iterator[str]:
    """Start one that scrapes an address every second and sends what its rules find to an Alertmanager."""
    (folder / "rules.yml").write_text(rules)
    config = (
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{folder / 'rules.yml'}']\n"
        f"scrape_configs: [{{job_name: fleet, static_configs: [{{targets: ['{scraped}']}}]}}]\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}\n"
    )
    with prometheus(folder, config=config) as url:
        yield url
