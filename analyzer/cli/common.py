"""What several commands share: options, settings, the JSON switch, times."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from analyzer.config import Loaded, load, parse_time

if TYPE_CHECKING:
    from analyzer.types.report import Gap, Report

DONE, FAIL_ON, USAGE, GAPS, FAILED = 0, 1, 2, 3, 4
"""The exit codes of the contract."""

Command = Callable[..., Any]

store_option = click.option("--store", metavar="PATH", help="The SQLite file with trajectories and incidents.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
at_option = click.option("--at", metavar="TIME", help="Put now at TIME (ISO 8601, UTC), to repeat a run on history.")


def settings_from(**flags: Any) -> Loaded:
    """Load the settings; flags that were not given are None. Raises UsageError."""
    return load(flags)


def moment(at: str | None) -> datetime:
    """Return `--at`, or the current time. Raises UsageError."""
    return parse_time(at) if at else datetime.now(UTC)


def print_json(document: Mapping[str, Any] | list[Any]) -> None:
    """Print a document; text from spans may hold anything, so everything beyond ASCII that could steer is escaped."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))


def say_notes(report: Report) -> None:
    """Say on standard error what a report could not see, and what else a reader should know, a line each.

    Cron mails every line, so that a note that would be the same in each run (agents that are too new to be judged) is
    only for a person at a terminal; it stands in the report file and in JSON in any case.
    """
    from analyzer.types.report import REPEATED

    say_gaps(report.gaps)
    for name, text in report.notes.items():
        if name == REPEATED or sys.stderr.isatty():
            click.echo(f"{name}: {text}", err=True)


def say_gaps(gaps: Iterable[Gap]) -> None:
    """Say on standard error what could not be seen, a line each."""
    for gap in gaps:
        click.echo(f"could not see {gap.what}: {gap.why} ({gap.hint})", err=True)


def columns() -> int:
    """Return the width to write to: the terminal's, or one wide enough for a file or a pipe."""
    return shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 120
