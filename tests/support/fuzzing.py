"""A fuzzer for everything that takes bytes from outside: changes to sound inputs, and what must hold whatever arrives.

What must hold: nothing is raised but what the documentation names; what was taken can be stored and read back; what
was not taken is said, with its source; sound neighbours of something broken are kept. `bench/fuzz.py` looks at time
and memory beside it, which a test on a shared machine cannot.
"""

from __future__ import annotations

import asyncio
import copy
import gzip
import io
import json
import random
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from support.fuzz_seeds import documents, files
from support.otlp_requests import request, span

from analyzer.errors import InputError
from analyzer.ingest.files import FORMATS, Noted, Parsed, Refused, Skipped, read_stream
from analyzer.ingest.pricing import Pricer
from analyzer.server.bodies import Budget, read_body
from analyzer.server.decode import Encoding, Signal, decode
from analyzer.server.limits import Limits
from analyzer.server.refusal import RefusalError
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.from_document import incident_from_document
from analyzer.types.trace import Span

BODY_BYTES_MAX = 1 << 20
"""Limit of a receiver under test: small, so that bombs reach it."""
_LIMITS = Limits(body_bytes_max=BODY_BYTES_MAX, body_s=20)
_STORED_MAX = 2000
"""Spans after which a fresh store is taken."""
_GOOD = "f" * 32
_PRICER = Pricer()

_TEXTS = (
    *("", " ", "\0", "a" * 5000, "\ud800", "\U0001f600" * 20, "\u202e"),
    *("NaN", "-1", "1e999", "0" * 32, "9" * 400, "null", "[[[[", '{"a":'),
)
_TOKENS = (
    *(b"[", b"{", b"}", b"]", b'"', b"\\", b",", b"\n", b"\0", b"\\ud800", b"1e999"),
    *(b"\xff\xff\xff\xff\x0f", b"\x80" * 10, b"\xef\xbb\xbf", b"\x1f\x8b\x08"),
)


@dataclass(frozen=True)
class Case:
    """One input."""

    seed: str
    """The name of what was changed."""
    data: bytes


class Fuzzer:
    """Draws inputs; the same seed draws the same ones."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._documents = list(documents().items())
        self._files = list(files().items())

    def case(self) -> Case:
        """Return the next input."""
        chance = self._chance
        if chance.random() < 0.5:
            name, document = chance.choice(self._documents)
            data = self._written(self._changed(document))
        else:
            name, data = chance.choice(self._files)
            for _ in range(chance.choice((1, 1, 2, 5, 20))):
                data = self._bent(data)
        if chance.random() < 0.1:
            data = self._bent(gzip.compress(data, compresslevel=1, mtime=0))
        return Case(name, data)

    def document(self) -> Any:
        """Return the next changed JSON value of any format."""
        return self._changed(self._chance.choice(self._documents)[1])

    def _written(self, value: Any) -> bytes:
        """Write a value as a document, indented, or a line for each of its entries."""
        how = self._chance.random()
        try:
            if how < 0.3 and isinstance(value, list):
                return b"\n".join(map(orjson.dumps, value))
            return orjson.dumps(value, option=orjson.OPT_INDENT_2 if how > 0.7 else 0)
        except TypeError:
            # Halves of surrogate pairs, and integers beyond 64 bits: JavaScript and Python write them.
            return json.dumps(value).encode()

    def _changed(self, document: Any) -> Any:
        """Put something else where a value, a key or an entry was."""
        chance = self._chance
        value = copy.deepcopy(document)
        for _ in range(chance.choice((1, 1, 2, 4))):
            places = list(_places(value))
            if not places:
                return value
            holder, key = chance.choice(places)
            self._change(holder, key)
        return value

    def _change(self, holder: Any, key: Any) -> None:
        chance = self._chance
        how = chance.random()
        if how < 0.6:
            holder[key] = self._hostile(holder[key])
        elif how < 0.75:
            del holder[key]
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(chance.choice(holder)))
        else:
            # A key under another name, or another key's value under this one.
            holder[chance.choice([*holder, "type", "role", "content", "id", "value", ""])] = holder[key]

    def _hostile(self, value: Any) -> Any:
        chance = self._chance
        small = (None, True, False, 0, -1, 1.5, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 1e308, 1e-308)
        kind = chance.randrange(6)
        if kind == 0:
            return chance.choice(small)
        if kind == 1:
            return chance.choice(_TEXTS)
        if kind == 2:
            return chance.choice(([], {}, [None], {"": None}, [[]], {"a": {"a": {}}}, [value], {"value": value}))
        if kind == 3:
            return str(value)
        if kind == 4:
            nested: Any = value
            for _ in range(chance.choice((5, 40, 200))):
                nested = [nested] if chance.random() < 0.5 else {"content": nested}
            return nested
        return [value] * chance.choice((2, 50))

    def _bent(self, data: bytes) -> bytes:  # noqa: PLR0911 - one mutation a line
        """Change some bytes: the mutations that break parsers of lengths, quotes and nesting."""
        chance = self._chance
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 1, 2, 8, 64, 1024)))
        how = chance.randrange(8)
        if how == 0:
            return data[:at] + chance.randbytes(end - at) + data[end:]
        if how == 1:
            return data[:at] + data[end:]
        if how == 2:
            return data[:end] + data[at:end] * chance.choice((1, 2, 30)) + data[end:]
        if how == 3:
            return data[:at]
        if how == 4:
            other = chance.choice(self._files)[1]
            cut = chance.randrange(len(other) + 1)
            return data[:at] + other[cut : cut + chance.choice((16, 256, 4096))] + data[end:]
        if how == 5:
            token = chance.choice(_TOKENS)
            return data[:at] + token * chance.choice((1, 1, 3, 200)) + data[at:]
        if how == 6 and at < len(data):
            return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        return data[at:]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every holder and key inside a JSON value."""
    stack = [value]
    while stack:
        one = stack.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            yield one, key
            stack.append(one[key])


