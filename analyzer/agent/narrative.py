"""A trajectory as the case file shows it: in its own order, whole where it fits, else every step at its worth.

A step is shown verbatim between span markers, or as a line of the outline, or counted among those left out. Where not
all fits, the notable steps (`notable`) are shown first, each with at least FLOOR_TOKENS of every text: an excerpt of
many steps says more than few of them whole, and the `span` tool pages through the rest. What room is left goes to all
that are shown, by weight. Errors and the first difference from a healthy peer are never left out of a count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from analyzer.agent.notable import Notable
from analyzer.agent.outline import Row, chosen_lines, left_out, what
from analyzer.agent.passages import CUT, OPENING, Passage, cost_of, excerpt, quotable
from analyzer.agent.portions import portions
from analyzer.agent.shown import Place
from analyzer.agent.text import Markers, Mask, estimate_tokens
from analyzer.types.steps import Step
from analyzer.types.trace import Operation
from analyzer.types.trajectory import Trajectory

FLOOR_TOKENS = 66
"""Least room of a text that is shown in part: some 200 characters, two or three sentences."""
Role = Literal["affected", "healthy peer"]
AFFECTED: Role = "affected"
PEER: Role = "healthy peer"
LINES_SHARE: Mapping[Role, float] = {AFFECTED: 0.1, PEER: 0.6}
"""Part of a room for the outline's lines of steps that are not shown verbatim. Of a peer the course matters most."""
OPENING_POINTS: Mapping[str, float] = {"input": 12.0, "status_message": 12.0, "system": 2.0}
"""What stands before the first step: the goal decides what counts as failure, the system prompt what is allowed."""
OPENING_NOTES = {"input": "the goal", "status_message": "how the run failed", "system": "system prompt"}
STEP_TOKENS_MIN = 20
"""No step is shown in less: the markers alone take as much."""
ROLE_TOKENS = 3
"""What the role before a message takes: it is looked up when the message is shown."""
POINTS_PER_SHARE = 5.0
"""So many points make a step's share of the room larger by one."""
UNMARKED = "lines outside of span tags are summaries, not quotable"


@dataclass(frozen=True, slots=True)
class Told:
    """A trajectory as it is shown."""

    text: str
    said: str
    """The lines in it that are ours."""
    stretches: tuple[tuple[Place, str], ...]
    """What may be quoted, and from where."""


