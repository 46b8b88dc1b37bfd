"""A fleet of simulated agents with known faults: the same seed gives the same bytes."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from analyzer.errors import UsageError
from analyzer.simulation import export
from analyzer.simulation.agents import TICK_S, Agent, Levels, starts
from analyzer.simulation.engine import play
from analyzer.simulation.faults import Decoy, DecoyKind, Effects, Fault, FaultKind, Truth, apply, tool_of
from analyzer.simulation.run import AgentRun

DAYS_MAX = 400.0
TEXTS = ("short", "full")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Fleet:
    """Agents and what befalls them over `days` days that end at `now`.

    Not slotted: the truths are kept once they were worked out. Raises UsageError for what cannot be simulated.
    """

    agents: tuple[Agent, ...]
    faults: tuple[Fault, ...] = ()
    decoys: tuple[Decoy, ...] = ()
    days: float = 8.0
    seed: int = 0
    now: datetime = datetime(2026, 11, 20, 12, tzinfo=UTC)
    """Aware; rounded down to a quarter of an hour, the grid on which analysts look."""
    texts: str = "short"
    """`full`: prompts and results are as long as the usage says (`texts`); `short`: as short as they can be."""

    def __post_init__(self) -> None:
        """Round `now` and refuse a fleet that contradicts itself."""
        object.__setattr__(self, "now", quarter_hour(self.now))
        if not 0 < self.days <= DAYS_MAX:
            raise UsageError(f"fleet: days is {self.days}; give a number of days in (0, {DAYS_MAX:g}]")
        if self.texts not in TEXTS:
            raise UsageError(f"fleet: texts is {self.texts!r}; it is one of {', '.join(TEXTS)}")
        names = [agent.name for agent in self.agents]
        if not names or len(set(names)) < len(names):
            raise UsageError("fleet: it needs at least one agent, and every name only once")
        named: list[tuple[str, str]] = [(entry.kind, agent) for entry in self.faults for agent in entry.agents]
        named += [(entry.kind, entry.agent) for entry in self.decoys]
        for kind, agent in named:
            if agent not in names:
                raise UsageError(f"{kind}: there is no agent {agent}; the agents are {', '.join(names)}")
        self._refuse_misfits()

    def _refuse_misfits(self) -> None:
        """Refuse faults that do not fit the agents they are to strike. Raises UsageError."""
        roles = {agent.name: agent.played for agent in self.agents}
        for fault in self.faults:
            for agent in fault.agents:
                tools = [tool.name for tool in roles[agent].tools]
                if fault.tool is not None and fault.tool not in tools:
                    raise UsageError(f"fault {fault.kind} of {agent}: it has no tool {fault.tool}, only {tools}")
        models = {agent.name: agent.model for agent in self.agents}
        for fault in self.faults:
            if fault.kind is FaultKind.PRICE_RISE and {models[name] for name in fault.agents} != {models[fault.agent]}:
                raise UsageError(f"fault {fault.kind} of {fault.agent}: the agents run on several models; name one's")

    @property
    def start(self) -> datetime:
        """When the first run may start."""
        return quarter_hour(self.now - timedelta(days=self.days))

    @property
    def price_falls(self) -> tuple[tuple[str, datetime, float], ...]:
        """(model, from when on it is cheaper, by which factor), for whoever prices the tokens."""
        models = {agent.name: agent.model for agent in self.agents}
        falls = (decoy for decoy in self.decoys if decoy.kind is DecoyKind.PRICE_FALL)
        return tuple((models[fall.agent], fall.onset, fall.factor) for fall in falls)

    @property
    def price_rises(self) -> tuple[tuple[str, datetime, float], ...]:
        """(model, from when on it is dearer, by which factor), for whoever prices the tokens."""
        models = {agent.name: agent.model for agent in self.agents}
        rises = (fault for fault in self.faults if fault.kind is FaultKind.PRICE_RISE)
        return tuple((models[rise.agent], rise.onset, rise.factor) for rise in rises)

    @property
    def now_ns(self) -> int:
        """`now` in Unix nanoseconds."""
        return unix_ns(self.now)

    def runs(self) -> Iterator[AgentRun]:
        """Yield every run that starts before `now`, in order of the starts."""
        return heapq.merge(
            *(self._runs_of(agent) for agent in self.agents), key=lambda run: (run.start_ns, run.trace_id)
        )

    def requests(self, batch_spans: int = export.BATCH_SPANS) -> Iterator[export.Request]:
        """Yield the OTLP/JSON export requests of the whole time, oldest first; see `export.requests`."""
        return export.requests(self.runs(), self.now_ns, batch_spans)

    @cached_property
    def truths(self) -> tuple[Truth, ...]:
        """One record per fault, in the order of `faults`; plays the fleet once to learn which runs show it."""
        shown: list[list[str]] = [[] for _ in self.faults]
        for run in self.runs():
            if run.end_ns <= self.now_ns:
                for index in run.struck:
                    shown[index].append(run.trace_id)
        roles = {agent.name: agent.played for agent in self.agents}
        models = {agent.name: agent.model for agent in self.agents}
        return tuple(
            Truth(
                kind=fault.kind,
                agent=fault.agent,
                tool=roles[fault.agent].dead_end(random.Random(0)).tool
                if fault.kind is FaultKind.LOOP
                else tool_of(fault, roles[fault.agent]),
                version=fault.version,
                onset=fault.onset,
                end=fault.end,
                trace_ids=tuple(shown[index]),
                model=models[fault.agent] if fault.kind is FaultKind.PRICE_RISE else fault.model,
                also=fault.also,
            )
            for index, fault in enumerate(self.faults)
        )

    def _runs_of(self, agent: Agent) -> Iterator[AgentRun]:
        levels = Levels(agent, self.seed, self.start, int(self.days * 24) + 1)
        by_onset = sorted(enumerate(self.faults), key=lambda pair: pair[1].onset)
        faults = [(index, fault) for index, fault in by_onset if agent.name in fault.agents]
        deploys = sorted(
            (decoy for decoy in self.decoys if decoy.agent == agent.name and decoy.kind is DecoyKind.DEPLOY),
            key=lambda decoy: decoy.onset,
        )
        for at in starts(agent, self.seed, self.start, self.now, self.faults, self.decoys):
            moment = f"{self.seed}/{agent.name}/{at.isoformat()}"
            version = next((deploy.version for deploy in reversed(deploys) if deploy.active(at)), None)
            usual = Effects(version or agent.version, agent.model, agent.prompt_version)
            active = [(index, fault) for index, fault in faults if fault.active(at)]
            # Faults draw from their own generator: with or without them the rest of the run is the same.
            effects = apply(usual, active, agent.played, random.Random(f"{moment}/faults"))
            full = self.texts == "full"
            yield play(agent, effects, levels.at(at), unix_ns(at), random.Random(moment), full_texts=full)


def unix_ns(moment: datetime) -> int:
    """Return Unix nanoseconds, exact to the microsecond that a datetime holds."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def quarter_hour(moment: datetime) -> datetime:
    """Return a moment in UTC, rounded down to the quarter of an hour. Raises UsageError where it has no time zone."""
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise UsageError(f"fleet: now is {moment}; give a date and time with a time zone, such as 2026-11-20T12:00:00Z")
    return moment.astimezone(UTC) - (moment - _EPOCH) % timedelta(seconds=TICK_S)
