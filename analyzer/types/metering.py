"""What metrics and traces of one agent come to side by side: the table that a run, `doctor` and the detector share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from analyzer.types.report import Subject


class Side(StrEnum):
    """One of the two that count the same work."""

    TRACES = "traces"
    METRICS = "metrics"

    @property
    def other(self) -> Side:
        """The one it is held against."""
        return Side.METRICS if self is Side.TRACES else Side.TRACES


class Accord(StrEnum):
    """How the two sides stand to each other."""

    AGREE = "agree"
    """Or: what differs is no more than chance, the edges of scrapes and the usual loss explain."""
    UNDER_TRACED = "under-traced"
    """Prometheus counted more than the traces hold: sampling, spans that were lost."""
    UNDER_METERED = "under-metered"
    """The traces hold more than Prometheus counted."""
    BLIND = "blind"
    """One side has nothing at all."""


class Measure(StrEnum):
    """What is held side by side; the foremost first."""

    TRAJECTORIES = "trajectories"
    TOOL_CALLS = "calls"
    TOKENS = "tokens"
    COST = "USD"

    @property
    def is_sum(self) -> bool:
        """Whether it adds amounts up, and does not count."""
        return self in {Measure.TOKENS, Measure.COST}


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure of one agent (or one of its tools), or of the fleet, on both sides."""

    subject: Subject
    measure: Measure
    accord: Accord
    start: datetime
    """Since when the figures count: the onset of what differs, else the beginning of what both sides know."""
    end: datetime
    """How far both sides reach, or the moment from which they agree again."""
    traced: float
    """In the unit of the measure, over [start, end)."""
    metered: float
    short: Side | None = None
    """Who has less; None where they agree."""
    score: float = 0.0
    """Strength of the evidence in nats."""
    since_ever: bool = False
    """It was so from the beginning of what both sides know: sampling, most likely, and no fault of today."""
    doubled: bool = False
    """The runs agree and the sums stand two to one: whoever has more counts each amount twice."""
    skew_s: int = 0
    """By how many seconds the times of the traces are later than those of the metrics, where that explains it."""
    closed_at: datetime | None = None
    """When it was sure that they agree again, which they do since `end`; None while they do not, or always did."""

    @property
    def now(self) -> Accord:
        """How they stand at the end of what is known."""
        return self.accord if self.closed_at is None else Accord.AGREE

    @property
    def doubted(self) -> Side | None:
        """Whose figures are not to be built on: the one that is short, or the one that counts twice."""
        return self.short.other if self.short is not None and self.doubled else self.short

    @property
    def share(self) -> float:
        """Return what the shorter side has of the longer one, 0 to 1; 1 where both are empty."""
        most = max(self.traced, self.metered)
        return min(self.traced, self.metered) / most if most > 0 else 1.0

    @property
    def days(self) -> float:
        """Return how long the figures are counted over, an hour at least."""
        return max((self.end - self.start).total_seconds(), 3600.0) / 86_400
