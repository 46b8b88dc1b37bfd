"""What counts as a step, and what a trajectory adds up to."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spans import chat, root, tool, trace_id

from analyzer.types.repeats import repeats_of
from analyzer.types.trace import Operation, Outcome, Span, Status, Tokens
from analyzer.types.trajectory import Trajectory, ordered, steps_of, summarise


def summary(spans: list[Span]):
    """Return the summary of some spans."""
    return summarise(trace_id(1), ordered(spans))


def sid(number: int) -> str:
    """Return a span id."""
    return f"{number:016x}"


def verdict(number: int, outcome: Outcome, *, on: int = 1) -> Span:
    """Return the span that stands for the log record of an evaluation."""
    kept = {"operation": Operation.OTHER, "start_ns": None, "end_ns": None, "tokens": None, "cost_usd": None}
    return chat(1, number, parent_id=sid(on), outcome=outcome, **kept)


def test_three_layers_of_instrumentation_report_one_call_once() -> None:
    """Of chats nested in chats the innermost with tokens counts: SDK, OpenTelemetry and OpenInference nest."""
    spans = [
        root(1),
        chat(1, 2, lasts_s=3),
        chat(1, 3, lasts_s=2, parent_id=sid(2), at_s=1.1),
        chat(1, 4, lasts_s=1, parent_id=sid(3), at_s=1.2),
    ]
    one = summary(spans)
    assert (one.inferences, one.steps, one.input_tokens, one.cost_usd) == (1, 1, 100, 0.0004)
    assert [step.span_id for step in steps_of(spans)] == [sid(4)]


def test_an_inner_chat_without_tokens_does_not_hide_the_outer_one() -> None:
    """Where only the outer report carries tokens, the outer one counts."""
    spans = [root(1), chat(1, 2), chat(1, 3, parent_id=sid(2), tokens=None, cost_usd=None)]
    assert summary(spans).input_tokens == 100
    assert [step.span_id for step in steps_of(spans)] == [sid(2)]


def test_one_response_reported_side_by_side_counts_once() -> None:
    """Two spans with one response id are one call, also when neither contains the other."""
    spans = [root(1), chat(1, 2, response_id="msg_1"), chat(1, 3, at_s=1.1, response_id="msg_1"), chat(1, 4, at_s=5)]
    assert (summary(spans).inferences, summary(spans).input_tokens) == (2, 200)


def test_a_tool_call_reported_by_client_and_server_counts_once_and_keeps_the_error() -> None:
    """An inner tool span of the same name is the same call; an error that only it carries belongs to the step."""
    spans = [
        root(1),
        tool(1, 2),
        tool(1, 3, parent_id=sid(2), at_s=2.1, status=Status.ERROR, status_message="denied"),
    ]
    [step] = steps_of(spans)
    assert (step.span_id, step.status, step.status_message) == (sid(2), Status.ERROR, "denied")
    assert (summary(spans).tool_calls, summary(spans).tool_errors) == (1, 1)


def test_a_sub_agents_tools_inside_a_tool_are_calls_of_their_own() -> None:
    """A tool inside a tool of another name is another call."""
    spans = [root(1), tool(1, 2, tool="delegate"), tool(1, 3, parent_id=sid(2), at_s=2.1)]
    assert summary(spans).tool_calls == 2


def test_agent_spans_that_repeat_their_children_add_nothing() -> None:
    """Tokens are summed over inferences only."""
    spans = [root(1, tokens=Tokens(999, 999), cost_usd=9.0), chat(1, 2), chat(1, 3, at_s=4)]
    one = summary(spans)
    assert (one.input_tokens, one.output_tokens, one.cost_usd) == (200, 40, pytest.approx(0.0008))


def test_unknown_prices_are_counted_not_zero() -> None:
    """An inference with tokens and no price is unpriced; with no priced one at all the cost is unknown."""
    mixed = summary([root(1), chat(1, 2), chat(1, 3, at_s=4, cost_usd=None)])
    assert (mixed.cost_usd, mixed.unpriced) == (0.0004, 1)
    none = summary([root(1), chat(1, 2, cost_usd=None)])
    assert (none.cost_usd, none.unpriced) == (None, 1)


@pytest.mark.parametrize(
    ("spans", "outcome"),
    [
        ([root(1), chat(1, 2)], Outcome.SUCCESS),
        ([root(1, status=Status.ERROR), chat(1, 2)], Outcome.ERROR),
        ([root(1), chat(1, 2, status=Status.ERROR), chat(1, 3, at_s=5)], Outcome.SUCCESS),
        ([root(1), chat(1, 2), chat(1, 3, at_s=5, status=Status.ERROR)], Outcome.ERROR),
        ([root(1, outcome=Outcome.FAILURE), chat(1, 2)], Outcome.FAILURE),
        ([root(1), chat(1, 2, outcome=Outcome.FAILURE)], Outcome.FAILURE),
        ([chat(1, 2)], Outcome.UNKNOWN),
        ([root(1, outcome=Outcome.SUCCESS), verdict(2, Outcome.FAILURE)], Outcome.FAILURE),
        ([root(1, outcome=Outcome.SUCCESS), chat(1, 2), verdict(3, Outcome.FAILURE, on=2)], Outcome.SUCCESS),
    ],
    ids=[
        *("fine", "root failed", "recovered", "last step failed", "judged", "judged within", "still running"),
        *("judged otherwise than it says of itself", "one step judged"),
    ],
)
def test_how_a_run_ended(spans: list[Span], outcome: Outcome) -> None:
    """An evaluation counts first, then the top span, then a failed last step; a failure that was got over is none."""
    assert summary(spans).outcome is outcome


def test_retries_are_attempts_and_repeats_of_what_failed() -> None:
    """Reported attempts count, and so does a step that repeats the failed one before it; never both."""
    failed = chat(1, 2, status=Status.ERROR)
    assert summary([root(1), failed, chat(1, 3, at_s=3)]).retries == 1
    assert summary([root(1), failed, chat(1, 3, at_s=3, attempt=2)]).retries == 1
    assert summary([root(1), failed, tool(1, 3, at_s=3)]).retries == 0


def test_the_main_model_is_the_one_that_took_most_tokens() -> None:
    """One large call outweighs several small ones."""
    spans = [root(1), *[chat(1, n, at_s=n, model="small") for n in (2, 3)], chat(1, 9, at_s=9, tokens=Tokens(9999, 1))]
    assert summary(spans).model == "claude-sonnet-5-5"


def test_a_declared_prompt_wins_over_the_hash_of_its_text() -> None:
    """Name and version of a prompt tell versions apart better than its text."""
    assert summary([root(1), chat(1, 2, prompt_name="triage", prompt_version="7", system="h")]).prompt == "triage@7"
    assert summary([root(1), chat(1, 2, system="h")]).prompt == "h"


@given(st.integers(0, 10**6))
def test_the_order_of_arrival_does_not_matter(seed: int) -> None:
    """Any order of the same spans gives the same steps and the same summary."""
    spans = [
        root(1),
        chat(1, 2),
        chat(1, 3, parent_id=sid(2), at_s=1.5),
        tool(1, 4, status=Status.ERROR),
        tool(1, 5, at_s=2),
        chat(1, 6, start_ns=None, end_ns=None),
        chat(1, 7, at_s=4, response_id="m"),
        chat(1, 8, at_s=4, response_id="m"),
    ]
    shuffled = spans.copy()
    Random(seed).shuffle(shuffled)  # noqa: S311 - a seeded shuffle
    assert steps_of(shuffled) == steps_of(spans)
    assert summary(shuffled) == summary(spans)


def test_spans_that_name_each_other_as_parents_do_no_harm() -> None:
    """A cycle of parents, as only broken or hostile input has it, is read without hanging."""
    spans = [chat(1, 2, parent_id=sid(3)), chat(1, 3, parent_id=sid(2)), chat(1, 4, parent_id=sid(4))]
    assert summary(spans).spans == 3
    assert repeats_of(ordered(spans))


def test_every_step_has_its_number_from_one() -> None:
    """Steps are numbered as people count them."""
    spans = [root(1), chat(1, 2), tool(1, 3), chat(1, 4, at_s=6), root(1, parent_id=sid(1), operation=Operation.PLAN)]
    assert [(step.number, step.name) for step in steps_of(spans)] == [
        (1, "claude-sonnet-5-5"),
        (2, "lookup_order"),
        (3, "claude-sonnet-5-5"),
    ]


def test_steps_are_numbered_alike_with_and_without_their_texts() -> None:
    """The numbers that a tree shows are those of the steps: repeated reports and agents have none."""
    spans = (root(1), chat(1, 2), chat(1, 3, parent_id=f"{2:016x}"), tool(1, 4, at_s=5), chat(1, 5, at_s=6))
    trajectory = Trajectory(summarise(spans[0].trace_id, ordered(spans)), ordered(spans))
    numbers = {step.span_id: step.number for step in trajectory.steps}
    assert trajectory.step_numbers == numbers
    assert len(numbers) == 3


def team(turns: int, **said: object) -> list[Span]:
    """Return a run in which an assessor and a writer are called in turn; neither calls of models name an agent."""
    spans = [root(1, agent="claims", lasts_s=100)]
    for turn in range(turns):
        for half, agent in enumerate(("assessor", "writer")):
            at = turn * 2 + half + 1
            fields = {"agent": agent, "lasts_s": 1, "at_s": at}
            spans.append(replace(root(1, **fields), span_id=sid(at * 10), parent_id=sid(1)))
            spans.append(chat(1, at * 10 + 1, parent_id=sid(at * 10), at_s=at, output=f"{agent}: after you", **said))
    return spans


def test_a_step_belongs_to_the_agent_around_it() -> None:
    """Where agents call agents, a call that names none, or only the workflow, is the nearest agent's."""
    assert [step.agent for step in steps_of(team(2))] == ["assessor", "writer"] * 2
    assert [step.agent for step in steps_of(team(2, agent="claims"))] == ["assessor", "writer"] * 2


