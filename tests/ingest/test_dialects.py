"""Every dialect's span becomes the same canonical span: in our own words, and as real exporters sent it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from support.otlp_requests import request, span

from analyzer.ingest.dialects import DIALECTS
from analyzer.ingest.files import Parsed, read_paths
from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.types.messages import readable
from analyzer.types.trace import ErrorClass, FinishReason, Operation, Outcome, Status, Tokens
from analyzer.types.trajectory import steps_of, summarise

CAPTURES = Path(__file__).parents[2].parent / "shared" / "data" / "dialects"
FULL = Tokens(input=350, output=20, cache_read=200, cache_write=50)


def one(attributes, *, scope="", resource=None, pricer=None, **changes):
    """Return the canonical form of one span."""
    batch = spans_from_json(
        request(span(attributes=attributes, **changes), scope=scope, resource=resource), pricer=pricer
    )
    assert batch.refused == ()
    return batch.spans[0]


CHATS = {
    "current conventions": {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.response.model": "m1",
        "gen_ai.usage.input_tokens": 350, "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 200, "gen_ai.usage.cache_write.input_tokens": 50,
        "gen_ai.response.finish_reasons": ["tool_call"],
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"why?"}]}]',
        "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"so"}]}]',
    },
    "deprecated names": {
        "gen_ai.system": "anthropic", "gen_ai.request.model": "m1", "gen_ai.usage.prompt_tokens": 350,
        "gen_ai.usage.completion_tokens": 20, "gen_ai.usage.cache_read_input_tokens": 200,
        "gen_ai.usage.cache_creation_input_tokens": 50, "gen_ai.response.finish_reasons": '["tool_calls"]',
        "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "why?",
        "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "so",
    },
    "anthropic SDK": {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.response.model": "m1",
        "gen_ai.usage.input_tokens": 350, "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 200, "gen_ai.usage.cache_write.input_tokens": 50,
        "anthropic.message.stop_reason": "tool_use",
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"why?"}]}]',
        "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"so"}]}]',
    },
    "OpenInference": {
        "openinference.span.kind": "LLM", "llm.provider": "anthropic", "llm.model_name": "m1",
        "llm.token_count.prompt": 350, "llm.token_count.completion": 20,
        "llm.token_count.prompt_details.cache_read": 200, "llm.token_count.prompt_details.cache_write": 50,
        "llm.finish_reason": "tool_use",
        "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "why?",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.contents.0.message_content.type": "text",
        "llm.output_messages.0.message.contents.0.message_content.text": "so",
    },
    "OpenLLMetry, old": {
        "llm.request.type": "chat", "gen_ai.system": "anthropic", "gen_ai.response.model": "m1",
        "gen_ai.usage.prompt_tokens": 350, "gen_ai.usage.completion_tokens": 20,
        "gen_ai.usage.cache_read_input_tokens": 200, "gen_ai.usage.cache_creation_input_tokens": 50,
        "llm.response.finish_reason": "tool_calls",
        "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "why?",
        "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "so",
    },
    "Langfuse": {
        "langfuse.observation.type": "generation", "gen_ai.provider.name": "anthropic",
        "langfuse.observation.model.name": "m1", "gen_ai.response.finish_reasons": ["tool_use"],
        "langfuse.observation.usage_details":
            '{"input": 100, "output": 20, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 50}',
        "langfuse.observation.input": '[{"role": "user", "content": "why?"}]',
        "langfuse.observation.output": '{"role": "assistant", "content": "so"}',
    },
    "LangSmith": {
        "langsmith.span.kind": "llm", "gen_ai.operation.name": "chat", "gen_ai.system": "anthropic",
        "gen_ai.request.model": "m1", "gen_ai.response.finish_reasons": ["tool_use"],
        "langsmith.metadata.usage_metadata":
            '{"input_tokens":350,"output_tokens":20,"input_token_details":{"cache_read":200,"cache_creation":50}}',
        "gen_ai.prompt": '{"messages":[{"role":"user","content":"why?"}]}',
        "gen_ai.completion": '{"role":"assistant","content":"so"}',
    },
    "Vercel AI SDK 6": {
        "ai.operationId": "ai.streamText.doStream", "gen_ai.system": "anthropic", "ai.model.id": "m1",
        "ai.usage.inputTokens": 350, "ai.usage.outputTokens": 20, "ai.usage.cachedInputTokens": 200,
        "ai.usage.inputTokenDetails.cacheWriteTokens": 50, "ai.response.finishReason": "tool-calls",
        "ai.prompt.messages": '[{"role":"user","content":[{"type":"text","text":"why?"}]}]',
        "ai.response.text": "so",
    },
    "MLflow": {
        "mlflow.spanType": '"CHAT_MODEL"', "mlflow.llm.provider": '"anthropic"', "mlflow.llm.model": '"m1"',
        "mlflow.chat.tokenUsage":
            '{"input_tokens":350,"output_tokens":20,"cache_read_input_tokens":200,"cache_creation_input_tokens":50}',
        "gen_ai.response.finish_reasons": ["tool_use"],
        "mlflow.spanInputs": '{"messages":[{"role":"user","content":"why?"}]}',
        "mlflow.spanOutputs": '{"role":"assistant","content":"so"}',
    },
    "Claude Code": {
        "span.type": "llm_request", "gen_ai.system": "anthropic", "model": "m1", "input_tokens": 100,
        "output_tokens": 20, "cache_read_tokens": 200, "cache_creation_tokens": 50, "stop_reason": "tool_use",
        "new_context": '[{"role":"user","content":"why?"}]',
        "response.model_output": '[{"role":"assistant","content":"so"}]',
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CHATS)
def test_one_model_call_reads_the_same_in_every_dialect(name):
    """100 fresh, 200 read, 50 written and 20 output tokens are 350/20/200/50 whoever says it, and so is the text."""
    chat = one(CHATS[name], scope="com.anthropic.claude_code.tracing" if name == "Claude Code" else "app")
    assert chat.operation is Operation.CHAT
    assert (chat.provider, chat.model) == ("anthropic", "m1")
    assert chat.tokens == FULL
    assert chat.finish is FinishReason.TOOL_CALL
    assert readable(chat.input) == "user: why?"
    assert readable(chat.output) == "assistant: so"
    held = [value for value in chat.attributes.values() if isinstance(value, str) and "why?" in value]
    assert held == []


@pytest.mark.parametrize(
    ("attributes", "scope", "tool", "given", "result"),
    [
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t", "gen_ai.tool.call.arguments": '{"a":1}',
          "gen_ai.tool.call.result": "r"}, "", "t", '{"a":1}', "r"),
        ({"openinference.span.kind": "TOOL", "tool.name": "t", "tool.parameters": '{"a":1}', "output.value": "r"},
         "", "t", '{"a":1}', "r"),
        ({"traceloop.span.kind": "tool", "traceloop.entity.name": "t", "traceloop.entity.input": '{"a":1}',
          "traceloop.entity.output": "r"}, "", "t", '{"a":1}', "r"),
        ({"langfuse.observation.type": "tool", "langfuse.observation.input": '{"a":1}',
          "langfuse.observation.output": "r"}, "", "step", '{"a":1}', "r"),
        ({"langsmith.span.kind": "tool", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t",
          "gen_ai.prompt": '{"a":1}', "gen_ai.completion": '{"output":"r"}'}, "", "t", '{"a":1}', "r"),
        ({"ai.operationId": "ai.toolCall", "ai.toolCall.name": "t", "ai.toolCall.args": '{"a":1}',
          "ai.toolCall.result": '"r"'}, "", "t", '{"a":1}', '"r"'),
        ({"mlflow.spanType": '"TOOL"', "mlflow.spanInputs": '{"a":1}', "mlflow.spanOutputs": "r"},
         "", "step", '{"a":1}', "r"),
        ({"span.type": "tool", "tool_name": "t", "full_command": "ls"}, "com.anthropic.claude_code.tracing",
         "t", '{"full_command":"ls"}', None),
        ({"mcp.method.name": "tools/call", "gen_ai.tool.name": "t", "gen_ai.tool.call.arguments": {"a": 1}},
         "", "t", '{"a":1}', None),
    ],
)  # fmt: skip
def test_one_tool_call_reads_the_same_in_every_dialect(attributes, scope, tool, given, result):
    """A tool's name, arguments and result are found in every dialect."""
    call = one(attributes, scope=scope)
    assert (call.operation, call.tool, call.input, call.output) == (Operation.TOOL, tool, given, result)
    assert call.tokens is None


