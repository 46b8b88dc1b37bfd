"""Suspects: the trajectories of a window that repeat enough to be worth a closer look.

Each is read once: the store notes what is to be seen in it. Of those with a loop the worst are read again, for they are
quoted. So a window is the same whether an earlier run has looked or not, and holds few texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from analyzer.stores.base import TrajectoryStore
from analyzer.types.loops import WORST_KEPT, Looked, worst
from analyzer.types.report import Gap
from analyzer.types.steps import Step
from analyzer.types.trajectory import TrajectorySummary

CHARACTERS_MAX = 100_000_000
"""Text of suspects held in memory at once: about 200 MB of a 512 MiB process."""
SPARED_EVERY = 10_000_000
"""Characters that are read before steps are dropped that nothing is quoted from."""
KEPT = (WORST_KEPT, 3, 1)
"""Of how many trajectories of an agent and tool steps are kept, where those of more are too much text: of the worst
in any case."""
SPANS_AT_ONCE, TRAJECTORIES_AT_ONCE = 4_000, 500
"""What is read together: whole spans of some kB each where they lie in another database, some 50 MB."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """What was read of some trajectories, and what could not be."""

    steps: Mapping[str, tuple[Step, ...]]
    """By trace id: of all that were looked at; none of those in which there is nothing to quote."""
    looked: Mapping[str, Looked]
    """What is to be seen in them, where the store knows who can tell."""
    unread: int
    """How many could not be read."""


def suspects_of(store: TrajectoryStore, summaries: Sequence[TrajectorySummary]) -> Suspects:
    """Load what is to be seen in trajectories, the most repetitive first, until memory is spent. Raises StoreError."""
    agents = {one.trace_id: one.agent for one in summaries}
    noted = store.looked(list(agents))
    reading = _Reading(store, agents)
    quoted = worst(noted, agents)
    reading.read([one for one in summaries if one.trace_id in quoted])
    if any(reading.looked.get(trace_id) != noted[trace_id] for trace_id in quoted):
        # Something is gone from where it lay, or is not what it was: no loop is believed that was only noted.
        noted = {trace_id: one for trace_id, one in noted.items() if one.is_quiet}
    reading.looked |= {trace_id: one for trace_id, one in noted.items() if trace_id not in quoted}
    known = noted.keys() | quoted
    reading.read([one for one in summaries if one.trace_id not in known])
    seen = [trace_id for trace_id in agents if trace_id in reading.steps or trace_id in reading.looked]
    steps = {trace_id: reading.steps.get(trace_id, ()) for trace_id in seen}
    return Suspects(steps, reading.looked, reading.unread)


class _Reading:
    """Trajectories while they are read."""

    def __init__(self, store: TrajectoryStore, agents: Mapping[str, str]) -> None:
        self._store, self._agents = store, agents
        self.steps: dict[str, tuple[Step, ...]] = {}
        self.looked: dict[str, Looked] = {}
        self.unread = 0
        self._is_full = False

    def read(self, summaries: Sequence[TrajectorySummary]) -> None:
        """Read trajectories and look at them, portion by portion, while there is room for their texts."""
        fresh = 0
        for wanted in _portions(summaries):
            if self._is_full:
                return
            came = self._store.suspects(wanted)
            self.unread += len(wanted) - len(came)
            self.steps |= {trace_id: one.steps for trace_id, one in came.items()}
            self.looked |= {trace_id: one.looked for trace_id, one in came.items() if one.looked is not None}
            fresh += sum(_characters(one.steps) for one in came.values())
            if fresh > min(SPARED_EVERY, CHARACTERS_MAX):
                self._spare()
                fresh = 0
        self._spare()

    def _spare(self) -> None:
        """Drop the steps from which nothing is quoted, and where the others are too much text, more of them."""
        for kept in KEPT:
            quoted = worst(self.looked, self._agents, kept)
            for trace_id in self.steps.keys() & self.looked.keys() - quoted:
                self.steps[trace_id] = ()
            self._is_full = sum(map(_characters, self.steps.values())) > CHARACTERS_MAX
            if not self._is_full:
                return


def _characters(steps: Sequence[Step]) -> int:
    return sum(len(step.input) + len(step.output) for step in steps)


def unseen_loops(of: int, found: Suspects, *, is_all: bool) -> list[Gap]:
    """Return a Gap for each reason why trajectories that repeat a call are not looked at; `of` were to be."""
    gaps = []
    if found.unread:
        why = f"the texts of {found.unread} of {of} trajectories that repeat a call could not be read"
        hint = "they are not looked at; where their texts lie does not answer, or has them no longer"
        gaps.append(Gap("loops", why, hint))
    if missed := of - len(found.steps) - found.unread:
        why = f"{missed} of {of} trajectories that repeat a call did not fit into one run"
        gaps.append(Gap("loops", why, "run with a shorter --lookback"))
    if not is_all:
        why = f"more than {of:,} trajectories repeat a call, and only the {of:,} that repeat most were looked at"
        gaps.append(Gap("loops", why, "run with a shorter --lookback"))
    return gaps


def _portions(summaries: Sequence[TrajectorySummary]) -> Iterator[list[str]]:
    """Yield the ids of trajectories that are read together, in order: by their spans, which is what they weigh."""
    wanted: list[str] = []
    spans = 0
    for summary in summaries:
        if wanted and (spans + summary.spans > SPANS_AT_ONCE or len(wanted) >= TRAJECTORIES_AT_ONCE):
            yield wanted
            wanted, spans = [], 0
        wanted.append(summary.trace_id)
        spans += summary.spans
    if wanted:
        yield wanted
