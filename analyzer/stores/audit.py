"""The analyst's log in the state: appended to, never changed, never pruned; see `types.audit` and docs/audit.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from analyzer.errors import NotFoundError, StoreError
from analyzer.masking import Masker
from analyzer.stores.blocks import Codec
from analyzer.stores.filed import tampered
from analyzer.stores.state import Queries, StateDatabase
from analyzer.types.audit import (
    GENESIS,
    Act,
    Action,
    Anchor,
    Fault,
    Given,
    Head,
    Verified,
    canonical,
    chained,
    digest,
    faults,
    stamp,
)

ARGUMENTS_CHARS_MAX = 8_000
"""Longer arguments are kept as a text that the entry refers to: entries are read in lists."""
_AT_ONCE = 500
_REPORTS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry of the log."""

    number: int
    text: str
    """Canonical JSON: what the hash is of."""
    hash: str

    @property
    def document(self) -> dict[str, Any]:
        """The entry as JSON. Raises StoreError where it is none any more."""
        try:
            document = json.loads(self.text)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise StoreError(f"entry {self.number} of the log was changed: it is no JSON; run `analyzer audit verify`")
        return document


class SqliteAudit:
    """A `Journal` in the state, which processes share: each entry is one transaction that reads the head."""

    def __init__(
        self,
        connection: StateDatabase,
        masker: Masker,
        *,
        run: str = "",
        actor: str = "analyzer",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connection = connection
        self._masker = masker
        self._run = run
        self._actor = actor
        self._now = now
        self._codec = Codec()

    def write(self, act: Act) -> None:
        """See `Journal.write`."""
        self.write_all([act])

    def write_all(self, acts: Sequence[Act]) -> None:
        """Append several acts in one transaction. Raises StoreError; then none of them is in the log."""
        masked = [self._masked(act) for act in acts]
        keep = "INSERT INTO audit_texts (hash, body) VALUES (?, ?) ON CONFLICT DO NOTHING"
        with self._connection.writing() as raw:
            head = _required_head(raw)
            for document, texts in masked:
                text, head = chained(head, {**document, "at": stamp(self._now())})
                for name, body in texts.items():
                    packed = self._codec.pack(body.encode("utf-8", "surrogatepass"))
                    raw.execute(keep, (name, packed))
                raw.execute("INSERT INTO audit (number, entry, hash) VALUES (?, ?, ?)", (head.entries, text, head.hash))

    def head(self) -> Head:
        """See `Journal.head`. Raises StoreError where the log's own count is gone."""
        with self._connection.reading() as raw:
            return _required_head(raw)

    def entries(
        self, *, run: str | None = None, about: str | None = None, newest: int | None = None
    ) -> Iterator[Logged]:
        """Yield entries in their order: of a run or an incident, by beginnings of the ids, or the newest so many."""
        where = "number > ?"
        names: list[str] = []
        for column, prefix in (("run", run), ("about", about)):
            if prefix is not None:
                where += f" AND {column} >= ? AND {column} < ?"
                names += [prefix, prefix + "\U0010ffff"]
        last = 0
        if newest is not None:
            query = f"SELECT number FROM audit WHERE {where} ORDER BY number DESC LIMIT 1 OFFSET ?"  # noqa: S608 - own names
            with self._connection.reading() as raw:
                found = raw.execute(query, (0, *names, newest)).fetchone()
            last = found[0] if found else 0
        query = f"SELECT number, entry, hash FROM audit WHERE {where} ORDER BY number LIMIT {_AT_ONCE}"  # noqa: S608 - own names
        while True:
            with self._connection.reading() as raw:
                rows = raw.execute(query, (last, *names)).fetchall()
            yield from (Logged(*row) for row in rows)
            if len(rows) < _AT_ONCE:
                return
            last = rows[-1][0]

    def text(self, name: str) -> str:
        """Return a text by its hash. Raises NotFoundError where it is gone, StoreError where it was changed."""
        with self._connection.reading() as raw:
            row = raw.execute("SELECT body FROM audit_texts WHERE hash = ?", (name,)).fetchone()
        if row is None:
            raise NotFoundError(f"the log's text {name[:12]} is gone; run `analyzer audit verify`")
        text = self._unpacked(row[0])
        if text is None or digest(text) != name:
            raise StoreError(f"the log's text {name[:12]} was changed; run `analyzer audit verify`")
        return text

    def filed(self, about: str, run: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the latest entry that filed an incident, or that of a run, and the incident's document.

        Raises NotFoundError where there is none, StoreError where entry or document were changed.
        """
        wanted = about if about.startswith("inc-") else f"inc-{about}"
        last: Logged | None = None
        for logged in self.entries(run=run, about=wanted):
            if logged.document["action"] == Action.INCIDENT_FILED:
                last = logged
        if last is None:
            raise NotFoundError(f"the log has no incident {wanted}; `analyzer audit show` lists what it has")
        if digest(last.text) != last.hash:
            raise StoreError(f"entry {last.number} of the log was changed; run `analyzer audit verify`")
        return last.document, json.loads(self.text(last.document["returned"]))

    def verify(self, anchors: Sequence[Anchor] = ()) -> Verified:
        """Return what is wrong, held against `anchors` and the heads that the store and its reports remember.

        Everything is read in one transaction: what others append meanwhile is neither seen nor missed.
        """
        with self._connection.reading() as raw:
            own = _head(raw)
            counted = () if own is None else (Anchor("the store's own count", own),)
            rows = ((one.number, one.text, one.hash) for one in self.entries())
            found = list(faults(rows, [*anchors, *counted, *_reported(raw)]))
            last = raw.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
            head = Head(0, GENESIS) if last is None else Head(*last)
            if own is None:
                why = "the store's own count of entries is gone: whether later ones were cut off cannot be told"
                found.append(Fault(head.entries, why))
            return Verified(
                head, (*found, *self._lost_texts(raw), *self._lost_words(raw), *tampered(raw, self._entries()))
            )

    def _lost_texts(self, raw: Queries) -> Iterator[Fault]:
        """Yield which texts are gone or were changed, each with the first entry that refers to it."""
        names = {row[0] for row in raw.execute("SELECT hash FROM audit_texts")}
        told = set()
        for logged in self.entries():
            for role in ("given", "returned"):
                name = _field(logged.text, role)
                if name is None or name in told:
                    continue
                told.add(name)
                if name not in names:
                    yield Fault(logged.number, f"what entry {logged.number} refers to as {role} is gone")
                elif not self._is_sound(name):
                    yield Fault(logged.number, f"what entry {logged.number} refers to as {role} was changed")

    def _lost_words(self, raw: Queries) -> Iterator[Fault]:
        """Yield which entries tell of a word that the incident no longer has.

        Words are told apart by incident, what was said and by whom: of several that are alike the last is named.
        """
        kept = Counter(raw.execute("SELECT incident, said, who FROM words"))
        for number, text in self._entries():
            if _field(text, "action") != Action.WORD_SAID:
                continue
            about, said, who = (_field(text, name) for name in ("about", "name", "actor"))
            if not kept[about, said, who]:
                yield Fault(number, f"the word that entry {number} tells of is gone: {said} by {who} about {about}")
            kept[about, said, who] -= 1

    def _entries(self) -> Iterator[tuple[int, str]]:
        """Yield every entry with its number, a few at a time: a log may be larger than memory."""
        return ((one.number, one.text) for one in self.entries())

    def _is_sound(self, name: str) -> bool:
        try:
            self.text(name)
        except (StoreError, NotFoundError):
            return False
        return True

    def _unpacked(self, body: bytes) -> str | None:
        try:
            with self._connection.lock:
                return self._codec.unpack(body).decode("utf-8", "surrogatepass")
        except Exception:  # noqa: BLE001 - zstandard's own errors: bytes that somebody changed
            return None

    def _masked(self, act: Act) -> tuple[dict[str, Any], dict[str, str]]:
        """Return an entry without its place in the chain, and the texts it refers to, by hash."""
        texts: dict[str, str] = {}

        def kept(given: Given) -> str | None:
            if given is None:
                return None
            if isinstance(given, str):
                masked = self._masker.text(given)
            else:
                masked = canonical(_as_given(self._masker.value(dict(given)), given, act.shown))
            name = digest(masked)
            texts[name] = masked
            return name

        arguments: Mapping[str, Any] = self._masker.value(dict(act.arguments))
        given = act.given
        if given is None and len(canonical(arguments)) > ARGUMENTS_CHARS_MAX:
            arguments, given = {}, arguments
        document = {
            "actor": self._actor,
            "run": self._run,
            "about": act.about,
            "action": act.action.value,
            "name": self._masker.text(act.name),
            "arguments": arguments,
            "given": kept(given),
            "returned": kept(act.returned),
            "failed": act.failed,
            "tokens": act.tokens,
            "cost_usd": act.cost_usd,
        }
        return _sound(document), texts


def _sound(value: Any) -> Any:
    """Return a value with U+FFFD for what no database holds as a text: NUL, and halves of characters.

    PostgreSQL refuses them escaped in JSON too, and models and tools may say anything.
    """
    if isinstance(value, str):
        whole = value.replace("\0", "\ufffd")
        return whole if whole.isascii() else whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_sound(name): _sound(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(inner) for inner in value]
    return value


def _as_given(masked: Any, given: Any, names: Collection[str]) -> Any:
    """Return what was masked with the values of some keys, at any depth, as they were given."""
    if isinstance(masked, dict) and isinstance(given, Mapping):
        whole = {name: _as_given(value, given.get(name), names) for name, value in masked.items()}
        return {**whole, **{name: given[name] for name in whole if name in names and name in given}}
    if isinstance(masked, list) and isinstance(given, list):
        return [_as_given(*pair, names) for pair in zip(masked, given, strict=True)]
    return masked


def _head(raw: Queries) -> Head | None:
    """Return the store's own count, or None where somebody deleted it, or wrote what is none."""
    row = raw.execute("SELECT entries, hash FROM audit_head").fetchone()
    return Head(row[0], str(row[1])) if row is not None and isinstance(row[0], int) else None


def _required_head(raw: Queries) -> Head:
    head = _head(raw)
    if head is None:
        raise StoreError("the log's own count is gone from the store; run `analyzer audit verify`")
    return head


def _reported(raw: Queries) -> list[Anchor]:
    """Return the heads that stand in the stored reports."""
    found: list[Anchor] = []
    last = 0
    while rows := raw.execute(
        "SELECT id, run, document FROM reports WHERE id > ? ORDER BY id LIMIT ?", (last, _REPORTS_AT_ONCE)
    ).fetchall():
        last = rows[-1][0]
        for _, run, document in rows:
            head = _head_in(document)
            if head is not None:
                found.append(Anchor(f"the report of run {run[:12]}", head))
    return found


def _head_in(document: str) -> Head | None:
    """Return the head that a report names; None where it names none, or is no report any more."""
    try:
        kept = json.loads(document)["run"]["audit"]
        entries, name = kept["entries"], kept["hash"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return Head(entries, str(name)) if isinstance(entries, int) and entries > 0 else None


def _field(text: str, name: str) -> str | None:
    """Return a field of an entry that is a text; None where there is none."""
    try:
        value = json.loads(text).get(name)
    except (ValueError, AttributeError):
        return None
    return value if isinstance(value, str) else None
