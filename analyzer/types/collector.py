"""The tables that the OpenTelemetry Collector fills in ClickHouse, and how much of them may be asked at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from analyzer.errors import UsageError


@dataclass(frozen=True, slots=True)
class CollectorTables:
    """What is read, and the limits that go with every query."""

    traces_table: str = "otel_traces"
    lookup_table: str = "otel_traces_trace_id_ts"
    """When each trajectory began and ended, by its id; the Collector keeps it beside the spans."""
    services: tuple[str, ...] = ()
    """Only spans of these (`ServiceName`, the first part of the table's order); none named: all spans."""
    late: timedelta = timedelta(hours=48)
    """How long after its start a span may arrive and still be found."""
    rows_per_run: int = 500_000
    """Spans that one run may read: some minutes of processor time."""
    max_execution_time: int = 60
    """Seconds of one query."""
    max_result_rows: int = 1_000_000
    max_bytes_to_read: int = 20_000_000_000

    @property
    def entries(self) -> int:
        """How many settings are other than their defaults."""
        return sum(getattr(self, spec.name) != spec.default for spec in fields(self))


_KNOWN = {spec.name for spec in fields(CollectorTables)}
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")
"""Names are written into queries: whatever would need quoting there is refused."""


def read_tables(table: Mapping[str, Any], place: str, *, duration: Callable[[str], timedelta]) -> CollectorTables:
    """Return the tables of `[clickhouse]`. Raises UsageError that names the place of a fault."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if name not in _KNOWN:
            close = difflib.get_close_matches(name, sorted(_KNOWN), n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(_KNOWN))}"
            raise UsageError(f"{place}.{name}: there is no such setting; {hint}")
        if name.endswith("_table"):
            if not isinstance(value, str) or not _TABLE.fullmatch(value):
                raise UsageError(f"{place}.{name}: expected a name such as otel_traces or database.otel_traces")
            found[name] = value
        elif name == "services":
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise UsageError(f"{place}.{name}: expected a list of texts")
            found[name] = tuple(value)
        elif name == "late":
            found[name] = _duration(value, f"{place}.{name}", duration)
        else:
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"{place}.{name}: expected a whole number of 1 or more")
            found[name] = value
    return CollectorTables(**found)


def _duration(value: Any, place: str, duration: Callable[[str], timedelta]) -> timedelta:
    if not isinstance(value, str):
        raise UsageError(f"{place}: expected a duration such as 48h")
    try:
        return duration(value)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
