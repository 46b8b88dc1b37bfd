"""Verdicts: what is seen is noted, and void only where the trajectory, the rules or the masks changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spans import EPOCH, root, tool, trace_id

from analyzer.stores.recalled import RecallingTrajectories
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.loops import Looked, Loop, Suspect
from analyzer.types.steps import Step


class Judge:
    """Finds a loop in trajectories with a call for "again", and counts how many it was shown."""

    def __init__(self, program: bytes | None = b"first") -> None:
        self.program = program
        self.shown = 0

    def look(self, steps: Sequence[Step]) -> Looked:
        """Return what there is to see."""
        self.shown += 1
        return SEEN if any(step.input == "again" for step in steps) else Looked()


SEEN = Looked((Loop("repeat_same_call", 1, 3, 3, 3, 1, "t", ("a", "b"), 0, 0.1, 7, 0.75, "again", None),))
CALM, LOUD = trace_id(1), trace_id(2)
CALM_SPANS = [root(1), *[tool(1, 2 + i, at_s=i, input=f"page {i}") for i in range(3)]]
LOUD_SPANS = [root(2, at_s=60), *[tool(2, 2 + i, at_s=60 + i, input="again") for i in range(3)]]

words, numbered = st.text(st.characters(), max_size=5), st.integers(0, 2**63)
loops = st.builds(
    Loop,
    rule=words, tool=st.none() | words, what=words, example_span_ids=st.lists(words, max_size=3).map(tuple),
    first_step=numbered, last_step=numbered, repeats=numbered, limit=numbered, period=numbered, wasted_steps=numbered,
    wasted_usd=st.floats(0), wasted_tokens=numbered, confidence=st.floats(0, 1), began_ns=st.none() | numbered,
)  # fmt: skip

Opening = Callable[..., SqliteTrajectories]


@pytest.fixture
def opening(tmp_path: Path) -> Opening:
    """Give what opens one store, filled, with a judge."""
    with SqliteTrajectories(tmp_path / "s.db") as store:
        store.add([*CALM_SPANS, *LOUD_SPANS])

    def opened(judge: Judge | None, form: type = SqliteTrajectories, **options: object) -> SqliteTrajectories:
        return form(tmp_path / "s.db", judge=None if judge is None else lambda: judge, **options)

    return opened


def numbers(found: dict[str, Suspect]) -> dict[str, int]:
    """Return how many steps came of each."""
    return {trace_id: len(one.steps) for trace_id, one in found.items()}


def test_what_was_seen_is_known_and_who_repeats_nothing_has_no_steps(opening: Opening) -> None:
    """The steps of the others come whole, each time that they are asked for; the verdict outlives the process."""
    judge = Judge()
    with opening(judge) as store:
        assert store.looked([CALM, LOUD]) == {}
        assert numbers(store.suspects([CALM, LOUD])) == {CALM: 0, LOUD: 3}
        assert store.suspects([LOUD]) == {LOUD: Suspect(store.steps([LOUD])[LOUD], SEEN)}
    with opening(Judge()) as store:
        assert store.looked([CALM, LOUD, trace_id(9)]) == {CALM: Looked(), LOUD: SEEN}


@given(st.builds(Looked, st.lists(loops, max_size=3).map(tuple), st.integers(0, 99)))
def test_what_was_seen_is_read_back_to_the_last_digit(seen: Looked) -> None:
    """Whatever stands in names: half a character pair, which UTF-8 cannot hold, too."""

    class Seeing(Judge):
        def look(self, steps: Sequence[Step]) -> Looked:
            return seen

    with SqliteTrajectories(":memory:", judge=Seeing) as store:
        store.add(CALM_SPANS)
        assert [one.looked for one in store.suspects([CALM]).values()] == [seen]
        assert store.looked([CALM]) == {CALM: seen}


def test_without_a_judge_all_steps_come(opening: Opening) -> None:
    """A store that nobody told who can tell knows nothing and notes nothing."""
    with opening(None) as store:
        found = store.suspects([CALM, LOUD])
        assert {trace_id: one.steps for trace_id, one in found.items()} == store.steps([CALM, LOUD])
        assert [one.looked for one in found.values()] == [None, None]
        assert store.looked([CALM, LOUD]) == {}


def test_another_span_makes_a_verdict_void(opening: Opening) -> None:
    """What came late may be what repeats."""
    with opening(Judge()) as store:
        store.suspects([CALM])
        store.add([tool(1, 9, at_s=5, input="again")])
        assert store.looked([CALM]) == {}
        assert numbers(store.suspects([CALM])) == {CALM: 4}


def test_a_span_that_changed_makes_a_verdict_void_and_a_repeated_one_does_not(opening: Opening) -> None:
    """The same span again says nothing new; in a later form it may say something else."""
    with opening(Judge()) as store:
        store.suspects([CALM])
        store.add(CALM_SPANS)
        assert store.looked([CALM]) == {CALM: Looked()}
        store.add([tool(1, 2, at_s=0, lasts_s=9.0, input="again")])
        assert store.looked([CALM]) == {}


@pytest.mark.parametrize("number", [9, 2], ids=["another", "changed"])
def test_what_was_written_while_it_was_read_is_not_noted(opening: Opening, number: int) -> None:
    """A verdict on steps of before must not stand beside the spans of after: another one, or one that changed."""
    with opening(None) as other:

        class Slow(Judge):
            def look(self, steps: Sequence[Step]) -> Looked:
                other.add([tool(1, number, at_s=5, lasts_s=9.0, input="again")])
                return super().look(steps)

        with opening(Slow()) as store:
            assert numbers(store.suspects([CALM])) == {CALM: 0}
            assert store.looked([CALM]) == {}


@pytest.mark.parametrize(("kept", "is_noted"), [(1, False), (3, True), (9, False)])
def test_what_was_seen_in_a_part_is_not_noted(opening: Opening, kept: int, is_noted: bool) -> None:
    """A replica that lags gives some spans, and a service that is not followed has more: the loop may be another."""
    with opening(Judge()) as store:
        whole = store.steps
        store.steps = lambda ids: {one: (own * 3)[:kept] for one, own in whole(ids).items()}  # type: ignore[method-assign]
        assert numbers(store.suspects([LOUD])) == {LOUD: kept}
        assert store.looked([LOUD]) == ({LOUD: SEEN} if is_noted else {})


@pytest.mark.parametrize(("kept", "is_noted"), [(1, False), (3, True), (9, True)])
def test_that_nothing_is_seen_in_more_than_is_here_is_noted(opening: Opening, kept: int, is_noted: bool) -> None:
    """Else whoever names services would read all their trajectories with every run."""
    with opening(Judge()) as store:
        whole = store.steps
        store.steps = lambda ids: {one: (own * 3)[:kept] for one, own in whole(ids).items()}  # type: ignore[method-assign]
        store.suspects([CALM])
        assert store.looked([CALM]) == ({CALM: Looked()} if is_noted else {})


@pytest.mark.parametrize("form", [SqliteTrajectories, RecallingTrajectories])
def test_what_cannot_be_read_beside_others_is_forgotten(opening: Opening, form: type) -> None:
    """It is gone from where it lay. Where nothing comes at all that may be down, and what was noted stays."""
    with opening(Judge(), form) as store:
        assert store.looked([CALM, LOUD]) == {}
        store.suspects([CALM, LOUD])
        whole = store.steps
        store.steps = lambda _ids: {}  # type: ignore[method-assign]
        store.suspects([CALM, LOUD])
        assert store.looked([CALM, LOUD]) == {CALM: Looked(), LOUD: SEEN}
        store.steps = lambda ids: {one: own for one, own in whole(ids).items() if one == CALM}  # type: ignore[method-assign]
        store.suspects([CALM, LOUD])
        assert store.looked([CALM, LOUD]) == {CALM: Looked()}


def test_what_is_noted_already_is_not_written_again(opening: Opening) -> None:
    """What is quoted is read by every run: it does not wait for the turn of a writer each time."""
    with opening(Judge()) as store, opening(None) as other:

        def version() -> int:
            """Return a number that is another one when another connection has written."""
            with other.connection.reading() as raw:
                return int(raw.execute("PRAGMA data_version").fetchone()[0])

        store.suspects([CALM, LOUD])
        before = version()
        assert numbers(store.suspects([CALM, LOUD])) == {CALM: 0, LOUD: 3}
        assert version() == before
        store.add([tool(1, 9, at_s=5)])
        assert version() != before


@pytest.mark.parametrize(
    ("judge", "options"),
    [(Judge(b"second"), {}), (Judge(), {"patterns": (("order", "page"),)}), (Judge(), {"allow": ("page",)})],
    ids=["rules", "patterns", "allowed"],
)
def test_other_rules_and_other_masks_judge_anew(opening: Opening, judge: Judge, options: dict[str, object]) -> None:
    """A verdict is of what these rules saw in texts masked like this."""
    with opening(Judge()) as store:
        store.suspects([CALM])
    with opening(judge, **options) as store:
        assert store.looked([CALM]) == {}
        store.suspects([CALM])
        assert store.looked([CALM]) == {CALM: Looked()}


def test_a_program_that_cannot_be_told_from_others_notes_nothing(opening: Opening) -> None:
    """Its verdicts are good for itself alone."""
    with opening(Judge(None)) as store:
        assert numbers(store.suspects([CALM])) == {CALM: 0}
        assert store.looked([CALM]) == {}


def test_whoever_may_not_write_judges_without_noting(opening: Opening) -> None:
    """And a walk over the past remembers it for itself: each trajectory is shown to the judge once."""
    judge = Judge()
    with opening(judge, RecallingTrajectories, read_only=True) as store:
        assert store.looked([CALM, LOUD]) == {}
        assert numbers(store.suspects([CALM, LOUD])) == {CALM: 0, LOUD: 3}
        assert store.looked([CALM, LOUD]) == {CALM: Looked(), LOUD: SEEN}
        assert judge.shown == 2
    with opening(judge) as store:
        assert store.looked([CALM]) == {}


def test_a_trajectory_that_is_pruned_takes_its_verdict_with_it(opening: Opening) -> None:
    """Its row id is given to others, of whom nothing was said."""
    with opening(Judge()) as store:
        store.suspects([CALM])
        store.prune(EPOCH + timedelta(days=1))
        store.add([root(3), tool(3, 2, input="again")])
        assert store.looked([trace_id(3)]) == {}
        with store.connection.reading() as raw:
            assert raw.execute("SELECT COUNT(*) FROM looked").fetchone()[0] == 0
