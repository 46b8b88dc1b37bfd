"""The metric around the onset: its course, the band of what was usual, the onset, and what changed near it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from analyzer.render.charts.base import SMALL, Look, Spec, field, label, layer, whole
from analyzer.render.numbers import figure, moment, number
from analyzer.render.text import one_line
from analyzer.types.drawn import Curve
from analyzer.types.report import Change, Incident, Kind

HEIGHT, NARROW_HEIGHT = 210, 180
MARK_ROW = 15
"""Pixels that the name of a mark takes above the plot."""
CHANGES_MAX = 3
_NARROW_BELOW = 500
_NEAR_END = 0.92
_ASIDE = {"left": 7, "right": -7, "center": 0}
_HOUR_S, _DAY_S = 3600, 86_400
_NAMES = {
    Kind.COST: "Cost per trajectory",
    Kind.TOKENS: "Tokens per trajectory",
    Kind.STEPS: "Steps per trajectory",
    Kind.LATENCY: "Time per trajectory",
    Kind.TOOL_LATENCY: "Time per call",
    Kind.TOOL_COST: "Cost per call",
    Kind.ERRORS: "Share of trajectories that failed",
    Kind.SUCCESS: "Share of trajectories that missed their goal",
    Kind.TOOL_ERRORS: "Share of calls that failed",
    Kind.RETRIES: "Share of trajectories that tried again",
    Kind.TRUNCATION: "Share of trajectories that were cut short",
    Kind.SILENCE: "Trajectories begun per hour",
    Kind.VOLUME: "Trajectories begun per hour",
}
_SHARES = frozenset({Kind.ERRORS, Kind.SUCCESS, Kind.TOOL_ERRORS, Kind.RETRIES, Kind.TRUNCATION, Kind.TOOL_CHOICE})
_SECONDS = ((_DAY_S, "d"), (_HOUR_S, "h"), (60, "min"), (1, "s"), (0.001, "ms"))


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment."""

    at: datetime
    name: str
    is_onset: bool = False


