"""`analyzer doctor`: every setting with its source, every connection tried, what is missing and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.check import Check
from analyzer.cli.checks import tried
from analyzer.cli.common import DONE, GAPS, json_option, print_json, settings_from, store_option

if TYPE_CHECKING:
    from analyzer.config import Loaded

HIDDEN = "(set, not shown)"


@click.command("doctor")
@store_option
@json_option
def command(store: str | None, as_json: bool) -> int:
    """Show every setting with its source, check every connection, and end with what is missing and how to mend it.

    Nothing is sent anywhere but harmless queries. Exit codes: 0 all that is set up works; 3 something does not.
    """
    loaded = settings_from(store=store)
    checks, table = tried(loaded.settings)
    if as_json:
        print_json({**_document(loaded, checks), "metering": table})
    else:
        _print(loaded, checks)
        _print_table(table)
    return GAPS if any(check.state == "failed" for check in checks) else DONE


def _print_table(table: Sequence[Mapping[str, Any]]) -> None:
    """Print what metrics and traces come to, a line a row."""
    from analyzer.detectors.wording import rounded

    if not table:
        return
    click.echo("\nMetrics and traces")
    head = ("agent", "measure", "in traces", "in Prometheus", "verdict", "since")
    lines = [head] + [
        (
            " / ".join(part for part in (row["agent"], row["tool"]) if part),
            row["measure"],
            rounded(row["traced"], 6),
            rounded(row["metered"], 6),
            row["verdict"] + (", counted twice" if row["doubled"] else ""),
            row["since"],
        )
        for row in table
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        click.echo("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _document(loaded: Loaded, checks: list[Check]) -> Mapping[str, Any]:
    return {
        "schema": "analyzer.doctor/1",
        "settings": [
            {"name": name, "value": value, "source": loaded.sources[name]} for name, value in settings_shown(loaded)
        ],
        "checks": [
            {"name": check.name, "state": check.state, "detail": check.detail, "hint": check.hint} for check in checks
        ],
        "missing": [{"name": one.name, "why": one.detail, "command": mending(one)} for one in missing(checks)],
    }


def missing(checks: Sequence[Check]) -> list[Check]:
    """Return what is to be mended or could be set up: what does not work first."""
    found = [one for one in checks if one.state == "failed" or one.command]
    return sorted(found, key=lambda one: one.state != "failed")


def mending(check: Check) -> str:
    """Return the command for what is missing; where no single one mends it, the one that shows more."""
    if check.command:
        return check.command
    is_route = check.name in {"slack", "slack-bot", "webhook", "mail", "alertmanager"}
    return f"analyzer notify test --route {check.name}" if is_route else "analyzer --debug doctor"


def settings_shown(loaded: Loaded) -> list[tuple[str, str | None]]:
    """Return name and value of every setting, as it could be written; secrets are only said to be set."""
    from analyzer.config import duration_text
    from analyzer.types.collector import CollectorTables

    shown: list[tuple[str, str | None]] = []
    for spec in fields(loaded.settings):
        value = getattr(loaded.settings, spec.name)
        if spec.metadata.get("secret") and value is not None:
            shown.append((spec.name, HIDDEN))
        elif isinstance(value, Mapping | tuple):
            shown.append((spec.name, f"{len(value)} entries"))
        elif isinstance(value, CollectorTables):
            shown.append((spec.name, f"{value.entries} entries"))
        elif isinstance(value, timedelta):
            shown.append((spec.name, duration_text(value)))
        else:
            shown.append((spec.name, None if value is None else str(value)))
    return shown


def _print(loaded: Loaded, checks: list[Check]) -> None:
    from analyzer.render.text import one_line

    rows = [(name, value if value is not None else "-", loaded.sources[name]) for name, value in settings_shown(loaded)]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    click.echo("Settings" + (f" ({loaded.file})" if loaded.file else ""))
    for name, value, source in rows:
        click.echo(f"  {name:<{widths[0]}}  {value:<{widths[1]}}  {source}")
    click.echo("\nChecks")
    for check in checks:
        click.echo(f"  {check.state:<6}  {check.name:<12}  {check.detail}")
        if check.hint:
            click.echo(f"  {'':<6}  {'':<12}  -> {check.hint}")
    lacking = missing(checks)
    click.echo("\nMissing" if lacking else "\nNothing is missing.")
    for check in lacking:
        # One line, whatever a name in it holds: what stands after it may be copied into a shell.
        click.echo(f"  # {check.name}: {one_line(check.detail)}")
        click.echo(f"  {mending(check)}")
