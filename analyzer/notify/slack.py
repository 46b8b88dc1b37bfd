"""Slack through an incoming webhook: the one door to slack_sdk.

The URL is the credential: it appears in no error, no log and no record. `WebhookClient` reports most failures by status
code and raises the rest (no connection, a time-out); it logs both with the URL, so that it gets a logger that is off.
"""

from __future__ import annotations

import http.client
import ipaddress
import logging
import math
from collections.abc import Sequence
from urllib.parse import urlsplit

from slack_sdk.errors import SlackClientError
from slack_sdk.webhook import WebhookClient, WebhookResponse

from analyzer.errors import DeliveryError, UsageError
from analyzer.notify.base import Digest, Message, RateLimitedError
from analyzer.render.blocks import Block
from analyzer.render.digest import digest_headline, digest_outline
from analyzer.render.message import headline, message_outline
from analyzer.render.slack import fallback_text, slack_blocks

TIMEOUT_S = 10
_BODY_SHOWN_MAX = 60
_TOO_MANY, _SERVER_ERROR = 429, 500
_REQUEST_TIMEOUT = 408
_HINTS = {
    "invalid_payload": "Slack did not accept the blocks; please report this as a defect",
    "invalid_blocks": "Slack did not accept the blocks; please report this as a defect",
    "no_text": "Slack did not accept the blocks; please report this as a defect",
    "no_service": "the webhook was disabled or deleted; make a new one in Slack",
    "invalid_token": "the webhook was revoked; make a new one in Slack",
    "channel_not_found": "the webhook's channel is gone; make a new one in Slack",
    "channel_is_archived": "the webhook's channel is archived; make a new one in Slack",
    "action_prohibited": "an administrator of the workspace does not allow this webhook",
}
"""Bodies of Slack's refusals: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors"""


class SlackNotifier:
    """Posts each message to one incoming webhook."""

    def __init__(self, url: str, *, timeout_s: int = TIMEOUT_S) -> None:
        """Check the URL: https, or plain http to this machine. Raises UsageError without repeating the URL."""
        _check(url)
        # No retry handlers: whether to try again is decided in one place, and that is not here.
        self._client = WebhookClient(url, timeout=timeout_s, retry_handlers=[], logger=_silent_logger())
        self._timeout_s = timeout_s

    def send(self, message: Message) -> None:
        """Post one message. Raises DeliveryError; RateLimitedError where Slack asked to wait."""
        outline = message_outline(message.incident, message.reason, message.at, message.last)
        self._post(headline(message.incident, message.reason), outline)

    def send_digest(self, digest: Digest) -> None:
        """Post several messages as one. Raises DeliveryError; RateLimitedError where Slack asked to wait."""
        entries = [(message.incident, message.reason) for message in digest.messages]
        self._post(digest_headline(entries, storm=digest.storm), digest_outline(entries, storm=digest.storm))

    def _post(self, title: str, outline: Sequence[Block]) -> None:
        text, blocks = fallback_text(title), slack_blocks(outline)
        try:
            response = self._client.send(text=text, blocks=blocks, unfurl_links=False, unfurl_media=False)
        except TimeoutError:
            raise DeliveryError(f"Slack did not answer within {self._timeout_s} s", retryable=True) from None
        except (OSError, http.client.HTTPException) as error:
            # `from None` and the bare class: the error's own text may hold the URL.
            raise DeliveryError(f"Slack could not be reached ({_class_of(error)})", retryable=True) from None
        except (SlackClientError, ValueError, LookupError) as error:
            raise DeliveryError(f"Slack could not be asked ({_class_of(error)})", retryable=False) from None
        _judge(response)


def _judge(response: WebhookResponse) -> None:
    """Raise unless Slack took the message: status 200 and the body `ok`."""
    status = response.status_code
    body = (response.body or "").strip()
    if status == http.client.OK and body == "ok":
        return
    if status == _TOO_MANY:
        raise RateLimitedError("Slack asked to wait (429)", retry_after_s=_retry_after_s(response))
    known = _HINTS.get(body)
    if known is not None:
        raise DeliveryError(f"Slack refused the message ({status} {body}): {known}", retryable=False)
    if status >= _SERVER_ERROR or status == _REQUEST_TIMEOUT:
        raise DeliveryError(f"Slack failed ({status})", retryable=True)
    if status == http.client.OK:
        raise DeliveryError("the webhook answered, but not as Slack does: check its URL", retryable=False)
    shown = body[:_BODY_SHOWN_MAX] if body.replace("_", "").isalnum() else ""
    raise DeliveryError(f"Slack refused the message ({f'{status} {shown}'.strip()})", retryable=False)


def _retry_after_s(response: WebhookResponse) -> float | None:
    """Return the seconds of Retry-After; None where it is missing, a date or nonsense."""
    headers = {name.lower(): value for name, value in dict(response.headers).items()}
    try:
        seconds = float(str(headers.get("retry-after", "")))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise UsageError("the Slack webhook URL cannot be read; copy it again from Slack") from None
    if parts.scheme == "https" and host:
        return
    if parts.scheme == "http" and _is_loopback(host):
        return
    raise UsageError("the Slack webhook URL must begin with https:// (http:// only to this machine)")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger("analyzer.notify.slack")
    # Off for good: what the SDK logs holds the URL, and a root logger set to DEBUG must not bring it out.
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    return logger


def _class_of(error: BaseException) -> str:
    """Return the class of an error, or of what it wraps: URLError says less than the refusal inside it."""
    inner = getattr(error, "reason", None)
    return type(inner if isinstance(inner, BaseException) else error).__name__
