"""Debian's Alertmanager on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.servers import free_address, need, started

PROGRAM = "prometheus-alertmanager"


def need_alertmanager() -> None:
    """Skip with a clear line where the server is not installed."""
    need(PROGRAM, PROGRAM)


@contextmanager
def alertmanager(folder: Path, webhook: str, *, token: str | None = None) -> Iterator[str]:
    """Start one that tells everything to a webhook at once, with a bearer token if there is one; give its URL."""
    config = folder / "alertmanager.yml"
    authorization = "" if token is None else f", http_config: {{authorization: {{credentials: '{token}'}}}}"
    config.write_text(
        "route: {receiver: hook, group_by: [incident, alertname], group_wait: 0s, group_interval: 1s}\n"
        f"receivers: [{{name: hook, webhook_configs: [{{url: '{webhook}'{authorization}}}]}}]\n"
    )
    address = free_address()
    command = (
        PROGRAM,
        f"--config.file={config}",
        f"--storage.path={folder / 'alerts'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    with started(command, address, folder / "alertmanager.log") as url:
        yield url
