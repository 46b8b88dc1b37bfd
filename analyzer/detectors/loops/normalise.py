"""Arguments and outcomes without their noise: when two calls are the same, and when an answer brings anything new.

Noise is what differs between two executions of the same call: ids, times, durations, temporary paths. It is masked
word by word, because a word with a digit in it is where noise lives, and words recur: each is looked at once.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
import zlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from analyzer.types.noise import NOISE, cleaned, parsed

MASKED_CHARS_MAX = 16_000
"""Longer texts are masked at both ends; the middle counts as it is."""
WORD_CHARS_MAX = 128
"""Longer words are not remembered: compact JSON is a single one, and 65,536 answers of some kB are more than a GB."""
WORDS_MAX = 400
"""Words at either end of a text that enter its shingles: bounds the work per step."""
_ERROR_CHARS = 160

_PRESENCE = re.compile(
    r"""
    [(\[]?\b(?:took|elapsed|duration|in)[\s:=]*<\*>(?:\s?(?:s|ms|sec|seconds))?[)\]]?
    | \[\s*(?:req|request|trace|id)[\s:=]*(?:<\*>|[0-9a-f]{6,})\s*\]
    | \b(?:trace_?id|request_?id|req_?id|span_?id|session_?id)["']?[\s:=]+["']?(?:<\*>|[0-9a-f]{6,})["']?
    """,
    re.VERBOSE,
)
"""Noise that is sometimes there and sometimes not: removed together with the words around it."""
_WORDY_DURATION = re.compile(r"\b(took|elapsed|duration|in)([\s:=]+)\d+(?:\.\d+)?(?=\s?(?:ms|s|sec|seconds)\b)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_DIGIT = re.compile(r"\d")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|<\*>")
_PATH = re.compile(r"(?:[\w.-]*/)+[\w.-]*")
_WORD = re.compile(r"[\w.@/#-]+")

Shingles = frozenset[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Call:
    """The identity of a call."""

    exact: str
    """Key N: the tool and its arguments, numbers kept."""
    shape: str
    """Key S: the same in lower case with every number as #."""
    numbers: tuple[float, ...]
    """The numbers in the arguments, in order: how a page or an offset moves."""
    values: Mapping[str, str]
    """Each argument as masked text; one under "" where the arguments are no object."""
    plain: str
    """The arguments as one line of masked text."""


def _noise_in(word: str) -> tuple[str, tuple[str, ...]]:
    """Return a word in lower case with its noise masked, and that noise."""
    return _looked_at(word) if len(word) > WORD_CHARS_MAX else _remembered(word)


def _looked_at(word: str) -> tuple[str, tuple[str, ...]]:
    if not _DIGIT.search(word):
        return word, ()
    # The pattern is slow, so each word is searched once.
    found = list(NOISE.finditer(word))
    ends = [0, *(one.end() for one in found)]
    starts = [*(one.start() for one in found), len(word)]
    kept = "<*>".join(word[end:start] for end, start in zip(ends, starts, strict=True))
    return kept, tuple(one[0] for one in found)


_remembered = lru_cache(maxsize=65_536)(_looked_at)


def mask(text: str) -> str:
    """Return a text in lower case, white space collapsed, with its noise masked."""
    head, middle = text, ""
    if len(text) > MASKED_CHARS_MAX:
        cut = MASKED_CHARS_MAX // 2
        middle = f" #{zlib.crc32(text[cut:-cut].encode('utf-8', 'replace')):x} "
        head = text[:cut] + " " + text[-cut:]
    folded = (head if head.isascii() else unicodedata.normalize("NFKC", head)).lower()
    words = folded.split()
    # Noise has digits, and most prose has none.
    masked = " ".join(
        [word if word.isalpha() else _noise_in(word)[0] for word in words] if _DIGIT.search(folded) else words
    )
    if "<*>" in masked or "[req" in masked or "took" in masked or "elapsed" in masked:
        masked = _PRESENCE.sub(" ", _WORDY_DURATION.sub(r"\1\2<*>", masked))
        masked = " ".join(masked.split())
    return masked + middle


