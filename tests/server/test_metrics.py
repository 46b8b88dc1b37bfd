"""`/metrics`: what a real Prometheus makes of it, and who may read it."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.prometheus import need_prometheus, prometheus
from support.receiver import ask, running
from support.spans import EPOCH, chat, root, tool, trace_id

from analyzer.server.metrics import Scrapes
from analyzer.stores.measures import SqliteMeasures
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.measures import FLEET, OWN, Amount

NOW_S = EPOCH.timestamp() + 600


def filled(path: Path) -> SqliteTrajectories:
    """Return a store with three finished trajectories that arrived at NOW_S, and a sample of each own metric."""
    store = SqliteTrajectories(path, clock=lambda: NOW_S)
    for number in (1, 2, 3):
        store.add([
            root(number, agent_version="1.0"),
            chat(number, 2, cost_usd=0.1 * number),
            tool(number, 3, cost_usd=0.01),
            chat(number, 4, at_s=4, model="unheard-of", cost_usd=None),
        ])  # fmt: skip
    own = [Amount(one.name, ("a",) * len(one.labels), 1.0) for one in OWN]
    SqliteMeasures(store.connection).add(own, NOW_S)
    return store


def scrapes(path: Path, **given: Any) -> Scrapes:
    """Return what answers scrapes of a store, an hour after its trajectories came."""
    return Scrapes(
        partial(SqliteTrajectories, path), **{"token": None, "loopback": True, "clock": lambda: NOW_S + 3600, **given}
    )


def served(path: Path, **given: Any):
    """Serve the metrics of a store for the length of a block."""
    return running(
        lambda _batch: pytest.fail("nothing is sent"), scrapes=scrapes(path, **given), token=given.get("token")
    )


def test_promtool_finds_nothing_to_say_about_the_names(tmp_path: Path) -> None:
    """Every family is there in a scrape, and promtool's check of names, units and types finds no fault."""
    need_prometheus()
    filled(tmp_path / "store.db").close()
    with served(tmp_path / "store.db") as server:
        told = ask(server.where.url, "GET", "/metrics")
    assert told.status == 200
    text = told.body.decode()
    for family in (*FLEET, *OWN):
        # A version runs for an hour.
        assert f"# TYPE {family.sample} {family.shape.value}" in text or family.name == "agent_build_info", family.name
    done = subprocess.run(["promtool", "check", "metrics"], input=told.body, capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, "", "")


def asked(url: str, path: str, **parameters: str) -> Any:
    """Return what Prometheus answers."""
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{query}", timeout=5) as answer:  # noqa: S310 - loopback
        return json.loads(answer.read())["data"]


def waited(ask_again: Callable[[], Any], seconds: float = 20) -> Any:
    """Return the first answer that says something."""
    until = time.monotonic() + seconds
    while not (answer := ask_again()) and time.monotonic() < until:
        time.sleep(0.2)
    return answer


@pytest.mark.server
def test_a_real_prometheus_scrapes_counters_histograms_and_exemplars(tmp_path: Path) -> None:
    """Tokens by model and phase, steps by bucket, and the dearest trajectory's id beside the cost."""
    need_prometheus()
    filled(tmp_path / "store.db").close()
    with served(tmp_path / "store.db") as server:
        target = server.where.url.removeprefix("http://")
        config = (
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
            f"- {{job_name: analyzer, static_configs: [{{targets: ['{target}']}}]}}\n"
        )
        with prometheus(tmp_path, config=config) as url:
            up = waited(lambda: [one for one in asked(url, "query", query="up")["result"] if one["value"][1] == "1"])
            assert up
            tokens = asked(url, "query", query="agent_tokens_total")["result"]
            steps = asked(url, "query", query="agent_steps_bucket")["result"]
            now = time.time()
            around = {"start": f"{now - 86_400 * 3650}", "end": f"{now + 86_400 * 3650}"}
            shown = asked(url, "query_exemplars", query="agent_cost_usd_total", **around)
            slowest = asked(url, "query_exemplars", query="agent_steps_bucket", **around)
    assert {(one["metric"]["model"], one["metric"]["phase"]): one["value"][1] for one in tokens} == {
        ("claude-sonnet-5-5", "input"): "300",
        ("claude-sonnet-5-5", "output"): "60",
        ("unheard-of", "input"): "300",
        ("unheard-of", "output"): "60",
    }
    assert {float(one["metric"]["le"]): one["value"][1] for one in steps}[3.0] == "3"
    assert [one["exemplars"][0]["labels"] for one in shown] == [{"trace_id": trace_id(3)}]
    assert {one["exemplars"][0]["labels"]["trace_id"] for one in slowest} <= {trace_id(number) for number in (1, 2, 3)}
    assert slowest


def test_only_who_knows_the_token_reads_and_no_foreign_name_is_answered(tmp_path: Path) -> None:
    """With a token scrapes carry it; without one the address must be this machine's, against DNS rebinding."""
    filled(tmp_path / "store.db").close()
    with served(tmp_path / "store.db", token="s3cret-token") as server:
        assert ask(server.where.url, "GET", "/metrics").status == 401
        assert ask(server.where.url, "GET", "/metrics", headers={"Authorization": "Bearer s3cret-token"}).status == 200
    with served(tmp_path / "store.db") as server:
        assert ask(server.where.url, "GET", "/metrics", headers={"Host": "evil.example:4318"}).status == 421
        assert ask(server.where.url, "GET", "/metrics", headers={"Host": "localhost:4318"}).status == 200


def test_a_store_that_is_being_written_gives_the_sums_of_a_moment_ago(tmp_path: Path) -> None:
    """A scrape never waits long for a writer: what was counted is shown, and the operator is told."""
    store = filled(tmp_path / "store.db")
    said: list[str] = []
    first = scrapes(tmp_path / "store.db", say=said.append)
    body, _ = first._scraped("")
    store.add([root(9)])
    with store.connection.writing():
        again, _ = first._scraped("")
    first.close()
    lines = [line for line in body.splitlines() if line.startswith(b"agent_trajectories_total")]
    assert lines
    assert [line for line in again.splitlines() if line.startswith(b"agent_trajectories_total")] == lines
    assert ["held by another process" in line for line in said] == [True]
    store.close()
