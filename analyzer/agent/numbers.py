"""Numbers in prose: read out of what the model wrote and held against what was computed.

What is checked: every number of two digits or more, every number with decimals, currency, per cent, factor (`x`,
"times") or unit of time, words such as "doubled", clock times and dates, "step 7", and names with digits (versions,
models, ids). A single digit without a unit ("two tools", "3 calls") is not: prose is full of them. Texts are read as
`wording.plainly` writes them.

What counts as proven: a known value of the same unit, of the same thing (`binding`) and with the same sign, within 1 %
or within the rounding of the digits given (`2.2` proves 2.17; `about 12,000` proves 12,345). Names must stand literally
in what was shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from analyzer.agent.binding import (
    NEARLY,
    STRANGERS,
    bound_of,
    clause_around,
    counted_after,
    fits,
    per_of,
    shared_after,
    way_of,
)
from analyzer.agent.ends import plays
from analyzer.agent.moments import untimely
from analyzer.agent.quantifiers import one_in_so_many

REL_TOLERANCE = 0.01
"""A number within 1 % of a known one agrees with it."""

USD, SHARE, RATIO, SECONDS, TOKENS, COUNT, ANY = "usd", "share", "ratio", "s", "tokens", "count", ""
STRANGE = "strange"
"""Units in which nothing is computed: other currencies, bytes. Only a quote can prove such a number."""
ROUGH_MIN, ROUGH_MAX = 0.05, 0.1
"""A number after "about" may be this far from what it stands for, and however round it is no further than that."""


_EVENTS = frozenset({"repeats", "retries", "errors"})
"""What happens in runs and is no factor of what they cost: 18 steps per run are no 18 repeats."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A known value. Shares are in per cent, times in seconds. `ANY` stands for a value without a unit."""

    value: float
    unit: str = ANY
    of: str = ""
    """What is counted, or what a share is a part of, as `binding` names it; "": not said."""
    about: str = ""
    """What it is a measure of, as `binding` writes it; "": anything."""
    role: str = ""
    """Which end of a figure it is, as `ends` names it; "": any."""
    per: str = ""
    """What an amount is of each: "run", "call", a day; "total" for what all took together; "": not said."""
    said: bool = False
    """It stands in a quote, and counts whatever the quote says. Nothing that is computed counts users or servers."""


