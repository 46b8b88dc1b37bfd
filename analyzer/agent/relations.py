"""What a sentence says about the computed facts, beyond the numbers in it: directions, ends, main factors, changes.

A sentence can be false with nothing but true numbers in it: from and to swapped, a fall where there was a rise, the
smallest factor called the main one, a change that nobody saw. Only what is said in so many words is judged: a form of
words that is not known here passes, and a reader has the facts beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from analyzer.agent.binding import MEASURE, factor_measures, measures_in
from analyzer.agent.facts import near_onset
from analyzer.agent.numbers import REL_TOLERANCE, Written, written
from analyzer.agent.verdict import MAIN_SHARE, SHARE_MIN
from analyzer.types.report import Change, Incident, Kind

_UP = r"rose|risen|rises|rising|increas\w+|grew|grows?|grown|growing|climb\w+|jump\w+|surg\w+|doubled|tripled|went up"
_DOWN = r"fell|falls|fallen|falling|dropped|drops|decreas\w+|declin\w+|shr[aiu]nk\w*|halved|went down|improved|lowered"
_FALL, _RISE = "fall|drop|decrease|decline|reduction", "rise|increase|growth"
_BETWEEN = r"(?:\s+(?!after|because|when|since|as|while|but|and|which|that|until|before)[\w./%-]+){0,5}?\s+"
_ALONE = 0.9
"""A factor that is called the only one makes at least this part of the change."""
_ALL = re.compile(r"\b(?:entirely|solely|exclusively|all of the (?:change|rise|increase))\b", re.IGNORECASE)
_MOST = re.compile(
    r"\b(?:mainly|mostly|primarily|chiefly|largely|driven by|dominant|dominated by|(?:main|biggest|largest|chief"
    r"|primary) (?:factor|driver|cause|part|reason)|most of (?:the|this|its) (?:change|rise|increase|growth|excess|jump"
    r"|cost|difference))\b",
    re.IGNORECASE,
)
_COMES_FROM = re.compile(
    r"\b(?:comes? from|came from|due to|because of|caused by|explained by|driven by|result of|a matter of)\s+"
    r"(?:(?:the|a|an|its|higher|lower|more|fewer|rising|growing|increased|longer|another|different|dearer)\s+){0,3}"
    r"(?P<what>prices?|traffic|volume|model mix|output tokens|input tokens|tokens|steps|runs|trajectories)\b",
    re.IGNORECASE,
)
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
_CHANGED = {
    "prompt": r"(?:system )?prompts?",
    "model": r"models?",
    "version": r"versions?|releases?|deploy(?:ment)?s?|roll-?outs?|builds?",
    "price": r"prices?|pricing",
    "tools": r"tool definitions?|tool schemas?|toolset",
    "sdk": r"sdks?|library versions?",
    "parameters": r"parameters?|temperature|max_tokens",
}
_NOT = re.compile(r"\b(?:no|not|never|without|neither|nor|un\w+|didn't|wasn't|hasn't|same)\b", re.IGNORECASE)


def contradiction(text: str, incident: Incident) -> str | None:
    """Return what in a statement goes against what was computed, or None. `text` is as `wording.plainly` writes it."""
    for sentence in re.split(r"(?<=[.!?;])\s+", text):
        for found in (_swapped(sentence, incident), _confused(sentence, incident), _directed(sentence, incident),
                      _weighed(sentence, incident), _changed(sentence, incident)):  # fmt: skip
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


def _weighed(sentence: str, incident: Incident) -> str | None:
    """Object to a factor called the main or the only one, or a cause at all, against its share of the change."""
    if not incident.account or _NOT.search(sentence):
        return None
    whole = sum(factor.share for factor in incident.account if factor.share > 0)
    if whole <= 0:
        return None
    shares: dict[str, float] = {}
    for factor in incident.account:
        for name in factor_measures(factor.factor):
            shares[name] = shares.get(name, 0.0) + factor.share
    for match in _COMES_FROM.finditer(sentence):
        word = match.group("what").lower()
        name = "volume" if word in {"runs", "trajectories", "traffic", "volume"} else min(measures_in(word), default="")
        if name and shares.get(name, 0.0) < SHARE_MIN:
            return f"the account gives {word} less than a tenth of the change"
    alone = _ALL.search(sentence)
    said = alone or _MOST.search(sentence)
    if said is None:
        return None
    named = [name for name in measures_in(sentence) if name in shares]
    least = _ALONE if alone else MAIN_SHARE
    if named and max(shares[name] for name in named) < least:
        return f"the account gives {' and '.join(sorted(named))} less of the change than {said.group()!r} says"
    return None


def _changed(sentence: str, incident: Incident) -> str | None:
    """Object to a change that was not seen, to one denied that was, and to the old value called the new one."""
    seen = {change.what for change in incident.changes}
    for what, words in _CHANGED.items():
        said = re.search(
            rf"\b(?:new|changed|updated|swapped|replaced)\s+(?:\w+\s+)?(?:{words})\b"
            rf"|\b(?:changes?|switch|update|upgrade|bump|migration|move)\s+(?:of|to|in)\s+(?:the\s+|a\s+|its\s+|another\s+"
            rf"|new\s+)*(?:\w+\s+)?(?:{words})\b"
            rf"|\b(?:{words})\s+(?:change|switch|update|upgrade|bump)\b"
            rf"|\b(?:{words})\s+(?:was|were|has been|had been|got)\s+(?:not\s+|never\s+|\w+ly\s+)?"
            rf"(?:changed|switched|updated|upgraded|"
            rf"replaced|swapped|rolled out|raised|lowered)\b",
            sentence,
            re.IGNORECASE,
        )
        if said is None:
            continue
        denied = _NOT.search(sentence[max(said.start() - 24, 0) : said.end()]) is not None
        known = any(what in one or one in what for one in seen) or bool(seen - set(_CHANGED))
        if not denied and not known:
            return f"no change of {what} was seen near the onset"
        if denied and any(change.what == what for change in near_onset(incident)):
            return f"a change of {what} was seen near the onset"
    return next((why for change in incident.changes if (why := _backwards(sentence, change))), None)


def _backwards(sentence: str, change: Change) -> str | None:
    """Object to the value from before a change that is said to be what came with it."""
    old, new = change.from_value, change.to_value
    if not old or not new or old == new or re.search(rf"(?<![\w.]){re.escape(new)}(?![\w])", sentence):
        return None
    said = re.search(
        rf"\b(?:new|after|since|with the (?:release|switch)|release of|switch(?:ed)? to|roll-?out of|introduced"
        rf" (?:by|in|with)|deploy\w* of|came with|upgrade to|change to)"
        rf"\s+(?:(?:the|a|new|release|{re.escape(change.what)})\s+)*"
        rf"{re.escape(old)}(?![\w]|\.\d)",
        sentence,
        re.IGNORECASE,
    )
    return f"{old} is what was there before; {new} is what came" if said else None


def _value(word: str) -> float | None:
    numbers = written(f" {word.rstrip('.,;')} ") or written(f" {word.rstrip('.,;')}.0 ")
    return numbers[0].value if len(numbers) == 1 else None


def _matches(number: Written, value: float) -> bool:
    return abs(number.value - value) <= max(number.slack, REL_TOLERANCE * abs(value))


def _near(given: float, value: float) -> bool:
    """Agree within 5 %: the digits given were rounded."""
    return abs(given - value) <= max(0.05 * abs(value), 1e-9)
