"""Several servers as one: what each knows is put together, a replica answers where its original does not.

Servers by region or cluster know different runs, often of the same agents. What is asked of them are amounts by agent,
which add up: where two answer for the same labels their values are added, moment by moment. A quotient does not add up;
its two sides do, so they are asked for one by one, always: a server with calls and no error yet has no quotient, and
its calls count all the same. What is not known to add up is refused, and not guessed, whoever answers it.

One that does not answer, and has no replica that does, leaves the whole unknown: what only it knows would look like a
fall. So the run goes on from the store's trajectories, as it does where a single server is dead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from analyzer.errors import MetricsError, MetricsQueryError
from analyzer.metrics.base import Exemplar, MetricSource, Points

Labels = tuple[tuple[str, str], ...]
Fold = Callable[[Sequence[float]], float]
_T = TypeVar("_T")

_SELECTOR = r"(?:[a-zA-Z_:][\w:]*\s*(?:\{[^{}]*\})?|\{[^{}]*\})(?:\s*\[[^\[\]:]*\])?(?:\s*(?:@|offset)\s*-?[\w.]+)*"
_LINEAR = rf"(?:(?:increase|rate|irate|delta|idelta)\s*\(\s*{_SELECTOR}\s*\)|{_SELECTOR})"
_BY = r"(?:by\s*\([^()]*\)\s*)?"
_TIMES = r"(?:\s*[*/]\s*\d[\d.]*(?:e[+-]?\d+)?)?"


def _aggregated(names: str, inner: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{names})\s*{_BY}\(\s*{inner}\s*\)\s*{_BY.strip()}{_TIMES}\s*")


_FORMS: Sequence[tuple[re.Pattern[str], Fold]] = (
    (_aggregated("sum", _LINEAR), sum),
    (re.compile(rf"(?:increase|rate|irate|delta|idelta)\s*\(\s*{_SELECTOR}\s*\){_TIMES}\s*"), sum),
    (_aggregated("count", _SELECTOR), sum),
    (_aggregated("max|group", _LINEAR), max),
    (_aggregated("min", _LINEAR), min),
)
"""The forms of queries of which the answers of several servers give that of the whole, and how."""


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

    def exemplars(self, promql: str, start: datetime, end: datetime) -> list[Exemplar]:
        """See `MetricSource.exemplars`. Each names trajectories of its own, so any query will do."""
        return [
            one
            for group in self._groups.values()
            for one in _first_answer(group, lambda source: source.exemplars(promql, start, end))
        ]

    def _joined(self, promql: str, ask: Callable[[MetricSource, str], list[Points]]) -> list[Points]:
        if len(self._groups) == 1:
            return _first_answer(next(iter(self._groups.values())), lambda source: ask(source, promql))
        promql = unwrapped(promql)
        fold = fold_of(promql)
        if fold is None:
            sides = parted(promql)
            if sides is None:
                names = ", ".join(self._groups)
                raise MetricsQueryError(
                    f"what several servers ({names}) answer to {promql} cannot be put together; ask for a sum by agent,"
                    " or for a quotient of two, or put one view over them all"
                )
            left, sign, right = sides
            return _matched(self._joined(left, ask), self._joined(right, ask), sign)
        by_labels: dict[Labels, list[Points]] = {}
        for group in self._groups.values():
            for points in _first_answer(group, lambda source: ask(source, promql)):
                by_labels.setdefault(_key(points), []).append(points)
        return [_combined(known, fold) for _, known in sorted(by_labels.items())]


def _first_answer(group: Sequence[MetricSource], ask: Callable[[MetricSource], list[_T]]) -> list[_T]:
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
_OTHERWISE = re.compile(r"[-*%^<>=!]|\b(?:or|and|unless|on|ignoring|group_left|group_right|bool|atan2)\b")
"""What stands between the sides of anything but a plain division or sum."""


def fold_of(promql: str) -> Fold | None:
    """Return how the answers of several servers to a query are put together; None where they cannot be."""
    bare = _blank(_HIDDEN, promql)
    return next((fold for form, fold in _FORMS if form.fullmatch(bare)), None)


def unwrapped(promql: str) -> str:
    """Return a query without space and parentheses around the whole of it."""
    text = promql.strip()
    while text.startswith("(") and text.endswith(")") and set(_flat(text)) == {"_"}:
        text = text[1:-1].strip()
    return text


def parted(promql: str) -> tuple[str, str, str] | None:
    """Return both sides of a query that is one division, or one sum, of two expressions, and the sign between them.

    They are as they stand. None of any other query.
    """
    bare = _flat(promql)
    signs = re.findall(r"[/+]", bare)
    if len(signs) != 1 or _OTHERWISE.search(bare):
        return None
    cut = bare.index(signs[0])
    left, right = promql[:cut].strip(), promql[cut + 1 :].strip()
    return (left, signs[0], right) if left and right else None


def _flat(promql: str) -> str:
    """Return a query with what stands in quotes, parentheses, brackets and braces blanked out."""
    bare, before = _blank(_HIDDEN, promql), ""
    while before != bare:
        before, bare = bare, _blank(_NESTED, bare)
    return bare


def _blank(pattern: re.Pattern[str], promql: str) -> str:
    """Return a query with other characters where a pattern is found: what is left stands where it stood."""
    return pattern.sub(lambda match: "_" * len(match.group()), promql)


def _combined(known: Sequence[Points], fold: Fold) -> Points:
    """Return one series of several with the same labels: a point wherever any has one."""
    values: dict[float, list[float]] = {}
    for points in known:
        for time_s, value in zip(points.times_s, points.values, strict=True):
            values.setdefault(time_s, []).append(value)
    ordered = sorted(values.items())
    return Points(known[0].labels, tuple(at for at, _ in ordered), tuple(float(fold(found)) for _, found in ordered))


def _matched(left: Sequence[Points], right: Sequence[Points], sign: str) -> list[Points]:
    """Divide or add series with the same labels, moment by moment, as PromQL does; what is divided by 0 is left out."""
    by_labels = {_key(points): points for points in right}
    found = []
    for points in left:
        other = by_labels.get(_key(points))
        if other is None:
            continue
        others = dict(zip(other.times_s, other.values, strict=True))
        both = [
            (at, value, others[at]) for at, value in zip(points.times_s, points.values, strict=True) if at in others
        ]
        pairs = [(at, a + b if sign == "+" else a / b) for at, a, b in both if sign == "+" or b]
        found.append(Points(points.labels, tuple(at for at, _ in pairs), tuple(value for _, value in pairs)))
    return found


def _key(points: Points) -> Labels:
    return tuple(sorted((name, value) for name, value in points.labels.items() if name != "__name__"))
