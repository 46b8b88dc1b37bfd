"""`analyzer incidents`: what was found, and one incident whole."""

from __future__ import annotations

import click

from analyzer.cli.common import columns, json_option, moment, print_json, settings_from, store_option


@click.group("incidents", no_args_is_help=True)
def command() -> None:
    """List and show incidents."""


@command.command("list")
@click.option("--all", "show_all", is_flag=True, help="Also those that are over.")
@store_option
@json_option
def list_(show_all: bool, store: str | None, as_json: bool) -> int:
    """List incidents, newest first and of one run the worst first; those that are over only with --all."""
    from analyzer.render.incidents import incident_table
    from analyzer.render.terminal import terminal
    from analyzer.triage import newest_first
    from analyzer.types.document import incident_document
    from analyzer.wiring.opening import open_memory

    with open_memory(settings_from(store=store).settings) as memory:
        found = newest_first(memory.incidents(active_only=not show_all))
    if as_json:
        print_json({"schema": "analyzer.incidents/1", "incidents": [incident_document(incident) for incident in found]})
    elif found:
        click.echo(terminal((incident_table(found, moment(None)),), columns()), nl=False)
    else:
        click.echo("no incidents" if show_all else "no open incidents (--all shows those that are over)")
    return 0


@command.command("show")
@click.argument("incident")
@store_option
@json_option
def show(incident: str, store: str | None, as_json: bool) -> int:
    """Show one incident whole; a beginning of its id is enough."""
    from analyzer.render.outline import incident_outline
    from analyzer.render.terminal import terminal
    from analyzer.types.document import incident_document
    from analyzer.wiring.opening import open_memory

    with open_memory(settings_from(store=store).settings) as memory:
        found = memory.incident(incident)
    if as_json:
        print_json({"schema": "analyzer.incident/1", **incident_document(found)})
    else:
        click.echo(terminal(incident_outline(found, moment(None)), columns()), nl=False)
    return 0
