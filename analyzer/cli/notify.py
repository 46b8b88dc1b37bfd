"""`analyzer notify`: try the routes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from analyzer.cli.common import DONE, GAPS, json_option, moment, print_json, settings_from
from analyzer.errors import AnalyzerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer.notify.base import Message
    from analyzer.wiring.routes import Outside

TEST_ID = "inc-test000000"
TITLE = "TEST of the analyst's routes: nothing is wrong, nobody has to do anything"


@click.group("notify")
def command() -> None:
    """Try the routes on which incidents are told."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one route."""

    route: str
    error: str
    """Empty where the message went out."""
    hint: str


@command.command("test")
@click.option("--route", metavar="NAME", help="This route only; else every one that is set up.")
@json_option
def test(route: str | None, as_json: bool) -> int:
    """Send a message that is marked as a test, once, on every route, and say what happened.

    Nothing is recorded: the store is not opened. In Alertmanager the test is an alert of five minutes and low severity.

    Exit codes: 0 every route took it; 2 no route is set up, or none of this name; 3 a route did not take it.
    """
    from analyzer.wiring.routes import everywhere

    places = _chosen(everywhere(settings_from().settings), route)
    message = _message(moment(None))
    tried = [_tried(one, message) for one in places]
    if as_json:
        routes = [{"route": one.route, "sent": not one.error, "error": one.error or None} for one in tried]
        print_json({"schema": "analyzer.notify-test/1", "routes": routes})
    else:
        for one in tried:
            click.echo(f"{one.route}: {f'{one.error} -> {one.hint}' if one.error else 'sent'}")
    return GAPS if any(one.error for one in tried) else DONE


def _chosen(places: Sequence[Outside], route: str | None) -> Sequence[Outside]:
    if not places:
        raise UsageError("no route is set up: docs/notify.md lists what can be; `analyzer doctor` shows what is set")
    if route is None:
        return places
    chosen = [one for one in places if one.name == route]
    if not chosen:
        raise UsageError(f"no route '{route}' is set up; there are {', '.join(one.name for one in places)}")
    return chosen


def _tried(one: Outside, message: Message) -> Tried:
    try:
        one.place.send(message)
    except AnalyzerError as error:
        return Tried(one.name, str(error), one.hint)
    return Tried(one.name, "", one.hint)


def _message(at: datetime) -> Message:
    from analyzer.notify.base import Message
    from analyzer.types.report import Affected, Incident, Kind, Severity, State, Subject
    from analyzer.types.sent import Reason

    incident = Incident(
        id=TEST_ID,
        fingerprint="test",
        state=State.OPEN,
        severity=Severity.LOW,
        kind=Kind.COST,
        title=TITLE,
        subject=Subject(agent="test"),
        onset=at,
        opened_at=at,
        last_seen_at=at,
        observed=1.0,
        expected=1.0,
        ratio=1.0,
        unit="USD",
        affected=Affected(0, 0),
        excess_usd=None,
        findings=(),
    )
    return Message(Reason.FIRST_SEEN, incident, at)
