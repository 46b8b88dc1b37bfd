from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.hostile import ATTACKS, hostile_incident
from support.incidents import NOW, cost_incident, incident, loop_incident, resolved
from support.smtp import Letterbox, certificate, letterbox

from analyzer.errors import DeliveryError, UsageError
from analyzer.notify.base import Digest, Message
from analyzer.notify.mail import Mail, Mailbox
from analyzer.types.report import Severity, State
from analyzer.types.sent import Reason, Sent

MESSAGE = Message(Reason.FIRST_SEEN, cost_incident(), NOW)
LAST = Sent(Reason.FIRST_SEEN, NOW, State.OPEN, Severity.HIGH, 0.31)


def box(of: Letterbox | str, **fields: str) -> Mailbox:
    """Return a mailbox at a server."""
    url = of if isinstance(of, str) else of.url
    return Mailbox(url, "analyst@acme.example", ("oncall@acme.example", " lead@acme.example"), **fields)


def test_a_mail_has_both_forms_and_goes_to_everybody() -> None:
    """Text for the terminal's reader, a page for the other, and no automatic answers."""
    with letterbox() as server:
        Mail(box(server)).send(MESSAGE)
    (letter,) = server.letters
    assert server.recipients == [["oncall@acme.example", "lead@acme.example"]]
    assert letter["Subject"] == f"New: {cost_incident().title}"
    assert letter["From"] == "analyst@acme.example"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter.get_body(("plain",)).get_content().startswith(f"New: {cost_incident().title}")
    page = letter.get_body(("html",)).get_content()
    assert "<h1>New: support-triage: cost per trajectory 2.3x" in page
    assert "default-src 'none'" in page


def test_the_first_chart_comes_with_the_mail() -> None:
    """The page shows a picture that the mail brings, with its words; a resolved incident and a digest have none."""
    over = replace(MESSAGE, reason=Reason.RESOLVED, incident=resolved(cost_incident(), NOW))
    with letterbox() as server:
        for message in (MESSAGE, over):
            Mail(box(server)).send(message)
        Mail(box(server)).send_digest(Digest((MESSAGE,), NOW))
    letter, *others = server.letters
    (picture,) = (part for part in letter.walk() if part.get_content_type() == "image/png")
    assert picture.get_content().startswith(b"\x89PNG")
    place = f'<figure><img src="cid:{picture["Content-ID"][1:-1]}" alt="Cost per trajectory, hour by hour: '
    assert place in letter.get_body(("html",)).get_content()
    assert "Cost per trajectory, hour by hour: support-triage" in letter.get_body(("plain",)).get_content()
    assert all(part.get_content_maintype() != "image" for other in others for part in other.walk())


def test_one_incident_is_one_conversation() -> None:
    """What comes later refers to the first mail, in whatever process it is sent; a repeated try has the same id."""
    with letterbox() as server:
        for message in (
            MESSAGE,
            MESSAGE,
            Message(Reason.GOT_WORSE, cost_incident(), NOW + timedelta(hours=1), LAST),
            Message(
                Reason.RESOLVED,
                resolved(cost_incident(), NOW),
                NOW + timedelta(hours=2),
                replace(LAST, at=NOW + timedelta(hours=1)),
            ),
            Message(Reason.FIRST_SEEN, loop_incident(), NOW),
        ):
            Mail(box(server)).send(message)
    first, again, worse, over, other = server.letters
    assert first["Message-ID"] == again["Message-ID"]
    assert worse["References"] == worse["In-Reply-To"] == over["References"] == first["Message-ID"]
    assert len({letter["Message-ID"] for letter in (first, worse, over, other)}) == 4
    assert other["References"] is None


def test_a_digest_is_one_mail_of_its_own() -> None:
    """It lists every incident, belongs to no conversation, and has the same id in every try."""
    digest = Digest((MESSAGE, Message(Reason.FIRST_SEEN, loop_incident(), NOW)), NOW)
    with letterbox() as server:
        for _ in range(2):
            Mail(box(server)).send_digest(digest)
    letter, again = server.letters
    assert letter["Subject"] == "Digest: 2 messages that could wait"
    assert letter["References"] is None
    assert letter["Message-ID"] == again["Message-ID"]
    for form in ("plain", "html"):
        text = letter.get_body((form,)).get_content()
        assert cost_incident().id in text
        assert loop_incident().id in text


def test_text_from_spans_makes_no_header_and_no_tag() -> None:
    """A line end in a title begins no header, and a tag in it is text."""
    hostile = incident(title="x\r\nBcc: evil@evil.example\r\n\r\n<script>alert(1)</script>")
    with letterbox() as server:
        Mail(box(server)).send(Message(Reason.FIRST_SEEN, hostile, NOW))
    (letter,) = server.letters
    assert letter["Bcc"] is None
    assert server.recipients == [["oncall@acme.example", "lead@acme.example"]]
    assert "<script" not in letter.get_body(("html",)).get_content()


