"""`analyzer mcp`: the analyst for other agents, by the Model Context Protocol."""

from __future__ import annotations

from functools import partial

import click

from analyzer.cli import logs
from analyzer.cli.common import DONE, at_option, json_option, moment, print_json, settings_from, store_option


@click.command("mcp")
@click.option("--http", "over_http", is_flag=True, help="Streamable HTTP in place of standard input and output.")
@click.option("--host", metavar="HOST", help="With --http: address to listen on; beyond loopback a token must be set.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="With --http; 0 takes a free one."
)
@click.option("--llm", type=click.Choice(["auto", "off"]), help="off: answer from what can be computed.")
@at_option
@store_option
@json_option
def command(
    *, over_http: bool, host: str | None, port: int, llm: str | None, at: str | None, store: str | None, as_json: bool
) -> int:
    """Let other agents ask: a coding agent finds out why its own run failed.

    A server of the Model Context Protocol over the store: the investigator's read-only tools, incidents, and `ask`,
    whose model calls count against the same budgets as `analyzer ask`. Nothing can be changed through it, texts are
    masked, and every call is in the audit log: the store must be writable.

    Clients start it themselves (command `analyzer`, argument `mcp`), or reach it with --http at
    http://127.0.0.1:8765/mcp. Beyond loopback it needs ANALYZER_SERVE_TOKEN; clients send it as `Authorization: Bearer
    TOKEN`. With --http and --json, the address is printed once it is ready.
    """
    from importlib.metadata import version

    from analyzer.server.listen import bind
    from analyzer.server.mcp.wire import Desk, Opened, serve_http, serve_stdio
    from analyzer.wiring.building import build, build_reader
    from analyzer.wiring.opening import require_writable

    if at is not None:
        moment(at)
    settings = settings_from(llm=llm, serve_host=host, store=store).settings
    require_writable(settings, "every call is written into its log before it is answered")
    desk = Desk(
        Opened(partial(build, settings, out=None), partial(build_reader, settings, logged=True)),
        has_metrics=settings.has_metrics,
        now=lambda: moment(at),
        mask=logs.masker(settings),
    )
    if not over_http:
        if host is not None:
            raise click.UsageError("--host goes with --http")
        serve_stdio(desk, version("analyzer"))
        return DONE
    with bind(settings.serve_host, port, token=settings.serve_token) as listener:
        serve_http(
            desk,
            version("analyzer"),
            listener,
            token=settings.serve_token,
            on_ready=partial(_ready, as_json=as_json),
        )
    return DONE


def _ready(url: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": "analyzer.mcp/1", "url": url})
    else:
        click.echo(f"other agents may ask at {url}")
