"""`analyzer registry`: which agents there are, and what people said of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import columns, json_option, moment, print_json, settings_from, store_option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from analyzer.config import Settings
    from analyzer.types.agents import KnownAgent, Sighted


@click.group("registry", no_args_is_help=True)
def command() -> None:
    """Show every agent that traces ever showed, and enter whose each is."""


@command.command("list")
@store_option
@json_option
def list_(store: str | None, as_json: bool) -> int:
    """List every agent that was seen in traces or registered: when, with what, whose it is, its budget.

    Agents whose trajectories were deleted stay. Agents that only work within the trajectories of others are not listed.
    """
    from analyzer.render.agents import agent_table
    from analyzer.render.terminal import terminal
    from analyzer.selfwatch.registry.embedded import EmbeddedRegistry
    from analyzer.types.budget import budget_of
    from analyzer.wiring.opening import open_existing

    settings = settings_from(store=store).settings
    with open_existing(settings) as opened:
        found = EmbeddedRegistry(opened).agents()
    if as_json:
        print_json({"schema": "analyzer.registry/1", "agents": [_document(one, settings) for one in found]})
    elif found:
        rows = [(one, budget_of(settings.budgets, one.agent)) for one in found]
        click.echo(terminal((agent_table(rows, moment(None)),), columns()), nl=False)
    else:
        click.echo(f"no agent was seen or registered yet ({opened.elsewhere.filled_by} brings traces)")
    return 0


@command.command("show")
@click.argument("agent")
@store_option
@json_option
def show(agent: str, store: str | None, as_json: bool) -> int:
    """Show one agent: versions, models and tools with the time of each, owner, contact, budget."""
    from analyzer.render.agents import agent_outline
    from analyzer.render.terminal import terminal
    from analyzer.selfwatch.registry.embedded import EmbeddedRegistry
    from analyzer.types.budget import budget_of
    from analyzer.wiring.opening import open_existing

    settings = settings_from(store=store).settings
    with open_existing(settings) as opened:
        found = EmbeddedRegistry(opened).agent(agent)
    if as_json:
        print_json({"schema": "analyzer.registry.agent/1", **_document(found, settings)})
    else:
        click.echo(terminal(agent_outline(found, budget_of(settings.budgets, found.agent)), columns()), nl=False)
    return 0


@command.command("register")
@click.argument("agent")
@click.option("--owner", metavar="NAME", help="Whose it is, a person or a team.")
@click.option("--contact", metavar="TEXT", help="Whom to ask, such as a channel or one mail address.")
@click.option("--description", metavar="TEXT", help="What it is for.")
@store_option
@json_option
def register(
    agent: str, owner: str | None, contact: str | None, description: str | None, store: str | None, as_json: bool
) -> int:
    """Enter whose an agent is, by the name that its spans have; it need not have been seen yet.

    What is not given stays as it was; an empty text takes it back.
    """
    from analyzer.errors import UsageError
    from analyzer.selfwatch.registry.base import Registration
    from analyzer.selfwatch.registry.embedded import EmbeddedRegistry
    from analyzer.wiring.opening import open_store

    if owner is None and contact is None and description is None:
        raise UsageError(f"say whose it is, as in `analyzer registry register {agent} --owner team-a`")
    settings = settings_from(store=store).settings
    with open_store(settings) as opened:
        registry = EmbeddedRegistry(opened)
        registry.register(Registration(agent, owner=owner, contact=contact, description=description))
        found = registry.agent(" ".join(agent.split()))
    if as_json:
        print_json({"schema": "analyzer.registry.agent/1", **_document(found, settings)})
        return 0
    entry = found.entry
    said = f"owner {entry.owner}" if entry is not None and entry.owner else "no owner"
    click.echo(f"registered {found.agent}: {said}{'' if found.is_seen else '; not seen in traces yet'}")
    return 0


def _document(one: KnownAgent, settings: Settings) -> dict[str, Any]:
    from analyzer.types.budget import budget_of
    from analyzer.types.document import time_text

    entry = one.entry
    return {
        "agent": one.agent,
        "seen": one.is_seen,
        "first_seen": None if one.first_seen is None else time_text(one.first_seen),
        "last_seen": None if one.last_seen is None else time_text(one.last_seen),
        "owner": entry.owner or None if entry else None,
        "contact": entry.contact or None if entry else None,
        "description": entry.description or None if entry else None,
        "registered_at": time_text(entry.at) if entry and entry.at else None,
        "versions": _sighted(one.versions),
        "models": _sighted(one.models),
        "tools": _sighted(one.tools),
        "budget": asdict(budget_of(settings.budgets, one.agent)),
    }


def _sighted(seen: Iterable[Sighted]) -> list[dict[str, str]]:
    from analyzer.types.document import time_text

    return [{"value": one.value, "first": time_text(one.first), "last": time_text(one.last)} for one in seen]
