"""Two trajectories side by side: where they part, and what each did."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from analyzer.errors import NotFoundError
from analyzer.render.diff import verdict_lines
from analyzer.render.links import link
from analyzer.render.pairs import Match, Pair, compare
from analyzer.server.pages.page import Asked, Page
from analyzer.server.pages.reading import Reader
from analyzer.stores.joined import comparable
from analyzer.types.steps import Step

ROWS_MAX = 600
FOLDED_MIN = 4
"""So many steps in a row that both took are one line."""
_SAYS = {
    Match.SAME: "same",
    Match.OTHER_RESULT: "other result",
    Match.OTHER_ARGUMENTS: "other arguments",
    Match.OTHER_WORDS: "other words",
    Match.ONLY_A: "only A",
    Match.ONLY_B: "only B",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One step as it stands in a column."""

    step: Step
    href: str


@dataclass(frozen=True, slots=True)
class Row:
    """A pair of steps, or a stretch that both took."""

    says: str
    is_same: bool
    a: Side | None
    b: Side | None
    folded: int = 0
    """Further steps of the stretch."""


def view(reader: Reader, asked: Asked) -> Page:
    """Return the comparison of `a` and `b`, ids or beginnings of them; the form alone where one is not given."""
    a, b = asked.text("a"), asked.text("b")
    values: dict[str, object] = {"a": a, "b": b, "rows": (), "problem": ""}
    if not a or not b:
        return Page("compare.html", values)
    try:
        ids = [reader.trajectories.resolve(name) for name in (a, b)]
        (one, steps), (other, others) = comparable(reader.trajectories, ids)
    except NotFoundError as error:
        if reader.unread:
            # Without their texts any two runs would look alike. The page says it here, and not above as well.
            why = f"They cannot be compared: {reader.unread[0].why}."
            return Page("compare.html", {**values, "problem": why, "unread": ()}, status=503)
        return Page("compare.html", {**values, "problem": str(error)}, status=404)
    compared = compare(steps, others)
    rows = _rows(compared.pairs, ids[0], ids[1])
    values |= {
        "summaries": [one, other],
        "verdict": verdict_lines(compared),
        "rows": rows[:ROWS_MAX],
        "more": max(len(rows) - ROWS_MAX, 0),
    }
    return Page("compare.html", values)


def _rows(pairs: tuple[Pair, ...], a: str, b: str) -> list[Row]:
    rows: list[Row] = []
    for is_same, group in groupby(pairs, key=lambda pair: pair.match is Match.SAME):
        stretch = list(group)
        if is_same and len(stretch) >= FOLDED_MIN:
            first = stretch[0]
            rows.append(Row("same", True, _side(first.a, a), _side(first.b, b), folded=len(stretch) - 1))  # noqa: FBT003 - a field
        else:
            rows += [Row(_SAYS[one.match], is_same, _side(one.a, a), _side(one.b, b)) for one in stretch]
    return rows


def _side(step: Step | None, trace_id: str) -> Side | None:
    return None if step is None else Side(step, link("trajectories", trace_id, "spans", step.span_id))
