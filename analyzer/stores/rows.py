"""A span as a row and back. The order of the columns stands here once."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from hashlib import blake2b
from operator import attrgetter, itemgetter
from typing import Any

import orjson

from analyzer.masking import UNMASKABLE, Masker
from analyzer.stores.texts import encoded
from analyzer.types.trace import ErrorClass, Event, FinishReason, Operation, Outcome, Span, Status, Tokens

NAMES = (
    "name", "status_message", "error_type", "agent", "agent_version", "service", "provider", "model", "tool",
    "tool_call_id", "response_id", "conversation_id", "user_id", "prompt_name", "prompt_version", "scope",
    "parameters", "sdk",
)  # fmt: skip
"""Columns of short texts, masked."""
COUNTS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "reasoning_tokens",
)  # fmt: skip
PLAIN = (
    "span_id", "parent_id", *NAMES, "operation", "start_ns", "end_ns", "status", "error", *COUNTS, "cost_usd",
    "finish", "attempt", "outcome",
)  # fmt: skip
"""Columns that hold their value themselves."""
TEXTS = ("input", "output", "system", "tool_definitions")
DERIVED = ("system_hash", "tools_hash", "task", "choices")
"""Columns that are read from the texts."""
COLUMNS = ("trajectory", *PLAIN, *DERIVED, *TEXTS, "resource", "extra", "repeated", "input_hash", "digest")
SPAN_ID = COLUMNS.index("span_id")
REPEATED = COLUMNS.index("repeated")

_UPDATED = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in {"trajectory", "span_id"})
UPSERT = (
    f"INSERT INTO spans ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - own names only
    f" ON CONFLICT (trajectory, span_id) DO UPDATE SET {_UPDATED}"
    # Of two forms of one span the one that ended later wins, then the one with its texts, then the larger digest:
    # whatever the order of arrival.
    " WHERE (COALESCE(excluded.end_ns, 0), excluded.resource IS NOT NULL, excluded.digest)"
    " > (COALESCE(end_ns, 0), resource IS NOT NULL, digest)"
)
RANK = "COALESCE(end_ns, 0), resource IS NOT NULL, digest"
"""What that condition compares."""
SELECT_LIGHT = f"SELECT {', '.join((*PLAIN, *DERIVED))} FROM spans"  # noqa: S608 - own names only
SELECT_FULL = f"SELECT {', '.join((*PLAIN, *TEXTS, 'resource', 'extra'))} FROM spans"  # noqa: S608 - own names only


def rank(row: Sequence[Any]) -> tuple[int, bool, int]:
    """Return the same of a row in the order of COLUMNS."""
    return row[_END] or 0, row[_RESOURCE] is not None, row[-1]


_END, _RESOURCE = COLUMNS.index("end_ns"), COLUMNS.index("resource")

COUNT_MAX = 10**12
"""No call has more tokens; sums over a million spans of this still fit into SQLite's 64-bit integers."""
ATTEMPT_MAX = 10**6
_TIME_MAX = 2**63 - 1
_SHORT_MAX = 20_000
"""Short texts remembered with their masked form: about 4 MB."""


class Short(dict[str | None, str | None]):
    """Masked forms of names, which come again with every span; `short[text]` masks what is new. None is None."""

    def __init__(self, masker: Masker) -> None:
        super().__init__()
        self._masker = masker

    def learn(self, spans: Iterable[Span]) -> None:
        """Mask the names of many spans that are not known yet, together."""
        if len(self) >= _SHORT_MAX:
            self.clear()
        # What is no text came past the types, and half a surrogate pair is refused by SQLite: neither may cost a batch.
        unseen = [text for text in set().union(*map(_NAMES_OF, spans)) - self.keys() if text is not None]
        for start in range(0, len(unseen), _TOGETHER):
            some = unseen[start : start + _TOGETHER]
            masked = self._masker.texts([encoded(str(text)).decode() for text in some])
            self.update(zip(some, masked, strict=True))

    def __missing__(self, text: str | None) -> str | None:
        """Mask a text and remember it."""
        masked = None if text is None else self._masker.text(encoded(str(text)).decode())
        self[text] = masked
        return masked


_NAMES_OF = attrgetter(*NAMES)
_TOGETHER = 256


