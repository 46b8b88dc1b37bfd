"""Several servers as one: what each knows is put together, a replica answers where its original does not.

Servers by region or cluster know different runs, often of the same agents. What is asked of them are amounts by agent,
which add up: where two answer for the same labels their values are added, moment by moment. A quotient does not add up;
its two sides do, so they are asked for one by one. What adds up in neither way is refused, and not guessed.

One that does not answer, and has no replica that does, leaves the whole unknown: what only it knows would look like a
fall. So the run goes on from the store's trajectories, as it does where a single server is dead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from analyzer.errors import MetricsError, MetricsQueryError
from analyzer.metrics.base import MetricSource, Points

Labels = tuple[tuple[str, str], ...]
_ADDS_UP = re.compile(r"\s*\(*\s*(?:sum|count|increase|rate|irate|delta|idelta)\b")
"""What a query begins with whose answers by several servers are parts of a whole."""
_LARGEST = re.compile(r"\s*\(*\s*(?:max|group)\b")
"""What one begins with of whose answers the largest is that of the whole."""


class Several:
    """A `MetricSource` over groups of sources: in a group each is a replica of the first."""

    def __init__(self, groups: Mapping[str, Sequence[MetricSource]]) -> None:
        """Take groups by the name of their first; there is at least one, and none is empty."""
        self._groups = dict(groups)

    def query(self, promql: str, at: datetime) -> list[Points]:
        """See `MetricSource.query`."""
        return self._joined(promql, lambda source, query: source.query(query, at))

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: float) -> list[Points]:
        """See `MetricSource.query_range`."""
        return self._joined(promql, lambda source, query: source.query_range(query, start, end, step_s))

    def _joined(self, promql: str, ask: Callable[[MetricSource, str], list[Points]]) -> list[Points]:
        answers = [_first_answer(group, lambda source: ask(source, promql)) for group in self._groups.values()]
        by_labels: dict[Labels, list[Points]] = {}
        for answer in answers:
            for points in answer:
                by_labels.setdefault(_key(points), []).append(points)
        if all(len(known) == 1 for known in by_labels.values()):
            return [known[0] for _, known in sorted(by_labels.items())]
        sides = quotient(promql)
        if sides is not None:
            return _divided(*(self._joined(side, ask) for side in sides))
        if _LARGEST.match(promql):
            return [_combined(known, max) for _, known in sorted(by_labels.items())]
        if _ADDS_UP.match(promql):
            return [_combined(known, sum) for _, known in sorted(by_labels.items())]
        double = next(dict(labels) for labels, known in sorted(by_labels.items()) if len(known) > 1)
        raise MetricsQueryError(
            f"several servers ({', '.join(self._groups)}) know {double or 'what was asked for'}, and their answers to"
            f" {promql} cannot be added up; ask for a sum, or put one view over them all"
        )


def _first_answer(group: Sequence[MetricSource], ask: Callable[[MetricSource], list[Points]]) -> list[Points]:
    """Return what the first of a group says that answers. Raises what the last one raised."""
    for source in group[:-1]:
        try:
            return ask(source)
        except MetricsError as error:
            # A wrong query is wrong at every replica; an answer in part is whole at another, perhaps.
            if type(error) is MetricsQueryError:
                raise
    return ask(group[-1])


_HIDDEN = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`")
_NESTED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
_OTHERWISE = re.compile(r"[-+*%^<>=!]|\b(?:or|and|unless|on|ignoring|group_left|group_right|bool|atan2)\b")
"""What stands between the sides of anything but a plain division."""


def quotient(promql: str) -> tuple[str, str] | None:
    """Return both sides of a query that is one division of two expressions, as they stand; None of any other."""
    bare = _blank(_HIDDEN, promql)
    before = ""
    while before != bare:
        before, bare = bare, _blank(_NESTED, bare)
    if bare.count("/") != 1 or _OTHERWISE.search(bare):
        return None
    cut = bare.index("/")
    left, right = promql[:cut].strip(), promql[cut + 1 :].strip()
    return (left, right) if left and right else None


def _blank(pattern: re.Pattern[str], promql: str) -> str:
    """Return a query with other characters where a pattern is found: what is left stands where it stood."""
    return pattern.sub(lambda match: "_" * len(match.group()), promql)


def _combined(known: Sequence[Points], fold: Callable[[Sequence[float]], float]) -> Points:
    """Return one series of several with the same labels: a point wherever any has one."""
    values: dict[float, list[float]] = {}
    for points in known:
        for time_s, value in zip(points.times_s, points.values, strict=True):
            values.setdefault(time_s, []).append(value)
    ordered = sorted(values.items())
    return Points(known[0].labels, tuple(at for at, _ in ordered), tuple(float(fold(found)) for _, found in ordered))


def _divided(above: Sequence[Points], below: Sequence[Points]) -> list[Points]:
    """Divide series with the same labels, moment by moment, as PromQL does; what is divided by 0 is left out."""
    by_labels = {_key(points): points for points in below}
    found = []
    for points in above:
        other = by_labels.get(_key(points))
        if other is None:
            continue
        divisors = dict(zip(other.times_s, other.values, strict=True))
        pairs = [
            (at, value / divisors[at])
            for at, value in zip(points.times_s, points.values, strict=True)
            if divisors.get(at)
        ]
        found.append(Points(points.labels, tuple(at for at, _ in pairs), tuple(value for _, value in pairs)))
    return found


def _key(points: Points) -> Labels:
    return tuple(sorted((name, value) for name, value in points.labels.items() if name != "__name__"))
