"""The routes of this installation: which messages go where, by the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from analyzer.config import Settings
from analyzer.errors import UsageError
from analyzer.notify.base import Message, Route
from analyzer.render.links import Links

if TYPE_CHECKING:
    from analyzer.notify.alertmanager import Alertmanager
    from analyzer.notify.slack import Threads

ALERTMANAGER = "alertmanager"


class Place(Protocol):
    """Something outside that is told of incidents."""

    def send(self, message: Message) -> None:
        """Send one message. Raises DeliveryError."""

    def check(self) -> str:
        """Try the connection without sending a message; return a line about it. Raises DeliveryError."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A place under its route's name, and what the operator can look at when it fails."""

    name: str
    place: Place
    hint: str

    def route(self) -> Route:
        """Return it as delivery knows it."""
        return Route(self.name, self.place, self.hint)


def links_to(settings: Settings) -> Links:
    """Return the links to the pages of this installation."""
    return Links(settings.base_url or "")


def outside(settings: Settings, threads: Callable[[str], Threads]) -> tuple[Outside, ...]:
    """Return every place that is told messages; `threads` gives the memory of a route. Raises UsageError."""
    found = (_webhook_of_slack(settings), _bot_of_slack(settings, threads), _webhook(settings), _mail(settings))
    return tuple(one for one in found if one is not None)


def open_alertmanager(settings: Settings) -> Alertmanager | None:
    """Return the Alertmanager that is told what goes on, or None. Nothing is sent yet. Raises UsageError."""
    if settings.alertmanager_url is None:
        return None
    from analyzer.notify.alertmanager import Alertmanager

    return Alertmanager(
        settings.alertmanager_url,
        expiry=settings.alertmanager_expiry,
        token=settings.alertmanager_token,
        links=links_to(settings),
    )


def everywhere(settings: Settings) -> tuple[Outside, ...]:
    """Return every place, Alertmanager included, for tests of the connection: no thread is remembered."""
    from analyzer.notify.slack import ForgottenThreads

    places = outside(settings, lambda _route: ForgottenThreads())
    alertmanager = open_alertmanager(settings)
    if alertmanager is None:
        return places
    return (*places, Outside(ALERTMANAGER, alertmanager, "check ANALYZER_ALERTMANAGER_URL"))


def _webhook_of_slack(settings: Settings) -> Outside | None:
    if settings.slack_webhook_url is None:
        return None
    from analyzer.notify.slack import SlackNotifier

    return Outside(
        "slack", SlackNotifier(settings.slack_webhook_url, links=links_to(settings)), "check ANALYZER_SLACK_WEBHOOK_URL"
    )


def _bot_of_slack(settings: Settings, threads: Callable[[str], Threads]) -> Outside | None:
    token, channel = settings.slack_bot_token, settings.slack_channel
    if token is None and channel is None:
        return None
    if token is None or channel is None:
        raise UsageError("set both ANALYZER_SLACK_BOT_TOKEN and ANALYZER_SLACK_CHANNEL, or neither")
    from analyzer.notify.slack import SlackBot

    name = "slack-bot"
    bot = SlackBot(token, channel, threads(name), api_url=settings.slack_api_url, links=links_to(settings))
    return Outside(name, bot, "check ANALYZER_SLACK_BOT_TOKEN and ANALYZER_SLACK_CHANNEL")


def _webhook(settings: Settings) -> Outside | None:
    if settings.webhook_url is None:
        if settings.webhook_secret is not None:
            raise UsageError("ANALYZER_WEBHOOK_SECRET is set without ANALYZER_WEBHOOK_URL: nothing would be sent")
        return None
    from analyzer.notify.webhook import Webhook

    return Outside(
        "webhook",
        Webhook(settings.webhook_url, settings.webhook_secret, links=links_to(settings)),
        "check ANALYZER_WEBHOOK_URL",
    )


def _mail(settings: Settings) -> Outside | None:
    url, sender, to = settings.smtp_url, settings.mail_from, settings.mail_to
    if url is None and sender is None and to is None:
        return None
    if url is None or sender is None or to is None:
        raise UsageError("mail needs ANALYZER_SMTP_URL, ANALYZER_MAIL_FROM and ANALYZER_MAIL_TO: set all or none")
    from analyzer.notify.mail import Mail, Mailbox

    recipients = tuple(one for one in to.split(",") if one.strip())
    box = Mailbox(url, sender, recipients, settings.smtp_user, settings.smtp_password)
    return Outside("mail", Mail(box, links=links_to(settings)), "check ANALYZER_SMTP_URL and ANALYZER_MAIL_TO")
