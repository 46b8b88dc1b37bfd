"""The driver over labelled logs, end to end against a loopback server that speaks the Messages API."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from localize import main
from support.messages_api import MessagesApi, Wire, calls, fails, messages_api

MODEL = "claude-sonnet-5-5"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Give four labelled talks; the mistake is whose words hold `wrong`, once the worker's and thrice the boss's."""
    folder = tmp_path / "talks"
    folder.mkdir()
    for number, wrong in enumerate((2, 1, 1, 3)):
        said = [("human", "How many?"), ("Boss", "Count them."), ("Worker", "I count."), ("Boss", "So it is.")]
        history = [
            {"role": role, "content": f"{words} {number} {'wrong' if index == wrong else 'right'}"}
            for index, (role, words) in enumerate(said)
        ]
        log = {"history": history, "mistake_agent": said[wrong][0], "mistake_step": str(wrong), "is_correct": False}
        (folder / f"{number}.json").write_text(json.dumps(log))
    return tmp_path


def reader(body: dict[str, Any]) -> Wire:
    """Name the step whose words hold `wrong`, as a model would that reads its case file."""
    case = body["messages"][0]["content"][0]["text"]
    trace_id = re.search(r'<trajectory:\w+ id="(\w+)"', case)[1]
    tag = r'id="(\w+)" field="output" note="step (\d+)[^>]*>'
    span_id, step, words = re.search(rf"{tag}\n([^\n]*wrong)\n", case).groups()
    quote = {"kind": "quote", "trace_id": trace_id, "span_id": span_id, "field": "output", "quote": words}
    answer = {
        "summary": "The words are wrong.",
        "claims": [{"text": "These words are wrong.", "decisive": True, "evidence": [quote]}],
        "responsible": {"trace_id": trace_id, "span_id": span_id, "step": int(step)},
    }
    return calls(("submit_answer", answer), usage={"input_tokens": 1_000, "output_tokens": 100})


def localized(data: Path, api: MessagesApi, *more: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Run the driver; return its exit code and what it printed."""
    given = [str(data), "--model", MODEL, "--base-url", api.url, "--out", str(data / "out.jsonl"), *more]
    code = main(given)
    return code, capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a key: the SDK wants one before it asks the loopback server."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not-a-key")


def test_who_reads_the_case_file_is_right_everywhere(data: Path, capsys: pytest.CaptureFixture[str]):
    """A model that names the labelled step has 100 %, beside rows that read nothing; what it took is added up."""
    with messages_api([reader]) as api:
        code, lines = localized(data, api, "--parallel", "3", capsys=capsys)
    assert code == 0
    assert f"| all | {MODEL} | 4 | 100.0% | 100.0% | 100.0% | 100.0% |" in lines
    assert "| talks | always the second message | 4 | 75.0% | 50.0% | 75.0% | 100.0% |" in lines
    assert "| all | always the first message | 4 | 0.0% | 0.0% | 50.0% | 100.0% |" in lines
    assert any(line.startswith("asked about 4 of 4 runs: 0.0120 USD, 0.0030 each; 1,100 tokens each") for line in lines)
    assert lines[-1] == "endings: answered 4"
    assert not any("mistake_" in json.dumps(body) for body in api.requests)


def test_a_run_that_was_stopped_goes_on(data: Path, capsys: pytest.CaptureFixture[str]):
    """Finished runs are not asked about again, not even after a line that was cut while it was written."""
    with messages_api([reader]) as api:
        localized(data, api, "--limit", "2", capsys=capsys)
        assert len(api.requests) == 2
        with (data / "out.jsonl").open("a") as file:
            file.write('{"case": "talks/2", "key": "cl')
        code, lines = localized(data, api, capsys=capsys)
        assert (code, len(api.requests)) == (0, 4)
        localized(data, api, capsys=capsys)
        assert len(api.requests) == 4
        localized(data, api, "--case-tokens", "4000", capsys=capsys)
        assert len(api.requests) == 8
    assert lines[-1] == "endings: answered 4"


def test_what_the_api_could_not_answer_is_counted_and_asked_again(data: Path, capsys: pytest.CaptureFixture[str]):
    """A run without an answer counts as wrong under its ending's name, until it has one."""
    with messages_api([fails(401), reader]) as api:
        _, lines = localized(data, api, "--parallel", "1", capsys=capsys)
        assert lines[-1] == "endings: answered 3, unavailable 1"
        assert f"| all | {MODEL} | 4 | 75.0% | 75.0% | 75.0% | 75.0% |" in lines
        _, lines = localized(data, api, capsys=capsys)
    assert lines[-1] == "endings: answered 4"


@pytest.mark.parametrize("limit", [("--usd-max", "0.502"), ("--tokens-max", "151000")])
def test_no_run_begins_that_the_budget_might_not_bear(data: Path, limit: tuple[str, str], capsys: Any):
    """A run is begun only where its worst case is left; what is not asked is no wrong answer, and the exit says so."""
    with messages_api([reader]) as api:
        code, lines = localized(data, api, "--parallel", "4", *limit, capsys=capsys)
    assert (code, len(api.requests)) == (3, 1)
    assert f"| all | {MODEL} | 1 | 100.0% | 100.0% | 100.0% | 100.0% |" in lines
    assert lines[-1].startswith("the budget ended before the runs did")
