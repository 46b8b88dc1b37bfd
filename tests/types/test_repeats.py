"""One call that several layers report is counted once, and two calls are two."""

from __future__ import annotations

from random import Random

from hypothesis import example, given
from hypothesis import strategies as st
from support.spans import chat, root, tool

from analyzer.types.repeats import completed, repeats_of
from analyzer.types.trace import Operation, Span, Status, Tokens
from analyzer.types.trajectory import ordered, steps_of, summarise

NO_USAGE = {"tokens": None, "cost_usd": None}


def sid(number: int) -> str:
    """Return a span id."""
    return f"{number:016x}"


def counted(spans: list[Span]) -> list[str]:
    """Return the ids of the steps."""
    return [step.span_id for step in steps_of(spans)]


def plumbing(number: int, parent: int, **changes) -> Span:
    """Return a span of transport."""
    return chat(1, number, parent_id=sid(parent), operation=Operation.OTHER, **(NO_USAGE | changes))


def test_of_three_layers_the_one_with_tokens_counts_wherever_it_stands() -> None:
    """Outermost, in the middle or innermost: the one report that carries tokens is the call."""
    for carrying in (2, 3, 4):
        layers = [
            chat(1, number, parent_id=sid(number - 1), at_s=number / 10, **({} if number == carrying else NO_USAGE))
            for number in (2, 3, 4)
        ]
        assert counted([root(1), *layers]) == [sid(carrying)]


def test_calls_inside_a_call_that_adds_them_up_are_the_calls() -> None:
    """A framework's inference around two of the provider's is their sum and not a third."""
    spans = [
        root(1),
        chat(1, 2, tokens=Tokens(200, 40)),
        chat(1, 3, parent_id=sid(2), at_s=1.1),
        chat(1, 4, parent_id=sid(2), at_s=1.2),
    ]
    assert counted(spans) == [sid(3), sid(4)]


def test_an_attempt_that_failed_inside_a_call_is_a_retry_and_no_failure_of_the_call() -> None:
    """A gateway's first try fails and its second answers: two steps, one error, one retry."""
    spans = [
        root(1),
        chat(1, 2),
        chat(1, 3, parent_id=sid(2), at_s=1.1, status=Status.ERROR, **NO_USAGE),
        chat(1, 4, parent_id=sid(2), at_s=1.2),
    ]
    summary = summarise("t", ordered(spans))
    assert counted(spans) == [sid(3), sid(4)]
    assert (summary.inferences, summary.errors, summary.retries, summary.input_tokens) == (2, 1, 1, 100)


def test_of_one_response_the_report_with_tokens_counts() -> None:
    """Side by side, an earlier report of the same response without usage hides nothing."""
    spans = [
        root(1),
        chat(1, 2, response_id="msg_1", **NO_USAGE),
        chat(1, 3, at_s=1.1, response_id="msg_1"),
        chat(1, 4, at_s=1.2, response_id="msg_1"),
    ]
    assert counted(spans) == [sid(3)]


def test_what_only_an_outer_report_tells_belongs_to_the_call() -> None:
    """The SDK's span counts and says nothing; the words, prompt and tools of the span around it are the call's."""
    told = {"input": "[1]", "output": "so", "system": "be brief", "tool_definitions": "[]"}
    spans = [root(1), chat(1, 2, **told), chat(1, 3, parent_id=sid(2), at_s=1.1)]
    [step] = steps_of(spans)
    assert (step.span_id, step.input, step.output) == (sid(3), "[1]", "so")
    assert (summarise("t", ordered(spans)).prompt, summarise("t", ordered(spans)).tools) == ("be brief", "[]")
    whole = completed(ordered(spans))
    assert {name: getattr(whole[2], name) for name in told} == told
    assert completed(whole) == whole


def test_nested_embeddings_count_once() -> None:
    """A framework's embedding around the provider's is the same call."""
    kind = {"operation": Operation.EMBEDDINGS}
    spans = [root(1), chat(1, 2, **kind), chat(1, 3, parent_id=sid(2), at_s=1.1, **kind)]
    assert summarise("t", ordered(spans)).input_tokens == 100


def test_a_tool_of_an_mcp_server_is_one_call_under_its_long_and_its_short_name() -> None:
    """Agents put the server's name before the tool's; client and server report the short one."""
    for long_name in ("mcp__docs__search", "docs.search", "docs_search", "docs/search", "search"):
        spans = [
            root(1),
            tool(1, 2, tool=long_name, scope="agent"),
            tool(1, 3, tool="search", parent_id=sid(2), at_s=2.1, scope="mcp"),
            tool(1, 4, tool="search", parent_id=sid(3), at_s=2.2, scope="mcp"),
        ]
        assert counted(spans) == [sid(2)], long_name


