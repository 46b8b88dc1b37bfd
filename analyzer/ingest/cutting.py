"""What following leaves of a long conversation, as an expression of ClickHouse: the middle of it does not travel.

Each step of an agent sends its whole conversation again. A row of the index needs of it the system prompt at its head,
the beginning of the first message of a user (the kind of task), and the last message. So an inference's input that is
a JSON array of messages, or an object that holds one as `messages`, comes without the messages between these two, and
of the user's text no more comes than `task_of` reads.

Rows are told by the tables of the dialects, in their order, as `translate` tells them. A row is cut only where that is
sure in SQL: what says an operation through a function leaves it whole, and so does an attribute that came twice.

Taken out is nothing but whole messages, and characters of one text, of JSON that ClickHouse finds valid; and in them
the patterns let through only what every parser reads alike: no half of a surrogate pair, nothing nested deeper than
`_DEPTH`. So what is left is read exactly where the whole is, and stays as it was byte for byte. The digest of such a
row is another one than that of the whole: see `rows.digest_of`.

What is put together here is one expression of ten thousands of characters, most of them patterns; a server reads and
compiles it in some 60 ms a query. Patterns run as automata that go over a text once, some 400 MB/s.
"""

from __future__ import annotations

from collections.abc import Iterable

from analyzer.ingest.dialects import DIALECTS
from analyzer.ingest.dialects.base import Dequoted, Dialect, OnRoot
from analyzer.types.choices import GOAL_CHARS_MAX

ATTRIBUTES = "SpanAttributes"
LONG_BYTES = 8_000
"""Shorter texts come whole: of conversations of 4 kB cutting left out 6 % of what is sent packed, and cost the engine
three times the processor time (docs/clickhouse.md); repeats of a history pack well."""
_DEPTH = 8
"""Brackets within one another in a message that is taken out; those of a call with its arguments have about five."""

_SPACE = r"[ \t\r\n]*"
_COMMA, _COLON = f"{_SPACE},{_SPACE}", f"{_SPACE}:{_SPACE}"
_HEX = "[0-9a-fA-F]"
_UNICODE = rf"\\u(?:[0-9a-cA-CefEF]{_HEX}{{3}}|[dD][0-7]{_HEX}{{2}}|[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}})"
"""One character; of surrogates only pairs."""
_CHAR = rf'(?:[^"\\\x00-\x1f\x{{d800}}-\x{{dfff}}]|\\["\\/bfnrt]|{_UNICODE})'
_STRING = f'"{_CHAR}*"'
_DIGITS = "[0-9]{0,30}"
"""Of a number in one go: some parsers refuse those that no float can hold."""


def _nested(depth: int) -> str:
    """Return a pattern of whatever has its brackets closed; that it is JSON is asked of ClickHouse."""
    pieces = rf'[^"\[\]{{}}0-9]|{_STRING}'
    inner = f"(?:{_DIGITS}(?:{pieces}))*{_DIGITS}"
    for _ in range(depth):
        inner = rf"(?:{_DIGITS}(?:{pieces}|[\[{{]{inner}[\]}}]))*{_DIGITS}"
    return inner


_MESSAGE = rf"\{{{_nested(_DEPTH - 1)}\}}"
_PAIRS = f"(?:{_nested(_DEPTH - 1)},)??{_SPACE}"
"""Those before the one that is looked for."""
_OPENS = rf'^{_SPACE}(?:\{{{_PAIRS}"messages"{_COLON})?\[{_SPACE}'
_ALL_BUT_LAST = f"{_OPENS}(?:{_MESSAGE}{_COMMA})*"
_OF_A_USER = rf'\{{{_PAIRS}"role"{_COLON}"user"{_nested(_DEPTH - 1)}\}}'
_HEAD = f"{_OPENS}(?:{_MESSAGE}{_COMMA})*?{_OF_A_USER}"
"""Up to the end of the first message of a user."""
_SAYS = rf'^\{{{_PAIRS}"(?:content|parts)"{_COLON}(?:\[{_SPACE}\{{{_PAIRS}"(?:text|content)"{_COLON})?"'
"""Of a message, up to where its text begins."""

_ENDS, _AGAIN = rf"^{_SPACE}\]", ('"messages"', r"\u")
"""Of what is behind the last message, and what must not stand there."""

_REACHES = "PRIVATE KEY"
"""A key is masked from its beginning to its end, and an object around messages is masked as one text: of a key that was
cut in two the mask would reach into the last message, to the end of another key there."""

_PLAIN_CHARS, _ESCAPED_CHARS = 2 * (GOAL_CHARS_MAX + 6), 12 * (GOAL_CHARS_MAX + 1)
"""Characters of JSON that are at least `GOAL_CHARS_MAX` of what it says: an escape has two, or at most twelve."""


def cut_attributes(long_bytes: int = LONG_BYTES) -> str:
    """Return an expression that stands for `SpanAttributes`: the same map with the conversations of inferences cut.

    Shorter ones than `long_bytes` are left whole.
    """
    names = sorted({source for one in DIALECTS for source in one.chat_input if isinstance(source, str)})
    is_cut = f"{_is_one_of('name', names)} AND length(text) > {long_bytes}"
    cut = f"mapApply((name, text) -> (name, if({is_cut}, {_cut()}, text)), {ATTRIBUTES})"
    return f"CAST(if({_inference()} AND {_distinct(f'mapKeys({ATTRIBUTES})')}, {cut}, {ATTRIBUTES}), {_quoted(_MAP)})"


