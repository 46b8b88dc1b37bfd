"""Slack by a bot, over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from support.hostile import ATTACKS
from support.http import Answer
from support.incidents import NOW, cost_incident, incident, loop_incident, resolved
from support.slack_api import CHANNEL, FAILED, TOKEN, Workspace, rate_limited, workspace

from analyzer.errors import DeliveryError, RateLimitedError, UsageError
from analyzer.notify.base import Digest, Message, Route
from analyzer.notify.deliver import Delivered, deliver, wait_s, worth_it
from analyzer.notify.slack import ForgottenThreads, SlackBot, SlackNotifier
from analyzer.retry import retrying
from analyzer.stores.database import Connection
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.threads import SqliteThreads
from analyzer.types.report import Incident, Severity, State
from analyzer.types.sent import Reason, Sent

SIX_HOURS = timedelta(hours=6)
DAY = timedelta(days=1)
FIRST = Message(Reason.FIRST_SEEN, cost_incident(), NOW)


def bot(slack: Workspace, threads=None, *, token: str = TOKEN, channel: str = CHANNEL) -> SlackBot:
    """Return a bot of the workspace."""
    return SlackBot(token, channel, threads or ForgottenThreads(), api_url=slack.api_url, timeout_s=5)


def later(reason: Reason, found: Incident, hours: int = 6) -> Message:
    """Return a message after the first one."""
    last = Sent(Reason.FIRST_SEEN, NOW, State.OPEN, found.severity, 0.31)
    return Message(reason, found, NOW + timedelta(hours=hours), last)


def test_one_thread_an_incident_and_its_first_message_says_how_it_stands() -> None:
    """What is said later stands below the first message, which is edited; what is bad is shown in the channel too."""
    with workspace() as slack:
        speaker = bot(slack)
        speaker.send(FIRST)
        speaker.send(later(Reason.GOT_WORSE, cost_incident()))
        speaker.send(later(Reason.RESOLVED, resolved(cost_incident(), NOW), hours=12))
        speaker.send(Message(Reason.FIRST_SEEN, loop_incident(), NOW))
        first, second = slack.threads()
        parent = slack.messages["1700000000.000000"]
        shown = [(one.text.partition(":")[0], one.in_channel) for one in slack.messages.values()]
    title = cost_incident().title
    assert first == [f"Resolved: {title}", f"Got worse: {title}", f"Resolved: {title}"]
    assert second == [f"New: {loop_incident().title}"]
    assert shown == [("Resolved", True), ("Got worse", True), ("Resolved", False), ("New", True)]
    assert parent.edits == 2
    assert "Cause:" in json.dumps(parent.blocks), "the cause is still there when it is over"


def test_the_charts_stand_in_the_thread_and_are_drawn_anew_when_it_gets_worse() -> None:
    """Pictures with their words, below the first message and below what got worse; the end needs none."""
    with workspace() as slack:
        speaker = bot(slack)
        speaker.send(FIRST)
        speaker.send(later(Reason.GOT_WORSE, cost_incident()))
        speaker.send(later(Reason.RESOLVED, resolved(cost_incident(), NOW), hours=12))
        files = slack.files
        assert speaker.remarks() == ()
    stem = "2026-11-23-inc-0123456789"
    assert [one.name for one in files] == [f"{stem}-metric.png", f"{stem}-account.png"] * 2
    assert {one.thread_ts for one in files} == {"1700000000.000000"}
    assert all(one.content.startswith(b"\x89PNG") for one in files)
    assert files[0].title == "Cost per trajectory, hour by hour: support-triage"
    assert "Since 2026-11-23 08:10 UTC it was between $0.30 and $0.39." in files[0].alt


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal"])
def test_charts_that_slack_refuses_are_a_gap_and_lose_no_message(tmp_path: Path, method: str) -> None:
    """The message is out, recorded, and never sent again for a picture's sake."""
    with workspace() as slack, memory(tmp_path / "store.db") as (kept, connection):
        slack.refused[method] = "missing_scope"
        kept.save_incidents([cost_incident()], run_trace_id="1" * 32)
        route = Route("slack-bot", bot(slack, SqliteThreads(connection, "slack-bot")))
        done, again = (deliver([cost_incident()], (route,), kept, NOW) for _ in range(2))
        assert [one.reason for one in done.deliveries] == [Reason.FIRST_SEEN]
        assert [(gap.what, gap.hint) for gap in done.gaps] == [
            ("charts in Slack", "give the app the scope files:write; the message is out")
        ]
        assert (again.deliveries, again.gaps, len(slack.messages), slack.files) == ((), (), 1, [])