def test_a_step_that_names_an_agent_is_that_ones() -> None:
    """A hand-over without a span of its own shows on the calls alone; steps beside the inner agents are the top's."""
    spans = [*team(1), chat(1, 90, at_s=50, agent="auditor"), chat(1, 91, at_s=60)]
    assert [step.agent for step in steps_of(spans)] == ["assessor", "writer", "auditor", "claims"]


def test_a_ring_of_parents_ends() -> None:
    """Spans that claim to be each other's parents name no agent, and are read."""
    ring = (replace(root(1, agent="claims"), span_id=sid(at), parent_id=sid(181 - at)) for at in (90, 91))
    spans = [*team(1), *ring, chat(1, 92, parent_id=sid(90), at_s=50)]
    assert [step.agent for step in steps_of(spans)] == ["assessor", "writer", "claims"]


class Asked(str):
    """A name that counts how often it is compared."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Asked.times += 1
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        Asked.times += 1
        return str.__hash__(self)


def test_a_chain_of_spans_is_gone_up_once() -> None:
    """Spans each within the one before, as a recursion leaves them, all belong to the agent at the top of the chain."""
    deep = 1_000
    chain = [
        chat(1, 1000 + at, parent_id=sid(999 + at) if at else sid(10), at_s=at / 10, agent=Asked("claims"))
        for at in range(deep)
    ]
    Asked.times = 0
    steps = steps_of([*team(1), *(replace(one, operation=Operation.OTHER) for one in chain[:-1]), chain[-1]])
    assert [step.agent for step in steps] == ["assessor", "writer", "assessor"]
    assert Asked.times < 10 * deep


def test_what_a_loop_can_be_made_of_counts_beside_tools() -> None:
    """Replies that no call follows can be the same again, whatever tools the run called elsewhere; one agent's each."""
    looked_up = [tool(1, 200 + at, at_s=0.1 + at / 10, lasts_s=0.01, tool=f"look_{at}") for at in range(2)]
    assert summary([*team(4), *looked_up]).repeats == 4
    react = [span for at in range(5) for span in (chat(1, 300 + at, at_s=at), tool(1, 400 + at, at_s=at + 0.5))]
    assert summary([root(1), *react, chat(1, 500, at_s=9)]).repeats == 5
    assert summary([root(1), *react[:4], chat(1, 500, at_s=9)]).repeats == 2
    # What failed said nothing.
    failed = [chat(1, 600 + at, at_s=10 + at, status=Status.ERROR) for at in range(5)]
    assert summary([root(1), *react[:4], *failed]).repeats == 2
