"""`/.well-known/agent-card.json`, as another agent asks for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.receiver import ask, serving

CARD = "/.well-known/agent-card.json"


def test_the_card_is_served_to_anyone_and_names_the_address_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token is needed to read that one is needed; the token is not in it."""
    monkeypatch.setenv("ANALYZER_BASE_URL", "https://analyzer.example.org")
    monkeypatch.setenv("ANALYZER_SERVE_TOKEN", "sesame-sesame")
    with serving(tmp_path / "store.db") as server:
        told = ask(server.url, "GET", CARD)
        assert ask(server.url, "POST", CARD).status == 405
    assert (told.status, told.headers["content-type"]) == (200, "application/json")
    assert told.document["supportedInterfaces"][0]["url"] == "https://analyzer.example.org/api/alerts"
    assert "token" in told.document["securitySchemes"]
    assert "sesame" not in json.dumps(told.document)


def test_without_an_address_the_card_names_where_the_server_listens(tmp_path: Path) -> None:
    """On loopback that is an address that works from there."""
    with serving(tmp_path / "store.db") as server:
        told = ask(server.url, "GET", CARD)
    assert told.document["supportedInterfaces"][0]["url"] == f"{server.url}/api/alerts"
    assert "securitySchemes" not in told.document


def test_a_server_that_listens_everywhere_and_knows_no_address_has_no_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`0.0.0.0` leads nobody anywhere: no card is better than a wrong one."""
    monkeypatch.setenv("ANALYZER_SERVE_TOKEN", "sesame-sesame")
    monkeypatch.setenv("ANALYZER_SERVE_HOST", "0.0.0.0")
    with serving(tmp_path / "store.db") as server:
        told = ask(server.url.replace("0.0.0.0", "127.0.0.1"), "GET", CARD)
    assert told.status == 404