def plain_values(span: Span, short: Short) -> tuple[tuple[Any, ...], bool]:
    """Return the values of the PLAIN columns, and whether they are the span's own, unchanged.

    Texts are masked. What would fail a batch or drown a sum is put right: counts are kept within 0 to `COUNT_MAX`,
    tries within 1 to `ATTEMPT_MAX`; a time outside 1 to 2^63-1 ns, and a cost that is not finite, is None.
    """
    names = _NAMES_OF(span)
    masked = tuple(map(short.__getitem__, names))
    numbers = (span.start_ns, span.end_ns, span.cost_usd, span.attempt)
    start_ns, end_ns, cost_usd, attempt = sound = (
        _time(span.start_ns),
        _time(span.end_ns),
        _cost(span.cost_usd),
        _bounded(span.attempt, 1, ATTEMPT_MAX),
    )
    counts, counts_sound = _counts(span.tokens)
    plain = (
        span.span_id,
        span.parent_id,
        *masked,
        span.operation.value,
        start_ns,
        end_ns,
        span.status.value,
        span.error.value if span.error else None,
        *counts,
        cost_usd,
        span.finish.value if span.finish else None,
        attempt,
        span.outcome.value if span.outcome else None,
    )
    return plain, counts_sound and masked == names and sound == numbers


_NO_COUNTS = (None,) * len(COUNTS)


def _counts(tokens: Tokens | None) -> tuple[tuple[int | None, ...], bool]:
    if tokens is None:
        return _NO_COUNTS, True
    given = (
        tokens.input,
        tokens.output,
        tokens.cache_read,
        tokens.cache_write,
        tokens.cache_write_1h,
        tokens.reasoning,
    )
    if min(given) >= 0 and max(given) <= COUNT_MAX:
        return given, True
    return tuple(_bounded(count, 0, COUNT_MAX) for count in given), False


def _bounded(value: int, least: int, most: int) -> int:
    return value if least <= value <= most else (least if value < least else most)


def _time(value: int | None) -> int | None:
    return value if value is not None and 0 < value <= _TIME_MAX else None


def _cost(value: float | None) -> float | None:
    # NaN and infinities fail the comparison.
    return value if value is not None and -COUNT_MAX < value < COUNT_MAX else None


def digest_of(plain: Sequence[Any], span: Span) -> int:
    """Return a number that differs where two forms of one span differ, texts included; 7 bytes fit SQLite's integer.

    A span that is followed may come without the middle of its input, the same each time: read whole once before, or
    kept here with its texts, it has two forms that say the same, of which one stays.
    """
    texts = [zlib.crc32(text.encode("utf-8", "replace")) if text else 0 for text in (span.input, span.output)]
    rest = dumped([plain, texts, len(span.system or ""), len(span.tool_definitions or ""), len(span.attributes)])
    return int.from_bytes(blake2b(rest, digest_size=7).digest())


def masked_json(value: Any, masker: Masker) -> bytes:
    """Return a document as JSON, masked.

    Most documents hold no secret. Reading their JSON once as a text tells so at a tenth of the cost of walking the
    values; only where that finds something is each value masked for itself, so that the JSON stays whole.
    """
    text = dumped(value)
    readable = text.decode("utf-8", "replace")
    return text if masker.text(readable) == readable else dumped(masker.value(value))


