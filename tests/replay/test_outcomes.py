"""The five outcomes of a replay: each is earned, and none is a pass by default."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spans import chat, root

from analyzer.replay.conversation import Message, ToolCall, ToolDefinition
from analyzer.replay.outcomes import Divergence, Judged, Observed, Outcome, changes_between, judged
from analyzer.replay.recording import Request, recording_of
from analyzer.types.trajectory import Trajectory, summarise

SPANS = (root(1), chat(1, 2, input='"go"', output='"ok"'))
RECORDING = recording_of(Trajectory(summarise(SPANS[0].trace_id, SPANS), SPANS))
WHOLE = Observed(started=True, finished=True)


def left(step: int, **fields: object) -> Observed:
    """Return a run that left the recording at a step and came to its end."""
    return replace(WHOLE, divergence=Divergence(step, "another tool was asked for"), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("observed", "fault", "expected"),
    [
        (WHOLE, 3, Judged(Outcome.REPRODUCED, "it went the recorded way to its end", 3)),
        (WHOLE, None, Judged(Outcome.REPRODUCED, "it went the recorded way to its end", None)),
        (left(5), 3, Judged(Outcome.REPRODUCED, "it went the recorded way past step 3", 3)),
        (left(3, faulty=True), 3, Judged(Outcome.REPRODUCED, "it left the recording at step 3, and the fault came", 3)),
        (
            left(3, faulty=False),
            3,
            Judged(Outcome.FIXED, "it left the recording at step 3, and the fault did not come", 3),
        ),
        (
            left(3),
            3,
            Judged(
                Outcome.DIVERGED,
                "it left the recording at step 3 (another tool was asked for); nothing says whether the fault is gone",
                3,
            ),
        ),
        (
            left(3, faulty=False, finished=False, problem="the agent exited with 1"),
            3,
            Judged(
                Outcome.DIVERGED,
                "it left the recording at step 3 (another tool was asked for), and the agent exited with 1",
                3,
            ),
        ),
        (
            left(3, faulty=False),
            None,
            Judged(Outcome.CANNOT_JUDGE, "the fault did not come, but which step was at fault is not known", 3),
        ),
        (
            left(3, faulty=False, changed=("the system prompt",)),
            3,
            Judged(Outcome.CANNOT_JUDGE, "the system prompt changed: the recorded results no longer apply", 3),
        ),
        (
            replace(WHOLE, faulty=False),
            3,
            Judged(Outcome.CANNOT_JUDGE, "the run is the recorded one, and yet the fault was not seen", 3),
        ),
        (
            replace(WHOLE, started=False, finished=False),
            3,
            Judged(Outcome.CANNOT_REPRODUCE, "no request came"),
        ),
        (
            replace(WHOLE, finished=False, problem="a tool result is missing"),
            3,
            Judged(Outcome.CANNOT_REPRODUCE, "a tool result is missing", 3),
        ),
    ],
)
def test_each_outcome_is_earned(observed: Observed, fault: int | None, expected: Judged) -> None:
    """What was seen gives one outcome, a sentence that says why, and the step."""
    assert judged(RECORDING, observed, fault=fault) == expected


def test_a_recording_without_calls_cannot_be_reproduced() -> None:
    """Nothing recorded is nothing reproduced, whatever the run did."""
    empty = replace(RECORDING, calls=())
    assert judged(empty, WHOLE, fault=None) == Judged(Outcome.CANNOT_REPRODUCE, "the recording has no model call")


@given(
    st.builds(
        Observed,
        started=st.booleans(),
        finished=st.booleans(),
        divergence=st.none() | st.builds(Divergence, st.integers(1, 5), st.just("x")),
        changed=st.sampled_from([(), ("the system prompt",)]),
        faulty=st.sampled_from([None, True, False]),
    ),
    st.none() | st.integers(1, 5),
)
def test_fixed_is_never_a_default(observed: Observed, fault: int | None) -> None:
    """Fixed needs a run that ended, a fault that is known and was looked for, and a recording that still applies."""
    found = judged(RECORDING, observed, fault=fault)
    assert found.why
    if found.outcome is Outcome.FIXED:
        assert observed.started
        assert observed.finished
        assert observed.faulty is False
        assert not observed.changed
        assert fault is not None
        assert observed.divergence is not None
        assert observed.divergence.step <= fault


FIND = ToolDefinition("find", "Find it.", {"type": "object"})
PAY = ToolDefinition("pay", "Pay it.", {"type": "object"})
REQUEST = Request("m", {}, "be brief", (FIND, PAY), (Message("assistant", tool_calls=(ToolCall("c", "find", {}),)),))


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (REQUEST, ()),
        (replace(REQUEST, system="be brief\n", model="other", prompt_version="9"), ()),
        (replace(REQUEST, system="be long"), ("the system prompt",)),
        (replace(REQUEST, tools=(PAY, FIND)), ()),
        (replace(REQUEST, tools=(FIND, PAY, ToolDefinition("new", "", {}))), ()),
        (replace(REQUEST, tools=(FIND,)), ()),
        (replace(REQUEST, tools=(PAY,)), ("the definition of find",)),
        (replace(REQUEST, tools=(FIND, replace(PAY, schema={"type": "array"}))), ("the definition of pay",)),
    ],
)
def test_what_no_longer_fits_is_told_by_content(now: Request, changed: tuple[str, ...]) -> None:
    """A changed prompt or a changed definition counts; another order, a tool more, or an unused one less does not."""
    assert changes_between(REQUEST, now) == changed