def test_a_tool_that_only_passes_on_to_an_mcp_server_is_one_call() -> None:
    """The server's own name for the call need not resemble the agent's; a tool that makes two calls made them both."""
    outer = tool(1, 2, tool="ask_the_handbook", scope="agent")
    first, second = (tool(1, n, tool="search", parent_id=sid(2), at_s=2 + n / 10, scope="mcp-sdk") for n in (3, 4))
    assert counted([root(1), outer, first]) == [sid(2)]
    assert counted([root(1), outer, first, second]) == [sid(2), sid(3), sid(4)]


def test_a_servers_report_behind_transport_is_the_same_call() -> None:
    """HTTP and JSON-RPC spans between the two reports change nothing; the server's error belongs to the step."""
    spans = [
        root(1),
        tool(1, 2, tool="mcp__docs__search", scope="agent"),
        plumbing(3, 2, scope="agent"),
        plumbing(4, 3, scope="http"),
        tool(1, 5, tool="search", parent_id=sid(4), at_s=2.2, scope="mcp", status=Status.ERROR),
    ]
    assert [(step.span_id, step.status) for step in steps_of(spans)] == [(sid(2), Status.ERROR)]


def test_a_gateways_report_behind_transport_is_the_same_call_where_the_tokens_agree() -> None:
    """A proxy that continues the trace reports its client's call; a judge called in between has tokens of its own."""
    behind = [root(1), chat(1, 2, scope="sdk"), plumbing(3, 2, scope="http")]
    same = chat(1, 4, parent_id=sid(3), at_s=1.2, scope="gateway")
    judge = chat(1, 4, parent_id=sid(3), at_s=1.2, scope="gateway", tokens=Tokens(7, 1))
    assert counted([*behind, same]) == [sid(4)]
    assert counted([*behind, judge]) == [sid(2), sid(4)]


def test_a_tool_that_calls_itself_or_another_is_called_twice() -> None:
    """Calls with ids of their own, and one library's tools of like names, are calls of their own."""
    recursive = [tool(1, 2, tool_call_id="a"), tool(1, 3, parent_id=sid(2), at_s=2.1, tool_call_id="b")]
    alike = [tool(1, 2, tool="deep_search"), tool(1, 3, tool="search", parent_id=sid(2), at_s=2.1)]
    through = [tool(1, 2), plumbing(3, 2), tool(1, 4, parent_id=sid(3), at_s=2.2)]
    for spans in (recursive, alike, through):
        assert len(counted([root(1), *spans])) == 2


SHAPES = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.sampled_from([Operation.CHAT, Operation.TOOL, Operation.OTHER, Operation.AGENT, Operation.EMBEDDINGS]),
        st.booleans(),
        st.sampled_from(["a", "b"]),
        st.sampled_from([None, "r1", "r2"]),
        st.sampled_from([Status.OK, Status.ERROR]),
    ),
    max_size=8,
)


CIRCLE = [(n, Operation.CHAT, n == 2, "a", None, Status.OK) for n in (3, 1, 2)]


@example(CIRCLE, 0)
@given(SHAPES, st.integers(0, 10**6))
def test_a_repeat_leads_to_a_span_that_counts_whatever_the_tree(shapes, seed) -> None:
    """Any parents, circles too, in any order: no repeat of a repeat, the kind stays, and usage is never lost whole."""
    spans = [
        chat(
            1, number, parent_id=sid(parent), operation=operation, at_s=number, tool="t", scope=scope,
            tokens=Tokens(100, 20) if has_usage and operation.is_inference else None, response_id=response,
            status=status,
        )
        for number, (parent, operation, has_usage, scope, response, status) in enumerate(shapes, start=1)
    ]  # fmt: skip
    shuffled = spans.copy()
    Random(seed).shuffle(shuffled)  # noqa: S311 - a seeded shuffle
    found = repeats_of(ordered(shuffled))
    by_id = {span.span_id: span for span in spans}
    assert found == repeats_of(ordered(spans))
    assert not set(found) & set(found.values())
    assert all(by_id[left].operation is by_id[right].operation for left, right in found.items())
    for one in spans:
        if one.span_id in found and one.tokens is not None:
            assert by_id[found[one.span_id]].tokens is not None
