"""`analyzer notify test`, the routes in `analyzer doctor`, and a run that tells several places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import analyzer
from support.filed import NOW, filed
from support.http import Answer, Asked, Loopback, loopback
from support.slack_api import CHANNEL, TOKEN, Workspace, workspace
from support.smtp import Letterbox, letterbox

from analyzer.config import load
from analyzer.errors import UsageError
from analyzer.wiring.routes import everywhere

SECRETS = (TOKEN, "verysecretpart", "hook-secret-path", "a secret of enough bytes", "very-secret-token")
TITLE = "TEST of the analyst's routes: nothing is wrong, nobody has to do anything"


@dataclass(frozen=True)
class Outside:
    """Everything that can be told, running."""

    slack: Workspace
    mail: Letterbox
    hook: Loopback
    alertmanager: Loopback

    @property
    def env(self) -> dict[str, str]:
        """The settings that lead there."""
        return {
            "ANALYZER_SLACK_WEBHOOK_URL": self.slack.webhook_url,
            "ANALYZER_SLACK_BOT_TOKEN": TOKEN,
            "ANALYZER_SLACK_CHANNEL": CHANNEL,
            "ANALYZER_SLACK_API_URL": self.slack.api_url,
            "ANALYZER_WEBHOOK_URL": f"{self.hook.url}/hook-secret-path",
            "ANALYZER_WEBHOOK_SECRET": "a secret of enough bytes",
            "ANALYZER_SMTP_URL": self.mail.url,
            "ANALYZER_MAIL_FROM": "analyst@acme.example",
            "ANALYZER_MAIL_TO": "oncall@acme.example",
            "ANALYZER_ALERTMANAGER_URL": self.alertmanager.url,
            "ANALYZER_ALERTMANAGER_TOKEN": "very-secret-token",
        }


def as_alertmanager(asked: Asked) -> Answer:
    """Answer as an Alertmanager without alerts does."""
    if asked.path.endswith("/status"):
        return Answer(b'{"versionInfo": {"version": "0.25.0"}}')
    return Answer(b"[]")


@contextmanager
def everything() -> Iterator[Outside]:
    """Run all of it for the length of a block."""
    with ExitStack() as stack:
        yield Outside(
            stack.enter_context(workspace()),
            stack.enter_context(letterbox()),
            stack.enter_context(loopback(lambda _asked: Answer())),
            stack.enter_context(loopback(as_alertmanager)),
        )


def test_a_test_message_goes_out_on_every_route_and_says_that_it_is_one(tmp_path: Path) -> None:
    """Each place gets one message that is marked as a test; no store is made."""
    store = tmp_path / "none.db"
    with everything() as outside:
        done = analyzer("notify", "test", env={**outside.env, "ANALYZER_STORE": str(store)})
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == "slack: sent\nslack-bot: sent\nwebhook: sent\nmail: sent\nalertmanager: sent\n"
    assert outside.slack.by_webhook == [f"New: {TITLE}"]
    assert outside.slack.threads() == [[f"New: {TITLE}"]]
    assert outside.mail.letters[0]["Subject"] == f"New: {TITLE}"
    assert json.loads(outside.hook.asked[0].body)["incident"]["title"] == TITLE
    assert json.loads(outside.alertmanager.asked[0].body)[0]["annotations"]["summary"] == TITLE
    assert not store.exists()


def test_a_route_that_fails_is_named_with_what_to_look_at_and_the_others_are_tried() -> None:
    """Exit 3; no secret is shown."""
    with everything() as outside:
        outside.slack.answers = [Answer(b"no_service", status=404)]
        done = analyzer("notify", "test", "--json", env=outside.env)
    tried = {one["route"]: one for one in json.loads(done.stdout)["routes"]}
    assert done.code == 3
    assert tried["slack"]["error"].startswith("Slack refused the message (404 no_service)")
    assert [name for name, one in tried.items() if one["sent"]] == ["slack-bot", "webhook", "mail", "alertmanager"]
    assert not any(secret in done.stdout + done.stderr for secret in SECRETS)


def test_one_route_alone_can_be_tried_and_an_unknown_one_is_refused() -> None:
    """`--route mail` sends one mail and nothing else; a name that is not set up is exit 2 and lists those that are."""
    with everything() as outside:
        assert analyzer("notify", "test", "--route", "mail", env=outside.env).stdout == "mail: sent\n"
        unknown = analyzer("notify", "test", "--route", "pager", env=outside.env)
    assert (unknown.code, unknown.stderr) == (
        2,
        "analyzer: no route 'pager' is set up; there are slack, slack-bot, webhook, mail, alertmanager\n",
    )
    assert (len(outside.mail.letters), outside.slack.messages, outside.hook.asked) == (1, {}, [])
    assert analyzer("notify", "test").code == 2


def test_doctor_tries_each_connection_and_sends_nothing(tmp_path: Path) -> None:
    """Token, server and status are asked; no message goes anywhere, and secrets are only said to be set."""
    env = {"ANALYZER_STORE": str(tmp_path / "none.db"), "ANALYZER_REPORTS": str(tmp_path)}
    with everything() as outside:
        done = analyzer("doctor", "--json", env={**outside.env, **env})
    checks = {one["name"]: (one["state"], one["detail"]) for one in json.loads(done.stdout)["checks"]}
    assert checks["slack"] == ("ok", "webhook set; nothing was sent")
    assert checks["slack-bot"] == ("ok", "analyst in Acme; nothing was sent, the channel was not tried")
    assert checks["webhook"] == ("ok", "webhook set, messages are signed; nothing was sent")
    assert checks["mail"] == (
        "ok",
        f"127.0.0.1:{outside.mail.port} answers, no login, to 1 addresses; nothing was sent",
    )
    assert checks["alertmanager"] == ("ok", "version 0.25.0; nothing was sent")
    assert (outside.slack.messages, outside.slack.by_webhook, outside.mail.letters, outside.hook.asked) == (
        {},
        [],
        [],
        [],
    )
    assert not any(secret in done.stdout + done.stderr for secret in SECRETS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ANALYZER_SLACK_BOT_TOKEN", "set both ANALYZER_SLACK_BOT_TOKEN and ANALYZER_SLACK_CHANNEL"),
        ("ANALYZER_WEBHOOK_SECRET", "ANALYZER_WEBHOOK_SECRET is set without ANALYZER_WEBHOOK_URL"),
        ("ANALYZER_MAIL_TO", "mail needs ANALYZER_SMTP_URL, ANALYZER_MAIL_FROM and ANALYZER_MAIL_TO"),
    ],
)
def test_half_a_route_is_refused(name: str, text: str) -> None:
    """A route that was meant to be there and is not would be silence; the error names settings, not values."""
    with pytest.raises(UsageError, match=text) as caught:
        everywhere(load({}, {name: "very-secret-token"}).settings)
    assert "very-secret-token" not in str(caught.value)


def test_a_run_with_half_a_route_ends_before_it_begins(tmp_path: Path) -> None:
    """Exit 2 and one line, which the doctor says as well."""
    env = {"ANALYZER_SLACK_CHANNEL": "#alerts", "ANALYZER_STORE": str(tmp_path / "s.db")}
    text = "set both ANALYZER_SLACK_BOT_TOKEN and ANALYZER_SLACK_CHANNEL, or neither"
    run = analyzer("run", env=env)
    assert (run.code, run.stdout, run.stderr) == (2, "", f"analyzer: {text}\n")
    doctor = analyzer("doctor", "--json", env=env)
    checks = {one["name"]: (one["state"], one["detail"]) for one in json.loads(doctor.stdout)["checks"]}
    assert (doctor.code, checks["routes"]) == (3, ("failed", text))


def test_a_run_tells_every_place_and_a_dead_one_stops_no_other(tmp_path: Path) -> None:
    """With the mail server refusing, the others hear of each incident once; the run after makes up for the mail."""
    store = filed(tmp_path / "store.db")
    at_once = tmp_path / "analyzer.toml"
    at_once.write_text('[notify."*"]\nseverity = "low"\nper_day = "off"\nstorm = "off"\n')

    def run(minutes: int) -> tuple[int, list[str]]:
        at = (NOW + timedelta(minutes=minutes)).isoformat()
        folder = str(tmp_path / "reports")
        done = analyzer("run", "--json", "--at", at, "--store", str(store), "--reports", folder, env=env)
        return done.code, [gap["what"] for gap in json.loads(done.stdout)["gaps"]]

    with everything() as outside:
        env = {**outside.env, "ANALYZER_CONFIG": str(at_once)}
        outside.mail.answers = {"MAIL": "550 no"}
        assert run(15) == (3, ["messages to mail"])
        told = len(outside.hook.asked)
        assert told == len(outside.slack.by_webhook) == len(outside.slack.threads()) >= 2
        outside.mail.answers = {}
        assert run(30) == (0, [])
        assert len(outside.mail.letters) == told == len(outside.hook.asked) == len(outside.slack.messages)
        posts = [json.loads(one.body) for one in outside.alertmanager.asked if one.method == "POST"]
        assert [len(alerts) for alerts in posts] == [told, told], "Alertmanager is told what goes on by every run"
