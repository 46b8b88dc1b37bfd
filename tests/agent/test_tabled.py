"""Rows of computed tables as facts: what a claim may cite, and what it may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent.cases import claim, quote
from agent.test_tools import box_over, case_of, incident_of
from hypothesis import given
from hypothesis import strategies as st
from support.filed import DEAR, NOW, ONSET, VERSION

from analyzer.agent.investigate import Investigation, Means, investigate
from analyzer.agent.model import ModelReply, ModelRequest, Stop, ToolCall, ToolReturn
from analyzer.agent.scripted import ScriptedModel
from analyzer.agent.tabled import tabled
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.diagnosis import Ending
from analyzer.types.report import Kind, MetricEvidence
from analyzer.types.table import Column, Line, Table, Unit

BY_VERSION = ToolCall("a", "account", {"measure": "cost", "by": "version", "agent": "", "since": ""})


@pytest.fixture
def opened(filed_store: Path) -> Iterator[SqliteTrajectories]:
    """Give the filed store."""
    with SqliteTrajectories(filed_store) as store:
        yield store


def returned(request: ModelRequest) -> str:
    """Return what the tools answered last."""
    return "\n".join(block.text for block in request.messages[-1].blocks if isinstance(block, ToolReturn))


def row(request: ModelRequest, name: str) -> str:
    """Return one row of a table, as the model reads it."""
    [found] = re.findall(rf"^{re.escape(name)}: (.*)$", returned(request), re.MULTILINE)
    return str(found)


def diagnosis(*claims: dict[str, Any]) -> ModelReply:
    """Return a reply that hands in these claims."""
    payload = {
        "summary": "Version 2.0.0 costs more.",
        "cause": "The version is what differs.",
        "category": "version_change",
        "refutation": "Runs of the old version would cost as much.",
        "claims": list(claims),
        "responsible": None,
        "actions": [],
        "check": "",
    }
    return ModelReply(tool_calls=(ToolCall("s", "submit_diagnosis", payload),), stop=Stop.TOOLS)


def explained(store: SqliteTrajectories, *lines: Any) -> tuple[Investigation, ScriptedModel]:
    """Have the rise of cost explained by a script."""
    model = ScriptedModel(lines)
    incident = incident_of(store, Kind.COST)
    memory = SqliteIncidents(store.connection)
    means = Means(model, store, mask=store.masker.text, past=memory.incidents)
    return investigate(incident, case_of(store, incident), means), model


def asks(*calls: ToolCall) -> ModelReply:
    """Return a reply that asks for tools."""
    return ModelReply(tool_calls=calls, stop=Stop.TOOLS)


def test_a_claim_that_cites_a_row_stands_and_files_it_as_evidence(opened: SqliteTrajectories):
    """The number of the row is proven by it, and the report gets what was computed, with its value."""

    def honest(request: ModelRequest) -> ModelReply:
        since = re.search(r"since ([\d.]+) USD", row(request, "T1.2"))
        assert since
        text = f"Runs of version {VERSION} cost {since.group(1)} USD each and make 100 % of the change."
        return diagnosis(claim(text, {"kind": "fact", "id": "T1.2"}, decisive=True))

    found, _ = explained(opened, asks(BY_VERSION), honest)
    assert (found.diagnosis.ending, found.diagnosis.struck_out) == (Ending.ANSWERED, 0)
    [one] = found.diagnosis.claims
    [evidence] = [entry for entry in found.evidence if entry.id in one.evidence]
    assert isinstance(evidence, MetricEvidence)
    assert f'version="{VERSION}"' in evidence.promql
    assert (evidence.source, evidence.start, evidence.end) == ("store", ONSET, NOW)
    assert evidence.value > 0.015


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("Runs of version 2.0.0 cost 0.91 USD each.", "T1.2"),
        ("Runs of version 2.0.0 make 73 % of the change.", "T1.2"),
        ("Version 2.0.0 costs more.", "T1.99"),
        ("Version 2.0.0 costs more.", "T7.1"),
    ],
)
def test_a_wrong_number_or_a_row_that_was_never_shown_is_struck_out(opened: SqliteTrajectories, text: str, cited: str):
    """A row proves its own numbers and no others, and only rows that were shown are facts."""
    lie = diagnosis(claim(text, {"kind": "fact", "id": cited}))
    found, _ = explained(opened, asks(BY_VERSION), lie, lie)
    assert found.diagnosis.claims == () or all(text != one.text for one in found.diagnosis.claims)
    assert found.struck


def test_every_tool_answers_a_model_in_one_turn(opened: SqliteTrajectories):
    """Eight calls at once are answered in their order, and a quote from a peer that a tool named stands."""
    worst = incident_of(opened, Kind.COST).trace_ids[0]
    day = {"start": "", "end": ""}
    calls = (
        ToolCall("1", "case_facts", {}),
        ToolCall("2", "peers", {"trace_id": worst}),
        ToolCall("3", "series", {"signal": "cost", "agent": "", "tool": "", "hours": 6, **day}),
        BY_VERSION,
        ToolCall("5", "totals", {"by": "tool", "order": "calls", "agent": "", "only": "", "page": 1, **day}),
        ToolCall("6", "changes", {"agent": "", "measure": "cost", **day}),
        ToolCall("7", "similar", {"category": "any"}),
        ToolCall("8", "search", {"text": "customer"}),
    )
    peer: list[str] = []

    def opens(request: ModelRequest) -> ModelReply:
        assert [block.call_id for block in request.messages[-1].blocks] == [*"123", "a", *"5678"]
        assert not any(getattr(block, "is_error", False) for block in request.messages[-1].blocks)
        peer.append(re.findall(r"trajectory ([0-9a-f]{32})", row(request, "T2.1"))[0])
        return asks(ToolCall("9", "span", {"trace_id": peer[0], "span": "1", "field": "output", "page": 1}))

    def quotes(request: ModelRequest) -> ModelReply:
        told = re.search(r'trace="(\w+)" id="(\w+)" field="output"[^\n]*>\n(.{12,60})', returned(request))
        assert told
        said = quote(told.group(3), trace_id=told.group(1), span_id=told.group(2), field="output")
        return diagnosis(claim("A healthy run answers at once.", said))

    found, _ = explained(opened, asks(*calls), opens, quotes)
    assert found.struck == ()
    assert [one.text for one in found.diagnosis.claims] == ["A healthy run answers at once."]


CELLS = st.one_of(st.none(), st.text(max_size=400), st.floats(allow_nan=False, allow_infinity=False))


@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=60), room=st.integers(400, 4000))
def test_a_table_keeps_its_bound_and_shows_every_fact_it_counts(rows: list[tuple[Any, Any]], room: int):
    """Whatever the cells: the text fits, each fact's row stands in it, and what was cut is said."""
    columns = (Column("name"), Column("value", Unit.USD))
    table = Table("Anything", columns, tuple(Line(cells, "q") for cells in rows), ONSET, NOW)
    shown = tabled(table, 3, lambda text: text, room)
    assert len(shown.text) <= room
    assert all(f"\n{fact.id}: {fact.text}" in shown.text for fact in shown.facts)
    assert len(shown.table.lines) == len(shown.facts)
    if len(shown.facts) < len(rows):
        assert f"{len(rows) - len(shown.facts)} more rows" in shown.text


