"""Texts on their way into the store: split into messages, masked, found again or packed into blocks.

Two steps, so that the database is asked once a batch and not once a text. `stage` splits and masks before the
transaction begins; `settle` finds inside it which texts the store has, and gives ids to the others; then `place`
turns what was staged into references (see `payloads`).

Three things make the work grow with what is new and not with the prompts: a conversation that begins with the text
of the step before is only read from there on; a part that was seen is neither masked nor looked up again; and
only the youngest `YOUNG_BLOCKS` blocks are searched for a text, so that a million spans cost each as much as ten
thousand do. A text older than that is stored again, once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import orjson

from analyzer.stores.blocks import SLOT_BITS, BlockWriter, Codec
from analyzer.stores.texts import encoded, parts_of, task_in, version_of

ARRAY = 0
"""`prev` of the first message of an array."""
YOUNG_BLOCKS = 4096
"""A generation of texts: about 250 MB of them. The youngest two are searched; their index stays below 20 MB."""
_CACHE_MAX = 50_000
"""Entries per cache before it is emptied: about 10 MB."""
_REMEMBERED_BYTES = 16 << 20
"""How much of the last prompts is remembered, to know their continuations by."""
_VERSIONS_BYTES = 8 << 20
"""How much of system prompts and tool definitions is remembered."""
_ENTRY_BYTES = 700
"""What a remembered text takes beside its characters: its key, the keys of its messages, its place in a table."""
_CLEAN_MIN = 100
"""Characters from which a text is worth remembering as clean."""
_CLEAN_BYTES = 8 << 20
_HEAD = 200
"""Characters that tell the conversations of one trajectory apart."""
_CHUNK = 500
_SIGN = 1 << 64


class Text:
    """A text that was staged: the messages that came before, if they were staged too, and the keys of its own."""

    __slots__ = ("before", "blocks", "keys", "node", "reference", "single", "task", "version")

    def __init__(self, before: Text | None, keys: list[int], *, single: bool, task: str = "") -> None:
        self.before = before
        self.task = task
        """The kind of task of the first message of a user, in a text that is an array of messages."""
        self.keys = keys
        self.single = single
        self.version = ""
        """A short hash of the masked text, where it was staged by `stage_version`."""
        self.reference: int | None = None
        self.blocks: tuple[int, ...] = ()
        """The blocks of its own messages, not of those before; known like the reference once it is placed."""
        self.node = 0


class Intake:
    """Writes texts. A failed transaction must be followed by `forget`: the caches would name what was rolled back."""

    def __init__(self, codec: Codec, mask: Callable[[str], str], key: bytes) -> None:
        self._codec = codec
        self._mask = mask
        # Keyed: with a plain hash of eight bytes somebody could make two texts that are taken for one.
        self._hash = blake2b(digest_size=8, key=key)
        self._floor: tuple[int, int] | None = None
        self._ids: dict[int, int] = {}
        """Key of a part as it came -> payload of its masked form."""
        self._nodes: dict[tuple[int, int], int] = {}
        self._prompts: dict[tuple[str, str], tuple[str, Text]] = {}
        self._prompt_bytes = 0
        self._versions: dict[str, Text] = {}
        self._version_bytes = 0
        self._clean: set[str] = set()
        self._clean_bytes = 0
        self._reset()

    def _reset(self) -> None:
        self._masked_keys: dict[int, int] = {}
        self._fresh: dict[int, bytes] = {}
        self._new_nodes: list[tuple[int, int, int]] = []
        self._blocks = BlockWriter(self._codec, 1)
        self._first_payload = self._first_node = self._next_node = 1

    def forget(self) -> None:
        """Empty the caches and drop what was staged."""
        self._floor = None
        self._ids.clear()
        self._nodes.clear()
        self._prompts.clear()
        self._prompt_bytes = 0
        self._versions.clear()
        self._version_bytes = 0
        self._reset()

    def stage(self, text: str | None) -> Text | None:
        """Take a text; None and the empty text are none."""
        if not text:
            return None
        parts = parts_of(text)
        if parts is None:
            return Text(None, [self._key(encoded(text), text)], single=True)
        return Text(None, [self._key(body, part) for body, part in parts], single=False, task=task_in(parts))

    def stage_prompt(self, trace_id: str, text: str | None) -> Text | None:
        """Take the input of an inference, which mostly repeats that of the step before and goes on."""
        if not text or text[0] != "[":
            return self.stage(text)
        at = (trace_id, text[:_HEAD])
        known = self._prompts.get(at)
        staged = None
        if known is not None:
            before, head = known
            if before == text:
                return head
            more = text[len(before) - 1 :].lstrip() if text.startswith(before[:-1]) else ""
            # `[a]` and `[a,b]`: what follows the comma is an array of its own.
            parts = parts_of("[" + more[1:]) if more.startswith(",") else None
            if parts is not None:
                keys = [self._key(body, part) for body, part in parts]
                staged = Text(head, keys, single=False, task=head.task or task_in(parts))
        if staged is None:
            staged = self.stage(text)
        if staged is not None and not staged.single and text[-1] == "]":
            if self._prompt_bytes > _REMEMBERED_BYTES:
                self._prompts.clear()
                self._prompt_bytes = 0
            elif known is not None:
                self._prompt_bytes -= known[0].__sizeof__() + _ENTRY_BYTES
            self._prompt_bytes += text.__sizeof__() + _ENTRY_BYTES
            self._prompts[at] = (text, staged)
        return staged

    def stage_version(self, text: str | None) -> Text | None:
        """Take a system prompt or tool definitions: few texts, each of them in very many spans."""
        if not text:
            return None
        staged = self._versions.get(text)
        if staged is None:
            staged = self.stage(text)
            assert staged is not None  # noqa: S101 - the text is not empty
            staged.version = version_of(text, self._mask)
            if self._version_bytes > _VERSIONS_BYTES:
                self._versions.clear()
                self._version_bytes = 0
            self._version_bytes += text.__sizeof__() + _ENTRY_BYTES
            self._versions[text] = staged
        return staged

    def stage_document(self, document: bytes) -> Text:
        """Take a JSON document whole; its reference is `-2 * payload`."""
        return Text(None, [self._key(document, None)], single=True)

    def _key(self, part: bytes, source: Any) -> int:
        """Return the key of a part; mask it where it was not seen before. `source` is the text or message it says."""
        hashed = self._hash.copy()
        hashed.update(part)
        key = int.from_bytes(hashed.digest(), "big", signed=True)
        if key in self._ids or key in self._masked_keys:
            return key
        text = part.decode()
        masked = text if self._is_known_clean(part, source) else self._mask(text)
        if masked == text:
            if source.__class__ is str and len(source) >= _CLEAN_MIN:
                self._note_clean(source)
            self._masked_keys[key] = key
            self._fresh[key] = part
        else:
            self._masked_keys[key] = self._mask_key(encoded(masked))
        return key

    def _is_known_clean(self, part: bytes, source: Any) -> bool:
        """Whether a message is a text that was found clean by itself, and nothing in the rest of it needs masking.

        What a tool returned comes a second time, as a message of the next prompt.
        """
        content = _content(source) if source.__class__ is dict else None
        if content is None or len(content) < _CLEAN_MIN or content not in self._clean:
            return False
        quoted = orjson.dumps(content)
        if len(quoted) != len(content) + 2:
            # With escapes in it, it is another text.
            return False
        rest = part.replace(quoted, b'""', 1).decode()
        return self._mask(rest) == rest

    def _note_clean(self, text: str) -> None:
        if self._clean_bytes > _CLEAN_BYTES:
            self._clean.clear()
            self._clean_bytes = 0
        self._clean_bytes += len(text)
        self._clean.add(text)

    def _mask_key(self, masked: bytes) -> int:
        hashed = self._hash.copy()
        hashed.update(masked)
        key = int.from_bytes(hashed.digest(), "big", signed=True)
        self._fresh[key] = masked
        return key

    def begin(self, raw: sqlite3.Connection) -> bool:
        """Read the shared counters at the start of a transaction.

        Returns False where retention has run meanwhile, here or in another process: the caches were emptied, and
        what was staged before must be staged again.
        """
        floor_block, floor_thread = raw.execute("SELECT floor_block, floor_thread FROM counters").fetchone()
        if self._floor is not None and self._floor != (floor_block, floor_thread):
            self.forget()
            return False
        self._floor = (floor_block, floor_thread)
        first = max(floor_block, _next(raw, "blocks"))
        self._blocks = BlockWriter(self._codec, first)
        self._first_payload = first << SLOT_BITS
        self._first_node = self._next_node = max(floor_thread, _next(raw, "threads"))
        return True

    def settle(self, raw: sqlite3.Connection) -> None:
        """Give every staged part its payload."""
        young = _generation(raw, self._first_payload >> SLOT_BITS)
        found = _looked_up(raw, self._fresh, young)
        new = []
        for key, body in self._fresh.items():
            if key not in found:
                found[key] = payload = self._blocks.append(body)
                new.append((key, payload))
        raw.executemany(f"INSERT OR REPLACE INTO recent_{young} VALUES (?, ?)", new)  # noqa: S608 - 0 or 1
        for key, masked_key in self._masked_keys.items():
            self._ids[key] = found[masked_key]
        self._masked_keys.clear()
        self._fresh.clear()

    def place(self, raw: sqlite3.Connection, text: Text, blocks: set[int]) -> int:
        """Return the reference of a staged text, and put the blocks of its own messages into `blocks`.

        Those of the messages before it are there already: a prompt continues one of the same trajectory.
        """
        if text.reference is not None:
            blocks.update(text.blocks)
            return text.reference
        payloads = [self._ids[key] for key in text.keys]
        text.blocks = tuple({payload >> SLOT_BITS for payload in payloads})
        blocks.update(text.blocks)
        if text.single:
            text.reference = -2 * payloads[0]
        elif text.before is None and len(payloads) == 1:
            text.reference = -2 * payloads[0] - 1
        else:
            node = ARRAY if text.before is None else self._node_of(raw, text.before)
            for payload in payloads:
                node = self._node(raw, node, payload)
            text.reference = text.node = node
            text.before = None
        return text.reference

    def _node_of(self, raw: sqlite3.Connection, text: Text) -> int:
        """Return the node of a placed array; one of a single message gets its node when another follows it."""
        if not text.node:
            assert text.reference is not None  # noqa: S101 - texts are placed in the order in which they were staged
            text.node = self._node(raw, ARRAY, -text.reference >> 1)
        return text.node

    def _node(self, raw: sqlite3.Connection, prev: int, payload: int) -> int:
        known = self._nodes.get((prev, payload))
        if known is not None:
            return known
        row = None
        if prev < self._first_node and payload < self._first_payload:
            row = raw.execute("SELECT id FROM threads WHERE prev = ? AND payload = ?", (prev, payload)).fetchone()
        if row is None:
            node = self._next_node
            self._next_node += 1
            self._new_nodes.append((node, prev, payload))
        else:
            node = int(row[0])
        self._nodes[prev, payload] = node
        return node

    def append(self, document: bytes, blocks: set[int]) -> int:
        """Keep a document that is masked and not looked for again; return its payload."""
        payload = self._blocks.append(document)
        blocks.add(payload >> SLOT_BITS)
        return payload

    def finish(self, raw: sqlite3.Connection) -> None:
        """Write blocks and nodes."""
        self._blocks.flush(raw)
        raw.executemany("INSERT INTO threads (id, prev, payload) VALUES (?, ?, ?)", self._new_nodes)
        self._new_nodes = []
        # Not earlier: what is staged may name parts, and what is placed nodes, that only stand here.
        for cache in (self._ids, self._nodes):
            if len(cache) > _CACHE_MAX:
                cache.clear()


def _next(raw: sqlite3.Connection, table: str) -> int:
    return int(raw.execute(f"SELECT COALESCE(MAX(id), 0) + 1 FROM {table}").fetchone()[0])  # noqa: S608 - own names


def _generation(raw: sqlite3.Connection, block: int) -> int:
    """Return which of the two indexes takes new texts; when it has had its share, the older one is emptied for them."""
    young, young_block = raw.execute("SELECT young, young_block FROM counters").fetchone()
    if block - young_block < YOUNG_BLOCKS:
        return int(young)
    young = 1 - young
    raw.execute(f"DELETE FROM recent_{young}")  # noqa: S608 - 0 or 1; without a condition SQLite drops whole pages
    raw.execute("UPDATE counters SET young = ?, young_block = ?", (young, block))
    return int(young)


def _looked_up(raw: sqlite3.Connection, keys: Iterable[int], young: int) -> dict[int, int]:
    """Return the payloads of those keys that the store has, the younger one where it has two."""
    wanted = sorted(keys)
    found: dict[int, int] = {}
    for generation in (1 - young, young):
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT hash, payload FROM recent_{generation} WHERE hash IN ({marks})"  # noqa: S608 - 0 or 1, question marks
            found.update(raw.execute(query, chunk).fetchall())
    return found


def _content(message: dict[str, Any]) -> str | None:
    """Return the text of a message that holds one text, in the forms of the conventions and of OpenAI."""
    found = message.get("content")
    parts = message.get("parts")
    if found is None and parts.__class__ is list and len(parts) == 1 and (part := parts[0]).__class__ is dict:
        for name in ("content", "response", "result"):
            if name in part:
                found = part[name]
                break
    return found if found.__class__ is str else None
