"""What is to be seen in a trajectory, for a store that notes it, and by which program that is said."""

from __future__ import annotations

import ast
import sys
from dataclasses import replace
from pathlib import Path

from detectors.loop_cases import NEGATIVE, POSITIVE
from hypothesis import given
from hypothesis import strategies as st

from analyzer.detectors.loops import judge as module
from analyzer.detectors.loops.judge import ROOMS, LoopJudge
from analyzer.detectors.loops.scan import look, scan
from analyzer.types.loops import POLLS_MIN, Looked
from analyzer.types.program import program_of
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Status

texts = st.sampled_from(["", "not found", "error: no such order", '{"id": 7}', "page 2 of 9", "é", "\ud800"])
calls = st.builds(
    Step,
    number=st.just(0), span_id=st.just("s"), parent_id=st.none(), agent=st.just("a"), input=texts, output=texts,
    operation=st.sampled_from([Operation.TOOL, Operation.CHAT]), name=st.sampled_from(["lookup", "search"]),
    status=st.sampled_from(list(Status)), status_message=st.just(""), error=st.none(),
    start_ns=st.none(), end_ns=st.none(), tokens=st.integers(0, 9), cost_usd=st.none() | st.floats(0, 1),
)  # fmt: skip
trajectories = st.lists(calls, max_size=12).map(
    lambda made: tuple(replace(one, number=at, span_id=f"s{at}") for at, one in enumerate(made, start=1))
)


@given(trajectories)
def test_what_is_seen_are_the_loops_and_what_only_waiting_explains(steps: tuple[Step, ...]) -> None:
    """Nothing else is said of a trajectory, and so its steps need not be there."""
    seen = LoopJudge().look(steps)
    assert seen.loops == scan(steps)
    assert seen.polls == 0 or seen.polls >= POLLS_MIN
    assert seen.is_quiet == (seen == Looked())


@given(trajectories)
def test_a_loop_begins_when_its_first_step_starts(steps: tuple[Step, ...]) -> None:
    """Which is said with it: the steps may not be there to look it up."""
    timed = [replace(one, start_ns=one.number * 10**9) for one in steps]
    assert [one.began_ns for one in scan(timed)] == [one.first_step * 10**9 for one in scan(timed)]


def test_of_the_reference_table_no_loop_is_quiet_and_nearly_all_lookalikes_are() -> None:
    """What must be found is never passed over, and what repeats well costs one reading."""
    assert not [name for name, steps in POSITIVE.items() if look(steps).is_quiet]
    loud = {name for name, steps in NEGATIVE.items() if not look(steps).is_quiet}
    assert loud == {name for name, steps in NEGATIVE.items() if look(steps).polls}
    assert len(loud) < len(NEGATIVE) / 4


def test_no_room_that_makes_steps_is_left_out_of_the_judges_program() -> None:
    """A verdict of before a change in any of them is not believed after it."""
    judge = LoopJudge()
    assert judge.program is not None
    assert judge.program != program_of(sorted(Path(module.__file__).parent.glob("*.py")))
    house = Path(module.__file__).parents[2]
    assert [room for room in ROOMS if not any((house / room).rglob("*.py"))] == []


def test_the_rules_are_known_by_all_their_code() -> None:
    """A module of the house that a look comes to use tells programs apart with it, or old verdicts would stand."""
    seen: set[str] = set()
    ahead = [LoopJudge.__module__]
    while ahead:
        name = ahead.pop()
        if name in seen:
            continue
        seen.add(name)
        file = Path(str(sys.modules[name].__file__))
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("analyzer"):
                named = {f"{node.module}.{one.name}" for one in node.names} | {str(node.module)}
                ahead += [one for one in named if hasattr(sys.modules.get(one), "__file__")]
    rooms = {f"analyzer.{room.replace('/', '.')}" for room in ROOMS}
    assert {name for name in seen if not any(f"{name}.".startswith(f"{room}.") for room in rooms)} <= {
        "analyzer", "analyzer.detectors"
    }  # fmt: skip
    assert len(seen) > len(ROOMS)