@pytest.mark.parametrize(
    ("attributes", "operation"),
    [
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 700}, Operation.AGENT),
        ({"openinference.span.kind": "CHAIN"}, Operation.WORKFLOW),
        ({"openinference.span.kind": "RETRIEVER"}, Operation.RETRIEVAL),
        ({"traceloop.span.kind": "workflow"}, Operation.WORKFLOW),
        ({"ai.operationId": "ai.generateText", "ai.usage.inputTokens": 700}, Operation.AGENT),
        ({"langsmith.span.kind": "chain", "gen_ai.operation.name": "chain"}, Operation.AGENT),
        ({"mcp.method.name": "tools/list"}, Operation.OTHER),
        ({"http.request.method": "GET"}, Operation.OTHER),
        ({"gen_ai.operation.name": "something_new"}, Operation.OTHER),
    ],
)
def test_outer_and_plain_spans_carry_no_tokens(attributes, operation):
    """Spans that only repeat totals, and spans that are no model call, have no tokens and no cost."""
    outer = one(attributes | {"operation.cost": 1.0}, name="chat gpt", pricer=Pricer())
    assert (outer.operation, outer.tokens, outer.cost_usd) == (operation, None, None)


def test_a_call_is_one_whether_seen_from_outside_or_inside():
    """Claude Code's inner execution span belongs to its tool span, and gives it its error."""
    scope = "com.anthropic.claude_code.tracing"
    outer = span(1, attributes={"span.type": "tool", "gen_ai.tool.name": "Read"}, parentSpanId="00000000000000ff")
    inner = span(2, attributes={"span.type": "tool.execution", "error.type": "tool_error"}, parentSpanId=f"{1:016x}",
                 status={"code": 2, "message": "gone"})  # fmt: skip
    spans = spans_from_json(request(outer, inner, scope=scope)).spans
    steps = steps_of(spans)
    assert [(step.name, step.status, step.error, step.status_message) for step in steps] == [
        ("Read", Status.ERROR, ErrorClass.TOOL_ERROR, "gone")
    ]


