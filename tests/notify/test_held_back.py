"""What waits is in the files that people read, and not only in the memory of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from support.incidents import NOW, incident, report
from support.slack_webhook import OK, slack

from analyzer.config import load
from analyzer.types.report import Severity
from analyzer.wiring.building import build


def test_the_report_file_names_what_is_held_back_and_why(tmp_path: Path) -> None:
    """A low incident makes no message at once: Slack gets nothing, the file says that it waits and for what."""
    low = incident(severity=Severity.LOW)
    with slack(OK) as fake:
        settings = replace(
            load({}, {}).settings,
            store=tmp_path / "s.db",
            reports=tmp_path / "reports",
            llm="off",
            slack_webhook_url=fake.url,
        )
        with build(settings, out=None) as app:
            app.incidents.save_incidents([low], run_trace_id="run")
            told = app.deliver(report(low), at=NOW)
        assert fake.payloads == []
    why = "slack: FIRST_SEEN inc-0123456789 (below medium: waits for the digest at 09:00 UTC)"
    assert (told.gaps, [one.why for one in told.held]) == ((), ["below medium: waits for the digest at 09:00 UTC"])
    assert why in (tmp_path / "reports" / "report.md").read_text("utf-8").replace("`", "")