@dataclass(frozen=True, slots=True)
class CourseChart:
    """The metric of an incident over time."""

    curve: Curve
    marks: tuple[Mark, ...]
    """The onset first."""
    agents: int = 1
    """How many agents share the incident: the curve is of one of them."""

    @property
    def name(self) -> str:
        """See `base.Chart`."""
        return "metric"

    @property
    def title(self) -> str:
        """See `base.Chart`."""
        curve = self.curve
        what = _NAMES.get(Kind(curve.kind)) or f"Share of {one_line(curve.unit, 60)}"
        whose = " / ".join(one_line(part, 60) for part in (curve.agent, curve.tool) if part)
        of = f" (the first of {self.agents} agents)" if self.agents > 1 else ""
        return f"{what}, {_every(curve.step_s)}{f': {whose}' if whose else ''}{of}"

    @property
    def alt(self) -> str:
        """See `base.Chart`."""
        curve, onset = self.curve, self.marks[0].at
        said = [f"{self.title}, {moment(curve.start)} to {moment(curve.end)}."]
        band = [one for one in (*curve.low, *curve.high) if one is not None]
        if band:
            said.append(f"Eight of ten such times before lay between {self._figure(min(band))} and")
            said[-1] += f" {self._figure(max(band))}."
        since = [value for slot, value in enumerate(curve.values) if value is not None and curve.time(slot) >= onset]
        if since:
            low, high = self._figure(min(since)), self._figure(max(since))
            between = f"between {low} and {high}" if low != high else low
            said.append(f"Since {moment(onset)} it was {between}.")
        said += [f"{one.name[:1].upper()}{one.name[1:]}: {moment(one.at)}." for one in self.marks[1:]]
        return " ".join(said)

    def spec(self, look: Look) -> Spec:
        """See `base.Chart`."""
        height = HEIGHT if look.width >= _NARROW_BELOW else NARROW_HEIGHT
        rows = [self._row(slot, value) for slot, value in enumerate(self.curve.values)]
        return whole(
            [*self._band(rows, look), *self._marks(look), *self._line(rows, look)],
            look,
            height=height,
            title=self.title,
        )

    def _figure(self, value: float) -> str:
        kind = Kind(self.curve.kind)
        if kind in _SHARES:
            # Whatever the units are called, the value is the share of them.
            return figure(value, Kind.ERRORS, "trajectories")
        return figure(value, kind, "" if kind in {Kind.SILENCE, Kind.VOLUME} else self.curve.unit)

    def _bare(self, value: float) -> str:
        """Return a figure without the word that the title says: a chart has little room."""
        return number(value) if Kind(self.curve.kind) in {Kind.TOKENS, Kind.STEPS} else self._figure(value)

    def _row(self, slot: int, value: float | None) -> dict[str, Any]:
        curve = self.curve
        begins = curve.time(slot)
        row: dict[str, Any] = {"t": _ms(begins + timedelta(seconds=curve.step_s / 2)), "v": value}
        if curve.usual:
            row |= {"usual": curve.usual[slot], "low": curve.low[slot], "high": curve.high[slot]}
        if value is not None:
            row["since"] = begins >= self.marks[0].at
            row["said"] = f"{begins:%d %b %H:%M} UTC: {self._figure(value)}{self._held_against(slot)}"
        return row

    def _held_against(self, slot: int) -> str:
        low, high = (part[slot] if part else None for part in (self.curve.low, self.curve.high))
        if low is None or high is None:
            return ""
        return f" (usual {self._figure(low)} to {self._figure(high)})"

    def _band(self, rows: Sequence[Mapping[str, Any]], look: Look) -> list[Spec]:
        if not self.curve.usual:
            return []
        x, y = self._x(look), self._y
        last = [rows[-1]] if rows[-1]["usual"] is not None else []
        return [
            layer("area", rows, {"x": x(), "y": y("high"), "y2": {"field": "low"}}, color=look.tint, aria=False),
            layer("line", rows, {"x": x(), "y": y("usual")}, color=look.faint, strokeDash=[4, 3], strokeWidth=1.25,
                  aria=False),
            layer("text", last, {"x": {"value": "width"}, "y": y("usual"), "text": {"value": "usual"}},
                  color=look.faint, fontSize=SMALL, align="left", dx=4, baseline="middle", aria=False),
        ]  # fmt: skip

    def _line(self, rows: Sequence[Mapping[str, Any]], look: Look) -> list[Spec]:
        x, y = self._x(look), self._y
        since = [row for row in rows if row.get("since")]
        seen = [row for row in rows if row["v"] is not None]
        top = max(since, key=lambda row: row["v"], default=None)
        peak = [] if top is None else [{**top, "text": self._bare(top["v"])}]
        side = "center" if top is None else self._side(top["t"])
        return [
            layer("line", rows, {"x": x(), "y": y("v")}, color=look.accent, strokeWidth=2, strokeJoin="round",
                  invalid="break-paths-filter-domains", aria=False),
            # One dot a value: hollow before the onset, full since. Its words are what a page shows under the pointer.
            layer("point", seen, {"x": x(), "y": y("v"), "description": field("said", "nominal"),
                                  "opacity": {"condition": {"test": "datum.since", "value": 1}, "value": 0}},
                  color=look.accent, filled=True, size=22),
            layer("text", peak, {"x": x(), "y": y("v"), "text": field("text", "nominal")}, color=look.ink,
                  fontWeight=600, align=side, dx=_ASIDE[side], dy=-9 if side == "center" else -5, aria=False),
        ]  # fmt: skip

    def _side(self, at: int) -> str:
        """Return how the figure of a point is set: away from the onset's line and inside the plot."""
        first, last = _ms(self.curve.start), _ms(self.curve.end)
        onset, place = ((moment_ms - first) / (last - first) for moment_ms in (_ms(self.marks[0].at), at))
        if place > _NEAR_END:
            return "right"
        return "left" if place - onset < 1 - _NEAR_END else "center"

    def _marks(self, look: Look) -> list[Spec]:
        layers: list[Spec] = []
        for row, one in enumerate(self.marks):
            at = [{"t": _ms(min(max(one.at, self.curve.start), self.curve.end))}]
            # Names stand above the plot, a row each, on the side where there is room.
            is_right = (one.at - self.curve.start) > (self.curve.end - self.curve.start) * 0.5
            y = -MARK_ROW * (len(self.marks) - row) + 8
            words = {"align": "right" if is_right else "left", "dx": -5 if is_right else 5, "baseline": "middle"}
            x = self._x(look)()
            bar: dict[str, Any] = {"strokeWidth": 1.75} if one.is_onset else {"strokeWidth": 1.25, "strokeDash": [1, 3]}
            layers += [
                layer("rule", at, {"x": x, "y": {"value": y - 5}, "y2": {"value": "height"}},
                      color=look.ink, aria=False, **bar),
                layer("text", at, {"x": x, "y": {"value": y}, "text": {"value": label(one.name, look, share=0.5)}},
                      color=look.ink, fontSize=SMALL, fontWeight=600 if one.is_onset else "normal", aria=False,
                      **words),
            ]  # fmt: skip
        return layers

    def _x(self, look: Look) -> partial[Spec]:
        domain = [_ms(self.curve.start), _ms(self.curve.end)]
        is_day = "utchours(datum.value) == 0 && utcminutes(datum.value) == 0"
        form = f"{is_day} ? utcFormat(datum.value, '%-d %b') : utcFormat(datum.value, '%H:%M')"
        axis = {
            "title": None, "grid": False, "labelExpr": form, "tickCount": 8 if look.width >= _NARROW_BELOW else 4,
            "labelFlush": False, "labelOverlap": "greedy",
        }  # fmt: skip
        return partial(field, "t", "temporal", scale={"type": "utc", "domain": domain}, axis=axis)

    def _y(self, name: str) -> Spec:
        text = "format(datum.value, '~s')"
        kind = Kind(self.curve.kind)
        top = max((one for one in (*self.curve.values, *self.curve.high) if one is not None), default=1.0)
        if kind in {Kind.COST, Kind.TOOL_COST}:
            text = f"'$' + format(datum.value, ',.{_decimals(top)}f')"
        elif kind in _SHARES:
            text = "format(datum.value * 100, '~r') + ' %'"
        elif kind in {Kind.LATENCY, Kind.TOOL_LATENCY}:
            size, unit = next((pair for pair in _SECONDS if top >= 2 * pair[0]), _SECONDS[-1])
            text = f"format(datum.value / {size}, '~r') + ' {unit}'"
        # Room above the highest point for its figure; no share is more than all, and above that the plot is empty.
        roomy = top * 1.15 or 1.0
        highest = min(roomy, 1.0) if kind in _SHARES and top <= 1 else roomy
        scale = {"domain": [0, highest], "nice": True}
        if highest < roomy:
            scale["range"] = [{"expr": "height"}, {"expr": f"height * {1 - highest / roomy:.4f}"}]
        axis = {"title": None, "labelExpr": text, "tickCount": 4, "domain": False, "ticks": False, "labelPadding": 6}
        return field(name, axis=axis, scale=scale)


