"""Why no shift of a choice is reported: what the agent usually picks, what it picks now, and what holds it back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analyzer.detectors.choosing.likelihood import ChoiceSettings, log_fallen, strength, windowed
from analyzer.detectors.choosing.tables import (
    BASELINE_DAYS,
    DAYS_MIN,
    TRAJECTORIES_MIN,
    UNSORTED_DAYS_MIN,
    Table,
    View,
    usual,
    view,
)
from analyzer.detectors.choosing.walk import Shift
from analyzer.types.choices import TOOL
from analyzer.types.percents import percent
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import Kind, Subject

WINDOW_H = 24


def reading_of(table: Table, shifts: Sequence[Shift], settings: ChoiceSettings, detector: str) -> Reading:
    """Return where a choice stands at the last hour, over all kinds of task and the last day."""
    masked = np.zeros(table.hours, dtype=np.bool_)
    for shift in shifts:
        masked[shift.onset : table.hours if shift.recovered is None else shift.recovered] = True
    seen = view(table, usual(table, masked), range(len(table.tasks)), np.zeros_like(masked))
    subject = Subject(agent=table.agent, tool=table.tool)
    what = table.what if table.what != TOOL else "tools"
    blank = Reading(detector, Kind.TOOL_CHOICE, subject, Gate.HISTORY, "", unit="share", kernel="fallen")
    current = next((shift for shift in shifts if shift.closed is None), None)
    sums = windowed(seen, WINDOW_H)
    of, known = float(sums.of[-1]), float(seen.units[-1])
    if known < TRAJECTORIES_MIN:
        why = (
            f"{what}: nothing is usual yet: a kind of task needs {TRAJECTORIES_MIN} trajectories on {DAYS_MIN} days,"
            f" trajectories without one {UNSORTED_DAYS_MIN} days, of the {BASELINE_DAYS} before yesterday"
        )
        return (
            replace(blank, gate=Gate.FOUND, why=f"{what}: an episode goes on") if current else replace(blank, why=why)
        )
    if of < settings.fallen_n_min and current is None:
        why = f"{what}: {of:.0f} trajectories of known kinds in 24 h, {settings.fallen_n_min} are needed"
        return replace(blank, gate=Gate.UNITS, why=why)
    return _judged(table, seen, blank, what, current, settings)


def _judged(
    table: Table, seen: View, blank: Reading, what: str, current: Shift | None, settings: ChoiceSettings
) -> Reading:
    sums = windowed(seen, WINDOW_H)
    of = max(float(sums.of[-1]), 1e-9)
    d = int(np.argmax(sums.expected[:, -1]))
    value, expected = float(sums.picked[d, -1]) / of, float(sums.expected[d, -1]) / of
    pseudo = strength(float(seen.units[-1]), float(seen.dispersion[-1]))
    score = -log_fallen(round(value * of), round(of), expected, pseudo)
    threshold = -math.log(settings.fallen_p_max)
    said = f"{what}: {table.values[d]} in {percent(value)} of {of:.0f} trajectories, {percent(expected)} expected"
    small = expected - value < settings.fall_min and value > settings.fallen_max
    if current is not None:
        gate, why = Gate.FOUND, said
    elif expected < settings.dominant_min:
        gate, why = Gate.EFFECT, f"{said}; no choice is the usual one below {percent(settings.dominant_min)}"
    elif small:
        gate, why = Gate.EFFECT, f"{said}; a fall by {percent(settings.fall_min)} would matter"
    else:
        gate, why = Gate.SCORE, f"{said}; not certain enough, or the same hours of earlier weeks were alike"
    return replace(
        blank, gate=gate, why=why, value=value, baseline=expected, score=score, threshold=threshold,
        detectable=_detectable(expected, pseudo, threshold, of),
    )  # fmt: skip


def _detectable(expected: float, pseudo: float, threshold: float, per_day: float) -> str:
    """Say how many trajectories a complete change of the usual choice takes to be certain."""
    for n in range(1, 200):
        if -log_fallen(0, n, expected, pseudo) >= threshold:
            hours = n / max(per_day / WINDOW_H, 1e-9)
            return f"A complete change takes {n} trajectories to be certain, about {hours:.1f} h at this volume."
    return "A complete change of this choice cannot be told from its own variation."
