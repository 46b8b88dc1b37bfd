"""Alerts that came in by Alertmanager's webhook, and what a run had to say of each."""

from __future__ import annotations

from analyzer.server.pages.page import Asked, Page
from analyzer.server.pages.reading import Reader
from analyzer.stores.alerts import SqliteAlerts
from analyzer.types.address import web_address

SHOWN_MAX = 200


def view(reader: Reader, _asked: Asked) -> Page:
    """Return the alerts that came in last, newest first."""
    found = SqliteAlerts(reader.trajectories.state).latest(SHOWN_MAX)
    shown = [(one, web_address(one.alert.url), web_address(one.alert.alertmanager_url)) for one in found]
    return Page("alerts.html", {"found": shown, "most": SHOWN_MAX})
