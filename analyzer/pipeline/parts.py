"""A window in parts, each some of its agents, so that several instances can look at them.

Detectors do no I/O: the same values give the same findings. So a part is known by a digest of all that is looked at in
it and of the program that looks. Whoever has a part of the same digest finds the same, whatever its store is; whoever
has not (it lags behind, it is of another release, or its settings are others) has another digest.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from analyzer.types.hourly import HourlyCounts
from analyzer.types.metric import Choices, FlatSketches, Series, Window
from analyzer.types.trajectory import TrajectorySummary

PARTS_MAX = 128
"""More cost more to hand out than they gain; up to here an agent is a part by itself, so that one whose spans come in
just now keeps no other from being looked at elsewhere."""
_DIGEST_BYTES = 16
_SUMMARY = attrgetter(*(entry.name for entry in fields(TrajectorySummary)))


@dataclass(frozen=True, slots=True)
class Part:
    """Some agents of a window."""

    agents: frozenset[str | None]
    """None in one of the parts: what names no agent."""
    window: Window
    digest: str
    """Hexadecimal."""


def parts_of(window: Window, program: bytes, parts_max: int = PARTS_MAX) -> tuple[Part, ...]:
    """Return the parts of a window, those with most to look at first; the same window always gives the same parts.

    Each agent is laid into the part that has least so far, the largest agents first: Graham's rule, by which the
    largest part is at most 4/3 of what the best division would have (R. L. Graham, 1969, *Bounds on Multiprocessing
    Timing Anomalies*). `program` tells by what they are looked at.
    """
    weights = _weights(window)
    count = max(min(len(weights), parts_max), 1)
    agents: list[set[str | None]] = [set() for _ in range(count)]
    loads = [0] * count
    for agent, weight in sorted(weights.items(), key=lambda entry: (-entry[1], entry[0])):
        lightest = loads.index(min(loads))
        agents[lightest].add(agent)
        loads[lightest] += weight
    agents[0].add(None)
    order = sorted(range(count), key=lambda place: (-loads[place], place))
    return tuple(_part(window, frozenset(agents[place]), program) for place in order)


def _weights(window: Window) -> dict[str, int]:
    """Return how much there is to look at by agent: its series, and the trajectories that are looked at one by one."""
    weights = dict.fromkeys(window.agents(), 1)
    for series in window.series:
        if series.subject.agent is not None:
            weights[series.subject.agent] += 1
    for trace_id in window.suspects:
        weights[window.agent_of(trace_id)] += 1
    return weights


def _part(window: Window, agents: frozenset[str | None], program: bytes) -> Part:
    own = window.only(agents.__contains__)
    seen = blake2b(program, digest_size=_DIGEST_BYTES)
    for piece in _pieces(own, agents):
        seen.update(b"%d " % len(piece))
        seen.update(piece)
    return Part(agents, own, seen.hexdigest())


def _pieces(window: Window, agents: Iterable[str | None]) -> Iterable[bytes]:
    """Yield all that a detector may look at, in an order that is no store's own."""
    yield _said(window.start, window.end, sorted(agent or "" for agent in agents))
    for series in sorted(window.series, key=lambda one: (one.signal.value, str(one.subject), one.source, one.start_s)):
        yield from _of_series(series)
    for choices in sorted(window.choices, key=lambda one: (str(one.subject), one.what, one.task or "")):
        yield from _of_choices(choices)
    for what, texts in (("suspect", window.suspects), ("steered", window.steered)):
        for trace_id, steps in sorted(texts.items()):
            yield _said(what, trace_id, steps)
    for trace_id, looked in sorted(window.looked.items()):
        yield _said(trace_id, looked)
    for _, summary in sorted(window.summaries.items()):
        yield _said(_SUMMARY(summary))
    for running in sorted(window.running, key=lambda one: one.summary.trace_id):
        yield _said(running.seen_ns, _SUMMARY(running.summary))
    yield _said(sorted(window.usual.items()))


def _of_series(series: Series) -> Iterable[bytes]:
    yield _said(series.signal.value, series.subject, series.unit, series.source, series.query, series.start_s)
    yield _said(series.counted, series.summed)
    unpriced, bought = series.unpriced, series.bought
    yield _numbers(series.count)
    yield _numbers(series.total)
    yield _numbers(series.hit)
    for part in () if bought is None else bought.parts:
        yield _numbers(part)
    for part in () if unpriced is None else (unpriced.trajectories, unpriced.calls, unpriced.inferences):
        yield _numbers(part)
    sketches = series.sketches
    if sketches is not None:
        flat = sketches if isinstance(sketches, FlatSketches) else FlatSketches.of(sketches)
        for numbers in (flat.ticks, flat.bins, flat.units):
            yield _numbers(numbers)


def _of_choices(choices: Choices) -> Iterable[bytes]:
    yield _said(choices.subject, choices.what, choices.task, choices.start_s, sorted(choices.offered_s.items()))
    yield _numbers(choices.of)
    for counts in (choices.picked, choices.failed):
        flat = HourlyCounts.of(counts, len(choices.of))
        names = list(flat)
        yield _said(sorted(names))
        yield _said(sorted(zip(flat.hours, (names[rank] for rank in flat.ranks), map(round, flat.counts), strict=True)))


def _numbers(values: Sequence[float] | None) -> bytes:
    """Return numbers in single precision: sums that were added up in another order are the same to so many digits."""
    return b"-" if values is None else array("f", values).tobytes()


def _said(*values: Any) -> bytes:
    return repr(values).encode("utf-8", "surrogatepass")