def course_chart(incident: Incident) -> CourseChart | None:
    """Return the chart of an incident's metric; None where none is filed, or nothing was measured."""
    curve = incident.curve
    if curve is None or all(value is None for value in curve.values) or curve.kind not in list(Kind):
        return None
    onset = Mark(incident.onset, f"began {incident.onset:%H:%M} UTC", is_onset=True)
    if not curve.start <= incident.onset <= curve.end:
        onset = Mark(curve.start, f"since {incident.onset:%d %b}", is_onset=True)
    marks = [onset, *_changes(incident.changes, curve)]
    ended = incident.resolved_at
    if ended is not None and curve.start <= ended <= curve.end:
        marks.append(Mark(ended, f"over {ended:%H:%M} UTC"))
    return CourseChart(curve, tuple(marks), max(len(incident.agents), 1))


def _changes(changes: Sequence[Change], curve: Curve) -> list[Mark]:
    """Return the changes that fall into the chart, those of one slot as one mark."""
    seen = [one for one in changes if curve.start <= one.at <= curve.end][:CHANGES_MAX]
    marks: list[Mark] = []
    for one in sorted(seen, key=lambda change: change.at):
        name = f"{one_line(one.what, 30)} {one_line(one.to_value or 'gone', 40)}"
        if marks and one.at - marks[-1].at < timedelta(seconds=curve.step_s):
            marks[-1] = Mark(marks[-1].at, f"{marks[-1].name}, {name}")
        else:
            marks.append(Mark(one.at, name))
    return marks


def _every(step_s: int) -> str:
    if step_s == _HOUR_S:
        return "hour by hour"
    if step_s % _DAY_S == 0:
        return "day by day" if step_s == _DAY_S else f"every {step_s // _DAY_S} days"
    return f"every {step_s // _HOUR_S} hours" if step_s % _HOUR_S == 0 else f"every {step_s // 60} minutes"


def _decimals(top: float) -> int:
    """Return the decimals that four ticks up to an amount of money need; cents have two."""
    step = top / 4
    needed = math.floor(-math.log10(step)) + 1 if 0 < step < 1 else 0
    return 2 if needed == 1 else min(needed, 8)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
