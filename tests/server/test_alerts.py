from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.alerts import SOURCE, body, entry
from support.receiver import JSON, Running, running

from analyzer.errors import StoreError
from analyzer.server import alerts as module
from analyzer.server.alerts import AlertInbox
from analyzer.server.investigations import Investigations
from analyzer.stores.alerts import SqliteAlerts, Taken
from analyzer.stores.trajectories import SqliteTrajectories

PATH = "/api/alerts"


class Broken:
    """A keeper whose disk is full."""

    def take(self, alerts: Any, at: Any) -> Taken:
        """Fail."""
        raise StoreError("the disk is full")


@contextmanager
def inbox(path: Path, *, token: str | None = None, keeper: Any = None) -> Iterator[tuple[Running, SqliteAlerts]]:
    """Serve an inbox whose runs answer everything by noting how many waited."""
    with SqliteTrajectories(path) as store:
        book = SqliteAlerts(store.connection)

        async def never() -> str:
            return ""

        said: list[str] = []
        looks = Investigations(book.waiting, never, wait_s=3600, say=said.append)
        mask = store.masker.text
        made = AlertInbox(keeper or book, looks, labels=("agent",), mask=mask, say=said.append)
        with running(store.add, token=token, alerts=made) as served:
            served.said = said
            yield served, book


def test_what_was_acknowledged_is_on_disk(tmp_path: Path) -> None:
    """The answer counts what was new, known, our own and refused; another connection sees it."""
    ours = entry(9, alertname="AgentIncident", incident="inc-0123456789")
    with inbox(tmp_path / "store.db") as (served, _book):
        told = served.post(body(entry(1), entry(2), ours, {}), path=PATH, kind=JSON)
        again = served.post(body(entry(1, starts=None)), path=PATH, kind="application/json; charset=utf-8")
        with SqliteTrajectories(tmp_path / "store.db", read_only=True) as other:
            assert {one.alert.fingerprint[-1] for one in SqliteAlerts(other.connection).latest(9)} == {"1", "2"}
    assert (told.status, told.document) == (200, {"status": "ok", "new": 2, "known": 0, "own": 1, "refused": 1})
    assert again.status == 200


def test_secrets_in_an_alert_are_never_on_disk(tmp_path: Path) -> None:
    """The masker stands at this door, too."""
    secret = "sk-ant-api03-" + "Zx9" * 20
    named = {**entry(1, agent=secret), "annotations": {"summary": f"key {secret} leaked"}}
    with inbox(tmp_path / "store.db") as (served, _book):
        assert served.post(body(named, externalURL=f"{SOURCE}/{secret}"), path=PATH, kind=JSON).status == 200
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert secret.encode() not in written


def test_the_token_of_the_receiver_is_asked_for(tmp_path: Path) -> None:
    """`http_config.authorization` of Alertmanager sends it; without it nothing is kept."""
    with inbox(tmp_path / "store.db", token="t0k") as (served, book):
        assert served.post(body(entry()), path=PATH, kind=JSON).status == 401
        assert served.post(body(entry()), path=PATH, kind=JSON, Authorization="Bearer wrong").status == 401
        assert book.waiting() == 0
        assert served.post(body(entry()), path=PATH, kind=JSON, Authorization="Bearer t0k").status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/x-protobuf", None])
def test_only_json_is_taken(tmp_path: Path, kind: str | None) -> None:
    """A form or plain text, which any page in a browser can send, is refused."""
    with inbox(tmp_path / "store.db") as (served, book):
        told = served.post(body(entry()), path=PATH, kind=kind)
        assert (told.status, told.document["message"]) == (415, "the content type must be application/json")
        assert book.waiting() == 0


def test_a_body_that_is_too_large_or_damaged_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """413 and 400: Alertmanager does not send these again."""
    monkeypatch.setattr("analyzer.server.app.BODY_BYTES_MAX", 2_000)
    with inbox(tmp_path / "store.db") as (served, _book):
        assert served.post(body(*[entry()] * 20), path=PATH, kind=JSON).status == 413
        for content in (b"{", b"[]", b'{"version": "4", "alerts": [{}]}', b"\x1f\x8b"):
            told = served.post(content, path=PATH, kind=JSON)
            assert told.status == 400, content
            assert json.loads(told.body)["message"]
    assert module.BODY_BYTES_MAX > 1 << 20


def test_what_cannot_be_kept_is_asked_for_again(tmp_path: Path) -> None:
    """503 makes Alertmanager send it again; the operator is told why, once."""
    with inbox(tmp_path / "store.db", keeper=Broken()) as (served, _book):
        told = served.post(body(entry()), path=PATH, kind=JSON)
        assert (told.status, told.headers["retry-after"]) == (503, "1")
        assert served.said == ["alerts could not be kept: the disk is full"]


def test_an_alert_that_was_told_before_wakes_nobody(tmp_path: Path) -> None:
    """The same firing again is known, and its end as well."""
    with inbox(tmp_path / "store.db") as (served, book):
        first = entry(1)
        served.post(body(first), path=PATH, kind=JSON)
        known = served.post(body(first), path=PATH, kind=JSON).document
        over = {**first, "status": "resolved", "endsAt": first["startsAt"]}
        ended = served.post(body(over), path=PATH, kind=JSON).document
        assert [one["new"] for one in (known, ended)] == [0, 0]
        assert book.waiting() == 0
        [kept] = book.latest(9)
        assert kept.alert.ends_at is not None
        assert kept.alert.ends_at - kept.alert.starts_at < timedelta(seconds=1)
