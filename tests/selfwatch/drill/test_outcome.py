"""What a drill comes to, and how it is told."""

from __future__ import annotations

from datetime import timedelta

from support.incidents import ONSET, incident

from analyzer.render.terminal import terminal
from analyzer.selfwatch.drill.cast import Planted
from analyzer.selfwatch.drill.judge import Verdict
from analyzer.selfwatch.drill.outcome import Drill, figures
from analyzer.selfwatch.drill.outline import drill_document, drill_outline
from analyzer.types.report import Incident, Kind

LAST = timedelta(hours=36)
COSTS = Planted(Kind.COST, "shop", None, ONSET, 0, ("price", "cost"))
ERRORS = Planted(Kind.ERRORS, "shop", None, ONSET, 1, ("errors",))


def drilled(*verdicts: Verdict, false: tuple[Incident, ...] = ()) -> Drill:
    """Return a drill with these verdicts."""
    return Drill(
        seed=1, at=ONSET, ends=ONSET + LAST, every=timedelta(hours=2), agents=(), agents_left=0, rounds=2,
        verdicts=verdicts, left_out=(), undrilled=(("budget", "it learns nothing"),), false=false, known=0,
        messages={}, canaries=0, leaks={}, gaps=(),
    )  # fmt: skip


def test_what_one_detector_missed_is_not_found_though_an_incident_tells_of_it() -> None:
    """It counts against the recall, who was blind is named in every form, and the kind itself is not lost."""
    blind = Verdict(COSTS, incident(), ("cost",))
    done = drilled(blind, blind, Verdict(ERRORS, incident()), false=(incident(),))
    assert (done.found, done.recall, done.precision, done.blind) == (1, 1 / 3, 0.5, ())
    assert done.missed_by == (("cost", Kind.COST),)
    assert done.failures(0, 0) == ("the detector cost saw no fault of kind cost, at two tries",)
    told = terminal(drill_outline(done, done.failures(0, 0)))
    assert told.count("not by cost") == 2
    assert "Detectors not drilled: budget, because it learns nothing." in told
    document = drill_document(done, done.failures(0, 0))
    assert [one["found"] for one in document["faults"]] == [False, False, True]
    assert [one["unseen"] for one in document["faults"]] == [["cost"], ["cost"], []]
    assert document["missed_by"] == [{"detector": "cost", "kind": "cost"}]
    seen = {one.labels: one.value for one in figures(done, 0.0) if "seen" in one.name}
    assert seen == {("cost",): 0.0, ("errors",): 1.0, ("price",): 1.0}


def test_who_saw_it_at_the_second_try_is_not_blind() -> None:
    """The first try still counts: one of two was found."""
    done = drilled(Verdict(ERRORS, None, ("errors",)), Verdict(ERRORS, incident()))
    assert (done.found, done.recall, done.blind, done.missed_by, done.failures(0, 0)) == (1, 0.5, (), (), ())
