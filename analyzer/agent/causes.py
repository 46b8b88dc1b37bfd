"""What a sentence says the cause is: factors against their share of the change, changes against what was seen.

Factors and changes make the incident's measure rise, and not the other way round. A factor may be called the cause, the
main one or the only one by its share of the account; a change must have been seen.
"""

from __future__ import annotations

import re

from analyzer.agent.binding import factor_measures, measures_in
from analyzer.agent.facts import near_onset
from analyzer.agent.verdict import MAIN_SHARE, SHARE_MIN
from analyzer.types.report import Change, Factor, Incident

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


def uncaused(sentence: str, incident: Incident) -> str | None:
    """Return what a sentence says of causes that goes against the account or the changes, or None."""
    return (
        _turned_round(sentence, incident) or _blamed(sentence, incident) or _weighed(sentence, incident)
        or _changed(sentence, incident) or _released(sentence, incident)
    )  # fmt: skip


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


_PASSIVE = re.compile(
    r"^(?P<effect>.*?)\b(?:because(?: of)?|due to|caused by|as a result of|owing to|thanks to|triggered by|stems? from"
    r"|driven by|explained by|follows from|comes? from)\b(?P<cause>.*)$",
    re.IGNORECASE,
)
_ACTIVE = re.compile(
    r"^(?P<cause>.*?)\b(?:caused|causes|led to|leads to|lead to|triggered|triggers|drove|drives|resulted in|results in"
    r"|brought about|made)\b(?!\s+by\b)(?P<effect>.*)$",
    re.IGNORECASE,
)


def _turned_round(sentence: str, incident: Incident) -> str | None:
    """Object to the incident's own measure as the cause of a change or of a factor of it."""
    own = measures_in(incident.kind.value.replace("-", " ").removeprefix("tool "))
    match = _PASSIVE.match(sentence) or _ACTIVE.match(sentence)
    if match is None or not own or _NOT.search(sentence):
        return None
    cause, caused = (_without_factors(match.group(name), incident) for name in ("cause", "effect"))
    (cause_left, factors_before), (effect_left, factors_after) = cause, caused
    changed = {change.what for change in incident.changes if change.what in _CHANGED}
    of_change = {what for what in changed if re.search(rf"\b(?:{_CHANGED[what]})\b", effect_left, re.IGNORECASE)}
    before = any(re.search(rf"\b(?:{words})\b", cause_left, re.IGNORECASE) for words in _CHANGED.values())
    if before or factors_before or not own & measures_in(cause_left) or own & measures_in(effect_left):
        return None
    if not of_change and not factors_after:
        return None
    what = min(of_change | factors_after)
    return f"it has cause and effect the wrong way round: {what} is what the rise comes from"


def _without_factors(text: str, incident: Incident) -> tuple[str, set[str]]:
    """Return a text without the names of the account's factors, and those names."""
    named = set()
    for factor in sorted(incident.account, key=lambda one: -len(one.factor)):
        shorter = re.sub(rf"\b{re.escape(factor.factor)}\b", " ", text, flags=re.IGNORECASE)
        named |= {factor.factor} if shorter != text else set()
        text = shorter
    return text, named


_BLAMES = (
    r"explains?|explained|drives?|drove|causes?|caused|is (?:what|to blame|at fault|behind|responsible)"
    r"|(?:is|was|are|were) (?:the |a )?(?:root |main |real |actual )?(?:cause|reason|driver|culprit)"
)
_LITTLE = re.compile(
    r"\b(?:little|hardly|barely|none|nothing|only|part|partly|some|small|minor|least|least of|fraction)\b|\d ?%",
    re.IGNORECASE,
)
_ACQUITS = (
    r"(?:has|have|had) nothing to do|plays? no (?:part|role)|(?:is|are|was|were) (?:irrelevant|not (?:the|a|to) )"
    r"|(?:does|do|did) not (?:matter|explain|contribute|change|play)|made no difference|makes no difference"
)
_NOT_FROM = (
    r"(?:not|never|nothing)\s+(?:\w+\s+){0,2}?(?:come from|due to|because of|caused by|explained by"
    r"|driven by|a matter of)\s+(?:the\s+|higher\s+|more\s+)*"
)


