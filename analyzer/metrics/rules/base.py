"""What a rule is made of, and how a case of it is said to promtool."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analyzer.types.promql import quoted

STEP_MIN = 30
"""Minutes between two samples in the cases: a week of minutes would take promtool longer than anyone waits."""
_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
_FRACTIONS = ("m", "u", "n", "p", "f", "a", "z", "y")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a rise of a share or a mean is an anomaly: what its detector is set to."""

    ratio_min: float
    rise_min: float = 0.0
    events_min: float = 0.0
    units_min: float = 0.0


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule."""

    name: str
    promql: str

    def document(self) -> dict[str, Any]:
        """Return it as it stands in a file of rules."""
        return {"record": self.name, "expr": self.promql}


@dataclass(frozen=True, slots=True)
class Case:
    """What comes in, and what an alert makes of it at a moment."""

    series: Mapping[str, str]
    """Values in promtool's notation, by selector."""
    fires: Mapping[str, str] | None
    """The labels that the alert carries beside those of its rule; None: it stays silent."""
    value: float = 0.0
    """What the expression gives then."""
    days: int = 2
    """How long it lasts; the alert is looked for at its end."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert rule, with the cases that prove it."""

    name: str
    promql: str
    hold: str
    """For how long it must be so before anybody is told."""
    severity: str
    summary: str
    """May hold {{ $labels.X }} and {{ $value | humanize }}."""
    description: str
    cases: tuple[Case, ...]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def own_labels(self) -> dict[str, str]:
        """The labels that the rule adds."""
        return {"severity": self.severity, **self.labels}

    def document(self) -> dict[str, Any]:
        """Return it as it stands in a file of rules."""
        return {
            "alert": self.name,
            "expr": self.promql,
            "for": self.hold,
            "labels": self.own_labels,
            "annotations": {"summary": self.summary, "description": self.description},
        }

    def tests(self) -> Iterator[dict[str, Any]]:
        """Yield its cases as they stand in a file of tests."""
        for case in self.cases:
            expected = [] if case.fires is None else [self._expected(case.fires, case.value)]
            yield {
                "name": f"{self.name} {'stays silent' if case.fires is None else 'fires'}",
                "interval": f"{STEP_MIN}m",
                "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
                "alert_rule_test": [
                    {"eval_time": f"{case.days * 24}h", "alertname": self.name, "exp_alerts": expected}
                ],
            }

    def _expected(self, labels: Mapping[str, str], value: float) -> dict[str, Any]:
        return {
            "exp_labels": {**labels, **self.own_labels},
            "exp_annotations": {
                "summary": filled(self.summary, labels, value),
                "description": filled(self.description, labels, value),
            },
        }


def filled(template: str, labels: Mapping[str, str], value: float) -> str:
    """Return an annotation as Prometheus fills it in."""
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels.get(found[1], ""), template)
    text = text.replace("{{ $value | humanizePercentage }}", f"{_shortest(value * 100)}%")
    return text.replace("{{ $value | humanize }}", humanized(value))


def humanized(value: float) -> str:
    """Return a number as the template function `humanize` of Prometheus writes it (template/template.go)."""
    if value == 0 or not math.isfinite(value):
        return _shortest(value)
    if abs(value) >= 1:
        place = 0
        while abs(value) >= 1000 and place < len(_PREFIXES) - 1:  # noqa: PLR2004 - a prefix is a thousand
            value, place = value / 1000, place + 1
        return _shortest(value) + _PREFIXES[place]
    place = -1
    while abs(value) < 1 and place < len(_FRACTIONS) - 1:
        value, place = value * 1000, place + 1
    return _shortest(value) + _FRACTIONS[place]


def _shortest(value: float) -> str:
    """Return a number as Go's `%.4g` writes it."""
    return f"{value:.4g}"


def steady(per_hour: float, then: float | None = None, *, hours: float = 0.0, days: int = 2) -> str:
    """Return a counter that rises so much an hour through a case, and by `then` in its last hours."""
    total = days * 24 * 60 // STEP_MIN
    last = round(hours * 60 / STEP_MIN) if then is not None else 0
    rise = per_hour * STEP_MIN / 60
    first = f"0+{_number(rise)}x{total - last}"
    if then is None or not last:
        return first
    late = then * STEP_MIN / 60
    return f"{first} {_number(rise * (total - last) + late)}+{_number(late)}x{last - 1}"


def level(value: float, then: float | None = None, *, hours: float = 0.0, days: int = 2) -> str:
    """Return a gauge that stands at a value through a case, and at `then` in its last hours."""
    total = days * 24 * 60 // STEP_MIN
    last = round(hours * 60 / STEP_MIN) if then is not None else 0
    first = f"{_number(value)}+0x{total - last}"
    return first if then is None or not last else f"{first} {_number(then)}+0x{last - 1}"


def _number(value: float) -> str:
    return f"{value:.12g}"


def selector(name: str, labels: Mapping[str, str]) -> str:
    """Return a series by all its labels."""
    return f"{name}{{{', '.join(f'{label}={quoted(value)}' for label, value in labels.items())}}}"


def among(names: Sequence[str]) -> str:
    """Return a matcher of these agents."""
    return f"agent={quoted(names[0])}" if len(names) == 1 else f"agent=~{quoted(_any_of(names))}"


def beside(names: Sequence[str]) -> str:
    """Return a matcher of every agent but these; none for all."""
    return f"agent!~{quoted(_any_of(names))}" if names else ""


def _any_of(names: Sequence[str]) -> str:
    return "|".join(re.sub(r"([.^$*+?()[\]{}|\\])", r"\\\1", name) for name in names)