def test_vercel_tool_results_read_as_text():
    """A result of the form {type: text, value: ...} is its value."""
    messages = '[{"role":"tool","content":[{"type":"tool-result","output":{"type":"text","value":"v=1"}}]}]'
    assert readable(messages) == "tool: [result] v=1"


def test_a_usage_that_leaves_out_its_own_parts_is_completed():
    """Cache counts larger than the input say that the input was counted without them."""
    chat = one({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 100,
                "gen_ai.usage.cache_read.input_tokens": 200, "gen_ai.usage.cache_write.input_tokens": 50})  # fmt: skip
    assert chat.tokens == Tokens(input=350, cache_read=200, cache_write=50)


@pytest.mark.parametrize("value", [-1, "many", 10**13, True, float("nan"), [3]])
def test_counts_that_are_none_are_not_reported(value):
    """A token count that cannot be one is missing, not zero."""
    assert one({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": value}).tokens is None


def test_identity_comes_from_span_then_resource():
    """Agent, version, service, conversation, user and prompt are found where the conventions put them."""
    named = one(
        {"gen_ai.operation.name": "chat", "gen_ai.conversation.id": "c", "enduser.id": "u",
         "gen_ai.prompt.name": "p", "gen_ai.prompt.version": 3},
        resource={"service.name": "svc", "service.version": "2.0", "gen_ai.main_agent.name": "night-job"},
    )  # fmt: skip
    assert (named.agent, named.agent_version, named.service) == ("night-job", "2.0", "svc")
    assert (named.conversation_id, named.user_id, named.prompt_name, named.prompt_version) == ("c", "u", "p", "3")


def test_the_system_prompt_among_the_messages_is_found():
    """A prompt that stands as the first message is the system prompt too."""
    messages = '[{"role":"system","parts":[{"type":"text","content":"be brief"}]}]'
    chat = one({"gen_ai.operation.name": "chat", "gen_ai.input.messages": messages})
    assert readable(chat.system) == "text: be brief"


@pytest.mark.parametrize("again", ["[]", "{}", "7", "[null]", '"a"'])
def test_messages_that_are_named_twice_are_the_latter(again):
    """Of a name that stands twice in an object the last counts, and where that is no conversation nothing breaks."""
    messages = f'{{"messages":[{{"role":"system","content":"be brief"}}],"messages":{again}}}'
    assert one({"gen_ai.operation.name": "chat", "gen_ai.input.messages": messages}).system is None


def test_an_exception_fills_what_the_status_leaves_out():
    """Type and message come from the exception event where status and attributes have none."""
    event = ("exception", {"exception.type": "openai.APITimeoutError", "exception.message": "slow"})
    broken = one({"gen_ai.operation.name": "chat"}, status={"code": 2}, events=[event])
    assert (broken.error, broken.error_type, broken.status_message) == (
        ErrorClass.TIMEOUT, "openai.APITimeoutError", "slow")  # fmt: skip


@pytest.mark.parametrize("name", ["pydantic_ai.exceptions.ToolRetryError", "langgraph.errors.GraphInterrupt"])
def test_an_exception_that_steers_the_run_is_no_failure(name):
    """A tool that asks the model for other arguments, a graph that waits for a human: the span keeps what was said."""
    event = ("exception", {"exception.type": name, "exception.message": "give a date"})
    call = one({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"}, status={"code": 2}, events=[event])
    assert (call.status, call.error, call.error_type, call.status_message) == (Status.OK, None, name, "give a date")


def test_old_content_in_events_is_read():
    """Messages that were sent as span events are put together."""
    chat = one({"gen_ai.operation.name": "chat"}, events=[
        ("gen_ai.user.message", {"content": "why?"}), ("gen_ai.choice", {"message": {"content": "so"}})])  # fmt: skip
    assert (readable(chat.input), readable(chat.output)) == ("user: why?", "assistant: so")


@pytest.mark.parametrize(
    ("attributes", "events", "outcome"),
    [
        ({"gen_ai.agent.outcome": "success"}, [], Outcome.SUCCESS),
        ({"outcome": "failed"}, [], Outcome.FAILURE),
        ({}, [("gen_ai.evaluation.result", {"gen_ai.evaluation.score.label": "fail"})], Outcome.FAILURE),
        ({}, [("gen_ai.evaluation.result", {"gen_ai.evaluation.score.value": 1})], Outcome.SUCCESS),
        ({"gen_ai.evaluation.score.value": 0.7}, [], None),
        ({}, [], None),
    ],
)
def test_outcomes_are_read_from_attributes_and_evaluations(attributes, events, outcome):
    """Labels, exact scores and outcome words decide; a score on an unknown scale does not."""
    assert one({"gen_ai.operation.name": "invoke_agent"} | attributes, events=events).outcome is outcome


def test_outcome_of_a_plain_request_is_not_the_runs():
    """Web frameworks set `outcome` on every request; on an inner span it says nothing about the goal."""
    assert one({"http.request.method": "GET", "outcome": "SUCCESS"}, parentSpanId="00000000000000ff").outcome is None


@pytest.mark.parametrize(
    ("attributes", "attempt"),
    [
        ({"gen_ai.request.attempt": 3}, 3),
        ({"http.request.resend_count": 2}, 3),
        ({}, 1),
        ({"gen_ai.request.attempt": 0}, 1),
    ],
)
def test_attempts_are_counted_from_one(attributes, attempt):
    """An attempt number counts as it is, a resend count one more."""
    assert one({"gen_ai.operation.name": "chat"} | attributes).attempt == attempt


def test_a_reported_cost_wins_and_the_price_list_comes_second():
    """What the source says it cost is kept; else the price list decides; else it is unpriced."""
    pricer = Pricer({"own": {"input": 2.0, "output": 10.0}})
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "own", "gen_ai.usage.input_tokens": 1_000_000}
    assert one(chat | {"operation.cost": 0.5}, pricer=pricer).cost_usd == 0.5
    assert one(chat, pricer=pricer).cost_usd == 2.0
    assert one(chat | {"gen_ai.request.model": "nobody-knows"}, pricer=pricer).cost_usd is None
    assert one(chat | {"operation.cost": float("nan")}, pricer=pricer).cost_usd == 2.0


def test_mlflow_names_the_prompt_and_the_hour_in_the_cache():
    """A prompt that was loaded within the span, and the part of a cache write that is kept for an hour."""
    written = '"cache_creation_input_tokens":50,"cache_creation_input_tokens_above_1hr":40'
    usage = f'{{"input_tokens":100,"output_tokens":1,{written}}}'
    chat = one({"mlflow.spanType": '"LLM"', "mlflow.chat.tokenUsage": usage,
                "mlflow.linkedPrompts": '[{"name": "triage", "version": "3"}]'})  # fmt: skip
    assert (chat.prompt_name, chat.prompt_version) == ("triage", "3")
    assert chat.tokens == Tokens(input=100, output=1, cache_write=50, cache_write_1h=40)


def test_a_session_with_a_server_is_no_conversation():
    """An MCP session outlives conversations and serves several; it stays an attribute."""
    call = one({"mcp.method.name": "tools/call", "gen_ai.tool.name": "t", "mcp.session.id": "s"})
    assert (call.conversation_id, call.attributes["mcp.session.id"]) == (None, "s")


def test_langsmiths_printed_details_are_read():
    """Where only printed Python tells the cached tokens, they are read from it."""
    chat = one({"langsmith.span.kind": "llm", "gen_ai.usage.input_tokens": 350, "gen_ai.usage.output_tokens": 20,
                "gen_ai.usage.input_token_details": "{'cache_read': 200, 'cache_creation': 50}",
                "gen_ai.usage.output_token_details": "{'reasoning': 7}"})  # fmt: skip
    assert chat.tokens == Tokens(350, 20, 200, 50, reasoning=7)


def test_a_batch_is_priced_as_one():
    """The tier that the provider says it served halves the list price."""
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-opus-5-5", "gen_ai.usage.input_tokens": 10}
    plain, batch = (one(chat | tier, pricer=Pricer()) for tier in ({}, {"anthropic.response.service_tier": "batch"}))
    assert plain.cost_usd == 2 * batch.cost_usd > 0


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ('{"input":100,"output":20,"cache_read_input_tokens":200,"cache_creation_input_tokens":50}', FULL),
        ('{"input":100,"output":20,"cache_read_input_tokens":200,"cache_creation_input_tokens":50,"total":370}', FULL),
        ('{"input":350,"output":20,"cache_read_input_tokens":200,"cache_creation_input_tokens":50,"total":370}', FULL),
        ('{"input":150,"output":20,"input_cached_tokens":200,"total":370}', Tokens(350, 20, 200)),
        ('{"prompt_tokens":350,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":200}}',
         Tokens(350, 20, 200)),
        ('{"total":370}', None),
    ],
)  # fmt: skip
def test_a_total_tells_whether_langfuse_counts_the_cache_apart(usage, tokens):
    """Kinds add up to the total; where input and output alone do, the input includes what was cached."""
    assert (
        one({"langfuse.observation.type": "generation", "langfuse.observation.usage_details": usage}).tokens == tokens
    )


def test_dialects_have_names_of_their_own():
    """The registry holds each dialect once."""
    assert max(Counter(dialect.name for dialect in DIALECTS).values()) == 1


EXPECTED = {
    "anthropic_native": (Counter(chat=5, execute_tool=2, invoke_agent=1), 4, FULL, 4 * 0.00109, 2),
    "anthropic_openinference": (Counter(chat=5), 4, FULL, 4 * 0.00109, 1),
    "anthropic_otelgenai": (Counter(chat=5), 4, FULL, 4 * 0.00109, 1),
    "anthropic_traceloop": (Counter(chat=5), 4, FULL, 4 * 0.00109, 1),
    "claude_code": (Counter(chat=3, execute_tool=4, invoke_agent=1, other=2), 3, FULL, 3 * 0.00109, 1),
    "langfuse": (Counter(chat=1, execute_tool=1, invoke_agent=1), 1, Tokens(300, 20, 200), 0.01, 1),
    "langsmith": (Counter(chat=1, execute_tool=1, invoke_agent=1), 1, Tokens(100, 20, 50), 0.00061, 1),
    "pydantic": (Counter(chat=2, execute_tool=2, invoke_agent=1), 2, FULL, 2 * 0.00109, 0),
    "vercel_v6": (Counter(chat=2, execute_tool=2, invoke_agent=1), 2, FULL, 2 * 0.00109, 1),
}
"""Operations, calls with usage, tokens of each, cost of all, spans in error."""


@pytest.mark.parametrize("name", EXPECTED)
def test_real_captures_give_exact_totals(name):
    """What nine real exporters sent for one small run comes out with the same figures."""
    path = CAPTURES / f"{name}.json"
    if not path.exists():
        pytest.skip(f"needs the recordings in {CAPTURES.name} beside the project")
    operations, calls, tokens, cost, failed = EXPECTED[name]
    spans = [
        entry for read in read_paths([str(path)], pricer=Pricer()) if isinstance(read, Parsed) for entry in read.spans
    ]
    assert Counter(entry.operation.value for entry in spans) == operations
    used = [entry.tokens for entry in spans if entry.tokens]
    assert len(used) == calls
    assert {(entry.input, entry.output, entry.cache_read, entry.cache_write) for entry in used} == {
        (tokens.input, tokens.output, tokens.cache_read, tokens.cache_write)
    }
    assert sum(entry.cost_usd or 0 for entry in spans) == pytest.approx(cost)
    assert sum(entry.status is Status.ERROR for entry in spans) == failed
    if name == "claude_code":
        assert summarise("t", spans).tool_calls == 2
