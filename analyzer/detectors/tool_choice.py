"""Another choice than usual: the tool, the table or another argument that an agent picks on the same kind of task.

Catalogue M8 and M9. Yesterday's right table, today's wrong one: no error, no cost, often not even a failed run. `value`
and `baseline` are the shares of the trajectories that pick it; `affected` counts them, `of` all that had the choice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from analyzer.detectors.base import Replay
from analyzer.detectors.choosing.candidates import Looked, is_worse
from analyzer.detectors.choosing.likelihood import ChoiceSettings
from analyzer.detectors.choosing.openings import Opening, are_quiet
from analyzer.detectors.choosing.reading import reading_of
from analyzer.detectors.choosing.tables import Table, commonest, tables
from analyzer.detectors.choosing.walk import Shift, first_look, openings, past, shifts_among, shifts_of
from analyzer.types.choices import TABLES, TOOL, Shifted
from analyzer.types.metric import Choices, Window
from analyzer.types.percents import percent
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import Finding, Kind, Subject

SCORE_MAX = 700.0
"""In nats: the smallest p that a float can hold."""
_HOW = {
    "fallen": "the usual choice has given way",
    "unseen": "it was never picked before",
    "mix": "the mix of tools has drifted",
}


@dataclass(frozen=True, slots=True)
class ToolChoiceDetector:
    """See the module's text and docs/detectors/tool_choice.md."""

    settings: ChoiceSettings = field(default_factory=ChoiceSettings)
    name: str = "tool-choice"
    kind: Kind = Kind.TOOL_CHOICE
    by_agent: ClassVar[bool] = True
    """See `base.is_by_agent`."""

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return at most one finding per agent and tool: the plainest shift that is open or ended in the window."""
        return self.found_by(window, lambda own: shifts_of(tables(own, window.end), self.settings))

    def replay(self, whole: Window) -> Replay:
        """See `base.Replaying`."""
        return _Replayed(self, whole)

    def found_by(
        self, window: Window, walk: Callable[[Sequence[Choices]], Sequence[tuple[Table, Shift]]]
    ) -> tuple[Finding, ...]:
        """Return the findings of a window, given what walks through the choices of one agent."""
        by_agent: dict[str, list[Choices]] = defaultdict(list)
        for one in window.choices:
            by_agent[one.subject.agent or ""].append(one)
        best: dict[Subject, list[Finding]] = defaultdict(list)
        for _, own in sorted(by_agent.items()):
            for table, shift in walk(own):
                if shift.closed is None or table.time(shift.closed + 1) > window.start:
                    finding = self._finding(table, shift)
                    best[finding.subject].append(finding)
        return tuple(_foremost(found) for _, found in sorted(best.items(), key=lambda entry: str(entry[0])))

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return where each choice of an agent stands."""
        own = [table for table in tables(window.choices, window.end) if table.agent == agent]
        shifts = shifts_of(own, self.settings)
        found = tuple(
            reading_of(table, [shift for at, shift in shifts if at is table], self.settings, self.name) for table in own
        )
        # It may call tools all day: a choice is one between values that enough trajectories had.
        why = "it makes no choice, of a tool or an argument, often enough to know a usual one"
        nothing = Reading(self.name, self.kind, Subject(agent=agent), Gate.NO_SERIES, why)
        return found or (nothing,)

    def _finding(self, table: Table, shift: Shift) -> Finding:
        one = shift.found
        stop = table.hours if shift.recovered is None else shift.recovered
        cut = slice(shift.onset, stop)
        seen, of = one.view, float(one.view.of[cut].sum())
        index = one.picked if one.picked is not None else one.usual
        assert index is not None  # noqa: S101 - a candidate has at least one of the two
        hits, expected = float(seen.picked[index, cut].sum()), _expected(shift)
        affected = hits if one.picked is not None else of - hits
        tool = table.tool if table.what != TOOL else table.values[index]
        task = table.tasks[seen.strata[0]] if len(seen.strata) == 1 else None
        choice = Shifted(
            what=table.what,
            usual=None if shift.usual is None else table.values[shift.usual],
            picked=None if one.picked is None else table.values[one.picked],
            task=task,
            worse=is_worse(table, one.picked, cut, self.settings),
        )
        return Finding(
            detector=self.name,
            kind=self.kind,
            subject=Subject(agent=table.agent, tool=tool),
            onset=table.time(shift.onset),
            onset_low=table.time(shift.onset_low),
            onset_high=table.time(shift.onset_high),
            value=hits / max(of, 1e-9),
            baseline=expected,
            threshold=min(shift.threshold, SCORE_MAX),
            score=min(shift.score, SCORE_MAX),
            unit="share",
            recovered=None if shift.recovered is None else table.time(shift.recovered),
            affected=round(affected),
            of=round(of),
            note=_note(table, shift, choice, hits, of, expected),
            shifted=choice,
        )


@dataclass(slots=True, eq=False)
class _Held:
    """The latest look at a choice: for the kinds of task and the values that were known by then, over all hours."""

    places: tuple[Any, ...]
    values: tuple[str, ...]
    looked: list[tuple[Table, Looked]]
    openings: dict[str, Opening]
    """Of values in these places, as far as they were asked for."""


