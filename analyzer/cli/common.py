"""What several commands share: options, settings, the JSON switch, times."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli import logs
from analyzer.config import Loaded, load, parse_time

if TYPE_CHECKING:
    from analyzer.types.report import Gap, Report

DONE, FAIL_ON, USAGE, GAPS, FAILED = 0, 1, 2, 3, 4
"""The exit codes of the contract."""
ALL_TIME = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC))
"""Whatever a store may hold."""

Command = Callable[..., Any]

store_option = click.option("--store", metavar="PATH", help="The SQLite file with trajectories and incidents.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
at_option = click.option("--at", metavar="TIME", help="Put now at TIME (ISO 8601, UTC), to repeat a run on history.")

record_option = click.option(
    "--record",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write down what is asked of the model and what it says, masked, to be played back.",
)
replay_option = click.option(
    "--replay",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Play back a recording in the model's place: no network, no bill; nothing is saved or sent.",
)


def settings_from(**flags: Any) -> Loaded:
    """Load the settings; flags that were not given are None. Raises UsageError."""
    return load(flags)


def moment(at: str | None) -> datetime:
    """Return `--at`, or the current time. Raises UsageError."""
    return parse_time(at) if at else datetime.now(UTC)


def print_json(document: Mapping[str, Any] | list[Any]) -> None:
    """Print a document; text from spans may hold anything, so everything beyond ASCII that could steer is escaped."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))


def say_notes(report: Report, last: str | None = None) -> None:
    """Say on standard error what a report could not see, and what else a reader should know, a line each.

    Cron mails every line, so that what would be the same in each run is only for a person at a terminal: a gap that
    the last report (`last`, its JSON document) had too, and agents that are too new to be judged. All of it stands in
    the report file and in JSON in any case, and the exit code says that there is a gap.
    """
    from analyzer.types.report import REPEATED

    whole = REPEATED in report.notes or sys.stderr.isatty()
    say_gaps(report.gaps if whole or last is None else untold(report.gaps, last))
    for name, text in report.notes.items():
        if name == REPEATED or sys.stderr.isatty():
            logs.warning(f"{name}: {text}", note=name)


def untold(gaps: Iterable[Gap], last: str) -> list[Gap]:
    """Return the gaps that say something else than those of the last report, a JSON document."""
    told = {_said(gap["what"], gap["why"]) for gap in json.loads(last)["gaps"]}
    return [gap for gap in gaps if _said(gap.what, gap.why) not in told]


_FIGURE = re.compile(r"(?<![\w.-])\d[\d,.:]*(?![\w-])|\d{4}-\d\d-\d\d")
"""A number or a date that stands by itself; one in a name (`gpt-4.1`) is a part of the name."""


def _said(*texts: str) -> frozenset[str]:
    """Return what texts say without their figures: counts move in every run, and the order of what is counted too."""
    return frozenset(word.strip(".,:;()$%") for word in _FIGURE.sub(" ", " ".join(texts)).split())


def say_gaps(gaps: Iterable[Gap]) -> None:
    """Say on standard error what could not be seen, a line each."""
    for gap in gaps:
        logs.warning(gap.line, gap=gap.what)


def say_remarks(remarks: Iterable[str]) -> None:
    """Say on standard error where a recording that was played back does not fit, a line each."""
    for remark in remarks:
        logs.warning(f"replay: {remark}")


def columns() -> int:
    """Return the width to write to: the terminal's, or one wide enough for a file or a pipe."""
    return shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 120
