"""`analyzer run`: one pass, for cron."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from analyzer.cli import logs
from analyzer.cli.common import (
    DONE,
    FAIL_ON,
    GAPS,
    at_option,
    columns,
    json_option,
    moment,
    print_json,
    record_option,
    replay_option,
    say_notes,
    say_remarks,
    settings_from,
    store_option,
)
from analyzer.cli.progress import Phases
from analyzer.cli.standing import stood_by
from analyzer.errors import StoreError, TurnTakenError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from analyzer.config import Settings
    from analyzer.pipeline import App
    from analyzer.stores.rounds import Round
    from analyzer.types.report import Incident, Report
    from analyzer.wiring.opening import Tape

PHASES = ("collect", "detect", "account", "triage", "investigate", "report", "deliver")


@click.command("run")
@at_option
@click.option("--lookback", metavar="DURATION", help="How far back to judge (24h, 7d); older data is history.")
@click.option("--prometheus-url", metavar="URL", help="Where the fleet's metrics are; unset: from the store.")
@click.option("--reports", metavar="FOLDER", help="Where report files go.")
@click.option("--llm", type=click.Choice(["auto", "off"]), help="off: explain by rules only.")
@click.option("--model", metavar="ID", help="The model that explains incidents.")
@click.option(
    "--fail-on",
    type=click.Choice(["low", "medium", "high", "critical"]),
    help="Exit 1 while an incident this bad or worse goes on that is not muted.",
)
@click.option("--exit-zero", is_flag=True, help="Exit 0 instead of 1 or 3, for schedulers that call those failures.")
@record_option
@replay_option
@store_option
@logs.log_format_option
@json_option
def command(
    at: str | None, exit_zero: bool, record: Path | None, replay: Path | None, as_json: bool, **flags: str | None
) -> int:
    """Detect, account, explain, report, deliver: one pass over the fleet.

    Prints only what is new: an unchanged incident is told once, and so is, without a terminal, what could not be seen.
    Cron stays quiet when nothing happened.
    With --at before the last run it repeats history: it prints its whole report, and neither saves nor sends a thing.
    So does --replay: it does the run at --at once more, with what a recording says in the model's place.

    One run at a time over a store, whatever started it (docs/running.md): another one says which has the turn, does
    nothing and exits 3. Where instances share a state in PostgreSQL, another one helps the run, takes it over where it
    breaks off, and once it is over exits 0, or 1 by --fail-on, without a word (docs/instances.md). On SIGTERM a run
    breaks off what it is at and keeps what is done; a second one ends it at once.

    Exit codes: 0 done; 1 an incident at or above --fail-on goes on, new or not, unless it is muted; 3 else, where
    something could not be seen, or another run was under way; 4 failed. With --exit-zero 1 and 3 are 0 as well.
    """
    from analyzer.wiring.opening import Tape

    # The other flags are settings, each under its name.
    settings = settings_from(**flags).settings
    logs.begin(settings)
    try:
        code = _run(settings, at, Tape(record, replay), as_json=as_json)
    except TurnTakenError as error:
        if not exit_zero:
            raise
        logs.warning(str(error), prefix="analyzer: ")
        return DONE
    return DONE if exit_zero and code in {FAIL_ON, GAPS} else code


def _run(settings: Settings, at: str | None, tape: Tape, *, as_json: bool) -> int:
    """Do the run, or help the one that is under way; return the exit code. Raises TurnTakenError.

    One that has to be taken over is done as of its own moment: what was found of it already is used. What a recording
    is made of is this run and no other's, and so it neither helps nor takes over.
    """
    from analyzer.wiring.opening import Tape

    left: Round | None = None
    while True:
        try:
            return _passed(settings, at, tape, left, as_json=as_json)
        except TurnTakenError as refusal:
            if settings.state is None or tape != Tape():
                raise
            left = stood_by(settings, settings.state, None if at is None else moment(at), refusal)
            if left is None:
                return _helped_code(settings)


def _passed(settings: Settings, at: str | None, tape: Tape, left: Round | None, *, as_json: bool) -> int:
    """Do the run, say what is new and return the exit code. Raises TurnTakenError where another one is under way.

    `left` is the round of a run that broke off, which this one does to its end.
    """
    from analyzer.cycles import rarely_sought
    from analyzer.pipeline import run
    from analyzer.render.report import report_outline
    from analyzer.render.terminal import terminal
    from analyzer.stores.turn import alone
    from analyzer.types.report import REPEATED
    from analyzer.wiring.building import build

    # What repeats history keeps nothing, and so need not be able to.
    repeats = at is not None or tape.replay is not None
    out = None if as_json else sys.stdout
    with (
        rarely_sought(),
        alone(settings.store, or_read=repeats, state=settings.state) as turn,
        build(settings, out=out, tape=tape, or_read=repeats, turn=turn) as app,
    ):
        now = _now(app, at, left)
        if turn is None:
            _keeps_nothing(app, now, settings.store)
        before = app.incidents.latest_report()
        logs.of_run(app.run_trace_id)
        told = (Phases(PHASES), logs.PhaseLog())

        def begin(phase: str) -> None:
            if turn is not None:
                turn.check()
            for tell in told:
                tell(phase)

        report = run(app, now, live=at is None, on_phase=begin)
        for tell in told:
            tell("")
        document = app.document(report)
        say_remarks(app.remarks())
    if as_json:
        print_json(json.loads(document))
    elif REPEATED in report.notes:
        click.echo(terminal(report_outline(report), columns()), nl=False)
    say_notes(report, None if before is None else before[0])
    _log_end(report)
    return exit_code(report, settings.fail_on)


def _now(app: App, at: str | None, left: Round | None) -> datetime:
    """Return the moment of a run: that of the one it takes over, unless others have gone on from there meanwhile.

    An instance that stood still, suspended for an hour say, must not put back what later runs know.
    """
    if left is None:
        return moment(at)
    last = app.incidents.latest_run_at()
    return left.at if last is None or last <= left.at else moment(at)


def _keeps_nothing(app: App, at: datetime, store: Path) -> None:
    """Raise StoreError where a run over a store that cannot be written would have to keep what it finds."""
    last = app.incidents.latest_run_at()
    if app.rehearsal or (last is not None and last > at):
        return
    why = f"only a run before the last one, {last:%Y-%m-%d %H:%M} UTC, keeps nothing" if last else "none was kept yet"
    hint = "make the file and its folder writable for this user"
    raise StoreError(f"the store {store} cannot be written, and this run would be kept ({why}); {hint}")


def _log_end(report: Report) -> None:
    """Say what a run came to: each incident that goes on, and the whole."""
    from analyzer.types.report import ACTIVE

    for one in report.incidents:
        if one.state in ACTIVE:
            fields = {"incident": one.id, "state": one.state.value, "severity": one.severity.value}
            logs.info(f"{one.id} is {one.state.value}: {one.title}", **fields)
    logs.info(
        "the run is done",
        seconds=report.run.duration_s,
        trajectories=report.run.trajectories_seen,
        incidents=len(report.incidents),
        gaps=len(report.gaps),
        llm_cost_usd=report.run.llm.cost_usd,
    )


def exit_code(report: Report, fail_on: str | None) -> int:
    """Return 1 while an incident that is bad enough goes on, told already or not; else 3 for gaps, else 0.

    One that a human muted counts as little as one that was dismissed: whoever is woken by the exit code has said so.
    """
    if _goes_on(report.incidents, report.run.at, fail_on):
        return FAIL_ON
    return GAPS if report.gaps else DONE


def _helped_code(settings: Settings) -> int:
    """Return the exit code of an instance that helped with a run that is over: 1 by what was filed, else 0.

    Whoever waits for --fail-on must not be let through because another one filed. Raises StoreError.
    """
    from analyzer.wiring.opening import open_memory

    if settings.fail_on is None:
        return DONE
    with open_memory(settings) as memory:
        at, incidents = memory.latest_run_at(), memory.incidents()
    return FAIL_ON if at is not None and _goes_on(incidents, at, settings.fail_on) else DONE


def _goes_on(incidents: Sequence[Incident], at: datetime, fail_on: str | None) -> bool:
    """Tell whether an incident that is bad enough goes on at a moment, and nobody muted it."""
    from analyzer.types.report import ACTIVE, Severity

    if fail_on is None:
        return False
    heard = [one for one in incidents if one.state in ACTIVE and (one.muted_until is None or one.muted_until <= at)]
    return any(one.severity.rank >= Severity(fail_on).rank for one in heard)
