"""Scans that are remembered: what is found is the same, and nothing is scanned twice."""

from __future__ import annotations

import ast
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from detectors.loop_cases import NEGATIVE, POSITIVE
from hypothesis import given
from hypothesis import strategies as st

import analyzer.detectors.loops.remembered as module
from analyzer.detectors.loops.quiet import ROOMS, QuietJudge
from analyzer.detectors.loops.remembered import BESIDE, Scans
from analyzer.detectors.loops.scan import POLLS_MIN, is_quiet, polls, scan
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
LOOPING = tuple(
    Step(at, f"s{at}", None, Operation.TOOL, "lookup", "a", "{}", "none", Status.OK, "", None, None, None, 0, 0.1)
    for at in range(1, 9)
)


def never() -> bytes | None:
    """Fail whoever asks."""
    raise AssertionError


@given(st.lists(trajectories, max_size=5))
def test_what_is_remembered_is_what_a_scan_finds(seen: list[tuple[Step, ...]]) -> None:
    """For any trajectories the first run and the one after it give what `scan` gives, to the last digit."""
    expected = [scan(one) for one in seen]
    first = Scans(lambda: None)
    assert [first.loops_of(one) for one in seen] == expected
    later = Scans(lambda: first.body)
    assert [later.loops_of(one) for one in seen] == expected


def test_a_trajectory_is_scanned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither twice in a run nor in the next one; and a run that learnt nothing has nothing to keep."""
    first = Scans(lambda: None)
    assert len(first.loops_of(LOOPING)) == 1
    body = first.body
    monkeypatch.setattr(module, "scan", lambda _steps: never())
    assert first.loops_of(LOOPING) == scan(LOOPING)
    later = Scans(lambda: body)
    assert later.loops_of(LOOPING) == scan(LOOPING)
    assert later.body is None


@pytest.mark.parametrize("change", [{"output": "found"}, {"cost_usd": 0.2}, {"tokens": 1}, {"status": Status.ERROR}])
def test_what_has_changed_is_scanned_anew(change: dict) -> None:
    """Late spans, pruned texts, a new price: whatever of the steps is another, the answer is that of now."""
    first = Scans(lambda: None)
    first.loops_of(LOOPING)
    changed = (*LOOPING[:6], replace(LOOPING[6], **change), LOOPING[7])
    later = Scans(lambda: first.body)
    assert later.loops_of(changed) == scan(changed) != scan(LOOPING)
    assert later.body != first.body


def test_what_is_looked_at_no_more_is_forgotten() -> None:
    """What is kept is what one run looked at: it does not grow with the runs."""
    first = Scans(lambda: None)
    first.loops_of(LOOPING)
    first.loops_of(LOOPING[:7])
    later = Scans(lambda: first.body)
    later.loops_of(LOOPING)
    assert (len(orjson.loads(first.body or b"")), len(orjson.loads(later.body or b""))) == (2, 1)


def test_nothing_is_asked_for_before_a_trajectory_is_looked_at() -> None:
    """A run without suspects reads and keeps nothing."""
    assert Scans(never).body is None


@pytest.mark.parametrize("broken", [b"", b"[]", b"{", b'{"a": 1}', b'{"a": [1]}', b'{"a": [[1, 2]]}'])
def test_what_cannot_be_read_is_scanned_anew(broken: bytes) -> None:
    """What another release kept in another form is no reason to fail."""
    scans = Scans(lambda: broken)
    assert scans.loops_of(LOOPING) == scan(LOOPING)
    assert scans.body is not None


def test_other_rules_scan_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other code has found is not taken for what this one finds."""
    first = Scans(lambda: None)
    first.loops_of(LOOPING)
    monkeypatch.setattr(module, "_rules", lambda: b"another release")
    monkeypatch.setattr(module, "scan", lambda _steps: ())
    assert Scans(lambda: first.body).loops_of(LOOPING) == ()


def test_the_rules_are_known_by_all_their_code() -> None:
    """A module of the house that a scan comes to use is part of what tells rules apart, or old scans would stand."""
    seen: set[str] = set()
    ahead = [scan.__module__]
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
    beside = {name for name in seen if not name.startswith("analyzer.detectors.loops")}
    packages = {"analyzer.types", "analyzer"}
    assert beside - packages == {one.__name__ for one in BESIDE}
    assert len(beside) > 3


def test_without_its_sources_a_program_scans_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can tell then whether the rules are those of the run before: nothing is taken from it, or kept."""
    monkeypatch.setattr(module, "_rules", lambda: None)
    scans = Scans(never)
    assert scans.loops_of(LOOPING) == scan(LOOPING)
    assert scans.body is None


@given(trajectories)
def test_a_quiet_trajectory_is_as_if_it_had_no_steps(steps: tuple[Step, ...]) -> None:
    """It has no loop by any rule, and nothing of it would be said of polling: so its steps need not be there."""
    assert is_quiet(steps) == (not scan(steps) and polls(steps) < POLLS_MIN)


def test_of_the_reference_table_no_loop_is_quiet_and_nearly_all_lookalikes_are() -> None:
    """What must be found is never passed over, and what repeats well costs one reading."""
    assert not [name for name, steps in POSITIVE.items() if is_quiet(steps)]
    loud = {name for name, steps in NEGATIVE.items() if not is_quiet(steps)}
    assert loud == {name for name, steps in NEGATIVE.items() if polls(steps) >= POLLS_MIN}
    assert len(loud) < len(NEGATIVE) / 4


def test_no_room_that_makes_steps_is_left_out_of_the_judges_program() -> None:
    """A verdict of before a change in any of them is not believed after it."""
    judge = QuietJudge()
    assert judge.program is not None
    assert judge.program != program_of(sorted(Path(module.__file__).parent.glob("*.py")))
    house = Path(module.__file__).parents[2]
    assert [room for room in ROOMS if not any((house / room).rglob("*.py"))] == []
