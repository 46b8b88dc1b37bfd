"""How ClickHouse stands, as `analyzer doctor` tries it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from analyzer.cli.check import Check
from analyzer.render.numbers import moment

if TYPE_CHECKING:
    from analyzer.config import Settings
    from analyzer.stores.clickhouse import ClickHouse


def clickhouse(settings: Settings) -> Check:
    """Ask ClickHouse for its version, the spans of the last day and one trajectory; say how far it was followed."""
    from analyzer.stores.clickhouse import NS
    from analyzer.wiring.collecting import open_clickhouse

    source = open_clickhouse(settings)
    if source is None:
        return Check("clickhouse", "off", "not set: trajectories come by `analyzer ingest` and `analyzer serve`")
    now = datetime.now(UTC)
    until_ns = int(now.timestamp()) * NS
    start_ns = until_ns - int(timedelta(days=1).total_seconds()) * NS
    try:
        version = source.version()
        spans = sum(count.rows for count in source.counts(start_ns, until_ns).values())
        # Shows that the lookup table is there, and that spans have the columns that are read.
        next(iter(source.of_trajectories(["0" * 32])), None)
        next(iter(source.between(until_ns - 1, until_ns)), None)
    finally:
        source.close()
    how_far = _reached(settings, source)
    detail = f"version {version}; {spans:,} spans of the last 24 h; {how_far}"
    return Check("clickhouse", "ok", detail, _unseen(settings.clickhouse.services) if not spans else "")


def _unseen(services: tuple[str, ...]) -> str:
    """Return what to look at where no span is of the last day: a misspelt service is no quiet fleet."""
    if not services:
        return "nothing was written in the last 24 h: check the Collector's exporter, and `traces_table`"
    return (
        f"none of these services has a span of the last 24 h: {', '.join(services)};"
        " `services` under [clickhouse] names each ServiceName as the table has it"
    )


def _reached(settings: Settings, source: ClickHouse) -> str:
    from analyzer.stores.following import reached
    from analyzer.wiring.opening import open_existing

    if not settings.store.exists():
        return "nothing read yet"
    with open_existing(settings) as store:
        found = reached(store, source)
    return "nothing read yet" if found is None else f"read from {moment(found.start)} to {moment(found.end)}"
