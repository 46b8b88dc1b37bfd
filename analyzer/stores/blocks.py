"""Texts on disk: packed together in blocks, so that what repeats between neighbours costs nothing.

A payload is one slot of one block, and its id says where it is: `block << 10 | slot`. A text of a kilobyte packed by
itself shrinks to a half; the same text among its neighbours, most of which come from the same trajectory, to a
sixth, and one call packs fifty of them. A block is never changed in what it says; retention may empty dead slots.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Mapping, Sequence

import zstandard

SLOT_BITS = 10
SLOTS_MAX = 1 << SLOT_BITS
BLOCK_BYTES = 1 << 16
"""A block is full at this many bytes. Half of it costs 6 % more disk, twice as much 4 % less; reading one text takes
the time of unpacking its block, here about 0.1 ms."""
_LEVEL = 3
_OPEN_MAX = 64
"""Unpacked blocks kept by a reader: 4 MiB, more where single texts are larger."""
_OPEN_BYTES_MAX = 16 << 20
_CHUNK = 100

# What spans say again and again. zstd matches against it, so that a small block does not pay for its own vocabulary.
# A body names this dictionary in its frame, and any change of it would make stored bodies unreadable: it is frozen.
_VOCABULARY_1 = (
    b'{"attributes":{"gen_ai.operation.name":"chat","gen_ai.provider.name":"anthropic","gen_ai.system":"openai",'
    b'"gen_ai.request.model":"claude-","gen_ai.request.max_tokens":4096,"gen_ai.request.temperature":0.0,'
    b'"gen_ai.response.model":"claude-","gen_ai.response.id":"msg_01","gen_ai.response.finish_reasons":["stop"],'
    b'"gen_ai.usage.input_tokens":1,"gen_ai.usage.output_tokens":1,"gen_ai.usage.cache_read.input_tokens":0,'
    b'"gen_ai.usage.cache_write.input_tokens":0,"gen_ai.usage.cache_creation.input_tokens":0,'
    b'"gen_ai.usage.reasoning.output_tokens":0,"gen_ai.agent.name":"","gen_ai.agent.version":"",'
    b'"gen_ai.agent.id":"","gen_ai.conversation.id":"","gen_ai.tool.name":"","gen_ai.tool.type":"function",'
    b'"gen_ai.tool.call.id":"toolu_01","gen_ai.tool.description":"","gen_ai.prompt.name":"",'
    b'"gen_ai.prompt.version":"","gen_ai.output.type":"text","server.address":"api.anthropic.com","server.port":443,'
    b'"error.type":"","http.request.method":"POST","http.response.status_code":200,"url.full":"https://",'
    b'"openinference.span.kind":"LLM","llm.model_name":"","llm.token_count.prompt":1,"llm.token_count.completion":1,'
    b'"input.mime_type":"application/json","output.mime_type":"application/json","traceloop.span.kind":"workflow",'
    b'"langfuse.observation.type":"generation","ai.operationId":"ai.generateText.doGenerate","span.type":"llm_request",'
    b'"service.name":"","service.version":"","telemetry.sdk.language":"python","telemetry.sdk.name":"opentelemetry",'
    b'"telemetry.sdk.version":"1."},"events":[{"name":"exception","time_ns":17,"attributes":{"exception.type":"",'
    b'"exception.message":"","exception.stacktrace":"Traceback (most recent call last):\\n  File \\"","exception.'
    b'escaped":"False"}}]}{"role":"system","parts":[{"type":"text","content":"'
    b'{"role":"tool","parts":[{"type":"tool_call_response","id":"toolu_01","response":"'
    b'{"role":"assistant","parts":[{"type":"tool_call","id":"call_","name":"","arguments":{'
    b'{"role":"user","parts":[{"type":"text","content":"'
)
_DICTIONARY = zstandard.ZstdCompressionDict(_VOCABULARY_1, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


class Codec:
    """Packs and unpacks bytes. Used under the connection's lock: zstd contexts are not shared between threads."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, dict_data=_DICTIONARY, write_checksum=False)
        self._decompressor = zstandard.ZstdDecompressor(dict_data=_DICTIONARY)

    def pack(self, text: bytes) -> bytes:
        """Return the body to store: a byte that says how it is kept, then the bytes."""
        packed = self._compressor.compress(text)
        return b"z" + packed if len(packed) < len(text) else b"p" + text

    def unpack(self, body: bytes) -> bytes:
        """Return the bytes of a stored body."""
        return self._decompressor.decompress(body[1:]) if body[:1] == b"z" else body[1:]


