"""`analyzer replay`: a stored trajectory, run again."""

from __future__ import annotations

from pathlib import Path

import click

from analyzer.cli.common import columns, json_option, print_json, settings_from, store_option


@click.command("replay")
@click.argument("trace")
@click.option("--check", is_flag=True, help="Say what a replay has to work with, and what is missing; send nothing.")
@click.option("--step", metavar="N", type=click.IntRange(min=1), help="Send the model call of this step again.")
@click.option("--times", type=click.IntRange(1, 100), default=5, show_default=True, help="With --step: how often.")
@click.option("--model", metavar="ID", help="With --step: ask this model instead of the recorded one.")
@click.option(
    "--edit",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --step: JSON object with the system, messages, tools or parameters to send instead.",
)
@click.option("--yes", is_flag=True, help="With --step: send without asking, at the price that --step alone says.")
@store_option
@json_option
def command(
    trace: str,
    *,
    check: bool,
    step: int | None,
    times: int,
    model: str | None,
    edit: Path | None,
    yes: bool,
    store: str | None,
    as_json: bool,
) -> int:
    """Run a stored trajectory again.

    TRACE is an id or a beginning of one, `latest` or `worst`. With --step the recorded request of one model call is
    sent again, as it was or with one thing changed: how often does the model take the recorded decision? It is paid
    for from the analyst's own budget. No tool is ever run.

    Exit codes: 0 done; 2 no such trajectory or step, or not agreed to; 3 some calls gave no reply; 4 failed.
    """
    if check == (step is not None):
        raise click.UsageError("say what to do with the recording: --check or --step N")
    if step is None:
        _check(trace, store, as_json=as_json)
        return 0
    from analyzer.cli.replay_step import replay_step

    return replay_step(trace, step, times=times, model=model, edit=edit, yes=yes, store=store, as_json=as_json)


def _check(trace: str, store: str | None, *, as_json: bool) -> None:
    """Show what was recorded of a trajectory, and what is missing. Raises NotFoundError."""
    from analyzer.render.terminal import terminal
    from analyzer.replay.recording import recording_of
    from analyzer.replay.shown import check_document, check_outline
    from analyzer.wiring.opening import open_existing

    with open_existing(settings_from(store=store).settings) as trajectories:
        recording = recording_of(trajectories.trajectory(trajectories.resolve(trace)))
    if as_json:
        print_json(check_document(recording))
    else:
        click.echo(terminal(check_outline(recording), columns()), nl=False)