def test_no_text_keeps_a_mail_from_being_sent_or_changes_its_headers() -> None:
    """Each attack in every field: the same headers, and nothing in the page that a browser would follow."""
    texts = [*ATTACKS, "\ud800", "\x00\x0b\x85\u2028", "ü" * 300]
    with letterbox() as server:
        mail = Mail(box(server))
        for text in texts:
            mail.send(Message(Reason.FIRST_SEEN, hostile_incident(text), NOW))
    names = {tuple(letter.keys()) for letter in server.letters}
    pages = [letter.get_body(("html",)).get_content() for letter in server.letters]
    assert (len(pages), len(names)) == (len(texts), 1)
    for page in pages:
        rest = re.sub(r'<img src="cid:[0-9a-f]{32}@acme\.example" alt="[^"<>]*" width="720">', "", page, count=1)
        assert not re.search(r"<(a|img|script|iframe|b)\b|javascript:[^<]*>", rest)


def test_starttls_comes_before_the_login_and_the_doctor_sends_nothing(tmp_path: Path) -> None:
    """The password goes over an encrypted connection; the check says hello, logs in and leaves."""
    ours, theirs = certificate(tmp_path)
    with letterbox(ours) as server:
        mail = Mail(box(server, user="analyst", password="hunter2"), context=theirs)
        assert mail.check() == f"127.0.0.1:{server.port} answers, logged in, to 2 addresses; nothing was sent"
        assert server.commands == ["EHLO", "STARTTLS", "EHLO", "AUTH", "NOOP", "QUIT"]
        mail.send(MESSAGE)
        assert len(server.letters) == 1
        with pytest.raises(DeliveryError, match=r"refused the login \(535\)") as caught:
            Mail(box(server, user="analyst", password="wrong"), context=theirs).send(MESSAGE)
        assert not caught.value.retryable
        with pytest.raises(DeliveryError, match="certificate that is not trusted"):
            Mail(box(server)).send(MESSAGE)


@pytest.mark.parametrize(
    ("answers", "retryable", "text"),
    [
        ({"RCPT": "450 later"}, True, "refused every address (450)"),
        ({"RCPT": "550 who?"}, False, "refused every address (550)"),
        ({"MAIL": "451 later"}, True, "refused the mail (451)"),
        ({"DATA": "554 spam: analyst@acme.example"}, False, "refused the mail (554)"),
    ],
)
def test_a_refusal_says_whether_trying_again_could_help(answers: dict[str, str], retryable: bool, text: str) -> None:
    """SMTP's 4yz is for now, 5yz for good; the server's words, which may quote addresses, are not repeated."""
    with letterbox() as server:
        server.answers = answers
        with pytest.raises(DeliveryError) as caught:
            Mail(box(server)).send(MESSAGE)
    assert text in str(caught.value)
    assert caught.value.retryable is retryable
    assert "acme" not in str(caught.value)


@pytest.mark.parametrize("farewell", ["421 busy", "500 what?"])
def test_a_mail_that_was_taken_is_sent_whatever_the_server_says_at_the_end(farewell: str) -> None:
    """A failed farewell would have the mail sent again by every run."""
    with letterbox() as server:
        server.answers = {"QUIT": farewell}
        Mail(box(server)).send(MESSAGE)
    assert len(server.letters) == 1


def test_a_dead_server_is_tried_again() -> None:
    """No connection is a failure for now."""
    with letterbox() as server:
        url = server.url
    with pytest.raises(DeliveryError, match=r"could not be reached \(ConnectionRefusedError\)") as caught:
        Mail(box(url)).send(MESSAGE)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("mailbox", "text"),
    [
        (box("http://h.example"), "must be smtp://HOST"),
        (box("smtp://me:pw@h.example"), "must not hold a name"),
        (box("smtp://h.example:port"), "cannot be read"),
        (box("smtp://h.example", user="analyst"), "set both ANALYZER_SMTP_USER"),
        (Mailbox("smtp://h.example", "nobody", ("a@b.example",)), "ANALYZER_MAIL_FROM: 'nobody' is no mail address"),
        (Mailbox("smtp://h.example", "a@b.example", ("a@b.example\nBcc: c@d.example",)), "ANALYZER_MAIL_TO"),
        (Mailbox("smtp://h.example", "a@b.example", ()), "ANALYZER_MAIL_TO names nobody"),
    ],
)
def test_settings_that_cannot_work_are_refused(mailbox: Mailbox, text: str) -> None:
    """Before anything is sent, and by the name of the setting."""
    with pytest.raises(UsageError, match=text):
        Mail(mailbox)
