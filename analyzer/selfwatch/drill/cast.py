"""Which agent gets which fault: what each could show at its volume, and the draw."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from analyzer.detectors.kernels.amount_baseline import AmountSettings
from analyzer.detectors.kernels.events import EventSettings
from analyzer.selfwatch.drill.faults import FAULTS, LATENCY_FACTOR, SLOW_FACTOR, DrillFault
from analyzer.types.percents import percent
from analyzer.types.report import Kind

HISTORY_D_MIN = 3.0
"""Days before anything is said of an agent (docs/detectors/README.md)."""
TASKLESS_D_MIN = 7.0
"""Days before choices are judged of an agent whose goals have no kinds (docs/detectors/tool_choice.md)."""
NATS = 12.8
"""Of evidence until a doubling is certain: the `12.8` of docs/detectors/README.md, "What no method can do"."""
MARGIN = 2.0
"""Times the least evidence: the least is where half are found, and a level that drifts needs more."""
SPREAD_UNKNOWN = 1.1
"""Of ln(value), where it was not measured: that of the same page's example."""
RATE_UNITS_MIN = 20
"""Trajectories in which most of a fault that strikes 60 % and more shows: a few are enough, and not in one hour."""
CHOICE_UNITS_MIN = 24
FEW_MIN = 6
"""Trajectories of which half are struck: three for a loop or an order."""
SILENCE_PER_HOUR_MIN = 1.0
"""At one an hour a silence takes half a day to be told from a quiet stretch (docs/detectors/silence.md)."""
HOURS_OF_DAY_MIN = 18
"""Of 24: an agent that runs at night only is not silent by day."""
FINISHED_MIN = 200
"""Trajectories after which a single one can be a record (docs/detectors/runaway.md)."""
USUAL_SHARE_MIN = 0.8
"""Of the trajectories: what is chosen less often is not the usual choice (docs/detectors/tool_choice.md)."""
ROUNDS_MAX = 8
STEPS_FACTOR = 1.6
"""What `faults.PAGES` make of a run of two replies and a call, half of it for runs that call nothing: the least."""
_POLLS = re.compile(r"poll|wait|status|sleep|job|progress|watch", re.IGNORECASE)
"""Tools that ask again and again by right."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of an agent before the drill."""

    agent: str
    trajectories: int
    """Of its healthy history."""
    days: float
    """How long that is."""
    zone: int
    """Trajectories in the stretch in which a fault lasts."""
    zone_h: float
    hours_of_day: int = 24
    """In how many hours of the day it runs."""
    spread: Mapping[Kind, float] = field(default_factory=dict)
    """Of ln(value) by cost, tokens, steps and latency; a kind that is not there was not measured."""
    judged: float = 0.0
    """Share of the trajectories that say whether the goal was reached."""
    tools: Mapping[str, float] = field(default_factory=dict)
    """Tool -> share of the trajectories that call it."""
    largest_tokens: int = 0
    largest_usd: float = 0.0

    @property
    def per_hour(self) -> float:
        """Trajectories an hour while the fault lasts."""
        return self.zone / max(self.zone_h, 1.0)


@dataclass(frozen=True, slots=True)
class Planted:
    """One fault of one agent."""

    kind: Kind
    agent: str
    tool: str | None
    onset: datetime
    round: int
    witnesses: tuple[str, ...]
    """The detectors that must see it, each by itself."""
    again: bool = False
    """Whether it was missed before, and this is the second try."""

    @property
    def fault(self) -> DrillFault:
        """What it does."""
        return FAULTS[self.kind]


@dataclass(frozen=True, slots=True)
class Missed:
    """A first try that was not found."""

    planted: Planted
    """With the onset from which on it could be seen."""
    by: frozenset[str]
    """The detectors that must be able to see the second try; none where it was no detector that was blind."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A kind of fault that was not drawn, and why."""

    kind: Kind
    why: str
    is_volume: bool
    """Below what this fleet's volume can show; else there is nothing that it could be shown in."""


Short = tuple[str, bool]
"""Why a fault cannot be shown by an agent, and whether that is for its volume."""


def shortfall(kind: Kind, agent: Profile) -> Short | None:
    """Say why an agent could not show a fault, or None where it can. The limits are those the detectors publish."""
    return _LIMITS[kind](agent)


def witnesses(kind: Kind, agent: Profile) -> tuple[str, ...]:
    """Return the detectors that must see a fault of an agent that can show it: all that have the volume they need.

    A doubling of the tokens is one of the costs too; where costs scatter so much that it drowns, no detector of costs
    is blind for that.
    """
    first, *others = FAULTS[kind].witnesses
    return (first, *(name for name in others if _shows_doubling(Kind(name), agent)))


