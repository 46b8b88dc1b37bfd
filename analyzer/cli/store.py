"""`analyzer store`: what the store takes, and making it smaller."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import DONE, GAPS, at_option, json_option, moment, print_json, settings_from, store_option
from analyzer.cli.progress import Counting

if TYPE_CHECKING:
    from datetime import datetime

    from analyzer.config import Settings
    from analyzer.stores.following import Reached
    from analyzer.stores.trajectories import SqliteTrajectories


@click.group("store", no_args_is_help=True)
def command() -> None:
    """Show what the store takes, fill it from ClickHouse, and delete what is old."""


@command.command("stats")
@store_option
@json_option
def stats(store: str | None, as_json: bool) -> int:
    """Show rows, bytes, and what keeping each text once and packing it saved.

    Every row is read once: some seconds for a million spans.
    """
    from analyzer.types.document import time_text
    from analyzer.wiring.opening import open_existing

    settings = settings_from(store=store).settings
    with open_existing(settings) as trajectories:
        found = trajectories.stats()
        reached = _reached(settings, trajectories)
    document: dict[str, Any] = {
        "schema": "analyzer.store.stats/1",
        **{name: value for name, value in asdict(found).items() if name != "schema"},
        "store_schema": found.schema,
        "oldest": None if found.oldest is None else time_text(found.oldest),
        "newest": None if found.newest is None else time_text(found.newest),
        "followed": None
        if reached is None
        else {"from": time_text(reached.start), "to": time_text(reached.end), "rows": reached.rows},
    }
    if as_json:
        print_json(document)
        return 0
    for label, value in _lines(document, found.oldest, found.newest):
        click.echo(f"{label:<14}{value}")
    if reached is not None:
        click.echo(f"{'ClickHouse':<14}{_followed(reached, found.spans_elsewhere)}")
    return 0


def _reached(settings: Settings, trajectories: SqliteTrajectories) -> Reached | None:
    """Return how far the ClickHouse of the settings was followed."""
    from analyzer.stores.following import reached
    from analyzer.wiring.collecting import open_clickhouse

    source = open_clickhouse(settings)
    return None if source is None else reached(trajectories, source)


def _followed(reached: Reached, spans: int) -> str:
    from analyzer.render.numbers import moment

    return f"{spans:,} spans have their texts there; read from {moment(reached.start)} to {moment(reached.end)}"


@command.command("follow")
@at_option
@store_option
@json_option
def follow(at: str | None, store: str | None, as_json: bool) -> int:
    """Read what is new in ClickHouse, and all of the history that is not read yet.

    Each run reads what is new by itself, and a part of the history; this reads the rest of it at once. Names, numbers
    and hashes go into the store, masked; the texts stay where they are (docs/clickhouse.md). Stopped halfway, the next
    one goes on.

    Exit codes: 0 all was read; 3 something could not be.
    """
    from analyzer.cycles import rarely_sought
    from analyzer.wiring.collecting import followed, required_clickhouse
    from analyzer.wiring.opening import open_store

    settings = settings_from(store=store).settings
    # Before a store is made: a setting that is missing leaves none behind.
    required_clickhouse(settings)
    with open_store(settings) as trajectories, rarely_sought(), Counting("read", "spans") as counting:
        done = followed(settings, trajectories, moment(at), rows_max=_ALL, on_portion=counting.add)
    if as_json:
        gaps = [{"what": gap.what, "why": gap.why, "hint": gap.hint} for gap in done.gaps]
        print_json({"schema": "analyzer.store.follow/1", "rows": done.rows, "spans_new": done.spans_new, "gaps": gaps})
    else:
        click.echo(f"read {done.rows:,} spans, {done.spans_new:,} of them new")
        for gap in done.gaps:
            click.echo(f"{gap.what}: {gap.why}; {gap.hint}", err=True)
    return GAPS if done.gaps else DONE


_ALL = 2**62
"""More rows than any table has."""


def _lines(found: dict[str, Any], oldest: datetime | None, newest: datetime | None) -> list[tuple[str, str]]:
    """Return what people read; they read times to the minute."""
    from analyzer.render.numbers import count, moment

    rows = found["rows"]
    each = "-" if found["bytes_per_span"] is None else f"{found['bytes_per_span']:,.0f} bytes"
    return [
        ("file", f"{_size(found['file_bytes'])}, of which {_size(found['free_bytes'])} free for what comes next"),
        ("per span", each),
        ("spans", f"{found['spans']:,} in {found['trajectories']:,} trajectories"),
        ("from, to", ", ".join("-" if one is None else moment(one) for one in (oldest, newest))),
        ("incidents", f"{rows['incidents']:,}, {count(rows['reports'], 'report')}"),
        ("texts", f"{_size(found['sent_bytes'])} as sent, {_size(found['distinct_bytes'])} each once"),
        ("packed", f"{_size(found['packed_bytes'])}{_times(found['sent_bytes'], found['packed_bytes'])}"),
        ("schema", found["store_schema"]),
    ]


def _times(sent: int, packed: int) -> str:
    return f", {sent / packed:,.1f} times less than was sent" if packed else ""


@command.command("prune")
@click.option("--older-than", "age", metavar="DURATION", required=True, help="How long to keep, such as 30d.")
@at_option
@store_option
@json_option
def prune(age: str, at: str | None, store: str | None, as_json: bool) -> int:
    """Delete trajectories that ended longer ago than that, and the texts nothing else refers to.

    Trajectories that an open incident names are kept, as are all incidents and reports, and trajectories without times.
    Others may read and write meanwhile. Stopped halfway, the next run finishes.
    """
    from analyzer.config import parse_duration
    from analyzer.types.document import time_text
    from analyzer.wiring.opening import open_existing

    before = moment(at) - parse_duration(age)
    with open_existing(settings_from(store=store).settings) as trajectories:
        done = trajectories.prune(before)
    if as_json:
        print_json({"schema": "analyzer.store.prune/1", "before": time_text(before), **asdict(done)})
        return 0
    click.echo(
        f"deleted {done.trajectories:,} trajectories with {done.spans:,} spans, and {_size(done.text_bytes)} of texts"
    )
    if done.kept:
        click.echo(f"kept {done.kept:,} old trajectories that open incidents name")
    click.echo(
        f"the file had {_size(done.file_bytes_before)} and has {_size(done.file_bytes_after)},"
        f" of which {_size(done.reusable_bytes)} free for what comes next"
    )
    return 0


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < _STEP:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= _STEP
    return f"{count:,.1f} GB"


_STEP = 1000
