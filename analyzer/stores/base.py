"""What the rest of the house may ask of a store. SQLite answers it here; other stores answer the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal, Protocol

from analyzer.types.loops import Looked, Suspect
from analyzer.types.metric import Choices, OpenTrajectory, Series
from analyzer.types.quick import quick
from analyzer.types.report import Change, Incident
from analyzer.types.sent import Sent
from analyzer.types.steps import Step
from analyzer.types.trace import Span
from analyzer.types.trajectory import ToolUse, Trajectory, TrajectorySummary
from analyzer.types.word import Word

Order = Literal["recent", "oldest", "cost", "tokens", "errors", "steps", "duration", "repeats", "retries", "truncated"]
"""How a list of summaries is sorted: newest or largest first."""


@dataclass(frozen=True, slots=True)
class Added:
    """What one write did."""

    spans_new: int
    spans_known: int
    """Sent before, in the same or an older form: nothing changed, or the newer form was kept."""
    trajectories: int
    """How many trajectories were touched."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Amounts added up over the trajectories of one slice of an agent in a time range."""

    agent: str
    version: str | None
    model: str | None
    trajectories: int
    """Trajectories of which this is the main model (None: no inference). So rows add up to the whole slice."""
    steps: int
    """Steps of those trajectories. Tokens and cost, in contrast, stand with the model that used them."""
    inferences: int
    input_tokens: int
    """Includes cache reads and writes."""
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float
    unpriced: int
    """Inferences with tokens and no known price."""
    unpriced_tokens: int = 0
    """Input and output tokens of those: part of the tokens above, and of no cost."""
    squares: tuple[float, ...] = ()
    """Sums over the priced inferences of the products of (input that no cache holds, output, cache reads, cache writes,
    USD) with each other: the upper triangle row by row, 15 numbers. What prices by part are fitted from."""
    tool_steps: int = 0
    """Tool calls of the trajectories."""
    tool_calls: int = 0
    """Tool calls with a known cost; these and their cost stand with no model."""
    tool_usd: float = 0.0


Measure = Literal["cost", "tokens", "steps", "latency", "errors", "failures", "retries", "truncated"]
"""What is added up over trajectories: an amount, or 1 for each that has the event."""
DIMENSIONS = ("agent", "version", "model", "prompt", "task", "user")
"""What trajectories may agree in."""


@quick
@dataclass(frozen=True, slots=True)
class Cohort:
    """Trajectories of a range that agree in all of DIMENSIONS."""

    values: tuple[str | None, ...]
    """One for each of DIMENSIONS; None where the spans do not tell."""
    trajectories: int
    total: float
    """Sum of a measure over them."""
    squares: float
    """Sum of its squares."""


Grouping = Literal["agent", "version", "model", "prompt", "task", "user", "tool", "outcome", "day", "hour"]
"""What totals are asked by. Models and tools are counted by the call, the others by the trajectory."""


TotalsOrder = Literal["trajectories", "calls", "failed", "tokens", "cost", "seconds", "p95"]
"""What totals are sorted by, the largest first."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What trajectories (or calls of a model or tool) with one value of a grouping add up to."""

    value: str | None
    """None where the spans do not tell."""
    trajectories: int
    calls: int
    """Of a model or tool; else steps."""
    failed: int
    """Calls with an error; else trajectories that missed their goal or broke."""
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    """Of what has a price, tools included; None where nothing has."""
    unpriced: int
    """Calls without a known price."""
    seconds: float | None
    """Over those with both times."""
    p95_s: float | None
    """Seconds that 95 % of the calls, or of the trajectories, did not exceed."""


@dataclass(frozen=True, slots=True)
class UnpricedUse:
    """What one agent asked of one model that has no known price."""

    agent: str
    model: str
    calls: int
    trajectories: int


