"""A generic webhook: each message as JSON, signed as https://www.standardwebhooks.com says.

Its receivers have libraries for that in most languages. `webhook-id` is the same for every try at one message, also
after a crash between sending and record: a receiver that keeps ids sees each message once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable

from analyzer.errors import UsageError
from analyzer.notify.base import Message
from analyzer.render.links import NO_LINKS, Links
from analyzer.types.document import incident_document
from analyzer.web import TIMEOUT_S, ask, check_url

SCHEMA = "analyzer.message/1"
_ENCODED = "whsec_"
"""Secrets that begin so are base64 behind it; others are taken as they are."""
_SECRET_BYTES_MIN = 16


class Webhook:
    """Posts each message to one URL."""

    def __init__(
        self,
        url: str,
        secret: str | None,
        *,
        links: Links = NO_LINKS,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.time,
        post: Callable[..., bytes] = ask,
    ) -> None:
        """Check the URL and read the secret; without one messages are not signed. Raises UsageError.

        `post` is asked as `web.ask` is.
        """
        check_url(url, "ANALYZER_WEBHOOK_URL")
        self._url = url
        self._key = None if secret is None else _key(secret)
        self._links = links
        self._timeout_s = timeout_s
        self._clock = clock
        self._post = post

    def send(self, message: Message) -> None:
        """Post one message. Raises DeliveryError."""
        body = json.dumps(_document(message, self._links), ensure_ascii=False, allow_nan=False).encode(
            "utf-8", "replace"
        )
        headers = {"Content-Type": "application/json", "User-Agent": "analyzer", "webhook-id": message_id(message)}
        headers["webhook-timestamp"] = str(int(self._clock()))
        if self._key is not None:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            headers["webhook-signature"] = f"v1,{_signature(self._key, signed)}"
        self._post(self._url, who="the webhook", body=body, headers=headers, timeout_s=self._timeout_s)

    def check(self) -> str:
        """Say what can be said without posting: a webhook takes nothing but messages."""
        return f"webhook set, messages are {'signed' if self._key is not None else 'not signed'}; nothing was sent"


def message_id(message: Message) -> str:
    """Name a message by its incident, its reason and what was said before it."""
    before = "" if message.last is None else message.last.at.isoformat()
    name = f"{message.incident.id} {message.reason.value} {before}"
    return f"msg_{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _document(message: Message, links: Links) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "reason": message.reason.value,
        "at": message.at.isoformat(),
        "url": links.incident(message.incident) or None,
        "incident": incident_document(message.incident),
    }


def _key(secret: str) -> bytes:
    text = secret.strip()
    try:
        key = base64.b64decode(text[len(_ENCODED) :], validate=True) if text.startswith(_ENCODED) else text.encode()
    except binascii.Error:
        raise UsageError(f"ANALYZER_WEBHOOK_SECRET begins with {_ENCODED}, but is no base64 behind it") from None
    if len(key) < _SECRET_BYTES_MIN:
        raise UsageError(f"ANALYZER_WEBHOOK_SECRET is too short: give at least {_SECRET_BYTES_MIN} bytes")
    return key


def _signature(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")
