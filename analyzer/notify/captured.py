"""Transports that keep what would be sent: notifiers make their messages as ever, and nothing leaves the process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any


@dataclass(frozen=True, slots=True)
class _Taken:
    """Slack's own answer to what it took, by a webhook or by the API."""

    status_code: int = 200
    body: str = "ok"
    headers: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


class Captured:
    """Everything that was said on a route, in the form in which it would have gone out."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.messages = 0

    def _keep(self, *texts: str) -> None:
        self.messages += 1
        self.texts += texts

    def send(self, **fields: Any) -> _Taken:
        """Take a message as `slack_sdk.webhook.WebhookClient` does."""
        self._keep(_written(fields))
        return _Taken()

    def chat_postMessage(self, *, channel: str, **fields: Any) -> _Taken:  # noqa: N802 - the SDK's own name
        """Take a message as `slack_sdk.WebClient` does, under a time stamp of its own."""
        self._keep(_written(fields))
        return _Taken(data={"ok": True, "channel": channel, "ts": f"{self.messages}.000000"})

    def chat_update(self, *, channel: str, ts: str, **fields: Any) -> _Taken:
        """Take an edited message as `slack_sdk.WebClient` does."""
        self._keep(_written(fields))
        return _Taken(data={"ok": True, "channel": channel, "ts": ts})

    def files_upload_v2(self, *, file_uploads: Sequence[Mapping[str, Any]], **_where: Any) -> _Taken:
        """Take pictures as `slack_sdk.WebClient` does: their words, for pixels cannot be searched."""
        self.texts += [_written({name: part for name, part in one.items() if name != "file"}) for one in file_uploads]
        return _Taken(data={"ok": True})

    def post(self, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None, **_fields: Any) -> bytes:
        """Take a request as `web.ask` does."""
        self._keep(url, body.decode(), json.dumps(dict(headers or {})))
        return b""

    def ask(self, url: str, *, body: bytes | None = None, **fields: Any) -> bytes:
        """Take alerts as `web.ask` does for an Alertmanager, and answer a question with none."""
        return b"[]" if body is None else self.post(url, body=body, **fields)

    def mail(self, letter: EmailMessage) -> None:
        """Take a finished mail; its parts are kept as a reader's program decodes them."""
        parts = [part.get_content() for part in letter.walk() if part.get_content_maintype() == "text"]
        self._keep(str(letter.items()), *map(str, parts))


def _written(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, default=str)
