from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from support.http import Answer
from support.incidents import NOW, cost_incident, incident, loop_incident
from support.slack_webhook import BROKEN, HANGING, INVALID, OK, REVOKED, SECRET_PATH, FakeSlack, rate_limited, slack

from analyzer.errors import DeliveryError, RateLimitedError, UsageError
from analyzer.notify.base import Digest, Message, Route
from analyzer.notify.deliver import deliver, wait_s, worth_it
from analyzer.notify.slack import SlackNotifier
from analyzer.pipeline.memory import Memory
from analyzer.retry import retrying
from analyzer.stores.database import Connection
from analyzer.stores.incidents import SqliteIncidents
from analyzer.types.sent import Reason

MESSAGE = Message(Reason.FIRST_SEEN, cost_incident(), NOW)


def retry(waits: list[float]) -> Callable:
    """Return the program's own retry with waits that are noted instead of slept."""
    return partial(retrying, worth_it=worth_it, wait_s=wait_s, sleep=waits.append)


def failure(fake: FakeSlack, *, timeout_s: int = 5) -> DeliveryError:
    """Send one message that must fail and return the error."""
    with pytest.raises(DeliveryError) as caught:
        SlackNotifier(fake.url, timeout_s=timeout_s).send(MESSAGE)
    assert "verysecretpart" not in f"{caught.value} {caught.value!r}"
    return caught.value


def test_message_arrives_as_blocks_with_a_fallback() -> None:
    """Slack gets one POST with a line of text, blocks, and no unfurling of links."""
    with slack(OK) as fake:
        SlackNotifier(fake.url).send(MESSAGE)
    (payload,) = fake.payloads
    assert payload["text"].startswith("New: support-triage: cost per trajectory 2.3x")
    assert payload["blocks"][0]["type"] == "header"
    assert (payload["unfurl_links"], payload["unfurl_media"]) == (False, False)
    assert fake.server.asked[0].path == SECRET_PATH


def test_a_digest_is_one_post_that_lists_everything() -> None:
    """Each incident has a line with its own reason, severity and id; a storm says which is the worst."""
    over = Message(Reason.RESOLVED, loop_incident(), NOW)
    with slack(OK, OK) as fake:
        for storm in (False, True):
            SlackNotifier(fake.url).send_digest(Digest((MESSAGE, over), NOW, storm=storm))
    digest, storm_post = fake.payloads
    assert digest["text"] == "Digest: 2 messages that could wait"
    assert storm_post["text"].startswith("2 messages at once, the worst: New: support-triage: cost per trajectory 2.3x")
    (listed,) = [block["text"]["text"] for block in digest["blocks"] if "•" in block["text"]["text"]]
    first, second = listed.splitlines()
    assert first.startswith("• New: support-triage: cost per trajectory 2.3x")
    assert first.endswith(f"(high) `{MESSAGE.incident.id}`")
    assert second.startswith("• Resolved: billing-bot")
    assert second.endswith(f"({over.incident.severity.value}) `{over.incident.id}`")


@pytest.mark.parametrize(
    ("answer", "retryable", "text"),
    [
        (BROKEN, True, "Slack failed (500)"),
        (INVALID, False, "Slack refused the message (400 invalid_payload): Slack did not accept the blocks"),
        (REVOKED, False, "Slack refused the message (403 invalid_token): the webhook was revoked"),
        (Answer(b"no_service", status=404), False, "the webhook was disabled or deleted"),
        (Answer(b"<html>evil</html>", status=418), False, "Slack refused the message (418)"),
        (Answer(b"<html>login</html>"), False, "not as Slack does"),
        (Answer(b""), False, "not as Slack does"),
        (Answer(b"", status=503), True, "Slack failed (503)"),
        (Answer(b"\xff\xfe", status=200), False, "Slack could not be asked (UnicodeDecodeError)"),
        (Answer(b"", status=302, headers={"Location": "/services/elsewhere"}), False, "not as Slack does"),
    ],
)
def test_answer_other_than_ok_is_an_error(answer: Answer, retryable: bool, text: str) -> None:
    """Each kind of refusal says what to do and whether trying again could help, and never the URL."""
    with slack(answer, *([Answer(b"?")] if answer.status == 302 else [])) as fake:
        error = failure(fake)
    assert text in str(error)
    assert error.retryable is retryable


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0.5", 0.5), ("soon", None), ("-3", None), ("inf", None), ("nan", None)]
)
def test_retry_after_is_passed_on(header: str, seconds: float | None) -> None:
    """Of a 429 the wait is passed on where it is a number of seconds."""
    with slack(rate_limited(header)) as fake:
        error = failure(fake)
    assert isinstance(error, RateLimitedError)
    assert (error.retry_after_s, error.retryable) == (seconds, True)


