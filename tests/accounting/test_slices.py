"""Where a rise is: the smallest slice that explains it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence

import pytest

from analyzer.accounting.slices import search
from analyzer.stores.base import Cohort
from analyzer.types.place import Place

Row = tuple[tuple[str | None, ...], float]


def day(rng: random.Random, size: int, *, version: str = "1", part: float = 1.0) -> list[Row]:
    """Return the trajectories of one agent; a part of them runs on a version, the rest on 1."""
    rows: list[Row] = []
    for _ in range(size):
        made = version if rng.random() < part else "1"
        model = rng.choice(["small", "large"])
        values = ("shop", made, model, f"p{rng.randint(1, 2)}", f"t{rng.randint(1, 4)}", f"u{rng.randint(1, 9)}")
        rows.append((values, (4.0 if model == "large" else 1.0) * rng.lognormvariate(0, 0.5)))
    return rows


def cohorts(rows: Sequence[Row]) -> list[Cohort]:
    """Add rows up."""
    sums: dict[tuple[str | None, ...], list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for values, amount in rows:
        for place, value in enumerate((1, amount, amount * amount)):
            sums[values][place] += value
    return [Cohort(values, int(one[0]), one[1], one[2]) for values, one in sums.items()]


def times(rows: Sequence[Row], factor: float, place: int, value: str) -> list[Row]:
    """Return the rows with a slice that takes a multiple."""
    return [(values, amount * (factor if values[place] == value else 1)) for values, amount in rows]


def found(change: Callable[[random.Random], list[Row]], seed: int = 3) -> tuple[Place, ...]:
    """Search a change of one agent against seven days."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    return search(cohorts(day(rng, 2100)), cohorts(change(rng)), traffic=1 / 7)


@pytest.mark.parametrize(("place", "name", "value"), [(2, "model", "small"), (3, "prompt", "p2"), (5, "user", "u3")])
def test_a_slice_that_became_dearer_is_named(place: int, name: str, value: str) -> None:
    """Three times the amount in one model, prompt or user: that is the place, and nearly all of the rise is there."""
    first = found(lambda rng: times(day(rng, 400), 3, place, value))[0]
    assert (first.where, first.way) == (((name, value),), "rate")
    assert first.share == pytest.approx(1, abs=0.25)
    assert first.observed / first.expected == pytest.approx(3, rel=0.3)


def test_a_new_version_is_held_against_what_the_agent_did() -> None:
    """A version without a past has an expectation all the same."""
    [first] = found(lambda rng: times(day(rng, 300, version="2", part=0.5), 2.2, 1, "2"))
    assert (first.where, first.way, first.new) == ((("version", "2"),), "rate", True)


def test_a_pair_is_named_where_only_both_together_rose() -> None:
    """What one user asks on one task: neither the user nor the task alone."""

    def change(rng: random.Random) -> list[Row]:
        return [(values, amount * (5 if values[4:] == ("t1", "u1") else 1)) for values, amount in day(rng, 2000)]

    assert found(change)[0].where == (("task", "t1"), ("user", "u1"))


def test_a_shift_to_a_dear_model_is_a_mix() -> None:
    """No model became dearer: more of the work goes to the dear one."""

    def change(rng: random.Random) -> list[Row]:
        rows = day(rng, 800)
        return [row for row in rows if row[0][2] == "large" or rng.random() < 0.15]

    first = found(change)[0]
    assert (first.where, first.way) == ((("model", "large"),), "mix")


@pytest.mark.parametrize("seed", range(10))
def test_a_rise_that_is_everywhere_has_no_place(seed: int) -> None:
    """Twice the amount in every trajectory stands out nowhere, nor does a version that all of them are on."""
    assert found(lambda rng: [(values, 2 * amount) for values, amount in day(rng, 300)], seed) == ()
    assert found(lambda rng: [(v, 2 * amount) for v, amount in day(rng, 300, version="2")], seed) == ()


@pytest.mark.parametrize("seed", range(10))
def test_nothing_stands_out_of_a_quiet_day(seed: int) -> None:
    """Where nothing changed nothing is named, a harmless new version included."""
    assert found(lambda rng: day(rng, 300, version="2", part=0.5), seed) == ()


def test_more_of_the_same_is_an_answer_where_spend_is_asked_about() -> None:
    """A user who sends eight times as much is a volume; of the cost of one run it is no part."""
    rng = random.Random(5)  # noqa: S311 - a simulation
    before, now = day(rng, 4200), day(rng, 600)
    now += [row for row in day(rng, 4200) if row[0][5] == "u4"]
    asked = {spend: search(cohorts(before), cohorts(now), traffic=1 / 7, spend=spend) for spend in (True, False)}
    first = asked[True][0]
    assert (first.where, first.way) == ((("user", "u4"),), "volume")
    assert asked[False] == ()


def test_nothing_is_searched_in_nothing() -> None:
    """Without trajectories in a period there is no place."""
    some = cohorts(day(random.Random(1), 100))  # noqa: S311 - a simulation
    assert search([], [], traffic=1) == ()
    assert search(some, [], traffic=1) == ()
    assert search([], some, traffic=1) == ()


def test_names_and_order_of_rows_change_nothing() -> None:
    """Other names for versions and users, and rows in another order, give the same places under those names."""
    rng = random.Random(9)  # noqa: S311 - a simulation
    before, after = day(rng, 2100), times(day(rng, 400), 3, 5, "u3")
    plain = search(cohorts(before), cohorts(after), traffic=1 / 7)

    def renamed(rows: Sequence[Row]) -> list[Cohort]:
        mixed = rng.sample(list(rows), len(rows))
        return cohorts([((*values[:5], f"z-{values[5]}"), amount) for values, amount in mixed])

    other = search(renamed(before), renamed(after), traffic=1 / 7)
    assert [(one.where, one.way) for one in other] == [
        (tuple((name, f"z-{value}" if name == "user" else value) for name, value in one.where), one.way)
        for one in plain
    ]
