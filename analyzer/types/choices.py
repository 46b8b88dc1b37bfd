"""What an agent chose in a tool call, and which kind of task it was about: what choices are counted by.

Both are read once, when a span arrives, from masked text. They are coarse on purpose: a choice that is spelt in ten
ways, or a kind of task that nobody meets twice, cannot be compared with yesterday's.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from analyzer.types.sql import is_sql, tables_of

TOOL = "tool"
"""`what` of the choice among tools; an argument of that name goes by `tool argument`."""
TABLES = "tables"
"""`what` of the tables that a statement in any argument touches."""
BARE = "input"
"""`what` of an argument that has no name."""
CHOICES_MAX = 16
"""Of one call, the tool included."""
VALUE_CHARS_MAX = 64
NAME_CHARS_MAX = 40
ARGUMENTS_CHARS_MAX = 100_000
"""Longer arguments are a document and no choice: only the tool counts."""
LIST_MAX = 4
"""A longer list is data, not a choice."""
TASK_WORDS_MAX = 12
GOAL_CHARS_MAX = 600
"""Characters of a goal that its first words are looked for in."""
TASK_WORD_CHARS_MAX = 24

_WRAPPERS_MAX = 3
_IDENTIFIER = re.compile(r"[^\W\d](?:[\w.:/-]*\w)?|\d+[a-z]\w*")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/@\s]*@)?([^/\s:?#]+)", re.IGNORECASE)
_DATE = re.compile(r"(?:19|20)\d\d(?:[_.-]?\d\d){0,2}(?!\d)")
_DIGITS = re.compile(r"\d{3,}")
_JOINTS = re.compile(r"[._:/#-]")
_RANDOM = re.compile(r"(?=[a-z]*\d)[0-9a-f]{8,}|[a-z]*\d+[a-z]+\d+[a-z0-9]*", re.IGNORECASE)
_PATH = re.compile(
    r"""\w:/ | \w*/.*/ | .*/[^/]*\.[a-z]\w{0,4}$
    | [^/]*\.(?:md|txt|py|js|ts|jsx|tsx|json|jsonl|csv|tsv|ya?ml|toml|xml|html?|pdf|png|jpe?g|gif|svg|log|sql|sh|go|rs
      |java|c|h|cc|cpp|hpp|cs|rb|php|ipynb|parquet|xlsx?|docx?|pptx?|zip|gz|tar|ini|cfg|conf|lock|css)$""",
    re.IGNORECASE | re.VERBOSE,
)
_NOTHING = frozenset({"null", "undefined"})


@dataclass(frozen=True, slots=True)
class Shifted:
    """Which choice took the place of which: what trajectories at fault are recognised by."""

    what: str
    """"tool", or the argument's name; "tables" for the tables of a statement."""
    usual: str | None
    picked: str | None
    """None where nothing took the place of the usual choice."""
    task: str | None = None
    """The kind of task that it happens on; None where on several."""
    worse: bool = False
    """Whether runs with the new choice fail more often than runs used to."""


def choices_of(tool: str, arguments: str) -> tuple[tuple[str, str], ...]:
    """Return (what, value) for each choice in one tool call: first the tool, then its arguments by name.

    `arguments` is the JSON text as recorded; text that is no JSON is looked at as a statement. An argument is a choice
    where its value is a name: an enum, a table, an index, a region, a repository, a host, yes or no. Numbers, dates,
    ids, paths and free text are none; dates and long numbers inside a name become `#`, so that `events_20261125` is the
    same choice every day. Short lists count value by value. Objects below the top level are not looked into, but one
    that wraps all arguments is opened. At most 16 choices; time linear in the text. Never raises.
    """
    found: dict[tuple[str, str], None] = {(TOOL, tool.strip()[:VALUE_CHARS_MAX]): None}
    for what, value in _values(arguments):
        if len(found) >= CHOICES_MAX:
            break
        found[what, value] = None
    return tuple(found)


def _values(arguments: str) -> Iterator[tuple[str, str]]:
    for name, value in _named(arguments):
        if isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, str) and is_sql(value):
            yield from ((TABLES, _masked(table)[:VALUE_CHARS_MAX]) for table in tables_of(value))
        elif isinstance(value, str) and (chosen := _chosen(value)) is not None:
            yield name, chosen


def _named(arguments: str) -> Iterator[tuple[str, Any]]:
    """Yield the scalars of the top level by name, in the order of the names: callers may spell them in any order."""
    if len(arguments) > ARGUMENTS_CHARS_MAX:
        return
    value = _opened(arguments)
    if not isinstance(value, Mapping):
        yield BARE, value
        return
    for name in sorted(value, key=str):
        one = value[name]
        what = f"{TOOL} argument" if name == TOOL else str(name)[:NAME_CHARS_MAX]
        if not isinstance(one, list):
            yield what, one
        elif len(one) <= LIST_MAX:
            yield from ((what, part) for part in one)