def read(data: bytes, form: str = "auto", source: str = "input") -> tuple[list[Span], list[Refused]]:
    """Read bytes as `analyzer ingest` does; return what was taken and what was refused. Asserts what must hold."""
    spans: list[Span] = []
    refused: list[Refused] = []
    reads = list(read_stream(io.BytesIO(data), source, format=form, pricer=_PRICER))
    assert reads, "nothing was taken and nothing was said"
    for one in reads:
        assert isinstance(one, Parsed | Refused | Skipped | Noted)
        assert one.source == source
        if isinstance(one, Parsed):
            assert 0 < len(one.spans) <= 1000
            assert one.format in FORMATS
            spans += one.spans
        else:
            assert one.why
        if isinstance(one, Refused):
            refused.append(one)
            # This is how we own to a defect of ours: the input is no excuse.
            assert "cannot be translated" not in one.why
            assert "cannot be read further: " not in one.why, one.why
    return spans, refused


class Targets:
    """Everything that takes bytes from outside, over one scratch store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._store = self._new_store()
        self.all: dict[str, Callable[[bytes], None]] = {
            "auto": self._auto,
            **{form: self._forced(form) for form in FORMATS if form != "auto"},
            **{f"{s.value} {e.name}": self._decoded(s, e) for s in Signal for e in Encoding},
            "neighbours": self._neighbours,
            "body": self._body,
            "document": self._document,
        }

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _new_store(self) -> SqliteTrajectories:
        self._number += 1
        self._stored = 0
        store = SqliteTrajectories(self._folder / f"{self._number}.db")
        # What is written here is thrown away.
        store.connection.raw.execute("PRAGMA synchronous = OFF").close()
        return store

    def _auto(self, data: bytes) -> None:
        self._keep(read(data)[0])

    def _keep(self, spans: list[Span]) -> None:
        """Whatever the readers take the store must take, and give back."""
        if not spans:
            return
        self._store.add(spans)
        one = spans[-1]
        assert self._store.span(one.trace_id, one.span_id).span_id == one.span_id
        assert self._store.trajectory(one.trace_id).spans
        self._stored += len(spans)
        if self._stored > _STORED_MAX:
            # Most inputs share their ids: one trajectory would grow for ever.
            self._store.close()
            for file in self._folder.glob(f"{self._number}.db*"):
                file.unlink()
            self._store = self._new_store()

    def _forced(self, form: str) -> Callable[[bytes], None]:
        return lambda data: self._keep(read(data, form)[0])

    def _decoded(self, signal: Signal, encoding: Encoding) -> Callable[[bytes], None]:
        def target(data: bytes) -> None:
            try:
                decoded = decode(signal, encoding, data, _PRICER)
            except RefusalError as refusal:
                _is_one_of(refusal, 400)
                return
            assert bool(decoded.rejected) == bool(decoded.why)
            self._keep(list(decoded.spans))

        return target

    def _neighbours(self, data: bytes) -> None:
        """A broken line costs itself: the sound lines before and after it are kept."""
        good = [orjson.dumps(request(span(number, traceId=_GOOD))) for number in (1, 2)]
        spans, _ = read(good[0] + b"\n" + data.replace(b"\n", b" ") + b"\n" + good[1])
        assert [one.span_id for one in spans[:1] + spans[-1:] if one.trace_id == _GOOD] == [f"{1:016x}", f"{2:016x}"]

    def _body(self, data: bytes) -> None:
        """Bodies are unpacked as they are, or refused; never more of them than the limit."""
        for encoding, packed in (
            ("", data),
            ("gzip", data),
            ("deflate", data),
            ("gzip", gzip.compress(data, 1)),
            ("deflate", zlib.compress(data, 1)),
        ):
            try:
                body = asyncio.run(_read(packed, encoding))
            except RefusalError as refusal:
                _is_one_of(refusal, 400, 413)
                continue
            assert len(body) <= BODY_BYTES_MAX
            if not encoding or packed is not data:
                assert body == data

    def _document(self, data: bytes) -> None:
        """What is no incident's document is an InputError."""
        with suppress(orjson.JSONDecodeError, InputError):
            incident_from_document(orjson.loads(data))


def _is_one_of(refusal: RefusalError, *statuses: int) -> None:
    assert refusal.status in statuses
    assert refusal.message


async def _read(packed: bytes, encoding: str) -> bytes:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(packed), 1000):
            yield packed[start : start + 1000]

    with Budget(1 << 30).share() as share:
        return await read_body(pieces(), encoding=encoding, length=None, share=share, limits=_LIMITS)