@dataclass(frozen=True, slots=True)
class Callers:
    """How many called one tool of one agent in a time range."""

    calls: int
    trajectories: int
    """Trajectories with at least one call."""
    failed: int
    """Of these, those with at least one call that failed."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One place where a text was found."""

    trace_id: str
    span_id: str
    field: str
    excerpt: str
    """Verbatim, from the readable form of the field."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one pass of retention did."""

    trajectories: int
    spans: int
    kept: int
    """Trajectories that were old enough, but are named by an open incident."""
    text_bytes: int
    """Bytes of texts, unpacked, that nothing referred to any more."""
    file_bytes_before: int
    file_bytes_after: int
    reusable_bytes: int
    """Free pages that stay in the file, for what is written next."""


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store holds and what it takes on disk, in bytes unless said otherwise."""

    schema: str
    """The last migration."""
    rows: Mapping[str, int]
    """By table."""
    file_bytes: int
    """With the write-ahead log."""
    free_bytes: int
    spans: int
    trajectories: int
    bytes_per_span: float | None
    sent_bytes: int
    """Texts, attributes and resources as the spans have them, each as often as it was sent."""
    distinct_bytes: int
    """The same, each once."""
    packed_bytes: int
    """What these take in the file."""
    oldest: datetime | None
    """When the first trajectory ended."""
    newest: datetime | None
    spans_elsewhere: int = 0
    """Of the spans, those whose texts lie in another database."""


class TrajectoryStore(Protocol):
    """Trajectories in, trajectories and their aggregates out. Times are aware datetimes, ranges are [start, end)."""

    def add(self, batch: Iterable[Span]) -> Added:
        """Mask and keep spans, in one transaction. The same span twice changes nothing."""

    def trajectory(self, trace_id: str) -> Trajectory:
        """Return a trajectory with its payloads. Raises NotFoundError.

        A chat prompt repeats the history at every step; in very long trajectories `input` holds only the last
        messages of it. `span` gives the whole.
        """

    def trajectories(self, trace_ids: Sequence[str]) -> dict[str, Trajectory]:
        """Return some trajectories as `trajectory` does, in the order of the question, as far as they are there.

        What lies elsewhere is asked for at once. All are in memory: some dozen of them.
        """

    def outline(self, trace_id: str) -> Trajectory:
        """Return a trajectory as it is drawn: goals, arguments, results and replies. Raises NotFoundError.

        What inferences were sent, system prompts, tool definitions, attributes, resources and events are left out.
        """

    def summary(self, trace_id: str) -> TrajectorySummary:
        """Return what a trajectory comes to, without its spans. Raises NotFoundError."""

    def summaries_of(self, trace_ids: Sequence[str]) -> dict[str, TrajectorySummary]:
        """Return the summaries of several trajectories by trace id, in one question, as far as they are there."""

    def span(self, trace_id: str, span_id: str) -> Span:
        """Return one span with everything that is known of it. Raises NotFoundError.

        It has the texts that only a repeated report of the same call carries, as in `trajectory`.
        """

    def resolve(self, prefix: str) -> str:
        """Return the full trace id for a prefix, "latest" or "worst". Raises NotFoundError."""

    def summaries(  # noqa: D102 - documented by the class
        self,
        *,
        agent: str | None = None,
        agents: Collection[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        order: Order = "recent",
        version: str | None = None,
        errors_only: bool = False,
        repeats_min: int = 0,
        limit: int = 50,
    ) -> list[TrajectorySummary]: ...

    def steps(self, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
        """Return the steps of several trajectories by trace id, in the order of the ids and not of the question."""

    def light_steps(self, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
        """Return steps as `steps` does, with empty inputs and outputs: to time and count calls, no text is fetched.

        Trajectories whose texts lie elsewhere are among them, also where these are gone or cannot be read.
        """

    def looked(self, trace_ids: Sequence[str]) -> dict[str, Looked]:
        """Return what was noted of trajectories: what there is to see in them. They need not be read for that."""

    def suspects(self, trace_ids: Sequence[str]) -> dict[str, Suspect]:
        """Return the steps of some hundred trajectories as `steps` does, and none of those in which nothing is to see.

        What there is to see is noted, where the store knows who can tell; else all steps come.
        """

    def steered(self, start: datetime, end: datetime, *, limit: int) -> list[str]:
        """Return trajectories of the range in which a tool returned an order to the model, the latest first."""

    def agents(self, start: datetime, end: datetime) -> list[str]:
        """Return the agents with a trajectory that ended in the range, sorted. The analyst itself is left out."""

    def count(self, start: datetime, end: datetime) -> tuple[int, int]:
        """Return how many trajectories and spans ended in the range."""

    def series(self, start: datetime, end: datetime, *, agent: str | None = None) -> list[Series]:
        """Return every signal of every agent (and tool) on the tick grid over the range.

        Of one agent, or of the fleet: the analyst's own are left out then.
        """

    def choices(self, start: datetime, end: datetime) -> list[Choices]:
        """Return what agents chose, per hour over the range, where it was chosen often enough to be judged."""

    def running(self, at: datetime) -> list[OpenTrajectory]:
        """Return the trajectories that had begun and not ended at a moment, as they stood then."""

    def lost(self, start: datetime, end: datetime) -> dict[str, float]:
        """Return by agent which share of its trajectories never ended: 1 where the root is exported elsewhere."""

    def usage(self, agent: str, start: datetime, end: datetime) -> list[Usage]:
        """Return amounts per version and model for the account of a change."""

    def cohorts(
        self, agent: str | None, start: datetime, end: datetime, measure: Measure, *, capped_at: float | None = None
    ) -> list[Cohort]:
        """Return trajectories that ended in the range by what they agree in, of one agent or of the fleet.

        Those of which the measure is not known are left out; larger values than `capped_at` count as that.
        """

    def percentile(
        self, agent: str | None, start: datetime, end: datetime, measure: Measure, share: float
    ) -> float | None:
        """Return the value of a measure below which a share of the trajectories lies, or None without any."""

    def unpriced(self, start: datetime, end: datetime) -> list[UnpricedUse]:
        """Return who used models without a known price, by trajectories that ended in the range, most calls first."""

    def unpriced_tools(self, start: datetime | None = None, end: datetime | None = None) -> list[tuple[str, int]]:
        """Return the tools with calls in the range that have no cost, and these calls, most first."""

    def worst_callers(
        self, agent: str, tool: str, start: datetime, end: datetime, *, by: Literal["seconds", "cost"], limit: int
    ) -> list[str]:
        """Return the trajectories with the longest or dearest calls of a tool that ended in the range, worst first."""

    def callers(self, agent: str, tool: str, start: datetime, end: datetime) -> Callers:
        """Return the calls of a tool that ended in the range, and the trajectories that made them."""

    def tool_uses(self, start: datetime, end: datetime, *, agent: str | None = None) -> list[ToolUse]:
        """Return calls, seconds and cost per agent and tool, of trajectories that ended in the range.

        The costliest first, then the slowest. Without an agent the analyst's own are left out.
        """

    def totals(
        self,
        by: Grouping,
        start: datetime,
        end: datetime,
        *,
        agents: Collection[str] = (),
        where: Mapping[str, str] = MappingProxyType({}),
        order: TotalsOrder = "trajectories",
    ) -> list[Totals]:
        """Return sums by a grouping over trajectories that ended in the range, the largest first; days by date.

        Of some agents or of all but the analyst itself; `where` narrows them to one version, model, prompt, task, user
        or outcome.
        """

    def changes(self, agent: str, start: datetime, end: datetime) -> list[Change]:
        """Return what was first seen in the range (versions, models, prompts, tools, parameters, SDKs) or told to us.

        What the agent used when its history begins is no change.
        """

    def search(
        self, text: str, *, trace_ids: Sequence[str] = (), agent: str | None = None, limit: int = 20
    ) -> list[Hit]:
        """Return where a text stands in the payloads, ignoring case."""


class IncidentStore(Protocol):
    """The analyst's own memory: incidents, reports, deliveries, the audit log."""

    def incidents(self, *, active_only: bool = False) -> list[Incident]:
        """Return the latest form of every incident, newest first."""

    def incident(self, prefix: str) -> Incident:
        """Return one incident by id or a prefix of it. Raises NotFoundError."""

    def say(self, prefix: str, word: Word) -> Incident:
        """Keep what a human said of an incident; return it as it stands then. The store gives the word its number.

        Raises NotFoundError.
        """

    def words(self, incident_id: str) -> list[Word]:
        """Return everything that was said of an incident, oldest first."""

    def latest_run_at(self) -> datetime | None:
        """Return the latest now of any run that was kept here, or None before the first."""

    def save_incidents(self, incidents: Sequence[Incident], *, run_trace_id: str) -> None:
        """Keep the incidents as this run left them, in one transaction."""

    def last_sent(self, incident_id: str, route: str) -> Sent | None:
        """Return what was last said about an incident on a route, or None."""

    def sent_since(self, route: str, after: datetime) -> list[Sent]:
        """Return what was said on a route after a time, of all incidents, oldest first."""

    def record_sent(self, route: str, sent: Mapping[str, Sent]) -> None:
        """Record what one message said, by incident, after it was sent: all of it or nothing."""

    def save_report(self, run_trace_id: str, document: str, markdown: str, at: datetime) -> None:
        """Keep a report as JSON and as Markdown."""

    def latest_report(self) -> tuple[str, str] | None:
        """Return the JSON and the Markdown of the latest report, or None."""
