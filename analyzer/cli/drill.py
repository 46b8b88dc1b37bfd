"""`analyzer drill`: known faults in a copy of the fleet, to see what is found and whether anything leaks."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.common import (
    DONE,
    FAIL_ON,
    GAPS,
    at_option,
    columns,
    json_option,
    print_json,
    say_gaps,
    settings_from,
    store_option,
)
from analyzer.cli.progress import Counting
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.pipeline import App
    from analyzer.types.report import Kind

IDLE = timedelta(hours=6)
"""A fleet whose last trajectory is older is drilled from there on: history that was read in, and the demo."""


@click.command("drill")
@at_option
@click.option("--seed", type=int, default=1, show_default=True, help="Another one draws other agents and onsets.")
@click.option("--fault", "faults", metavar="KIND", multiple=True, help="Only this kind of fault; may be repeated.")
@click.option("--recall", type=click.FloatRange(0, 1), default=0.9, show_default=True, help="Least share found.")
@click.option("--precision", type=click.FloatRange(0, 1), default=0.9, show_default=True, help="Least share true.")
@store_option
@json_option
def command(
    at: str | None,
    seed: int,
    faults: tuple[str, ...],
    recall: float,
    precision: float,
    store: str | None,
    as_json: bool,
) -> int:
    """Plant known faults in a copy of your fleet and see whether they are found.

    Copies of your agents' own healthy trajectories go into a scratch store, with a fault of each kind and made-up
    secrets in them. Everything is done as ever, with your settings, and nothing leaves the process. What comes out:
    how many faults were found, how many incidents were true, how long it took, and whether a secret came out by any
    exit. No trajectory and no incident of yours changes; the analyst's own metrics get the drill's figures.

    Exit codes: 0 passed; 1 less than wanted was found, a kind of fault was missed twice, or a secret came out; 2 usage
    or configuration; 3 nothing could be drilled, or its figures could not be kept; 4 failed.
    """
    from analyzer.pipeline.drill import drill
    from analyzer.render.terminal import terminal
    from analyzer.selfwatch.drill.outline import drill_document, drill_outline
    from analyzer.wiring.building import build_reader
    from analyzer.wiring.drilling import Workshop, keep_figures

    settings = settings_from(store=store).settings
    kinds = _kinds(faults)
    with (
        tempfile.TemporaryDirectory(prefix="analyzer-drill-") as folder,
        build_reader(settings) as app,
        Counting("drill:", "steps") as said,
    ):
        done = drill(app, Workshop(settings, Path(folder)), _now(app, at), seed=seed, kinds=kinds, on_phase=said.note)
    unkept = keep_figures(settings, done)
    failures = done.failures(recall, precision)
    if as_json:
        print_json(drill_document(done, failures))
    else:
        click.echo(terminal(drill_outline(done, failures), columns()), nl=False)
    say_gaps((*done.gaps, *unkept))
    if failures:
        return FAIL_ON
    return DONE if done.verdicts and not unkept else GAPS


def _kinds(names: tuple[str, ...]) -> tuple[Kind, ...]:
    """Return the kinds of faults that are asked for, or all. Raises UsageError."""
    from analyzer.selfwatch.drill.faults import FAULTS

    known = {kind.value: kind for kind in FAULTS}
    for name in names:
        if name not in known:
            raise UsageError(f"--fault {name} is no fault of a drill; there are {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names)) if names else tuple(known.values())


def _now(app: App, at: str | None) -> datetime:
    """Return where the history ends: `--at`, else now, else the last trajectory of a fleet that is idle.

    Raises UsageError where there is none.
    """
    from analyzer.config import parse_time

    if at:
        return parse_time(at)
    now = datetime.now(UTC)
    last = next(iter(app.trajectories.summaries(end=now, limit=1)), None)
    if last is None or last.end_ns is None:
        raise UsageError(f"the store holds no trajectory that could be copied; {app.filled_by} reads some")
    ended = datetime.fromtimestamp(last.end_ns / 1e9, UTC)
    return now if now - ended < IDLE else ended + timedelta(seconds=1)
