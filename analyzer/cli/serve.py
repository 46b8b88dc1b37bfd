"""`analyzer serve`: the OTLP receiver, and pages for people."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click

from analyzer.cli import logs
from analyzer.cli.common import DONE, FAIL_ON, GAPS, json_option, print_json, settings_from, store_option

if TYPE_CHECKING:
    import socket

    from analyzer.config import Loaded, Settings
    from analyzer.server.alerts import AlertInbox
    from analyzer.server.committer import Tally
    from analyzer.server.listen import Listening
    from analyzer.server.pages.site import Site
    from analyzer.stores.trajectories import SqliteTrajectories


@click.command("serve")
@click.option("--host", metavar="HOST", help="Address to listen on; beyond loopback a token must be set.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of OTLP/HTTP, 4318 unless set; 0 takes a free one.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), help="Take OTLP/gRPC on this port too (usually 4317).")
@store_option
@logs.log_format_option
@json_option
def command(
    host: str | None,
    port: int | None,
    grpc_port: int | None,
    store: str | None,
    log_format: str | None,
    as_json: bool,
) -> int:
    """Receive trajectories from running agents (OTLP over HTTP, protobuf or JSON) and show them in a browser.

    Point any OpenTelemetry exporter here: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318. Traces are taken at
    /v1/traces, records about spans at /v1/logs, Langfuse's SDK at /api/public/otel/v1/traces. What was answered with
    success is on disk, masked. On SIGTERM or ctrl-c requests in flight are finished first.

    Alertmanager's webhooks are taken at /api/alerts: an alert that names an agent has the fleet looked into at once, by
    a run as `analyzer run` would do it with the settings of this process.

    The same address shows pages in a browser: the fleet, its incidents with what humans say of them, trajectories.
    Prometheus scrapes /metrics: tokens, cost, steps and outcomes of the fleet, and the analyst's own figures. Other
    agents find this one's card at /.well-known/agent-card.json, as A2A has it.

    It listens on loopback. Elsewhere it needs ANALYZER_SERVE_TOKEN; clients send it as `Authorization: Bearer TOKEN`,
    and the pages ask for it once. With --json, the addresses are printed once it is ready.
    """
    from analyzer.ingest.pricing import Pricer
    from analyzer.server.auth import is_loopback
    from analyzer.server.listen import bind, listen
    from analyzer.server.metrics import Scrapes
    from analyzer.server.receiver import Receiver
    from analyzer.wiring.opening import open_store

    loaded = settings_from(store=store, serve_host=host, serve_port=port, log_format=log_format)
    settings = loaded.settings
    logs.begin(settings)
    listener = bind(settings.serve_host, settings.serve_port, token=settings.serve_token)
    with listener, open_store(settings) as trajectories:
        receiver = Receiver(
            trajectories.add,
            mask=trajectories.masker.text,
            pricer=Pricer(settings.prices, settings.tool_costs),
            token=settings.serve_token,
            say=partial(logs.warning, prefix="analyzer serve: "),
        )
        listen(
            receiver,
            listener,
            site=_site(loaded, trajectories, receiver.say),
            alerts=_alerts(settings, trajectories, receiver.say),
            scrapes=Scrapes(
                partial(open_store, settings),
                token=settings.serve_token,
                loopback=is_loopback(settings.serve_host),
                say=receiver.say,
            ),
            card=_card(settings, listener),
            grpc=None if grpc_port is None else (settings.serve_host, grpc_port),
            on_ready=lambda where: _ready(where, settings, as_json=as_json),
        )
    _say(settings, _line(receiver.tally))
    return DONE


def _site(loaded: Loaded, store: SqliteTrajectories, say: Callable[[str], None]) -> Site:
    """Return the pages over a store: they read by connections of their own, and a human's word goes by the writer's."""
    from analyzer.cli.doctor import settings_shown
    from analyzer.server.auth import is_loopback
    from analyzer.server.pages.analyst import Setting
    from analyzer.server.pages.site import Site, Sources
    from analyzer.wiring.opening import open_reader
    from analyzer.wiring.words import say as keep_word

    settings = loaded.settings
    mask = store.masker.text
    rows = [
        # An address may carry a password.
        Setting(name, None if value is None else mask(value), loaded.sources[name])
        for name, value in settings_shown(loaded)
    ]
    sources = Sources(
        opened=lambda: open_reader(settings),
        say=partial(keep_word, store),
        mask=mask,
        settings=rows,
        settings_file=str(loaded.file) if loaded.file else "",
    )
    return Site(sources, token=settings.serve_token, loopback=is_loopback(settings.serve_host), say=say)


def _alerts(settings: Settings, store: SqliteTrajectories, say: Callable[[str], None]) -> AlertInbox:
    """Return the inbox of alerts; a run is this program again, over the same store.

    With --json it has no standard output: what a scheduled run would print is left to it.
    """
    from analyzer.server.alerts import AlertInbox
    from analyzer.server.investigations import Investigations, in_process
    from analyzer.stores.alerts import SqliteAlerts

    book = SqliteAlerts(store.state)
    command = (
        sys.executable,
        "-m",
        "analyzer",
        "run",
        "--json",
        "--log-format",
        logs.PLAIN,
        "--store",
        str(settings.store.absolute()),
    )
    run = partial(in_process, command, accepted=frozenset({DONE, FAIL_ON, GAPS}), say=say)
    investigations = Investigations(book.waiting, run, wait_s=settings.alert_wait.total_seconds(), say=say)
    labels = tuple(name.strip() for name in settings.alert_labels.split(",") if name.strip())
    return AlertInbox(book, investigations, labels=labels, mask=store.masker.text, say=say)


def _card(settings: Settings, listener: socket.socket) -> bytes | None:
    """Return the card by which other agents know this one: at the address that is set, else where it listens.

    None where it listens everywhere and no address is set: nobody knows then where others reach it.
    """
    import ipaddress

    from analyzer.selfwatch.registry.card import AgentCard
    from analyzer.selfwatch.registry.own import own
    from analyzer.server.listen import address_of

    if settings.base_url is None and ipaddress.ip_address(listener.getsockname()[0]).is_unspecified:
        return None
    card = AgentCard()
    url = settings.base_url or address_of(listener)
    card.register(own(url, needs_token=settings.serve_token is not None))
    return card.body


def _ready(where: Listening, settings: Settings, *, as_json: bool) -> None:
    store = str(settings.store)
    if as_json:
        print_json({"schema": "analyzer.serve/1", "url": where.url, "grpc": where.grpc, "store": store})
        return
    grpc = f" and gRPC on {where.grpc}" if where.grpc else ""
    _say(settings, f"receiving OTLP on {where.url}{grpc} into {store}; pages on {where.url}; ctrl-c stops")


def _say(settings: Settings, line: str) -> None:
    """Say how it stands: to a person bare, to a collector as information."""
    if settings.log_format == logs.PLAIN:
        click.echo(line, err=True)
    else:
        logs.info(line)


def _line(tally: Tally) -> str:
    spans = tally.spans_new + tally.spans_known
    known = f"{tally.spans_new:,} new, {tally.spans_known:,} known already"
    parts = [f"took {spans:,} spans in {tally.requests:,} requests ({known})"]
    if tally.rejected:
        parts.append(f"rejected {tally.rejected:,}")
    if tally.ignored:
        parts.append(f"ignored {tally.ignored:,} log records that name no span or say nothing about one")
    if tally.put_off:
        parts.append(f"put off {tally.put_off:,} requests")
    return "; ".join(parts)