def test_hanging_slack_ends_in_time() -> None:
    """A server that never answers costs the time-out and is worth another try."""
    began = time.monotonic()
    with slack(HANGING) as fake:
        error = failure(fake, timeout_s=1)
    assert time.monotonic() - began < 15
    assert error.retryable
    assert "Slack" in str(error)


def test_no_server_at_all() -> None:
    """A refused connection is worth another try and says so without the URL."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        notifier = SlackNotifier(f"http://127.0.0.1:{taken.getsockname()[1]}{SECRET_PATH}", timeout_s=2)
        with pytest.raises(DeliveryError) as caught:
            notifier.send(MESSAGE)
    assert str(caught.value) == "Slack could not be reached (ConnectionRefusedError)"
    assert caught.value.retryable


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.slack.com/services/T/B/verysecretpart",
        "http://127.0.0.1.evil.example/verysecretpart",
        "ftp://127.0.0.1/verysecretpart",
        "file:///verysecretpart",
        "https:///verysecretpart",
        "https://[verysecretpart",
        "https://host:port/verysecretpart",
        "verysecretpart",
        "",
    ],
)
def test_only_https_or_this_machine(url: str) -> None:
    """A webhook that would send in the clear, or none at all, is refused without being repeated."""
    with pytest.raises(UsageError) as caught:
        SlackNotifier(url)
    assert "verysecretpart" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_this_machine_may_be_plain_http(host: str) -> None:
    """Loopback needs no https: there the fake and the tests are."""
    SlackNotifier(f"http://{host}:1/services/x")


def test_secret_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """With everything set to DEBUG the URL still is in no log record."""
    with caplog.at_level(logging.DEBUG), slack(OK, BROKEN) as fake:
        notifier = SlackNotifier(fake.url, timeout_s=2)
        notifier.send(MESSAGE)
        with pytest.raises(DeliveryError):
            notifier.send(MESSAGE)
    with pytest.raises(DeliveryError):
        notifier.send(MESSAGE)
    assert "verysecretpart" not in caplog.text


def test_rate_limit_then_ok_is_one_delivery() -> None:
    """A 429 is waited for as asked, within bounds, and the message goes out once."""
    waits: list[float] = []
    with slack(rate_limited("1"), rate_limited("3600")) as fake:
        done = deliver([incident()], [Route("slack", SlackNotifier(fake.url))], Memory(), NOW, retry=retry(waits))
        assert len(fake.payloads) == 3
    assert len(done.deliveries) == 1
    assert waits[0] == 1
    assert waits[1] < 60


def test_unchanged_incident_is_not_sent_again_after_a_restart(tmp_path: Path) -> None:
    """What was said survives the process: a message that failed goes out once, and later runs send nothing."""
    with slack(BROKEN) as fake:
        outcomes = []
        for hours in range(4):
            connection = Connection(tmp_path / "store.db")
            store = SqliteIncidents(connection)
            store.save_incidents([incident()], run_trace_id="f" * 32)
            routes = [Route("slack", SlackNotifier(fake.url))]
            done = deliver([incident()], routes, store, NOW + timedelta(hours=hours))
            outcomes.append((len(done.deliveries), len(done.gaps)))
            connection.close()
        assert outcomes == [(0, 1), (1, 0), (0, 0), (0, 0)]
        assert len(fake.payloads) == 2
