"""`analyzer demo`: the whole walk on a simulated fleet, without a key and without a server."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from analyzer.cli.common import GAPS, at_option, json_option, print_json, say_notes, settings_from
from analyzer.cli.progress import Counting, Phases
from analyzer.cli.run import PHASES
from analyzer.config import parse_time


@click.command("demo")
@at_option
@click.option("--folder", metavar="PATH", help="Where store and reports go; unset: a new temporary folder.")
@json_option
def command(at: str | None, folder: str | None, as_json: bool) -> int:
    """Show the whole walk on a simulated fleet.

    Eight days of seven agents, with three faults in the last day and much that only looks like one, are made up, read
    in as any fleet's traces are, and analysed. Nothing leaves this machine. The clock of the demo stands still, so
    that it shows the same every time; --at moves it.
    """
    from analyzer.ingest.otlp import spans_from_json
    from analyzer.ingest.pricing import Pricer
    from analyzer.pipeline import run
    from analyzer.simulation.scenario import demo_path, read_scenario
    from analyzer.wiring.building import build

    fleet = read_scenario(demo_path(), now=parse_time(at) if at else None)
    scratch = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="analyzer-demo-"))
    plain = settings_from().settings
    settings = replace(
        plain,
        store=scratch / "demo.db",
        reports=scratch / "reports",
        llm="off",
        prometheus_url=None,
        slack_webhook_url=None,
        pushgateway_url=None,
    )
    with build(settings, out=None if as_json else sys.stdout) as app:
        pricer = Pricer(settings.prices)
        with Counting("ingested", "spans") as counting:
            for request in fleet.requests():
                batch = spans_from_json(request, pricer=pricer)
                app.trajectories.add(batch.spans)
                counting.add(len(batch.spans))
        progress = Phases(PHASES)
        report = run(app, fleet.now, on_phase=progress)
        progress("")
        if as_json:
            print_json(json.loads(app.document(report)))
    say_notes(report)
    if not as_json:
        click.echo(_look_closer(scratch))
    return GAPS if report.gaps else 0


def _look_closer(scratch: Path) -> str:
    store = scratch / "demo.db"
    return (
        f"\nReports: {scratch / 'reports'}\n"
        "Look closer:\n"
        f"  analyzer incidents list --store {store}\n"
        f"  analyzer traces show worst --store {store}\n"
        f'  analyzer ask worst "why was this so expensive?" --store {store}'
    )