class _Replayed:
    """The detector over choices that are walked once for each set of kinds of task and values that are known."""

    def __init__(self, detector: ToolChoiceDetector, whole: Window) -> None:
        self._detector, self._end = detector, whole.end
        self._whole = {_place(one): one for one in whole.choices}
        # Moments come in order: the last tables are held, and not those of every hour.
        self._held: dict[Any, _Held] = {}
        self._walks: dict[Any, tuple[list[_Held], Sequence[tuple[Table, Shift]]]] = {}

    def detect(self, window: Window) -> tuple[Finding, ...]:
        return self._detector.found_by(window, lambda own: self._past(own, window))

    def _past(self, own: Sequence[Choices], window: Window) -> Sequence[tuple[Table, Shift]]:
        """Return what a walk that ended with the window would have found.

        What nobody had picked yet is not on its tables: a table with room for it would be another one. Of more values
        than a table has room for, the commonest by then are on it.
        """
        settings = self._detector.settings
        if not all(_place(one) in self._whole for one in own):
            return shifts_of(tables(own, window.end), settings)
        groups: dict[tuple[str, str], list[Choices]] = defaultdict(list)
        for one in own:
            groups[one.subject.tool or "", one.what].append(one)
        held = [self._look(groups[at]) for at in sorted(groups)]
        agent = own[0].subject.agent
        walked = self._walks.get(agent)
        if walked is None or walked[0] != held:
            found = shifts_among([pair for one in held for pair in one.looked], settings)
            walked = self._walks[agent] = held, found
        return past(walked[1], window.end)

    def _look(self, parts: Sequence[Choices]) -> _Held:
        """Return the look at one choice.

        Of ids, the commonest are others every hour. While neither those of the latest look nor those of now ever open
        a test, that look stands: it found nothing, and tests are counted by trajectories and not by values.
        """
        places, values = tuple(map(_place, parts)), commonest(parts)
        choice = places[0][:2]
        held = self._held.get(choice)
        same = held is not None and held.places == places
        if held is not None and same and (held.values == values or self._is_quiet(held, values)):
            return held
        looked = [(table, first_look(table, self._detector.settings)) for table in self._tables(places, values)]
        self._held[choice] = _Held(places, values, looked, held.openings if held is not None and same else {})
        return self._held[choice]

    def _is_quiet(self, held: _Held, values: Sequence[str]) -> bool:
        """Tell whether neither the values of a look nor some others open a test in its places."""
        _, what, *_ = held.places[0]
        # All tools together are a mix that may drift; and where nothing was picked there is no table.
        if what == TOOL or not held.values or not values:
            return False
        new = sorted({*held.values, *values} - held.openings.keys())
        for table in self._tables(held.places, new) if new else ():
            held.openings.update(openings(table, self._detector.settings))
        return all(are_quiet([held.openings[value] for value in either]) for either in (held.values, values))

    def _tables(self, places: Sequence[Any], values: Sequence[str]) -> tuple[Table, ...]:
        return tables([self._whole[place] for place in places], self._end, values)


def _place(one: Choices) -> tuple[Any, ...]:
    return one.subject, one.what, one.task, one.start_s


def _expected(shift: Shift) -> float:
    """Return the expected share of the choice from the onset to the alarm: later baselines know the episode."""
    one = shift.found
    index = one.picked if one.picked is not None else one.usual
    cut = slice(shift.onset, one.hour + 1)
    of = float(one.view.of[cut].sum())
    return float(one.view.expected[index, cut].sum()) / max(of, 1e-9)


def _note(table: Table, shift: Shift, choice: Shifted, hits: float, of: float, expected: float) -> str:
    noun = {TOOL: "the tool", TABLES: "the table"}.get(choice.what, choice.what)
    if choice.picked is None:
        what = f"No longer picks {noun} {choice.usual}: in {hits:.0f} of {of:.0f} trajectories"
    else:
        instead = f" instead of {choice.usual}" if choice.usual is not None else ""
        what = f"Picks {noun} {choice.picked}{instead} in {hits:.0f} of {of:.0f} trajectories"
    task = f" on tasks like '{choice.task}'" if choice.task else ""
    one = shift.found
    ended = "They fail more often than such runs did." if choice.worse else "They do not plainly fail more often."
    rebased = " After 14 days the new choice counts as usual." if shift.rebased else ""
    return (
        f"{what}{task}, {percent(expected)} expected; found because {_HOW[one.rule]}"
        f" at {table.time(one.hour + 1):%Y-%m-%d %H:%M} UTC. {ended}{rebased}"
    )


def _foremost(found: Sequence[Finding]) -> Finding:
    """Return the finding that stands for an agent's tool: one that goes on, then fails, then the least likely."""
    return min(
        found,
        key=lambda one: (
            one.recovered is not None,
            not (one.shifted and one.shifted.worse),
            -one.score,
            one.onset,
            str(one.shifted),
        ),
    )
