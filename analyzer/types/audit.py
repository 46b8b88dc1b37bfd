"""The log of what the analyst did: acts, entries that are chained by their hashes, and what is wrong with a chain.

An entry is canonical JSON that holds its number and the hash of the entry before it; its hash is the SHA-256 of that
text. So an entry cannot be changed, removed or moved without the chain showing where. Who can write the whole file can
also make a whole new chain: only an anchor, a hash that was written down elsewhere, shows that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

GENESIS = ""
"""What stands for the hash before the first entry."""


class Action(StrEnum):
    """What was done."""

    MODEL_REQUEST = "model.request"
    """Written before the request is sent: a call whose process was killed is in the log, too."""
    MODEL_REPLY = "model.reply"
    MODEL_ERROR = "model.error"
    TOOL_CALL = "tool.call"
    INCIDENT_FILED = "incident.filed"
    """An incident as a run left it; its document is what `incidents show --from-log` renders."""
    REPORT_FILED = "report.filed"
    """A run's report as it is kept, by its hashes; written where it is kept already, or is about to be kept anew."""
    QUESTION_ANSWERED = "question.answered"
    ALERT_ANSWERED = "alert.answered"
    """What a run had to say of an alert that came in, for the first time or anew."""
    WORD_SAID = "word.said"
    """What a human said of an incident; the actor is who said it."""


Given = str | Mapping[str, Any] | None
"""A text, or a JSON document."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that was done. Texts are masked once more on the way into the log."""

    action: Action
    about: str
    """The id of the incident; `question-` and the trace id, or `fleet`, where that was asked about; `alert-` and its
    fingerprint; `replay-` and the trace id of which a model call is sent again."""
    name: str
    """The model or the tool; of an incident its state, of a human's word what was said."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    given: Given = None
    """What went in beside the arguments: of a request, what the conversation had not held before."""
    returned: Given = None
    shown: frozenset[str] = frozenset()
    """Keys of documents, at any depth, whose values were masked where they came in, and stand in the log as given."""
    failed: bool = False
    tokens: int | None = None
    cost_usd: float | None = None


class Journal(Protocol):
    """Where acts are written down. Safe to use from several threads."""

    def write(self, act: Act) -> None:
        """Append an act. Raises StoreError; then it is not in the log."""

    def head(self) -> Head | None:
        """Return the newest entry's number and hash; None where nothing is kept."""


class Unwritten:
    """A journal that keeps nothing, for walks that leave no trace."""

    def write(self, act: Act) -> None:
        """Forget the act."""

    def head(self) -> Head | None:
        """Have no head."""
        return None


@dataclass(frozen=True, slots=True)
class Head:
    """How far a log goes, and the hash of its newest entry: what an anchor holds."""

    entries: int
    hash: str
    """64 hex digits; GENESIS of an empty log."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head that was written down, and where."""

    source: str
    head: Head


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a log."""

    number: int
    """The first entry it concerns."""
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What verification saw of a log, all of it at one moment."""

    head: Head
    """The newest entry that is there."""
    faults: tuple[Fault, ...]
    """None of a log that is whole."""


def canonical(document: Any) -> str:
    """Return the one text of a JSON document: sorted keys, no white space, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)


def digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def chained(previous: Head, document: Mapping[str, Any]) -> tuple[str, Head]:
    """Return the text of the next entry, and the head after it."""
    number = previous.entries + 1
    text = canonical({**document, "number": number, "previous": previous.hash})
    return text, Head(number, digest(text))


def stamp(at: datetime) -> str:
    """Return a moment as entries have it: ISO 8601 in UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def faults(rows: Iterable[tuple[int, str, str]], anchors: Sequence[Anchor] = ()) -> Iterator[Fault]:
    """Yield what is wrong with a log, in the order of its entries; rows are (number, text, hash), by number.

    An anchor is held against the entry of its number, so that a tail that was cut off is missed, and a chain that was
    made anew is told from the one that was seen.
    """
    by_number: dict[int, list[Anchor]] = {}
    for anchor in anchors:
        by_number.setdefault(anchor.head.entries, []).append(anchor)
    last = Head(0, GENESIS)
    for number, text, kept in rows:
        if number > last.entries + 1:
            yield Fault(last.entries + 1, f"{_entries(last.entries + 1, number - 1)} missing")
            last = Head(number - 1, _previous(text))
        yield from _own_faults(number, text, kept, last)
        for anchor in by_number.get(number, ()):
            if anchor.head.hash != kept:
                yield Fault(number, f"{anchor.source} has seen another entry {number}: the log was made anew")
        last = Head(number, kept)
    late = [anchor for anchor in anchors if anchor.head.entries > last.entries]
    if late:
        longest = max(late, key=lambda anchor: anchor.head.entries)
        gone = _entries(last.entries + 1, longest.head.entries)
        yield Fault(last.entries + 1, f"{gone} missing at the end: {longest.source} has seen them")


def _own_faults(number: int, text: str, kept: str, last: Head) -> Iterator[Fault]:
    if digest(text) != kept:
        yield Fault(number, f"entry {number} was changed: its hash is not that of its text")
        return
    said, previous = _field(text, "number"), _previous(text)
    if said != number:
        yield Fault(number, f"entry {said} stands in the place of entry {number}: entries were moved")
    elif previous != last.hash:
        before = f"entry {number - 1}" if number > 1 else "the beginning"
        yield Fault(number, f"entry {number} does not follow {before}: one of them was replaced")


def _entries(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


def _previous(text: str) -> str:
    return str(_field(text, "previous"))


def _field(text: str, name: str) -> Any:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document.get(name) if isinstance(document, dict) else None
