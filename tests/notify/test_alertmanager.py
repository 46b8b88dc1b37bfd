"""Incidents as alerts, in Debian's real Alertmanager where it is installed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.alertmanager import alertmanager, need_alertmanager
from support.hostile import ATTACKS, hostile_incident
from support.http import Answer, loopback
from support.incidents import cost_incident, loop_incident, resolved
from support.servers import asked

from analyzer.errors import DeliveryError, UsageError
from analyzer.notify.alertmanager import Alertmanager
from analyzer.notify.base import Message
from analyzer.render.links import NO_LINKS, Links
from analyzer.types.report import Severity, State
from analyzer.types.sent import Reason

EXPIRY = timedelta(hours=3)
WAIT_S = 30.0
COST = replace(cost_incident(), severity=Severity.HIGH)
LOOP = loop_incident()
KNOWN = {COST.id, LOOP.id}


def now() -> datetime:
    """Return the clock's now: the server has the same."""
    return datetime.now(UTC)


def there(url: str) -> list[dict[str, Any]]:
    """Return the alerts that fire."""
    return json.loads(asked(f"{url}/api/v2/alerts"))


def soon(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.1)


def test_the_life_of_an_incident_in_a_real_alertmanager(tmp_path: Path) -> None:
    """It fires, is no second alert when it is sent again, changes its severity, is over; the receiver is told."""
    need_alertmanager()
    with loopback(lambda _asked: Answer()) as hook, alertmanager(tmp_path, hook.url) as url:
        ours = Alertmanager(url, expiry=EXPIRY)
        assert ours.check().startswith("version 0.")

        ours.tell([COST, LOOP], KNOWN, now())
        ours.tell([COST, LOOP], KNOWN, now())
        soon(lambda: len(there(url)) == 2)
        alert = next(one for one in there(url) if one["labels"]["incident"] == COST.id)
        assert alert["labels"] == {
            "alertname": "AgentIncident",
            "agent": "support-triage",
            "kind": "cost",
            "severity": "high",
            "incident": COST.id,
        }
        assert alert["annotations"]["summary"] == COST.title
        assert datetime.fromisoformat(alert["endsAt"]) - now() > timedelta(hours=2, minutes=55)

        ours.tell([replace(COST, severity=Severity.CRITICAL), LOOP], KNOWN, now())
        soon(
            lambda: sorted(one["labels"]["severity"] for one in there(url)) == sorted(["critical", LOOP.severity.value])
        )

        ours.tell([resolved(replace(COST, severity=Severity.CRITICAL), now()), LOOP], KNOWN, now())
        soon(lambda: [one["labels"]["incident"] for one in there(url)] == [LOOP.id])

        def told() -> list[str]:
            bodies = [json.loads(one.body) for one in hook.asked]
            return [body["status"] for body in bodies if body["groupLabels"]["incident"] == COST.id]

        soon(lambda: told()[-1:] == ["resolved"])
        assert told()[0] == "firing"


def test_what_a_human_mutes_or_dismisses_ends_and_foreign_alerts_stay(tmp_path: Path) -> None:
    """A mute and a dismissal end the alert; one of an incident that this store does not know is another's."""
    need_alertmanager()
    with loopback(lambda _asked: Answer()) as hook, alertmanager(tmp_path, hook.url) as url:
        ours = Alertmanager(url, expiry=EXPIRY)
        foreign = replace(LOOP, id="inc-ffffffffff")
        Alertmanager(url, expiry=EXPIRY).tell([foreign], {foreign.id}, now())
        ours.tell([COST, LOOP], KNOWN, now())
        soon(lambda: len(there(url)) == 3)
        muted = replace(COST, muted_until=now() + timedelta(hours=1))
        ours.tell([muted, replace(LOOP, state=State.DISMISSED)], KNOWN, now())
        soon(lambda: [one["labels"]["incident"] for one in there(url)] == [foreign.id])


def test_an_alert_ends_by_itself_where_no_run_sends_it_again(tmp_path: Path) -> None:
    """An analyst that died leaves no alert for ever."""
    need_alertmanager()
    with loopback(lambda _asked: Answer()) as hook, alertmanager(tmp_path, hook.url) as url:
        Alertmanager(url, expiry=timedelta(seconds=2)).tell([COST], {COST.id}, now())
        soon(lambda: len(there(url)) == 1)
        soon(lambda: there(url) == [])