def test_the_first_message_deleted_by_a_human_begins_a_new_thread() -> None:
    """Nothing is lost where somebody tidied up."""
    with workspace() as slack:
        speaker = bot(slack)
        speaker.send(FIRST)
        slack.messages.clear()
        speaker.send(later(Reason.GOT_WORSE, cost_incident()))
        assert slack.threads() == [[f"Got worse: {cost_incident().title}"]]


def test_another_channel_begins_a_new_thread() -> None:
    """An operator who sets another channel gets what comes next there."""
    threads = ForgottenThreads()
    with workspace() as slack:
        bot(slack, threads).send(FIRST)
        bot(slack, threads, channel="C0123").send(later(Reason.GOT_WORSE, cost_incident()))
        assert [thread[0].partition(":")[0] for thread in slack.threads()] == ["New", "Got worse"]


def test_a_message_too_old_to_edit_still_gets_its_reply() -> None:
    """A workspace may forbid late edits; the thread tells it all."""
    with workspace() as slack:
        speaker = bot(slack)
        speaker.send(FIRST)
        slack.answers = [Answer(b'{"ok": false, "error": "edit_window_closed"}')]
        speaker.send(later(Reason.RESOLVED, resolved(cost_incident(), NOW)))
        assert [text.partition(":")[0] for text in slack.threads()[0]] == ["New", "Resolved"]


@pytest.mark.parametrize(
    ("answer", "retryable", "text"),
    [
        (FAILED, True, "Slack failed (500)"),
        (Answer(b'{"ok": false, "error": "internal_error"}'), True, "Slack failed (200 internal_error)"),
        (Answer(b'{"ok": false, "error": "not_in_channel"}'), False, "(not_in_channel): invite the bot"),
        (Answer(b'{"ok": false, "error": "<@U1> xoxb-very-secret"}'), False, "not as Slack does"),
        (Answer(b"<html>login</html>"), False, "not as Slack does"),
        (Answer(b"[]"), False, "not as Slack does"),
        (Answer(b"\xff\xfe"), False, "Slack could not be asked (UnicodeDecodeError)"),
    ],
)
def test_an_answer_other_than_ok_is_an_error(answer: Answer, retryable: bool, text: str) -> None:
    """Each kind of refusal says what to do and whether trying again could help, and never the token."""
    with workspace() as slack:
        slack.answers = [answer]
        with pytest.raises(DeliveryError) as caught:
            bot(slack).send(FIRST)
    assert text in str(caught.value)
    assert caught.value.retryable is retryable
    assert "secret" not in f"{caught.value!r}"


def test_the_wait_that_slack_asks_for_is_passed_on() -> None:
    """Of a 429 the seconds are told to who tries again."""
    with workspace() as slack:
        slack.answers = [rate_limited("7")]
        with pytest.raises(RateLimitedError) as caught:
            bot(slack).send(FIRST)
    assert caught.value.retry_after_s == 7


def test_a_dead_slack_and_a_plain_http_api_are_errors() -> None:
    """No connection may be tried again; a token is not sent in the clear."""
    with workspace() as slack:
        url = slack.api_url
    with pytest.raises(DeliveryError, match=r"could not be reached \(ConnectionRefusedError\)"):
        SlackBot(TOKEN, CHANNEL, ForgottenThreads(), api_url=url).send(FIRST)
    with pytest.raises(UsageError, match="must begin with https://"):
        SlackBot(TOKEN, CHANNEL, ForgottenThreads(), api_url="http://slack.example/api")


