"""Evidence in a report: numbers with what gives them, quotes with their place."""

from __future__ import annotations

from dataclasses import replace

from support.incidents import NOW, finding, incident, metric, quote

from analyzer.render.evidence import evidence_outline
from analyzer.render.markdown import markdown
from analyzer.types.report import Kind, Subject

QUERY = 'sum(increase(agent_cost_usd_total{agent="support-triage"}[35100s]'


def shown(*entries: object, **fields: object) -> str:
    """Return the evidence of an incident as Markdown."""
    return markdown(tuple(evidence_outline(incident(evidence=entries, **fields), NOW, 2)))


def test_a_number_of_the_store_is_no_query():
    """What was computed from trajectories is named in words and figures: no server would answer its PromQL."""
    entry = metric("E1")
    text = shown(entry, findings=(finding(evidence=(entry,)),))
    assert "sum(increase" not in text
    assert "- **E1** cost of support-triage: $0.31, from 08:15 UTC to 18:00 UTC" in text
    assert "Computed from the stored trajectories" in text


def test_a_number_of_the_store_is_in_the_unit_of_its_finding():
    """A share of failed calls reads as one, with the tool it is of."""
    entry = metric("E1", value=0.723)
    tool_errors = finding(
        kind=Kind.TOOL_ERRORS, unit="calls", subject=Subject("sql", tool="run_sql"), evidence=(entry,)
    )
    assert "tool-errors of sql / run_sql: 72 %" in shown(entry, findings=(tool_errors,))


def test_a_number_of_one_agent_keeps_its_name_in_a_silence_of_the_fleet():
    """What one agent ran per hour is not told as the fleet's, nor called a silence."""
    entry = replace(metric("E1", value=9.49), agent="billing")
    silence = finding(kind=Kind.SILENCE, unit="trajectories per hour", subject=Subject(), evidence=(entry,))
    text = shown(entry, findings=(silence,))
    assert "volume of billing: 9.49 trajectories per hour" in text
    assert "of fleet" not in text


def test_a_number_of_prometheus_is_a_query_that_gives_it():
    """The query holds its time: pasted anywhere, it gives the number beside it."""
    text = shown(replace(metric("E1"), source="prometheus"))
    assert f"`{QUERY} @ {int(NOW.timestamp())}))` = 0.31" in text
    assert "(prometheus)" in text
    assert "Computed from" not in text


def test_a_query_that_cannot_be_held_is_shown_with_its_time():
    """Where `@` would change what a query means, its moment stands beside it."""
    odd = replace(metric("E1"), source="prometheus", promql="max_over_time(rate(x[5m])[1h:1m])")
    assert "`max_over_time(rate(x[5m])[1h:1m])` = 0.31" in shown(odd)
    assert f"evaluated at {int(NOW.timestamp())}" in shown(odd)


def test_quotes_stand_below_the_numbers():
    """A quote keeps its trajectory, span and field."""
    text = shown(metric("E1"), quote("E2"))
    assert text.index("E1") < text.index("E2")
    assert "order not found: 4711" in text


def test_a_span_over_days_names_both_days():
    """A number from one day to another has both dates, also where the second is the reader's own."""
    entry = metric("E1", hours=48)
    assert "from 21 Nov 18:00 UTC to 23 Nov 18:00 UTC" in shown(entry, findings=(finding(evidence=(entry,)),))