_MAP = "Map(LowCardinality(String), String)"
"""As the exporter's; names that come again with every row then travel once."""


def _cut() -> str:
    """Return an expression of a `text`, cut where it can be.

    What stands in a lambda is computed each time that it is named, and what a lambda names of outside is copied: so
    the long text is named outside of all, and once for each that is asked of it.
    """
    cut = _with(_kept(), head=_up_to("text", _HEAD), tail=_behind("text", _ALL_BUT_LAST), size="length(text)")
    return f"ifNull(nullIf(if(isValidJSON(text), {cut}, ''), ''), text)"


def _kept() -> str:
    """Return an expression of what is kept, of `head`, `tail` and the `size` of all; empty where nothing is cut."""
    plain, escaped = (f"substringUTF8(asked, 1, says + {chars})" for chars in (_PLAIN_CHARS, _ESCAPED_CHARS))
    some = f"if(position({plain}, '\\\\u') > 0, {escaped}, {plain})"
    message = f"concat({_up_to(some, f'{_SAYS}{_CHAR}*')}, {_behind('asked', f'{_SAYS}{_CHAR}*')})"
    message = _with(message, says=f"length({_up_to('asked', _SAYS)})")
    kept = "concat(substring(head, 1, length(head) - length(asked)), message, ',', tail)"
    # Behind the last message nothing but the end, or pairs of the object around that are not messages once more.
    ends = f"match(rest, {_quoted(_ENDS)}) AND {' AND '.join(f'position(rest, {_quoted(one)}) = 0' for one in _AGAIN)}"
    kept = _with(f"if({ends}, {kept}, '')", rest=_behind("tail", f"^{_MESSAGE}"))
    is_sure = f"position(message, {_quoted(_REACHES)}) = 0 AND {_speaks()}"
    kept = _with(f"if({is_sure}, {kept}, '')", message=message)
    kept = _with(kept, asked=_behind("head", _ALL_BUT_LAST))
    return f"if(notEmpty(head) AND length(head) + length(tail) < size, {kept}, '')"


def _speaks() -> str:
    """Return a condition that a `message`, of a user, says something first of all in its one `content` or `parts`."""
    in_part = (
        f"{_distinct('names')} AND NOT has(names, 'parts') AND has(names, 'text') != has(names, 'content')"
        " AND JSONExtractString(message, body, 1, if(has(names, 'text'), 'text', 'content')) != ''"
    )
    in_parts = _with(in_part, names="JSONExtractKeys(message, body, 1)")
    said = (
        f"if(JSONType(message, body) = 'Array', {in_parts},"
        " body = 'content' AND JSONExtractString(message, body) != '')"
    )
    said = _with(said, body="if(has(keys, 'parts'), 'parts', 'content')")
    speaks = (
        f"{_distinct('keys')} AND has(keys, 'parts') != has(keys, 'content')"
        f" AND JSONExtractString(message, 'type') IN ('', 'message') AND {said}"
    )
    return _with(speaks, keys="JSONExtractKeys(message)")


def _distinct(texts: str) -> str:
    return f"length(arrayDistinct({texts})) = length({texts})"


def _with(body: str, /, **values: str) -> str:
    """Return an expression in which names stand for values."""
    return f"arrayMap(({', '.join(values)}) -> {body}, {', '.join(f'[{value}]' for value in values.values())})[1]"


def _up_to(text: str, pattern: str) -> str:
    return f"extract({text}, {_quoted(pattern)})"


def _behind(text: str, pattern: str) -> str:
    return f"replaceRegexpOne({text}, {_quoted(pattern)}, '')"


def _inference() -> str:
    """Return a condition that a row is an inference, false where that cannot be told."""
    names = f"mapKeys({ATTRIBUTES})"
    marked = [(f"hasAny({names}, {_array(one.marks)})", _says_inference(one)) for one in DIALECTS if one.marks]
    scoped = [
        (" OR ".join(f"startsWith(ScopeName, {_quoted(scope)})" for scope in one.scopes), _says_inference(one))
        for one in DIALECTS
        if one.scopes
    ]
    pairs = ", ".join(f"{told}, {said}" for told, said in (*marked, *scoped))
    return f"multiIf({pairs}, {_says_inference(DIALECTS[-1])})"


def _says_inference(dialect: Dialect) -> str:
    """Return a condition that a row of a dialect is an inference: what is asked first counts, if it says anything."""
    inferences = [value for value, operation in dialect.operations.items() if operation.is_inference]
    others = [value for value, operation in dialect.operations.items() if not operation.is_inference]
    asked: list[str] = []
    for source in dialect.operation:
        if isinstance(source, str):
            said = f"lowerUTF8({ATTRIBUTES}[{_quoted(source)}])"
            asked += [_is_one_of(said, inferences), "1", _is_one_of(said, others), "0"]
        elif isinstance(source, Dequoted):
            said = f"{ATTRIBUTES}[{_quoted(source.name)}]"
            asked += [_is_one_of(f"lower({said})", [f'"{value}"' for value in inferences]), "1", f"{said} != ''", "0"]
        elif isinstance(source, OnRoot):
            asked += [f"{ATTRIBUTES}[{_quoted(source.name)}] = {_quoted(source.value)}", "0"]
        else:
            break
    return f"multiIf({', '.join(asked)}, 0)" if asked else "0"


def _quoted(text: str) -> str:
    """Return a text as ClickHouse writes it in a statement."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _array(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _is_one_of(what: str, texts: Iterable[str]) -> str:
    return f"{what} IN ({', '.join(map(_quoted, texts))})"
