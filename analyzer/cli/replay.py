"""`analyzer replay`: a stored trajectory, run again."""

from __future__ import annotations

import click

from analyzer.cli.common import columns, json_option, print_json, settings_from, store_option


@click.command("replay")
@click.argument("trace")
@click.option("--check", is_flag=True, help="Say what a replay has to work with, and what is missing; send nothing.")
@store_option
@json_option
def command(trace: str, *, check: bool, store: str | None, as_json: bool) -> int:
    """Run a stored trajectory again.

    TRACE is an id or a beginning of one, `latest` or `worst`. No tool is ever run.

    Exit codes: 0 done; 2 no such trajectory, or nothing that says what to do; 4 failed.
    """
    if not check:
        raise click.UsageError("say what to do with the recording: --check")
    _check(trace, store, as_json=as_json)
    return 0


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