@dataclass(frozen=True, slots=True)
class Written:
    """A number as it was written."""

    raw: str
    value: float
    unit: str
    slack: float
    """Half a unit of the last digit given."""
    of: str = ""
    """What it counts, where the text says so."""
    start: int = 0
    """Where it stands in the text."""
    end: int = 0
    """Where the text goes on after its unit."""
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What numbers and names in a text are held against."""

    quantities: frozenset[Quantity] = frozenset()
    steps_max: int = 0
    """Step numbers from 1 to this exist."""
    times: frozenset[datetime] = frozenset()
    named: Callable[[str], bool] = lambda _name: False
    """Tells whether a name with digits was shown."""
    factors: frozenset[str] = frozenset()
    """Names of the factors of the account."""
    onsets: frozenset[datetime] = frozenset()
    """The times between which it began; empty where nothing did."""
    shares: frozenset[float] = frozenset()
    """Parts of runs and calls that were counted, from 0 to 1."""

    def with_more(self, quantities: Iterable[Quantity], times: Iterable[datetime] = ()) -> Known:
        """Return these with further quantities and times."""
        more = frozenset(times)
        years = {Quantity(float(time.year)) for time in more}
        return replace(self, quantities=self.quantities | years | frozenset(quantities), times=self.times | more)


_SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "bn": 1e9, "billion": 1e9}
_UNITS = (
    (re.compile(r"%|per ?cent\b|percentage points?\b|pp\b", re.IGNORECASE), SHARE, 1.0),
    (re.compile(r"x\b|\u00d7|times\b|-?fold\b", re.IGNORECASE), RATIO, 1.0),
    (re.compile(r"usd\b|dollars?\b|us\$", re.IGNORECASE), USD, 1.0),
    (re.compile(r"(?:eur|euros?|gbp|pounds?|yen|jpy|chf|cny|inr)\b|[€£¥]", re.IGNORECASE), STRANGE, 1.0),
    (re.compile(r"(?:[kmgt]i?b|bytes?|kilobytes?|megabytes?|gigabytes?)\b", re.IGNORECASE), STRANGE, 1.0),
    (re.compile(r"cents?\b|¢", re.IGNORECASE), USD, 0.01),
    (re.compile(r"ms\b|milliseconds?\b|msec\b", re.IGNORECASE), SECONDS, 0.001),
    (re.compile(r"s\b|secs?\b|seconds?\b", re.IGNORECASE), SECONDS, 1.0),
    (re.compile(r"min\b|mins\b|minutes?\b", re.IGNORECASE), SECONDS, 60.0),
    (re.compile(r"h\b|hrs?\b|hours?\b", re.IGNORECASE), SECONDS, 3600.0),
    (re.compile(r"days?\b|d\b", re.IGNORECASE), SECONDS, 86400.0),
    (re.compile(r"weeks?\b", re.IGNORECASE), SECONDS, 7 * 86400.0),
    (re.compile(r"(?:input |output )?tokens?\b", re.IGNORECASE), TOKENS, 1.0),
)
_NUMBER = re.compile(
    r"(?P<lead>(?:about|around|roughly|nearly|almost|over|approximately|some|~|≈|c\.)\s*)?"
    r"(?P<sign>(?<![\w.)%])[-−](?=[\d$€£¥.]))?(?P<money>(?:us)?\$|€|£|¥)?\s?(?P<times>x|×)?"  # noqa: RUF001 - both signs are used for a factor
    r"(?P<digits>\d{1,3}(?:[,\u202f']\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?P<exponent>e[+-]?\d{1,3})?"
    r"(?:\s?(?P<scale>k|thousand|m|million|bn|billion)\b)?",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_@][\w@]*(?:[-./:@+][\w@]+)*|\d+(?:[-.:][\w]+){2,}|\d+[A-Za-z_][\w-]*", re.ASCII)
_STEPS = re.compile(
    r"\bsteps?\s+(?:number\s+|no\.?\s*)?#?\d+(?:\s*(?:-|–|—|to|and|or|through|,)\s*#?\d+)*",  # noqa: RUF001 - dashes
    re.IGNORECASE,
)
_RANGE_END = re.compile(r"\s?(?:-|–|—|to|or|and)\s?\d+(?:\.\d+)?", re.IGNORECASE)  # noqa: RUF001 - dashes
_OF_WHOLE = re.compile(r"(?:\s+(?:out )?of (?:the |all |its )?|\s?/\s?)[\d,]+")
"""In "12 of 40 trajectories" both numbers count trajectories."""
_AGAINST = re.compile(
    r"\b(?:against|less|lower\w*|fewer|fell|falls?|took back|takes back|offset\w*|reduc\w+|sav\w+|minus|negative\w*|"
    r"cheaper|decreas\w+|dropp?\w*|declin\w+|compensat\w+)\b",
    re.IGNORECASE,
)
_FACTOR_WORDS = {
    "doubled": 2.0, "doubling": 2.0, "doubles": 2.0, "double": 2.0, "twice": 2.0, "tripled": 3.0, "triples": 3.0,
    "trebled": 3.0, "triple": 3.0, "thrice": 3.0, "quadrupled": 4.0, "quintupled": 5.0, "halved": 0.5,
    "half": 0.5, "order of magnitude": 10.0,
}  # fmt: skip
_FACTOR_SLACK = 0.2
"""A "doubling" is a factor within a fifth of 2."""
_FACTOR_BOUNDS = {"over": (0.99, math.inf), "nearly": (0.8, 1.0), "under": (0.0, 1.0), "order of magnitude": (0.5, 3.0)}
"""Between which parts of it a factor lies that is "more than", "nearly" or "less than" doubled."""
_COUNT_WORDS = {"dozen": 12, "hundreds": 100, "thousands": 1000, "millions": 1_000_000, "dozens": 12}
"""Plurals say "at least so many"; every other number in words is a number in digits by now."""
_NOT_ALONE = frozenset({"twice", "thrice", "double", "triple", "half"})
_WORD = re.compile(
    r"\b(?P<word>twice|thrice|double|triple)(?=\s+(?:as|the|its|what|that)\b)|\b(?P<other>half(?=\s+(?:as|what"
    r"|of what)\b)|" + "|".join(word for word in [*_FACTOR_WORDS, *_COUNT_WORDS] if word not in _NOT_ALONE) + r")\b",
    re.IGNORECASE,
)
"""A call that is made twice is a small count; one that costs twice as much is a factor."""
_TRIVIAL_NAMES = re.compile(r"(?:p|P)\d{2,3}|HTTP/\d(?:\.\d)?|(?![vV]\d)[A-Za-z]+\d", re.ASCII)
"""Percentile names and words with one closing digit say nothing that a number would."""


def written(text: str) -> list[Written]:
    """Return the numbers of a text that need proof."""
    return [number for match in _NUMBER.finditer(text) if (number := _read(match, text)) is not None]


def quantities_in(text: str) -> set[Quantity]:
    """Return the numbers that stand in a quote, as known values of their own unit."""
    return {Quantity(number.value, number.unit, said=True) for number in written(text)} | {
        Quantity(float(digits), said=True) for digits in re.findall(r"(?<![\w.])\d{2,15}(?![\w.])", text)
    }


def quantities_of(text: str) -> set[Quantity]:
    """Return the numbers of a sentence that was computed, each of what it counts there; those of times are none."""
    text, _ = untimely(text, (), ())
    return {Quantity(one.value, one.unit, one.of) for one in written(text)}


def unproven(text: str, known: Known, context: str = "") -> list[str]:
    """Return the numbers, times, steps and names with digits in a text that nothing known bears out.

    `context` is the same text, as long, with what was blanked out in it: it says what the numbers are said of.
    """
    context = context or text
    wrong: list[str] = []

    def take(pattern: re.Pattern[str], check: Callable[[re.Match[str]], bool], rest: str) -> str:
        def replace(match: re.Match[str]) -> str:
            if not check(match):
                wrong.append(match.group().strip())
            return " " * len(match.group())

        return pattern.sub(replace, rest)

    rest, late = untimely(text, known.times, known.onsets)
    rest, many = one_in_so_many(rest, known.shares) if known.shares else (rest, [])
    wrong += late + many
    rest = take(_STEPS, lambda match: _steps_known(match.group(), known), rest)
    rest = take(_WORD, lambda match: _word_known(match, known, context), rest)

    def name(match: re.Match[str]) -> str:
        word = match.group()
        if not any(char.isdigit() for char in word) or re.fullmatch(r"[x×]?\d+(?:\.\d+)?[A-Za-z%]{1,8}", word):  # noqa: RUF001 - both signs
            return word
        if re.fullmatch(r"x\d+|\d+(?:\.\d+)?-fold", word):
            return word
        if not _TRIVIAL_NAMES.fullmatch(word) and not known.named(word):
            wrong.append(word)
        return " " * len(word)

    rest = _NAME.sub(name, rest)
    wrong.extend(number.raw for number in written(rest) if not _number_known(number, known, context))
    return wrong


def _read(match: re.Match[str], text: str) -> Written | None:
    start = match.start("times") if match.group("times") else match.start("digits")
    before = text[start - 1 : start]
    if before.isalnum() or before in {"_", "."}:
        return None
    digits = re.sub(r"[,\u202f']", "", match.group("digits"))
    value = float(digits + (match.group("exponent") or ""))
    after = text[match.end() :]
    unit, factor, length = _unit(match, after)
    scale = _SCALES.get((match.group("scale") or "").lower(), 1.0)
    decimals = len(digits.partition(".")[2])
    whole = _OF_WHOLE.match(after)
    of_whole = counted_after(after[whole.end() :]) if whole is not None else ""
    if decimals == 0 and len(digits) == 1 and unit == ANY and scale == 1.0 and of_whole != "trajectories":
        return None
    slack = plain = 0.5 * 10.0**-decimals * scale * factor
    if match.group("lead") and decimals == 0:
        slack *= 10.0 ** (len(digits) - len(digits.rstrip("0")))
    if math.isinf(value):
        # Beyond what a number holds ("1e999", a hash like "12e9876"): no fact has it, so nothing is near it.
        slack = plain = 0.0
    elif match.group("exponent"):
        slack *= 10.0 ** float(match.group("exponent")[1:])
    if match.group("lead") and value and not math.isinf(value):
        amount = value * scale * factor
        slack = max(plain, min(max(slack, ROUGH_MIN * amount), ROUGH_MAX * amount))
    of = shared_after(after) if unit == SHARE else counted_after(after) if unit in {ANY, TOKENS} else ""
    if unit == ANY and not of:
        of = of_whole
    return Written(
        raw=match.group().strip() + after[:length],
        value=value * scale * factor,
        unit=unit,
        slack=slack,
        of=of,
        start=match.start("digits"),
        end=match.end() + length,
        negative=match.group("sign") is not None,
    )


def _unit(match: re.Match[str], after: str) -> tuple[str, float, int]:
    """Return the unit of a number, what it is worth in ours, and how many characters of the text after it say so."""
    money = match.group("money")
    if money:
        return (USD if "$" in money else STRANGE), 1.0, 0
    if match.group("times"):
        return RATIO, 1.0, 0
    tail = after.lstrip(" -\u00a0\u202f")
    gap = len(after) - len(tail)
    if gap <= 1:
        for pattern, unit, factor in _UNITS:
            found = pattern.match(tail)
            if found is not None:
                return unit, factor, gap + found.end()
    span = _RANGE_END.match(after)
    if span is not None:
        # "5 to 9 %": the first number has the unit of the second.
        for pattern, unit, factor in _UNITS:
            if pattern.match(after[span.end() :].lstrip(" ")):
                return unit, factor, 0
    return ANY, 1.0, 0


def _number_known(number: Written, known: Known, text: str) -> bool:
    clause = clause_around(text, number.start)
    per = per_of(text, number.end, clause) if number.unit in {USD, SECONDS, TOKENS} else ""
    way = way_of(text, number.start, number.end) if number.unit in {SHARE, RATIO} else ""
    bound = bound_of(text, number.start)
    for quantity in known.quantities:
        if quantity.per and per and per != quantity.per:
            continue
        if not plays(quantity.role, text, number.start):
            continue
        if _agrees(number, quantity, clause, known.factors, way) or (
            bound and _within(number, quantity, clause, known.factors, bound)
        ):
            return True
    return False


def _agrees(number: Written, quantity: Quantity, clause: str, factors: frozenset[str], way: str) -> bool:
    if not _counts(number.of, quantity) or not fits(quantity.about, clause, factors):
        return False
    if number.of in _EVENTS and quantity.about.startswith("factor:"):
        return False
    if number.of and number.unit == ANY and quantity.unit not in {ANY, COUNT, TOKENS}:
        # 14 s are no 14 runs.
        return False
    # What worked against the change has a negative share: to write it without its sign needs a word that says so.
    if (quantity.value < 0) != number.negative and not (quantity.value < 0 and _AGAINST.search(clause)):
        return False
    if number.of and number.unit == SHARE and quantity.unit == RATIO:
        # A factor of 1.8 is "up 80 %", and never "80 % of the runs".
        return False
    return any(_close(number.value, value, number.slack) for value in _as_unit(quantity, number.unit, way))


def _within(number: Written, quantity: Quantity, clause: str, factors: frozenset[str], bound: str) -> bool:
    """Tell whether a factor or a counted share lies beyond a round bound: "more than half" of 62 %."""
    if number.unit not in {SHARE, RATIO} or quantity.unit != number.unit or quantity.of != number.of:
        return False
    if (number.unit == SHARE and not quantity.of) or not fits(quantity.about, clause, factors):
        return False
    if bound == "nearly":
        return NEARLY * number.value <= quantity.value <= number.value
    return quantity.value > number.value if bound == "over" else quantity.value < number.value


def _counts(of: str, quantity: Quantity) -> bool:
    """Tell whether a quantity may be one of what a number counts."""
    if of and quantity.of and of != quantity.of:
        return False
    return of != STRANGERS or quantity.said or quantity.of == STRANGERS


def _as_unit(quantity: Quantity, unit: str, way: str) -> tuple[float, ...]:
    """Return the value as it would be written in a unit; nothing where that would say something else.

    `way` is how the text says a factor, as `binding.way_of` names it: 2.05 is "up 105 %" and "205 % of the usual".
    """
    value, own = abs(quantity.value), quantity.unit
    if unit == own == RATIO and way == "less":
        return (1 / value,) if 0 < value < 1 else ()
    if unit == own:
        return (value,)
    if unit == ANY:
        return (value, value * 1000) if own == SECONDS else (value,)
    if unit == RATIO:
        # "Three times" counts repetitions; "three times the usual" is a factor, and no count bears it out.
        return (value,) if own == COUNT and quantity.of != "trajectories" and not way else ()
    if unit == SHARE and own == RATIO:
        more, less = (max(value - 1, 0.0) * 100,), (max(1 - value, 0.0) * 100,)
        return {"more": more, "less": less, "of": (value * 100,)}.get(way, (value * 100, abs(value - 1) * 100))
    return ()


def _close(written_value: float, value: float, slack: float) -> bool:
    gap = abs(written_value - value)
    return gap <= max(slack * 1.0000001, REL_TOLERANCE * abs(value))


def _steps_known(text: str, known: Known) -> bool:
    return all(1 <= int(digits[:9]) <= known.steps_max for digits in re.findall(r"\d+", text))


def _word_known(match: re.Match[str], known: Known, text: str) -> bool:
    word = (match.group("word") or match.group("other")).lower()
    factor = _FACTOR_WORDS.get(word)
    clause = clause_around(text, match.start())
    of = counted_after(text[match.end() :])
    fitting = [one for one in known.quantities if _counts(of, one) and fits(one.about, clause, known.factors)]
    if factor is not None:
        ratios = [one.value for one in fitting if one.unit == RATIO]
        low, high = _FACTOR_BOUNDS.get(bound_of(text, match.start()) or word, (1 - _FACTOR_SLACK, 1 + _FACTOR_SLACK))
        return any(low * factor <= value <= high * factor for value in ratios)
    value = float(_COUNT_WORDS[word])
    if word.endswith("s"):
        return any(q.unit in {ANY, COUNT, TOKENS, RATIO} and q.value >= value for q in fitting)
    return any(_close(value, abs(q.value), 0.5) for q in fitting)