def test_facts_of_tools_are_only_those_that_were_shown(opened: SqliteTrajectories):
    """A refused call leaves no facts behind."""
    box = box_over(opened, case_of(opened, incident_of(opened, Kind.COST)))
    box.run([ToolCall("t", "account", {"measure": "cost", "by": "shoe size", "agent": DEAR, "since": ""})])
    assert box.facts == ()


def test_a_row_proves_numbers_only_of_what_cites_it(opened: SqliteTrajectories):
    """A table holds hundreds of numbers: one that stands in another row than the cited one is not borne out."""
    told: list[str] = []

    def borrows(request: ModelRequest) -> ModelReply:
        if not told:
            told.extend(re.findall(r"cost per run ([\d.]+) USD", row(request, "T1.6")))
        return diagnosis(claim(f"Runs of {VERSION} cost {told[0]} USD each.", {"kind": "fact", "id": "T1.24"}))

    hourly = ToolCall("a", "series", {"signal": "cost", "agent": "", "tool": "", "start": "", "end": "", "hours": 6})
    found, _ = explained(opened, asks(hourly), borrows, borrows)
    assert any("not borne out" in reason for reason in found.struck)


def test_the_time_of_a_row_may_be_named(opened: SqliteTrajectories):
    """A stretch of a series has its own time, and a claim that cites it may say when."""

    def dated(request: ModelRequest) -> ModelReply:
        cost = re.search(r"cost per run ([\d.]+) USD", row(request, "T1.24"))
        assert cost
        text = f"From 2026-11-20 06:00 UTC on a run costs {cost.group(1)} USD."
        return diagnosis(claim(text, {"kind": "fact", "id": "T1.24"}))

    hourly = ToolCall("a", "series", {"signal": "cost", "agent": "", "tool": "", "start": "", "end": "", "hours": 6})
    found, _ = explained(opened, asks(hourly), dated)
    assert found.struck == ()
    assert "06:00" in found.diagnosis.claims[0].text


INVENTED = "version 9.9.9"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (
            "totals",
            {"by": "day", "order": "cost", "agent": "", "only": "version=9.9.9", "start": "", "end": "", "page": 1},
        ),
        ("search", {"text": INVENTED}),
        ("outline", {"trace_id": INVENTED, "page": 1}),
        ("series", {"signal": "cost", "agent": "", "tool": INVENTED, "start": "", "end": "", "hours": 6}),
    ],
)
def test_what_the_model_asked_for_does_not_count_as_shown(
    opened: SqliteTrajectories, tool: str, arguments: dict[str, Any]
):
    """A name that only stands in the model's own arguments is no name that was shown to it."""
    box = box_over(opened, case_of(opened, incident_of(opened, Kind.COST)))
    box.run([ToolCall("t", tool, arguments)])
    assert not box.desk.shown.names("9.9.9")
    assert not box.desk.shown.contains(INVENTED)
