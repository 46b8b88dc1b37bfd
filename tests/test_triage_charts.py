from __future__ import annotations

from dataclasses import replace

from support.incidents import ONSET, cost_incident, curve, finding, loop_incident, strip

from analyzer.triage.drawn import curve_of, strip_of
from analyzer.types.report import Examined, Kind

COST, TOKENS = finding(Kind.COST), finding(Kind.TOKENS, unit="tokens")
FRESH = curve(values=(0.5,) * 58)


def test_the_lead_findings_metric_of_this_run_is_drawn() -> None:
    """Newer than what was filed, and of the kind that the figures are of, wherever it stands among the findings."""
    members = [Examined(TOKENS, curve=curve(kind="tokens")), Examined(COST, curve=FRESH)]
    assert curve_of(COST, [TOKENS, COST], members, cost_incident()) == FRESH


def test_what_this_run_did_not_see_is_shown_as_it_was_seen_last() -> None:
    """The filed curve stays; it gives way only where none is of the lead's kind and this run has another."""
    tokens = curve(kind="tokens")
    assert curve_of(COST, [COST], [], cost_incident()) == cost_incident().curve
    assert curve_of(COST, [COST, TOKENS], [Examined(TOKENS, curve=tokens)], cost_incident()) == cost_incident().curve
    loop = finding(Kind.LOOP)
    assert curve_of(loop, [loop, TOKENS], [Examined(TOKENS, curve=tokens)], cost_incident()) == tokens
    assert curve_of(COST, [COST], [Examined(COST)], None) is None


def test_the_steps_are_drawn_as_long_as_a_loop_is_among_the_findings() -> None:
    """Of this run, else as they were filed; without a loop there are none."""
    loop = loop_incident().findings[0]
    newer = replace(strip(), of=99)
    assert strip_of([COST, loop], [Examined(loop, strip=newer)], loop_incident()) == newer
    assert strip_of([loop], [], loop_incident()) == strip()
    assert strip_of([replace(COST, onset=ONSET)], [], loop_incident()) is None