def _opened(arguments: str) -> Any:
    """Return what the JSON text holds, without wrappers: JSON in JSON, `{"input": {...}}`."""
    value: Any = arguments
    for _ in range(_WRAPPERS_MAX):
        if isinstance(value, str) and value.lstrip()[:1] in {"{", '"'}:
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return value
        elif isinstance(value, Mapping) and len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
            value = inner
        else:
            return value
    return value


def _chosen(value: str) -> str | None:
    """Return a value as a choice, or None where it is none."""
    value = value.strip()
    if url := _URL.match(value[: 4 * VALUE_CHARS_MAX]):
        return _masked(url[1].lower())[:VALUE_CHARS_MAX]
    if len(value) > VALUE_CHARS_MAX or not _IDENTIFIER.fullmatch(value) or _PATH.match(value) or value in _NOTHING:
        return None
    masked = _masked(value)
    return None if any(map(_RANDOM.fullmatch, _JOINTS.split(masked))) else masked


def _masked(name: str) -> str:
    """Return a name without what changes by itself: dates and numbers of three digits and more."""
    return _DIGITS.sub("#", _DATE.sub("#", name))


_NOISE = r"""
      <[a-z]+:[0-9a-f]+>                                # a pseudonym of the masker
    | (?<![a-z0-9+.-])[a-z][a-z0-9+.-]*+://\S+          # URL
    | (?<![\w.+-])[\w.+-]++@\S+                         # address
    | ```.*?(?:```|\Z) | `[^`]*` | "[^"]*" | \u201c[^\u201d]*\u201d | (?<!\w)'[^'\n]*'(?!\w)
    | (?:[~.]{0,2}/|\w:\\)[^\s,;]+ | (?<![\w/])\w++(?:/\w++)*+\.[a-z]{1,4}\b    # path, file
    | (?<!\S)\S*\d\S*                                  # whatever holds a digit
    """
_PIECE = re.compile(
    rf"""(?P<noise>{_NOISE}) | [^\W\d_]+(?:['\u2019](?!{_NOISE})[^\W\d_]+)?(?!:\\[^\s,;]) | [#.?!:\n]""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
"""Noise, a word, or the end of a sentence. A word ends where noise begins in it: behind an apostrophe, before `:\\`."""
_SENTENCE_ENDS = frozenset(".?!:\n")
_KIND_KEYS = ("type", "kind", "task", "action", "event", "intent")


def task_of(goal: str) -> str:
    """Return a short key of the kind of task: equal for goals of the same form, "" where there is nothing to go by.

    The first twelve words in lower case, where everything that names one case is `#`: numbers, ids, dates, addresses,
    paths, quoted text, and capitalised words inside a sentence. Of a goal in JSON, its keys and its type. The key can
    be read: "refund order # for #". Limits: a goal in free words of a user is a kind of its own; names in lower case
    count as words; a language that capitalises its nouns gets fewer, wider kinds; goals that begin with the same twelve
    words are one kind. Never raises.
    """
    return _task_of(goal[:GOAL_CHARS_MAX])


@lru_cache(maxsize=1_024)
def _task_of(goal: str) -> str:
    """Return the kind of task of a goal that is cut. Each inference of a conversation repeats it."""
    goal = unicodedata.normalize("NFKC", goal).strip()
    if goal.startswith("{") and (keys := _form(goal)):
        return keys
    words: list[str] = []
    starts = True
    for word in _words(goal):
        if word in _SENTENCE_ENDS:
            starts = True
            continue
        named = word != "#" and not starts and word[0].isupper()
        shown = "#" if named else word.lower()[:TASK_WORD_CHARS_MAX]
        starts = False
        if shown != "#" or words[-1:] != ["#"]:
            words.append(shown)
        if len(words) >= TASK_WORDS_MAX:
            break
    return " ".join(words) if any(word != "#" for word in words) else ""


def _words(goal: str) -> Iterator[str]:
    """Yield words and ends of sentences, `#` for noise, piece by piece: after the twelfth word nobody reads on."""
    for piece in _PIECE.finditer(goal):
        yield "#" if piece.lastgroup else piece.group()


def _form(goal: str) -> str:
    """Return the keys of a goal in JSON, with the values of those that say which kind it is."""
    try:
        value = json.loads(goal)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(value, dict):
        return ""
    said = {key: _chosen(value[key]) for key in _KIND_KEYS if isinstance(value.get(key), str)}
    keys = [f"{key}={said[key]}" if said.get(key) else str(key)[:NAME_CHARS_MAX] for key in sorted(value, key=str)]
    return "{" + " ".join(keys[:TASK_WORDS_MAX]) + "}"
