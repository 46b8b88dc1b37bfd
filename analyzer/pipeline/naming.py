"""Settings for agents that were never seen: a gap of the first run that meets them, and a note from then on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from analyzer.pipeline.app import App
from analyzer.stores.summaries import OWN_AGENT
from analyzer.types.metric import Window
from analyzer.types.named import never_seen
from analyzer.types.report import Gap

WHAT = "agents that settings name"
HINT = "correct the name in analyzer.toml; of an agent to come this is said once, and stands in the notes until it runs"
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def unknown_agents(app: App, window: Window) -> tuple[tuple[Gap, ...], Mapping[str, str]]:
    """Return the gap, or where the last report told it already the note, of settings that name no agent ever seen.

    A budget or a floor that is nobody's holds nothing, and nothing else would say so. It is no news twice: an exit code
    of each run would only teach people to ignore it. Whom only metrics show counts as seen.
    """
    seen = {series.subject.agent for series in window.series if series.subject.agent}
    # The analyst may have a budget before its first run; it is in no window of the fleet.
    about = [one for one in app.agents_named if one.pattern != OWN_AGENT]
    if not never_seen(about, seen):
        return (), {}
    found = never_seen(about, seen.union(app.trajectories.agents(_FIRST, window.end)))
    if not found:
        return (), {}
    why = "; ".join(found)
    return ((), {WHAT: why}) if _was_told(app, why) else ((Gap(WHAT, why, HINT),), {})


def _was_told(app: App, why: str) -> bool:
    last = app.incidents.latest_report()
    try:
        document = json.loads(last[0]) if last is not None else {}
    except ValueError:
        return False  # somebody changed it, which is for `analyzer audit verify` to say
    told = [document.get("notes", {}).get(WHAT)]
    return why in (*told, *(gap["why"] for gap in document.get("gaps", ()) if gap["what"] == WHAT))
