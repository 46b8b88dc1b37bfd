"""The causal walk over the ticks: alarms, episodes, frozen baselines.

The walk gives what scheduled runs would have given. At every tick it uses only what had ended by then; baselines are
rebuilt at UTC midnight; ticks of an episode already found never enter a later baseline, so an outage does not become
the norm; and while an episode is open, its baseline is the one from before it began. Two runs over the same history
therefore agree about the past that both have seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Generic

import numpy as np

from analyzer.detectors.kernels.episode import DATING_LOOKBACK_TICKS, Episode, Onset, date_onset
from analyzer.detectors.kernels.grid import TICKS_PER_DAY, TICKS_PER_HOUR, Bools, Floats, Grid
from analyzer.detectors.kernels.model import BaselineT, Block, Cusum, Masks, Model

RECOVERY_NATS = math.log(35_040)
"""Evidence for "back to normal" that closes an episode, 10.5 nats: a false all-clear once in a year of ticks. A little
less than an alarm needs, because the last hours must also look as usual."""
REBASE_TICKS = 14 * TICKS_PER_DAY
"""An episode that has lasted the length of a baseline is the new normal."""
REDATED_TICKS_MAX = TICKS_PER_DAY
"""For how long after its alarm an episode is dated anew, once an hour: the alarm often comes within the first quarters
of a rise, where a chance event hours before explains as much. Later the beginning people were told stands."""
MASK_MARGIN_TICKS = TICKS_PER_HOUR
"""Ticks left out of baselines before an onset, because the onset is an estimate."""
LEVEL_DECIMALS = 6
"""Of a CUSUM, in nats, at midnight. Sums over a longer series are rounded in another order, to some 10^-13: a walk that
goes on from what another one has added up must not end in other digits than one that has added up all by itself."""
SCHEDULE_TICKS_MAX = 12 * TICKS_PER_HOUR
"""A closed episode shorter than this may be a weekly job seen for the first time: next week it is expected."""


@dataclass(slots=True)
class _Running:
    """A CUSUM's state between ticks."""

    zero: int
    """The tick from which it has been above zero."""
    level: float = 0.0

    def step(self, increment: float, tick: int) -> float:
        self.level += increment
        if self.level <= 0.0:
            self.level, self.zero = 0.0, tick + 1
        return self.level

    def ahead(self, increments: Floats, tick: int) -> tuple[Floats, np.ndarray]:
        """Return where it would stand after each of the increments from `tick` on: its levels and its zeros."""
        sums = self.level + np.cumsum(increments)
        lowest = np.minimum(np.minimum.accumulate(sums), 0.0)
        ticks = np.arange(tick + 1, tick + 1 + len(sums))
        zeros = np.maximum.accumulate(np.where(sums <= lowest, ticks, self.zero))
        return sums - lowest, zeros

    def rounded(self, tick: int) -> _Running:
        """Return it as it enters the day that begins with a tick: so that days agree, whatever order a run adds in."""
        level = round(self.level, LEVEL_DECIMALS)
        return _Running(self.zero if level else tick, level)


@dataclass(frozen=True, slots=True)
class Midnight:
    """All that a walk which has found nothing yet takes along into a day."""

    tick: int
    """The first of the day."""
    rising: tuple[tuple[int, float], ...]
    """For each CUSUM since which tick it has been above zero, and how far; empty where nothing was judged."""


@dataclass(slots=True)
class _Return:
    """Evidence that one CUSUM's signal is back: against the least shift that matters, and against the one seen."""

    size: float
    slow: _Running
    fast: _Running


@dataclass(slots=True)
class _Dating:
    """How the open episode was dated last, so that it can be dated anew."""

    index: int
    """The CUSUM that dates it."""
    first: int
    """The earliest tick it may have begun at."""
    until: int
    """The last tick that the date rests on."""
    peak: int
    """Where the CUSUM was highest: what comes after is no longer the rise, and blurs its date and its size."""
    level: float
    told: list[tuple[int, Onset]]
    """Since which tick it has been dated to when."""


def _size(cusum: Cusum, onset: int) -> float:
    """Return the effect from an onset to the end of what is seen."""
    mass = float(cusum.precision[onset:].sum())
    return float((cusum.precision[onset:] * cusum.effect[onset:]).sum()) / mass if mass > 0 else 0.0


