"""Whether a sentence speaks of what its evidence speaks of.

A quote can be verbatim and have nothing to do with the sentence above it. What can be checked by machine is that both
name something in common. Words that fit any incident ("fails", "step", "because"), and the names of the incident
itself, do not count: of the others, each part of a sentence that states a cause must share at least one with its
evidence, by the beginning of the word. A paraphrase that shares no word at all is struck out as well, with a complaint
that says so: there is a round to repair it, and a reader at night would not see the connection either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

STEM_CHARS = 7
"""Characters by which two words are the same once their endings are gone: `connection` and `connecting`."""
WORD_MIN = 4
_WORD = re.compile(r"[^\W\d_]+")
_LINK = re.compile(r"\w+\[:\]\S+|www\[\.\]\S+")
"""Addresses as `text.defuse` leaves them: they name no subject."""
_ENDING = re.compile(r"(?:ations?|ions?|ings?|edly|ed|es|ers?|s|ly|ments?|e)$")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_CAUSE = re.compile(
    r"\b(?:because(?: of)?|due to|caused by|as a result of|owing to|thanks to|triggered by|so that|leads? to|led to"
    r"|causes|caused|which (?:makes?|made|caused?|causes|leads?|led))\b",
    re.IGNORECASE,
)
_ANY_TEXT = """
    able about above account across action actual additional affected again agent agents ahead alarm alarms almost
    alone along already also although always among amount amounts analyst another answer answers anything appear
    approximately april around asked asks attempt attempts august average averages away back barely baseline became
    because become becomes been before began begin begins behind being below better between beyond both broke broken
    budget bulk call called calling calls came cannot case cause caused causes causing certain change changed
    changes cheaper chiefly claim claims clear clearly climb climbed climbs coincides come comes coming compare
    compared compares comparison considerably continue continues contribute contributed contributes cost costs could
    count critical currently days dearer december decides decisive decline declined declines decrease decreased
    decreases despite detail differ difference different does doing dollars done doubled doubling down driven drives
    drop dropped drops duration during each eight either else empty ends enough entire error errors even ever every
    everybody everything evidence exact exactly exceed exceeded exceeds exists expect expected expecting expects
    expensive explain explains extra fact factor factors failed failing fails failure failures fall fallen falls
    false fast faster february fell fewer fifths figure figures finally find finding findings finds fine first five
    flat fold folds follow following follows former found four frequently friday from full fully further gave
    generally gets getting give given gives goal goals goes going gone good grew grow grown grows half halved happen
    happened happens hard hardly have having healthy hear heard hears hence here high higher highest hits hour hours
    however identical immediately incident incomplete increase increased increases input inside instead into
    irrelevant issue itself january july jump jumped jumps june just keep keeps kept kind kinds know known knows
    large larger last lasting lasts late lately latency later latter lead leads least leaves less level levels like
    likely limit limits little long longer look looks loop looping loops lower lowest made magnitude main mainly
    majority make makes making many march markedly match matter mean means median medium might minority minute
    minutes missed misses missing model models moment monday money more most mostly move much must name named names
    near nearly need needs never next nine nobody none normal normally note noted notes nothing noticeably november
    number numbers observed occasionally occur occurs october often once ongoing only onset onto onward ordinarily
    other others otherwise output over overall part partly parts pass past peak peaked peer peers percent percentage
    perhaps persist persists place play played plays point points possible precisely present presently previously
    price prices primarily problem problems produce produces progress prompt proportion quadrupled quarters quicker
    quite quote quoted quotes range rarely rated rather rating ratio reach reached reaches read reads really reason
    reasons receive receives recently recover recovered recovers remain remains repeat repeated repeatedly repeats
    reply request requested requests resolve resolved rest result results retried retries retry retrying return
    returned returning returns right rise risen rises rising role rose roughly runs same saturday saying says second
    seconds seem seems seen sees seldom sense september serious seven several severe severity shall share shares
    sharply shorter should show shown shows side similar simply since single sits slightly slow slower slowly small
    some someone something sometimes soon sort span spans spared speak speaks spend spending spent stable stand
    stands start started starts state states stay stayed stays steadily steady step steps still stood stop stopped
    stops success successful such suddenly sunday sure take taken takes taking tell tells tenfold text than that
    their them then there therefore these they thing things third thirds this those though three through throughout
    thursday thus time times today together tokens told took tool tools total toward trace traffic trajectories
    trajectory tried tries tripled true truncated trying tuesday turn turns twenty twice typical typically
    unaffected unchanged under unless until upon used user uses using usual usually value values version very volume
    wait waiting waits want waste wasted wastes way ways wednesday well went were what when where whether which
    while whole will with within without word words work working works worse worst would write writes written wrong
    wrote year your
"""
_ANY = frozenset(_ANY_TEXT.split())
"""Words that fit any incident."""
_INFLECTED = re.compile(r"(?:ed|d|ing|s)$")
"""With these at its end such a word fits any incident as well."""


def stems(text: str) -> frozenset[str]:
    """Return the words of a text that could tie it to something, by their beginning; camelCase and snake_case split."""
    words = (word.lower() for word in _WORD.findall(_CAMEL.sub(" ", _LINK.sub(" ", text))))
    return frozenset(_stem(word) for word in words if len(word) >= WORD_MIN and not _fits_any(word))


def _fits_any(word: str) -> bool:
    return word in _ANY or _INFLECTED.sub("", word) in _ANY


def _stem(word: str) -> str:
    shorter = _ENDING.sub("", word)
    return (shorter if len(shorter) >= WORD_MIN else word)[:STEM_CHARS]


def unrelated(text: str, evidence: Iterable[str], known: frozenset[str] = frozenset()) -> str | None:
    """Return the part of a sentence that shares no word with its evidence, or None. `known`: stems that tie nothing."""
    held: set[str] = set()
    for piece in evidence:
        held |= stems(piece)
    for part in (text, *_CAUSE.split(text)[1:]):
        own = stems(part) - known
        if own and not own & held:
            return part.strip()
    return None
