"""How many: "all", "most", "none" and "three in ten" against the counts.

Only what is said of runs or calls as a whole is judged. "All looping runs ..." speaks of a part of them that nobody
counted, and passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from analyzer.types.report import CALLS, OF_CALLS, Incident, Kind

_UNIT = r"(?:(?P<calls>(?:tool )?calls?|invocations?|lookups?)|runs?|trajector(?:y|ies)|conversations?|sessions?)"
_AMOUNTS: tuple[tuple[str, float, float], ...] = (
    (r"(?:almost|nearly|virtually|practically) (?:all|every|each)(?: one)?", 0.8, 1.0),
    (r"not (?:all|every|each)(?: one)?", 0.0, 0.995),
    (r"hardly any|scarcely any|almost no(?:ne)?|barely any|next to no(?:ne)?|very few", 0.0, 0.15),
    (r"not (?:a|one)(?: single)?|none|no(?! longer)", 0.0, 0.005),
    (r"every (?:other|second)", 0.4, 0.6),
    (r"all|every(?: single| last)?|each(?: single)?|the whole of|any", 0.985, 1.0),
    (r"(?:the )?(?:vast|overwhelming|large|great) majority", 0.6, 1.0),
    (r"most|(?:the |a )?majority|more than half", 0.495, 1.0),
    (r"(?:only )?(?:a )?(?:small )?minority|few|fewer than half|less than half|only some|only a few", 0.0, 0.505),
)
_WHO = r"(?:\s+of)?(?:\s+(?:the|its|our|these|their))?(?:\s+\d+)?\s+" + _UNIT
_SAID = [
    (re.compile(rf"\b(?:{words}){_WHO}\b(?P<rest>[^.;!?]*)", re.IGNORECASE), low, high) for words, low, high in _AMOUNTS
]
_TIMELY = re.compile(rf"\b{_UNIT}\s+(?:is|are|was|were)\s+(?P<how>always|never)\s+(?P<rest>[^.;!?]*)", re.IGNORECASE)
_FEW = re.compile(
    rf"\b(?:(?:only|just|merely)\s+|(?=a single\b)(?<!not )(?<!by ))(?P<count>\d+|one|two|three|four|five|six"
    rf"|seven|eight|nine|a single"
    rf"|a couple of)\s+{_UNIT}\b"
    r"(?P<rest>[^.;!?]*)",
    re.IGNORECASE,
)
_IN_SO_MANY = re.compile(
    r"\b(?P<part>\d{1,2}|one|two|three|four|five|six|seven|eight|nine)\s+(?:in|out of|of)\s+(?:every\s+|the\s+)?"
    r"(?P<whole>10|100|20|[2-9]|two|three|four|five|six|seven|eight|nine)\b(?=\s*(?P<who>\w+))",
    re.IGNORECASE,
)
_DIGITS = dict(zip(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], range(1, 10), strict=True))
_HIT = re.compile(r"\b(?:affected|hit|concerned|involved|suffer\w*)\b", re.IGNORECASE)
_SPARED = re.compile(r"\b(?:unaffected|fine|spared|(?:went|go|goes) well)\b", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:not|never|no longer)\b|n't\b", re.IGNORECASE)
_NARROWED = re.compile(
    r"^\s*(?:that|which|where|with|without|in which|whose|who|since|from|on|by|before|until|until)\b"
)
_DOES = {
    Kind.ERRORS: r"fails?|errors? out|crash(?:es)?|break",
    Kind.TOOL_ERRORS: r"fails?|errors? out",
    Kind.RETRIES: r"(?:is|are) retried|has to try again|have to try again",
    Kind.TRUNCATION: r"(?:is|are) (?:cut (?:off|short)|truncated)",
    Kind.SUCCESS: r"miss(?:es)? (?:the|its|their) goals?",
    Kind.LOOP: r"loops?",
}
_DOES_RE = {kind: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for kind, words in _DOES.items()}
_NEAR = 0.06
"""How far "three in ten" may be from a share: a little more than half of one in ten."""


def shares_of(incident: Incident, *, calls: bool | None = None) -> set[float]:
    """Return the parts that were counted, from 0 to 1: of calls, of trajectories, or of both."""
    counted = {(incident.affected.trajectories, incident.affected.of, False)}
    # What another detector counted is a part of something else.
    own = [one for one in incident.findings if one.kind is incident.kind]
    counted |= {(one.affected, one.of, one.kind in OF_CALLS or one.unit == CALLS) for one in own}
    shares = {hit / of for hit, of, by_call in counted if of and (calls is None or calls is by_call)}
    if incident.kind is Kind.TOOL_ERRORS and calls is not False:
        shares.add(incident.observed)
    return shares


def miscounted(sentence: str, incident: Incident) -> str | None:
    """Return which quantifier in a sentence goes against the counts, or None."""
    for pattern, low, high in _SAID:
        for match in pattern.finditer(sentence):
            reason = _against(match, incident, (low, high))
            if reason is not None:
                return reason
        # What one form has read is not read again by a shorter one: "not all" is not "all".
        sentence = pattern.sub(lambda match: " " * len(match.group()), sentence)
    for match in _TIMELY.finditer(sentence):
        reason = _against(match, incident, (0.985, 1.0) if match.group("how").lower() == "always" else (0.0, 0.005))
        if reason is not None:
            return reason
    for match in _FEW.finditer(sentence):
        said = match.group("count").lower()
        count = int(said) if said.isdigit() else _DIGITS.get(said, 2 if "couple" in said else 1)
        own = {one.affected for one in incident.findings if one.kind is incident.kind}
        counts = {incident.affected.trajectories} | own
        if _fate(match.group("rest"), incident) == "hit" and count not in counts and any(counts):
            return f"{match.group().strip()!r} is not what was counted"
    return None


def one_in_so_many(text: str, shares: Iterable[float]) -> tuple[str, list[str]]:
    """Return a text without its "seven in ten", and those that no counted share bears out."""
    known = list(shares)
    wrong: list[str] = []

    def read(match: re.Match[str]) -> str:
        part, whole = (_number(match.group(name)) for name in ("part", "whole"))
        if not re.fullmatch(_UNIT, match.group("who"), re.IGNORECASE) or part > whole:
            return match.group()
        if not any(abs(part / whole - share) <= _NEAR for share in known):
            wrong.append(match.group())
        return " " * len(match.group())

    return _IN_SO_MANY.sub(read, text), wrong


def _number(word: str) -> int:
    return int(word) if word.isdigit() else _DIGITS[word.lower()]


def _against(match: re.Match[str], incident: Incident, bounds: tuple[float, float]) -> str | None:
    rest = match.group("rest")
    fate = "" if _NARROWED.match(rest) else _fate(rest, incident)
    shares = shares_of(incident, calls=match.group("calls") is not None) if fate else set()
    if not shares:
        return None
    low, high = bounds
    if fate == "spared":
        shares = {1 - share for share in shares}
    if any(low <= share <= high for share in shares):
        return None
    return f"{' '.join(match.group().split())[:60]!r} is not what was counted"


def _fate(rest: str, incident: Incident) -> str:
    """Return what the sentence says of those it counts: "hit", "spared", or "" where it says something else."""
    rest = re.split(r",\s|\s(?:and|but|while|because|after|so)\s", rest, maxsplit=1)[0]
    kinds = {incident.kind, *(finding.kind for finding in incident.findings)}
    ill = _HIT.search(rest) or next(
        (m for kind in kinds if kind in _DOES_RE and (m := _DOES_RE[kind].search(rest))), None
    )
    fine = _SPARED.search(rest)
    found = ill or fine
    if found is None:
        return ""
    denied = _DENIED.search(rest[: found.start()]) is not None
    return "hit" if (ill is not None) != denied else "spared"
