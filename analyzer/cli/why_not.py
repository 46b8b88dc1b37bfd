"""`analyzer why-not`: where every detector stands with one agent, and what holds it back."""

from __future__ import annotations

from typing import Any

import click

from analyzer.cli.common import (
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


@click.command("why-not")
@click.argument("agent")
@click.option("--kind", metavar="KIND", help="Only what looks for this kind of anomaly (cost, errors, loop, ...).")
@at_option
@click.option("--lookback", metavar="DURATION", help="How far back to judge (24h, 7d); older data is history.")
@click.option("--prometheus-url", metavar="URL", help="Where the fleet's metrics are; unset: from the store.")
@store_option
@json_option
def command(
    agent: str,
    kind: str | None,
    at: str | None,
    lookback: str | None,
    prometheus_url: str | None,
    store: str | None,
    as_json: bool,
) -> int:
    """Say why the detectors are silent about AGENT, or that they are not.

    For each detector: what it measures, what is usual, its score, what it needs, and the gate that holds it back; what
    was found, and which incident it is or belongs to; what could not have been seen at this volume. Nothing is kept or
    sent.

    Exit codes: 0 done; 2 no such agent or kind; 3 something could not be seen; 4 failed.
    """
    from analyzer.pipeline import why_not
    from analyzer.render.documents import why_not_document
    from analyzer.render.readings import why_not_outline
    from analyzer.render.terminal import terminal
    from analyzer.wiring.building import build_reader

    loaded = settings_from(lookback=lookback, prometheus_url=prometheus_url, store=store)
    wanted = None if kind is None else _kind(kind)
    with build_reader(loaded.settings) as app:
        answer = why_not(app, agent, moment(at), kind=wanted)
    if as_json:
        print_json(why_not_document(answer))
    else:
        click.echo(terminal(why_not_outline(answer), columns()), nl=False)
    say_gaps(answer.gaps)
    return GAPS if answer.gaps else DONE


def _kind(text: str) -> Any:
    """Return the kind of a name. Raises UsageError."""
    import difflib

    from analyzer.errors import UsageError
    from analyzer.types.report import Kind

    kinds = [kind.value for kind in Kind]
    if text in kinds:
        return Kind(text)
    close = difflib.get_close_matches(text, kinds, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(kinds)}"
    raise UsageError(f"--kind: '{text}' is no kind; {hint}")
