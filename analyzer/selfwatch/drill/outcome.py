"""How a drill came out, and the analyst's metrics of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from analyzer.selfwatch.drill.cast import LeftOut
from analyzer.selfwatch.drill.judge import Verdict
from analyzer.types import measures
from analyzer.types.measures import Amount
from analyzer.types.report import Gap, Incident, Kind


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What of an agent was copied into the shadow."""

    agent: str
    trajectories: int
    one_in: int
    """Of so many trajectories one was copied; 1: all."""
    healthy_until: datetime
    """What came later is not copied: something was wrong. Copies of earlier days stand in its place."""


@dataclass(frozen=True, slots=True)
class Drill:
    """How a drill came out."""

    seed: int
    at: datetime
    """The last moment of the real history; faults begin after it."""
    ends: datetime
    every: timedelta
    """Time between two simulated runs: how exactly delays are known."""
    agents: tuple[Shadowed, ...]
    agents_left: int
    """Agents of the fleet that the shadow has no room for, or that have too little healthy history."""
    rounds: int
    verdicts: tuple[Verdict, ...]
    """A fault that was missed was drawn a second time: then both stand here."""
    left_out: tuple[LeftOut, ...]
    undrilled: tuple[tuple[str, str], ...]
    """Detectors of this installation that had no fault to see, by name, and why."""
    false: tuple[Incident, ...]
    known: int
    """Incidents that the shadow has without any fault; they count neither way."""
    messages: Mapping[str, int]
    """Route -> what was said on it, all of it captured."""
    canaries: int
    """Made-up secrets that were put in."""
    leaks: Mapping[str, tuple[str, ...]]
    """Format and place of those that came out -> by which exits."""
    gaps: tuple[Gap, ...]

    @property
    def found(self) -> int:
        """How many planted faults were found."""
        return sum(verdict.is_found for verdict in self.verdicts)

    @property
    def recall(self) -> float | None:
        """Found among planted; None where nothing was planted."""
        return self.found / len(self.verdicts) if self.verdicts else None

    @property
    def precision(self) -> float | None:
        """Found among found and false; None where nothing was reported."""
        reported = self.found + len(self.false)
        return self.found / reported if reported else None

    @property
    def blind(self) -> tuple[Kind, ...]:
        """Kinds of which no incident told of one fault."""
        seen = {verdict.planted.kind for verdict in self.verdicts if verdict.incident is not None}
        return tuple(sorted({verdict.planted.kind for verdict in self.verdicts} - seen))

    @property
    def missed_by(self) -> tuple[tuple[str, Kind], ...]:
        """Detectors that did not see a kind of fault at any try, with the kind; by detector."""
        owed = {(name, one.planted.kind) for one in self.verdicts for name in one.planted.witnesses}
        seen = {
            (name, one.planted.kind)
            for one in self.verdicts
            for name in one.planted.witnesses
            if name not in one.unseen
        }
        return tuple(sorted(owed - seen))

    @property
    def delay(self) -> timedelta | None:
        """The median from the onset until the incident was opened; None where nothing was found."""
        delays = [verdict.delay.total_seconds() for verdict in self.verdicts if verdict.delay is not None]
        return timedelta(seconds=statistics.median(delays)) if delays else None

    def failures(self, recall_min: float, precision_min: float) -> tuple[str, ...]:
        """Say what is not as wanted, each in a sentence; empty where the drill is passed."""
        failed = []
        if self.recall is not None and self.recall < recall_min:
            failed.append(f"recall is {self.recall:.2f}, wanted is {recall_min:g}")
        if self.precision is not None and self.precision < precision_min:
            failed.append(f"precision is {self.precision:.2f}, wanted is {precision_min:g}")
        failed += [f"no fault of kind {kind.value} was found, at two tries" for kind in self.blind]
        failed += [
            f"the detector {name} saw no fault of kind {kind.value}, at two tries" for name, kind in self.missed_by
        ]
        failed += [f"a secret came out: {leak}, by {', '.join(exits)}" for leak, exits in self.leaks.items()]
        return tuple(failed)


def figures(drill: Drill, finished_s: float) -> Iterator[Amount]:
    """Yield what the analyst's metrics say of a drill; `finished_s` is in Unix seconds."""
    if drill.recall is not None:
        yield Amount(measures.DRILL_RECALL.name, (), drill.recall)
    if drill.precision is not None:
        yield Amount(measures.DRILL_PRECISION.name, (), drill.precision)
    if drill.delay is not None:
        yield Amount(measures.DRILL_DELAY.name, (), drill.delay.total_seconds())
    yield Amount(measures.DRILL_LEAKS.name, (), float(len(drill.leaks)))
    yield Amount(measures.DRILL_AT.name, (), finished_s)
    for kind in sorted({verdict.planted.kind for verdict in drill.verdicts}):
        yield Amount(measures.DRILL_FOUND.name, (kind.value,), float(kind not in drill.blind))
    missed = {name for name, _ in drill.missed_by}
    for name in sorted({name for verdict in drill.verdicts for name in verdict.planted.witnesses}):
        yield Amount(measures.DRILL_SEEN.name, (name,), float(name not in missed))
