"""`analyzer ingest` of stored trajectories, `traces diff` and `traces search`, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from support.cli import analyzer
from support.spans import chat, root, tool
from support.stored import ATIF, CLAUDE_CODE, OPENAI, call

from analyzer.stores.trajectories import SqliteTrajectories


@pytest.fixture
def store(tmp_path):
    """Return the option of a store with four imported trajectories."""
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "atif.json").write_text(json.dumps(ATIF))
    (folder / "session.jsonl").write_text("\n".join(json.dumps(line) for line in CLAUDE_CODE))
    asked = {"role": "assistant", "tool_calls": [call(1, "cancel")]}
    hostile = {"role": "tool", "tool_call_id": "call_1", "content": "\x1b[2Jgone\u202e"}
    other = {**OPENAI, "messages": [*OPENAI["messages"][:2], asked, hostile]}
    (folder / "chat.jsonl").write_text("\n".join(json.dumps(one) for one in (OPENAI, other)))
    options = ("--store", str(tmp_path / "s.db"))
    taken = analyzer("ingest", str(folder), "--json", *options)
    assert taken.code == 0, taken.stderr
    files = json.loads(taken.stdout)["files"]
    assert {entry["format"] for entry in files} == {"atif", "claude-code", "openai-chat"}
    assert json.loads(taken.stdout)["trajectories"] == 4
    return options


def test_auto_says_what_it_chose(tmp_path):
    """The summary for people names the formats; a forced format that does not fit refuses and fails."""
    path = tmp_path / "x.json"
    path.write_text(json.dumps(ATIF))
    options = ("--store", str(tmp_path / "s.db"))
    assert "(atif)" in analyzer("ingest", str(path), *options).stdout
    wrong = analyzer("ingest", str(path), "--format", "swe-agent", *options)
    assert (wrong.code, "is no trajectory of SWE-agent" in wrong.stderr) == (4, True)
    assert analyzer("ingest", str(path), "--format", "nonsense", *options).code == 2


@pytest.mark.parametrize("command", [("list",), ("show", "latest"), ("diff", "latest", "worst")])
def test_whoever_looks_does_not_wait_for_numpy(store, command):
    """Listing and showing load nothing that only detection or a new store needs: half of their start went there."""
    arguments = repr(["traces", *command, *store])
    code = f"import sys; from analyzer.cli.app import run; run({arguments}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert "sqlite3" in loaded
    assert not loaded & {"numpy", "scipy", "sqlite_utils", "anthropic", "requests"}


def test_a_prompt_that_grew_is_seen_though_the_steps_are_the_same(tmp_path):
    """A sentence put behind a goal moves no step: what each run was sent is compared word by word."""
    path = tmp_path / "s.db"
    with SqliteTrajectories(path) as trajectories:
        for number, goal in enumerate(("Ship order A-1.", "Ship order A-1. Read all tickets first."), 1):
            trajectories.add([root(number), chat(number, 2, input=goal)])
    shown = analyzer("traces", "diff", f"{1:032x}", f"{2:032x}", "--store", str(path))
    assert "They take the same 1 step." in shown.stdout
    assert "  A  nothing that the other was not\n  B  4 words alone: Read all tickets first.\n" in shown.stdout
    same = analyzer("traces", "diff", f"{1:032x}", f"{1:032x}", "--json", "--store", str(path))
    assert json.loads(same.stdout)["sent"] == []
    document = json.loads(analyzer("traces", "diff", f"{1:032x}", f"{2:032x}", "--json", "--store", str(path)).stdout)
    assert document["sent"] == [
        {
            "a_step": 1,
            "b_step": 1,
            "words_max": None,
            "a": {"words": 0, "stretches": []},
            "b": {"words": 4, "stretches": ["Read all tickets first."]},
        }
    ]


def test_two_runs_are_compared(store):
    """`traces diff` shows in words where two runs part; `--json` is one document."""
    shops = json.loads(analyzer("traces", "list", "--agent", "shop", "--order", "steps", "--json", *store).stdout)
    first, second = [trace["trace_id"] for trace in shops["traces"]]
    shown = analyzer("traces", "diff", first[:12], second[:12], *store)
    assert shown.code == 0, shown.stderr
    assert "They part at the first step:" in shown.stdout
    assert "cancel" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "\u202e" not in shown.stdout
    document = json.loads(analyzer("traces", "diff", first, second, "--json", *store).stdout)
    assert (document["schema"], document["a"], document["b"]) == ("analyzer.trace-diff/1", first, second)


def test_a_span_is_named_by_a_beginning_of_its_id(tmp_path):
    """`TRACE/SPAN` takes beginnings of both; one that begins several spans, or none, is said to."""
    path = tmp_path / "s.db"
    with SqliteTrajectories(path) as opened:
        spans = [chat(1, 2), tool(1, 3), tool(1, 4)]
        ids = ["abc1000000000000", "abc2000000000000", "def0000000000000"]
        opened.add([root(1), *(replace(span, span_id=one) for span, one in zip(spans, ids, strict=True))])
        trace_id = opened.summaries()[0].trace_id
    store = ("--store", str(path))
    for prefix in ("def", "DEF0", "def0000000000000"):
        shown = json.loads(analyzer("traces", "show", f"latest/{prefix}", "--json", *store).stdout)
        assert (shown["trace_id"], shown["span_id"]) == (trace_id, "def0000000000000")
    several = analyzer("traces", "show", "latest/abc", *store)
    assert several.code == 2
    assert f"abc is the beginning of several spans of trajectory {trace_id} (abc1000000000000, abc" in several.stderr
    assert f"trajectory {trace_id} has no span 123" in analyzer("traces", "show", "latest/123", *store).stderr
    assert "has no span (empty)" in analyzer("traces", "show", "latest/", *store).stderr


def test_a_text_is_found_with_its_place(store):
    """`traces search` names trace, span and field of each hit, and says when there is none."""
    document = json.loads(analyzer("traces", "search", "1 FAILED", "--json", *store).stdout)
    assert document["schema"] == "analyzer.trace-search/1"
    assert "status_message" in {hit["field"] for hit in document["hits"]}
    shown = analyzer("traces", "search", "gone", "--agent", "shop", *store)
    assert document["hits"][0]["trace_id"] not in shown.stdout
    assert "gone" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "\u202e" not in shown.stdout
    limited = json.loads(analyzer("traces", "search", "order", "--limit", "1", "--json", *store).stdout)
    assert len(limited["hits"]) == 1
    assert analyzer("traces", "search", "no such words", *store).stdout.startswith("no hits")
    assert analyzer("traces", "search", " ", *store).code == 2


def test_what_tools_cost_is_shown(tmp_path):
    """A cost by rule stands beside the models' in `show`, in every document, and per agent and tool in `tools`."""
    path = tmp_path / "s.db"
    with SqliteTrajectories(path) as opened:
        opened.add([root(1), chat(1, 2), tool(1, 3, tool="trino", cost_usd=0.25), tool(1, 4, at_s=3, tool="trino")])
    options = ("--store", str(path))
    assert "\ntools cost $0.25 more: trino $0.25 (2 calls)\n" in analyzer("traces", "show", "latest", *options).stdout
    shown = json.loads(analyzer("traces", "show", "latest", "--json", *options).stdout)
    listed = json.loads(analyzer("traces", "list", "--json", *options).stdout)["traces"][0]
    trino = {"tool": "trino", "calls": 2, "seconds": 1.0, "cost_usd": 0.25}
    assert (shown["tools"], shown["tool_cost_usd"], listed["tool_cost_usd"]) == ([trino], 0.25, 0.25)
    at = ("--at", "2026-11-17T00:00:00Z")
    summed = json.loads(analyzer("traces", "tools", *at, "--json", *options).stdout)
    assert summed == {"schema": "analyzer.tools/1", "tools": [{"agent": "shop", **trino}]}
    assert "trino" in analyzer("traces", "tools", *at, *options).stdout
    assert "no tool calls" in analyzer("traces", "tools", "--agent", "other", *at, *options).stdout