@dataclass(frozen=True)
class Narrative:
    """A trajectory with everything that may be told of it."""

    trajectory: Trajectory
    role: Role
    steps: Sequence[Step]
    """Masked."""
    rows: Sequence[Row]
    passages: Sequence[Passage]
    notable: Mapping[int, Notable]
    markers: Markers
    mask: Mask

    team: bool
    """Whether several agents took part."""

    @cached_property
    def need(self) -> int:
        """Tokens of telling it whole."""
        texts = (cost_of(one.text) + ROLE_TOKENS for one in self._shown(self._every))
        return self._fixed(self._every, self.rows) + sum(texts)

    @cached_property
    def _tags(self) -> Mapping[int, int]:
        """Tokens of the markers around a passage, by its identity."""
        return {id(one): estimate_tokens(self._tag(one, part=True)) + 1 for one in self.passages}

    def told(self, room: int) -> Told:
        """Tell the trajectory in so many tokens."""
        if self.need <= room:
            return self._written(self._every, self.rows, room, "every step is shown whole")
        best = [OPENING, *(row.first for row in sorted((row for row in self.rows if row.is_step), key=self._rank))]
        # No more could be shown: to try them would take longer than all the rest.
        most = min(len(best), room // STEP_TOKENS_MIN)

        def choice(count: int) -> tuple[set[int], list[Row], int]:
            shown = set(best[:count])
            lines = chosen_lines(self.rows, shown, int(room * LINES_SHARE[self.role]))
            texts = sum(min(cost_of(one.text), FLOOR_TOKENS) for one in self._shown(shown))
            return shown, lines, self._fixed(shown, lines) + texts

        count = _largest(most, lambda count: choice(count)[2] <= room)
        shown, lines, _ = choice(count)
        head = f"{max(count - 1, 0)} are shown, in part where marked; the others as a line or a count"
        return self._written(shown, lines, room, head if count < len(best) else "all are shown, in part where marked")

    @property
    def _every(self) -> set[int]:
        return {OPENING, *(row.first for row in self.rows if row.is_step)}

    def _rank(self, row: Row) -> tuple[float, int]:
        return -self.notable[row.first].points, row.first

    def _shown(self, steps: AbstractSet[int]) -> list[Passage]:
        """Return the passages of some steps. What is shown already is not shown again.

        Nor is what an inference was sent where that is another step's text: it belongs there, and a call without its
        arguments says nothing.
        """
        return [one for one in self.passages if one.step in steps and not self._is_repeated(one, steps)]

    def _is_repeated(self, passage: Passage, steps: AbstractSet[int]) -> bool:
        if passage.stands_in is None or passage.step == OPENING:
            return passage.stands_in is not None
        return passage.stands_in in steps or self.steps[passage.step - 1].operation is not Operation.TOOL

    def _fixed(self, shown: AbstractSet[int], lines: Sequence[Row]) -> int:
        """Return the tokens of everything but the texts: tags, lines, what is left out."""
        tags = sum(self._tags[id(one)] for one in self._shown(shown))
        own = "\n".join(line for _, line in self._lines(shown, lines))
        return estimate_tokens(self._section("", "x" * 90)) + tags + estimate_tokens(own) + 8

    def _tag(self, passage: Passage, *, part: bool, text: str = "") -> str:
        return self.markers.stretch(passage.span_id, passage.field, text, self._note(passage, part=part))

    def _note(self, passage: Passage, *, part: bool) -> str:
        if passage.step == OPENING:
            words = [OPENING_NOTES[passage.field]]
        else:
            step, told = self.steps[passage.step - 1], self.notable[passage.step]
            words = [what(step, team=self.team), *([told.why] if told.why else [])]
        note = "; ".join([*words, *(["in part"] if part else [])])
        return self.markers.clean(note).replace('"', "'")

    def _lines(self, shown: AbstractSet[int], lines: Sequence[Row]) -> list[tuple[int, str]]:
        """Return the lines that are ours, with the number of the first step that each stands for."""
        kept = {id(row) for row in lines}
        found: list[tuple[int, str]] = []
        missing: list[Row] = []
        for row in self.rows:
            is_shown = row.is_step and row.first in shown
            if not is_shown and id(row) not in kept:
                missing.append(row)
                continue
            if missing:
                found.append((missing[0].first, left_out(missing, self.steps)))
                missing = []
            if not is_shown:
                found.append((row.first, row.line))
        if missing:
            found.append((missing[0].first, left_out(missing, self.steps)))
        return [(number, self.markers.clean(line)) for number, line in found]

    def _written(self, shown: AbstractSet[int], lines: Sequence[Row], room: int, head: str) -> Told:
        passages = self._shown(shown)
        texts = [quotable(one, self.trajectory, self.mask) for one in passages]
        weights = [1 + self._points(one) / POINTS_PER_SHARE for one in passages]
        left = room - self._fixed(shown, lines)
        allowed = portions([cost_of(text) for text in texts], weights, left, FLOOR_TOKENS)
        blocks = [(number, 1, line) for number, line in self._lines(shown, lines)]
        stretches: list[tuple[Place, str]] = []
        said: list[str] = []
        trace_id = self.trajectory.summary.trace_id
        for one, text, tokens in zip(passages, texts, allowed, strict=True):
            pieces = excerpt(text, tokens - 1)
            if not any(piece.strip() for piece in pieces):
                continue
            blocks.append((one.step, 0, self._tag(one, part=pieces[0] != text, text=CUT.join(pieces))))
            said.append(self._note(one, part=False))
            stretches += [((trace_id, one.span_id, one.field), piece) for piece in pieces]
        blocks.sort(key=lambda block: block[:2])
        said += [line for _, ours, line in blocks if ours]
        text = self._section("\n".join(block for _, _, block in blocks), head)
        return Told(text, "\n".join(said), tuple(stretches))

    def _points(self, passage: Passage) -> float:
        if passage.step == OPENING:
            return OPENING_POINTS[passage.field]
        return self.notable[passage.step].points

    def _section(self, body: str, head: str) -> str:
        named = f"{len(self.steps)} steps; {head}; {UNMARKED}"
        attributes = f' id="{self.trajectory.summary.trace_id}" role="{self.role}"'
        return self.markers.section("trajectory", f"{named}\n{body}", attributes)


def _largest(count_max: int, fits: Callable[[int], bool]) -> int:
    """Return the largest count that fits, by bisection; 0 where not even one does."""
    low, high = 0, count_max
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
