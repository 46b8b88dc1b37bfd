"""Where the fleet's metrics are asked for: no server, one, or several as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.config import Settings, parse_headers
from analyzer.errors import UsageError
from analyzer.types.servers import FIRST, MetricsServer

if TYPE_CHECKING:
    from analyzer.metrics.base import MetricSource
    from analyzer.metrics.prometheus import Prometheus


def metrics_servers(settings: Settings) -> dict[str, MetricsServer]:
    """Return the servers that are set, by name: that of the plain settings first. Raises UsageError."""
    servers = dict(settings.prometheus)
    if settings.prometheus_url is not None:
        if FIRST in servers:
            raise UsageError(f"[prometheus.{FIRST}] and ANALYZER_PROMETHEUS_URL are called alike: call one otherwise")
        plain = MetricsServer(
            FIRST,
            settings.prometheus_url,
            token=settings.prometheus_token,
            headers=parse_headers(settings.prometheus_headers or ""),
            ca_file=str(settings.prometheus_ca_file) if settings.prometheus_ca_file else None,
        )
        servers = {FIRST: plain, **servers}
    for name, server in servers.items():
        if server.replica_of is not None and server.replica_of not in servers:
            raise UsageError(f"[prometheus.{name}] replica_of: there is no server '{server.replica_of}'")
    _check_apart(servers)
    return servers


def _check_apart(servers: Mapping[str, MetricsServer]) -> None:
    """Raise UsageError where one server is named twice: what it counts would be added to itself."""
    seen: dict[tuple[object, ...], str] = {}
    for name, server in servers.items():
        if server.replica_of is not None:
            continue
        first = seen.setdefault((server.url, *sorted(server.headers.items())), name)
        if first != name:
            raise UsageError(
                f"the servers of metrics '{first}' and '{name}' are one, {server.url}: take one out, or say replica_of"
            )


def without_metrics(settings: Settings) -> Settings:
    """Return the settings without any server that is asked for metrics."""
    return replace(settings, prometheus_url=None, prometheus={})


def open_metrics(settings: Settings) -> MetricSource | None:
    """Return what is set as one source, or None. Nothing is sent yet. Raises UsageError."""
    servers = metrics_servers(settings)
    if not servers:
        return None
    # Its import takes as long as a small run.
    from analyzer.metrics.several import Several

    opened = open_servers(settings, servers)
    if len(opened) == 1:
        return next(iter(opened.values()))
    groups: dict[str, list[MetricSource]] = {
        name: [opened[name]] for name, one in servers.items() if not one.replica_of
    }
    for name, server in servers.items():
        if server.replica_of is not None:
            groups[server.replica_of].append(opened[name])
    return Several(groups)


def open_servers(settings: Settings, servers: Mapping[str, MetricsServer]) -> dict[str, Prometheus]:
    """Return each server by itself, by name, for `doctor`. Raises UsageError."""
    from analyzer.metrics.prometheus import Access, Prometheus

    found = {}
    for name, server in servers.items():
        is_plain = name == FIRST and name not in settings.prometheus
        password = server.secret("password")
        access = Access(
            token=server.secret("token"),
            login=(server.user, password or "") if server.user is not None else None,
            headers=server.headers,
            ca_file=_file(server, "ca_file"),
            cert=_certificate(server),
            place="ANALYZER_PROMETHEUS_" if is_plain else f"[prometheus.{name}]",
        )
        found[name] = Prometheus(server.url, timeout_s=settings.prometheus_timeout_s, access=access)
    return found


def _certificate(server: MetricsServer) -> str | tuple[str, str] | None:
    cert, key = _file(server, "cert_file"), _file(server, "key_file")
    return (cert, key) if cert and key else cert


def _file(server: MetricsServer, name: str) -> str | None:
    """Return the path of a file that is there. Raises UsageError: the library would only say so at the first call."""
    given = getattr(server, name)
    if given is None:
        return None
    path = Path(given).expanduser()
    if not path.is_file():
        raise UsageError(f"{name} of the server '{server.name}' of metrics: there is no file {path}")
    return str(path)