def block_of(payload: int) -> int:
    """Return the block that holds a payload."""
    return payload >> SLOT_BITS


class BlockWriter:
    """Collects texts into blocks inside one transaction; `flush` writes them."""

    def __init__(self, codec: Codec, first: int) -> None:
        """Begin with the block number `first`, which no block may ever have had."""
        self._codec = codec
        self._texts: list[bytes] = []
        self._bytes = 0
        self._block = first
        self._rows: list[tuple[int, int, bytes, bytes]] = []

    def append(self, text: bytes) -> int:
        """Take a text and return its payload id."""
        if self._bytes >= BLOCK_BYTES or len(self._texts) >= SLOTS_MAX:
            self._close()
        payload = self._block << SLOT_BITS | len(self._texts)
        self._texts.append(text)
        self._bytes += len(text)
        return payload

    def flush(self, raw: sqlite3.Connection) -> None:
        """Write what was collected."""
        if self._texts:
            self._close()
        raw.executemany("INSERT INTO blocks (id, size, sizes, body) VALUES (?, ?, ?, ?)", self._rows)
        self._rows = []

    def _close(self) -> None:
        self._rows.append((self._block, *packed_block(self._codec, self._texts)))
        self._texts, self._bytes = [], 0
        self._block += 1


def packed_block(codec: Codec, texts: Sequence[bytes]) -> tuple[int, bytes, bytes]:
    """Return the bytes of all texts, the size of each as 32-bit numbers, and the packed body."""
    sizes = array("I", map(len, texts))
    whole = b"".join(texts)
    return len(whole), little_endian(sizes), codec.pack(whole)


def little_endian(sizes: array[int]) -> bytes:
    """Return 32-bit numbers as bytes that mean the same on every machine."""
    if array("I", [1]).tobytes()[0] != 1:  # pragma: no cover - no big-endian machine at hand
        sizes = array("I", sizes)
        sizes.byteswap()
    return sizes.tobytes()


def sizes_of(stored: bytes) -> array[int]:
    """Return the sizes that `packed_block` gave."""
    sizes = array("I")
    sizes.frombytes(stored)
    if array("I", [1]).tobytes()[0] != 1:  # pragma: no cover - as above
        sizes.byteswap()
    return sizes


def slots_of(whole: bytes, sizes: bytes) -> list[bytes]:
    """Return the texts of an unpacked block."""
    texts, at = [], 0
    for size in sizes_of(sizes):
        texts.append(whole[at : at + size])
        at += size
    return texts


class BlockReader:
    """Reads texts by payload id, keeping the last blocks unpacked."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._open: dict[int, list[bytes]] = {}
        self._bytes = 0

    def texts(self, raw: sqlite3.Connection, payloads: Iterable[int]) -> dict[int, str]:
        """Return the texts of payloads by id."""
        wanted: dict[int, list[int]] = {}
        for payload in payloads:
            wanted.setdefault(payload >> SLOT_BITS, []).append(payload)
        found: dict[int, str] = {}
        numbers = sorted(wanted)
        for start in range(0, len(numbers), _CHUNK):
            chunk = numbers[start : start + _CHUNK]
            for number, slots in self._blocks(raw, chunk).items():
                for payload in wanted[number]:
                    found[payload] = slots[payload & (SLOTS_MAX - 1)].decode("utf-8", "replace")
        return found

    def _blocks(self, raw: sqlite3.Connection, numbers: Sequence[int]) -> Mapping[int, list[bytes]]:
        found = {number: self._open[number] for number in numbers if number in self._open}
        missing = [number for number in numbers if number not in found]
        marks = ",".join("?" * len(missing))
        query = f"SELECT id, sizes, body FROM blocks WHERE id IN ({marks})"  # noqa: S608 - only question marks
        for number, sizes, body in raw.execute(query, missing) if missing else ():
            slots = slots_of(self._codec.unpack(body), sizes)
            if len(self._open) >= _OPEN_MAX or self._bytes > _OPEN_BYTES_MAX:
                self._open.clear()
                self._bytes = 0
            self._open[number] = found[number] = slots
            self._bytes += sum(map(len, slots))
        return found
