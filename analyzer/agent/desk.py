"""What the tools of one conversation work with, and what they may touch: the case, its window, and nothing else."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock

from analyzer.agent.case import CaseFile, masked_steps
from analyzer.agent.shown import Shown
from analyzer.agent.text import Mask
from analyzer.errors import AnalyzerError, NotFoundError
from analyzer.metrics.base import MetricSource
from analyzer.stores.base import TrajectoryStore
from analyzer.types.metric import Series
from analyzer.types.report import Incident
from analyzer.types.steps import Step
from analyzer.types.trace import Span
from analyzer.types.trajectory import Trajectory

OPEN_MAX = 12
"""Trajectories held open at once: payloads of one may be many megabytes."""
ADMITTED_MAX = 60
"""Trajectories beyond the case's that tables may name for opening, in one conversation."""
NAMED_MAX = 12


class ToolError(Exception):
    """A call that cannot be answered; the message tells the model what to ask instead."""


class Desk:
    """The case of one conversation. The store is only ever used by one thread at a time."""

    def __init__(
        self,
        case: CaseFile,
        shown: Shown,
        *,
        store: TrajectoryStore,
        metrics: MetricSource | None,
        past: Callable[[], Sequence[Incident]],
        mask: Mask,
    ) -> None:
        """`past` gives the incidents that were filed."""
        self.case = case
        self.shown = shown
        self.metrics = metrics
        self.mask = mask
        self.past = past
        self._store = store
        self._lock = Lock()
        self._admitted: dict[str, None] = {}
        self._open: OrderedDict[str, tuple[Trajectory, tuple[Step, ...]]] = OrderedDict()
        self._full: dict[tuple[str, str], Span] = {}
        self._series: Sequence[Series] | None = None

    @property
    def start(self) -> datetime:
        """Nothing is looked at from before."""
        return self.case.start

    @property
    def end(self) -> datetime:
        """Nothing is looked at from after."""
        return self.case.end

    @property
    def agents(self) -> frozenset[str]:
        """The agents of the case; empty for the whole fleet."""
        return self.case.agents

    @property
    def trace_ids(self) -> tuple[str, ...]:
        """Trajectories that may be opened: those of the case, and those that tools have named since, in that order."""
        with self._lock:
            return (*sorted(self.case.trace_ids), *self._admitted)

    @contextmanager
    def reading(self) -> Iterator[TrajectoryStore]:
        """Give the store, to one thread at a time."""
        with self._lock:
            yield self._store

    def clean(self, text: str) -> str:
        """Return text from outside as it may stand in an answer of a tool: masked, and no marker in it."""
        return self.case.markers.clean(self.mask(text))

    def admit(self, trace_ids: Collection[str]) -> None:
        """Let trajectories be opened that a tool has found inside the case's agents and window."""
        with self._lock:
            for trace_id in trace_ids:
                if trace_id not in self.case.trace_ids and len(self._admitted) < ADMITTED_MAX:
                    self._admitted[trace_id] = None

    def named(self, given: object, what: str) -> str:
        """Return the trajectory that an id or a beginning of one names. Raises ToolError."""
        beginning = str(given).strip().lower()
        known = self.trace_ids
        fits = [trace_id for trace_id in known if beginning and trace_id.startswith(beginning)]
        if len(fits) != 1:
            some = ", ".join(known[:NAMED_MAX]) or "none yet; tables name some"
            raise ToolError(f"{what} must name one trajectory of the case: {some}")
        return fits[0]

    def opened(self, trace_id: str) -> tuple[Trajectory, tuple[Step, ...]]:
        """Return a trajectory and its masked steps. Raises ToolError."""
        with self._lock:
            known = self._open.get(trace_id)
            if known is None:
                try:
                    trajectory = self.case.trajectory(trace_id) or self._store.trajectory(trace_id)
                except NotFoundError as error:
                    raise ToolError(f"trajectory {trace_id} is no longer stored; ask for another one") from error
                known = (trajectory, masked_steps(trajectory, self.mask))
                self._open[trace_id] = known
                if len(self._open) > OPEN_MAX:
                    self._open.popitem(last=False)
            return known

    def whole(self, trajectory: Trajectory, span_id: str) -> Span | None:
        """Return a span as the store has it in full; in long trajectories the loaded one may lack old messages."""
        span = trajectory.span(span_id)
        if span is None:
            return None
        key = (span.trace_id, span.span_id)
        with self._lock:
            if key not in self._full:
                try:
                    self._full[key] = self._store.span(*key)
                except NotFoundError:
                    self._full[key] = span
            return self._full[key]

    def lookup(self, trace_id: str, span_id: str) -> Span | None:
        """Return a span of the case with everything that is known of it, or None."""
        if trace_id not in self.trace_ids:
            return None
        try:
            trajectory, _ = self.opened(trace_id)
            return self.whole(trajectory, span_id)
        except (ToolError, AnalyzerError):
            return None

    def series(self) -> Sequence[Series]:
        """Return every series of the window, loaded once: a conversation asks of several."""
        with self._lock:
            if self._series is None:
                self._series = tuple(self._store.series(self.case.start, self.case.end))
            return self._series
