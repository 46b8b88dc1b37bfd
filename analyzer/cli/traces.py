"""`analyzer traces`: trajectories, for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import (
    ALL_TIME,
    DONE,
    GAPS,
    at_option,
    columns,
    json_option,
    moment,
    print_json,
    say_gaps,
    settings_from,
    store_option,
)

if TYPE_CHECKING:
    from analyzer.stores.base import TrajectoryStore
    from analyzer.stores.trajectories import SqliteTrajectories
    from analyzer.types.report import Gap
    from analyzer.types.steps import Step

AGENTS_NAMED = 8
"""Agents named to somebody who named one that is not there."""
_SPAN_ID = re.compile(r"[0-9a-fA-F]{16}")


def _resolved(trajectories: TrajectoryStore, trace: str) -> str:
    """Return the full trace id. Raises NotFoundError; an incident's id is one for another command."""
    from analyzer.errors import NotFoundError

    if trace.startswith("inc-"):
        raise NotFoundError(f"'{trace}' is an incident: `analyzer incidents show {trace}` shows it")
    return trajectories.resolve(trace)


def _check_agent(trajectories: TrajectoryStore, agent: str | None) -> None:
    """Raise NotFoundError for an agent that never was: a misspelt name is no empty list."""
    from analyzer.errors import NotFoundError
    from analyzer.render.text import one_line
    from analyzer.stores.summaries import OWN_AGENT

    # The analyst itself is no agent of the fleet, but may be listed.
    if agent is None or agent == OWN_AGENT:
        return
    known = trajectories.agents(*ALL_TIME)
    if agent not in known:
        there = ", ".join(one_line(name, 60) for name in known[:AGENTS_NAMED])
        rest = ", ..." if len(known) > AGENTS_NAMED else ""
        raise NotFoundError(
            f"no agent called '{agent}'"
            + (f"; there are {there}{rest}" if known else ": the store holds no trajectories yet")
        )


def _located(trajectories: SqliteTrajectories, given: str) -> tuple[str, str | None]:
    """Return the trajectory that is named, and the span where one is. Raises NotFoundError."""
    from analyzer.errors import NotFoundError

    trace, slash, span_id = given.partition("/")
    if slash:
        trace_id = _resolved(trajectories, trace)
        return trace_id, trajectories.resolve_span(trace_id, span_id.strip().lower())
    try:
        return _resolved(trajectories, trace), None
    except NotFoundError:
        # Reports name spans by their id: one that begins no trajectory may be a span's.
        if _SPAN_ID.fullmatch(trace) is None:
            raise
        return trajectories.holder(trace.lower()), trace.lower()


def _span_shown(
    trajectories: SqliteTrajectories, trace_id: str, span_id: str, *, as_json: bool
) -> str | dict[str, Any]:
    """Return one span with all of its texts, as text or as a document. Raises NotFoundError."""
    from analyzer.render.documents import span_document
    from analyzer.render.span import span_view

    span = trajectories.span(trace_id, span_id)
    step = trajectories.trajectory(trace_id).step_numbers.get(span_id)
    if as_json:
        return {"schema": "analyzer.span/1", "trace_id": trace_id, **span_document(span, step)}
    return span_view(span, step, columns())


def _ended(shown: str | dict[str, Any], unread: list[Gap]) -> int:
    """Print what is shown, and say what of it could not be read; return the exit code."""
    from analyzer.types.document import gap_document

    if isinstance(shown, str):
        click.echo(shown, nl=False)
    else:
        print_json({**shown, "gaps": [gap_document(gap) for gap in unread]})
    say_gaps(unread)
    return GAPS if unread else DONE


@click.group("traces", no_args_is_help=True)
def command() -> None:
    """List, show, compare and search trajectories."""


@command.command("list")
@click.option("--agent", metavar="NAME", help="Only of this agent.")
@click.option("--errors", is_flag=True, help="Only those with errors.")
@click.option(
    "--order",
    type=click.Choice(["recent", "cost", "errors", "steps", "duration", "repeats"]),
    default="recent",
    show_default=True,
    help="Newest or largest first.",
)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many at most.")
@store_option
@json_option
def list_(agent: str | None, errors: bool, order: Any, limit: int, store: str | None, as_json: bool) -> int:
    """List trajectories, newest first."""
    from analyzer.render.documents import summary_document
    from analyzer.render.terminal import terminal
    from analyzer.render.trajectory import trajectory_table
    from analyzer.wiring.opening import open_existing

    with open_existing(settings_from(store=store).settings) as trajectories:
        found = trajectories.summaries(agent=agent, errors_only=errors, order=order, limit=limit)
        if not found:
            _check_agent(trajectories, agent)
    if as_json:
        print_json({"schema": "analyzer.traces/1", "traces": [summary_document(summary) for summary in found]})
    elif found:
        click.echo(terminal((trajectory_table(found),), columns()), nl=False)
    elif agent is not None or errors:
        click.echo(f"no trajectories{f' of {agent}' if agent else ''}{' with errors' if errors else ''}")
    else:
        click.echo(f"no trajectories; {trajectories.elsewhere.filled_by} puts some in")
    return 0


