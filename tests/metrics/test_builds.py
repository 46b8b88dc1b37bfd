"""Versions that a build-info metric tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from analyzer.errors import MetricsQueryError
from analyzer.metrics.base import Exemplar, Points
from analyzer.metrics.builds import build_changes
from analyzer.types.report import Change

START = datetime(2026, 11, 16, tzinfo=UTC)
END = START + timedelta(hours=6)


class Answers:
    """A metric source with one answer, or one refusal."""

    def __init__(self, *answer: Points, refused: bool = False) -> None:
        self.answer, self.refused = list(answer), refused

    def query(self, promql: str, at: datetime) -> list[Points]:
        """Return the answer."""
        return self.query_range(promql, at, at, 1)

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: float) -> list[Points]:
        """Return the answer, or refuse."""
        if self.refused:
            raise MetricsQueryError(f"{promql} was refused from {start} to {end} by {step_s}")
        return self.answer

    def exemplars(self, promql: str, start: datetime, end: datetime) -> list[Exemplar]:
        """Know none."""
        return []


def build(version: str, hours: tuple[float, ...], value: float = 1.0, **labels: str) -> Points:
    """Return a series of a build that ran at some hours."""
    times = tuple(START.timestamp() + hour * 3600 for hour in hours)
    return Points({"version": version, **labels}, times, (value,) * len(times))


def test_a_version_that_came_is_a_change_of_its_agent() -> None:
    """The first sight of a version is a change; what was there at the beginning is none, nor is a gauge of 0."""
    source = Answers(
        build("1", (0, 1, 2), agent="shop"),
        build("2", (2, 3, 4), agent="shop"),
        build("3", (1, 2), 0.0, agent="shop"),
        build("7", (0, 1, 2, 3), agent="other"),
    )
    at = START + timedelta(hours=2)
    assert build_changes(source, ["q"], START, END) == ({"shop": (Change("version", "1", "2", at),)}, [])


def test_a_metric_without_an_agent_is_about_all() -> None:
    """A build of the whole platform stands under None."""
    found, _ = build_changes(Answers(build("1", (0,)), build("2", (3,))), ["q"], START, END)
    assert [one.to_value for one in found[None]] == ["2"]


def test_a_refused_query_is_a_gap() -> None:
    """What could not be asked is said, and nothing is made up."""
    found, gaps = build_changes(Answers(refused=True), ["q"], START, END)
    assert (found, [gap.what for gap in gaps]) == ({}, ["a Prometheus query"])
