"""Which trajectories metrics themselves name as carrying a finding: exemplars, as far as the store holds them.

A counter or a bucket may keep the id of a trajectory that it counted. Such a trajectory is a case of what the metric
shows, so it goes before those that the store finds by window, labels and size. Only what carries the finding counts: a
histogram names a run of each bucket, the small ones too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from analyzer.errors import MetricsError, MetricsQueryError
from analyzer.metrics.base import Exemplar, MetricSource
from analyzer.metrics.series import AGENT_LABELS, TOOL_LABELS
from analyzer.stores.base import TrajectoryStore
from analyzer.types.metric import TICK_S, Series, Window
from analyzer.types.report import PROMETHEUS, Finding, Gap, Kind, Subject
from analyzer.types.trace import Outcome
from analyzer.types.trajectory import TrajectorySummary

QUERIES_MAX = 20
"""Findings for which a run asks, those first that are surest: the others' trajectories are found in the store."""
NAMED_MAX = 50
"""Trajectories of one finding that are looked up in the store, the largest first."""
SHOWN_MAX = 3
"""Ids in a Gap before the rest is only counted."""
_NAMES = re.compile(
    r"(?P<quoted>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`)|(?<![\w:])(?P<base>[a-zA-Z_:][\w:]*)_(?:sum|count)\b(?=\s*[{\[])"
)
"""Sums and counts of histograms, outside of quotes."""

Key = tuple[str, Subject, datetime]
"""Of a finding: its detector, what it is about, its onset. A rise that is over and one that began since are two."""


@dataclass(frozen=True, slots=True)
class Exemplified:
    """What metrics named in one run."""

    trace_ids: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    """By finding: trajectories in the store that carry it, worst first."""
    gaps: tuple[Gap, ...] = ()

    def of(self, finding: Finding) -> tuple[str, ...]:
        """Return the trajectories named for a finding."""
        return self.trace_ids.get(_key(finding), ())


def _key(finding: Finding) -> Key:
    return finding.detector, finding.subject, finding.onset


UNASKED = Exemplified()


def exemplars_of(
    store: TrajectoryStore, source: MetricSource, findings: Sequence[Finding], window: Window
) -> Exemplified:
    """Ask for the exemplars of each finding that was seen in series of Prometheus. Raises StoreError.

    A trajectory that is named and not in the store is a Gap, and so is a server that does not answer; it is not asked
    again. One that keeps no exemplars is neither.
    """
    metered = {(series.signal.value, series.subject): series for series in window.series if series.source == PROMETHEUS}
    seen = [one for one in findings if (one.kind.value, one.subject) in metered]
    surest = sorted(seen, key=lambda one: (-one.score / (one.threshold or 1.0), one.kind, one.subject))
    largest: list[tuple[Finding, dict[str, Exemplar]]] = []
    gaps = []
    for finding in surest[:QUERIES_MAX]:
        series = metered[finding.kind.value, finding.subject]
        try:
            exemplars = source.exemplars(_asked(series), finding.onset, finding.recovered or window.end)
        except MetricsError as error:
            hint = "trajectories were found in the store, by time, agent and size; `analyzer doctor` checks the server"
            gaps.append(Gap("exemplars from Prometheus", str(error), hint))
            if isinstance(error, MetricsQueryError):
                continue
            break
        largest.append((finding, _largest(exemplars, finding.subject)))
    named = list(dict.fromkeys(trace_id for _, exemplars in largest for trace_id in exemplars))
    # All in one question: there may be a thousand.
    known = store.summaries_of(named) if named else {}
    missed = [trace_id for trace_id in named if trace_id not in known]
    if missed:
        gaps.append(_unknown(missed, len(named)))
    found = {_key(finding): _worst(finding, exemplars, known, window.end) for finding, exemplars in largest}
    return Exemplified(found, tuple(gaps))


def _worst(
    finding: Finding, named: Mapping[str, Exemplar], known: Mapping[str, TrajectorySummary], end: datetime
) -> tuple[str, ...]:
    """Return those that are known and carry a finding, worst first."""
    carrying = [one for one in named if one in known and _carries(finding, known[one], named[one], end)]
    return tuple(sorted(carrying, key=lambda one: (-_size(finding, known[one], named[one]), one)))


def _asked(series: Series) -> str:
    """Return what selects the series with exemplars: of a histogram these are its buckets, and no sum has any.

    https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md#exemplars
    """
    query = series.summed.replace("$range", f"{TICK_S}s")
    return _NAMES.sub(lambda match: match["quoted"] or f"{match['base']}_bucket", query)


def _largest(exemplars: Sequence[Exemplar], subject: Subject) -> dict[str, Exemplar]:
    """Return the exemplars of a subject by trace id, the largest first: a query may select more than it gives."""
    found: dict[str, Exemplar] = {}
    for one in sorted(exemplars, key=lambda one: (-one.value, -one.at_s, one.trace_id)):
        if _is_about(one, subject) and len(found) < NAMED_MAX:
            found.setdefault(one.trace_id, one)
    return found


def _is_about(exemplar: Exemplar, subject: Subject) -> bool:
    """Tell whether the labels of a series name nobody else."""
    for names, wanted in ((AGENT_LABELS, subject.agent), (TOOL_LABELS, subject.tool)):
        told = next((exemplar.labels[name] for name in names if exemplar.labels.get(name)), None)
        if wanted is not None and told not in {None, wanted}:
            return False
    return True


_SIZES: Mapping[Kind, Callable[[TrajectorySummary, Exemplar], float]] = {
    Kind.COST: lambda summary, _: (summary.cost_usd or 0.0) + (summary.tool_cost_usd or 0.0),
    Kind.TOKENS: lambda summary, _: float(summary.tokens),
    Kind.STEPS: lambda summary, _: float(summary.steps),
    # The slow call is one of many, and only its bucket knows it.
    Kind.TOOL_LATENCY: lambda _, exemplar: exemplar.value,
    Kind.ERRORS: lambda summary, _: float(summary.outcome is Outcome.ERROR),
}
"""What of a trajectory a kind is about, for each signal of `series.RECIPES`. What a counter was raised by may be many
trajectories' at once."""


def _size(finding: Finding, summary: TrajectorySummary, exemplar: Exemplar) -> float:
    return _SIZES[finding.kind](summary, exemplar)


def _carries(finding: Finding, summary: TrajectorySummary, exemplar: Exemplar, end: datetime) -> bool:
    """Tell whether a trajectory is the agent's, ended since the onset, and is more than what was usual."""
    if summary.end_ns is None or summary.agent != finding.subject.agent:
        return False
    ended = datetime.fromtimestamp(summary.end_ns / 1e9, UTC)
    return finding.onset <= ended < (finding.recovered or end) and (
        _size(finding, summary, exemplar) > finding.baseline
    )


def _unknown(missed: Sequence[str], named: int) -> Gap:
    shown = ", ".join(sorted(missed)[:SHOWN_MAX]) + (", ..." if len(missed) > SHOWN_MAX else "")
    why = f"{len(missed)} of {named} trajectories that exemplars name are not in the store: {shown}"
    return Gap("exemplars from Prometheus", why, "keep the traces that metrics name where traces are sampled")
