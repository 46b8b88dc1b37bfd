"""The analyst's own metrics: kept with every run, and shown where the settings say. Never in the way of a run."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from analyzer.errors import AnalyzerError
from analyzer.selfwatch import figures
from analyzer.stores.counting import count
from analyzer.stores.database import Connection
from analyzer.stores.measures import SqliteMeasures
from analyzer.types import measures
from analyzer.types.measures import FLEET, OWN, Amount
from analyzer.types.report import Gap, Report
from analyzer.types.sent import Delivered

COUNTING_S = 5.0
"""That a run spends on counting what no scrape has counted yet."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Keeps figures of runs in the store, and shows them; see `pipeline.app.Measuring`."""

    connection: Connection
    pushgateway_url: str | None = None
    textfile: Path | None = None
    instance: str | None = None
    """The name of this analyst among several; None: the host's."""
    clock: Callable[[], float] = time.time

    def done(self, report: Report, told: Delivered, seconds: Mapping[str, float]) -> tuple[Gap, ...]:
        """Add a finished run; return a Gap for each place that did not take its figures."""
        now = self.clock()
        memory = SqliteMeasures(self.connection)
        try:
            memory.add(figures.of_run(report, told, seconds, now), now)
            memory.replace((measures.ACTIVE,), figures.active(report), now)
            waiting = count(self.connection, now, seconds=COUNTING_S).waiting
            memory.add([Amount(measures.WAITING.name, (), float(waiting))], now)
            amounts = [amount for amount, _ in memory.all()]
        except AnalyzerError as error:
            return (Gap("the analyst's own metrics", str(error), "the store must be writable"),)
        return tuple(gap for gap in (self._pushed(memory, amounts), self._written(amounts)) if gap is not None)

    def drilled(self, amounts: Iterable[Amount]) -> tuple[Gap, ...]:
        """Let the figures of a drill stand in the place of the last one's; return gaps as `done` does."""
        memory = SqliteMeasures(self.connection)
        try:
            memory.replace(measures.DRILL, amounts, self.clock())
            everything = [amount for amount, _ in memory.all()]
        except AnalyzerError as error:
            return (Gap("the analyst's own metrics", str(error), "the store must be writable"),)
        return tuple(gap for gap in (self._pushed(memory, everything), self._written(everything)) if gap is not None)

    def failed(self, seconds: Mapping[str, float]) -> None:
        """Add a run that broke off. Where that cannot be kept, the time of the last success says as much."""
        try:
            SqliteMeasures(self.connection).add(figures.of_failure(seconds), self.clock())
        except AnalyzerError:
            return

    def _pushed(self, memory: SqliteMeasures, amounts: list[Amount]) -> Gap | None:
        if self.pushgateway_url is None:
            return None
        from analyzer.selfwatch.push import delete, push

        instance = self.instance or socket.gethostname()
        try:
            push(self.pushgateway_url, amounts, instance)
            # Where each run has a new name, as in a CronJob of Kubernetes, the old ones would stay for ever.
            for left in memory.pushed_as(instance):
                delete(self.pushgateway_url, left)
                memory.removed(left)
        except AnalyzerError as error:
            return Gap("the analyst's own metrics", str(error), "check ANALYZER_PUSHGATEWAY_URL")
        return None

    def _written(self, amounts: list[Amount]) -> Gap | None:
        if self.textfile is None:
            return None
        from analyzer.selfwatch.exposition import write_textfile

        try:
            write_textfile(self.textfile, amounts, (*OWN, *FLEET))
        except AnalyzerError as error:
            return Gap("the file of metrics", str(error), "set ANALYZER_METRICS_TEXTFILE to a file that can be written")
        return None
