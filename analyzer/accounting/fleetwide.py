"""One cause in several agents: a price that rose, a provider that is down, a tool that all of them call. Pure.

A suspect is proven within each agent (`suspects`). It is one cause where at least two agents have it and began
together; an agent alone never makes one. Agents that do not use it are not asked: a rise that comes from something else
has another suspect, or none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from analyzer.types.metric import TICK_S, Signal, Window
from analyzer.types.report import Examined, Finding, Kind
from analyzer.types.shared import Cause, Shared

AGENTS_MIN = 2
"""Agents hit at one time by one thing: with one there is nothing that is shared."""
ONSETS_APART = timedelta(hours=1)
"""Intervals of onsets this far apart may still be one moment: estimates are good to about an hour."""
DATED_MAX = timedelta(hours=24)
"""A finding whose onset is less certain than this says of no other that they began together: with little traffic or a
slow drift every other onset of the week would meet it."""
CALLS_SHARE = 0.5
"""Part of a tool's calls, of all agents that have a tool of this name, that the agents hit make. With less the name is
what they share: a tool that is down is down for all."""
OWN_DEPLOY = timedelta(minutes=30)
"""A version, prompt or tool of an agent's own, first seen this close to its onset, explains it as well. Two such agents
are two deploys in one hour, and no cause until a third agent without one says so."""
_OWN = frozenset({"version", "prompt", "tools"})
_NARROW = ("tool", "model", "provider")
"""What explains the same agents as well is named by the narrowest."""


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Findings that have one suspect and began together, as indexes."""

    shared: Shared
    members: tuple[int, ...]

    def agents(self, known: Sequence[Examined]) -> set[str]:
        return _agents(known[index] for index in self.members)


def with_causes(known: Sequence[Examined], window: Window) -> list[Examined]:
    """Return the findings of a run, those of several agents that share a cause with it.

    Of what explains a finding the cause with most agents is it, and of those with as many the narrowest.
    """
    by_shared: dict[Shared, list[int]] = defaultdict(list)
    for index, entry in enumerate(known):
        for suspect in entry.suspects if _width(entry.finding) <= DATED_MAX else ():
            by_shared[suspect].append(index)
    clusters = [one for shared, entries in by_shared.items() for one in _clusters(shared, entries, known)]
    found = list(known)
    for cluster in sorted(clusters, key=lambda one: _order(one, known)):
        free = replace(cluster, members=tuple(index for index in cluster.members if found[index].cause is None))
        if not _is_cause(free, known, window):
            continue
        since = min(known[index].finding.onset for index in free.members)
        for index in free.members:
            found[index] = replace(found[index], cause=Cause(free.shared, since))
    return found


def _order(cluster: _Cluster, known: Sequence[Examined]) -> tuple[int, int, Shared, tuple[int, ...]]:
    return -len(cluster.agents(known)), _NARROW.index(cluster.shared.what), cluster.shared, cluster.members


def _is_cause(cluster: _Cluster, known: Sequence[Examined], window: Window) -> bool:
    """Say whether enough agents have it, two of them without a deploy of their own, and most of its calls."""
    agents = cluster.agents(known)
    free = _agents(known[index] for index in cluster.members if not _deployed(known[index]))
    return (
        len(agents) >= AGENTS_MIN
        and (len(free) >= AGENTS_MIN or (bool(free) and len(agents) > AGENTS_MIN))
        and _makes_most_calls(cluster, known, window)
    )


def _clusters(shared: Shared, entries: Sequence[int], known: Sequence[Examined]) -> Iterator[_Cluster]:
    """Divide the findings with one suspect by when they began.

    The sharpest comes first and takes with it what may be the same moment: linked one to the next, a single wide
    interval would make one of two that are half a day apart. What begins later while several agents have it joins them.
    """
    left = sorted(entries, key=lambda index: (_width(known[index].finding), known[index].finding.onset, index))
    while left:
        first = known[left[0]].finding
        members = [index for index in left if _together(known[index].finding, first)]
        if len(_agents(known[index] for index in members)) >= AGENTS_MIN:
            since = min(known[index].finding.onset for index in members)
            ends = [known[index].finding.recovered for index in members]
            until = None if None in ends else max(end for end in ends if end is not None)
            members = [index for index in left if index in members or _during(known[index].finding, since, until)]
        yield _Cluster(shared, tuple(sorted(members)))
        left = [index for index in left if index not in members]


def _width(finding: Finding) -> timedelta:
    return finding.onset_high - finding.onset_low


def _together(one: Finding, other: Finding) -> bool:
    return max(one.onset_low, other.onset_low) <= min(one.onset_high, other.onset_high) + ONSETS_APART


def _during(finding: Finding, since: datetime, until: datetime | None) -> bool:
    return since <= finding.onset and (until is None or finding.onset < until)


def _agents(entries: Iterable[Examined]) -> set[str]:
    return {entry.finding.subject.agent for entry in entries if entry.finding.subject.agent is not None}


def _deployed(entry: Examined) -> bool:
    """Say whether something of the agent's own is new since its onset; what was paid is not moved by a deploy."""
    if entry.finding.kind is Kind.COST:
        return False
    return any(one.what in _OWN and abs(one.at - entry.finding.onset) <= OWN_DEPLOY for one in entry.changes)


def _makes_most_calls(cluster: _Cluster, known: Sequence[Examined], window: Window) -> bool:
    """Say whether the agents hit make most of a tool's calls; of models and providers their own evidence is enough."""
    if cluster.shared.what != "tool":
        return True
    since_s = min(known[index].finding.onset for index in cluster.members).timestamp()
    agents = cluster.agents(known)
    calls = {True: 0.0, False: 0.0}
    for series in window.series:
        if series.signal is Signal.TOOL_LATENCY and series.subject.tool == cluster.shared.name:
            first = max(int((since_s - series.start_s) // TICK_S), 0)
            calls[series.subject.agent in agents] += sum(count for count in series.count[first:] if count == count)  # noqa: PLR0124 - not a number where nobody looked
    return calls[True] >= CALLS_SHARE * (calls[True] + calls[False])
