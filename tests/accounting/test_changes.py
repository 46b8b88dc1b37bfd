from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from analyzer.accounting.changes import compared, rank_changes, together
from analyzer.stores.base import Cohort
from analyzer.types.place import Place
from analyzer.types.report import Change

ONSET = datetime(2026, 3, 4, 12, tzinfo=UTC)


def change(name, hours):
    """Return a change some hours after the onset."""
    return Change("version", None, name, ONSET + timedelta(hours=hours))


def test_nearest_first_and_decoys_left_out():
    """Changes near the onset come nearest first; long before it or well after it there are none."""
    changes = [
        change("old", -30),
        change("near", -0.25),
        change("early", -1.75),
        change("late", 0.4),
        change("after", 3),
    ]
    ranked = rank_changes(changes, ONSET, ONSET, ONSET)
    assert [one.to_value for one in ranked] == ["near", "late", "early"]


def test_an_uncertain_onset_widens_the_range():
    """Where the onset itself is uncertain by hours, changes within its interval count."""
    changes = [change("a", -5), change("b", 3)]
    low, high = ONSET - timedelta(hours=6), ONSET + timedelta(hours=4)
    assert [one.to_value for one in rank_changes(changes, low, ONSET, high)] == ["b", "a"]


def test_ties():
    """Of two equally near changes the earlier comes first: causes precede effects."""
    assert [one.to_value for one in rank_changes([change("x", 0.25), change("y", -0.25)], ONSET, ONSET, ONSET)] == [
        "y",
        "x",
    ]


def since(version, runs, amount, task="t"):
    """Return trajectories since the onset that ran on a version."""
    return Cohort(("shop", version, "m", None, task, None), runs, runs * amount, runs * amount**2 * 1.1)


NEW = Change("version", "1", "2", ONSET)


@pytest.mark.parametrize(
    ("cohorts", "found"),
    [
        ([since("1", 30, 1.0), since("2", 30, 2.0)], [replace(NEW, borne_out=True)]),
        ([since("1", 30, 2.0), since("2", 30, 2.0)], []),
        ([since("1", 10, 1.0), since("2", 30, 2.0)], [NEW]),
        ([since("2", 60, 2.0)], [NEW]),
        ([since("1", 30, 1.0, "easy"), since("2", 30, 2.0, "hard")], [NEW]),
        ([since("1", 30, 1.0), since("2", 30, 1.1)], [NEW]),
        ([], [NEW]),
    ],
    ids=["shows it", "shows no more", "too few old", "no old", "other tasks", "undecided", "nothing"],
)
def test_old_and_new_are_compared_in_the_same_hours(cohorts, found):
    """A new value that takes more beside the old one is borne out; one that takes no more is no cause."""
    assert compared([NEW], cohorts) == found


def test_what_was_told_cannot_be_compared():
    """A deploy that someone recorded stands in no trajectory: it stays a coincidence."""
    told = Change("deploy", None, "2.4.0", ONSET)
    assert compared([told], [since("1", 30, 2.0), since("2", 30, 2.0)]) == [told]


def test_a_slow_roll_out_counts_where_the_rise_is_in_it():
    """A version that was first seen two days before counts where the rise is concentrated in it, and only there."""
    early = replace(NEW, at=ONSET - timedelta(days=2))
    place = Place((("version", "2"),), "rate", 0.9, 40, 1.0, 2.0, new=True)
    other = Change("prompt", "p1", "p2", ONSET)
    args = ([early, other], ONSET, ONSET, ONSET)
    assert rank_changes(*args) == (other,)
    assert rank_changes(*args, [place]) == (early, other)
    assert rank_changes([replace(early, at=ONSET + timedelta(hours=1))], ONSET, ONSET, ONSET, [place]) == ()


def test_a_version_that_spans_and_metrics_saw_is_one_change():
    """The spans date it better; what only the metrics saw is added."""
    late, other = replace(NEW, at=ONSET + timedelta(minutes=14)), Change("version", "2", "3", ONSET)
    assert together([NEW], [late, other]) == [NEW, other]
