"""One text of an answer against everything it may rest on: why it cannot stand, in words its author can act on.

What is checked is the text as it would be printed: links, tags and hidden characters are gone by then, and nothing that
they kept apart can come together behind the gate's back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from analyzer.agent.causes import denies_release
from analyzer.agent.compared import Sides
from analyzer.agent.course import unmeasured
from analyzer.agent.numbers import Known, unproven
from analyzer.agent.relations import contradiction
from analyzer.agent.shown import Shown
from analyzer.agent.subjects import stems, unrelated
from analyzer.agent.text import find_verbatim
from analyzer.agent.wording import objection, plainly
from analyzer.types.report import Incident

WORDS_MIN = 3
"""Shorter quoted words are signs and letters that stand everywhere."""
VERBATIM_MIN = 8
"""A piece of evidence of so many characters that stands in a sentence is a quote there, with or without its marks."""
_QUOTED = re.compile(
    r"\"([^\"]*)\"|[“„«「‹]([^“”„«»「」‹›]*)[”“»」›]|`+([^`]+)`+|(?<!\w)'([^']{8,400})'(?!\w)|‘([^‘’]{3,400})’(?!\w)"  # noqa: RUF001 - quotation marks of several languages
)
"""Words in quotation marks, pair by pair."""
_PREFIXES = re.compile(r"(?<!\w)[0-9a-f]{8,31}(?!\w)")
_IDS = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{16})(?![0-9a-fA-F])")
_IDENTIFIERS = re.compile(
    r"(?<![\w.])[A-Za-z]\w*_\w+"
    r"|(?<![\w.])[a-z]+[A-Z]\w+"
    r"|(?<![\w.])(?:gpt|claude|gemini|llama|mistral|mixtral|qwen|deepseek|grok|kimi|command-r|phi)-[\w.-]*\w"
    r"|\b(?:agent|tool|table|model|service)\s+(?P<after>[A-Za-z][\w]*(?:[-.]\w+)+)"
    r"|(?<![\w.])(?P<before>[A-Za-z][\w]*(?:[-.]\w+)+)(?=\s+(?:agent|tool|table|model)\b)"
)
"""Names that somebody gave to something: of a tool, a field, a table, an agent, a model."""
_ORDINARY = re.compile(
    r"[a-z]+-(?:based|side|level|time|specific|related|facing|free|read|only|in|up|out|off|prone|wide|call|first|like)",
    re.IGNORECASE,
)
RELEASED = stems("release releases deploy deploys deployed deployment rollout upgrade upgrades migration")
_STEPS = re.compile(r"\bsteps?\s+#?(\d+)(?:\s*(-|–|to|through|and|or|,)\s*#?(\d+))?", re.IGNORECASE)  # noqa: RUF001 - a dash


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a statement may rest on."""

    known: Known
    shown: Shown
    incident: Incident
    quotes: Sequence[str] = ()
    """Verbatim stretches of its own evidence."""
    texts: Sequence[str] | None = None
    """What its evidence speaks of; None where it need not rest on any (advice, and what would refute it)."""
    names: frozenset[str] = frozenset()
    """Stems of names that tie a sentence to nothing: of the incident, and of the spans quoted."""
    trace_ids: frozenset[str] = frozenset()
    """Of the case: a prefix names them."""
    computed: bool = False
    """Whether its evidence may measure more than the detectors found."""
    sides: Sides = field(default_factory=Sides)
    """The runs that a sentence may compare."""
    steps: frozenset[int] = field(default_factory=frozenset)
    """Numbers of the steps that its evidence is about; empty: not known."""


def why_not(printed: str, raw: str, grounds: Grounds) -> str | None:
    """Return why a statement does not stand, or None. `printed` is `raw` as the report would have it."""
    unreadable = objection(raw) or objection(printed)
    if unreadable is not None:
        return unreadable
    line = " ".join(printed.split())
    for match in _IDS.finditer(line):
        if not grounds.shown.names(match.group()):
            return f"id {match.group()} is not in the case"
    for words in (" ".join(quote.split()) for quote in grounds.quotes):
        # First, whole: a quote may hold quotation marks of its own.
        line = line.replace(words, " ") if len(words) >= VERBATIM_MIN else line
    unquoted = _unquoted(line, grounds)
    if unquoted is not None:
        return f"{unquoted!r} stands in quotation marks but was not shown"
    # Verbatim words say what they say; a number in quotation marks is a number.
    own = _QUOTED.sub(
        lambda match: " " if len(match.group().split()) > 1 or not _numeric(match.group()) else match.group(), line
    )
    plain = plainly(own)
    wrong = unproven(_without_ids(plain, grounds), grounds.known, plain)
    if wrong:
        return f"{', '.join(wrong[:4])}: not borne out by facts or by its evidence"
    return _why_not_stated(own, plain, grounds) if grounds.texts is not None else None


def _numeric(text: str) -> bool:
    return any(char.isnumeric() for char in text)


def _without_ids(text: str, grounds: Grounds) -> str:
    """Blank out ids of the case, and their prefixes: they were looked up, and are no numbers."""
    text = _IDS.sub(lambda match: " " * len(match.group()), text)
    return _PREFIXES.sub(
        lambda match: (
            " " * len(match.group())
            if any(one.startswith(match.group()) for one in grounds.trace_ids)
            else match.group()
        ),
        text,
    )


def _why_not_stated(line: str, plain: str, grounds: Grounds) -> str | None:
    """Return why a statement of what is does not stand; advice need not be true yet."""
    for match in _IDENTIFIERS.finditer(line):
        name = match.group("after") or match.group("before") or match.group()
        if not _ORDINARY.fullmatch(name) and not grounds.shown.names(name):
            return f"the name {name!r} was not shown"
    if not _about_steps(plain, grounds.steps):
        return "it names other steps than its evidence is of"
    against = contradiction(plain, grounds.incident, grounds.sides)
    if against is None and not grounds.computed:
        against = unmeasured(plain, grounds.incident)
    if against is not None:
        return against
    names = grounds.names | (RELEASED if grounds.incident.findings and denies_release(plain) else frozenset())
    loose = unrelated(_without_ids(line, grounds), grounds.texts or (), names)
    if loose is not None:
        return f"{loose[:80]!r} shares no word with its evidence; say it in the words of what you cite"
    return None


def steps_in(text: str) -> frozenset[int]:
    """Return the numbers of the steps that a text names; of a range its ends and what lies between."""
    found: set[int] = set()
    for match in _STEPS.finditer(text):
        first = int(match.group(1)[:9])
        last = int(match.group(3)[:9]) if match.group(3) else first
        joined = match.group(2) in {"-", "–", "to", "through"}  # noqa: RUF001 - a dash
        found |= set(range(first, min(last, first + 10_000) + 1)) if joined else {first, last}
    return frozenset(found)


def _about_steps(text: str, steps: Collection[int]) -> bool:
    named = steps_in(text)
    return not named or not steps or bool(named & set(steps))


def _unquoted(line: str, grounds: Grounds) -> str | None:
    for match in _QUOTED.finditer(line):
        words = next((group for group in match.groups() if group), "")
        if len("".join(words.split())) < WORDS_MIN:
            continue
        if not grounds.shown.contains(words) and not any(find_verbatim(words, quote) for quote in grounds.quotes):
            return words
    return None
