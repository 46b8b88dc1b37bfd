"""Where a rise is: the smallest slice of the trajectories that explains it.

For every value of one dimension and every pair of values three excesses are computed, against what the slice itself
used to be:

    rate     amount now - expected: the slice became dearer
    mix      (part of its parent now - then) x the parent's trajectories now x (its usual amount - the parent's)
    volume   (trajectories now - then) x usual amount: more of the same; only where spend as a whole is asked about

What is expected of a trajectory is what its agent used to take on its model, and of a slice the sum of that times the
slice's own ratio to it before, shrunk (k = 30) towards that of its parent: the same trajectories whatever their version
and prompt. So a version that never ran before is held against what its agent did, and dear models are no noise. A slice
has to be
large, sure and a part of the rise worth naming; of these the one ranks first that stands out of all others most by
Kulldorff's likelihood ratio (1997) of inside against outside, less the logarithm of the number of slices looked at.
Where everything rose alike nothing stands out, and no place is named.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyzer.accounting.cube import AGENT, SHRINK, Key, Sums, Table, cube_of, norms_of, told_apart
from analyzer.stores.base import DIMENSIONS, Cohort
from analyzer.types.place import Place, Way

TRAJECTORIES_MIN = 20
SURE_Z = 5.0
SURE_MIX_Z = 6.0
"""Mix is made of two proportions of the same trajectories: there is more of it by chance."""
RATIO_MIN = 1.15
SHARE_MIN = 0.08
"""Part of the rise below which a slice is small change."""
RIVAL_SHARE = 0.6
"""Slices that explain this part of what the best explains may rank before it: they are smaller."""
PREFERRED_SHARE = 0.7
"""Of what the first explains, for a mix or a version or prompt to be named in its place: it can be acted on."""
REST_SHARE = 0.05
"""What is left of a slice by one value without a second; below, the second says nothing."""
ALSO_ROSE = 1 / 3
"""Of the relative rise of a pair, for the rest around it to have risen as well: a pair is picked for its luck, too."""
DONE_SHARE = 0.8
SLICES_MAX = 3
OWN = frozenset({DIMENSIONS.index("version"), DIMENSIONS.index("prompt")})
"""What belongs to an agent and is replaced as a whole: without a past of its own it is held against the agent's."""
CONTEXT = frozenset({AGENT, DIMENSIONS.index("task"), DIMENSIONS.index("user")})
"""What comes from outside, so that there may be more of it."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    key: Key
    way: Way
    observed: float
    expected: float
    excess: float
    score: float
    found: Place

    @property
    def can_be_acted_on(self) -> bool:
        return self.way == "mix" or any(dimension in OWN for dimension, _ in self.key)


def search(
    before: Sequence[Cohort], after: Sequence[Cohort], *, traffic: float, spend: bool = False
) -> tuple[Place, ...]:
    """Return up to three slices that explain a rise, the foremost first; empty where nothing stands out.

    `traffic` is how much longer `after` is than `before`, so that their counts compare. The question is the amount of
    one trajectory; with `spend` it is the sum of all, and more trajectories are an answer. Amounts should be
    winsorised: cut at 1.5 times what 99 % were below before.
    """
    then, now = told_apart(before, after)
    found: list[Place] = []
    rise: float | None = None
    while len(found) < SLICES_MAX:
        scan = _Scan(then, now, traffic, spend=spend)
        rise = max(scan.rise, 0.0) if rise is None else rise
        best = scan.best(rise)
        if best is None:
            break
        found.append(best.found)
        if sum(one.share for one in found) >= DONE_SHARE:
            break
        then, now = then.without(best.key), now.without(best.key)
    return tuple(found)


class _Scan:
    """All slices of two periods."""

    def __init__(self, before: Table, after: Table, traffic: float, *, spend: bool) -> None:
        self.traffic, self.spend = traffic, spend
        norms = norms_of(before)
        # What is looked at has so many trajectories now, and what shares most of them with it nearly as many.
        self.after = cube_of(after, norms, trajectories_min=PREFERRED_SHARE * TRAJECTORIES_MIN)
        self.agents = _agents_of_own((before, after))
        self.before = cube_of(before, norms, among=self._looked_up(after))
        whole = self.after[()]
        self.expected_whole = self.before[()].total * traffic if spend else self._expected_sum(after)
        self.rise = whole.total - self.expected_whole

    def best(self, rise: float) -> _Candidate | None:
        """Return the slice to name first."""
        keys = [key for key, now in self.after.items() if 0 < len(key) < 3 and now.trajectories >= TRAJECTORIES_MIN]  # noqa: PLR2004 - one or two values
        penalty = math.log(len(keys)) if keys else 0.0
        found = [one for key in keys for one in self._candidates(key, rise, penalty) if one.score > 0]
        most = max((one.excess for one in found), default=0.0)
        rivals = sorted(
            (one for one in found if one.excess >= RIVAL_SHARE * most),
            key=lambda one: (-one.score, len(one.key), one.key, one.way),
        )
        if not rivals:
            return None
        first = rivals[0]
        named = (
            one
            for one in rivals
            if one.can_be_acted_on and PREFERRED_SHARE * first.excess <= one.excess and self._inside(one.key, first.key)
        )
        chosen = next(named, first) if not first.can_be_acted_on else first
        return self._fitted(chosen, found)

    def _fitted(self, chosen: _Candidate, found: Sequence[_Candidate]) -> _Candidate:
        """Return the slice that is just large enough.

        A pair whose two values say less than one is given up for that one where the rest of it rose as well; one value
        for a pair in it where the rest did not.
        """
        alike = [one for one in found if one.way == chosen.way and len(one.key) != len(chosen.key)]
        for one in sorted(alike, key=lambda one: -one.score):
            if len(chosen.key) > 1 and set(one.key) < set(chosen.key):
                rest = one.observed - chosen.observed, one.expected - chosen.expected
                # A second value that is nearly always there leaves no rest to speak of.
                if rest[1] <= REST_SHARE * one.expected:
                    return one
                if rest[0] / rest[1] - 1 >= ALSO_ROSE * (chosen.observed / max(chosen.expected, 1e-300) - 1):
                    return one
            elif len(chosen.key) == 1 and set(chosen.key) < set(one.key):
                rest = chosen.observed - one.observed, chosen.expected - one.expected
                if rest[1] > REST_SHARE * chosen.expected and rest[0] < RATIO_MIN * rest[1]:
                    return one
        return chosen

    def _inside(self, key: Key, other: Key) -> bool:
        """Whether most of the trajectories of a slice are in another one as well; three values are not counted."""
        both = self.after.get(tuple(sorted({*key, *other})))
        return both is not None and both.trajectories >= PREFERRED_SHARE * self.after[key].trajectories

    def _candidates(self, key: Key, rise: float, penalty: float) -> Iterable[_Candidate]:
        now, then = self.after[key], self.before.get(key, Sums())
        yield from self._rated(key, now, then, rise, penalty)
        unit = self._usual(key)
        if self.spend and all(dimension in CONTEXT for dimension, _ in key):
            expected = then.trajectories * self.traffic
            deviation = math.sqrt(max(now.trajectories, 1) + expected * self.traffic) * unit
            amounts = now.trajectories * unit, expected * unit
            if _stands_out(*amounts, deviation, SURE_Z, rise):
                score = self._likelihood(*amounts, self.before[()].total * self.traffic, unit) - penalty
                yield self._candidate(key, "volume", amounts, amounts[0] - amounts[1], score, rise)
        yield from self._mixed(key, now, then, unit, rise, penalty)

    def _rated(self, key: Key, now: Sums, then: Sums, rise: float, penalty: float) -> Iterable[_Candidate]:
        """Yield the slice as one that became dearer than its agents on its models."""
        expected = now.expected * self._ratio(key)
        # What is new is held against its parent, which is known as well as its own past is.
        past = then if then.trajectories >= SHRINK else self.before.get(self._parent(key), self.before[()])
        unsure = past.noise / past.expected**2 if past.expected > 0 else 0.0
        deviation = math.sqrt(now.noise + now.expected**2 * unsure)
        if not (now.expected > 0 and _stands_out(now.total, expected, deviation, SURE_Z, rise)):
            return
        # The slice has to have risen more than all others did, and surely: what is everywhere has no place.
        rest = self.after[()].expected - now.expected
        others = max(1.0, (self.after[()].total - now.total) / rest) if rest > 0 else math.inf
        if _stands_out(now.total, expected * others, deviation * others, SURE_Z, 0.0):
            # Given how many there are, variance over mean is the amount of one effective count: heavy tails make few.
            score = self._likelihood(now.total, expected, self.after[()].expected, now.noise / now.expected) - penalty
            yield self._candidate(key, "rate", (now.total, expected), now.total - expected, score, rise)

    def _ratio(self, key: Key) -> float:
        """Return what a slice took before, relative to its agents and models, shrunk towards its parent."""
        if not key:
            return 1.0
        target = self._ratio(self._parent(key))
        then, now = self.before.get(key), self.after.get(key)
        if then is None:
            return target
        weight = SHRINK * (then.expected / then.trajectories if now is None else now.expected / now.trajectories)
        whole = then.expected + weight
        return (then.total + weight * target) / whole if whole > 0 else target

    def _mixed(self, key: Key, now: Sums, then: Sums, unit: float, rise: float, penalty: float) -> Iterable[_Candidate]:
        """Yield the slice as a shift within what it is a part of, where its usual amount is known."""
        for parent in self._wholes(key):
            yield from self._shifted(key, parent, now, then, unit, rise, penalty)

    def _wholes(self, key: Key) -> Iterable[Key]:
        """Yield what a slice may have grown inside of: its agent or all; of a pair without its agent each value."""
        if len(key) == 1:
            return () if key[0][0] == AGENT else ((),)
        return [(pair,) for pair in key if pair[0] == AGENT] or [(pair,) for pair in key]

    def _shifted(
        self, key: Key, parent: Key, now: Sums, then: Sums, unit: float, rise: float, penalty: float
    ) -> Iterable[_Candidate]:
        inside, past = self.after.get(parent, Sums()), self.before.get(parent, Sums())
        if then.trajectories < TRAJECTORIES_MIN or not inside.trajectories or not past.trajectories:
            return
        shares = now.trajectories / inside.trajectories, then.trajectories / past.trajectories
        gain = unit - self._usual(parent)
        if unit < RATIO_MIN * (unit - gain) or shares[0] <= shares[1]:
            return
        spread = (shares[1] + 1 / past.trajectories) * (1 / inside.trajectories + 1 / past.trajectories)
        expected, observed = shares[1] * inside.trajectories, now.trajectories
        excess, deviation = (observed - expected) * gain, inside.trajectories * math.sqrt(spread) * gain
        if observed < RATIO_MIN * expected or not _stands_out(excess, 0.0, deviation, SURE_MIX_Z, rise):
            return
        whole = self.before[()].mean * self.after[()].trajectories
        score = self._likelihood(observed * unit, expected * unit, whole, unit) - penalty
        yield self._candidate(key, "mix", (observed, expected), excess, score, rise)

    def _candidate(
        self, key: Key, way: Way, amounts: tuple[float, float], excess: float, score: float, rise: float
    ) -> _Candidate:
        now = self.after[key]
        found = Place(
            where=tuple((DIMENSIONS[dimension], value) for dimension, value in key),
            way=way,
            share=excess / max(rise, excess),
            trajectories=int(now.trajectories),
            expected=now.expected * self._ratio(key) / now.trajectories if way == "rate" else self._usual(key),
            observed=now.mean,
            new=key not in self.before,
        )
        return _Candidate(key, way, *amounts, excess, score, found)

    def _likelihood(self, observed: float, expected: float, expected_whole: float, grain: float) -> float:
        """Return Kulldorff's log likelihood ratio of inside against outside, in counts of `grain`."""
        whole = max(self.after[()].total, observed)
        # Expectations are scaled to what was seen in all: where everything rose alike, no place stands out.
        rest = max(expected_whole - expected, 0.0)
        grain = grain or max(expected, 1e-300)
        inside, outside = observed / grain, (whole - observed) / grain
        scale = (inside + outside) / max(expected + rest, 1e-300)
        likely_in, likely_out = expected * scale, rest * scale
        if inside <= likely_in:
            return 0.0
        result = inside * math.log(inside / max(likely_in, 1e-9))
        if outside > 0:
            result += outside * math.log(outside / max(likely_out, 1e-9))
        return result

    def _usual(self, key: Key) -> float:
        """Return what a trajectory of a slice used to take, shrunk towards its parent."""
        then = self.before.get(key, Sums())
        if not key:
            return then.mean
        target = self._usual(self._parent(key))
        return (then.total + SHRINK * target) / (then.trajectories + SHRINK)

    def _parent(self, key: Key) -> Key:
        """Return the slice without version and prompt: in their place the agent that they are of."""
        if not any(dimension in OWN for dimension, _ in key):
            return tuple(pair for pair in key if pair[0] == AGENT and len(key) > 1)
        rest = {pair for pair in key if pair[0] not in OWN}
        return tuple(sorted(rest | set(self._agent_of(key))))

    def _looked_up(self, after: Table) -> set[Key]:
        """Return the slices whose past is asked for: those that there are now, all around them, and the agents."""
        found: set[Key] = {((AGENT, agent),) for agent in _values(after, AGENT) if agent is not None}
        for key in self.after:
            around = key
            while around not in found:
                found.add(around)
                around = self._parent(around)
        return found

    def _agent_of(self, key: Key) -> Key:
        """Return the only agent that a version or prompt belongs to, or nothing."""
        for pair in key:
            agents = {pair[1]} if pair[0] == AGENT else self.agents.get(pair, set())
            if len(agents) == 1:
                return ((AGENT, next(iter(agents))),)
        return ()

    def _expected_sum(self, after: Table) -> float:
        """Return what the trajectories of now would have taken as those of their agents did before."""
        whole = self.before.get((), Sums()).mean
        first, group = after.grouped((AGENT,))
        pasts = [self.before.get(((AGENT, str(after.value(AGENT, row))),)) for row in first.tolist()]
        means = np.array([whole if past is None else past.mean for past in pasts])
        # Row by row, as the sums of slices are.
        return float(np.cumsum(after.sums[0] * means[group])[-1]) if len(group) else 0.0


def _values(rows: Table, dimension: int) -> Iterator[str | None]:
    """Yield the different values that rows have."""
    return (rows.value(dimension, row) for row in rows.grouped((dimension,))[0].tolist())


def _agents_of_own(tables: Iterable[Table]) -> Mapping[tuple[int, str], set[str]]:
    """Return the agents of each version and prompt."""
    found: dict[tuple[int, str], set[str]] = defaultdict(set)
    for rows in tables:
        for dimension in OWN:
            for row in rows.grouped((dimension, AGENT))[0].tolist():
                value, agent = rows.value(dimension, row), rows.value(AGENT, row)
                if value is not None and agent is not None:
                    found[dimension, value].add(agent)
    return found


def _stands_out(observed: float, expected: float, deviation: float, sure: float, rise: float) -> bool:
    excess = observed - expected
    return observed >= RATIO_MIN * expected and excess >= SHARE_MIN * rise and excess > sure * deviation
