"""Suspects: each is read once, of those with a loop the worst again, and a window is the same either way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spans import EPOCH, chat, root, tool, trace_id

from analyzer.detectors.loop import LoopDetector
from analyzer.metrics.window import Reach, collect
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.loops import WORST_KEPT, Looked, Loop, Suspect, badness, worst
from analyzer.types.metric import Window
from analyzer.types.report import Gap
from analyzer.types.steps import Step
from analyzer.types.trace import Span
from analyzer.wiring.judging import loop_judge

AT = EPOCH + timedelta(days=3)
REACH = Reach(AT, timedelta(days=1), timedelta(days=28))
IN_WINDOW = 2.5 * 86_400
MANY = range(1, 2 * WORST_KEPT + 1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteTrajectories]:
    """Give an empty store that nobody told who can tell."""
    with SqliteTrajectories(tmp_path / "s.db") as opened:
        yield opened


class Remote(SqliteTrajectories):
    """A store of which some texts cannot be read, that says what was."""

    gone: frozenset[str] = frozenset()

    def suspects(self, trace_ids: Sequence[str]) -> dict[str, Suspect]:
        """See `TrajectoryStore.suspects`."""
        self.read = [*getattr(self, "read", []), *trace_ids]
        return super().suspects(trace_ids)

    def steps(self, trace_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
        """See `TrajectoryStore.steps`."""
        return super().steps([one for one in trace_ids if one not in self.gone])


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    """Give a store with twenty trajectories of one agent that loop, the later ones longer, and one that does not."""
    with Remote(tmp_path / "remote.db", judge=loop_judge) as opened:
        for number in MANY:
            opened.add(looping(number, IN_WINDOW + 60 * number, calls=4 + number))
        opened.add([root(99, at_s=IN_WINDOW), *[tool(99, 2 + i, at_s=IN_WINDOW + i, input=f"q{i}") for i in range(3)]])
        yield opened


def looping(number: int, at_s: float, calls: int = 4) -> list[Span]:
    """Return a trajectory that calls one tool several times."""
    asked = [chat(number, 100 + i, at_s=at_s + i, output="") for i in range(calls)]
    return [root(number, at_s=at_s), *[tool(number, 2 + i, at_s=at_s + i + 0.5) for i in range(calls)], *asked]


def collected(remote: Remote, gone: Sequence[int] = ()) -> tuple[Window, list[str]]:
    """Return a window and what was read for it, in order."""
    remote.read, remote.gone = [], frozenset(trace_id(number) for number in gone)
    return collect(remote, None, {}, REACH), remote.read


def test_what_was_found_to_repeat_nothing_is_a_suspect_without_its_steps(tmp_path: Path) -> None:
    """It counts among the agent's trajectories that repeat a call, and its texts are not read a second time."""
    in_window = 2.5 * 86_400
    with SqliteTrajectories(tmp_path / "judged.db", judge=loop_judge) as judged:
        judged.add([root(1, at_s=in_window), *[tool(1, 2 + i, at_s=in_window + i, input=f"q{i}") for i in range(3)]])
        judged.add([root(2, at_s=in_window), *[tool(2, 2 + i, at_s=in_window + i, input="q") for i in range(6)]])
        first = collect(judged, None, {}, REACH)
        read: list[str] = []
        judged.steps = lambda ids, whole=judged.steps: read.extend(ids) or whole(ids)
        again = collect(judged, None, {}, REACH)
    assert {one: len(steps) for one, steps in again.suspects.items()} == {trace_id(1): 0, trace_id(2): 6}
    assert (again.suspects, again.agent_of(trace_id(1)), again.gaps) == (first.suspects, "shop", ())
    assert read == [trace_id(2)]


def test_of_many_loops_only_those_that_are_quoted_are_read_again(remote: Remote) -> None:
    """The second window is the first one to the last digit, and so is what is found in it."""
    first, read = collected(remote)
    assert len(read) == len(MANY) + 1
    second, read = collected(remote)
    assert second == first
    assert read == [trace_id(number) for number in reversed(MANY[-WORST_KEPT:])]
    assert sorted(trace for trace, steps in first.suspects.items() if steps) == sorted(read)


