"""The `analyzer` program: finds a command, runs it, turns what went wrong into one line and an exit code."""

from __future__ import annotations

import importlib
import select
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import TextIO

import click

from analyzer.cli import logs
from analyzer.errors import AnalyzerError, StoppedError

COMMANDS: Mapping[str, str] = {
    "demo": "Show the whole walk on a simulated fleet: no key, no server.",
    "ingest": "Read trajectories from files into the store.",
    "serve": "Receive trajectories from running agents (OTLP); show everything in a browser.",
    "run": "One pass, for cron: detect, explain, report, deliver.",
    "watch": "The same on a schedule, for places without cron.",
    "ask": "Ask about one trajectory, an incident or the fleet.",
    "mcp": "Let other agents ask, by the Model Context Protocol.",
    "incidents": "List and show incidents.",
    "traces": "List, show, compare and search trajectories.",
    "replay": "Run a stored trajectory again, as far as it was recorded.",
    "why-not": "Say why the detectors are silent about an agent.",
    "backtest": "Show what scheduled runs would have filed, and how often.",
    "drill": "Plant known faults in a copy of the fleet; see whether they are found.",
    "golden": "Make cases of failed runs, and hold later runs against them.",
    "detectors": "Show what is looked for, with which settings, and how often it was right.",
    "registry": "Show which agents there are, and enter whose each is.",
    "change": "Record what changed where no span shows it.",
    "audit": "Show and verify the log of the analyst's own calls.",
    "store": "Show what the store takes, and delete what is old.",
    "rules": "Make Prometheus rules from the settings of the detectors.",
    "dashboard": "Make a Grafana dashboard on the metrics of /metrics.",
    "notify": "Try the routes on which incidents are told.",
    "doctor": "Show every setting with its source and check every connection.",
}
"""Each is the module `analyzer.cli.<name>` (with _ for -) and its click command `command`; the text spares `--help` the
import."""

FAILED = 4
INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


class LazyGroup(click.Group):
    """Imports a command when it runs: `--help` starts in a quarter of a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"analyzer.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a command module without a command cannot ship
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"analyzer {version('analyzer')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.pass_context
def program(ctx: click.Context, debug: bool) -> None:
    """Be the analyst on call for a fleet of LLM agents.

    Reads Prometheus and the stored trajectories of agents, finds what changed for the worse, works out where the
    change comes from, has a model explain it, and lets nothing into the report that the spans do not bear out.

    Exit codes: 0 done; 1 incidents at or above --fail-on; 2 usage or configuration; 3 done with gaps; 4 failed.
    """
    ctx.obj = {"debug": debug}


def run(arguments: Sequence[str]) -> int:
    """Run the program and return its exit code. An error is one line on stderr; with --debug a traceback before it."""
    signal.signal(signal.SIGTERM, _stop)
    logs.end()
    try:
        code = program.main(list(arguments), prog_name="analyzer", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return error.exit_code
    except SystemExit:
        # So, and with 1, the library ends a command at the first pipe that breaks, whichever it is.
        if is_unread(sys.stdout) or is_unread(sys.stderr):
            # The reader of our output (`| head`) went away; there is nobody left to tell.
            return 0
        code = FAILED
        logs.error("a connection was closed by its other side; try again", prefix="analyzer: ", exit_code=code)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost fence: a bug, too, is one line
        if "--debug" in arguments:
            click.echo(logs.message_masked(traceback.format_exc()), err=True, nl=False)
        line, code = _line_and_code(error)
        logs.error(line, prefix="analyzer: ", exit_code=code)
    return code if isinstance(code, int) else 0


def is_unread(stream: TextIO) -> bool:
    """Say whether a stream is a pipe, or a socket, whose reader went away."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        # Closed, or no file at all; and a platform without `poll` has no way to tell.
        return False


def _line_and_code(error: BaseException) -> tuple[str, int]:
    if isinstance(error, AnalyzerError):
        return str(error), error.exit_code
    if isinstance(error, click.ClickException):
        context = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "analyzer"
        return f"{error.format_message()} (see `{context} --help`)", error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "stopped; what was done so far is kept, the next run goes on from there", INTERRUPTED
    return f"unexpected {type(error).__name__}: {error} (`analyzer --debug ...` shows where)", FAILED


def _stop(_signal: int, _frame: object) -> None:
    """Stop on SIGTERM as on ctrl-c, so that open transactions are rolled back and the own trace is kept.

    A second one ends the process at once: what is on disk is sound at every moment.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise StoppedError
