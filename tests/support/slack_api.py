"""A Slack workspace on a loopback port: one channel, a bot that may post and edit, and an incoming webhook.

It keeps what it was sent as Slack would show it, refuses what Slack refuses, and fails as a test says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.http import Answer, Asked, Loopback, loopback

TOKEN = "xoxb-very-secret"
CHANNEL, CHANNEL_ID = "#alerts", "C0123"
SECRET_PATH = "/services/T000/B000/verysecretpart"
FAILED = Answer(b"<html>oh no</html>", status=500)


def rate_limited(retry_after: str) -> Answer:
    """Return a 429 with a Retry-After header, as the Web API gives it."""
    return Answer(b'{"ok": false, "error": "ratelimited"}', status=429, headers={"Retry-After": retry_after})


@dataclass
class Posted:
    """One message as it stands."""

    text: str
    blocks: list[dict[str, Any]]
    thread_ts: str | None
    in_channel: bool
    """Shown in the channel: no reply, or one that was broadcast."""
    edits: int = 0


@dataclass
class Uploaded:
    """A file."""

    name: str
    title: str
    alt: str
    content: bytes = b""
    thread_ts: str | None = None


@dataclass
class Workspace:
    """A running fake."""

    server: Loopback
    messages: dict[str, Posted] = field(default_factory=dict)
    """By time stamp, in the order of posting."""
    files: list[Uploaded] = field(default_factory=list)
    """What was uploaded and shared, in order."""
    by_webhook: list[str] = field(default_factory=list)
    """The texts that came by the webhook."""
    answers: list[Answer] = field(default_factory=list)
    """What the next calls get instead of being heard."""
    refused: dict[str, str] = field(default_factory=dict)
    """Methods that are refused, with Slack's word for why."""
    pending: dict[str, Uploaded] = field(default_factory=dict)
    """Files that have an address and are not shared yet, by id."""
    on_posted: Callable[[], object] = bool
    """Called after a message was kept and before it is answered."""

    @property
    def api_url(self) -> str:
        """The base URL of the Web API."""
        return f"{self.server.url}/api"

    @property
    def webhook_url(self) -> str:
        """The webhook's URL; its path is the secret."""
        return self.server.url + SECRET_PATH

    def thread(self, ts: str) -> list[str]:
        """Return the texts of a thread: its first message as it stands, then the replies."""
        return [self.messages[ts].text, *(one.text for one in self.messages.values() if one.thread_ts == ts)]

    def threads(self) -> list[list[str]]:
        """Return all threads in the order in which they were begun."""
        return [self.thread(ts) for ts, one in self.messages.items() if one.thread_ts is None]

    def answer(self, asked: Asked) -> Answer:
        """Hear one request."""
        if self.answers:
            return self.answers.pop(0)
        fields = _fields(asked)
        if asked.path.startswith("/upload/"):
            self.pending[asked.path.removeprefix("/upload/")].content = asked.body
            return Answer(b"OK")
        if asked.path == SECRET_PATH:
            self.by_webhook.append(fields["text"])
            return Answer(b"ok")
        return Answer(json.dumps(self._called(asked, fields)).encode())

    def _called(self, asked: Asked, fields: dict[str, Any]) -> dict[str, Any]:
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _no("invalid_auth")
        method = urlsplit(asked.path).path.removeprefix("/api/")
        if method in self.refused:
            return _no(self.refused[method])
        return self._method(method, fields)

    def _method(self, method: str, fields: dict[str, Any]) -> dict[str, Any]:
        if method == "auth.test":
            return {"ok": True, "user": "analyst", "team": "Acme"}
        if _too_large(fields.get("blocks", [])):
            return _no("invalid_blocks")
        if method == "chat.postMessage":
            return self._post(fields)
        if method == "chat.update":
            return self._update(fields)
        return self._file(method, fields)

    def _file(self, method: str, fields: dict[str, Any]) -> dict[str, Any]:
        if method == "files.getUploadURLExternal":
            name = f"F{len(self.pending):03d}"
            self.pending[name] = Uploaded(fields["filename"], "", fields["alt_txt"])
            return {"ok": True, "file_id": name, "upload_url": f"{self.server.url}/upload/{name}"}
        if method == "files.completeUploadExternal":
            return self._share(fields)
        return _no("unknown_method")

    def _share(self, fields: dict[str, Any]) -> dict[str, Any]:
        if fields["channel_id"] != CHANNEL_ID:
            # As Slack: a name is good for posting alone.
            return _no("channel_not_found")
        for one in json.loads(fields["files"]):
            shared = self.pending[one["id"]]
            shared.title, shared.thread_ts = one["title"], fields.get("thread_ts")
            self.files.append(shared)
        return {"ok": True, "files": [{}]}

    def _post(self, fields: dict[str, Any]) -> dict[str, Any]:
        if fields["channel"] not in {CHANNEL, CHANNEL_ID}:
            return _no("channel_not_found")
        parent = fields.get("thread_ts")
        if parent is not None and parent not in self.messages:
            return _no("thread_not_found")
        ts = f"1700000000.{len(self.messages):06d}"
        in_channel = parent is None or bool(fields.get("reply_broadcast"))
        self.messages[ts] = Posted(fields["text"], fields["blocks"], parent, in_channel)
        self.on_posted()
        return {"ok": True, "channel": CHANNEL_ID, "ts": ts}

    def _update(self, fields: dict[str, Any]) -> dict[str, Any]:
        if fields["channel"] != CHANNEL_ID:
            # As Slack: a name is good for posting alone.
            return _no("channel_not_found")
        message = self.messages.get(fields["ts"])
        if message is None:
            return _no("message_not_found")
        message.text, message.blocks, message.edits = fields["text"], fields["blocks"], message.edits + 1
        return {"ok": True, "channel": CHANNEL_ID, "ts": fields["ts"]}


def _fields(asked: Asked) -> dict[str, Any]:
    if asked.headers.get("Content-Type", "").startswith("application/json"):
        found: dict[str, Any] = json.loads(asked.body)
        return found
    if asked.path.startswith("/upload/"):
        return {}
    written = f"{asked.body.decode()}&{urlsplit(asked.path).query}"
    return {name: values[0] for name, values in parse_qs(written).items()}


def _no(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


def _too_large(blocks: list[dict[str, Any]]) -> bool:
    texts = [block["text"] for block in blocks if isinstance(block.get("text"), dict)]
    long = {"plain_text": 150, "mrkdwn": 3000}
    return len(blocks) > 50 or any(not 0 < len(text["text"]) <= long[text["type"]] for text in texts)


@contextmanager
def workspace() -> Iterator[Workspace]:
    """Run a workspace for the length of a block."""
    made = Workspace(Loopback("", []))
    with loopback(made.answer) as server:
        made.server = server
        yield made