def digest(text: str) -> str:
    """Return a short key for a long text."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


def shingles(masked: str) -> Shingles:
    """Return the word trigrams of a masked text, of its first and last words where it is long."""
    words = masked.split()
    if len(words) > 2 * WORDS_MAX:
        words = words[:WORDS_MAX] + words[-WORDS_MAX:]
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def jaccard(left: frozenset[Any], right: frozenset[Any]) -> float:
    """Return |intersection| / |union|; 1 for two empty sets."""
    if not left and not right:
        return 1.0
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)


def error_signature(text: str) -> str:
    """Return the head of an error without the names and numbers that vary: what kind of failure it is."""
    plain = _PATH.sub("", _QUOTED.sub("", mask(text[: 8 * _ERROR_CHARS])))
    return " ".join(_NUMBER.sub("", plain).split())[:_ERROR_CHARS]


def ids_in(text: str) -> frozenset[str]:
    """Return the ids, times and the like that stand in a text: what a later call may be about."""
    if not _DIGIT.search(text):
        return frozenset()
    words = [word for word in text.lower().split() if not word.isalpha()]
    return frozenset(chain.from_iterable(_noise_in(word)[1] for word in words))


def call_of(tool: str, arguments: str, given: AbstractSet[str] = frozenset(), *, unseen: bool = False) -> Call:
    """Return the identity of a tool call. Arguments that are no JSON are compared as text.

    Where the answer is `unseen` nothing shows which id of the arguments is noise and which is a cursor, so `exact` is
    of the arguments as they are, volatile keys and all. `given` are the ids that earlier answers brought. An id that an
    answer gave (a cursor, a customer) is what the call is about; one that nobody gave is noise. A date without a clock
    is a choice, a time of day is when it was made.
    """
    value = parsed(arguments)
    kept = cleaned(value, lambda leaf: _clean_text(leaf, given))
    text = kept if isinstance(kept, str) else json.dumps(kept, sort_keys=True, ensure_ascii=False, default=str)
    lower = text.lower()
    numbers = tuple(float(found) for found in _NUMBER.findall(lower)[:16])
    parts = kept if isinstance(kept, dict) else {"": kept}
    identity = json.dumps(value, sort_keys=True, default=str) if unseen else text
    return Call(
        exact=digest(f"{tool}\0{identity}"),
        shape=digest(f"{tool}\0{_NUMBER.sub('#', lower)}"),
        numbers=numbers,
        values={key: " ".join(_leaves(part)).lower() for key, part in parts.items()},
        plain=text,
    )


def rewording(left: Call, right: Call) -> float:
    """Return the Jaccard similarity of the words in those arguments that differ; 0 where none does.

    Arguments that stay as they are say nothing: two searches of one folder for two words are two questions.
    """
    differing = [key for key in {**left.values, **right.values} if left.values.get(key) != right.values.get(key)]
    before, after = (
        frozenset(word for key in differing for word in _WORD.findall(call.values.get(key, "")))
        for call in (left, right)
    )
    return jaccard(before, after) if differing else 0.0


def _clean_text(text: str, given: AbstractSet[str]) -> str:
    """Mask noise but keep the case: `Get` and `get` may be two things to a tool."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    if not _DIGIT.search(folded):
        return " ".join(folded.split())
    return " ".join([_clean_word(word, given) if _DIGIT.search(word) else word for word in folded.split()])


def _clean_word(word: str, given: AbstractSet[str]) -> str:
    lower = word.lower()
    if not _noise_in(lower)[1]:
        return word
    return NOISE.sub(lambda found: found[0] if found[0] in given or _DATE.fullmatch(found[0]) else "<*>", lower)


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in _leaves(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [str(value)]
