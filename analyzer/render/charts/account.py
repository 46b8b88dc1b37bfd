"""The account of a change as a waterfall: from nothing to the whole, a bar a factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analyzer.render.charts.base import Look, Spec, field, label, layer, whole
from analyzer.render.numbers import number
from analyzer.render.text import one_line
from analyzer.types.percents import percent
from analyzer.types.report import Factor, Incident

ACCOUNT = "account"
FACTORS_MAX = 7
"""Bars; what is beyond is added up as one."""
SHARE_MIN = 0.005
"""Less rounds to 0 % and is no bar."""
ROW, BAR = 40, 13
"""Pixels of a row, and of the bar in it: the name stands above the bar, so that it may be long on a phone."""


@dataclass(frozen=True, slots=True)
class AccountChart:
    """Which factor brings how much of the change."""

    factors: tuple[Factor, ...]
    """Those that count, the largest first."""

    @property
    def name(self) -> str:
        """See `base.Chart`."""
        return ACCOUNT

    @property
    def title(self) -> str:
        """See `base.Chart`."""
        return "Parts of the whole change"

    @property
    def alt(self) -> str:
        """See `base.Chart`."""
        return f"{self.title}: {', '.join(f'{_name(one)} {_signed(one.share)}' for one in self.factors)}."

    def spec(self, look: Look) -> Spec:
        """See `base.Chart`."""
        rows = self._rows(look)
        edges = [0.0, 1.0, *(row["end"] for row in rows)]
        # Room at the right for the share beside the longest bar.
        low, high = min(edges), max(edges)
        room = (high - low) * 60 / look.width
        domain = [low - (room if low < 0 else 0), high + room]
        axis = {"title": None, "labelExpr": "format(datum.value * 100, '~r') + ' %'", "values": [0, 0.5, 1],
                "domain": False, "ticks": False}  # fmt: skip
        x = field("begin", scale={"domain": domain, "nice": False, "zero": False}, axis=axis)
        last = len(rows) - 1
        y: Spec = {"scale": {"domain": [0, ROW * len(rows)], "reverse": True, "nice": False}, "axis": None}
        bars = {"x": x, "x2": {"field": "end"}, "y": field("top", **y), "y2": {"field": "bottom"}}
        words = {"y": field("above", **y), "text": field("text", "nominal")}
        joined = [row for row in rows if row["row"] < last]
        return whole(
            [
                layer("rule", joined, {"x": x | {"field": "end"}, "y": field("bottom", **y), "y2": {"field": "next"}},
                      color=look.faint, strokeDash=[2, 2], aria=False),
                # With the change: full. Against it: hollow.
                layer("bar", [row for row in rows if row["share"] >= 0], bars, color=look.accent, aria=False),
                layer("bar", [row for row in rows if row["share"] < 0], bars, filled=False, stroke=look.accent,
                      strokeWidth=1.5, strokeDash=[3, 2], aria=False),
                layer("text", rows, words | {"x": {"value": 0}}, align="left", dx=4, baseline="bottom", color=look.ink,
                      aria=False),
                layer("text", rows, {"x": x | {"field": "edge"}, "y": field("middle", **y),
                                     "text": field("signed", "nominal")},
                      align="left", dx=5, baseline="middle", fontWeight=600, color=look.ink, aria=False),
            ],
            look,
            height=ROW * len(rows),
            title=self.title,
        )  # fmt: skip

    def _rows(self, look: Look) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        at = 0.0
        for index, one in enumerate(self.factors):
            top = index * ROW + ROW - BAR - 6
            rows.append(
                {
                    "row": index,
                    "text": label(f"{_name(one)}{_moved(one)}", look, share=0.95),
                    "share": one.share,
                    "signed": _signed(one.share),
                    "begin": at,
                    "end": at + one.share,
                    "edge": max(at, at + one.share),
                    "above": top - 4,
                    "top": top,
                    "middle": top + BAR / 2,
                    "bottom": top + BAR,
                    "next": top + ROW,
                }
            )
            at += one.share
        return rows


def account_chart(incident: Incident) -> AccountChart | None:
    """Return the waterfall of an incident's account; None where a single factor is all of it, or none counts."""
    counting = sorted((one for one in incident.account if abs(one.share) >= SHARE_MIN), key=lambda one: -one.share)
    if len(counting) > FACTORS_MAX:
        rest = sorted(counting, key=lambda one: abs(one.share))[: len(counting) - FACTORS_MAX + 1]
        kept = [one for one in counting if one not in rest]
        counting = [*kept, Factor(f"{len(rest)} more", None, None, sum(one.share for one in rest))]
    return AccountChart(tuple(counting)) if len(counting) > 1 else None


def _name(factor: Factor) -> str:
    return one_line(factor.factor, 60)


def _moved(factor: Factor) -> str:
    if factor.from_value is None or factor.to_value is None:
        return ""
    return f": {number(factor.from_value)} → {number(factor.to_value)}"


def _signed(share: float) -> str:
    return f"+{percent(share)}" if share >= 0 else f"−{percent(-share)}"  # noqa: RUF001 - a minus as wide as the plus
