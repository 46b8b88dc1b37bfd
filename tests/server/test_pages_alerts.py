from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.alerts import RULE, SOURCE, STARTS, alert
from support.hostile import ATTACKS
from support.incidents import cost_incident
from support.site import Structure, showing

from analyzer.stores.alerts import SqliteAlerts
from analyzer.types.alerts import AlertAnswer

NOW = STARTS + timedelta(hours=1)


def test_the_page_shows_each_alert_with_its_answer_and_leads_on(tmp_path: Path) -> None:
    """What waits, what an incident carries, and why there is none; without any, how Alertmanager is set up."""
    with showing(tmp_path / "store.db") as site:
        assert "/docs/alerts" in Structure(site.get("/alerts").body).places
        book = SqliteAlerts(site.store.connection)
        quiet, carried = alert("reviewer", fingerprint="1"), alert("triage", fingerprint="2", ends_at=NOW)
        book.take([quiet, carried, alert(None, "FleetCostHigh", fingerprint="3")], NOW)
        answers = [
            AlertAnswer(quiet, (), "no detector speaks"),
            AlertAnswer(carried, ("inc-0123456789",), "it is that"),
        ]
        book.answer(answers, NOW)
        page = Structure(site.get("/alerts").body)
    assert {"/incidents/inc-0123456789", RULE, SOURCE} <= set(page.places)
    text = " ".join(page.text.split())
    assert "reviewer fires since 2026-11-20 11:00 UTC no detector speaks" in text
    assert "triage over since 2026-11-20 12:00 UTC inc-0123456789 it is that" in text
    assert "the fleet fires since 2026-11-20 11:00 UTC Waits for a run." in text


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_of_an_alert_is_never_markup(tmp_path: Path, attack: str) -> None:
    """On the page of alerts and on the incident that carries it, every attack is inert."""
    with showing(tmp_path / "store.db") as site:
        book = SqliteAlerts(site.store.connection)
        tame = alert("agent", "name", summary="summary", url="", alertmanager_url="")
        hostile = alert(
            attack, attack, summary=attack, url=f"data:text/html,{attack}", alertmanager_url=f"javascript:{attack}"
        )
        seen = []
        for one in (tame, hostile):
            incident = cost_incident()
            site.memory.save_incidents([replace(incident, alerts=(one,))], run_trace_id="")
            seen.append(Structure(site.get(f"/incidents/{incident.id}").body))
        book.take([hostile], NOW)
        listed = Structure(site.get("/alerts").body)
    assert seen[1].tags == seen[0].tags
    assert {tag for tag, _ in listed.tags} & {"script", "img", "iframe"} <= {"script"}
    assert all(place.startswith(("/", "#", RULE, SOURCE)) for place in listed.places)