def test_a_finding_is_that_of_whoever_has_all_steps(remote: Remote) -> None:
    """Its count, its beginning, its quotes: as if every trajectory had been read for it."""
    window, _ = collected(remote)
    whole = replace(window, suspects=remote.steps(list(window.suspects)), looked={})
    found = LoopDetector().detect(window)
    assert found == LoopDetector().detect(whole)
    assert [(one.affected, one.of) for one in found] == [(len(MANY), len(MANY) + 1)]
    assert LoopDetector().explain(window, "shop") == LoopDetector().explain(whole, "shop")


@pytest.mark.parametrize("gone", [MANY, MANY[-3:], MANY[:3], MANY[-WORST_KEPT:]])
def test_what_cannot_be_read_any_more_is_left_out(remote: Remote, gone: Sequence[int]) -> None:
    """What was noted of it proves nothing without its texts; where one is missing, every other one is looked at."""
    collected(remote)
    window, _ = collected(remote, gone)
    lost = {trace_id(number) for number in gone} if set(gone) & set(MANY[-WORST_KEPT:]) else set()
    assert set(window.suspects) == {trace_id(number) for number in (*MANY, 99)} - lost
    why = f"the texts of {len(lost)} of {len(MANY) + 1} trajectories that repeat a call could not be read"
    assert [gap.why for gap in window.gaps] == ([why] if lost else [])
    [finding] = LoopDetector().detect(window) or [None]
    assert (0 if finding is None else finding.affected) == len(MANY) - len(lost)
    assert finding is None or finding.evidence


@pytest.mark.parametrize("noted", [MANY[-WORST_KEPT:], MANY[:WORST_KEPT]])
def test_whoever_was_read_beside_what_is_gone_is_quoted(remote: Remote, noted: Sequence[int]) -> None:
    """Of what was noted all is gone, and it was worse than what is new, or less bad: the new ones have their steps."""
    new = [number for number in MANY if number not in noted]
    remote.suspects([trace_id(number) for number in noted])
    window, _ = collected(remote, noted)
    whole = replace(window, suspects=remote.steps(list(window.suspects)), looked={})
    assert set(window.suspects) == {trace_id(number) for number in (*new, 99)}
    assert LoopDetector().detect(window) == LoopDetector().detect(whole) != ()


def test_what_is_gone_is_forgotten(remote: Remote) -> None:
    """Runs after it read again what is quoted, and ask for what is gone: not for all that was noted."""
    collected(remote)
    gone = MANY[-2:]
    assert len(set(collected(remote, gone)[1])) == len(MANY)
    first, read = collected(remote, gone)
    assert len(read) == WORST_KEPT + len(gone)
    assert collected(remote, gone)[0] == first


def test_where_nothing_answers_nothing_is_forgotten(remote: Remote) -> None:
    """What lies there may be read by the next run: it does not look at all of it anew."""
    collected(remote)
    assert not LoopDetector().detect(collected(remote, (*MANY, 99))[0])
    _, read = collected(remote)
    assert len(read) == WORST_KEPT


