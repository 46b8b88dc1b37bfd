"""`analyzer backtest`: what scheduled runs would have filed, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import (
    DONE,
    GAPS,
    columns,
    json_option,
    moment,
    print_json,
    say_gaps,
    settings_from,
    store_option,
)
from analyzer.cli.progress import Bar

if TYPE_CHECKING:
    from analyzer.pipeline.backtest import Backtest

SCHEMA = "analyzer.backtest/1"


@click.command("backtest")
@click.option("--from", "start", metavar="TIME", required=True, help="Now of the first run (ISO 8601, UTC).")
@click.option("--to", "end", metavar="TIME", help="No run is later; unset: the current time.")
@click.option("--every", metavar="DURATION", default="1h", show_default=True, help="Time between two runs (15m, 1h).")
@click.option("--lookback", metavar="DURATION", help="How far back each run judges; older data is history.")
@click.option("--prometheus-url", metavar="URL", help="Where the fleet's metrics are; unset: from the store.")
@store_option
@json_option
def command(
    start: str,
    end: str | None,
    every: str,
    lookback: str | None,
    prometheus_url: str | None,
    store: str | None,
    as_json: bool,
) -> int:
    """Show what runs on a schedule would have filed on the stored history, and how often.

    It walks through the life of incidents as that many runs would have, with the settings of now and no memory of what
    was filed before. Nothing is kept or sent, and no model is asked.

    Exit codes: 0 done; 2 usage or configuration; 3 some run could not see something; 4 failed.
    """
    from analyzer.config import parse_duration
    from analyzer.cycles import rarely_sought
    from analyzer.pipeline.backtest import backtest
    from analyzer.render.backtest import backtest_outline
    from analyzer.render.terminal import terminal
    from analyzer.wiring.building import build_reader

    settings = settings_from(lookback=lookback, prometheus_url=prometheus_url, store=store).settings
    step = parse_duration(every)
    with rarely_sought(), build_reader(settings) as app, Bar("runs") as bar:
        done = backtest(app, moment(start), moment(end), step, on_run=bar)
    if as_json:
        print_json(_document(done))
    else:
        outline = backtest_outline(done.incidents, done.start, done.end, done.runs, done.per_week)
        click.echo(terminal(outline, columns()), nl=False)
    say_gaps(done.gaps)
    return GAPS if done.gaps else DONE


def _document(done: Backtest) -> dict[str, Any]:
    from analyzer.config import duration_text
    from analyzer.types.document import gap_document, incident_document, time_text

    return {
        "schema": SCHEMA,
        "from": time_text(done.start),
        "to": time_text(done.end),
        "every": duration_text(done.every),
        "runs": done.runs,
        "incidents": [incident_document(incident) for incident in done.incidents],
        "per_week": done.per_week,
        "gaps": [gap_document(gap) for gap in done.gaps],
    }
