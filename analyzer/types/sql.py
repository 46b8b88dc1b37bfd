"""Which tables a SQL statement touches: a tolerant reader for the statements that agents write.

No parser of SQL: it need not understand a statement, only know where a table's name stands, in any dialect, in
statements that are cut short or wrong, and at the speed at which spans arrive (docs/decisions.md has the figures).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

CHARS_MAX = 32_000
"""Longer statements are read up to here: the work per call is bounded."""
DEPTH_MAX = 64
"""Parentheses nested deeper than this end the reading."""
DEFAULT_SCHEMAS = frozenset({"public", "dbo", "main"})
"""`public.orders` and `orders` are one table: models write either."""

_TOKEN = re.compile(
    r"""
      --[^\n]* | /\*(?:[^*]|\*(?!/))*+(?:\*/)?                     # comments; an open one runs to the end
    | (?P<text>'(?:[^'\\]|\\.|'')*+'? | \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))
    | (?P<quoted>"[^"]*"? | `[^`]*`? | \[[^\]]*\]?)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<mark>[.,();])
    | (?P<other>[\w$]+ | [^\s\w])
    """,
    re.VERBOSE | re.DOTALL,
)
_STATEMENT = re.compile(r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*+\*/|\()*+(\w+)")
_NEEDS = {
    "select": ("from",), "with": ("as", "select"), "insert": ("into",), "replace": ("into",), "update": ("set",),
    "delete": ("from",), "merge": ("using",), "explain": ("from",), "from": ("select",), "truncate": ("table",),
    "create": ("select",), "alter": ("table",), "drop": ("table",), "copy": ("from",),
}  # fmt: skip
"""First words of a statement, and the words without which it is a sentence in English."""
_BEFORE_A_TABLE = frozenset({"from", "join", "into", "update", "truncate", "copy", "table", "using"})
_SKIPPED = frozenset({"only", "lateral", "if", "not", "exists", "table", "overwrite", "ignore", "low_priority"})
_ENDS_A_LIST = frozenset({
    "select", "where", "group", "order", "having", "limit", "union", "intersect", "except", "set", "on", "values",
    "window", "qualify", "returning", "when", "with", "fetch", "offset", "for",
})  # fmt: skip
_NO_TABLES = _ENDS_A_LIST | {"as", "inner", "left", "right", "full", "cross", "natural", "outer", "delete", "insert"}
_NOT_NAMES = _NO_TABLES | _SKIPPED | _BEFORE_A_TABLE
_NOT_AN_UPDATE = frozenset({"for", "on", "do", "key", "then"})
"""FOR UPDATE, ON UPDATE, DO UPDATE, ON DUPLICATE KEY UPDATE, WHEN MATCHED THEN UPDATE: no table follows."""


@dataclass(slots=True)
class _Frame:
    """What is known inside one pair of parentheses."""

    head: str = ""
    """The word before the parenthesis."""
    names: set[str] = field(default_factory=set)
    """Common table expressions that can be seen from here on."""
    defines: str = ""
    """The common table expression that these parentheses are the body of."""
    expects: bool = False
    """Whether a table's name comes next."""
    in_list: bool = False
    """Whether a comma brings another table."""
    selects: bool = False
    """Whether FROM belongs to a statement: in `extract(year from day)` it does not."""
    recursive: bool = False
    with_names: bool = False
    statement: str = ""
    """Its first word."""
    keyword: str = ""
    """The one that made it expect a table."""
    closed: str = ""
    """The head of the parentheses closed last: `name (a, b) as (`."""


def is_sql(text: str) -> bool:
    """Tell whether a text reads like a statement, by its first word and those that have to follow it."""
    found = _STATEMENT.match(text[:CHARS_MAX])
    needed = _NEEDS.get(found[1].lower()) if found else None
    if needed is None:
        return False
    lowered = text[:CHARS_MAX].lower()
    return all(re.search(rf"\b{word}\b", lowered) for word in needed)


def tables_of(text: str) -> tuple[str, ...]:
    """Return the tables that a statement reads or writes, in order, lower-case, without quotes and default schemas.

    Left out: names that the statement defines itself (common table expressions, CREATE TABLE), functions, variables
    and templates. Several statements are read one after the other. Never raises; time is linear in the text.
    """
    return _Reader(text[:CHARS_MAX]).read()


