"""`analyzer replay TRACE --serve`: the agent's own code runs again, against a stand-in for its model provider."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import DONE, FAIL_ON, FAILED, GAPS, Command, print_json, settings_from
from analyzer.config import REPLAY_URL, environment_with
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.replay.judging import Failure, Seen
    from analyzer.replay.recording import Recording
    from analyzer.replay.standin import Met

POLICIES = ("stop", "nearest", "live")
LIVE_REFUSED = (
    "--on-divergence live would send the agent's own requests to a provider and be billed; it is not there: take stop "
    "or nearest"
)


def serve_options(command: Command) -> Command:
    """Give `analyzer replay` the options of this mode, and the agent's command behind them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option("--serve", "serving", is_flag=True, help="Stand in for the provider while the agent runs again."),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=0,
        help="Port on loopback to serve on; a free one unless given.",
    ),
    click.option(
        "--on-divergence",
        type=click.Choice(POLICIES),
        metavar="[stop|nearest]",
        default="stop",
        show_default=True,
        help="From the first request on that differs: an error, or the recorded reply that fits best.",
    ),
    click.option(
        "--guilty-step",
        type=click.IntRange(1),
        metavar="N",
        help="The step to blame; else each that failed or went round in a loop.",
    ),
    click.argument("agent_command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED),
)


def serve(
    trace: str,
    store: str | None,
    *,
    port: int,
    on_divergence: str,
    guilty: int | None,
    command: Sequence[str],
    as_json: bool,
) -> int:
    """Stand in for the provider of a recorded run until its command ends; return the exit code of the outcome.

    Without a command it stands until ctrl-c. Raises UsageError for a policy that is not to be had, a port that is
    taken, a command that does not start and a guilty step that is none; NotFoundError.
    """
    from analyzer.replay.judging import failure_of, seen
    from analyzer.replay.recording import recording_of
    from analyzer.replay.standin import Policy, StandIn
    from analyzer.server.standin import standing_in
    from analyzer.wiring.opening import open_existing

    if on_divergence == "live":
        raise UsageError(LIVE_REFUSED)
    with open_existing(settings_from(store=store).settings) as trajectories:
        trajectory = trajectories.trajectory(trajectories.resolve(trace))
        mask = trajectories.masker.text
    recording = recording_of(trajectory)
    _check_step(recording, guilty)
    standin = StandIn(recording, policy=Policy(on_divergence), mask=mask)
    with standing_in(standin, port) as url:
        code: int | None = None
        if command:
            code = run_agent(command, url)
        else:
            _wait(url)
    failure = failure_of(recording, trajectory.summary.outcome)
    found = seen(recording, failure, standin.course, code=code, guilty=guilty)
    if as_json:
        print_json(_document(recording, found, standin.course, code))
    else:
        click.echo("\n".join(_lines(recording, found, standin.course)))
    return _code(found, failure)


def _check_step(recording: Recording, guilty: int | None) -> None:
    numbers = [call.number for call in recording.calls]
    numbers += [one.number for one in recording.executions if one.number is not None]
    if guilty is not None and guilty not in numbers:
        raise UsageError(
            f"--guilty-step {guilty}: the recording has steps {min(numbers, default=0)} to {max(numbers, default=0)}"
        )


def run_agent(command: Sequence[str], url: str, more: Mapping[str, str] = MappingProxyType({})) -> int:
    """Run the agent with its base URLs changed, and `more` in its environment; return its exit code.

    What it prints goes to standard error: standard output is ours. Raises UsageError where it does not start.
    """
    environment = environment_with(
        {
            "ANTHROPIC_BASE_URL": url,
            "OPENAI_BASE_URL": f"{url}/v1",
            REPLAY_URL: url,
            # An SDK wants a key before it asks; this one is worth nothing anywhere.
            "ANTHROPIC_API_KEY": "replay",
            "OPENAI_API_KEY": "replay",
            **more,
        }
    )
    try:
        return subprocess.run(command, env=environment, stdout=2, check=False).returncode  # noqa: S603 - the user's own command
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", error)
        raise UsageError(f"cannot start {command[0]}: {why}; what stands after -- is the agent") from None


def _wait(url: str) -> None:
    click.echo(
        f"standing in for the provider: set ANTHROPIC_BASE_URL={url} or OPENAI_BASE_URL={url}/v1, "
        f"and {REPLAY_URL}={url} for recorded tools; ctrl-c ends",
        err=True,
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return


def _code(found: Seen, failure: Failure) -> int:
    """Return the exit code: 0 where nothing is wrong, which for a run that failed is that it is fixed."""
    from analyzer.replay.outcomes import Outcome

    codes = {
        Outcome.REPRODUCED: FAIL_ON if failure.any else DONE,
        Outcome.FIXED: DONE,
        Outcome.DIVERGED: FAIL_ON,
        Outcome.CANNOT_JUDGE: GAPS,
        Outcome.CANNOT_REPRODUCE: FAILED,
    }
    return codes[found.judged.outcome]


def _lines(recording: Recording, found: Seen, course: Sequence[Met]) -> list[str]:
    from analyzer.render.text import one_line

    at = f" at step {found.judged.step}" if found.judged.step is not None else ""
    lines = [f"{found.judged.outcome.value}{at}: {found.judged.why}"]
    lines.append(f"{len(course)} requests; the recording has {len(recording.calls)} calls of a model")
    if found.difference is not None and found.difference.diff:
        lines.append("- recorded, + asked:")
        lines += [f"  {line[:1]}{one_line(line[1:])}" for line in found.difference.diff]
    return lines


def _document(recording: Recording, found: Seen, course: Sequence[Met], code: int | None) -> dict[str, Any]:
    difference = found.difference
    return {
        "schema": "analyzer.replay-serve/1",
        "trace_id": recording.trace_id,
        "outcome": found.judged.outcome.value,
        "step": found.judged.step,
        "why": found.judged.why,
        "differs": None if difference is None else {"parts": list(difference.parts), "diff": list(difference.diff)},
        "agent_exit_code": code,
        "recorded_calls": len(recording.calls),
        "requests": [{"step": met.step, "how": met.how.value, "answered": met.answered} for met in course],
    }
