"""From a message to the proof: every link that is told leads to a page that is there, and the quote is marked."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
from support.cli import analyzer
from support.drawn import looping, stored
from support.http import Answer, loopback
from support.receiver import ask
from support.site import showing

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BASE = "https://analyzer.example.com"
SLACK_LINK = re.compile(r"<(https://analyzer\.example\.com[^|>]*)")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with four days of an agent that loops on the last."""
    return stored(looping(NOW, days=4), tmp_path_factory.mktemp("links") / "store.db")


def test_every_link_of_message_and_report_is_served_and_the_proof_is_marked(store: Path, tmp_path: Path) -> None:
    """What Slack, standard output and the report's page link is followed; a quote's link shows the quote marked."""
    with loopback(lambda _asked: Answer(b"ok")) as slack:
        env = {"ANALYZER_BASE_URL": f"{BASE}/", "ANALYZER_SLACK_WEBHOOK_URL": f"{slack.url}/services/x"}
        reports = ("--reports", str(tmp_path), "--llm", "off")
        ended = analyzer("run", "--at", NOW.isoformat(), "--store", str(store), *reports, env=env)
    assert ended.code in {0, 3}, ended.stderr
    [message] = [json.loads(one.body) for one in slack.asked]
    told = {place.replace("&amp;", "&") for place in SLACK_LINK.findall(json.dumps(message))}
    page = (tmp_path / "report.html").read_text("utf-8")
    linked = {unescape(place) for place in re.findall(r'href="([^"]*)"', page)}
    proofs = {place for place in told if place.endswith("#quote")}
    assert proofs
    assert proofs <= linked
    incident = next(place for place in told if "/incidents/" in place)
    assert f"All of it: {incident} · what it means:" in " ".join(ended.stdout.split())
    with showing(store) as site:
        for place in told | linked:
            assert place.startswith(f"{BASE}/"), place
            path = place.removeprefix(BASE).partition("#")[0]
            answer = ask(site.url, "GET", path, headers={"Accept": "text/html"})
            assert answer.status == 200, path
            assert not place.endswith("#quote") or b'<mark id="quote"' in answer.body, path