@pytest.mark.parametrize("again", [False, True])
def test_where_the_steps_are_too_much_text_fewer_are_kept_and_all_is_counted(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """A finding says how many there are, and quotes the worst, whether an earlier run has looked or not."""
    text = sum(len(step.input) + len(step.output) for step in remote.steps([trace_id(MANY[-1])])[trace_id(MANY[-1])])
    monkeypatch.setattr("analyzer.metrics.suspects.TRAJECTORIES_AT_ONCE", 2)
    monkeypatch.setattr("analyzer.metrics.suspects.CHARACTERS_MAX", 2 * text)
    if again:
        collected(remote)
    window, _ = collected(remote)
    [finding] = LoopDetector().detect(window)
    assert (finding.affected, window.gaps) == (len(MANY), ())
    assert {one.trace_id for one in finding.evidence} == {finding.trace_ids[0]}
    assert [trace for trace, steps in window.suspects.items() if steps] == [finding.trace_ids[0]]


def test_what_is_another_than_when_it_was_looked_at_is_seen_as_it_is(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts that changed where they lie: of all loops what was noted is not relied on."""
    first, _ = collected(remote)
    steps = remote.steps

    def others(ids: Sequence[str]) -> dict[str, tuple]:
        found = steps(ids)
        return {name: tuple(replace(one, input=f"{one.number}") for one in own) for name, own in found.items()}

    monkeypatch.setattr(remote, "steps", others)
    second, read = collected(remote)
    assert LoopDetector().detect(first)
    assert not LoopDetector().detect(second)
    assert len(read) == len(set(read)) == len(MANY)


sure = st.sampled_from([0.3, 0.45, 0.75, 0.9])
found_loops = st.builds(
    lambda usd, confidence, tool: Loop("r", 1, 2, 3, 3, 1, tool, ("s",), 0, usd, 0, confidence, "", None),
    st.sampled_from([0.0, 0.1, 0.2]), sure, st.sampled_from(["a", "b"]),
)  # fmt: skip
seen = st.dictionaries(
    st.integers(0, 40).map(str), st.lists(found_loops, max_size=2).map(lambda own: Looked(tuple(own))), max_size=20
)


@given(seen, sure)
def test_the_worst_are_there_however_sure_a_detector_must_be(looked: dict[str, Looked], confidence_min: float) -> None:
    """For each tool the first of those that are sure enough, in the order in which they are quoted."""
    kept = worst(looked, dict.fromkeys(looked, "shop"), 3)
    for name in ("a", "b"):
        ranked = sorted(
            (badness(trace, loop), trace)
            for trace, one in looked.items()
            for loop in one.loops
            if loop.tool == name and loop.confidence >= confidence_min
        )
        assert set(list(dict.fromkeys(trace for _, trace in ranked))[:3]) <= kept


@given(seen)
def test_few_are_kept(looked: dict[str, Looked]) -> None:
    """Of those that cost different sums, for each tool at most as many as there are levels of confidence."""
    kept = worst(looked, dict.fromkeys(looked, "shop"), 1)
    assert len(kept) <= 2 * 4
    assert all(looked[trace].loops for trace in kept)


@pytest.mark.parametrize(("limit", "most"), [("SPANS_AT_ONCE", 18), ("TRAJECTORIES_AT_ONCE", 2)])
def test_trajectories_are_read_in_portions(
    store: SqliteTrajectories, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    """By their spans and by their number, those that repeat most first: that is what is in memory at once."""
    monkeypatch.setattr(f"analyzer.metrics.suspects.{limit}", most)
    for number in (1, 2, 3, 4):
        store.add(looping(number, 2.5 * 86_400))
    read: list[list[str]] = []
    store.suspects = lambda ids, whole=store.suspects: read.append(list(ids)) or whole(ids)  # type: ignore[method-assign]
    window = collect(store, None, {}, REACH)
    assert read == [[trace_id(1), trace_id(2)], [trace_id(3), trace_id(4)]]
    assert (len(window.suspects), window.gaps) == (4, ())


def test_what_does_not_fit_into_memory_is_said(store: SqliteTrajectories, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once so much text is held no more is read, and the gap says of how many trajectories."""
    monkeypatch.setattr("analyzer.metrics.suspects.TRAJECTORIES_AT_ONCE", 1)
    monkeypatch.setattr("analyzer.metrics.suspects.CHARACTERS_MAX", 1)
    for number in (1, 2, 3):
        store.add(looping(number, 2.5 * 86_400))
    window = collect(store, None, {}, REACH)
    why = "2 of 3 trajectories that repeat a call did not fit into one run"
    assert (set(window.suspects), window.gaps) == ({trace_id(1)}, (Gap("loops", why, "run with a shorter --lookback"),))
