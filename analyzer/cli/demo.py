"""`analyzer demo`: the whole walk on a simulated fleet, without a key and without a server."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.common import GAPS, at_option, json_option, print_json, say_notes, settings_from
from analyzer.cli.progress import Counting, Phases
from analyzer.cli.run import PHASES
from analyzer.config import parse_time
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.config import Loaded

STORE_NAME = "demo.db"


@click.command("demo")
@at_option
@click.option("--folder", metavar="PATH", help="Where store and reports go; unset: a new temporary folder.")
@json_option
def command(at: str | None, folder: str | None, as_json: bool) -> int:
    """Show the whole walk on a simulated fleet.

    Eight days of eight agents, with three faults in the last day and much that only looks like one, are made up, read
    in as any fleet's traces are, and analysed. Nothing leaves this machine. The clock of the demo stands still, so
    that it shows the same every time; --at moves it.
    """
    from analyzer.ingest.otlp import spans_from_json
    from analyzer.ingest.pricing import Pricer
    from analyzer.pipeline import run
    from analyzer.simulation.scenario import demo_path, read_scenario
    from analyzer.wiring.building import build

    fleet = read_scenario(demo_path(), now=parse_time(at) if at else None)
    scratch = _scratch(folder)
    loaded = settings_from()
    settings = replace(
        loaded.settings,
        store=scratch / STORE_NAME,
        reports=scratch / "reports",
        # Incidents that are made up are none of other instances', and no trajectory that is real belongs among them.
        state=None,
        clickhouse_url=None,
        llm="off",
        prometheus_url=None,
        prometheus={},
        # Nobody outside is told of faults that are made up.
        slack_webhook_url=None,
        slack_bot_token=None,
        slack_channel=None,
        webhook_url=None,
        webhook_secret=None,
        smtp_url=None,
        mail_from=None,
        mail_to=None,
        alertmanager_url=None,
        otlp_endpoint=None,
        argus_url=None,
        pushgateway_url=None,
        metrics_textfile=None,
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
        click.echo(_look_closer(scratch, loaded))
    return GAPS if report.gaps else 0


def _scratch(folder: str | None) -> Path:
    """Return the folder to work in, ready to be written. Raises UsageError.

    One that holds a demo is refused: what was told once is not told again, so that a second demo would say nothing.
    """
    if not folder:
        return Path(tempfile.mkdtemp(prefix="analyzer-demo-"))
    scratch = Path(folder)
    store = scratch / STORE_NAME
    if store.exists():
        look = f"`analyzer incidents list --store {store}`"
        raise UsageError(f"--folder {folder} holds a demo already; name another one, or look at it: {look}")
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / "reports").mkdir(exist_ok=True)
    except OSError as error:
        why = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
        raise UsageError(f"--folder {folder} cannot be used: {why}; name another one") from None
    return scratch


def _look_closer(scratch: Path, loaded: Loaded) -> str:
    """Return the commands that show the demo: with a state or a ClickHouse set they would show the real fleet's."""
    store = scratch / STORE_NAME
    without = "ANALYZER_STATE= " if loaded.settings.state else ""
    without += "ANALYZER_CLICKHOUSE_URL= " if loaded.settings.clickhouse_url else ""
    if without and loaded.file is not None:
        # A variable that is empty leaves a setting to the file.
        without += f"ANALYZER_CONFIG={os.devnull} "
    return (
        f"\nReports: {scratch / 'reports'}\n"
        "Look closer:\n"
        f"  {without}analyzer incidents list --store {store}\n"
        f"  {without}analyzer traces show worst --store {store}\n"
        f'  {without}analyzer ask worst "why was this so expensive?" --store {store}'
    )