def _shows_doubling(kind: Kind, agent: Profile) -> bool:
    return kind in agent.spread and _amount(kind, 2.0)(agent) is None


def tool_for(kind: Kind, agent: Profile) -> str | None:
    """Return the tool that a fault is about: the one that most trajectories call; None where there is none."""
    if kind not in _WITH_TOOL:
        return None
    usable = {tool: share for tool, share in agent.tools.items() if kind is not Kind.LOOP or not _POLLS.search(tool)}
    tool = max(sorted(usable), key=lambda tool: usable[tool], default=None)
    # Without a tool that most runs call it is the model that has to be asked again.
    return None if tool is None or (kind is Kind.RETRIES and usable[tool] < USUAL_SHARE_MIN) else tool


_WITH_TOOL = frozenset(
    {
        Kind.LOOP, Kind.RETRIES, Kind.STEPS, Kind.TOOL_CHOICE, Kind.TOOL_LATENCY, Kind.TOOL_ERRORS, Kind.INJECTION,
    }
)  # fmt: skip


def _young(agent: Profile, days: float = HISTORY_D_MIN) -> Short | None:
    return (f"{days:g} days of history are needed, there are {agent.days:.1f}", True) if agent.days < days else None


def _few(agent: Profile, units: float) -> Short | None:
    if agent.zone >= units:
        return None
    return f"about {units:.0f} trajectories are needed in {agent.zone_h:.0f} h, there are {agent.zone}", True


def _learnt(agent: Profile, units: float) -> Short | None:
    if agent.trajectories >= units:
        return None
    return f"{units:.0f} trajectories are needed to learn from, there are {agent.trajectories}", True


def _tool(agent: Profile, kind: Kind, share_min: float = 0.3) -> Short | None:
    tool = tool_for(kind, agent)
    if tool is None:
        return "no tool is called", False
    if agent.tools[tool] < share_min:
        return f"no tool is called in {percent(share_min)} of the trajectories", False
    return None


def _amount(kind: Kind, factor: float) -> Callable[[Profile], Short | None]:
    def limit(agent: Profile) -> Short | None:
        if kind not in agent.spread:
            return f"no {'price' if kind is Kind.COST else kind.value} is known", False
        return (
            _young(agent)
            or _learnt(agent, AmountSettings().units_min)
            or _few(agent, needed(agent.spread[kind], factor))
        )

    return limit


def needed(spread: float, factor: float) -> float:
    """Return how many units a rise by a factor takes to be certain: CUSUM for a shift d of the mean of ln(value).

    Each unit brings d (m - d / 2) / spread^2 nats (Page 1954), with m = ln(factor); at a doubling that is the figure
    of docs/detectors/README.md. Times MARGIN, and never fewer than 10.
    """
    shift, rise = AmountSettings().shift, math.log(factor)
    per_unit = shift * (rise - shift / 2) / max(spread, 0.1) ** 2
    return max(MARGIN * NATS / per_unit, 10.0)


def _rate(agent: Profile) -> Short | None:
    return _young(agent) or _learnt(agent, EventSettings().units_min) or _few(agent, RATE_UNITS_MIN)


def _tool_rate(kind: Kind) -> Callable[[Profile], Short | None]:
    return lambda agent: _tool(agent, kind) or _rate(agent) or _few(agent, RATE_UNITS_MIN / _share(agent, kind))


def _share(agent: Profile, kind: Kind) -> float:
    """Return the share of the trajectories that call the tool; only these can show it."""
    return agent.tools[tool_for(kind, agent) or ""]


def _tool_latency(agent: Profile) -> Short | None:
    missing = _tool(agent, Kind.TOOL_LATENCY) or _young(agent) or _learnt(agent, AmountSettings().units_min)
    return missing or _few(agent, needed(SPREAD_UNKNOWN, SLOW_FACTOR) / _share(agent, Kind.TOOL_LATENCY))


def _success(agent: Profile) -> Short | None:
    if agent.judged < 0.5:  # noqa: PLR2004 - of an agent that rarely says how it went little is known
        return "trajectories do not say whether the goal was reached", False
    return _rate(agent)


def _choice(agent: Profile) -> Short | None:
    missing = _tool(agent, Kind.TOOL_CHOICE, USUAL_SHARE_MIN)
    return missing or _young(agent, TASKLESS_D_MIN) or _few(agent, CHOICE_UNITS_MIN)


def _silence(agent: Profile) -> Short | None:
    if agent.hours_of_day < HOURS_OF_DAY_MIN:
        return "the agent does not run around the clock", False
    if agent.per_hour < SILENCE_PER_HOUR_MIN:
        return f"{SILENCE_PER_HOUR_MIN:g} trajectory an hour is needed, there are {agent.per_hour:.1f}", True
    return _young(agent)