def test_check_asks_who_we_are_and_posts_nothing() -> None:
    """The doctor learns whether the token is good."""
    with workspace() as slack:
        assert bot(slack).check() == "analyst in Acme; nothing was sent, the channel was not tried"
        with pytest.raises(DeliveryError, match=r"\(invalid_auth\): the token is not valid"):
            bot(slack, token="xoxb-other").check()
        assert slack.messages == {}


def test_text_from_spans_makes_no_mention_no_link_and_no_channel() -> None:
    """Whatever stands in a title, Slack gets no `<`, no `@name` that it would follow."""
    with workspace() as slack:
        for number, text in enumerate(["<!channel> <@U1> <#C1|x>", "@here @everyone", *ATTACKS]):
            bot(slack).send(Message(Reason.FIRST_SEEN, incident(id=f"inc-{number}", title=text), NOW))
        shown = json.dumps([(one.text, one.blocks) for one in slack.messages.values()], ensure_ascii=False)
    for bad in ("<", "@here", "@everyone", "@channel", "@U1", "://"):
        assert bad not in shown, bad


def test_a_digest_is_one_message_and_threads_show_how_things_stand() -> None:
    """What could wait is listed in the channel; the first message of a thread that is over says so."""
    with workspace() as slack:
        speaker = bot(slack)
        speaker.send(FIRST)
        over = later(Reason.RESOLVED, resolved(cost_incident(), NOW))
        speaker.send_digest(Digest((over, Message(Reason.FIRST_SEEN, loop_incident(), NOW)), NOW))
        threads, digest = slack.threads(), list(slack.messages.values())[-1]
    assert threads == [[f"Resolved: {cost_incident().title}"], ["Digest: 2 messages that could wait"]]
    shown = json.dumps(digest.blocks, ensure_ascii=False)
    assert cost_incident().id in shown
    assert loop_incident().id in shown


# The whole life, over ten days.


@contextmanager
def memory(path: Path) -> Iterator[tuple[SqliteIncidents, Connection]]:
    """Open the store as a run does."""
    with closing(Connection(path)) as connection:
        yield SqliteIncidents(connection), connection


def one_run(path: Path, slack: Workspace, at, *incidents: Incident, waits: list[float]) -> Delivered:
    """Save and deliver as a run does, on both routes, with waits that are noted instead of slept."""
    retry: Callable = partial(retrying, worth_it=worth_it, wait_s=wait_s, sleep=waits.append)
    with memory(path) as (kept, connection):
        kept.save_incidents(incidents, run_trace_id="1" * 32)
        routes = (
            Route("slack", SlackNotifier(slack.webhook_url, timeout_s=5)),
            Route("slack-bot", bot(slack, SqliteThreads(connection, "slack-bot"))),
        )
        return deliver(incidents, routes, kept, at, retry=retry)


