"""What a walk needs from above: the implementations that `wiring.build` picks, and how they are spoken to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from analyzer.detectors.base import Detector
from analyzer.metrics.base import MetricSource
from analyzer.stores.base import IncidentStore, TrajectoryStore
from analyzer.stores.rounds import NoRounds, Rounds
from analyzer.types.alerts import AlertBook, NoAlerts
from analyzer.types.audit import Journal, Unwritten
from analyzer.types.explained import Answer, Explained, Looked, Tell
from analyzer.types.floor import Floor
from analyzer.types.named import Named
from analyzer.types.report import Finding, Gap, Incident, Report
from analyzer.types.sent import Delivered
from analyzer.types.spending import Purse, Unlimited
from analyzer.types.watch import Watch


class Answering(Protocol):
    """Answers questions about one thing, one after the other. Never raises for a model's sake."""

    def ask(self, question: str, tell: Tell | None = None) -> Answer:
        """Return the gated answer to a question; `tell` hears of its statements as each is written and stands."""

    def look(self, tool: str, arguments: Mapping[str, Any]) -> Looked:
        """Return what one of the model's read-only tools shows of it. Arguments may be any JSON."""


class Explainer(Protocol):
    """Explains incidents: with a model where one may be asked, by rules otherwise. Never raises for a model's sake."""

    def with_past(self, past: Callable[[], Sequence[Incident]]) -> Explainer:
        """Return one to which other incidents are on file: for a rehearsal those of then."""

    def explain(self, incident: Incident, *, budget_usd: float, history_start: datetime) -> Explained:
        """Return the gated explanation of one incident."""

    def explain_by_rules(self, incident: Incident) -> Explained:
        """Return the explanation that needs no model."""

    def about_trajectory(
        self, trace_id: str, *, healthy_trace_ids: Sequence[str], findings: Sequence[Finding]
    ) -> Answering:
        """Return what answers questions about one trajectory. Raises NotFoundError."""

    def about_incident(self, incident: Incident, *, history_start: datetime) -> Answering:
        """Return what answers questions about an incident."""

    def about_fleet(
        self, start: datetime, end: datetime, *, reach: datetime, now: datetime, agent: str | None, fixed: bool
    ) -> Answering:
        """Return what answers questions about the fleet, or one agent of it, over a range.

        With `fixed` all questions are about that range; else each may name its own.
        """


class Delivery(Protocol):
    """Says what there is to say about incidents on every route, once."""

    def __call__(self, report: Report, *, at: datetime) -> Delivered:
        """Send and record; return what was said, what waits, and a Gap for each route that failed."""


class Measuring(Protocol):
    """Keeps and shows the analyst's own metrics. Never raises, and takes a bounded time."""

    def done(self, report: Report, told: Delivered, seconds: Mapping[str, float]) -> tuple[Gap, ...]:
        """Add a finished run, with the seconds of its phases; return a Gap for each place that took no figures."""

    def failed(self, seconds: Mapping[str, float]) -> None:
        """Add a run that broke off, with the seconds of the phases that it got through."""


class Unmeasured:
    """Keeps nothing."""

    def done(self, report: Report, told: Delivered, seconds: Mapping[str, float]) -> tuple[Gap, ...]:  # noqa: ARG002, D102 - see Measuring
        return ()

    def failed(self, seconds: Mapping[str, float]) -> None:
        """See `Measuring.failed`."""


class Enrolled(Protocol):
    """The analyst's place in a catalogue of agents. Never raises, and takes a bounded time."""

    def ran(self, report: Report) -> tuple[Gap, ...]:
        """Tell of a finished run; return a Gap where nobody took it."""

    def broke_off(self, error: str, run: str) -> None:
        """Tell of a run that broke off: the type of the error, and the trace id of the run."""


class Unenrolled:
    """Is in no catalogue."""

    def ran(self, report: Report) -> tuple[Gap, ...]:  # noqa: ARG002, D102 - see Enrolled
        return ()

    def broke_off(self, error: str, run: str) -> None:
        """See `Enrolled.broke_off`."""


@dataclass(frozen=True, slots=True)
class Division:
    """How detection is divided among instances; by default it is not."""

    rounds: Rounds = field(default_factory=NoRounds)
    program: Callable[[], bytes] = bytes
    """Returns what tells the detectors and their settings from others, b"" where nobody can tell."""


@dataclass(frozen=True, slots=True)
class App:
    """Everything a walk needs, put together by `wiring.build`."""

    trajectories: TrajectoryStore
    incidents: IncidentStore
    metrics: MetricSource | None
    detectors: Sequence[Detector]
    explainer: Explainer
    deliver: Delivery
    document: Callable[[Report], str]
    """Report -> JSON text."""
    markdown: Callable[[Report], str]
    incident_markdown: Callable[[Incident, datetime], str]
    """An incident as seen at a moment -> the text of its report file."""
    watch: Watch
    run_trace_id: str
    queries: Mapping[str, Sequence[str]]
    lookback: timedelta
    history: timedelta
    budget_usd: float
    investigations_max: int
    filled_by: str = "`analyzer ingest PATH`"
    """The command that brings trajectories in, as a person is told it."""
    floors: Mapping[str, Floor] = field(default_factory=dict)
    """What a loss must come to before its ratio counts, by agent."""
    agents_named: Sequence[Named] = ()
    """Where the settings are about agents by name."""
    purse: Purse = field(default_factory=Unlimited)
    journal: Journal = field(default_factory=Unwritten)
    alerts: AlertBook = field(default_factory=NoAlerts)
    """Alerts that came in by Alertmanager's webhook."""
    owners: Callable[[], Mapping[str, str]] = dict
    """Whose each agent is, as far as somebody said, by the agent's name."""
    follow: Callable[[datetime, datetime | None], tuple[Gap, ...]] = lambda _at, _later: ()
    """Reads what is new in a database that others write, up to a moment; returns what it could not. Where a later run
    was kept it reads nothing, and returns what that one has left unread."""
    remember: Callable[[], None] = lambda: None
    """Keeps what makes the next run cheaper and could be worked out again. Never raises for a store's sake."""
    measuring: Measuring = field(default_factory=Unmeasured)
    enrolled: Enrolled = field(default_factory=Unenrolled)
    terms: str = ""
    """In words, on which terms a catalogue lets the analyst work; "": on none but the settings'."""
    division: Division = field(default_factory=Division)
    rehearsal: bool = False
    """A recorded conversation is played back: nothing is saved, sent or logged."""
    remarks: Callable[[], tuple[str, ...]] = tuple
    """What a person who records or plays back should know at the end."""
    gaps: Callable[[], tuple[Gap, ...]] = tuple
    """What other rooms could not do, collected while they worked: an own trace that could not be kept, say."""
    has_tool_rule: Callable[[str], bool] | None = None
    """Whether the settings say what a tool costs; None where they say it of none."""
