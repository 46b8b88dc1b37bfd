"""E-mail by SMTP: one conversation an incident.

The conversation needs no memory: the first mail's Message-ID is made from the incident's id, and every later one refers
to it. The same message has the same id in every try, so that mailboxes which drop duplicates show it once.
"""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import urlsplit

from analyzer.errors import DeliveryError, DrawingError, UsageError
from analyzer.notify.base import Digest, Message
from analyzer.notify.pictures import Picture, pictures, undrawn
from analyzer.render.blocks import Block, Figure
from analyzer.render.charts.chosen import charts_of
from analyzer.render.digest import digest_headline, digest_outline
from analyzer.render.html import html
from analyzer.render.links import NO_LINKS, Links
from analyzer.render.message import headline, message_outline
from analyzer.render.terminal import WIDTH, terminal
from analyzer.render.text import one_line
from analyzer.types.report import Gap, Incident, State
from analyzer.web import names_loopback

TIMEOUT_S = 15.0
SUBJECT_CHARACTERS_MAX = 150
_FIGURE_AT = 3
"""The chart comes after title, status and figures."""
_PORTS = {"smtp": 587, "smtps": 465}
_FOR_NOW = range(400, 500)
"""SMTP's own: 4yz is a failure for now, 5yz for good (RFC 5321, 4.2.1)."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where mail goes, and by which server."""

    url: str
    """`smtp://HOST[:587]` or `smtps://HOST[:465]`."""
    sender: str
    recipients: tuple[str, ...]
    user: str | None = None
    password: str | None = None


class Mail:
    """Sends each message as a mail of its own, in the conversation of its incident."""

    def __init__(
        self,
        box: Mailbox,
        *,
        links: Links = NO_LINKS,
        timeout_s: float = TIMEOUT_S,
        context: ssl.SSLContext | None = None,
        post: Callable[[EmailMessage], None] | None = None,
    ) -> None:
        """Check addresses and server. Raises UsageError. `context` is for authorities of one's own.

        `post` takes each finished mail in the server's place.
        """
        self._scheme, self._host, self._port = _server(box.url)
        self._box = box
        self._sender = _address(box.sender, "ANALYZER_MAIL_FROM")
        self._recipients = tuple(_address(one, "ANALYZER_MAIL_TO") for one in box.recipients)
        if not self._recipients:
            raise UsageError("ANALYZER_MAIL_TO names nobody: give an address, or several with commas")
        if (box.user is None) != (box.password is None):
            raise UsageError("set both ANALYZER_SMTP_USER and ANALYZER_SMTP_PASSWORD, or neither")
        self._links = links
        self._timeout_s = timeout_s
        self._context = context or ssl.create_default_context()
        self._post = post
        self._remarks: list[Gap] = []

    def send(self, message: Message) -> None:
        """Send one mail; it is delivered where the server took it for at least one address. Raises DeliveryError."""
        self._deliver(self._letter(message))

    def send_digest(self, digest: Digest) -> None:
        """Send several messages as one mail, which belongs to no conversation. Raises DeliveryError."""
        entries = [(message.incident, message.reason) for message in digest.messages]
        outline = digest_outline(entries, storm=digest.storm, links=self._links)
        letter = self._blank(digest_headline(entries, storm=digest.storm), outline, digest.at)
        names = " ".join(_name(message) for message in digest.messages)
        letter["Message-ID"] = self._id(f"digest {names}")
        self._deliver(letter)

    def _deliver(self, letter: EmailMessage) -> None:
        if self._post is not None:
            self._post(letter)
            return
        addresses = [one.addr_spec for one in self._recipients]
        try:
            with self._connected() as server:
                # Addresses that are refused while others are taken are no failure: the next try would repeat it to all.
                server.send_message(letter, self._sender.addr_spec, addresses)
        except (smtplib.SMTPException, OSError, MessageError, ValueError) as error:
            raise _failure(error, self._timeout_s) from None

    def check(self) -> str:
        """Greet the server, encrypt and log in, and send nothing; return a line about it. Raises DeliveryError."""
        try:
            with self._connected() as server:
                server.noop()
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise _failure(error, self._timeout_s) from None
        login = "logged in" if self._box.user is not None else "no login"
        return f"{self._host}:{self._port} answers, {login}, to {len(self._recipients)} addresses; nothing was sent"

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """Give a connection that is logged in, and encrypted where it leaves this machine.

        How the server takes the farewell is not asked: what it took before, it has.
        """
        server = self._opened()
        try:
            yield server
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
        finally:
            server.close()

    def _opened(self) -> smtplib.SMTP:
        if self._scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, timeout=self._timeout_s, context=self._context
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=self._timeout_s)
        try:
            server.ehlo()
            if self._scheme == "smtp" and (server.has_extn("starttls") or not names_loopback(self._host)):
                # Raises where the server offers none: neither text nor password leaves this machine in the clear.
                server.starttls(context=self._context)
                server.ehlo()
            if self._box.user is not None and self._box.password is not None:
                server.login(self._box.user, self._box.password)
        except BaseException:
            server.close()
            raise
        return server

    def _letter(self, message: Message) -> EmailMessage:
        outline = message_outline(message.incident, message.reason, message.at, message.last, self._links)
        letter = self._blank(headline(message.incident, message.reason), outline, message.at, message.incident)
        first = self._id(message.incident.id)
        if message.last is None:
            letter["Message-ID"] = first
        else:
            letter["Message-ID"] = self._id(_name(message))
            letter["In-Reply-To"] = first
            letter["References"] = first
        return letter

    def _blank(
        self, subject: str, outline: Sequence[Block], at: datetime, incident: Incident | None = None
    ) -> EmailMessage:
        """Return a mail that is complete but for its place in a conversation; with an incident's first chart in it."""
        figures, shown = self._figures(incident)
        outline = (*outline[:_FIGURE_AT], *figures, *outline[_FIGURE_AT:])
        letter = EmailMessage()
        letter["Subject"] = one_line(subject, SUBJECT_CHARACTERS_MAX)
        letter["From"] = self._sender
        letter["To"] = self._recipients
        letter["Date"] = format_datetime(at)
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(terminal(outline, WIDTH))
        places = {one.file: f"cid:{self._id(one.file)[1:-1]}" for one in shown}
        letter.add_alternative(html(outline, subject, places), subtype="html")
        *_, page = letter.iter_parts()
        for one in shown:
            # Mailers drop drawings inside of HTML, and show pictures that come with the mail.
            page.add_related(one.content, "image", "png", cid=self._id(one.file), filename=one.file)
        return letter

    def _figures(self, incident: Incident | None) -> tuple[tuple[Figure, ...], tuple[Picture, ...]]:
        """Return the first chart of an incident and its picture; without one where it cannot be drawn."""
        if incident is None or incident.state is State.RESOLVED:
            return (), ()
        first = charts_of(incident)[:1]
        shown: tuple[Picture, ...] = ()
        try:
            shown = pictures(incident, first)
        except DrawingError as error:
            self._remarks.append(undrawn("charts in mails", [error]))
        files = [one.file for one in shown] or [""] * len(first)
        return tuple(Figure(chart, file) for chart, file in zip(first, files, strict=True)), shown

    def remarks(self) -> tuple[Gap, ...]:
        """Return which charts are missing, each reason once. See `base.Remarking`."""
        told, self._remarks = tuple(dict.fromkeys(self._remarks)), []
        return told

    def _id(self, name: str) -> str:
        return f"<{hashlib.sha256(name.encode()).hexdigest()[:32]}@{self._sender.domain}>"


