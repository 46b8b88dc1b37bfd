"""ClickHouse as the settings name it: opened, followed into the store, and asked for texts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from analyzer.config import Settings
from analyzer.errors import UsageError
from analyzer.stores.clickhouse import ClickHouse, Row
from analyzer.stores.elsewhere import FOLLOWED, INGESTED, Elsewhere, SpanSource

if TYPE_CHECKING:
    from analyzer.stores.following import Followed
    from analyzer.stores.trajectories import SqliteTrajectories
    from analyzer.types.report import Gap
    from analyzer.types.trace import Span


def open_clickhouse(settings: Settings, cut: str = "") -> ClickHouse | None:
    """Return the ClickHouse that is set, not connected yet, or None; see `ClickHouse` for `cut`."""
    url = settings.clickhouse_url
    return None if url is None else ClickHouse(url, settings.clickhouse_password, settings.clickhouse, cut)


def required_clickhouse(settings: Settings, cut: str = "") -> ClickHouse:
    """Return the ClickHouse that is set, not connected yet. Raises UsageError where none is."""
    source = open_clickhouse(settings, cut)
    if source is None:
        raise UsageError("no ClickHouse is set: ANALYZER_CLICKHOUSE_URL names it (docs/clickhouse.md)")
    return source


def filled_by(settings: Settings) -> str:
    """Return the command that brings trajectories in, as a person is told it."""
    return INGESTED if settings.clickhouse_url is None else FOLLOWED


def elsewhere_of(settings: Settings) -> Elsewhere | None:
    """Return what fetches the texts of trajectories from where the settings say; None where they say nothing."""
    return None if settings.clickhouse_url is None else Elsewhere(partial(_source, settings))


def followed(
    settings: Settings,
    store: SqliteTrajectories,
    at: datetime,
    *,
    rows_max: int | None = None,
    on_portion: Callable[[int], None] = lambda _rows: None,
) -> Followed:
    """Read what is new in ClickHouse up to a moment. Raises UsageError where none is set, StoreError."""
    from analyzer.ingest.cutting import cut_attributes
    from analyzer.stores.following import follow

    source = required_clickhouse(settings, cut_attributes())
    most = settings.clickhouse.rows_per_run if rows_max is None else rows_max
    try:
        return follow(store, source, _reader(settings), at, _reach(settings), rows_max=most, on_portion=on_portion)
    finally:
        source.close()


def follower(settings: Settings, store: SqliteTrajectories) -> Callable[[datetime, datetime | None], tuple[Gap, ...]]:
    """Return what a run does before it looks: it reads what is new, where a ClickHouse is set.

    A run before a later one that was kept says only what that has left unread.
    """
    if settings.clickhouse_url is None:
        return _nothing
    return partial(_gaps, settings, store)


def _gaps(settings: Settings, store: SqliteTrajectories, at: datetime, later: datetime | None) -> tuple[Gap, ...]:
    from analyzer.stores.following import unread

    source = open_clickhouse(settings)
    if later is None or source is None:
        return followed(settings, store, at).gaps
    return unread(store, source, at, later - _reach(settings))


def _reach(settings: Settings) -> timedelta:
    return max(settings.history, settings.lookback)


def _nothing(at: datetime, later: datetime | None) -> tuple[Gap, ...]:  # noqa: ARG001 - the signature of what follows
    return ()


def _source(settings: Settings) -> SpanSource:
    from analyzer.ingest.cutting import cut_attributes
    from analyzer.stores.collected import CollectedSpans

    reading, history = _reader(settings), settings.history
    return CollectedSpans(required_clickhouse(settings, cut_attributes()), reading, history, lambda: datetime.now(UTC))


def _reader(settings: Settings) -> Callable[[Row], Span]:
    from analyzer.ingest.pricing import Pricer
    from analyzer.ingest.wire_clickhouse import reader

    return reader(Pricer(settings.prices, tool_costs=settings.tool_costs))