@command.command("show")
@click.argument("trace")
@store_option
@json_option
def show(trace: str, store: str | None, as_json: bool) -> int:
    """Show one trajectory as a tree of its steps, or one span in full.

    TRACE is an id or a beginning of one, `latest` or `worst`. With a slash and a span's id or a beginning of it
    behind it, or as a whole span's id alone, it names that span.
    """
    from analyzer.render.documents import trajectory_document
    from analyzer.render.trajectory import trajectory_view
    from analyzer.wiring.opening import open_existing

    with open_existing(settings_from(store=store).settings) as trajectories:
        # From here on: whether there is an id that the index has not, only the other database knows.
        trace_id, span_id = _located(trajectories, trace)
        unread = trajectories.elsewhere.heard()
        if span_id is not None:
            return _ended(_span_shown(trajectories, trace_id, span_id, as_json=as_json), unread)
        if as_json:
            return _ended(trajectory_document(trajectories.trajectory(trace_id)), unread)
        return _ended(trajectory_view(trajectories.outline(trace_id), columns()), unread)


@command.command("tools")
@click.option("--agent", metavar="NAME", help="Only of this agent.")
@click.option("--lookback", metavar="DURATION", default="7d", show_default=True, help="How far back to add up.")
@at_option
@store_option
@json_option
def tools(agent: str | None, lookback: str, at: str | None, store: str | None, as_json: bool) -> int:
    """Add up calls, time and cost per agent and tool, the costliest first.

    A tool's cost is what its rule in the settings says (docs/prices.md); without a rule it is not known.
    """
    from analyzer.config import parse_duration
    from analyzer.render.documents import tool_document
    from analyzer.render.terminal import terminal
    from analyzer.render.trajectory import tool_table
    from analyzer.wiring.opening import open_existing

    end = moment(at)
    with open_existing(settings_from(store=store).settings) as trajectories:
        found = trajectories.tool_uses(end - parse_duration(lookback), end, agent=agent)
    if as_json:
        uses = [{"agent": use.agent, **tool_document(use)} for use in found]
        print_json({"schema": "analyzer.tools/1", "tools": uses})
    elif found:
        click.echo(terminal((tool_table(found),), columns()), nl=False)
    else:
        click.echo("no tool calls in this time; `analyzer traces list` shows what is there")
    return 0


@command.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@store_option
@json_option
def diff(a: str, b: str, store: str | None, as_json: bool) -> int:
    """Compare two trajectories and show where they part.

    A and B are ids or beginnings of them, `latest` or `worst`. Steps are the same where the same tool is called with
    the same arguments; inferences where they ask for the same calls. Times, and ids and numbers in which the runs
    differ throughout, are no difference of a step.
    """
    from analyzer.render.diff import Walk, diff_document, diff_view
    from analyzer.render.sent import sent_of
    from analyzer.stores.joined import comparable
    from analyzer.wiring.opening import open_existing

    with open_existing(settings_from(store=store).settings) as trajectories:
        ids = [_resolved(trajectories, trace) for trace in (a, b)]
        first, second = (Walk(summary, steps) for summary, steps in comparable(trajectories, ids))

        def sent(*both: Step) -> tuple[str, str]:
            texts = (trajectories.span(trace_id, step.span_id) for trace_id, step in zip(ids, both, strict=True))
            one, other = (sent_of(span) for span in texts)
            return one, other

        shown = diff_document(first, second, sent) if as_json else diff_view(first, second, columns(), sent)
    if isinstance(shown, str):
        click.echo(shown, nl=False)
    else:
        print_json(shown)
    return DONE


@command.command("search")
@click.argument("text")
@click.option("--agent", metavar="NAME", help="Only in trajectories of this agent.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many hits at most.")
@store_option
@json_option
def search(text: str, agent: str | None, limit: int, store: str | None, as_json: bool) -> int:
    """Find a text in what trajectories said, called and got back, ignoring case.

    Each hit is named by its trajectory, span and field, as evidence in reports is. Secrets were masked before they
    were stored and cannot be found.
    """
    from analyzer.render.text import cut, one_line
    from analyzer.wiring.opening import open_existing

    if not text.strip():
        raise click.UsageError("TEXT is empty: say what to look for")
    with open_existing(settings_from(store=store).settings) as trajectories:
        unread = trajectories.elsewhere.heard()
        hits = trajectories.search(text, agent=agent, limit=limit)
        if not hits:
            _check_agent(trajectories, agent)
    if as_json:
        found = [
            {"trace_id": hit.trace_id, "span_id": hit.span_id, "field": hit.field, "excerpt": hit.excerpt}
            for hit in hits
        ]
        return _ended({"schema": "analyzer.trace-search/1", "text": text, "limit": limit, "hits": found}, unread)
    lines = [
        line
        for hit in hits
        for line in (
            f"{hit.trace_id}  {hit.span_id}  {hit.field}",
            cut(f"    {one_line(hit.excerpt)}", columns()),
        )
    ]
    return _ended("\n".join(lines or ["no hits; `analyzer traces list` shows what is in the store"]) + "\n", unread)
