"""What a run says of findings that stand on figures which metrics and traces do not agree about."""

from __future__ import annotations

from dataclasses import replace

import pytest
from detectors.fleets import DAY
from detectors.two_sides import both, work
from support.incidents import NOW, finding, incident

from analyzer.detectors import DETECTORS
from analyzer.detectors.configure import configured
from analyzer.pipeline.investigated import no_surer
from analyzer.pipeline.metering import doubt_gaps, doubted, sides, table_note
from analyzer.types.diagnosis import Diagnosis, Ending, Verdict
from analyzer.types.doubt import Doubt
from analyzer.types.metric import Window
from analyzer.types.report import Finding, Kind, State, Subject


def lossy(**faults: float) -> Window:
    """Return the window of an agent of which one side keeps only a part since the twelfth day."""
    return both(
        work(**{side: lambda tick, share=share: share if tick >= 12 * DAY else 1.0 for side, share in faults.items()})
    )


def told(window: Window, kind: Kind, agent: str = "a") -> Doubt | None:
    """Return what is said of a finding of a kind in a window."""
    one = replace(finding(kind), subject=Subject(agent=agent))
    [found] = doubted([one], sides(DETECTORS, window), window)
    assert replace(found, doubt=None) == one
    return found.doubt


@pytest.mark.parametrize("kind", [Kind.COST, Kind.TOKENS, Kind.ERRORS, Kind.SILENCE, Kind.BUDGET, Kind.TOOL_CHOICE])
def test_figures_of_the_short_side(kind: Kind) -> None:
    """Figures out of traces that miss a third of the runs are in doubt, whatever is measured."""
    doubt = told(lossy(traced=0.66), kind)
    assert doubt is not None
    assert doubt.from_short
    assert doubt.said.startswith("The figures come from the traces, and metrics and traces disagree: a: under-traced")


def test_figures_of_the_longer_side() -> None:
    """Where it is the metrics that miss runs, figures out of traces say so and are as sure as they were."""
    doubt = told(lossy(metered=0.66), Kind.ERRORS)
    assert doubt is not None
    assert not doubt.from_short


def test_figures_out_of_prometheus() -> None:
    """Of a series that Prometheus gave, the metrics are the side that is asked whether it is short."""
    window = lossy(metered=0.66)
    doubt = told(replace(window, series=window.metered), Kind.COST)
    assert doubt is not None
    assert doubt.from_short
    assert doubt.said.startswith("The figures come from Prometheus")


@pytest.mark.parametrize("kind", [Kind.LOOP, Kind.RUNAWAY, Kind.INJECTION, Kind.METERING])
def test_single_trajectories_are_not_in_doubt(kind: Kind) -> None:
    """What single trajectories show is so, whatever is missing beside them."""
    assert told(lossy(traced=0.66), kind) is None


def test_where_both_agree_nothing_is_said() -> None:
    """Nor of another agent than the one whose sides disagree, nor where the detector is off."""
    assert told(lossy(), Kind.COST) is None
    assert told(lossy(traced=0.66), Kind.COST, agent="b") is None
    off = configured(DETECTORS, {"metering": {"enabled": False}})
    assert sides(off, lossy(traced=0.66)) == ()
    assert sides(configured(DETECTORS, {"metering": {"alarm_nats": 1e9}}), lossy(traced=0.66))[0].short is None


def explained(verdict: Verdict, doubt: Doubt | None) -> tuple[Verdict, list[str]]:
    """Return the verdict of an incident's explanation, and the gaps that it makes."""
    diagnosis = Diagnosis(verdict, "m", Ending.ANSWERED, "summary", "cause", (), None, (), "", 0)
    first: Finding = replace(finding(Kind.COST), doubt=doubt)
    one = no_surer(replace(incident(), findings=(first,), diagnosis=diagnosis, state=State.OPEN, last_seen_at=NOW))
    assert one.diagnosis is not None
    return one.diagnosis.verdict, [gap.why for gap in doubt_gaps([one, replace(one, state=State.RESOLVED)])]


def test_no_verdict_is_surer_than_its_figures() -> None:
    """Confirmed becomes likely on figures of the short side; each incident that goes on is a gap with the reason."""
    short, longer = Doubt("short", from_short=True), Doubt("longer", from_short=False)
    assert explained(Verdict.CONFIRMED, short) == (Verdict.LIKELY, ["short"])
    assert explained(Verdict.CONFIRMED, longer) == (Verdict.CONFIRMED, ["longer"])
    assert explained(Verdict.CONFIRMED, None) == (Verdict.CONFIRMED, [])
    assert explained(Verdict.INCONCLUSIVE, short) == (Verdict.INCONCLUSIVE, ["short"])


def test_the_note_of_a_run() -> None:
    """A run says how many agents agree, and each row that does not; nothing where there are no two sides."""
    assert table_note(sides(DETECTORS, both(work()))) == {"metering": "metrics and traces of 1 of 1 agents agree."}
    note = table_note(sides(DETECTORS, lossy(traced=0.5)))["metering"]
    assert note.startswith("metrics and traces of 0 of 1 agents agree. a: under-traced since ")
    assert table_note(()) == {}
