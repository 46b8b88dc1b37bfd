"""What is found, how it is explained, and the report: the nouns of schema `analyzer.report/1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from analyzer.types.alerts import PrometheusAlert
from analyzer.types.audit import Head
from analyzer.types.choices import Shifted
from analyzer.types.diagnosis import Diagnosis
from analyzer.types.doubt import Doubt
from analyzer.types.drawn import Curve, Strip
from analyzer.types.place import Place
from analyzer.types.shared import Cause, Part, Shared
from analyzer.types.spending import ModelUse
from analyzer.types.word import Episode, Word


class Kind(StrEnum):
    """What kind of thing went wrong. A new kind is added here first."""

    COST = "cost"
    TOKENS = "tokens"
    STEPS = "steps"
    RETRIES = "retries"
    ERRORS = "errors"
    TOOL_ERRORS = "tool-errors"
    LATENCY = "latency"
    TOOL_LATENCY = "tool-latency"
    TOOL_COST = "tool-cost"
    SUCCESS = "success"
    LOOP = "loop"
    RUNAWAY = "runaway"
    TOOL_CHOICE = "tool-choice"
    SILENCE = "silence"
    VOLUME = "volume"
    TRUNCATION = "truncation"
    BUDGET = "budget"
    METERING = "metering"
    INJECTION = "injection"


class Severity(StrEnum):
    """How bad it is; computed by rules from size, share and money, never by the model."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low to 3 for critical, for comparing."""
        return list(Severity).index(self)


class State(StrEnum):
    """Where an incident stands in its life."""

    OPEN = "open"
    """Seen by this run for the first time."""
    ONGOING = "ongoing"
    RESOLVED = "resolved"
    REGRESSED = "regressed"
    DISMISSED = "dismissed"


ACTIVE = frozenset({State.OPEN, State.ONGOING, State.REGRESSED})
"""States of what goes on."""


CALLS = "calls"
"""The unit of findings that count calls of a tool, and not trajectories."""
OF_CALLS = frozenset({Kind.TOOL_LATENCY, Kind.TOOL_COST})
"""Kinds whose findings have an amount as their unit and count calls all the same."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be seen. Never silence."""

    what: str
    why: str
    hint: str
    """What to do about it."""

    @property
    def line(self) -> str:
        """The gap in a line, where there is no report to list it."""
        return f"could not see {self.what}: {self.why} ({self.hint})"


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What an anomaly is about; None where a part does not apply."""

    agent: str | None = None
    version: str | None = None
    model: str | None = None
    tool: str | None = None
    provider: str | None = None
    """Only where several agents share a cause, and no single model is it."""

    def __str__(self) -> str:
        """Read as in a title: `support-triage`, `support-triage / lookup_order`; without an agent what they share."""
        shared = None if self.agent else self.model or self.provider
        return " / ".join(part for part in (self.agent, self.tool) if part) or shared or "fleet"


@dataclass(frozen=True, slots=True)
class SpanEvidence:
    """A verbatim quote from one field of one masked span."""

    id: str
    trace_id: str
    span_id: str
    field: str
    """One of `types.trace.TEXT_FIELDS`."""
    quote: str


PROMETHEUS, STORE = "prometheus", "store"
"""Where a metric was evaluated."""


@dataclass(frozen=True, slots=True)
class MetricEvidence:
    """A number and the query that gives it."""

    id: str
    promql: str
    """Gives the value when evaluated at `end`. From the store it only names what was computed: no server has it."""
    start: datetime
    end: datetime
    step: float
    """Seconds between points; the length of the range for a single value."""
    value: float
    source: str = STORE
    """PROMETHEUS, where anyone can ask again; STORE for the same names computed from the stored trajectories."""
    agent: str | None = None
    """Whose number it is, where it is not its finding's subject's: one agent's, of a silence of the whole fleet."""


Evidence = SpanEvidence | MetricEvidence


@dataclass(frozen=True, slots=True)
class Finding:
    """One detector saw one anomaly."""

    detector: str
    kind: Kind
    subject: Subject
    onset: datetime
    """When it began, as estimated."""
    onset_low: datetime
    onset_high: datetime
    value: float
    """What was observed since the onset, in `unit`."""
    baseline: float
    """What would be expected."""
    threshold: float
    """The score at which the detector fires."""
    score: float
    """Strength of the evidence, same scale as `threshold`."""
    unit: str
    recovered: datetime | None = None
    """When the signal came back to its baseline, if it has."""
    affected: int = 0
    """Units (trajectories or calls) hit since the onset."""
    of: int = 0
    """Units seen since the onset."""
    excess_usd: float | None = None
    """Money spent beyond what was expected since the onset, where it can be said."""
    evidence: tuple[Evidence, ...] = ()
    trace_ids: tuple[str, ...] = ()
    """Worst first. A metric finding has none: the account names the trajectories."""
    note: str = ""
    """One sentence for people: what was seen, or what could not have been at this volume."""
    began: datetime | None = None
    """What is found in single trajectories of the window: when the history shows it first, where that is earlier than
    the window. The figures count from `onset` all the same."""
    shifted: Shifted | None = None
    """Of a finding of kind tool-choice: which choice took the place of which."""
    doubt: Doubt | None = None
    """What metrics and traces do not agree about, where the figures stand on it."""


PER_TOKEN = frozenset({"price", "model mix"})
"""Factors in USD per token: people read them per million."""
MILLION = 1e6


AGAINST_SHARE = 1.005
"""Shares sum to 1, so one above it (as printed) means that others are negative: readers stumble over 110 %."""


