"""Which end of a figure a number stands for: what is, what would be usual, who is hit and who is spared.

"73 s" is a true number where 148 s were measured and 73 s are usual; "latency is 73 s" is false all the same. So a
known quantity may have a role, and a sentence must say the number in that role. A usual value needs a word that says
so; a value that was observed may not be called usual; those who are hit are not those who are fine; a score is a score.
"""

from __future__ import annotations

import re

OBSERVED, EXPECTED, EXCESS, SCORE = "observed", "expected", "excess", "score"
HIT, WHOLE, SPARED = "hit", "whole", "spared"

_SENTENCE = re.compile(r"[.!?;]\s")
_PART = re.compile(
    r"[,;:](?=\s)|[()]|[.!?]\s|\s(?:where|against|instead of|rather than|than|but|and|while|whereas|not|with"
    r"|versus|vs\.?|or)\s",
    re.IGNORECASE,
)
_USUAL = re.compile(
    r"\b(?:expect\w*|usual\w*|normal\w*|baseline\w*|before|previous\w*|prior|used to|former\w*|past|was|were|had|from"
    r"|against|instead|rather|compared|comparison|than|vs|versus|not|no longer|never|ordinar\w*|earlier|where|until"
    r"|typical\w*|histor\w*|regular\w*|original\w*|healthy|peers?|old|yesterday|times)\b|->|→|\d ?x\b|\(",
    re.IGNORECASE,
)
"""What may make a number the usual one; broad, for without any of them a sentence says what is."""
CALLED_USUAL = re.compile(
    r"\b(?:used to|before the onset|in the past|ordinarily|normal(?:ly)?|usual(?:ly)?|previously|formerly|historically"
    r"|typical(?:ly)?|expected|baseline|earlier|always (?:was|were|been))\b",
    re.IGNORECASE,
)
_CONTRAST = re.compile(
    r"\b(?:above|over|beyond|times|higher|more|of (?:the |its |what )?(?:usual|normal|expected|baseline|before)"
    r"|from|up|exceed\w*|no longer|twice|now|observed|today|since|currently"
    r"|rose|fell|lower|less|too|un\w+|ab\w+|isn't|hardly|far|unlike|fold)\b|\d ?x\b",
    re.IGNORECASE,
)
_FINE = r"unaffected|fine|spared|unharmed|succeed\w*|(?:went|goes|go) well|untouched|not concerned"
_ILL = r"affected|hit|concerned|suffer\w*|involved"
_FATE = re.compile(rf"\b(?:(?P<fine>{_FINE})|(?P<ill>{_ILL}))\b", re.IGNORECASE)
_REST = re.compile(r"\b(?:the (?:rest|others?|remaining)|remaining)\b", re.IGNORECASE)
_DENIED = re.compile(r"(?:\b(?:not|never|no longer|without being)|n't)\s+(?:\w+\s+)?$", re.IGNORECASE)
_PART_OF = re.compile(r"\d\s*(?:(?:out\s+)?of|/)\s*(?:the\s+|all\s+|its\s+|these\s+|those\s+)*$", re.IGNORECASE)
_AMONG = re.compile(
    r"\b(?:of|in|among|from|over|across|within|every|per)\s+(?:(?:the|all|its|these|those|every|about)\s+)*$"
    r"|\ball\s+(?:the\s+|of the\s+)?$|\d\s?/\s?$",
    re.IGNORECASE,
)
_SCORE = re.compile(r"\b(?:scores?|thresholds?|cusum|detectors?|strength|strong\w*|evidence)\b", re.IGNORECASE)


_BEYOND = re.compile(
    r"\b(?:beyond|excess|extra|wast\w*|too much|more|over|lost|unnecessar\w*|surplus|additional\w*|on top|above"
    r"|needless\w*|overspen\w*|burn\w*|spent)\b",
    re.IGNORECASE,
)


_NEEDS = {EXPECTED: _USUAL, SCORE: _SCORE, EXCESS: _BEYOND}
"""Roles that a sentence has to name, and the words by which it does."""
_FATED = frozenset({OBSERVED, HIT, WHOLE, SPARED})
_FATES_PART = re.compile(r"[,;]\s|\.\s|\s(?:and|but|while|whereas)\s")


def plays(role: str, text: str, start: int) -> bool:
    """Tell whether the number at a place in a text may be said in this role. Texts are as `wording.plainly` writes."""
    if role in _NEEDS:
        return _NEEDS[role].search(around(_SENTENCE, text, start)) is not None
    if role in {OBSERVED, HIT} and _called_usual(around(_PART, text, start)):
        return False
    fate = _fates(around(_FATES_PART, text, start)) if role in _FATED else set()
    before = text[:start]
    if role == WHOLE:
        return not fate or _AMONG.search(before) is not None
    if role in {HIT, SPARED} and _PART_OF.search(before):
        return False
    return True in fate if role == SPARED else fate != {True}


def _called_usual(part: str) -> bool:
    return CALLED_USUAL.search(part) is not None and _CONTRAST.search(part) is None


def _fates(part: str) -> set[bool]:
    """Return whether a part of a sentence speaks of those who are fine (True), of those who are hit, or of both."""
    found = {
        (match.group("fine") is not None) != (_DENIED.search(part[: match.start()]) is not None)
        for match in _FATE.finditer(part)
    }
    return found | ({True} if _REST.search(part) else set())


def around(breaks: re.Pattern[str], text: str, at: int) -> str:
    """Return the part of a text around a place, between two breaks."""
    start, end = 0, len(text)
    for match in breaks.finditer(text):
        if match.end() <= at:
            start = match.end()
        elif match.start() >= at:
            end = match.start()
            break
    return text[start:end]
