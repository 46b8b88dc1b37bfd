"""`analyzer replay`: a stored trajectory, run again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
from click.core import ParameterSource

from analyzer.cli.common import columns, json_option, print_json, settings_from, store_option
from analyzer.cli.replay_proof import factor_option, replay_incident
from analyzer.cli.replay_serve import OF_SERVE, Serving, serve, serve_options
from analyzer.cli.replay_step import OF_STEP, replay_step, step_options


@click.command("replay")
@click.argument("trace")
@click.option("--check", is_flag=True, help="Say what a replay has to work with, and what is missing; send nothing.")
@step_options
@factor_option
@serve_options
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
    factor: str | None,
    serving: bool,
    port: int,
    on_divergence: str,
    budget_usd: str | None,
    timeout_s: float,
    guilty_step: int | None,
    agent_command: tuple[str, ...],
    store: str | None,
    as_json: bool,
) -> int:
    """Run a stored trajectory again.

    TRACE is an id or a beginning of one, `latest` or `worst`. With --step the recorded request of one model call is
    sent again, as it was or with one thing changed: how often does the model take the recorded decision? It is paid
    for from the analyst's own budget. No tool is ever run.

    An incident's id (inc-...) in the place of TRACE puts its cause to the proof: affected steps are sent again as they
    were and with one factor changed back, and the outcome is kept with the diagnosis.

    With --serve it stands in for the model provider on loopback: COMMAND, the agent's own code, runs with
    ANTHROPIC_BASE_URL and OPENAI_BASE_URL changed and is answered from the recording, at no cost; without a COMMAND it
    stands until ctrl-c. Then it says whether the run came again, is fixed or diverged, and where it parted. With
    --on-divergence live the provider itself is asked from there on, within the budget, once that is agreed to.

    Exit codes: 0 done, or proven, or fixed, or a healthy run came again; 1 refuted, or a failure came again, or the run
    diverged; 2 no such trajectory or step, nothing to put to a proof, or not agreed to; 3 some calls gave no reply, or
    cannot judge; 4 failed, or cannot reproduce.
    """
    if budget_usd is not None and not (serving and on_divergence == "live"):
        raise click.UsageError("--budget-usd is for --on-divergence live; set ANALYZER_BUDGET_USD for anything else")
    of_step, of_serve = _given(OF_STEP), _given(OF_SERVE)
    if trace.startswith("inc-"):
        if check or serving or agent_command or step is not None or of_serve or {*of_step} - {"--times"}:
            raise click.UsageError("an incident takes --factor, --times and --yes alone")
        return replay_incident(trace, factor=factor, times=times, yes=yes, store=store, as_json=as_json)
    if factor is not None:
        raise click.UsageError("--factor goes with an incident")
    if [check, step is not None, serving].count(True) != 1:
        raise click.UsageError("say what to do with the recording: --check, --step N or --serve")
    strange = [] if serving else [f"{one} is for --serve" for one in of_serve + ["a COMMAND"] * bool(agent_command)]
    strange += [f"{one} is for --step N" for one in of_step if step is None]
    if strange:
        raise click.UsageError(strange[0])
    if check:
        _check(trace, store, as_json=as_json)
        return 0
    if step is not None:
        return replay_step(trace, step, times=times, model=model, edit=edit, yes=yes, store=store, as_json=as_json)
    how = Serving(port, on_divergence, guilty_step, agent_command, timeout_s, budget_usd, yes)
    return serve(trace, store, how, as_json=as_json)


def _given(options: Mapping[str, str]) -> list[str]:
    """Return which of some options stand on the command line: what would be ignored is refused."""
    context = click.get_current_context()
    said = ParameterSource.COMMANDLINE
    return [option for name, option in options.items() if context.get_parameter_source(name) is said]


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