@dataclass(frozen=True, slots=True)
class Factor:
    """One line of an account: how much of the change comes from this factor."""

    factor: str
    """runs, steps per run, input tokens per step, price, model mix, ...: see docs/accounting.md."""
    from_value: float | None
    to_value: float | None
    share: float
    """Of the whole change; the shares of an account sum to 1. Negative where the factor worked against it."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that became different near the onset."""

    what: str
    """version, model, prompt, tools, price, ..."""
    from_value: str | None
    to_value: str | None
    at: datetime
    borne_out: bool = False
    """Whether the new value shows the rise beside the old one, in the same hours: a cause, and no coincidence."""


@dataclass(frozen=True, slots=True)
class Affected:
    """How many trajectories are hit since the onset: 0 of 0 where only calls are known."""

    trajectories: int
    of: int


@dataclass(frozen=True, slots=True)
class Incident:
    """Findings about one subject, with a life."""

    id: str
    fingerprint: str
    """Same for the same kind and subject: what a later run recognises it by."""
    state: State
    severity: Severity
    kind: Kind
    title: str
    subject: Subject
    onset: datetime
    opened_at: datetime
    last_seen_at: datetime
    observed: float
    expected: float
    ratio: float | None
    """observed / expected; None where nothing was expected."""
    unit: str
    affected: Affected
    excess_usd: float | None
    findings: tuple[Finding, ...]
    account: tuple[Factor, ...] = ()
    changes: tuple[Change, ...] = ()
    trace_ids: tuple[str, ...] = ()
    """Worst first."""
    healthy_trace_ids: tuple[str, ...] = ()
    """Peers of the same agent that did well, for comparison."""
    diagnosis: Diagnosis | None = None
    evidence: tuple[Evidence, ...] = ()
    resolved_at: datetime | None = None
    places: tuple[Place, ...] = ()
    word: Word | None = None
    """What a human last said of it, not whether it is muted; gone when it comes back. Runs may overrule a dismissal."""
    muted_until: datetime | None = None
    """No messages before this time, because a human said so."""
    past: tuple[Episode, ...] = ()
    """Its earlier lives, oldest first: when it had been resolved and came back."""
    heard: int = 0
    """The number of the last word that this form takes into account; kept by the store, in no document."""
    agents: tuple[Part, ...] = ()
    """Of a cause that several agents share, what each has of it, worst first; empty where one agent is concerned."""
    curve: Curve | None = None
    """The metric around the onset; None where nothing is measured over time, and in what older releases filed."""
    strip: Strip | None = None
    """Of a loop: the steps of the worst trajectory."""
    last_ran_at: datetime | None = None
    """When its agents last ran, to a quarter of an hour, as the run saw it that measured the figures; None where it is
    about what does not run, and in what older releases filed."""
    alerts: tuple[PrometheusAlert, ...] = ()
    """Alerts of somebody's Prometheus that fired on what it is about while it went on, the earliest first."""
    owner: str = ""
    """Whose its agent is, as the registry said in the run that filed this, or whose all its agents are; "" where nobody
    said, where they are of several owners (`owners`), and in what older releases filed."""

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose the agents are that it is about, each owner once, that of the worst hit first."""
        named = (self.owner, *(part.owner for part in self.agents))
        return tuple(dict.fromkeys(owner for owner in named if owner))

    @property
    def seen_until(self) -> datetime:
        """When it was last seen, as people mean it: in its agents' trajectories, whenever a run looked at them."""
        return self.last_seen_at if self.last_ran_at is None else min(self.last_ran_at, self.last_seen_at)

    @property
    def concerned(self) -> tuple[str, ...]:
        """The agents it is about, worst first; empty where that is the fleet itself."""
        if self.agents:
            return tuple(part.agent for part in self.agents)
        return (self.subject.agent,) if self.subject.agent else ()


@dataclass(frozen=True, slots=True)
class Examined:
    """A finding with everything that was computed about it before anyone was asked to explain it."""

    finding: Finding
    account: tuple[Factor, ...] = ()
    changes: tuple[Change, ...] = ()
    trace_ids: tuple[str, ...] = ()
    """The trajectories at fault, worst first."""
    healthy_trace_ids: tuple[str, ...] = ()
    """Peers of the same agent from before the onset that did well."""
    evidence: tuple[Evidence, ...] = ()
    affected: Affected | None = None
    """Trajectories hit, of those concerned, where the finding itself counts something else (calls); None: not known."""
    places: tuple[Place, ...] = ()
    """Where the rise is, the foremost first; empty where it is everywhere, or nowhere for sure."""
    named: Subject = Subject()
    """Version and model that the account, the place or a comparison point to."""
    change: float = 0.0
    """What the account is of: the finding's unit per hour, since the onset against before."""
    suspects: tuple[Shared, ...] = ()
    """What the rise comes from in this agent that other agents may use as well."""
    cause: Cause | None = None
    """The suspect that others have at the same time, where that makes it one cause."""
    curve: Curve | None = None
    strip: Strip | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """The run that made a report."""

    trace_id: str
    at: datetime
    start: datetime
    end: datetime
    duration_s: float
    trajectories_seen: int
    spans_seen: int
    llm: ModelUse
    audit: Head | None = None
    """How far the log went when the report was made: an anchor that lies outside the log."""


REPEATED = "history repeated"
"""The note of a run in the past, of which nothing is saved or sent."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one run has to say."""

    run: Run
    incidents: tuple[Incident, ...]
    gaps: tuple[Gap, ...]
    notes: Mapping[str, str]
    """Facts that are no gap, by name: what could not have been detected at this volume, and the like."""