def _seen_in_runs(kind: Kind) -> Callable[[Profile], Short | None]:
    return lambda agent: _tool(agent, kind) or _few(agent, FEW_MIN / _share(agent, kind))


def _runaway(agent: Profile) -> Short | None:
    if not agent.largest_usd and not agent.largest_tokens:
        return "neither cost nor tokens are known", False
    return _learnt(agent, FINISHED_MIN) or _few(agent, 1)


_LIMITS: Mapping[Kind, Callable[[Profile], Short | None]] = {
    Kind.COST: _amount(Kind.COST, 2.0),
    Kind.TOKENS: _amount(Kind.TOKENS, 2.0),
    Kind.STEPS: lambda agent: _tool(agent, Kind.STEPS, USUAL_SHARE_MIN) or _amount(Kind.STEPS, STEPS_FACTOR)(agent),
    Kind.LATENCY: _amount(Kind.LATENCY, LATENCY_FACTOR),
    Kind.TOOL_LATENCY: _tool_latency,
    Kind.LOOP: _seen_in_runs(Kind.LOOP),
    Kind.RETRIES: _rate,
    Kind.ERRORS: _rate,
    Kind.TOOL_ERRORS: _tool_rate(Kind.TOOL_ERRORS),
    Kind.SUCCESS: _success,
    Kind.TRUNCATION: _rate,
    Kind.TOOL_CHOICE: _choice,
    Kind.SILENCE: _silence,
    Kind.INJECTION: _seen_in_runs(Kind.INJECTION),
    Kind.RUNAWAY: _runaway,
}


def draw(
    kinds: Iterable[Kind],
    agents: Sequence[Profile],
    rng: random.Random,
    begins: datetime,
    onset_within: timedelta,
    *,
    first_round: int = 0,
    missed: Mapping[Kind, Missed] = MappingProxyType({}),
) -> tuple[tuple[Planted, ...], tuple[LeftOut, ...]]:
    """Draw an agent and an onset for each kind of fault.

    `missed` are first tries, by kind: the second goes to another agent where one can show it to the detectors that were
    blind, else it begins later. In a round each agent has at most one fault; the agents with the fewest come first, so
    that few rounds do. What would need more than ROUNDS_MAX rounds is left out.
    """
    planted: list[Planted] = []
    left_out: list[LeftOut] = []
    load: Counter[str] = Counter()
    able: dict[Kind, list[Profile]] = {}
    for kind in kinds:
        able[kind] = [
            agent
            for agent in agents
            if shortfall(kind, agent) is None and (kind not in missed or missed[kind].by <= set(witnesses(kind, agent)))
        ]
        if not able[kind]:
            left_out.append(_left_out(kind, agents))
    # Those that few agents can show choose first: else the others take their agents.
    order = sorted((kind for kind in able if able[kind]), key=lambda kind: (len(able[kind]), rng.random()))
    for kind in order:
        first = missed[kind].planted if kind in missed else None
        others = [one for one in able[kind] if first is None or one.agent != first.agent]
        free = [one for one in others if load[one.agent] < ROUNDS_MAX]
        agent = min(free or able[kind], key=lambda one: (load[one.agent], rng.random()))
        number = load[agent.agent]
        if number >= ROUNDS_MAX:
            left_out.append(LeftOut(kind, f"{ROUNDS_MAX} rounds are the most, and all were taken", is_volume=False))
            continue
        load[agent.agent] += 1
        onset = _onset(begins, onset_within, rng.random(), None if free else first)
        tool, seen_by = tool_for(kind, agent), witnesses(kind, agent)
        again = first is not None
        planted.append(Planted(kind, agent.agent, tool, onset, first_round + number, seen_by, again=again))
    return tuple(sorted(planted, key=lambda one: (one.round, one.agent))), tuple(left_out)


def _onset(begins: datetime, within: timedelta, drawn: float, before: Planted | None) -> datetime:
    """Return a moment within a stretch, by a number in [0, 1); after the onset of a try `before` of the same agent.

    An agent that runs seldom shows a fault by the same run wherever in hours it begins: only what begins after that run
    is another place. The stretch may end an hour later for it, so that the fault still has the volume that it needs.
    """
    if before is None:
        return begins + within * drawn
    until = max(begins + within, before.onset + within / 3)
    return until - (until - before.onset) * drawn


def _left_out(kind: Kind, agents: Sequence[Profile]) -> LeftOut:
    """Say why no agent can show a fault: of the one that comes nearest, which is short of volume alone if any is."""
    shorts = [short for agent in agents if (short := shortfall(kind, agent)) is not None]
    if not shorts:
        return LeftOut(kind, "no agent has enough healthy history", is_volume=True)
    why, is_volume = max(shorts, key=lambda short: short[1])
    return LeftOut(kind, why, is_volume)
