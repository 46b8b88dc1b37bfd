"""Charts as numbers: where the points of a line and the bars of a row stand. Templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Sequence

LINE_WIDTH, LINE_HEIGHT = 160, 28
WATERFALL_WIDTH = 1000
_BAR_MIN = 4
"""A step of a millisecond in a run of hours is to be seen all the same."""


def line_points(values: Sequence[float | None]) -> tuple[str, ...]:
    """Return the points of a line through values, from 0 to the largest.

    It breaks where a value is missing, so there may be several stretches. A lone value is drawn as a short dash.
    """
    top = max((value for value in values if value is not None), default=0.0) or 1.0
    step = LINE_WIDTH / max(len(values) - 1, 1)
    stretches: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append((index * step, LINE_HEIGHT - 2 - value / top * (LINE_HEIGHT - 4)))
    drawn = []
    for stretch in filter(None, stretches):
        whole = (
            stretch
            if len(stretch) > 1
            else [(stretch[0][0] - 1.5, stretch[0][1]), (stretch[0][0] + 1.5, stretch[0][1])]
        )
        drawn.append(" ".join(f"{x:.1f},{y:.1f}" for x, y in whole))
    return tuple(drawn)


def bar(
    start_ns: int | None, end_ns: int | None, first_ns: int | None, last_ns: int | None
) -> tuple[float, float] | None:
    """Return where a bar begins and how wide it is, of `WATERFALL_WIDTH`; None where times are missing."""
    if start_ns is None or first_ns is None or last_ns is None or last_ns <= first_ns:
        return None
    scale = WATERFALL_WIDTH / (last_ns - first_ns)
    begin = min(max((start_ns - first_ns) * scale, 0.0), WATERFALL_WIDTH - _BAR_MIN)
    width = max(((end_ns if end_ns is not None else start_ns) - start_ns) * scale, _BAR_MIN)
    return round(begin, 1), round(min(width, WATERFALL_WIDTH - begin), 1)
