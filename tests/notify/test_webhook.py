from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace

import pytest
from support.http import Answer, loopback
from support.incidents import NOW, cost_incident, incident

from analyzer.errors import DeliveryError, RateLimitedError, UsageError
from analyzer.notify.base import Message
from analyzer.notify.webhook import Webhook, message_id
from analyzer.types.document import incident_document
from analyzer.types.report import State
from analyzer.types.sent import Reason, Sent

SECRET = "a secret of enough bytes"
MESSAGE = Message(Reason.FIRST_SEEN, cost_incident(), NOW)


def test_a_message_is_the_incident_of_the_contract_and_is_signed() -> None:
    """The receiver gets reason, time and the incident as in a report, under a signature it can check."""
    with loopback(lambda _asked: Answer(b"thanks", status=202)) as server:
        Webhook(f"{server.url}/hook", SECRET, clock=lambda: 1_700_000_000.9).send(MESSAGE)
    (asked,) = server.asked
    headers = {name.lower(): value for name, value in asked.headers.items()}
    assert json.loads(asked.body) == {
        "schema": "analyzer.message/1",
        "reason": "FIRST_SEEN",
        "at": "2026-11-23T18:00:00+00:00",
        "url": None,
        "incident": incident_document(cost_incident()),
    }
    assert (asked.path, headers["content-type"], headers["webhook-timestamp"]) == (
        "/hook",
        "application/json",
        "1700000000",
    )
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + asked.body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of the specification's reference libraries: their secret, id, time and body give their signature."""
    from analyzer.notify import webhook

    key = webhook._key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
    assert webhook._signature(key, signed) == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_nothing_is_signed() -> None:
    """A receiver on this machine needs none, and the header does not pretend."""
    with loopback(lambda _asked: Answer()) as server:
        Webhook(server.url, None).send(MESSAGE)
    assert "webhook-signature" not in {name.lower() for name in server.asked[0].headers}


def test_a_message_keeps_its_id_in_every_try_and_another_has_another() -> None:
    """Also a run that repeats it after a crash, later and with other figures, sends it under the same id."""
    again = Message(Reason.FIRST_SEEN, replace(cost_incident(), observed=0.5), NOW.replace(hour=19))
    worse = Message(
        Reason.GOT_WORSE, cost_incident(), NOW, Sent(Reason.FIRST_SEEN, NOW, State.OPEN, MESSAGE.incident.severity, 0.3)
    )
    other = Message(Reason.FIRST_SEEN, incident(id="inc-9"), NOW)
    assert message_id(MESSAGE) == message_id(again)
    assert len({message_id(one) for one in (MESSAGE, worse, other)}) == 3


@pytest.mark.parametrize(
    ("answer", "retryable", "text"),
    [
        (Answer(status=500), True, "the webhook failed (500)"),
        (Answer(status=408), True, "the webhook failed (408)"),
        (Answer(status=404), False, "the webhook refused the message (404)"),
        (Answer(status=302, headers={"Location": "/elsewhere"}), False, "a redirect (302), which is not followed"),
        (Answer(delay_s=30), True, "did not answer within 0.3 s"),
    ],
)
def test_an_answer_other_than_2xx_is_an_error(answer: Answer, retryable: bool, text: str) -> None:
    """It says whether trying again could help and never the URL; one request is made, redirects are not followed."""
    with loopback(lambda _asked: answer) as server, pytest.raises(DeliveryError) as caught:
        Webhook(f"{server.url}/very-secret", None, timeout_s=0.3 if answer.delay_s else 5).send(MESSAGE)
    assert text in str(caught.value)
    assert caught.value.retryable is retryable
    assert "very-secret" not in f"{caught.value!r}"
    assert len(server.asked) == 1


def test_the_wait_that_is_asked_for_is_passed_on() -> None:
    """429 with seconds is kept, a date or nonsense is not."""
    waits = []
    for header in ("7", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "inf"):
        answer = Answer(status=429, headers={"Retry-After": header})
        with loopback(lambda _asked, answer=answer: answer) as server, pytest.raises(RateLimitedError) as caught:
            Webhook(server.url, None).send(MESSAGE)
        waits.append(caught.value.retry_after_s)
    assert waits == [7.0, None, None, None]


@pytest.mark.parametrize(
    ("url", "secret", "text"),
    [
        ("ftp://secret.example", None, "must begin with http"),
        ("http://user:secret@h.example", None, "must not hold a name"),
        ("https://[secret", None, "cannot be read"),
        ("https://h.example", "short", "too short"),
        ("https://h.example", "whsec_secret!", "no base64"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_being_shown(url: str, secret: str | None, text: str) -> None:
    """The error names the setting, not its value."""
    with pytest.raises(UsageError, match=text) as caught:
        Webhook(url, secret)
    assert "secret" not in str(caught.value).replace("ANALYZER_WEBHOOK_SECRET", "")
