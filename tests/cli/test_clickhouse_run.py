"""The same fleet gives the same report from SQLite and from ClickHouse, by the command line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.cli import analyzer
from support.clickhouse import embedded, write
from support.collected import request
from support.simulated import fleet
from support.spans import EPOCH

from analyzer.config import load
from analyzer.server.pages.compare import view
from analyzer.server.pages.page import Asked
from analyzer.server.pages.reading import Reader
from analyzer.simulation.fleet import Fleet
from analyzer.stores.incidents import SqliteIncidents
from analyzer.wiring.opening import open_reader

AT = EPOCH + timedelta(days=2)


def _told(document: Any) -> Any:
    """Return a document without what every run has of its own; pseudonyms have the key of their store."""
    if isinstance(document, dict):
        return {key: _told(value) for key, value in document.items() if key not in {"run", "id"}}
    if isinstance(document, list):
        return [_told(one) for one in document]
    # A pseudonym may be cut short at the end of a cell.
    return re.sub(r"<(\w+):[0-9a-f]+(…|>)", r"<\1", document) if isinstance(document, str) else document


def _small() -> Fleet:
    """Return three agents of the simulated fleet, with their faults."""
    whole = fleet()
    agents = whole.agents[:3]
    faults = tuple(one for one in whole.faults if one.agent in {agent.name for agent in agents})
    return replace(whole, agents=agents, faults=faults, days=4)


def test_a_run_says_the_same_from_clickhouse(tmp_path: Path):
    """Incidents, gaps and notes of `run --json` are equal; then `traces` and `doctor` answer from ClickHouse too."""
    made = _small()
    requests = list(made.requests())
    spans = tmp_path / "spans.jsonl"
    spans.write_text("".join(json.dumps(one) + "\n" for one in requests), "utf-8")
    with embedded(tmp_path) as client:
        write(client, *requests)
    at = made.now.isoformat()
    kept = {"ANALYZER_STORE": str(tmp_path / "kept.db"), "ANALYZER_LLM": "off"}
    followed = {
        "ANALYZER_STORE": str(tmp_path / "index.db"),
        "ANALYZER_LLM": "off",
        "ANALYZER_CLICKHOUSE_URL": f"chdb://{tmp_path / 'clickhouse'}",
    }
    assert analyzer("ingest", str(spans), env=kept).code == 0
    from_sqlite = analyzer("run", "--json", "--at", at, env=kept)
    from_clickhouse = analyzer("run", "--json", "--at", at, env=followed)
    assert from_clickhouse.code == from_sqlite.code, from_clickhouse.stderr
    mine, its = json.loads(from_clickhouse.stdout), json.loads(from_sqlite.stdout)
    assert len(mine["incidents"]) >= 2
    assert _told(mine) == _told(its)
    seen = ("trajectories_seen", "spans_seen")
    assert [mine["run"][name] for name in seen] == [its["run"][name] for name in seen]
    shown = [analyzer("traces", "show", "worst", env=env) for env in (followed, kept)]
    assert [one.code for one in shown] == [0, 0], shown[0].stderr
    assert _told(shown[0].stdout) == _told(shown[1].stdout)
    own = analyzer("traces", "show", mine["run"]["trace_id"], env=followed)
    assert "invoke_agent analyzer" in own.stdout
    doctor = json.loads(analyzer("doctor", "--json", env=followed).stdout)
    [check] = [one for one in doctor["checks"] if one["name"] == "clickhouse"]
    assert (check["state"], "spans of the last 24 h; read from" in check["detail"]) == ("ok", True)
    assert "spans have their texts there; read from" in analyzer("store", "stats", env=followed).stdout


def test_runs_at_one_moment_read_on_until_the_history_is_in(tmp_path: Path):
    """Each run bounded by rows reads the next part, newest first, and says how far it is; the last one says nothing.

    A run into the past reads nothing, and says that something is left to be read.
    """
    with embedded(tmp_path) as client:
        write(client, *(request(number, AT - timedelta(hours=20 * number)) for number in range(1, 5)))
    (tmp_path / "analyzer.toml").write_text("[clickhouse]\nrows_per_run = 4\n", "utf-8")
    env = {
        "ANALYZER_STORE": str(tmp_path / "index.db"),
        "ANALYZER_LLM": "off",
        "ANALYZER_CONFIG": str(tmp_path / "analyzer.toml"),
        "ANALYZER_CLICKHOUSE_URL": f"chdb://{tmp_path / 'clickhouse'}",
    }

    def unread(at: datetime) -> list[str]:
        gaps = json.loads(analyzer("run", "--json", "--at", at.isoformat(), env=env).stdout)["gaps"]
        return [gap["why"] for gap in gaps if gap["what"] == "spans in ClickHouse"]

    began = [f"{AT - timedelta(hours=20 * number) + timedelta(minutes=5):%Y-%m-%d %H:%M}" for number in range(1, 5)]
    assert unread(AT) == [f"9 of before {began[1]} UTC are not read yet"]
    assert unread(AT - timedelta(minutes=30)) == [f"those of before {began[1]} UTC are not all read yet"]
    assert [unread(AT) for _ in range(4)] == [
        [f"6 of before {began[2]} UTC are not read yet"],
        [f"3 of before {began[3]} UTC are not read yet"],
        [],
        [],
    ]
    assert unread(AT - timedelta(minutes=30)) == []
    assert len(json.loads(analyzer("traces", "list", "--json", env=env).stdout)["traces"]) == 4


def test_a_full_id_is_shown_and_asked_about_before_it_was_followed(tmp_path: Path):
    """`traces show` and `ask` find by its whole id what no run has read yet."""
    with embedded(tmp_path) as client:
        write(client, *(request(number, AT - timedelta(hours=1)) for number in (1, 2)))
    env = {
        "ANALYZER_STORE": str(tmp_path / "index.db"),
        "ANALYZER_LLM": "off",
        "ANALYZER_CLICKHOUSE_URL": f"chdb://{tmp_path / 'clickhouse'}",
    }
    assert analyzer("store", "follow", "--at", (AT - timedelta(days=9)).isoformat(), env=env).code == 0
    shown = analyzer("traces", "show", f"{1:032x}", env=env)
    assert (shown.code, "lookup_order" in shown.stdout) == (0, True), shown.stderr
    asked = analyzer("ask", f"{2:032x}", "what did it do?", env=env)
    assert (asked.code, "no trajectory" in asked.stderr) == (0, False), asked.stderr
    missing = analyzer("traces", "show", "f" * 32, env=env)
    assert (missing.code, "no trajectory begins with ffff" in missing.stderr) == (2, True), missing.stderr


def test_runs_whose_texts_are_gone_are_not_compared(tmp_path: Path):
    """After the TTL of ClickHouse any two runs would look alike, or one like one that did nothing."""
    index = {
        "ANALYZER_STORE": str(tmp_path / "index.db"),
        "ANALYZER_LLM": "off",
        "ANALYZER_CLICKHOUSE_URL": f"chdb://{tmp_path / 'clickhouse'}",
    }
    runs = [f"{number:032x}" for number in (1, 2)]
    with embedded(tmp_path) as client:
        write(client, *(request(number, EPOCH) for number in (1, 2)))
    assert analyzer("store", "follow", "--at", AT.isoformat(), env=index).code == 0
    assert analyzer("traces", "diff", *runs, env=index).code == 0
    (tmp_path / "empty").mkdir()
    with embedded(tmp_path / "empty"):
        index["ANALYZER_CLICKHOUSE_URL"] = f"chdb://{tmp_path / 'empty' / 'clickhouse'}"
    assert "lookup_order" in analyzer("traces", "show", runs[0], env=index).stdout
    compared = analyzer("traces", "diff", *runs, env=index)
    assert (compared.code, compared.stdout) == (2, "")
    why = f"the texts of trajectory {runs[0]} are gone: ClickHouse, where they lay, has them no longer"
    assert why in compared.stderr
    known = replace(load({}, {}).settings, store=tmp_path / "index.db")
    with open_reader(replace(known, clickhouse_url=index["ANALYZER_CLICKHOUSE_URL"])) as store:
        reader = Reader(store, SqliteIncidents(store.state), store.elsewhere.heard())
        page = view(reader, Asked({}, {"a": runs[0], "b": runs[1]}))
    assert (page.status, page.values["problem"]) == (404, why)


def test_a_dead_clickhouse_is_a_gap_of_a_run(tmp_path: Path):
    """A run whose ClickHouse does not answer says so, exits 3 and does the rest; no password is shown."""
    env = {
        "ANALYZER_STORE": str(tmp_path / "s.db"),
        "ANALYZER_LLM": "off",
        "ANALYZER_CLICKHOUSE_URL": "http://reader@127.0.0.1:9/otel",
        "ANALYZER_CLICKHOUSE_PASSWORD": "hunter2hunter2",
    }
    done = analyzer("run", "--json", env=env)
    assert done.code == 3
    gaps = json.loads(done.stdout)["gaps"]
    assert [gap["why"] for gap in gaps if gap["what"] == "spans in ClickHouse"] == [
        "ClickHouse at http://127.0.0.1:9/otel did not answer; check ANALYZER_CLICKHOUSE_URL and the server"
    ]
    assert [gap["hint"] for gap in json.loads(done.stdout)["gaps"] if gap["what"] == "the fleet"] == [
        "`analyzer store follow` puts some in"
    ]
    assert "urllib3" not in done.stderr
    assert "Retrying" not in done.stderr
    followed = analyzer("store", "follow", env=env)
    assert (followed.code, followed.stdout) == (3, "read 0 spans, 0 of them new\n")
    assert "hunter2" not in done.stdout + done.stderr + followed.stderr + analyzer("doctor", env=env).stdout


def test_doctor_names_the_way_in_that_is_set(tmp_path: Path):
    """With ClickHouse a store is made by following; services without spans are said; tables stand as counts."""
    with embedded(tmp_path) as client:
        write(client, request(1, datetime.now(UTC) - timedelta(hours=1)))
    file = tmp_path / "analyzer.toml"
    file.write_text('[clickhouse]\nservices = ["nosuch"]\n', "utf-8")
    env = {
        "ANALYZER_STORE": str(tmp_path / "index.db"),
        "ANALYZER_CONFIG": str(file),
        "ANALYZER_CLICKHOUSE_URL": f"chdb://{tmp_path / 'clickhouse'}",
    }
    found = json.loads(analyzer("doctor", "--json", env=env).stdout)
    by_name = {one["name"]: one for one in found["checks"]}
    assert by_name["store"]["hint"] == "`analyzer store follow` makes it"
    assert {one["name"]: one["command"] for one in found["missing"]}["store"] == "analyzer store follow"
    assert by_name["clickhouse"]["hint"] == (
        "none of these services has a span of the last 24 h: nosuch; `services` under [clickhouse] names each"
        " ServiceName as the table has it"
    )
    assert {one["name"]: one["value"] for one in found["settings"]}["clickhouse"] == "1 entries"
    file.write_text("", "utf-8")
    found = json.loads(analyzer("doctor", "--json", env=env).stdout)
    assert {one["name"]: one["hint"] for one in found["checks"]}["clickhouse"] == ""
    assert {one["name"]: one["value"] for one in found["settings"]}["clickhouse"] == "0 entries"


def test_following_without_a_clickhouse_says_what_to_set(tmp_path: Path):
    """`store follow` without the setting is a mistake that says the setting's name, and makes no store."""
    done = analyzer("store", "follow", env={"ANALYZER_STORE": str(tmp_path / "s.db")})
    assert (done.code, "ANALYZER_CLICKHOUSE_URL names it" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []
