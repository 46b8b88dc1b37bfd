"""Slack, by a bot or by an incoming webhook: the one door to slack_sdk.

A webhook can only post. A bot keeps one thread an incident: its first message shows how the incident stands, and what
is said later stands below it, with the charts as pictures; a webhook can upload none. URL and token are credentials:
they appear in no error, no log and no record, for which the SDK, that logs requests, gets a logger that is off.
"""

from __future__ import annotations

import http.client
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.webhook import WebhookClient, WebhookResponse

from analyzer.errors import DeliveryError, DrawingError, RateLimitedError, UsageError
from analyzer.notify.base import Digest, Message
from analyzer.notify.pictures import pictures, undrawn
from analyzer.render.blocks import Block, Heading, plain
from analyzer.render.charts.chosen import charts_of
from analyzer.render.digest import digest_headline, digest_outline
from analyzer.render.links import NO_LINKS, Links
from analyzer.render.message import headline, message_outline
from analyzer.render.slack import fallback_text, slack_blocks
from analyzer.render.text import cut
from analyzer.types.report import Gap, Incident, State
from analyzer.types.sent import Reason, Thread
from analyzer.web import names_loopback

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
_BOT_HINTS = {
    "invalid_auth": "the token is not valid; copy the bot token (xoxb-) of the app again",
    "not_authed": "the token is not valid; copy the bot token (xoxb-) of the app again",
    "account_inactive": "the bot was removed from the workspace; install the app again",
    "token_revoked": "the token was revoked; install the app again",
    "token_expired": "the token has expired; install the app again",
    "missing_scope": "the app needs the scopes chat:write and files:write",
    "not_in_channel": "invite the bot into the channel",
    "channel_not_found": "no such channel, or a private one without the bot: check ANALYZER_SLACK_CHANNEL",
    "is_archived": "the channel is archived: set ANALYZER_SLACK_CHANNEL to another",
    "invalid_blocks": "Slack did not accept the blocks; please report this as a defect",
    "msg_too_long": "Slack did not accept the length; please report this as a defect",
}
"""Errors of https://docs.slack.dev/reference/methods/chat.postMessage and what they ask for."""
_FAILED_FOR_NOW = {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
_PARENT_GONE = {"message_not_found", "thread_not_found", "cannot_reply_to_message"}
_PARENT_FIXED = {"edit_window_closed", "cant_update_message"}
"""The workspace lets nobody edit so late: the thread still tells it all."""
_LOUD = {Reason.GOT_WORSE, Reason.REGRESSED, Reason.REMINDER}
"""A reply wakes only those who follow its thread; these are shown in the channel as well."""

_REDRAWN = {Reason.GOT_WORSE, Reason.REGRESSED}
"""What the first picture does not show yet."""
_CHARTS = "charts in Slack"


class Threads(Protocol):
    """Remembers in which thread an incident is spoken of; `SqliteThreads` in the store."""

    def thread(self, incident_id: str) -> Thread | None:
        """Return the thread of an incident. Raises StoreError."""

    def keep(self, incident_id: str, thread: Thread) -> None:
        """Remember it. Raises StoreError."""


class ForgottenThreads:
    """Threads for as long as the process lives: for a test message, and the fake beside the real one."""

    def __init__(self) -> None:
        self._threads: dict[str, Thread] = {}

    def thread(self, incident_id: str) -> Thread | None:
        """Return the thread of an incident."""
        return self._threads.get(incident_id)

    def keep(self, incident_id: str, thread: Thread) -> None:
        """Remember it."""
        self._threads[incident_id] = thread


class SlackBot:
    """Keeps one thread an incident in one channel."""

    def __init__(
        self,
        token: str,
        channel: str,
        threads: Threads,
        *,
        api_url: str,
        links: Links = NO_LINKS,
        timeout_s: int = TIMEOUT_S,
        client: Any = None,
    ) -> None:
        """Check the API's URL: https, or plain http to this machine. Raises UsageError.

        `client` stands in for the SDK's own (`captured.Captured`).
        """
        _check(api_url, "Slack API")
        self._client = client or WebClient(
            token, base_url=api_url, timeout=timeout_s, retry_handlers=[], logger=_silent_logger()
        )
        self._channel = channel
        self._threads = threads
        self._links = links
        self._timeout_s = timeout_s
        self._remarks: list[Gap] = []

    def send(self, message: Message) -> None:
        """Begin the thread of an incident, or edit its first message and reply. Raises DeliveryError, StoreError.

        The edit comes first: it may be done twice without harm, so that a failure between the two repeats nothing. What
        was posted is remembered at once; only a crash between Slack's answer and that posts it a second time.
        """
        thread = self._threads.thread(message.incident.id)
        known = thread if thread is not None and thread.channel == self._channel else None
        name = _name(message)
        if known is not None and self._edited(known, message):
            if known.said != name:
                self._post(message, _outline(message, self._links), known)
                self._threads.keep(message.incident.id, replace(known, said=name))
                if message.reason in _REDRAWN:
                    self._attach(known, message.incident)
            return
        answer = self._post(message, _state_outline(message, self._links), None)
        begun = Thread(self._channel, str(answer["channel"]), str(answer["ts"]), name)
        self._threads.keep(message.incident.id, begun)
        self._attach(begun, message.incident)

    def remarks(self) -> tuple[Gap, ...]:
        """Return which charts are missing, each reason once. See `base.Remarking`."""
        told, self._remarks = tuple(dict.fromkeys(self._remarks)), []
        return told

    def send_digest(self, digest: Digest) -> None:
        """Post several messages as one in the channel; first show in the threads there are how things stand.

        Raises DeliveryError, StoreError.
        """
        for message in digest.messages:
            thread = self._threads.thread(message.incident.id)
            if thread is not None and thread.channel == self._channel:
                self._edited(thread, message)
        entries = [(message.incident, message.reason) for message in digest.messages]
        title = digest_headline(entries, storm=digest.storm)
        self._say(title, digest_outline(entries, storm=digest.storm, links=self._links), channel=self._channel)

    def check(self) -> str:
        """Ask Slack who we are, which posts nothing; return a line about it. Raises DeliveryError."""
        answer = self._asked(self._client.auth_test)
        return f"{answer.get('user')} in {answer.get('team')}; nothing was sent, the channel was not tried"

    def _attach(self, thread: Thread, incident: Incident) -> None:
        """Put the charts below the message, which is out: what fails here is told as a gap and never sent again."""
        charts = charts_of(incident)
        try:
            files = [
                {
                    "file": one.content,
                    "filename": one.file,
                    "title": one.chart.title,
                    "alt_txt": cut(one.chart.alt, 900),
                }
                for one in pictures(incident, charts)
            ]
            if files:
                # No comment: Slack reads that as mrkdwn, and names in it come from spans.
                where = {"channel": thread.channel_id, "thread_ts": thread.ts}
                self._asked(self._client.files_upload_v2, file_uploads=files, **where)
        except DrawingError as error:
            self._remarks.append(undrawn(_CHARTS, [error]))
        except DeliveryError as error:
            self._remarks.append(Gap(_CHARTS, str(error), "give the app the scope files:write; the message is out"))

    def _edited(self, thread: Thread, message: Message) -> bool:
        """Show in the first message how the incident stands; return False where that message is gone."""
        try:
            self._asked(
                self._client.chat_update,
                channel=thread.channel_id,
                ts=thread.ts,
                text=fallback_text(headline(message.incident, message.reason)),
                blocks=slack_blocks(_state_outline(message, self._links)),
            )
        except _RefusedError as refused:
            if refused.code in _PARENT_GONE:
                return False
            if refused.code not in _PARENT_FIXED:
                raise
        return True

    def _post(self, message: Message, outline: Sequence[Block], thread: Thread | None) -> Mapping[str, Any]:
        title = headline(message.incident, message.reason)
        if thread is None:
            return self._say(title, outline, channel=self._channel)
        loud = message.reason in _LOUD
        return self._say(title, outline, channel=thread.channel_id, thread_ts=thread.ts, reply_broadcast=loud)

    def _say(self, title: str, outline: Sequence[Block], **where: Any) -> Mapping[str, Any]:
        text, blocks = fallback_text(title), slack_blocks(outline)
        post = self._client.chat_postMessage
        return self._asked(post, text=text, blocks=blocks, unfurl_links=False, unfurl_media=False, **where)

    def _asked(self, call: Callable[..., Any], **arguments: Any) -> Mapping[str, Any]:
        """Call a method of the API and return its answer. Raises DeliveryError."""
        try:
            answer = call(**arguments)
        except SlackApiError as error:
            raise _refusal(error) from None
        except (OSError, http.client.HTTPException, SlackClientError, ValueError, LookupError) as error:
            raise _unreached(error, self._timeout_s) from None
        data: Mapping[str, Any] = answer.data
        return data


def _name(message: Message) -> str:
    """Name a message, so that it is known again after a crash: why, after what, and how bad."""
    after = "" if message.last is None else message.last.at.isoformat()
    over = message.incident.state is State.RESOLVED
    return f"{message.reason.value} {after} {message.incident.severity.value}{' over' if over else ''}"


def _outline(message: Message, links: Links) -> tuple[Block, ...]:
    return message_outline(message.incident, message.reason, message.at, message.last, links)


def _state_outline(message: Message, links: Links) -> tuple[Block, ...]:
    """Return the first message of a thread: the incident as it stands, cause and advice included, over or not."""
    _, *rest = message_outline(message.incident, Reason.FIRST_SEEN, message.at, links=links)
    return (Heading(1, plain(headline(message.incident, message.reason))), *rest)


class _RefusedError(DeliveryError):
    """Slack's own word for why not."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, retryable=False)
        self.code = code


def _refusal(error: SlackApiError) -> DeliveryError:
    """Return what an answer other than `ok` means; its text may hold anything, the token included."""
    response: Any = error.response
    status = int(response.status_code)
    given = response.get("error") if isinstance(response.data, dict) else None
    code = given if isinstance(given, str) and given.replace("_", "").isalnum() else ""
    if status == _TOO_MANY or code in {"ratelimited", "rate_limited"}:
        return RateLimitedError("Slack asked to wait (429)", retry_after_s=_retry_after_s(response.headers))
    if status >= _SERVER_ERROR or status == _REQUEST_TIMEOUT or code in _FAILED_FOR_NOW:
        return DeliveryError(f"Slack failed ({f'{status} {code}'.strip()})", retryable=True)
    if not code:
        return DeliveryError("the API answered, but not as Slack does: check ANALYZER_SLACK_API_URL", retryable=False)
    hint = _BOT_HINTS.get(code)
    shown = code[:_BODY_SHOWN_MAX]
    return _RefusedError(f"Slack refused the message ({shown}){f': {hint}' if hint else ''}", code)


def _unreached(error: Exception, timeout_s: int) -> DeliveryError:
    """Return what it means that there was no answer. Only classes are named: the texts may hold the URL."""
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return DeliveryError(f"Slack did not answer within {timeout_s} s", retryable=True)
    if isinstance(error, OSError | http.client.HTTPException):
        return DeliveryError(f"Slack could not be reached ({_class_of(error)})", retryable=True)
    return DeliveryError(f"Slack could not be asked ({_class_of(error)})", retryable=False)


class SlackNotifier:
    """Posts each message to one incoming webhook."""

    def __init__(self, url: str, *, links: Links = NO_LINKS, timeout_s: int = TIMEOUT_S, client: Any = None) -> None:
        """Check the URL: https, or plain http to this machine. Raises UsageError without repeating the URL.

        `client` stands in for the SDK's own (`captured.Captured`).
        """
        _check(url, "Slack webhook")
        # No retry handlers: whether to try again is decided in one place, and that is not here.
        self._client = client or WebhookClient(url, timeout=timeout_s, retry_handlers=[], logger=_silent_logger())
        self._links = links
        self._timeout_s = timeout_s

    def send(self, message: Message) -> None:
        """Post one message. Raises DeliveryError; RateLimitedError where Slack asked to wait."""
        outline = _outline(message, self._links)
        self._post(headline(message.incident, message.reason), outline)

    def send_digest(self, digest: Digest) -> None:
        """Post several messages as one. Raises DeliveryError; RateLimitedError where Slack asked to wait."""
        entries = [(message.incident, message.reason) for message in digest.messages]
        self._post(
            digest_headline(entries, storm=digest.storm), digest_outline(entries, storm=digest.storm, links=self._links)
        )

    def _post(self, title: str, outline: Sequence[Block]) -> None:
        text, blocks = fallback_text(title), slack_blocks(outline)
        try:
            response = self._client.send(text=text, blocks=blocks, unfurl_links=False, unfurl_media=False)
        except (OSError, http.client.HTTPException, SlackClientError, ValueError, LookupError) as error:
            raise _unreached(error, self._timeout_s) from None
        _judge(response)

    def check(self) -> str:
        """Say what can be said without posting: a webhook takes nothing but messages."""
        return "webhook set; nothing was sent"


def _judge(response: WebhookResponse) -> None:
    """Raise unless Slack took the message: status 200 and the body `ok`."""
    status = response.status_code
    body = (response.body or "").strip()
    if status == http.client.OK and body == "ok":
        return
    if status == _TOO_MANY:
        raise RateLimitedError("Slack asked to wait (429)", retry_after_s=_retry_after_s(response.headers))
    known = _HINTS.get(body)
    if known is not None:
        raise DeliveryError(f"Slack refused the message ({status} {body}): {known}", retryable=False)
    if status >= _SERVER_ERROR or status == _REQUEST_TIMEOUT:
        raise DeliveryError(f"Slack failed ({status})", retryable=True)
    if status == http.client.OK:
        raise DeliveryError("the webhook answered, but not as Slack does: check its URL", retryable=False)
    shown = body[:_BODY_SHOWN_MAX] if body.replace("_", "").isalnum() else ""
    raise DeliveryError(f"Slack refused the message ({f'{status} {shown}'.strip()})", retryable=False)


def _retry_after_s(headers: Mapping[str, Any]) -> float | None:
    """Return the seconds of Retry-After; None where it is missing, a date or nonsense."""
    given = {name.lower(): value for name, value in dict(headers).items()}
    try:
        seconds = float(str(given.get("retry-after", "")))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _check(url: str, what: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise UsageError(f"the {what} URL cannot be read; copy it again from Slack") from None
    if parts.scheme == "https" and host:
        return
    if parts.scheme == "http" and names_loopback(host):
        return
    raise UsageError(f"the {what} URL must begin with https:// (http:// only to this machine)")


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
