from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.golden import seen, shop_spans

from analyzer.replay.golden.expectations import Check, Expectation, judged
from analyzer.replay.golden.shrinking import fewest, shrunk

CALLS = st.lists(
    st.tuples(st.sampled_from(["lookup_order", "refund"]), st.fixed_dictionaries({"order": st.sampled_from("AB")})),
    min_size=1,
    max_size=8,
)
EXPECTATIONS = st.lists(
    st.sampled_from(
        [
            Expectation(Check.NO_LOOP),
            Expectation(Check.MUST_CALL, tool="pay"),
            Expectation(Check.MUST_CALL, tool="refund", arguments={"order": "C"}),
            Expectation(Check.MUST_NOT_CALL, tool="refund"),
            Expectation(Check.MUST_NOT_CALL, tool="lookup_order", arguments={"order": "A"}),
            Expectation(Check.STEPS_AT_MOST, at_most=3),
            Expectation(Check.TOKENS_AT_MOST, at_most=250),
            Expectation(Check.COST_AT_MOST_USD, at_most=0.0005),
            Expectation(Check.ANSWER_CONTAINS, text="sorry"),
        ]
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(CALLS, EXPECTATIONS)
def test_shrinking_keeps_red(calls, expectations) -> None:
    """What was red stays red, of the run's own steps in their order, and no single step more can be taken away."""
    run = seen(shop_spans(1, calls))
    red = [one for one in expectations if judged(one, run).met is False]
    small = shrunk(run, red)
    assert all(judged(one, small).met is False for one in red)
    assert [step for step in run.steps if step in small.steps] == list(small.steps)
    for at in range(len(small.steps) if red else 0):
        rest = (*small.steps[:at], *small.steps[at + 1 :])
        part = replace(small, steps=rest)
        assert not rest or not all(judged(one, part).met is False for one in red)


def test_a_loop_shrinks_to_the_calls_that_make_it() -> None:
    """Of a run that looks one order up six times between other work, four equal calls are what is left."""
    calls = [("refund", {"order": "B"}), *[("lookup_order", {"order": "A"})] * 6]
    small = shrunk(seen(shop_spans(1, calls)), [Expectation(Check.NO_LOOP)])
    assert [step.name for step in small.steps if step in small.calls] == ["lookup_order"] * len(small.calls)
    assert len(small.calls) <= 4


def test_where_something_is_missing_the_end_stays() -> None:
    """That a call was never made is seen at the end of a run: its last step stands for it."""
    run = seen(shop_spans(1, [("lookup_order", {"order": "A"})] * 3))
    assert shrunk(run, [Expectation(Check.MUST_CALL, tool="pay")]).steps == run.steps[-1:]


def test_a_green_run_is_left_as_it_is() -> None:
    """Nothing is shrunk towards what is not there."""
    run = seen(shop_spans(1, [("refund", {})]))
    assert shrunk(run, [Expectation(Check.MUST_CALL, tool="refund")]) is run
    assert shrunk(run, []) is run


def test_shrinking_ends_on_long_runs() -> None:
    """Ten thousand steps of which every second one is needed take no more judgements than are allowed."""
    tries = []
    needed = set(range(0, 10_000, 2))

    def is_red(steps) -> bool:
        tries.append(1)
        return needed <= set(steps)

    assert needed <= set(fewest(list(range(10_000)), is_red))
    assert len(tries) <= 2_000