def _name(message: Message) -> str:
    after = "" if message.last is None else message.last.at.isoformat()
    return f"{message.incident.id} {message.reason.value} {after}"


def _server(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError("ANALYZER_SMTP_URL cannot be read: write smtp://HOST:587 or smtps://HOST:465") from None
    if parts.scheme not in _PORTS or not host:
        raise UsageError("ANALYZER_SMTP_URL must be smtp://HOST:587 or smtps://HOST:465")
    if parts.username is not None:
        raise UsageError("ANALYZER_SMTP_URL must not hold a name: set ANALYZER_SMTP_USER and ANALYZER_SMTP_PASSWORD")
    return parts.scheme, host, port or _PORTS[parts.scheme]


def _address(text: str, setting: str) -> Address:
    try:
        address = Address(addr_spec=text.strip())
    except (MessageError, ValueError, IndexError):
        address = Address()
    if not address.username or not address.domain:
        raise UsageError(f"{setting}: '{text.strip()}' is no mail address")
    return address


def _failure(error: Exception, timeout_s: float) -> DeliveryError:
    """Return what an error of SMTP means; the server's words are left out: they may quote names and addresses."""
    what, retryable = f"could not be reached ({type(error).__name__})", True
    match error:
        case smtplib.SMTPAuthenticationError():
            what, retryable = f"refused the login ({error.smtp_code})", error.smtp_code in _FOR_NOW
        case smtplib.SMTPRecipientsRefused():
            codes = sorted({int(code) for code, _ in error.recipients.values()})
            retryable = any(code in _FOR_NOW for code in codes)
            what = f"refused every address ({', '.join(str(code) for code in codes)})"
        case smtplib.SMTPResponseException():
            # -1: what came was no answer of SMTP; the connection broke.
            what, retryable = f"refused the mail ({error.smtp_code})", error.smtp_code in {*_FOR_NOW, -1}
        case smtplib.SMTPNotSupportedError():
            what, retryable = "offers no STARTTLS, or no login", False
        case ssl.SSLCertVerificationError():
            what, retryable = "has a certificate that is not trusted", False
        case TimeoutError():
            what = f"did not answer within {timeout_s:g} s"
        case OSError():
            pass
        case _:
            what, retryable = f"could not be given the mail ({type(error).__name__})", False
    return DeliveryError(f"the mail server {what}", retryable=retryable)