class Extras:
    """Raw attributes and events as one masked JSON document a span.

    Most attributes say on every span what they said before (`"gen_ai.operation.name": "chat"`): a pair that was found
    clean is not looked at again.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._clean: set[tuple[str, object]] = set()
        self._plain_names: dict[str, bool] = {}
        """Whether a name says nothing of its value: ids are new on every span, and clean as a text is."""

    def document(self, span: Span) -> bytes:
        """Return the attributes and events of a span, masked."""
        attributes = span.attributes
        if "value" in attributes:
            # What a value is may be said by a pair beside it: {"name": "password", "value": ...}.
            fresh = dict(attributes)
        else:
            fresh = {name: value for name, value in attributes.items() if not self._is_clean(name, value)}
        if fresh:
            masked = self._masker.value(fresh)
            if masked == fresh:
                self._keep(fresh)
            else:
                masked = masked if len(fresh) == len(attributes) else self._masker.value(dict(attributes))
                attributes = masked if isinstance(masked, dict) else {UNMASKABLE: UNMASKABLE}
        events = [
            {"name": event.name, "time_ns": _time(event.time_ns), "attributes": dict(event.attributes)}
            for event in span.events
        ]
        masked_events = self._masker.value(events) if events else []
        # What could not be masked as a whole is left out: a text in place of the list would not be read back.
        return dumped({"attributes": attributes, "events": masked_events if isinstance(masked_events, list) else []})

    def _is_clean(self, name: str, value: Any) -> bool:
        kind = value.__class__
        if kind is str:
            if len(value) > _PAIR_CHARS_MAX:
                return False
            return (name, value) in self._clean or (self._is_plain(name) and self._masker.text(value) == value)
        # No number this small is a card or an account; its name is what may say something.
        small = kind is int and -_SMALL < value < _SMALL
        return (small or kind is float or kind is bool) and (name, kind) in self._clean

    def _is_plain(self, name: str) -> bool:
        known = self._plain_names.get(name)
        if known is None:
            if len(self._plain_names) >= _SHORT_MAX:
                self._plain_names.clear()
            known = self._plain_names[name] = self._masker.says_nothing(name)
        return known

    def _keep(self, pairs: Mapping[str, Any]) -> None:
        if len(self._clean) >= _SHORT_MAX:
            self._clean.clear()
        for name, value in pairs.items():
            if value.__class__ is str:
                if len(value) <= _PAIR_CHARS_MAX:
                    self._clean.add((name, value))
            elif value.__class__ in (int, float, bool):
                self._clean.add((name, value.__class__))


_PAIR_CHARS_MAX = 100
_SMALL = 10**7


def dumped(value: Any) -> bytes:
    """Return JSON that reads back.

    What orjson refuses is put right: integers over 64 bits become text, half a surrogate pair U+FFFD, keys text, and
    what is nested deeper than `_DEPTH_MAX` its beginning as text.
    """
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(_sound(value, 0))


_DEPTH_MAX = 100
_SHOWN = 200
_INTEGER_MAX = 2**63


def _sound(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return encoded(value).decode()
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -_INTEGER_MAX <= value < _INTEGER_MAX else f"{value:#x}"
    if depth < _DEPTH_MAX and isinstance(value, Mapping):
        return {_sound(str(key), depth): _sound(entry, depth + 1) for key, entry in value.items()}
    if depth < _DEPTH_MAX and isinstance(value, list | tuple):
        return [_sound(entry, depth + 1) for entry in value]
    return _sound(type(value).__name__ if isinstance(value, Mapping | list | tuple) else str(value)[:_SHOWN], depth)


def light_span(trace_id: str, row: Sequence[Any], sent: str | None = None, got: str | None = None) -> Span:
    """Return a span without payloads but these from SELECT_LIGHT; `system` and `tool_definitions` are their hashes."""
    system, tools, task, choices = row[len(PLAIN) : len(PLAIN) + len(DERIVED)]
    return span_of(trace_id, row[: len(PLAIN)], (sent, got, system, tools), {}, {}, task=task, choices=choices)


def full_span(trace_id: str, row: Sequence[Any], texts: Mapping[str, Any], resource: str, extra: str) -> Span:
    """Return a span with its payloads from SELECT_FULL and the texts it leads to."""
    document = orjson.loads(extra)
    events = tuple(Event(event["name"], event["time_ns"], event["attributes"]) for event in document["events"])
    spelt = tuple(texts[name] for name in TEXTS)
    return span_of(trace_id, row[: len(PLAIN)], spelt, orjson.loads(resource), document["attributes"], events)


def span_of(
    trace_id: str,
    plain: Sequence[Any],
    texts: Sequence[str | None],
    resource: Mapping[str, Any],
    attributes: Mapping[str, Any],
    events: tuple[Event, ...] = (),
    *,
    task: str | None = None,
    choices: str | None = None,
) -> Span:
    """Return the span that has these values of the PLAIN columns and these texts, in the order of TEXTS."""
    error, finish, outcome = plain[_ERROR], plain[_FINISH], plain[_OUTCOME]
    counts = plain[_COUNTS]
    return Span(
        *_IN_ORDER(
            (
                trace_id,
                *plain,
                _OPERATIONS[plain[_OPERATION]],
                _STATUSES[plain[_STATUS]],
                ErrorClass(error) if error else None,
                FinishReason(finish) if finish else None,
                Outcome(outcome) if outcome else None,
                None if counts[0] is None else Tokens(*counts),
                task,
                choices,
                *texts,
                attributes,
                resource,
                events,
            )
        )
    )


_OPERATIONS = {one.value: one for one in Operation}
_STATUSES = {one.value: one for one in Status}
_OPERATION, _STATUS, _ERROR = map(PLAIN.index, ("operation", "status", "error"))
_FINISH, _OUTCOME = map(PLAIN.index, ("finish", "outcome"))
_COUNTS = slice(PLAIN.index(COUNTS[0]), PLAIN.index(COUNTS[0]) + len(COUNTS))
_GIVEN = (
    "trace_id", *PLAIN, "operation", "status", "error", "finish", "outcome", "tokens", "task", "choices", *TEXTS,
    "attributes", "resource", "events",
)  # fmt: skip
"""What `span_of` lays in a row; a name that stands twice means the later one."""
_PLACES = {name: place for place, name in enumerate(_GIVEN)}
_IN_ORDER = itemgetter(*(_PLACES[entry.name] for entry in fields(Span)))
