"""The read-only tools: inside the case, by page, bounded, and answering mistakes in words."""

from __future__ import annotations

from typing import Any

import pytest
from agent.cases import (
    AGENT,
    FOREIGN,
    HEALTHY,
    NOW,
    ONSET,
    QUERY,
    SECOND,
    WORST,
    HeldStore,
    OneValue,
    chat,
    looping,
    span_id,
    the_case,
    tool,
    trajectory,
    well,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.agent.model import ToolCall
from analyzer.agent.toolbox import ANSWER_CHARS_MAX, Toolbox
from analyzer.errors import MetricsError, MetricsQueryError
from analyzer.types.watch import Unwatched

STORE = HeldStore(looping(), looping(SECOND, 12), well(), well(FOREIGN))


def toolbox(**options: Any) -> Toolbox:
    """Return the tools over the case."""
    case = options.pop("case", None) or the_case()
    given_ = {"store": STORE, "metrics": OneValue(), "mask": str, "watch": Unwatched(), "parallel": 4} | options
    return Toolbox(case, case.shown.copy(), **given_)


def ask(name: str, box: Toolbox | None = None, **arguments: Any) -> tuple[str, bool]:
    """Return the answer of one call and whether it is an error."""
    answer = (box or toolbox()).run([ToolCall("t", name, arguments)])[0]
    return answer.text, answer.is_error


def test_facts_come_with_their_ids():
    """The facts carry the ids that claims may cite."""
    text, failed = ask("case_facts")
    assert not failed
    assert text.startswith("F1: ")
    assert "[rests on E1]" in text


def test_a_span_is_named_by_step_or_id():
    """Step numbers and span ids name the same span, and its text can be quoted afterwards."""
    box = toolbox()
    by_step = ask("span", box, trace_id=WORST, span="9", field="output", page=1)
    by_id = ask("span", box, trace_id=WORST[:8], span=span_id(9), field="output", page=1)
    assert by_step == by_id
    assert box.desk.shown.holds(WORST, span_id(9), "output", "order 81723 not found")


def test_long_fields_come_by_page():
    """Pages together are the whole field."""
    long = trajectory([tool(1, "{}", "".join(f"line {n}\n" for n in range(3000)))])
    box = toolbox(case=the_case(trajectories=(long,)), store=HeldStore(long, well()))
    first, _ = ask("span", box, trace_id=WORST, span="1", field="output", page=1)
    assert "page 1 of 5" in first
    assert "line 2999" in ask("span", box, trace_id=WORST, span="1", field="output", page=5)[0]
    text, failed = ask("span", box, trace_id=WORST, span="1", field="output", page=6)
    assert failed
    assert "has 5" in text


def test_outlines_come_by_page():
    """A long outline has pages; one that does not exist is refused in words."""
    long = trajectory([tool(n, f"{{{n}}}", f"out {n}") for n in range(1, 200)])
    box = toolbox(case=the_case(trajectories=(long,)), store=HeldStore(long, well()))
    assert "page 2 of 4" in ask("outline", box, trace_id=WORST, page=2)[0]
    assert ask("outline", box, trace_id=WORST, page=9)[1]


def test_search_finds_what_can_be_quoted():
    """Hits stand between markers and count as shown."""
    box = toolbox()
    text, failed = ask("search", box, text="pool exhausted")
    assert not failed
    assert 'field="status_message"' in text
    assert box.desk.shown.holds(WORST, span_id(27), "status_message", "connection pool exhausted")
    assert "nothing in the trajectories" in ask("search", text="zebra crossing")[0]


def test_search_shows_the_same_words_once():
    """A history is sent again at every step: an excerpt stands once, and can be quoted from each place it is in."""
    long = trajectory([chat(n, "I go on.", heard="the order 81723 is lost") for n in range(1, 9)])
    box = toolbox(case=the_case(trajectories=(long,)), store=HeldStore(long, well()))
    text, _ = ask("search", box, text="is lost")
    assert text.count("the order 81723 is lost") == 1
    assert text.count("the same in input of span") == 3
    assert text.endswith("the same in 4 more")
    assert all(box.desk.shown.holds(WORST, span_id(n), "input", "the order 81723 is lost") for n in range(1, 9))


def test_compare_shows_where_two_runs_part():
    """The alignment names the common beginning and what only one side did."""
    text, _ = ask("compare", trace_a=WORST, trace_b=HEALTHY)
    assert "= A 1-2 and B 1-2" in text
    assert "- only A: step 3" in text


MISTAKES = [
    ("outline", {}),
    ("outline", {"trace_id": FOREIGN, "page": 1}),
    ("outline", {"trace_id": "", "page": 1}),
    ("outline", {"trace_id": WORST, "page": 0}),
    ("outline", {"trace_id": WORST, "page": True}),
    ("outline", {"trace_id": WORST, "page": "one"}),
    ("span", {"trace_id": WORST, "span": "999", "field": "output", "page": 1}),
    ("span", {"trace_id": WORST, "span": "0" * 16, "field": "output", "page": 1}),
    ("span", {"trace_id": WORST, "span": "2", "field": "attributes", "page": 1}),
    ("span", {"trace_id": WORST, "span": "2", "field": "system", "page": 1}),
    ("search", {"text": "ab"}),
    ("search", {"text": "x" * 201}),
    ("search", {"text": None}),
    ("compare", {"trace_a": WORST, "trace_b": "zz"}),
    ("metric", {"promql": "up", "start": ONSET.isoformat(), "end": NOW.isoformat(), "step": 0}),
    ("metric", {"promql": QUERY, "start": "x", "end": "y", "step": 0}),
    ("metric", {"promql": QUERY, "start": NOW.isoformat(), "end": ONSET.isoformat(), "step": 0}),
    ("metric", {"promql": QUERY, "start": ONSET.isoformat(), "end": NOW.isoformat(), "step": float("nan")}),
    ("shell", {"command": "rm -rf /"}),
]


@pytest.mark.parametrize(("name", "arguments"), MISTAKES)
def test_mistakes_are_answered_in_words(name: str, arguments: dict[str, Any]):
    """A wrong call is an error that says what to do, never an exception."""
    text, failed = ask(name, **arguments)
    assert failed
    assert len(text) > 15


NAMES = ("trace_id", "page", "span", "field", "text", "trace_a", "trace_b", "promql", "start", "end", "step")
LISTS = st.lists(st.none())


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["outline", "span", "search", "compare", "metric", "case_facts", "?"]),
    arguments=st.dictionaries(
        st.sampled_from(
            ["trace_id", "page", "span", "field", "text", "trace_a", "trace_b", "promql", "start", "end", "step"]
        ),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(max_size=40),
            st.just(WORST),
            st.lists(st.none()),
        ),
    ),
)
def test_any_arguments_are_answered(name: str, arguments: dict[str, Any]):
    """Whatever the arguments, there is one bounded answer."""
    text, _ = ask(name, **arguments)
    assert 0 < len(text) <= ANSWER_CHARS_MAX


