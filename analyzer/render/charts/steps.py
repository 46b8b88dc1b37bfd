"""The steps of a looping trajectory as a strip: a row a tool, a mark a step, full where the same was asked before."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from analyzer.render.charts.base import NARROW, SMALL, Look, Spec, field, label, layer, whole
from analyzer.render.numbers import count
from analyzer.render.text import one_line
from analyzer.types.drawn import Drawn, Strip
from analyzer.types.report import Incident

ROWS_MAX = 6
"""Rows; the tools beyond share the last one."""
ROW, BAR, LOW = 36, 13, 5
LEGEND = 20
_KINDS = (("again", "same call again"), ("new", "new call"), ("failed", "failed"))


@dataclass(frozen=True, slots=True)
class StepsChart:
    """The steps of the worst trajectory of a loop."""

    strip: Strip

    @property
    def name(self) -> str:
        """See `base.Chart`."""
        return "steps"

    @property
    def title(self) -> str:
        """See `base.Chart`."""
        steps = self.strip.steps
        whose = f"trajectory {one_line(self.strip.trace_id[:12])}"
        return f"Steps {steps[0].number} to {steps[-1].number} of {self.strip.of}: {whose}"

    @property
    def alt(self) -> str:
        """See `base.Chart`."""
        steps = self.strip.steps
        again = Counter(one_line(one.name, 60) for one in steps if one.again)
        repeated = [f"{name} is called {number} more times with the same arguments" for name, number in
                    again.most_common(3)]  # fmt: skip
        failed = sum(1 for one in steps if one.failed)
        told = [*repeated, *([f"{count(failed, 'step')} failed"] if failed else [])]
        return f"{self.title}. {'; '.join(told)}." if told else f"{self.title}."

    def spec(self, look: Look) -> Spec:
        """See `base.Chart`."""
        names = self._names()
        rows = [self._row(one, names) for one in self.strip.steps]
        first, last = rows[0]["from"] - 0.5, rows[-1]["to"] + 0.5
        axis = {
            "title": None,
            "format": "d",
            "tickMinStep": 1,
            "grid": False,
            "tickCount": 8 if look.width > NARROW else 5,
        }
        x = field("from", scale={"domain": [first, last], "nice": False, "zero": False}, axis=axis)
        height = ROW * len(names)
        y: Spec = {"scale": {"domain": [0, height], "reverse": True, "nice": False}, "axis": None}
        mark = {"x": x, "x2": {"field": "to"}, "y": field("top", **y), "y2": {"field": "bottom"}}
        said = mark | {"description": field("said", "nominal")}
        heads = [{"name": label(name, look), "above": index * ROW + ROW - BAR - 11} for index, name in enumerate(names)]
        failed = [row for row in rows if row["failed"]]
        return whole(
            [
                layer("bar", [row for row in rows if row["again"]], said, color=look.accent),
                layer("bar", [row for row in rows if row["tool"] and not row["again"]], said, filled=False,
                      stroke=look.accent, strokeWidth=1),
                # What a model is asked grows with the run and is never the same: its steps are low.
                layer("bar", [row for row in rows if not row["tool"]], said, color=look.faint),
                layer("rule", failed, mark, color=look.ink, strokeWidth=1.5, aria=False),
                layer("text", heads, {"x": {"value": 0}, "y": field("above", **y), "text": field("name", "nominal")},
                      align="left", baseline="middle", color=look.ink, aria=False),
                *self._legend(look),
            ],
            look,
            height=height,
            title=self.title,
        )  # fmt: skip

    def _names(self) -> list[str]:
        """Return the names of the rows: tools in order of their first call, then what the model did."""
        tools = dict.fromkeys(one_line(one.name, 60) for one in self.strip.steps if one.is_tool)
        models = dict.fromkeys(one_line(one.name, 60) for one in self.strip.steps if not one.is_tool)
        names = [*tools, *(name for name in models if name not in tools)]
        return names if len(names) <= ROWS_MAX else [*names[: ROWS_MAX - 1], f"{len(names) - ROWS_MAX + 1} more"]

    def _row(self, one: Drawn, names: list[str]) -> dict[str, Any]:
        name = one_line(one.name, 60)
        index = names.index(name) if name in names else len(names) - 1
        said = ["the same call again"] if one.again else []
        said += ["failed"] if one.failed else []
        bottom = (index + 1) * ROW - 2
        return {
            "from": one.number - 0.36,
            "to": one.number + 0.36,
            "tool": one.is_tool,
            "top": bottom - (BAR if one.is_tool else LOW),
            "bottom": bottom,
            "again": one.again,
            "failed": one.failed,
            "said": f"step {one.number}: {', '.join([name, *said])}",
        }

    def _legend(self, look: Look) -> list[Spec]:
        """Return what the marks mean, above the plot, as far as they occur."""
        steps = self.strip.steps
        there = {"again": any(one.again for one in steps), "new": any(one.is_tool and not one.again for one in steps),
                 "failed": any(one.failed for one in steps)}  # fmt: skip
        layers: list[Spec] = []
        left = 0
        for kind, words in _KINDS:
            if not there[kind]:
                continue
            place = {"x": {"value": left}, "x2": {"value": left + 9}, "y": {"value": -LEGEND},
                     "y2": {"value": -LEGEND + 9}}  # fmt: skip
            shape = {"filled": kind == "again", "color": look.accent, "strokeWidth": 1}
            if kind == "failed":
                layers.append(layer("rule", [{}], place, color=look.ink, strokeWidth=1.5, aria=False))
            else:
                layers.append(layer("bar", [{}], place, aria=False, **shape))
            layers.append(layer("text", [{}], {"x": {"value": left + 14}, "y": {"value": -LEGEND + 5},
                                               "text": {"value": words}}, align="left", baseline="middle",
                                fontSize=SMALL, color=look.faint, aria=False))  # fmt: skip
            left += 28 + int(len(words) * 6.2)
        return layers


def steps_chart(incident: Incident) -> StepsChart | None:
    """Return the strip of an incident's steps; None where none is filed."""
    return StepsChart(incident.strip) if incident.strip is not None and incident.strip.steps else None