def test_ten_days_are_told_exactly_once(tmp_path: Path) -> None:
    """Worse, over, back, over again; failures of Slack between; the store opened anew by each run."""
    path = tmp_path / "store.db"
    at, waits, gaps = NOW, [], []
    cost = replace(cost_incident(), severity=Severity.HIGH)
    loop = replace(loop_incident(), severity=Severity.MEDIUM)
    worse = replace(cost, state=State.ONGOING, severity=Severity.CRITICAL, observed=cost.observed * 3)
    days = {
        0: (cost, []),
        1: (replace(cost, state=State.ONGOING), []),
        2: (worse, [FAILED] * 6),  # both routes, three tries each: the run after says it
        3: (worse, []),
        4: (resolved(worse, NOW + 4 * DAY), [rate_limited("2")]),  # the same run says it
        6: (replace(worse, state=State.REGRESSED, onset=NOW + 6 * DAY), [rate_limited("3600")] * 6),
        8: (resolved(worse, NOW + 8 * DAY), []),
    }
    with workspace() as slack:
        now = cost
        for step in range(40):
            day, quarter = divmod(step, 4)
            if quarter == 0 and day in days:
                now, slack.answers = days[day][0], list(days[day][1])
            done = one_run(path, slack, at, now, loop, waits=waits)
            gaps += [(step, gap.what) for gap in done.gaps]
            at += SIX_HOURS
        bot_threads, by_webhook = slack.threads(), slack.by_webhook
    said = [text.partition(":")[0] for text in bot_threads[0]]
    first, *rest = life = [
        "New",
        "Still going on",  # a day later
        "Got worse",  # six hours late
        "Still going on",
        "Resolved",
        "Back again",  # six hours late
        "Still going on",
        "Resolved",
    ]
    assert said == ["Resolved", *rest], f"the first message was {first} and shows how it ended"
    assert bot_threads[1:] == [[f"New: {loop.title}"]]
    of_cost = [text.partition(":")[0] for text in by_webhook if cost.title in text]
    assert of_cost == life
    assert len(by_webhook) == len(life) + 1
    assert gaps == [(step, f"messages to {name}") for step in (8, 24) for name in ("slack", "slack-bot")]
    assert max(waits) == 8, "an hour that Slack asks for is not waited for"


# Killed in the middle.

_PROGRAM = """
import os, signal, sys
from contextlib import closing
from pathlib import Path
from support.incidents import NOW, cost_incident
from support.slack_api import CHANNEL, TOKEN
from analyzer.notify.base import Route
from analyzer.notify.deliver import deliver
from analyzer.notify.slack import SlackBot
from analyzer.stores.database import Connection
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.threads import SqliteThreads

path, url, dies = sys.argv[1:]

class Kept(SqliteIncidents):
    def record_sent(self, *given):
        if dies == "before the record":
            os.kill(os.getpid(), signal.SIGKILL)
        super().record_sent(*given)

with closing(Connection(Path(path))) as connection:
    kept = Kept(connection)
    kept.save_incidents([cost_incident()], run_trace_id="1" * 32)
    bot = SlackBot(TOKEN, CHANNEL, SqliteThreads(connection, "slack-bot"), api_url=url)
    deliver([cost_incident()], [Route("slack-bot", bot)], kept, NOW)
"""


def started(path: Path, slack: Workspace, dies: str = "") -> subprocess.Popen:
    """Start a delivery in a process of its own."""
    root = Path(__file__).parents[2]
    paths = os.pathsep.join((str(root), str(root / "tests")))
    environ = {**os.environ, "PYTHONPATH": paths}
    return subprocess.Popen([sys.executable, "-c", _PROGRAM, str(path), slack.api_url, dies], env=environ)


def test_killed_before_the_record_nothing_is_repeated(tmp_path: Path) -> None:
    """The thread remembers what was posted in it: the next run edits and records, and posts nothing."""
    with workspace() as slack:
        assert started(tmp_path / "store.db", slack, "before the record").wait(60) == -signal.SIGKILL
        assert started(tmp_path / "store.db", slack).wait(60) == 0
        assert [(one.text, one.edits) for one in slack.messages.values()] == [(f"New: {cost_incident().title}", 1)]


def test_killed_before_slack_answers_one_message_is_repeated_and_no_more(tmp_path: Path) -> None:
    """Slack has it and we do not know: it is said a second time rather than never."""
    path = tmp_path / "store.db"
    with workspace() as slack:
        begun = threading.Event()
        runs: list[subprocess.Popen] = []

        def kill() -> None:
            begun.wait(60)
            runs[0].kill()
            runs[0].wait(60)

        slack.on_posted = kill
        runs.append(started(path, slack))
        begun.set()
        assert runs[0].wait(60) == -signal.SIGKILL
        slack.on_posted = bool
        for _ in range(3):
            assert started(path, slack).wait(60) == 0
        assert len(slack.messages) == 2
