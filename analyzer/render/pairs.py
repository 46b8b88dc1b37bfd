"""The steps of two runs in pairs, and what each pair has in common.

A tool call is the same with the same arguments, whatever the order of their keys, the space between them and the times
in them. A model never says the same thing twice in the same words, so an inference is the same where it asks for the
same calls; one that asks for none is an answer, and answers are the same whatever their words.

Ids and numbers are compared up to a renaming: where one run says 4711 wherever the other says 4712, they work on two
orders and do the same. What the runs have in common keeps its own name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from analyzer.render.align import aligned, gaps
from analyzer.render.wording import Wording, is_id, of_arguments, of_text
from analyzer.types.steps import Step
from analyzer.types.trace import Operation

_SAID_AGAIN_MIN = 2
"""Steps in which a number stands for another one before it is taken for the other run's word for the same thing."""

Key = tuple[object, ...]


class Match(StrEnum):
    """How two steps compare."""

    SAME = "same"
    OTHER_RESULT = "other-result"
    """The same call came back with something else, or failed in only one of the runs."""
    OTHER_ARGUMENTS = "other-arguments"
    """The same tool was called with other arguments; of an inference: it asked for that."""
    OTHER_WORDS = "other-words"
    """Both answered in words, which are not compared, after they had parted."""
    ONLY_A = "only-a"
    ONLY_B = "only-b"


@dataclass(frozen=True, slots=True)
class Pair:
    """Steps that stand beside each other; None where the other run has none."""

    match: Match
    a: Step | None
    b: Step | None

    @property
    def is_shared(self) -> bool:
        """Whether both runs took this step, whatever came back."""
        return self.match in (Match.SAME, Match.OTHER_RESULT)


@dataclass(frozen=True, slots=True)
class Replaced:
    """What one run says wherever the other says something else."""

    a: str
    b: str
    steps: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs step by step. Every step occurs once, in its order."""

    pairs: tuple[Pair, ...]
    replaced: tuple[Replaced, ...]
    """In the order in which they first occur; ids of one step alone are noise."""
    names: frozenset[tuple[str, str]]
    """All pairs of labels that mean the same."""

    def alike(self, a: str, b: str) -> bool:
        """Tell whether a label of one run means what one of the other does."""
        return a == b or (a, b) in self.names

    @property
    def parting(self) -> int | None:
        """Where the runs part: the index of the first pair that they do not share, or None."""
        return next((index for index, pair in enumerate(self.pairs) if not pair.is_shared), None)

    @property
    def other_result(self) -> int | None:
        """The index of the first shared step that came back with something else before the runs part, or None."""
        shared = enumerate(self.pairs[: self.parting])
        return next((index for index, pair in shared if pair.match is Match.OTHER_RESULT), None)


def compare(a: Sequence[Step], b: Sequence[Step]) -> Comparison:
    """Return both runs compared; the other way round it is the same with both sides exchanged."""
    if _content(b) < _content(a):
        # Of several ways to align equally many steps one is taken, and it must not depend on who is called A.
        back = compare(b, a)
        pairs = [Pair(_EXCHANGED.get(pair.match, pair.match), pair.b, pair.a) for pair in back.pairs]
        replaced = tuple(Replaced(one.b, one.a, one.steps) for one in back.replaced)
        return Comparison(_sided(pairs), replaced, frozenset((two, one) for one, two in back.names))
    sides = _Side(a), _Side(b)
    matched = aligned(_keys(sides[0], sides[1]), _keys(sides[1], sides[0]))
    labels = _Labels(*sides, matched)
    places: dict[int, Pair] = {at: labels.pair(at, beside) for at, beside in matched}
    pairs = []
    for start_a, end_a, start_b, end_b, pair in _in_order(matched, places, len(a), len(b)):
        pairs += [Pair(Match.ONLY_A, step, None) for step in a[start_a:end_a]]
        pairs += [Pair(Match.ONLY_B, None, step) for step in b[start_b:end_b]]
        pairs += [pair] if pair is not None else []
    return Comparison(tuple(_parted_words(pairs, sides[0].words)), labels.replaced(), labels.names)


_EXCHANGED = {Match.ONLY_A: Match.ONLY_B, Match.ONLY_B: Match.ONLY_A}


def _content(steps: Sequence[Step]) -> tuple[int, list[tuple[str, str, str, str]]]:
    return len(steps), [(step.operation.value, step.name, step.input, step.output) for step in steps]


def _sided(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Return pairs with those of A alone before those of B alone, between any two that both have."""
    found: list[Pair] = []
    waiting: list[Pair] = []
    for pair in pairs:
        if pair.match is Match.ONLY_B:
            waiting.append(pair)
        else:
            if pair.match is not Match.ONLY_A:
                found += waiting
                waiting = []
            found.append(pair)
    return (*found, *waiting)