def _begun(episode: Episode[BaselineT], onset: Onset) -> Episode[BaselineT]:
    """Return an episode with another beginning."""
    return replace(episode, onset=onset.tick, onset_low=onset.low, onset_high=onset.high + 1)


@dataclass(frozen=True, slots=True)
class Past(Generic[BaselineT]):
    """What a walk had found by a tick: what it would have found had the series ended there."""

    grid: Grid
    """Ends at that tick; its arrays may go on."""
    episodes: tuple[Episode[BaselineT], ...]
    masked: Bools
    """Ticks of the episodes that were over by then, shape (ticks,)."""


class Walk(Generic[BaselineT]):
    """One pass over a series; `episodes` holds what it found, in order of onset."""

    def __init__(self, model: Model[BaselineT], begun: Midnight | None = None) -> None:
        """`begun` is one of the `midnights` of a walk over the same ticks up to there: none of them is judged again."""
        self.model = model
        self._begin = model.warm if begun is None else begun.tick
        self.midnights = [] if begun is None else [begun]
        """Those by which no episode had been found, in their order."""
        self.episodes: list[Episode[BaselineT]] = []
        ticks = len(model.grid.n)
        self.masks = Masks(np.zeros(ticks, dtype=np.bool_), np.zeros(ticks, dtype=np.bool_))
        self.baseline: BaselineT | None = None
        """The baseline of the last day judged; None where there was not enough history."""
        self._rising = [] if begun is None else [_Running(*one) for one in begun.rising]
        self._returning: dict[int, _Return] = {}
        self._learned: dict[int, BaselineT] = {}
        """Baselines by day of the grid, for the day an onset turns out to lie on."""
        self._floor = model.grid.first
        """No onset lies before this tick: the end of the episode before."""
        self._datings: list[_Dating] = []
        """For each episode, how it was dated."""
        self._highest: list[list[tuple[int, float]]] = []
        """For each episode, at which ticks its score rose, and to what."""

    def run(self) -> Walk[BaselineT]:
        """Walk to the end of the grid."""
        tick, stop = self._begin, self.model.grid.stop
        while tick < stop:
            day = tick // TICKS_PER_DAY
            end = min((day + 1) * TICKS_PER_DAY, stop)
            episode = self.episodes[-1] if self.episodes else None
            if episode is not None and episode.closed is None:
                tick = self._follow(episode, tick, end)
                continue
            self.baseline = self.model.baseline(day, self.masks.episodes)
            if self.baseline is None:
                self._rising = []
                tick = end
            else:
                self._learned[day] = self.baseline
                tick = self._look_out(self.baseline, tick, end)
            if tick % TICKS_PER_DAY == 0:
                self._rising = [running.rounded(tick) for running in self._rising]
                if not self.episodes:
                    self.midnights.append(Midnight(tick, tuple(self.levels())))
        return self

    def levels(self) -> list[tuple[int, float]]:
        """Return for each CUSUM since which tick it has been above zero, and how far; empty where nothing is judged."""
        return [(running.zero, running.level) for running in self._rising]

    def past(self, stop: int) -> Past[BaselineT]:
        """Return what the walk had found by tick `stop`. It is causal, so that one pass knows every moment of it."""
        masked = np.zeros(len(self.model.grid.n), dtype=np.bool_)
        found = []
        for episode, scores, dating in zip(self.episodes, self._highest, self._datings, strict=True):
            if episode.alarmed >= stop:
                break
            if episode.closed is None or episode.closed >= stop:
                score = max(score for tick, score in scores if tick < stop)
                onset = [onset for tick, onset in dating.told if tick < stop][-1]
                going_on = replace(episode, score=score, recovered=None, closed=None, rebased=False)
                found.append(_begun(going_on, onset))
            else:
                found.append(episode)
                masked[max(episode.onset - MASK_MARGIN_TICKS, 0) : episode.recovered] = not episode.rebased
        grid = self.model.grid
        return Past(grid if stop == grid.stop else replace(grid, stop=stop), tuple(found), masked)

    def _look_out(self, baseline: BaselineT, start: int, stop: int) -> int:
        """Advance to the next alarm or to `stop`; return the tick to go on with."""
        view = self.model.view(baseline, start, stop, self.masks)
        cusums, blocks = view.cusums, view.blocks()
        if not self._rising:
            self._rising = [_Running(zero=start) for _ in cusums]
        courses = [running.ahead(cusum.up, start) for running, cusum in zip(self._rising, cusums, strict=True)]
        high = [level >= cusum.threshold for (level, _), cusum in zip(courses, cusums, strict=True)]
        for at in np.flatnonzero(np.any([*high, *(block.fires for block in blocks)], axis=0)).tolist():
            tick = start + at
            self._rising = [_Running(int(zeros[at]), float(level[at])) for level, zeros in courses]
            for index, (cusum, running) in enumerate(zip(cusums, self._rising, strict=True)):
                if high[index][at] and view.rises(max(running.zero, tick - TICKS_PER_DAY), tick):
                    self._alarm(baseline, index, cusum.kernel, running.level, cusum.threshold, running.zero, tick)
                    return tick + 1
            block = next((block for block in blocks if block.fires[at]), None)
            if block is not None:
                self._block_alarm(baseline, block, float(block.score[at]), tick)
                return tick + 1
        self._rising = [_Running(int(zeros[-1]), float(level[-1])) for level, zeros in courses]
        return stop

    def _block_alarm(self, baseline: BaselineT, block: Block, score: float, tick: int) -> None:
        """Raise an alarm of a rule over a fixed window, dated by the CUSUM that saw most of it."""
        highest = max(range(len(self._rising)), key=lambda index: self._rising[index].level)
        zero = self._rising[highest].zero if self._rising[highest].level > 0 else tick
        earliest = max(zero, tick - block.width + 1) if block.kernel == "burst" else min(zero, tick - block.width + 1)
        self._alarm(baseline, highest, block.kernel, score, block.threshold, earliest, tick)

    def _alarm(
        self, baseline: BaselineT, index: int, kernel: str, score: float, threshold: float, zero: int, tick: int
    ) -> None:
        """Open an episode: date its onset and freeze its baseline."""
        first = max(self._unseen_before(min(zero, tick)) - DATING_LOOKBACK_TICKS, self._floor, 0)
        onset, cusums = self._dated(baseline, index, first, tick)
        self.episodes.append(
            Episode(
                kernel=kernel,
                onset=onset.tick,
                onset_low=onset.low,
                onset_high=onset.high + 1,
                alarmed=tick,
                score=score,
                threshold=threshold,
                # A slow rise may be older than the day whose baseline confirmed it: that one has seen some of it.
                baseline=self._learnt_on(onset.tick // TICKS_PER_DAY) or baseline,
            )
        )
        self._highest.append([(tick, score)])
        self.masks.lasting[max(onset.tick - MASK_MARGIN_TICKS, 0) :] = True
        required = range(len(cusums)) if kernel == "B" else [index]
        self._returning = {
            which: _Return(_size(cusums[which], onset.tick - first), _Running(zero=tick + 1), _Running(zero=tick + 1))
            for which in required
        }
        self._datings.append(_Dating(index, first, tick, tick, self._rising[index].level, [(tick, onset)]))

    def _learnt_on(self, day: int) -> BaselineT | None:
        """Return the baseline of a day that was judged, by this walk or before the midnight that it began at."""
        if self.model.warm // TICKS_PER_DAY <= day < self._begin // TICKS_PER_DAY and day not in self._learned:
            # Nothing had been found by then.
            learnt = self.model.baseline(day, np.zeros(len(self.model.grid.n), dtype=np.bool_))
            if learnt is not None:
                self._learned[day] = learnt
        return self._learned.get(day)

    def _dated(self, baseline: BaselineT, index: int, first: int, last: int) -> tuple[Onset, tuple[Cusum, ...]]:
        """Date a rise that ticks [first, last] hold by one of their CUSUMs; return these as well."""
        cusums = self.model.view(baseline, first, last + 1, self.masks).cusums
        dated = date_onset(cusums[index].gain(), cusums[index].precision > 0)
        return Onset(first + dated.tick, first + dated.low, first + dated.high), cusums

    def _date_anew(self, episode: Episode[BaselineT], tick: int) -> Episode[BaselineT]:
        """Return the open episode with its date and its size measured up to where the evidence for it was highest."""
        dating = self._datings[-1]
        dating.until = dating.peak
        onset, cusums = self._dated(episode.baseline, dating.index, dating.first, dating.peak)
        for which, state in self._returning.items():
            # One that came later has no size: it asks for the least shift that matters.
            state.size = _size(cusums[which], onset.tick - dating.first) if state.size > 0 else 0.0
        dating.told.append((tick, onset))
        before, now = (max(start - MASK_MARGIN_TICKS, self._floor, 0) for start in (episode.onset, onset.tick))
        self.masks.lasting[before:now] = False
        self.masks.lasting[now:] = True
        return _begun(episode, onset)

    def _unseen_before(self, tick: int) -> int:
        """Return the first of the ticks without units that lead up to a tick: it may have begun in any of them."""
        seen = np.flatnonzero(self.model.grid.n[:tick])
        return int(seen[-1]) + 1 if len(seen) else tick

    def _follow(self, episode: Episode[BaselineT], start: int, stop: int) -> int:
        """Advance an open episode to its end or to `stop`; return the tick to go on with."""
        view = self.model.view(episode.baseline, start, stop, self.masks)
        cusums = view.cusums
        ups = [cusum.up.tolist() for cusum in cusums]
        slow = [view.back(index, 0.0).tolist() for index in range(len(ups))]
        fast = {index: view.back(index, state.size).tolist() for index, state in self._returning.items()}
        for tick in range(start, stop):
            at = tick - start
            for index, cusum in enumerate(cusums):
                level = self._rising[index].step(ups[index][at], tick)
                if cusum.kernel == episode.kernel and level > episode.score:
                    episode = replace(episode, score=level)
                    self._highest[-1].append((tick, level))
                if level >= cusum.threshold and index not in self._returning:
                    self._returning[index] = _Return(0.0, _Running(zero=tick + 1), _Running(zero=tick + 1))
                    fast[index] = slow[index]
            for index, state in self._returning.items():
                state.slow.step(slow[index][at], tick)
                state.fast.step(fast[index][at], tick)
            if self._has_more(episode, tick):
                episode = self._date_anew(episode, tick)
                fast |= {index: view.back(index, state.size).tolist() for index, state in self._returning.items()}
            recovered = self._returned()
            if recovered is not None and not view.settled(tick):
                recovered = None
            rebased = recovered is None and tick - episode.onset >= REBASE_TICKS
            if recovered is not None or rebased:
                self._close(replace(episode, recovered=recovered or tick, closed=tick, rebased=rebased))
                return tick + 1
        self.episodes[-1] = episode
        return stop

    def _has_more(self, episode: Episode[BaselineT], tick: int) -> bool:
        """Tell whether the end of an hour has more of the rise to date it by than was known at the last dating."""
        dating = self._datings[-1]
        level = self._rising[dating.index].level
        if level > dating.level:
            dating.level, dating.peak = level, tick
        ends_hour = (tick + 1) % TICKS_PER_HOUR == 0
        return ends_hour and dating.peak > dating.until and tick - episode.alarmed <= REDATED_TICKS_MAX

    def _returned(self) -> int | None:
        """Return when every signal of the open episode came back, or None while one of them has not."""
        states = self._returning.values()
        if all(state.slow.level >= RECOVERY_NATS for state in states):
            return max(state.slow.zero for state in states)
        if all(state.fast.level >= RECOVERY_NATS for state in states):
            return max(state.fast.zero for state in states)
        return None

    def _close(self, episode: Episode[BaselineT]) -> None:
        """End the open episode; keep its ticks out of later baselines unless they are the new normal."""
        self.episodes[-1] = episode
        assert episode.recovered is not None  # noqa: S101 - every caller sets it
        start = max(episode.onset - MASK_MARGIN_TICKS, 0)
        lasting = not episode.rebased and episode.recovered - episode.onset >= SCHEDULE_TICKS_MAX
        self.masks.lasting[start : episode.recovered] = lasting
        self.masks.lasting[episode.recovered :] = False
        self.masks.episodes[start : episode.recovered] = not episode.rebased
        self._floor = episode.recovered
        self._rising = []