@pytest.mark.parametrize(
    "error", [MetricsError("dead"), MetricsQueryError("parse error at char 3"), RuntimeError("bug")]
)
def test_a_failing_metric_store_is_answered(error: Exception):
    """A dead or refusing Prometheus is an answer the model can act on."""

    class Broken(OneValue):
        def query(self, promql: str, at: Any) -> Any:
            raise error

    box = toolbox(metrics=Broken())
    text, failed = ask("metric", box, promql=QUERY, start=ONSET.isoformat(), end=NOW.isoformat(), step=0)
    assert failed
    assert "char 3" in text or "not available" in text or "RuntimeError" in text


def test_no_metric_tool_without_a_metric_store():
    """What cannot be asked is not offered."""
    assert "metric" in [spec.name for spec in toolbox().specs]
    assert "metric" not in [spec.name for spec in toolbox(metrics=None).specs]
    assert ask("metric", toolbox(metrics=None), promql=QUERY)[1]


def test_identical_calls_are_answered_from_memory():
    """The same question is asked of the metric store once."""
    source = OneValue()
    box = toolbox(metrics=source)
    arguments = {"promql": QUERY, "start": ONSET.isoformat(), "end": NOW.isoformat(), "step": 0}
    assert ask("metric", box, **arguments) == ask("metric", box, **dict(reversed(arguments.items())))
    assert len(source.asked) == 1
    assert AGENT in ask("metric", box, **arguments)[0]


def test_schemas_are_strict():
    """Every tool's arguments are closed objects with all properties required, as strict tool use demands."""
    for spec in toolbox().specs:
        assert spec.schema["additionalProperties"] is False
        assert sorted(spec.schema["required"]) == sorted(spec.schema["properties"])
