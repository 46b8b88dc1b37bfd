"""Recorded conversations: what a model said is written down once, and said again without a network and without a bill.

A recording is JSON lines, masked: a header, then one line a call with what was asked and what came of it. It is played
back by whose conversation it is and by position: a prompt that was reworked since gets the replies of its predecessor,
which is what a recording is for. Every request that is not the recorded one is told, with the first place that differs.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from analyzer.agent.model import Model, ModelReply, ModelRequest
from analyzer.agent.text import Mask
from analyzer.agent.wire import masked_arguments, reply_document, reply_from_document, request_document
from analyzer.errors import ModelError, UsageError
from analyzer.types.audit import canonical, digest

SCHEMA = "analyzer.recording/1"
EXCERPT_CHARS = 60
"""Of both sides, where a request differs."""


class RecordingModel:
    """Asks another model and writes down each call before its reply is used. Safe to use from several threads."""

    def __init__(self, model: Model, path: Path, mask: Mask) -> None:
        """Begin a recording. Raises UsageError where the file is there already or cannot be written."""
        self._model = model
        self._mask = mask
        self._lock = Lock()
        try:
            # For its owner's eyes: it is masked, and still somebody's conversation.
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise UsageError(f"--record {path} is there already; name another file, or delete it") from None
        except OSError as error:
            raise UsageError(f"--record {path} cannot be written: {error.strerror}; name another file") from None
        self._file = os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace")
        self._write({"schema": SCHEMA, "model": model.name})

    @property
    def name(self) -> str:
        """The other model's id."""
        return self._model.name

    def reply(self, request: ModelRequest) -> ModelReply:
        """Answer as the other model does; see `Model.reply`."""
        asked = request_document(request, self._mask)
        line: dict[str, Any] = {"about": request.about, "request_sha256": digest(canonical(asked)), "request": asked}
        try:
            reply = self._model.reply(request)
        except ModelError as error:
            self._write({**line, "error": {"message": self._mask(str(error)), "ending": error.ending}})
            raise
        # With the provider's own blocks, masked: how much fits into a budget is reckoned with them.
        echo = [masked_arguments(block, self._mask) for block in reply.echo]
        self._write({**line, "reply": {**reply_document(reply, self._mask), "echo": echo}})
        return reply

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        with self._lock:
            self._file.write(canonical(line) + "\n")
            self._file.flush()


class ReplayedModel:
    """Says what a recording says. Safe to use from several threads."""

    def __init__(self, path: Path, mask: Mask) -> None:
        """Read a recording. Raises UsageError that names the line where it is none."""
        self._mask = mask
        self._lock = Lock()
        self._path = path
        self._calls: dict[str, deque[Mapping[str, Any]]] = defaultdict(deque)
        self._asked: dict[str, int] = defaultdict(int)
        self.differences: list[str] = []
        """What was asked otherwise than in the recording, a sentence each, in the order in which it was asked."""
        try:
            lines = path.read_text("utf-8").splitlines(keepends=True)
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text in UTF-8"
            raise UsageError(f"--replay {path} cannot be read: {why}; `--record FILE` makes a recording") from None
        self.name = self._read(lines)

    def reply(self, request: ModelRequest) -> ModelReply:
        """Give the next reply of this conversation. Raises ModelError where the recording has an error, or no more."""
        asked = request_document(request, self._mask)
        with self._lock:
            self._asked[request.about] += 1
            number = self._asked[request.about]
            calls = self._calls.get(request.about)
            call = calls.popleft() if calls else None
            whose = f"request {number} about {request.about or 'nothing named'}"
            if call is None:
                self.differences.append(f"{whose} has no reply in the recording {self._path}")
                raise ModelError(f"the recording {self._path} has no reply to {whose}", lost_tries=0)
            if call["request_sha256"] != digest(canonical(asked)):
                place = first_difference(call["request"], json.loads(canonical(asked)))
                self.differences.append(f"{whose} differs from the recording at {place}")
        if "error" in call:
            raise ModelError(str(call["error"]["message"]), ending=str(call["error"]["ending"]), lost_tries=0)
        return reply_from_document(call["reply"])

    @property
    def unused(self) -> list[str]:
        """What the recording holds and nobody asked for, a sentence each."""
        return [
            f"{len(calls)} recorded {'reply' if len(calls) == 1 else 'replies'} about {about or 'nothing named'} "
            f"{'was' if len(calls) == 1 else 'were'} not asked for"
            for about, calls in self._calls.items()
            if calls
        ]

    def _read(self, lines: Sequence[str]) -> str:
        """Take in the lines of a recording and return the model's name. Raises UsageError."""
        hint = "`--record FILE` makes a recording"
        if not lines:
            raise UsageError(f"--replay {self._path} is empty; {hint}")
        name = _header(lines[0])
        for number, line in enumerate(lines[1:], 2):
            call = _call(line)
            if name is not None and call is not None:
                self._calls[str(call["about"])].append(call)
            elif name is not None and not line.endswith("\n"):
                # A process that was killed while it wrote leaves a piece of a line at the end.
                self.differences.append(f"line {number} of the recording {self._path} is cut off and left out")
            else:
                raise UsageError(f"--replay {self._path}, line {number}: no line of {SCHEMA}; {hint}")
        if name is None:
            raise UsageError(f"--replay {self._path}, line 1: no line of {SCHEMA}; {hint}")
        return name


def _header(line: str) -> str | None:
    try:
        document = json.loads(line)
        return str(document["model"]) if document["schema"] == SCHEMA else None
    except (KeyError, TypeError, ValueError):
        return None


def _call(line: str) -> Mapping[str, Any] | None:
    """Return a call as it was recorded, or None where the line is none."""
    try:
        document: Mapping[str, Any] = json.loads(line)
        if "error" in document:
            ModelError(str(document["error"]["message"]), ending=str(document["error"]["ending"]))
        else:
            reply_from_document(document["reply"])
        str(document["about"])
        sound = isinstance(document["request"], dict) and isinstance(document["request_sha256"], str)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return document if sound else None


def first_difference(recorded: Any, asked: Any, place: str = "") -> str:
    """Return where two JSON documents differ first, and how: `messages[0].blocks[1].text: '... a' became '... b'`."""
    if isinstance(recorded, dict) and isinstance(asked, dict):
        for name in sorted({*recorded, *asked}):
            if recorded.get(name) != asked.get(name):
                return first_difference(recorded.get(name), asked.get(name), f"{place}.{name}" if place else name)
    if isinstance(recorded, list) and isinstance(asked, list):
        for index, (left, right) in enumerate(zip(recorded, asked, strict=False)):
            if left != right:
                return first_difference(left, right, f"{place}[{index}]")
        if len(recorded) != len(asked):
            return f"{place}: {len(recorded)} entries became {len(asked)}"
    before, after = _apart(recorded, asked)
    return f"{place or 'nothing'}: {before!r} became {after!r}"


def _apart(recorded: Any, asked: Any) -> tuple[str, str]:
    """Return both sides from a little before where they part."""
    left, right = (one if isinstance(one, str) else canonical(one) for one in (recorded, asked))
    same = next((index for index, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), None)
    start = max((min(len(left), len(right)) if same is None else same) - EXCERPT_CHARS // 3, 0)
    return _excerpt(left, start), _excerpt(right, start)


def _excerpt(text: str, start: int) -> str:
    end = start + EXCERPT_CHARS
    return ("..." if start else "") + text[start:end] + ("..." if len(text) > end else "")
