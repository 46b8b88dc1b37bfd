"""The trace of the analyst's own run: kept in the store, and sent elsewhere where that is set."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version

from analyzer.config import Settings
from analyzer.selfwatch.recorder import Recorder
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Gap
from analyzer.types.trace import Span
from analyzer.wiring.sending import Sending

_OWN_TRACE = "the analyst's own trace"


def own_recorder(
    settings: Settings, store: SqliteTrajectories, failures: list[Gap], stack: ExitStack, *, rehearsal: bool
) -> tuple[Recorder, Sending]:
    """Return what records the run as a trace in the store, and what sends it elsewhere too, where that is set."""
    sending = Sending() if rehearsal else Sending.to(settings, store.masker.span)
    # After the root of the trace has ended, and however it ended.
    stack.callback(sending.close)

    def keep(spans: Iterable[Span]) -> None:
        batch = list(spans)
        sending.send(batch)
        store.add(batch)

    return Recorder(keep, version=version("analyzer"), on_failure=partial(_not_kept, failures)), sending


def _not_kept(failures: list[Gap], error: Exception) -> None:
    """Note once that the own trace could not be kept."""
    if not any(gap.what == _OWN_TRACE for gap in failures):
        failures.append(Gap(_OWN_TRACE, str(error), "the run itself is not affected"))