def _blamed(sentence: str, incident: Incident) -> str | None:
    """Object to a small factor called the cause, to a large one acquitted, and to one called the only one."""
    for factor in incident.account:
        name = rf"(?<![\w ]per )(?<!\w-)\b{re.escape(factor.factor)}"
        reason = _unjust(sentence, factor, name)
        if reason is not None:
            return reason
    return None


def _unjust(sentence: str, factor: Factor, name: str) -> str | None:
    def said(*patterns: str) -> bool:
        return any(re.search(pattern, sentence, re.IGNORECASE) for pattern in patterns)

    denied = _NOT.search(sentence) is not None
    blamed = (
        rf"{name}\s+(?:{_BLAMES})\b(?!\s+by)",
        (
            rf"\b(?:due to|because of|caused by|driven by|comes? from|result of|thanks to)\s+"
            rf"(?:(?:the|a|higher|more|rising|increased)\s+)*{name}\b(?! per)"
        ),
    )
    alone = (
        rf"{name}\s+alone\b",
        rf"\b(?:only|solely|nothing but)\s+(?:the\s+)?{name}\s+(?:changed|rose|grew|fell)",
    )
    if factor.share < SHARE_MIN and not denied and not _LITTLE.search(sentence) and said(*blamed):
        return f"the account gives {factor.factor} less than a tenth of the change"
    most = (
        rf"{name}\s+(?:accounts? for|makes?(?: up)?|explains?|is|are|causes?)\s+(?:almost |nearly )?(?:most"
        rf"|the bulk|the majority|all)\b"
    )
    if factor.share < MAIN_SHARE and not denied and said(most):
        return f"the account gives {factor.factor} less than half of the change"
    if factor.share >= MAIN_SHARE and said(rf"{name}\s+(?:{_ACQUITS})", rf"{_NOT_FROM}{name}\b(?! per)"):
        return f"the account gives {factor.factor} at least half of the change"
    if factor.share < _ALONE and not denied and said(*alone):
        return f"{factor.factor} is not the only factor of the change"
    return None


_RELEASE = r"(?:releases?|deploy(?:ment|ments|ed|s)?|roll-?outs?|upgrades?|migrations?)"
_NO_RELEASE = re.compile(rf"\b(?:no|not|without|never|neither|nor)\b[^.;,]{{0,30}}\b{_RELEASE}\b", re.IGNORECASE)


def denies_release(text: str) -> bool:
    """Tell whether a text says that there was no release: whether that holds is looked up, whatever it cites."""
    return _NO_RELEASE.search(text) is not None


_RELEASES = {"version": {"version", "prompt", "model", "tools", "sdk", "parameters"}}
"""Any of these may have come with what people call a release."""
_OF_WHAT = re.compile(
    r"\b(?:release|roll-?out|deployment|introduction) of\s+(?!(?:the|an?|its|this|that|new|version|prompt|model"
    r"|agent|v)\b)"
    r"(?P<x>[\w.@:/-]+)",
    re.IGNORECASE,
)


def _released(sentence: str, incident: Incident) -> str | None:
    """Object to what is said to have come with a release, a prompt or a model where there was none."""
    seen = {change.what for change in incident.changes}
    if denies_release(sentence) and any(change.what == "version" for change in near_onset(incident)):
        return "a change of version was seen near the onset"
    if seen - set(_CHANGED):
        return None
    for what, words in _CHANGED.items():
        said = re.search(
            rf"\b(?:an?|another|the (?:latest|last|recent|new)|some)\s+(?:\w+\s+)?(?:{words})\s+(?:has |have |had )?"
            rf"(?:caused|causes|broke|made|led|triggered|introduced|is to blame|is behind|is responsible|is at fault)\b"
            rf"|\b(?:beg[au]n|starts?|started|rose|fell|came|caused|broken|due|because|triggered|comes?|introduced)\s+"
            rf"(?:with|after|since|by|from|to|of)\s+(?:an?|another|the (?:latest|last|recent|new))\s+"
            rf"(?:\w+\s+)?(?:{words})\b",
            sentence,
            re.IGNORECASE,
        )
        if said is not None and not seen & _RELEASES.get(what, {what}) and not _NOT.search(sentence):
            return f"no change of {what} was seen near the onset"
    names = {one for change in incident.changes for one in (change.to_value, change.from_value) if one}
    for match in _OF_WHAT.finditer(sentence):
        if names and match.group("x").strip("'\"`.,") not in names:
            return f"no release of {match.group('x')} was seen"
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
