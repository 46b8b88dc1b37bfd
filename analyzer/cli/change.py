"""`analyzer change`: telling the analyst what changed where no span shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import json_option, moment, print_json, settings_from, store_option

if TYPE_CHECKING:
    from analyzer.stores.told import Told


@click.group("change", no_args_is_help=True)
def command() -> None:
    """Record changes that no span shows, such as a deploy: incidents that begin then name them."""


@command.command("add")
@click.argument("text")
@click.option("--agent", metavar="NAME", help="The agent it concerns; without it, every agent.")
@click.option("--at", metavar="TIME", help="When it happened (ISO 8601, UTC); without it, now.")
@store_option
@json_option
def add(text: str, agent: str | None, at: str | None, store: str | None, as_json: bool) -> int:
    """Record a change: what changed and to what, as in `analyzer change add "deploy 2.4.0" --agent support`."""
    from analyzer.errors import UsageError
    from analyzer.stores.told import SqliteChanges
    from analyzer.wiring.opening import open_store

    if not text.strip():
        raise UsageError('say what changed, as in `analyzer change add "deploy 2.4.0"`')
    when = moment(at)
    with open_store(settings_from(store=store).settings) as opened:
        told = SqliteChanges(opened.connection, opened.masker).add(text, agent, when)
    if as_json:
        print_json({"schema": "analyzer.change/1", **_document(told)})
    else:
        click.echo(f"recorded {_line(told)}")
    return 0


@command.command("list")
@store_option
@json_option
def list_(store: str | None, as_json: bool) -> int:
    """List recorded changes, newest first."""
    from analyzer.stores.told import SqliteChanges
    from analyzer.wiring.opening import open_existing

    with open_existing(settings_from(store=store).settings) as opened:
        found = SqliteChanges(opened.connection, opened.masker).all()
    if as_json:
        print_json({"schema": "analyzer.changes/1", "changes": [_document(told) for told in found]})
    elif not found:
        click.echo('no change is recorded (`analyzer change add "deploy 2.4.0"` records one)')
    for told in found if not as_json else ():
        click.echo(_line(told))
    return 0


@command.command("remove")
@click.argument("number", type=int)
@store_option
@json_option
def remove(number: int, store: str | None, as_json: bool) -> int:
    """Forget a recorded change, by its number in the list."""
    from analyzer.stores.told import SqliteChanges
    from analyzer.wiring.opening import open_existing

    with open_existing(settings_from(store=store).settings) as opened:
        SqliteChanges(opened.connection, opened.masker).remove(number)
    if as_json:
        print_json({"schema": "analyzer.change.removed/1", "id": number})
    else:
        click.echo(f"removed change {number}")
    return 0


def _document(told: Told) -> dict[str, Any]:
    from analyzer.types.document import time_text

    return {
        "id": told.id,
        "agent": told.agent,
        "what": told.change.what,
        "to": told.change.to_value,
        "at": time_text(told.change.at),
    }


def _line(told: Told) -> str:
    name = " ".join(part for part in (told.change.what, told.change.to_value) if part)
    return f"{told.id}: {name}, {told.agent or 'every agent'}, {told.change.at:%Y-%m-%d %H:%M} UTC"
