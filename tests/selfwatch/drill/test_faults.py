"""Each fault of a drill turns a healthy trajectory into one that shows it, and nothing of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spans import chat, root

from analyzer.selfwatch.drill.faults import FAULTS, ORDER, Struck, other_tool, struck
from analyzer.selfwatch.drill.timeline import moved
from analyzer.types.report import Kind
from analyzer.types.trace import Operation, Outcome, Span
from analyzer.types.trajectory import ordered, summarise

TOOL = "lookup"


def tool(number: int, span: int, at_s: float, **fields: object) -> Span:
    """Return a call of the tool that takes a second."""
    given = {"name": TOOL, "operation": Operation.TOOL, "tool": TOOL, "input": '{"q": 1}', "output": "[1]"}
    return chat(number, span, at_s=at_s, **{**given, "tokens": None, "cost_usd": None, "model": None, **fields})


HEALTHY = (root(1, lasts_s=6, outcome=Outcome.SUCCESS), chat(1, 2), tool(1, 3, 3), chat(1, 4, at_s=5))
ABOUT = Struck(TOOL, largest_tokens=1000, largest_usd=0.01)


def summary(spans):
    """Return what a trajectory comes to."""
    return summarise(spans[0].trace_id, ordered(spans))


BEFORE = summary(HEALTHY)


def shown(kind):
    """Return what a trajectory comes to with a fault in it."""
    return summary(FAULTS[kind].strike(HEALTHY, ABOUT))


CHANGES = {
    Kind.COST: lambda: (shown(Kind.COST).cost_usd, shown(Kind.COST).tokens) == (2 * BEFORE.cost_usd, BEFORE.tokens),
    Kind.TOKENS: lambda: (
        (shown(Kind.TOKENS).tokens, shown(Kind.TOKENS).cost_usd) == (2 * BEFORE.tokens, 2 * BEFORE.cost_usd)
    ),
    Kind.STEPS: lambda: (
        (shown(Kind.STEPS).steps, shown(Kind.STEPS).repeats) == (BEFORE.steps + 4, 3)
        and len({(s.input, s.output) for s in FAULTS[Kind.STEPS].strike(HEALTHY, ABOUT) if s.tool}) == 3
    ),
    Kind.LATENCY: lambda: shown(Kind.LATENCY).duration_s == BEFORE.duration_s + 2 * 3,
    Kind.TOOL_LATENCY: lambda: shown(Kind.TOOL_LATENCY).duration_s == BEFORE.duration_s + 5,
    Kind.LOOP: lambda: shown(Kind.LOOP).repeats == 13 and shown(Kind.LOOP).errors == 0,
    Kind.RETRIES: lambda: (shown(Kind.RETRIES).retries, shown(Kind.RETRIES).outcome) == (4, Outcome.SUCCESS),
    Kind.ERRORS: lambda: shown(Kind.ERRORS).outcome is Outcome.ERROR,
    Kind.TOOL_ERRORS: lambda: (
        (shown(Kind.TOOL_ERRORS).tool_errors, shown(Kind.TOOL_ERRORS).outcome) == (1, Outcome.SUCCESS)
    ),
    Kind.SUCCESS: lambda: (shown(Kind.SUCCESS).outcome, shown(Kind.SUCCESS).errors) == (Outcome.FAILURE, 0),
    Kind.TRUNCATION: lambda: shown(Kind.TRUNCATION).truncated == 1,
    Kind.TOOL_CHOICE: lambda: (
        [s.tool for s in FAULTS[Kind.TOOL_CHOICE].strike(HEALTHY, ABOUT) if s.tool] == [other_tool(TOOL)]
    ),
    Kind.SILENCE: lambda: FAULTS[Kind.SILENCE].strike(HEALTHY, ABOUT) == (),
    Kind.INJECTION: lambda: (
        [s.output for s in FAULTS[Kind.INJECTION].strike(HEALTHY, ABOUT) if s.tool] == [f"[1]\n{ORDER}"]
    ),
    Kind.RUNAWAY: lambda: shown(Kind.RUNAWAY).cost_usd >= 20 * ABOUT.largest_usd * 0.999,
}


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.value)
def test_a_fault_changes_what_its_detector_measures(kind) -> None:
    """A trajectory with the fault in it differs in what the fault is named after."""
    assert CHANGES[kind]()


@given(
    kind=st.sampled_from([kind for kind in FAULTS if kind is not Kind.SILENCE]),
    drawn=st.floats(0, 1, exclude_max=True),
    first=st.booleans(),
    has_tool=st.booleans(),
)
def test_a_struck_trajectory_is_still_one(kind, drawn, first, has_tool) -> None:
    """Whatever strikes, ids stay unique, spans end after they begin, and the root still holds everything."""
    healthy = HEALTHY if has_tool else (HEALTHY[0], HEALTHY[1], HEALTHY[3])
    spans = struck(FAULTS[kind], healthy, ABOUT, drawn=drawn, first=first)
    assert len({span.span_id for span in spans}) == len(spans)
    assert {span.trace_id for span in spans} == {healthy[0].trace_id}
    assert all(span.start_ns <= span.end_ns for span in spans)
    top = next(span for span in spans if span.parent_id is None)
    assert all(top.start_ns <= span.start_ns and span.end_ns <= top.end_ns for span in spans)


def test_what_is_not_drawn_stays_as_it_was() -> None:
    """A fault that strikes half of the runs leaves the other half alone, and a runaway all but the first."""
    assert struck(FAULTS[Kind.LOOP], HEALTHY, ABOUT, drawn=0.6, first=True) == HEALTHY
    assert struck(FAULTS[Kind.RUNAWAY], HEALTHY, ABOUT, drawn=0.0, first=False) == HEALTHY


def test_a_copy_is_the_same_run_at_another_time() -> None:
    """Copies have a trace id of their own by the day they are moved to, and the same lengths."""
    first, second = moved(HEALTHY, 86_400 * 10**9, "1"), moved(HEALTHY, 2 * 86_400 * 10**9, "2")
    assert len({one[0].trace_id for one in (HEALTHY, first, second)}) == 3
    assert [span.duration_ms for span in first] == [span.duration_ms for span in HEALTHY]
    assert first[0].start_ns - HEALTHY[0].start_ns == 86_400 * 10**9