def test_a_silence_by_agent_holds(tmp_path: Path) -> None:
    """Existing silences work: the alert is there, suppressed, and nobody is told."""
    need_alertmanager()
    with loopback(lambda _asked: Answer()) as hook, alertmanager(tmp_path, hook.url) as url:
        silence = {
            "matchers": [{"name": "agent", "value": "support-triage", "isRegex": False, "isEqual": True}],
            "startsAt": now().isoformat(),
            "endsAt": (now() + timedelta(hours=1)).isoformat(),
            "createdBy": "ops",
            "comment": "known",
        }
        asked(f"{url}/api/v2/silences", json.dumps(silence).encode())
        Alertmanager(url, expiry=EXPIRY).tell([COST], {COST.id}, now())
        soon(lambda: [one["status"]["state"] for one in there(url)] == ["suppressed"])
        time.sleep(2)
        assert hook.asked == []


def test_text_from_spans_makes_no_mention_and_no_link_in_a_template() -> None:
    """Templates of receivers put annotations into Slack or a page as they are: there is nothing in them to follow."""
    with loopback(lambda _asked: Answer()) as server:
        for text in ATTACKS:
            Alertmanager(server.url, expiry=EXPIRY).send(Message(Reason.FIRST_SEEN, hostile_incident(text), now()))
    shown = "".join(alert["annotations"]["summary"] for one in server.asked for alert in json.loads(one.body))
    shown += "".join(alert["annotations"]["description"] for one in server.asked for alert in json.loads(one.body))
    for bad in ("<", ">", "@here", "@octocat", "://"):
        assert bad not in shown, bad


def test_an_owner_is_an_annotation_and_no_label() -> None:
    """With another owner it is the same alert; a template makes no mention of it; without one the key is absent."""
    posted: list[dict[str, Any]] = []

    def taken(url: str, *, body: bytes | None = None, **_rest: Any) -> bytes:
        posted.extend(json.loads(body or b"[]"))
        return b"[]"

    ours = Alertmanager("http://127.0.0.1:9093", expiry=EXPIRY, asked=taken)
    ours.tell([replace(COST, owner="@data-team"), LOOP], KNOWN, now())
    assert posted[0]["annotations"]["owner"] == "@\u2060data-team"
    assert "owner" not in posted[1]["annotations"]
    assert all("owner" not in alert["labels"] for alert in posted)


def test_a_test_message_is_an_alert_of_five_minutes() -> None:
    """It is one POST that asks for nothing and ends nothing."""
    with loopback(lambda _asked: Answer()) as server:
        at = now()
        Alertmanager(server.url, expiry=EXPIRY, token=" t0k \n").send(Message(Reason.FIRST_SEEN, COST, at))
    (one,) = server.asked
    (alert,) = json.loads(one.body)
    assert (one.path, one.headers["Authorization"]) == ("/api/v2/alerts", "Bearer t0k")
    assert datetime.fromisoformat(alert["endsAt"]) - at == timedelta(minutes=5)


@pytest.mark.parametrize("body", [b"<html>", b"{}x", b'[{"labels": 1}]', b"3"])
def test_an_answer_of_something_else_is_an_error(body: bytes) -> None:
    """A URL that leads elsewhere is said so, and nothing is posted there."""
    with loopback(lambda _asked: Answer(body)) as server, pytest.raises(DeliveryError, match="check its URL"):
        Alertmanager(server.url, expiry=EXPIRY).tell([COST], KNOWN, now())
    assert [one.method for one in server.asked] == ["GET"]


def test_a_url_with_a_password_is_refused() -> None:
    """It would not be sent, and would stand in the list of processes."""
    with pytest.raises(UsageError, match="ANALYZER_ALERTMANAGER_URL must not hold a name and password"):
        Alertmanager("http://me:pw@h.example", expiry=EXPIRY)


def test_the_alert_leads_to_the_page_of_its_incident_where_pages_are_reached() -> None:
    """`generatorURL` is what Alertmanager's page and most templates link; without an address there is none."""
    page = f"https://analyzer.example.com/incidents/{COST.id}"
    with loopback(lambda _asked: Answer()) as server:
        for links in (Links("https://analyzer.example.com"), NO_LINKS):
            Alertmanager(server.url, expiry=EXPIRY, links=links).send(Message(Reason.FIRST_SEEN, COST, now()))
    assert [alert.get("generatorURL") for one in server.asked for alert in json.loads(one.body)] == [page, None]
