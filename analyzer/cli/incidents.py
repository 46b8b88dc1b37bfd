"""`analyzer incidents`: what was found, one incident whole, and what a human says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from analyzer.cli.common import FAILED, Command, columns, json_option, moment, print_json, settings_from, store_option

if TYPE_CHECKING:
    from analyzer.config import Settings
    from analyzer.types.word import Said


@click.group("incidents", no_args_is_help=True)
def command() -> None:
    """List and show incidents, and say what they are: no run overwrites what a human said."""


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
    incident's report file, without links to pages; exit 4 where this release renders it otherwise than the one that
    filed it.
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


def _word_options(function: Command) -> Command:
    """Add what all commands with a human's word take."""
    options = (
        click.argument("incident"),
        click.option("--reason", default="", metavar="TEXT", help="Why, for those who read it later."),
        click.option("--by", metavar="NAME", help="Who says so; without it, the user of this process."),
        store_option,
        json_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


@command.command("dismiss")
@_word_options
def dismiss(incident: str, reason: str, by: str | None, store: str | None, as_json: bool) -> int:
    """Say that an incident does not matter: nothing more is sent, unless it gets clearly worse (1.5 times)."""
    from analyzer.types.word import Said

    return _say(Said.DISMISSED, incident, reason, by, store, as_json=as_json)


@command.command("confirm")
@_word_options
def confirm(incident: str, reason: str, by: str | None, store: str | None, as_json: bool) -> int:
    """Say that an incident is what it says: it counts for its detector's precision, and takes back a dismissal."""
    from analyzer.types.word import Said

    return _say(Said.CONFIRMED, incident, reason, by, store, as_json=as_json)


@command.command("resolve")
@_word_options
def resolve(incident: str, reason: str, by: str | None, store: str | None, as_json: bool) -> int:
    """Say that an incident is over; what still goes on six hours later has regressed."""
    from analyzer.types.word import Said

    return _say(Said.RESOLVED, incident, reason, by, store, as_json=as_json)


@command.command("reopen")
@_word_options
def reopen(incident: str, reason: str, by: str | None, store: str | None, as_json: bool) -> int:
    """Take back a dismissal or a resolution."""
    from analyzer.types.word import Said

    return _say(Said.REOPENED, incident, reason, by, store, as_json=as_json)


@command.command("mute")
@_word_options
@click.option("--for", "length", required=True, metavar="DURATION", help="How long, such as 12h or 3d.")
def mute(incident: str, length: str, reason: str, by: str | None, store: str | None, as_json: bool) -> int:
    """Send nothing about an incident for a while; what is due then is sent after it."""
    from analyzer.config import parse_duration
    from analyzer.types.word import Said

    return _say(Said.MUTED, incident, reason, by, store, as_json=as_json, length=parse_duration(length))


@command.command("unmute")
@_word_options
def unmute(incident: str, reason: str, by: str | None, store: str | None, as_json: bool) -> int:
    """Send messages about an incident again."""
    from analyzer.types.word import Said

    return _say(Said.UNMUTED, incident, reason, by, store, as_json=as_json)


def _say(
    said: Said,
    incident: str,
    reason: str,
    by: str | None,
    store: str | None,
    *,
    as_json: bool,
    length: timedelta | None = None,
) -> int:
    """Keep a word, and print the incident as it stands now. Texts are masked like any other."""
    from analyzer.render.said import word_text
    from analyzer.render.text import one_line
    from analyzer.types.document import incident_document
    from analyzer.types.word import Word
    from analyzer.wiring.opening import open_existing
    from analyzer.wiring.words import say

    now = datetime.now(UTC).replace(microsecond=0)
    until = None if length is None else now + length
    with open_existing(settings_from(store=store).settings) as opened:
        texts = [opened.masker.text(one_line(text)) for text in (by or _user(), reason)]
        word = Word(0, said, now, texts[0], texts[1], until)
        found = say(opened, incident, word)
    if as_json:
        print_json({"schema": "analyzer.incident/1", **incident_document(found)})
    else:
        click.echo(f"{found.id}: {word_text(word)}")
        click.echo(f"{one_line(found.title)} ({found.state.value})")
    return 0


def _user() -> str:
    """Return the name of the user whom this process belongs to, or the number where there is no name."""
    import os

    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError, AttributeError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"
