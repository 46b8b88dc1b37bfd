"""`analyzer incidents`: what was found, and one incident whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from analyzer.cli.common import FAILED, columns, json_option, moment, print_json, settings_from, store_option

if TYPE_CHECKING:
    from analyzer.config import Settings


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
@click.option("--from-log", is_flag=True, help="Render it again from the audit log, as Markdown, byte for byte.")
@click.option("--run", "run_id", metavar="ID", help="With --from-log: as this run filed it; else the latest.")
@store_option
@json_option
def show(incident: str, from_log: bool, run_id: str | None, store: str | None, as_json: bool) -> int:
    """Show one incident whole; a beginning of its id is enough.

    With --from-log nothing but the log is read: neither model, Prometheus nor trajectories. The text is that of the
    incident's report file; exit 4 where this release renders it otherwise than the one that filed it.
    """
    from analyzer.render.outline import incident_outline
    from analyzer.render.terminal import terminal
    from analyzer.types.document import incident_document
    from analyzer.wiring.opening import open_memory

    settings = settings_from(store=store).settings
    if from_log:
        return _from_log(settings, incident, run_id, as_json=as_json)
    if run_id is not None:
        raise click.UsageError("--run goes with --from-log")
    with open_memory(settings) as memory:
        found = memory.incident(incident)
    if as_json:
        print_json({"schema": "analyzer.incident/1", **incident_document(found)})
    else:
        click.echo(terminal(incident_outline(found, moment(None)), columns()), nl=False)
    return 0


def _from_log(settings: Settings, incident: str, run_id: str | None, *, as_json: bool) -> int:
    """Print an incident as the log has it, and whether it is the text that was filed."""
    from analyzer.render.markdown import markdown
    from analyzer.render.outline import incident_outline
    from analyzer.types.audit import digest
    from analyzer.types.document import incident_from_document
    from analyzer.wiring.opening import open_audit

    with open_audit(settings) as log:
        entry, document = log.filed(incident, run_id)
    if as_json:
        print_json({"schema": "analyzer.incident/1", **document})
        return 0
    text = markdown(incident_outline(incident_from_document(document), moment(entry["arguments"]["at"])))
    # As bytes, as the report file was written: no terminal's encoding may change them.
    click.echo(text.encode("utf-8", "replace"), nl=False)
    if digest(text) == entry["arguments"]["markdown_sha256"]:
        return 0
    click.echo(f"entry {entry['number']} of the log was rendered otherwise by {entry['actor']}", err=True)
    return FAILED
