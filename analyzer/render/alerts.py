"""Alerts of somebody's Prometheus that an incident carries: their name, since when, and where their rule is seen.

Their names hold what a rule's author or a label made of them: text like any other. The addresses were checked when they
came in, and the words that lead there are ours.
"""

from __future__ import annotations

from collections.abc import Iterable

from analyzer.render.blocks import Block, Bullets, Line, Piece, code, line
from analyzer.render.numbers import moment
from analyzer.render.text import one_line
from analyzer.types.address import web_address
from analyzer.types.alerts import PrometheusAlert
from analyzer.types.report import Incident

SHOWN_MAX = 3
_NAME_COLUMNS_MAX = 80


def alerts_outline(incident: Incident) -> Iterable[Block]:
    """Yield the alerts that an incident carries, the latest first."""
    lines = alert_lines(incident)
    if lines:
        yield Bullets(lines)


def alert_lines(incident: Incident) -> tuple[Line, ...]:
    """Return a line an alert, the latest first; beyond three the rest is counted."""
    shown = incident.alerts[::-1][:SHOWN_MAX]
    more = len(incident.alerts) - len(shown)
    lines = [_line(alert) for alert in shown]
    if more:
        lines[-1] = line(*lines[-1], f", and {more} earlier")
    return tuple(lines)


def _line(alert: PrometheusAlert) -> Line:
    over = "" if alert.ends_at is None else f" until {moment(alert.ends_at)}"
    fired = f" {'fires' if alert.ends_at is None else 'fired'} since {moment(alert.starts_at)}{over}"
    places = [(word, web_address(url)) for word, url in (("rule", alert.url), ("Alertmanager", alert.alertmanager_url))]
    leads = [part for word, url in places if url for part in (", ", Piece(word, href=url))][1:]
    where = (" (", *leads, ")") if leads else ()
    return line("alert ", code(one_line(alert.name, _NAME_COLUMNS_MAX)), fired, *where)
