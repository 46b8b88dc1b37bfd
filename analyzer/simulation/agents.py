"""One agent of a simulated fleet: its numbers, and when its runs start.

The shapes follow what agent fleets show and what the detectors must tell from a fault: traffic with a daily and a
weekly rhythm and bursts, log-normal sizes from an easy and a hard kind of task with rare tenfold runaways, and a level
that drifts from hour to hour.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from analyzer.errors import UsageError
from analyzer.simulation.faults import Decoy, DecoyKind, Fault, FaultKind
from analyzer.simulation.roles import ROLES
from analyzer.simulation.script import Role, chance

TICK_S = 900
"""Length of the steps in which the traffic's level is drawn."""

_SATURDAY = 5
RUNS_PER_HOUR_MAX = 20_000.0
_HARD_SHARE, _HARD_FACTOR = 0.25, 2.2
_RUNAWAY_FACTOR = 10.0
_DRIFT_PHI = 0.8
"""Autocorrelation of the hourly drift from one hour to the next."""


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent and its normal behaviour."""

    name: str
    role: str
    """A key of `ROLES`."""
    version: str = "1.0.0"
    model: str = "claude-sonnet-5-5"
    prompt_version: str = "1"
    runs_per_hour: float = 5.0
    """Mean over the week; for an agent with `batch_hour`: runs per night, all within that hour."""
    batch_hour: int | None = None
    """Hour of day (UTC) of a nightly batch; None for an agent that serves traffic."""
    calls: float = 2.0
    """Mean number of tool calls per run, at least 1; geometric."""
    prompt_tokens: int = 900
    """System prompt and tool definitions."""
    step_tokens: int = 250
    """Median growth of the input with every step."""
    output_tokens: int = 120
    """Median per inference."""
    sigma: float = 0.45
    """Standard deviation of ln(size) of a run within one kind of task."""
    drift: float = 0.08
    """Standard deviation of the hourly drift of ln(size)."""
    runaway_share: float = 0.007
    """Part of the runs that takes tenfold tokens although nothing is wrong."""
    error_share: float = 0.015
    """Part of the runs that breaks without any fault, in [0, 0.2]."""
    retry_share: float = 0.02
    """Part of the runs in which a call is retried once."""
    evaluated_share: float = 0.0
    """Part of the runs whose goal is judged by an evaluation; `missed_share` of these fail it."""
    missed_share: float = 0.05
    cached: float = 0.7
    """Chance that the prompt is read from the provider's cache on the first step."""
    daily: float = 0.4
    """Amplitude of the daily rhythm of the traffic, in [0, 1)."""
    weekend: float = 0.7
    """Traffic on Saturday and Sunday against weekdays."""

    def __post_init__(self) -> None:
        """Refuse what could not be simulated. Raises UsageError."""
        where = f"agent {self.name}"
        if self.role not in ROLES:
            raise UsageError(f"{where}: unknown role {self.role}; the roles are {', '.join(sorted(ROLES))}")
        if not 0 < self.runs_per_hour <= RUNS_PER_HOUR_MAX:
            raise UsageError(f"{where}: runs_per_hour must lie in (0, {RUNS_PER_HOUR_MAX:g}]")
        if not 1 <= self.calls <= 50:  # noqa: PLR2004 - runs of 50 calls already take 100 spans each
            raise UsageError(f"{where}: calls is a mean number of tool calls; give one in [1, 50]")
        if self.batch_hour is not None and not 0 <= self.batch_hour < 24:  # noqa: PLR2004 - hours of a day
            raise UsageError(f"{where}: batch_hour must lie in 0..23")
        for name in ("runaway_share", "retry_share", "evaluated_share", "missed_share", "cached", "daily", "weekend"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{where}: {name} must lie in [0, 1]")
        if not 0 <= self.error_share <= 0.2:  # noqa: PLR2004 - above this it would be a fault
            raise UsageError(f"{where}: error_share must lie in [0, 0.2]; more than that is a fault")
        if min(self.prompt_tokens, self.step_tokens, self.output_tokens) < 1 or min(self.sigma, self.drift) < 0:
            raise UsageError(f"{where}: token sizes must be positive, sigma and drift not negative")

    @property
    def played(self) -> Role:
        """The role it plays."""
        return ROLES[self.role]


class Levels:
    """The hourly drift of an agent's size: an AR(1) walk of ln(size) plus a level for each day."""

    def __init__(self, agent: Agent, seed: int, start: datetime, hours: int) -> None:
        rng = random.Random(f"{seed}/{agent.name}/levels")
        self._start = start
        step = agent.drift * math.sqrt(1 - _DRIFT_PHI**2)
        walk, day, self._levels = rng.gauss(0, agent.drift), 0.0, []
        for hour in range(hours + 1):
            if hour % 24 == 0:
                day = rng.gauss(0, agent.drift / 2)
            self._levels.append(math.exp(walk + day))
            walk = _DRIFT_PHI * walk + rng.gauss(0, step)

    def at(self, moment: datetime) -> float:
        """Return the factor on sizes in the hour of a moment."""
        hour = int((moment - self._start).total_seconds() // 3600)
        return self._levels[min(max(hour, 0), len(self._levels) - 1)]


def run_size(agent: Agent, rng: random.Random) -> float:
    """Draw the factor on the tokens of one run; its median is about 1.

    A quarter of the tasks is hard, and some run away tenfold without being faulty.
    """
    size = rng.lognormvariate(0.0, agent.sigma)
    if chance(rng, _HARD_SHARE):
        size *= _HARD_FACTOR
    if chance(rng, agent.runaway_share):
        size *= _RUNAWAY_FACTOR
    return size


def geometric(mean: float, rng: random.Random, most: int) -> int:
    """Draw from {1, 2, ...} with this mean, capped at `most`."""
    if mean <= 1:
        return 1
    drawn = 1 + int(math.log(1 - rng.random()) / math.log(1 - 1 / mean))
    return min(drawn, most)


def starts(
    agent: Agent, seed: int, start: datetime, end: datetime, faults: Sequence[Fault], decoys: Sequence[Decoy]
) -> Iterator[datetime]:
    """Yield when the agent's runs start, in order: a Poisson process whose level is gamma-distributed per tick.

    The bursts that the gamma makes are what real traffic has; without them every detector would look too good.
    Every tick has its own generator, so a rush or a silence changes nothing outside its own time.
    """
    silences = [fault for fault in faults if fault.kind is FaultKind.SILENCE and agent.name in fault.agents]
    own = [decoy for decoy in decoys if decoy.agent == agent.name]
    tick = start
    while tick < end:
        rng = random.Random(f"{seed}/{agent.name}/{tick.isoformat()}")
        level = _rate(agent, tick) * rng.gammavariate(8, 1 / 8)
        for decoy in own:
            level *= _traffic(decoy, tick)
        offset = rng.expovariate(level / 3600) if level else math.inf
        while offset < TICK_S:
            at = tick + timedelta(seconds=offset)
            if at < end and not any(silence.active(at) for silence in silences):
                yield at
            offset += rng.expovariate(level / 3600)
        tick += timedelta(seconds=TICK_S)


def _traffic(decoy: Decoy, at: datetime) -> float:
    """Return the factor of a look-alike on the traffic of a tick."""
    if not decoy.active(at):
        return 1.0
    if decoy.kind is DecoyKind.QUIET_WEEKEND and at.astimezone(UTC).weekday() >= _SATURDAY:
        return 1 / decoy.factor
    return decoy.factor if decoy.kind is DecoyKind.RUSH else 1.0


def _rate(agent: Agent, at: datetime) -> float:
    """Return the expected runs per hour in the tick that starts at a moment."""
    at = at.astimezone(UTC)
    if agent.batch_hour is not None:
        return agent.runs_per_hour if at.hour == agent.batch_hour else 0.0
    week = (5 + 2 * agent.weekend) / 7
    shape = agent.weekend if at.weekday() >= _SATURDAY else 1.0
    hour = at.hour + at.minute / 60
    return agent.runs_per_hour * shape / week * (1 - agent.daily * math.cos((hour - 3) * math.tau / 24))
