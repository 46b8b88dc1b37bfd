"""Rules over tool calls. Names and limits: docs/detectors/loop.md."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

from analyzer.detectors.loops.classify import is_shell, is_terminal
from analyzer.detectors.loops.hits import Hit, Streaks, is_progress
from analyzer.detectors.loops.normalise import jaccard, rewording
from analyzer.detectors.loops.sequence import Asked, Event, Made, Said

NOVELTY_MIN = 0.1
"""An answer with more new trigrams than this is progress."""
POLL_FACTOR_ON_ERRORS = 3
"""A poll may fail three times as often as another call: what it waits for may not be up yet."""
CYCLE_PERIOD_MAX, CYCLE_REPEATS, CYCLE_STEPS_MIN = 64, 3, 6
CYCLE_CANDIDATES = 3
JITTER_CALLS_MIN = 3
UNREACHABLE = 1_000_000_000
STALL_STEPS, STALL_NOVELTY_MAX = 16, 0.08
LONG_POLL, TERMINAL_POLLS = 30, 3
REWORDED_JACCARD, SAME_ANSWER_JACCARD = 0.5, 0.9
FAN_OUT_COPIES, FAN_OUT_ROUNDS = 4, 3


class RepeatSameCall:
    """Equal call, equal outcome, no work in between: four times, three where it fails."""

    def __init__(self) -> None:
        self._calls = Streaks("repeat_same_call", 4)
        self._errors = Streaks("repeat_same_error", 3)
        self._outcomes: dict[str, str] = {}

    @property
    def hits(self) -> list[Hit]:
        """Hits of both rules."""
        return self._calls.found + self._errors.found

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Asked) or is_progress(event):
            self._calls.clear()
            self._errors.clear()
        if not isinstance(event, Made) or (event.poll and not event.failed) or event.onward:
            return
        key = event.call.exact
        if self._outcomes.get(key) != event.outcome:
            self._calls.drop(key)
            self._errors.drop(key)
            self._outcomes[key] = event.outcome
        streaks = self._errors if event.failed else self._calls
        limit = streaks.limit * (POLL_FACTOR_ON_ERRORS if event.poll else 1)
        streaks.add(key, event.step, tool=event.step.name, limit=limit)


class FixAttempts:
    """The same check fails in the same way eight times although something was changed in between."""

    def __init__(self) -> None:
        self._streaks = Streaks("fix_attempts_same_failure", 8, similarity=0.6)
        self._outcomes: dict[str, str] = {}

    @property
    def hits(self) -> list[Hit]:
        """What it has found so far."""
        return self._streaks.found

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Asked):
            self._streaks.clear()
        if not isinstance(event, Made) or event.poll:
            return
        key = event.call.exact
        if self._outcomes.get(key) != event.outcome:
            self._streaks.drop(key)
            self._outcomes[key] = event.outcome
            self._streaks.add(key, event.step, tool=event.step.name)
        elif key in self._streaks.open and event.failing:
            self._streaks.add(key, event.step, tool=event.step.name)


class SameErrorDifferentArguments:
    """One tool fails in one way with five different arguments and never works in between."""

    def __init__(self) -> None:
        self._streaks = Streaks("same_error_different_args", 5, similarity=0.9)
        self._known: dict[str, tuple[str, set[str]]] = {}

    @property
    def hits(self) -> list[Hit]:
        """What it has found so far."""
        return self._streaks.found

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Asked):
            self._streaks.clear()
            self._known.clear()
        if not isinstance(event, Made) or event.poll:
            return
        tool = event.step.name
        if not event.failed:
            self._streaks.drop(tool)
            self._known.pop(tool, None)
            return
        signature, known = self._known.get(tool, ("", set()))
        if signature != event.outcome:
            self._streaks.drop(tool)
            known = set()
        if event.call.exact not in known:
            known.add(event.call.exact)
            self._streaks.add(tool, event.step, tool=tool)
        self._known[tool] = (event.outcome, known)


class Cycle:
    """Calls with their outcomes come round in the same order three times, with any period from 2 to 64.

    Candidate periods are the distances to the last three occurrences of a symbol; a counter per period survives only
    while every step matches the one a period earlier, so each step costs the few periods still alive.
    """

    def __init__(self) -> None:
        self._symbols: list[tuple[str, str]] = []
        self._events: list[Made] = []
        self._where: dict[tuple[str, str], deque[int]] = {}
        self._alive: dict[int, int] = {}
        self._growing: dict[int, Hit] = {}
        self.hits: list[Hit] = []

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Asked) or (isinstance(event, Made) and event.onward):
            self._symbols, self._events, self._where, self._alive, self._growing = [], [], {}, {}, {}
        if not isinstance(event, Made) or event.poll or event.onward:
            return
        symbol = (event.call.exact, event.outcome)
        at = len(self._symbols)
        self._symbols.append(symbol)
        self._events.append(event)
        alive: dict[int, int] = {}
        for period, matched in self._alive.items():
            if self._symbols[at - period] == symbol:
                alive[period] = matched + 1
        places = self._where.setdefault(symbol, deque(maxlen=CYCLE_CANDIDATES))
        for place in places:
            if 1 < at - place <= CYCLE_PERIOD_MAX:
                alive.setdefault(at - place, 1)
        places.append(at)
        self._alive = alive
        self._growing = {period: hit for period, hit in self._growing.items() if period in alive}
        for period, matched in alive.items():
            if matched >= max((CYCLE_REPEATS - 1) * period, CYCLE_STEPS_MIN - period):
                self._complete(period, matched, at)

    def _complete(self, period: int, matched: int, at: int) -> None:
        repeats = matched // period + 1
        hit = self._growing.get(period)
        if hit is not None:
            hit.last, hit.repeats = self._events[at].step, repeats
            return
        start = at - matched - period + 1
        turn = self._events[start : start + period]
        if len({made.call.exact for made in turn}) == 1 or any(period % smaller == 0 for smaller in self._growing):
            return
        step = self._events[at].step
        tools = {made.step.name for made in turn}
        tool = tools.pop() if len(tools) == 1 else max(turn, key=lambda made: made.read).step.name
        examples = [made.step for made in turn[:2]] + [self._events[start + period].step]
        hit = Hit("cycle", turn[0].step, step, step, repeats, CYCLE_REPEATS, period, tool, 1.0, examples)
        self._growing[period] = hit
        self.hits.append(hit)


@dataclass(slots=True)
class _Shape:
    """Calls of one shape in a row that brought nothing new."""

    numbers: list[tuple[float, ...]] = field(default_factory=list)
    exact: set[str] = field(default_factory=set)
    short: bool = False
    empty: bool = True


class NothingNew:
    """Reads that differ only in numbers and bring nothing new: jittered limits, pages that are all the same.

    Numbers that only grow or only fall are an enumeration. Where its answers are long, three equal pages are enough;
    where they are short, "nothing" fifteen times over is, and a short answer that is one is never.
    """

    def __init__(self) -> None:
        self._near = Streaks("near_duplicate_calls", 5, similarity=0.9)
        self._pages = Streaks("pagination_no_new_data", 3, similarity=0.9)
        self._shapes: dict[str, _Shape] = {}

    @property
    def hits(self) -> list[Hit]:
        """Hits of both rules."""
        return self._near.found + self._pages.found

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Asked) or is_progress(event):
            self._shapes.clear()
            self._near.clear()
            self._pages.clear()
        if not isinstance(event, Made) or not event.read or event.poll or event.failed or event.unseen:
            return
        key = event.call.shape
        shape = self._shapes.get(key)
        if shape is None or event.novelty > NOVELTY_MIN:
            self._near.drop(key)
            self._pages.drop(key)
            shape = self._shapes[key] = _Shape()
        shape.numbers.append(event.call.numbers)
        del shape.numbers[:-32]
        shape.exact.add(event.call.exact)
        shape.short |= event.short
        shape.empty = shape.empty and event.short and event.empty
        if _monotone(shape.numbers):
            limit = 15 if shape.short else 3
            # The first page is the one that brought something: it is in the count.
            if not shape.short or shape.empty:
                self._pages.add(key, event.step, tool=event.step.name, limit=limit + 1)
        else:
            self._pages.drop(key)
            enumerating = len(shape.exact) == len(shape.numbers)
            limit = (12 if enumerating else 8) if shape.short else 5
            # Two arguments taking turns are a cycle and no jitter: that rule sees them.
            enough = limit + 1 if len(shape.exact) >= JITTER_CALLS_MIN else UNREACHABLE
            self._near.add(key, event.step, tool=event.step.name, limit=enough)


def _monotone(rows: list[tuple[float, ...]]) -> bool:
    """Tell whether one number moves in one direction from call to call, and no other moves at all."""
    if len(rows) < 2 or len({len(row) for row in rows}) != 1:  # noqa: PLR2004 - a direction needs two points
        return len(rows) < 2  # noqa: PLR2004 - the same
    columns = [column for column in zip(*rows, strict=True) if len(set(column)) > 1]
    return bool(columns) and all(
        all(a < b for a, b in pairwise(column)) or all(a > b for a, b in pairwise(column)) for column in columns
    )


class RewordedQuery:
    """A question asked in other words, six times with the same answer."""

    def __init__(self) -> None:
        self._streaks = Streaks("reworded_query_same_answer", 6, similarity=0.9)
        self._last: dict[str, Made] = {}

    @property
    def hits(self) -> list[Hit]:
        """What it has found so far."""
        return self._streaks.found

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Asked) or is_progress(event):
            self._streaks.clear()
            self._last.clear()
        # Command lines share their options; that two of them are alike says nothing.
        if not isinstance(event, Made) or not event.read or event.poll or event.unseen or is_shell(event.step.name):
            return
        tool, before = event.step.name, self._last.get(event.step.name)
        self._last[tool] = event
        if before is not None and before.call.shape == event.call.shape and before.call.exact != event.call.exact:
            # Only the numbers differ: NothingNew knows what that means.
            self._streaks.drop(tool)
        elif before is None or not _reworded(before, event):
            self._streaks.drop(tool)
            self._streaks.add(tool, event.step, tool=tool)
        else:
            self._streaks.add(tool, event.step, tool=tool)


def _reworded(before: Made, event: Made) -> bool:
    if before.call.exact != event.call.exact and rewording(before.call, event.call) < REWORDED_JACCARD:
        return False
    alike = not event.short and jaccard(before.answer, event.answer) >= SAME_ANSWER_JACCARD
    return before.outcome == event.outcome or alike


class Stall:
    """The last sixteen reads brought almost nothing that had not been seen before."""

    def __init__(self) -> None:
        self._window: deque[Made] = deque(maxlen=STALL_STEPS)
        self._hit: Hit | None = None
        self.hits: list[Hit] = []

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Asked) or is_progress(event):
            self._window.clear()
            self._hit = None
        if not isinstance(event, Made) or event.poll or event.short:
            return
        self._window.append(event)
        if len(self._window) < STALL_STEPS:
            return
        if sum(made.novelty for made in self._window) / STALL_STEPS >= STALL_NOVELTY_MAX:
            self._hit = None
        elif self._hit is None:
            steps = [made.step for made in self._window]
            self._hit = Hit(
                "no_progress_stall", steps[0], event.step, event.step, STALL_STEPS, STALL_STEPS, 1, None, 0.7, steps[:3]
            )
            self.hits.append(self._hit)
        else:
            self._hit.last = event.step
            self._hit.repeats += 1


class Polling:
    """Polls of something that has ended, and polls without end."""

    def __init__(self) -> None:
        self._after = Streaks("poll_after_terminal", TERMINAL_POLLS + 1)
        self._long = Streaks("long_poll", LONG_POLL, similarity=0.8)
        self._outcomes: dict[str, str] = {}
        self.longest = 0
        """The most equal polls with equal answers, in a row or with other calls between."""

    @property
    def hits(self) -> list[Hit]:
        """Hits of both rules."""
        return self._after.found + self._long.found

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Asked):
            self._after.clear()
            self._long.clear()
        if not isinstance(event, Made) or not event.poll or event.unseen:
            return
        key = event.call.exact
        if self._outcomes.get(key) != event.outcome:
            self._after.drop(key)
            self._long.drop(key)
            self._outcomes[key] = event.outcome
        self.longest = max(self.longest, self._long.add(key, event.step, tool=event.step.name).count)
        if is_terminal(event.step.output):
            self._after.add(key, event.step, tool=event.step.name)


class FanOut:
    """A round of four or more equal calls, three rounds long: each round counts once, but it was asked four times."""

    def __init__(self) -> None:
        self._streaks = Streaks("duplicate_fan_out", FAN_OUT_ROUNDS)

    @property
    def hits(self) -> list[Hit]:
        """What it has found so far."""
        return self._streaks.found

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Asked) or is_progress(event):
            self._streaks.clear()
        if isinstance(event, Made) and event.copies >= FAN_OUT_COPIES and not event.poll:
            self._streaks.add((event.call.exact, event.outcome), event.step, tool=event.step.name)


class SameTurn:
    """The same words and the same call four times, and what comes back cannot show progress (a screenshot)."""

    def __init__(self) -> None:
        self._streaks = Streaks("repeated_turn_changing_output", 4, similarity=0.8)
        self._said = ""
        self._last: tuple[str, str] | None = None

    @property
    def hits(self) -> list[Hit]:
        """What it has found so far."""
        return self._streaks.found

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Said):
            self._said = event.text
            return
        if isinstance(event, Asked) or not isinstance(event, Made) or event.poll:
            self._streaks.clear()
            self._last = None
            return
        turn = (self._said, event.call.exact)
        shows_progress = not event.short and event.novelty > NOVELTY_MIN
        if turn != self._last or shows_progress:
            self._streaks.clear()
        self._last = turn
        if len(self._said.split()) >= 3:  # noqa: PLR2004 - "OK" before every call is no narration
            self._streaks.add(turn, event.step, tool=event.step.name)
