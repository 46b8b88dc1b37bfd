"""Transports that keep what would be sent: notifiers make their messages as ever, and nothing leaves the process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any


@dataclass(frozen=True, slots=True)
class _Taken:
    """Slack's own answer to what it took."""

    status_code: int = 200
    body: str = "ok"
    headers: Mapping[str, Any] = field(default_factory=dict)


class Captured:
    """Everything that was said on any route, in the form in which it would have gone out."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.messages = 0

    def _keep(self, *texts: str) -> None:
        self.messages += 1
        self.texts += texts

    def send(self, **fields: Any) -> _Taken:
        """Take a message as `slack_sdk.webhook.WebhookClient` does."""
        self._keep(json.dumps(fields, ensure_ascii=False, default=str))
        return _Taken()

    def post(self, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None, **_fields: Any) -> bytes:
        """Take a request as `web.ask` does."""
        self._keep(url, body.decode(), json.dumps(dict(headers or {})))
        return b""

    def mail(self, letter: EmailMessage) -> None:
        """Take a finished mail; its parts are kept as a reader's program decodes them."""
        parts = [part.get_content() for part in letter.walk() if part.get_content_maintype() == "text"]
        self._keep(str(letter.items()), *map(str, parts))
