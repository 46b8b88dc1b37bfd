"""What a sentence says about the computed facts, beyond the numbers in it: directions, ends, main factors, changes.

A sentence can be false with nothing but true numbers in it: from and to swapped, a fall where there was a rise, the
smallest factor called the main one, a change that nobody saw. Only what is said in so many words is judged: a form of
words that is not known here passes, and a reader has the facts beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from analyzer.agent.binding import MEASURE, factor_measures, measures_in
from analyzer.agent.causes import uncaused
from analyzer.agent.compared import Sides, incomparable
from analyzer.agent.course import misjudged
from analyzer.agent.numbers import REL_TOLERANCE, Written, written
from analyzer.agent.quantifiers import miscounted
from analyzer.types.report import Incident, Kind

_UP = r"rose|risen|rises|rising|increas\w+|grew|grows?|grown|growing|climb\w+|jump\w+|surg\w+|doubled|tripled|went up"
_DOWN = r"fell|falls|fallen|falling|dropped|drops|decreas\w+|declin\w+|shr[aiu]nk\w*|halved|went down|improved|lowered"
_FALL, _RISE = "fall|drop|decrease|decline|reduction", "rise|increase|growth"
_BETWEEN = r"(?:\s+(?!after|because|when|since|as|while|but|and|which|that|until|before)[\w./%-]+){0,5}?\s+"
_ENDS = re.compile(
    r"\bfrom\s+(?P<a>\S+)(?:\s+[^\s\d]\S*){0,3}?\s+to\s+(?P<b>\S+)"
    r"|\bto\s+(?P<b2>\S+)(?:\s+[^\s\d]\S*){0,3}?,?\s+from\s+(?P<a2>\S+)"
    r"|(?P<a3>\S+)\s?(?:->|→)\s?(?P<b3>\S+)",
    re.IGNORECASE,
)
_USUAL = re.compile(
    r"\b(?:expected|usual|usually|normal|normally|baseline|previously|used to be|formerly)\s*(?:(?:is|was|of|at|about|a"
    r"|the|value|cost|share|to be)\s+){0,3}$",
    re.IGNORECASE,
)
_USUAL_AFTER = re.compile(
    r"^\s*(?:per (?:trajectory|run|call|step)\s*)?(?:(?:of (?:the )?(?:runs|trajectories|calls))\s*)?"
    r"(?:(?:is|was|were|are)\s+)?(?:expected|usual|normal|the baseline|before the onset)\b",
    re.IGNORECASE,
)
_OBSERVED = re.compile(
    r"\b(?:observed|now|currently|today|rose to|increased to|grew to|jumped to|climbed to)\s*(?:(?:is|at|about|of|it|"
    r"costs?|stands|the)\s+){0,3}$",
    re.IGNORECASE,
)

_ABOVE = 1.05
"""A figure that lies so much above what is usual is not within it, whatever the rounding."""
_UPPER = re.compile(
    r"\b(?:below|under|at most|less than|no more than|not more than|never (?:exceeds?|above|over)|up to"
    r"|lower than|fewer than)"
    r"\s*(?:about\s*)?$",
    re.IGNORECASE,
)
_THEN = re.compile(
    r"\b(?:was|were|used to|before|until|formerly|previously|normal\w*|usual\w*|expected)\b", re.IGNORECASE
)
_NOBODY = Sides()


def contradiction(text: str, incident: Incident, sides: Sides = _NOBODY) -> str | None:
    """Return what in a statement goes against what was computed, or None. `text` is as `wording.plainly` writes it."""
    for sentence in re.split(r"(?<=[.!?;])\s+", text):
        found = (
            _swapped(sentence, incident) or _confused(sentence, incident) or _bounded(sentence, incident)
            or _directed(sentence, incident) or misjudged(sentence, incident) or miscounted(sentence, incident)
            or incomparable(sentence, sides) or uncaused(sentence, incident)
        )  # fmt: skip
        if found is not None:
            return found
    return None


def _pairs(incident: Incident) -> Iterator[tuple[float, float]]:
    """Yield what went from where to where, in every unit in which it may be written."""
    plain = [(incident.expected, incident.observed)]
    plain += [(finding.baseline, finding.value) for finding in incident.findings]
    plain += [(one.from_value, one.to_value) for one in incident.account if one.from_value and one.to_value]
    plain += [(place.expected, place.observed) for place in incident.places]
    for low, high in plain:
        for scale in (1.0, 100.0, 1000.0, 1 / 60):
            yield low * scale, high * scale


def _swapped(sentence: str, incident: Incident) -> str | None:
    """Object to ends that belong together and stand the wrong way round, or that belong to two different things."""
    names = {(one.to_value, one.from_value) for one in incident.changes if one.to_value and one.from_value}
    pairs = list(_pairs(incident))
    for match in _ENDS.finditer(sentence):
        first, second = (
            next(g for g in match.group(*names_) if g) for names_ in (("a", "a2", "a3"), ("b", "b2", "b3"))
        )
        if (first.strip("'\"`.,"), second.strip("'\"`.,")) in names:
            return f"it says from {first} to {second}; the change went the other way"
        low, high = _value(first), _value(second)
        if low is None or high is None:
            continue
        if any(_near(low, a) and _near(high, b) for a, b in pairs):
            continue
        if any(_near(low, b) and _near(high, a) for a, b in pairs):
            return f"it says from {first} to {second}; computed facts say the other way round"
        if any(_near(low, a) for a, _ in pairs) and any(_near(high, b) for _, b in pairs):
            return f"{first} and {second} are the ends of two different figures"
    return None


def _confused(sentence: str, incident: Incident) -> str | None:
    """Object to the observed value called the expected one, and the other way round."""
    expected, observed = incident.expected, incident.observed
    if incident.kind in {Kind.LOOP, Kind.RUNAWAY} or abs(expected - observed) <= 0.1 * max(
        abs(expected), abs(observed)
    ):
        return None
    for number in written(sentence):
        at = sentence.find(number.raw, max(number.start - len(number.raw), 0))
        before, after = sentence[: max(at, 0)], sentence[max(at, 0) + len(number.raw) :]
        is_low, is_high = (any(_matches(number, end * scale) for scale in (1.0, 100.0)) for end in (expected, observed))
        if is_high and not is_low and (_USUAL.search(before) or _USUAL_AFTER.search(after)):
            return f"{number.raw} is what was observed, not what was expected"
        if is_low and not is_high and _OBSERVED.search(before):
            return f"{number.raw} is what was expected, not what was observed"
    return None


def _bounded(sentence: str, incident: Incident) -> str | None:
    """Object to an upper bound that what was observed lies above."""
    if incident.ratio is None or incident.ratio < _ABOVE or _THEN.search(sentence):
        return None
    pairs = [(incident.expected, incident.observed), *((one.baseline, one.value) for one in incident.findings)]
    for number in written(sentence):
        if not _UPPER.search(sentence[: number.start].rstrip("$€£ ")):
            continue
        for low, high in pairs:
            for scale in (1.0, 100.0):
                if _matches(number, low * scale) and high > _ABOVE * low:
                    return f"{number.raw} is what was expected; what was observed lies above"
    return None


def _directed(sentence: str, incident: Incident) -> str | None:
    """Object to a fall of what rose, and to a rise of what fell."""
    ways: dict[str, set[bool]] = {}
    if incident.ratio is not None and incident.kind is not Kind.SUCCESS and incident.ratio != 1:
        for name in _named_by(incident.kind):
            ways.setdefault(name, set()).add(incident.ratio > 1)
    for factor in incident.account:
        if factor.from_value and factor.to_value and factor.from_value != factor.to_value:
            for name in factor_measures(factor.factor):
                ways.setdefault(name, set()).add(factor.to_value > factor.from_value)
    for name, directions in ways.items():
        if len(directions) > 1:
            continue
        wrong, word = (_DOWN, "fell") if True in directions else (_UP, "rose")
        noun = MEASURE[name].pattern
        move = _FALL if True in directions else _RISE
        if re.search(rf"{noun}{_BETWEEN}(?:{wrong})\b", sentence, re.IGNORECASE) or re.search(
            rf"\b(?:a|the)\s+(?:{move})"
            rf"\s+(?:in|of)\s+(?:the\s+)?{noun}",
            sentence,
            re.IGNORECASE,
        ):
            return f"it says that {name} {word}; computed facts say the opposite"
    return None


def _named_by(kind: Kind) -> frozenset[str]:
    return measures_in(kind.value.replace("-", " ").removeprefix("tool "))


def _value(word: str) -> float | None:
    numbers = written(f" {word.rstrip('.,;')} ") or written(f" {word.rstrip('.,;')}.0 ")
    return numbers[0].value if len(numbers) == 1 else None


def _matches(number: Written, value: float) -> bool:
    return abs(number.value - value) <= max(number.slack, REL_TOLERANCE * abs(value))


def _near(given: float, value: float) -> bool:
    """Agree within 5 %: the digits given were rounded."""
    return abs(given - value) <= max(0.05 * abs(value), 1e-9)