class _Reader:
    """One pass over the tokens with a stack of parentheses."""

    def __init__(self, text: str) -> None:
        self.tokens = [(found.lastgroup, found.group()) for found in _TOKEN.finditer(text) if found.lastgroup]
        self.stack = [_Frame()]
        self.found: dict[str, None] = {}
        self.made: set[str] = set()

    def read(self) -> tuple[str, ...]:
        at = 0
        while at < len(self.tokens) and len(self.stack) <= DEPTH_MAX:
            kind, token = self.tokens[at]
            frame = self.stack[-1]
            if frame.expects and (kind == "quoted" or (kind == "word" and token.lower() not in _NOT_NAMES)):
                at = self._name(at)
                continue
            if kind == "mark":
                self._mark(token, at)
            elif kind == "word":
                self._word(token.lower(), at)
            else:
                frame.expects = False
            at += 1
        return tuple(self.found)

    def _name(self, at: int) -> int:
        """Read a dotted name and return where it ends."""
        frame = self.stack[-1]
        parts = [_bare(self.tokens[at])]
        at += 1
        while self._is(at, ".") and at + 1 < len(self.tokens):
            if not self._is(at + 1, "."):
                parts.append(_bare(self.tokens[at + 1]))
                at += 1
            at += 1
        frame.expects = False
        is_function = self._is(at, "(") and frame.keyword in {"from", "join", "using"}
        name = ".".join(part for part in parts if part).lower()
        schema, _, table = name.rpartition(".")
        name = table if schema in DEFAULT_SCHEMAS else name
        if self.stack[0].statement == "create" and frame.keyword == "table":
            self.made.add(name)
        elif name and not is_function and name not in self.made and not any(name in one.names for one in self.stack):
            self.found[name] = None
        return at

    def _mark(self, mark: str, at: int) -> None:
        frame = self.stack[-1]
        if mark == "(":
            inner = _Frame(head=self._word_at(at - 1), expects=frame.expects, in_list=frame.expects)
            inner.keyword = frame.keyword
            inner.defines = self._defined(at)
            if frame.recursive and inner.defines:
                frame.names.add(inner.defines)
            frame.expects = False
            self.stack.append(inner)
        elif mark == ")" and len(self.stack) > 1:
            closed = self.stack.pop()
            self.stack[-1].closed = closed.head
            if closed.defines:
                # Only now: inside its own body the name still means the table.
                self.stack[-1].names.add(closed.defines)
        elif mark == ",":
            frame.expects = frame.in_list
        elif mark == ";":
            self.stack = [_Frame()]

    def _word(self, word: str, at: int) -> None:
        frame = self.stack[-1]
        first = not frame.statement
        frame.statement = frame.statement or word
        if word in {"select", "delete", "show"}:
            frame.selects, frame.expects = True, False
        if word == "with":
            frame.with_names = True
        elif word == "recursive":
            frame.recursive = True
        if word in _ENDS_A_LIST:
            frame.expects = frame.in_list = False
        elif word in _BEFORE_A_TABLE and self._brings_a_table(word, at, first=first):
            frame.expects, frame.keyword = True, word
            frame.in_list = word in {"from", "update"}

    def _brings_a_table(self, word: str, at: int, *, first: bool) -> bool:
        frame, before = self.stack[-1], self._word_at(at - 1)
        if word == "from":
            return (frame.selects or first or frame.statement == "update") and before != "distinct"
        if word == "update":
            return before not in _NOT_AN_UPDATE
        if word == "using":
            return frame.statement in {"delete", "merge"} and not self._is(at + 1, "(")
        return word not in {"copy", "truncate"} or first

    def _defined(self, at: int) -> str:
        """Return the common table expression whose body opens at this parenthesis, if one does."""
        frame = self.stack[-1]
        at -= 1
        while self._word_at(at) in {"materialized", "not"}:
            at -= 1
        if not frame.with_names or self._word_at(at) != "as":
            return ""
        if self._is(at - 1, ")"):
            return frame.closed
        before = self.tokens[at - 1] if at > 0 else (None, "")
        return _bare(before).lower() if before[0] in {"word", "quoted"} else ""

    def _is(self, at: int, token: str) -> bool:
        return at < len(self.tokens) and self.tokens[at] == ("mark", token)

    def _word_at(self, at: int) -> str:
        kind, token = self.tokens[at] if 0 <= at < len(self.tokens) else (None, "")
        return token.lower() if kind == "word" else ""


def _bare(token: tuple[str | None, str]) -> str:
    return token[1].strip('"`[]') if token[0] == "quoted" else token[1]
