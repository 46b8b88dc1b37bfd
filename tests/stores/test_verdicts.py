"""Verdicts: who repeats nothing is read once, and again only where the trajectory, the rules or the masks changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from support.spans import EPOCH, root, tool, trace_id

from analyzer.stores.recalled import RecallingTrajectories
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.steps import Step


class Judge:
    """Finds trajectories with a call for "again" remarkable, and counts how many it was shown."""

    def __init__(self, program: bytes | None = b"first") -> None:
        self.program = program
        self.shown = 0

    def is_quiet(self, steps: Sequence[Step]) -> bool:
        """Tell whether nobody has to see them again."""
        self.shown += 1
        return all(step.input != "again" for step in steps)


CALM, LOUD = trace_id(1), trace_id(2)
CALM_SPANS = [root(1), *[tool(1, 2 + i, at_s=i, input=f"page {i}") for i in range(3)]]
LOUD_SPANS = [root(2, at_s=60), *[tool(2, 2 + i, at_s=60 + i, input="again") for i in range(3)]]

Opening = Callable[..., SqliteTrajectories]


@pytest.fixture
def opening(tmp_path: Path) -> Opening:
    """Give what opens one store, filled, with a judge."""
    with SqliteTrajectories(tmp_path / "s.db") as store:
        store.add([*CALM_SPANS, *LOUD_SPANS])

    def opened(judge: Judge | None, form: type = SqliteTrajectories, **options: object) -> SqliteTrajectories:
        return form(tmp_path / "s.db", judge=None if judge is None else lambda: judge, **options)

    return opened


def numbers(found: dict[str, tuple[Step, ...]]) -> dict[str, int]:
    """Return how many steps came of each."""
    return {one: len(steps) for one, steps in found.items()}


def test_who_repeats_nothing_has_no_steps_and_is_known(opening: Opening) -> None:
    """The steps of the others come whole, each time that they are asked for; the verdict outlives the process."""
    judge = Judge()
    with opening(judge) as store:
        assert store.quiet([CALM, LOUD]) == set()
        assert numbers(store.suspects([CALM, LOUD])) == {CALM: 0, LOUD: 3}
        assert store.suspects([LOUD]) == store.steps([LOUD])
    with opening(Judge()) as store:
        assert store.quiet([CALM, LOUD, trace_id(9)]) == {CALM}


def test_without_a_judge_all_steps_come(opening: Opening) -> None:
    """A store that nobody told who can tell knows nothing and notes nothing."""
    with opening(None) as store:
        assert store.suspects([CALM, LOUD]) == store.steps([CALM, LOUD])
        assert store.quiet([CALM, LOUD]) == set()


def test_another_span_makes_a_verdict_void(opening: Opening) -> None:
    """What came late may be what repeats."""
    with opening(Judge()) as store:
        store.suspects([CALM])
        store.add([tool(1, 9, at_s=5, input="again")])
        assert store.quiet([CALM]) == set()
        assert numbers(store.suspects([CALM])) == {CALM: 4}


def test_a_span_that_changed_makes_a_verdict_void_and_a_repeated_one_does_not(opening: Opening) -> None:
    """The same span again says nothing new; in a later form it may say something else."""
    with opening(Judge()) as store:
        store.suspects([CALM])
        store.add(CALM_SPANS)
        assert store.quiet([CALM]) == {CALM}
        store.add([tool(1, 2, at_s=0, lasts_s=9.0, input="again")])
        assert store.quiet([CALM]) == set()


@pytest.mark.parametrize("number", [9, 2], ids=["another", "changed"])
def test_what_was_written_while_it_was_read_is_not_noted(opening: Opening, number: int) -> None:
    """A verdict on steps of before must not stand beside the spans of after: another one, or one that changed."""
    with opening(None) as other:

        class Slow(Judge):
            def is_quiet(self, steps: Sequence[Step]) -> bool:
                other.add([tool(1, number, at_s=5, lasts_s=9.0, input="again")])
                return super().is_quiet(steps)

        with opening(Slow()) as store:
            assert numbers(store.suspects([CALM])) == {CALM: 0}
            assert store.quiet([CALM]) == set()


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
        assert store.quiet([CALM]) == set()
        store.suspects([CALM])
        assert store.quiet([CALM]) == {CALM}


def test_a_program_that_cannot_be_told_from_others_notes_nothing(opening: Opening) -> None:
    """Its verdicts are good for itself alone."""
    with opening(Judge(None)) as store:
        assert numbers(store.suspects([CALM])) == {CALM: 0}
        assert store.quiet([CALM]) == set()


def test_whoever_may_not_write_judges_without_noting(opening: Opening) -> None:
    """And a walk over the past remembers it for itself: each trajectory is shown to the judge once."""
    judge = Judge()
    with opening(judge, RecallingTrajectories, read_only=True) as store:
        assert store.quiet([CALM, LOUD]) == set()
        assert numbers(store.suspects([CALM, LOUD])) == {CALM: 0, LOUD: 3}
        assert store.quiet([CALM, LOUD]) == {CALM}
        assert judge.shown == 2
    with opening(judge) as store:
        assert store.quiet([CALM]) == set()


def test_a_trajectory_that_is_pruned_takes_its_verdict_with_it(opening: Opening) -> None:
    """Its row id is given to others, of whom nothing was said."""
    with opening(Judge()) as store:
        store.suspects([CALM])
        store.prune(EPOCH + timedelta(days=1))
        store.add([root(3), tool(3, 2, input="again")])
        assert store.quiet([trace_id(3)]) == set()
        with store.connection.reading() as raw:
            assert raw.execute("SELECT COUNT(*) FROM quiet").fetchone()[0] == 0
