"""The agent's own command, run against a stand-in for its provider: its environment, its end, how long it may take."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import click

from analyzer.cli.common import Command
from analyzer.config import REPLAY_KEY, REPLAY_URL, environment_with
from analyzer.errors import UsageError

TIMED_OUT = 124
"""The exit code of a command that was ended, as `timeout` of the GNU tools has it."""
TIMEOUT_S = 900.0
"""Longer than agents take whose model answers at once; a build that hangs ends."""
_END_S = 5.0
"""How long a command has to end by itself once it is told to."""
_LEFT_S = 1.0
"""How long what a command left behind has: the run is over, and nobody waits for what it does."""
_LOOK_S = 0.02


def timeout_option(command: Command) -> Command:
    """Give a command that runs the agent's own the option that bounds it."""
    return click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(0, min_open=True),
        default=TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        help="End COMMAND, and all that it started, after so long.",
    )(command)


def run_agent(
    command: Sequence[str],
    url: str,
    more: Mapping[str, str] = MappingProxyType({}),
    *,
    timeout_s: float = TIMEOUT_S,
) -> int:
    """Run the agent with its base URLs changed, and `more` in its environment; return its exit code.

    What it prints goes to standard error: standard output is ours. After `timeout_s` it is ended with all that it
    started, and so it is on ctrl-c; the exit code is TIMED_OUT then. What it leaves behind when it ends by itself is
    ended, too: it would go on asking at an address where nobody listens. Raises UsageError where it does not start.
    """
    environment = environment_with(
        {
            "ANTHROPIC_BASE_URL": url,
            "OPENAI_BASE_URL": f"{url}/v1",
            REPLAY_URL: url,
            "ANTHROPIC_API_KEY": REPLAY_KEY,
            "OPENAI_API_KEY": REPLAY_KEY,
            **more,
        }
    )
    try:
        # A session of its own, so that whatever it starts can be ended with it.
        process = subprocess.Popen(command, env=environment, stdout=2, start_new_session=True)  # noqa: S603 - the user's own command
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", error)
        raise UsageError(f"cannot start {command[0]}: {why}; what stands after -- is the agent") from None
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        click.echo(f"the agent was ended after {timeout_s:g} s; --timeout gives it longer", err=True)
        return TIMED_OUT
    finally:
        if process.returncode is None:
            _end(process)
        else:
            _end_left(process.pid)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and its children: first they are told, then they are killed."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        try:
            os.killpg(process.pid, number) if hasattr(os, "killpg") else process.kill()
            process.wait(_END_S)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _end_left(group: int) -> None:
    """End what is left of the process group of a command that is gone; mostly there is nothing."""
    if not hasattr(os, "killpg"):
        return
    try:
        os.killpg(group, signal.SIGTERM)
        until = time.monotonic() + _LEFT_S
        while time.monotonic() < until:
            time.sleep(_LOOK_S)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)
    except OSError:
        # There is none any more, or (macOS) only what nobody has waited for yet.
        return
