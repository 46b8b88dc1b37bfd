"""A span that the Collector laid into ClickHouse is the span that OTLP brings, but for what text loses."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clickhouse import rows_of
from support.otlp_requests import START, request, span

from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.wire_clickhouse import span_of
from analyzer.stores.clickhouse import Row
from analyzer.types.trace import Event, Outcome, Span

WORDS = st.text('ab<é"{[0', max_size=6)
COUNTS = st.integers(0, 10**9)
SHARES = st.floats(0, 100, allow_nan=False)
MESSAGES = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": WORDS}), max_size=3)
ATTRIBUTES: dict[str, st.SearchStrategy[Any]] = {
    "gen_ai.operation.name": st.sampled_from(["chat", "invoke_agent", "execute_tool", "embeddings", "other"]),
    "gen_ai.agent.name": WORDS,
    "gen_ai.tool.name": WORDS | st.integers(0, 9),
    "gen_ai.request.model": WORDS,
    "gen_ai.request.temperature": SHARES,
    "gen_ai.request.max_tokens": COUNTS,
    "gen_ai.response.finish_reasons": st.lists(st.sampled_from(["stop", "length", "tool_calls", "odd"]), max_size=2),
    "gen_ai.usage.input_tokens": COUNTS,
    "gen_ai.usage.output_tokens": COUNTS | SHARES,
    "gen_ai.usage.cache_read.input_tokens": COUNTS,
    "gen_ai.input.messages": MESSAGES.map(lambda value: orjson.dumps(value).decode()) | WORDS,
    "gen_ai.output.messages": MESSAGES,
    "gen_ai.tool.call.arguments": st.dictionaries(WORDS, COUNTS | WORDS | st.booleans(), max_size=2),
    "gen_ai.tool.call.result": WORDS | COUNTS | st.booleans(),
    "gen_ai.evaluation.score.value": st.sampled_from([0, 1, 0.5, 1.0]),
    "gen_ai.evaluation.score.label": st.sampled_from(["pass", "fail", "odd"]) | st.booleans(),
    "http.response.status_code": st.sampled_from([200, 429, 503]),
    "error.type": WORDS,
    "llm.token_count.prompt": COUNTS,
    "llm.request_cost": SHARES,
    "openinference.span.kind": st.sampled_from(["LLM", "TOOL", "AGENT"]),
    "input.value": WORDS | MESSAGES.map(lambda value: orjson.dumps(value).decode()),
    "success": st.booleans(),
    "span.type": st.sampled_from(["llm_request", "tool"]),
    "session.id": WORDS,
    "http.request.resend_count": st.integers(0, 3),
}
SPANS = st.builds(
    lambda attributes, times, kind, status, events: span(
        1,
        attributes=attributes,
        startTimeUnixNano=str(START),
        endTimeUnixNano=str(START + times),
        kind=kind,
        status={"code": status, "message": "it broke"} if status else {},
        events=events,
    ),
    st.fixed_dictionaries({}, optional=ATTRIBUTES),
    st.integers(-(10**9), 10**12),
    st.integers(0, 5),
    st.integers(0, 2),
    st.lists(
        st.tuples(
            st.sampled_from(["exception", "gen_ai.user.message", "gen_ai.evaluation.result"]),
            st.fixed_dictionaries(
                {},
                optional={
                    "exception.type": WORDS,
                    "content": WORDS,
                    "gen_ai.evaluation.score.value": st.sampled_from([0, 1, 0.5]),
                },
            ),
        ),
        max_size=2,
    ),
)
SHOWN_BESIDE = ("attributes", "resource", "events")
TEXTS = ("input", "output", "system", "tool_definitions")


def row_of(given: dict[str, Any]) -> Row:
    """Return the one row of a request as a query gives it."""
    [row] = rows_of(given)
    (start, trace_id, span_id, parent, _state, name, kind, _service, resource, scope, version, attributes, *rest) = row
    duration, status, message, times, names, events, *_links = rest
    return Row(
        *(trace_id, span_id, parent, name, kind, start, duration, status, message, scope, version),
        *(attributes, resource, times, names, events),
    )


def _meaning(text: str | None) -> Any:
    """Return what a text says, however JSON in it is spelt."""
    try:
        return orjson.loads(text or "null")
    except orjson.JSONDecodeError:
        return text


def _differs(one: Span, other: Span) -> dict[str, tuple[Any, Any]]:
    found = {}
    for entry in fields(Span):
        mine, its = getattr(one, entry.name), getattr(other, entry.name)
        if entry.name in TEXTS:
            mine, its = _meaning(mine), _meaning(its)
        if mine != its and entry.name not in SHOWN_BESIDE:
            found[entry.name] = (mine, its)
    return found


@given(SPANS)
def test_a_span_is_the_same_by_either_way(made: dict[str, Any]):
    """Names, numbers, texts, errors and outcome agree; attributes beside them are texts."""
    sent = request(made, scope="made")
    [direct] = spans_from_json(sent).spans
    collected = span_of(row_of(sent))
    assert _differs(collected, direct) == {}
    assert collected.attributes.keys() == direct.attributes.keys()
    assert all(isinstance(value, str | float) for value in collected.attributes.values())


def test_a_message_in_an_event_is_read_as_the_object_it_was():
    """A message that an event carries as an object comes as JSON, and is the message again."""
    events = [("gen_ai.user.message", {"message": {"role": "user", "content": "hello"}})]
    sent = request(span(attributes={"gen_ai.operation.name": "chat"}, events=events))
    assert _meaning(spans_from_json(sent).spans[0].input) == [{"role": "user", "content": "hello"}]
    assert _meaning(span_of(row_of(sent)).input) == [{"role": "user", "content": "hello"}]


def test_a_score_in_text_is_an_outcome():
    """A score of 1 came as the text "1", and is a success all the same."""
    events = [("gen_ai.evaluation.result", {"gen_ai.evaluation.score.value": 1.0})]
    assert span_of(row_of(request(span(events=events)))).outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    ("start", "end", "times"),
    [
        (START, START - 5, (START, START)),
        (START, 0, (START, None)),
        (0, START, (None, START)),
    ],
)
def test_a_length_below_zero_is_told_from_a_long_one(start: int, end: int, times: tuple[int | None, int | None]):
    """The column has no sign: a span that ends before it starts has no length, and one without an end has no end."""
    found = span_of(row_of(request(span(startTimeUnixNano=str(start), endTimeUnixNano=str(end)))))
    assert (found.start_ns, found.end_ns) == times


def test_older_exporters_spell_kinds_and_states_in_full():
    """`STATUS_CODE_ERROR` is an error, and an event keeps its time and its name."""
    row = row_of(request(span(events=[("note", {"a": "b"})])))
    found = span_of(row._replace(status_code="STATUS_CODE_ERROR", kind="SPAN_KIND_CLIENT", status_message="no"))
    assert (found.status.value, found.status_message) == ("error", "no")
    assert found.events == (Event("note", START, {"a": "b"}),)


def test_a_row_without_an_id_is_refused():
    """A row with an id that is none says which, as a span on the wire does."""
    with pytest.raises(ValueError, match="TraceId is missing"):
        span_of(row_of(request(span()))._replace(trace_id=""))
