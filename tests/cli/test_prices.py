"""What has no price is said: `analyzer doctor` lists models and tools whose cost is not counted."""

from __future__ import annotations

import json

from support.cli import analyzer
from support.otlp_requests import request, span

LATER = "2026-11-23T00:00:00Z"
"""Soon after the runs of `prices`."""


def prices(tmp_path, rule: str, model: str = "gpt-4o") -> str:
    """Ingest one run with a priced model and two calls of Trino; return what doctor says of prices."""
    parent = f"{1:016x}"
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "trino_query"}
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model, "gen_ai.usage.input_tokens": 9}
    spans = [
        span(1, attributes={"gen_ai.operation.name": "invoke_agent"}),
        span(2, attributes=chat, parentSpanId=parent),
        span(3, attributes=tool | {"trino.bytes": 7}, parentSpanId=parent),
        span(4, attributes=tool, parentSpanId=parent),
    ]
    (tmp_path / "run.json").write_text(json.dumps(request(*spans)))
    (tmp_path / "analyzer.toml").write_text(rule)
    env = {"ANALYZER_CONFIG": str(tmp_path / "analyzer.toml")}
    store = ("--store", str(tmp_path / "s.db"))
    assert analyzer("ingest", str(tmp_path / "run.json"), *store, env=env).code == 0
    found = json.loads(analyzer("doctor", "--json", *store, env=env).stdout)
    return next(check["detail"] for check in found["checks"] if check["name"] == "prices")


def test_a_tool_whose_rule_cannot_be_followed_is_listed(tmp_path):
    """A rule that asks for an attribute which one of two calls lacks: that call is named, and not 0."""
    rule = '[tool_costs."trino_*"]\nusd_per_unit = 5.0\nunit_attribute = "trino.bytes"\n'
    assert prices(tmp_path, rule) == (
        "the rule of trino_query (1 calls) could not be followed, or is newer: their cost is not counted"
    )


def test_the_report_lists_tools_whose_rule_cannot_be_followed(tmp_path):
    """What `doctor` says of tools, a run says as a gap: whoever reads only reports learns that costs are missing."""
    prices(tmp_path, '[tool_costs."trino_*"]\nusd_per_unit = 5.0\nunit_attribute = "trino.bytes"\n')
    options = ("--store", str(tmp_path / "s.db"), "--reports", str(tmp_path / "reports"), "--llm", "off")
    env = {"ANALYZER_CONFIG": str(tmp_path / "analyzer.toml")}
    ended = analyzer("run", "--at", LATER, "--json", *options, env=env)
    [gap] = [gap for gap in json.loads(ended.stdout)["gaps"] if gap["what"] == "cost of tools"]
    assert gap["why"] == "the rule of trino_query (1 calls) could not be followed, or is newer than the calls"
    assert ended.code == 3
    (tmp_path / "analyzer.toml").write_text("")
    silent = analyzer("run", "--at", LATER, "--json", *options, env=env)
    assert [gap["what"] for gap in json.loads(silent.stdout)["gaps"]] == []


def test_models_and_tools_are_listed_together(tmp_path):
    """A model without a price does not hide the tool whose cost is not known either."""
    said = prices(tmp_path, '[tool_costs."trino_*"]\nusd_per_unit = 5.0\nunit_attribute = "x"\n', model="mystery-1")
    assert "no price known for mystery-1 (1 calls)" in said
    assert "the rule of trino_query (2 calls)" in said


def test_looking_makes_nothing(tmp_path):
    """`doctor` before the first ingest says that there is no store yet, makes none, and is content."""
    for llm, budget in (("off", "off"), ("auto", "ok")):
        ended = analyzer("doctor", "--json", "--store", str(tmp_path / "x" / "s.db"), env={"ANALYZER_LLM": llm})
        states = {check["name"]: check["state"] for check in json.loads(ended.stdout)["checks"]}
        assert (ended.code, states["store"], states["prices"], states["reports"]) == (0, "off", "off", "ok")
        assert (states["audit"], states["budget"]) == ("off", budget)
        assert list(tmp_path.iterdir()) == []


def test_a_tool_without_a_rule_is_no_gap(tmp_path):
    """Where nobody said what a tool costs, nothing is missing."""
    assert prices(tmp_path, "") == "every model seen has a price"