def _in_order(
    matched: Sequence[tuple[int, int]], places: dict[int, Pair], length_a: int, length_b: int
) -> Iterator[tuple[int, int, int, int, Pair | None]]:
    """Yield what stands alone before each pair, and the pair; at the end without one."""
    before = {
        (end_a, end_b): (start_a, start_b) for start_a, end_a, start_b, end_b in gaps(matched, length_a, length_b)
    }
    for at, beside in (*matched, (length_a, length_b)):
        start_a, start_b = before.get((at, beside), (at, beside))
        yield start_a, at, start_b, beside, places.get(at)


class _Side:
    """The steps of one run as they are compared."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.worded = [of_arguments(step.input) if step.operation is Operation.TOOL else None for step in steps]
        self.labels = {label for one in self.worded if one is not None for label in one.labels}
        self.calls: list[range] = []
        """The calls that follow each inference."""
        end = len(steps)
        for at in range(len(steps) - 1, -1, -1):
            is_call = self.worded[at] is not None
            self.calls.append(range(at + 1, end if not is_call else at + 1))
            end = end if is_call else at
        self.calls.reverse()
        main = steps[0].agent if steps else None
        # Where several agents take turns, it matters which one; the name of the only one may have changed.
        self.speakers = ["" if step.agent == main else step.agent or "" for step in steps]
        self.words = frozenset(
            step.span_id for at, step in enumerate(steps) if self.worded[at] is None and not self.calls[at]
        )

    def goal(self) -> Wording:
        """Return what the run was first told."""
        first = next((step for step in self.steps if step.operation is not Operation.TOOL), None)
        return of_text(first.input if first is not None else "")


def _keys(side: _Side, other: _Side) -> list[list[Key]]:
    """Return the keys of all steps of a run, finest first: labels of both runs kept, none kept, the tool alone."""

    def of_call(at: int) -> tuple[Key, Key, Key]:
        name, worded = side.steps[at].name, side.worded[at]
        assert worded is not None  # noqa: S101 - only asked of calls
        shared = tuple(label if label in other.labels else "#" for label in worded.labels)
        return (name, worded.shape, shared), (name, worded.shape), (name,)

    levels: tuple[list[Key], list[Key], list[Key]] = ([], [], [])
    for at, worded in enumerate(side.worded):
        if worded is not None:
            keys = of_call(at)
        else:
            asked = [of_call(call) for call in side.calls[at]]
            keys = tuple((None, side.speakers[at], *(one[level] for one in asked)) for level in range(3))  # type: ignore[assignment]
        for level, key in zip(levels, keys, strict=True):
            level.append(key)
    return list(levels)


class _Labels:
    """Which labels of two aligned runs mean the same, and what follows for each pair."""

    def __init__(self, a: _Side, b: _Side, matched: Sequence[tuple[int, int]]) -> None:
        self._a, self._b = a, b
        self._counts: Counter[tuple[str, str]] = Counter()
        self._goal = set(_zipped(a.goal(), b.goal()))
        """What the goals name is each run's own, wherever it comes up."""
        self._ids: set[str] = set()
        for at, beside in matched:
            if a.worded[at] is not None:
                self._count(at, beside)
        self.names = frozenset(self._same())

    def _count(self, at: int, beside: int) -> None:
        arguments = self._a.worded[at], self._b.worded[beside]
        results = self._a.steps[at].output, self._b.steps[beside].output
        seen = set(_zipped(*arguments)) if arguments[0] != arguments[1] else set()
        for worded in arguments:
            if seen and worded is not None:
                self._ids |= worded.ids
        if results[0] != results[1]:
            # What comes back is a fact; that it names the same thing otherwise, only a call can tell.
            told = _zipped(of_text(results[0]), of_text(results[1]))
            seen |= {(x, y) for x, y in told if x in self._a.labels and y in self._b.labels}
        self._counts.update(seen)

    def _same(self) -> Iterator[tuple[str, str]]:
        seen = {*self._counts, *self._goal}
        images = Counter(one for one, _ in seen)
        origins = Counter(other for _, other in seen)
        for (one, other), steps in self._counts.items():
            if one == other or images[one] > 1 or origins[other] > 1:
                continue
            if one in self._b.labels or other in self._a.labels:
                continue
            if steps >= _SAID_AGAIN_MIN or (one, other) in self._goal or {one, other} <= self._ids:
                yield one, other

    def replaced(self) -> tuple[Replaced, ...]:
        """Return what is worth saying once: what differs in more than one step, or in the goal."""
        counts = ((pair, steps) for pair, steps in self._counts.items() if pair in self.names)
        return tuple(Replaced(*pair, steps) for pair, steps in counts if steps >= _SAID_AGAIN_MIN or pair in self._goal)

    def pair(self, at: int, beside: int) -> Pair:
        """Return two aligned steps with what they have in common."""
        a, b = self._a.steps[at], self._b.steps[beside]
        calls = [(at, beside)] if a.operation is Operation.TOOL else self._asked(at, beside)
        if calls is None or not all(self._are_the_same(self._a.worded[x], self._b.worded[y]) for x, y in calls):
            return Pair(Match.OTHER_ARGUMENTS, a, b)
        same = a.status is b.status and (a.operation is not Operation.TOOL or self._is_the_same_result(a, b))
        return Pair(Match.SAME if same else Match.OTHER_RESULT, a, b)

    def _asked(self, at: int, beside: int) -> list[tuple[int, int]] | None:
        """Return the calls that two inferences ask for, in pairs, or None where they ask for other tools."""
        a, b = self._a.calls[at], self._b.calls[beside]
        names = [[side.steps[call].name for call in calls] for side, calls in ((self._a, a), (self._b, b))]
        return list(zip(a, b, strict=True)) if names[0] == names[1] else None

    def _are_the_same(self, a: Wording | None, b: Wording | None) -> bool:
        if a is None or b is None or a.shape != b.shape:
            return False
        return all(one == other or (one, other) in self.names for one, other in zip(a.labels, b.labels, strict=False))

    def _is_the_same_result(self, a: Step, b: Step) -> bool:
        if a.output == b.output:
            return True
        one, other = of_text(a.output), of_text(b.output)
        if one.shape != other.shape:
            return False
        # What a tool says is a fact, but for the ids that it makes.
        labels = zip(one.labels, other.labels, strict=False)
        return all(x == y or (x, y) in self.names or (is_id(x) and is_id(y)) for x, y in labels)


def _zipped(a: Wording | None, b: Wording | None) -> Iterator[tuple[str, str]]:
    """Yield the labels beside each other in two texts that have the same words."""
    if a is not None and b is not None and a.shape == b.shape:
        yield from zip(a.labels, b.labels, strict=False)


def _parted_words(pairs: Sequence[Pair], words: frozenset[str]) -> Iterator[Pair]:
    """Yield the pairs; mere answers after the runs parted are no sign that they came together again."""
    shared = True
    for pair in pairs:
        if pair.match is Match.SAME and not shared and pair.a is not None and pair.a.span_id in words:
            yield Pair(Match.OTHER_WORDS, pair.a, pair.b)
            continue
        shared = pair.is_shared
        yield pair
