"""Settings of routes: what is read, and what is refused."""

from __future__ import annotations

import re
from datetime import time, timedelta
from zoneinfo import ZoneInfo

import pytest

from analyzer.config import parse_duration
from analyzer.errors import UsageError
from analyzer.types.policy import AT_ONCE, Policy, policy_of, read_policies
from analyzer.types.report import Severity


def test_a_route_has_its_own_settings_over_those_of_every_route_over_its_default() -> None:
    """What `[notify.slack]` leaves out is as in `[notify."*"]`, and what that leaves out as without settings."""
    table = {
        "*": {"severity": "high", "quiet": "22:00-07:00", "time_zone": "Europe/Berlin"},
        "slack": {"severity": "low", "remind_after": "12h", "storm": "off", "digest_at": "08:30"},
    }
    given = read_policies(table, "notify", parse_duration)
    night = (time(22), time(7))
    berlin = ZoneInfo("Europe/Berlin")
    assert policy_of(given, "slack", Policy()) == Policy(
        severity=Severity.LOW,
        remind_after=timedelta(hours=12),
        storm=None,
        quiet=night,
        digest_at=time(8, 30),
        zone=berlin,
    )
    stdout = policy_of(given, "stdout", AT_ONCE)
    assert (stdout.severity, stdout.resolved, stdout.per_day) == (Severity.HIGH, Severity.LOW, None)
    assert policy_of({}, "slack", Policy()) == Policy()


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"slack": {"severity": "bad"}}, "slack.severity: expected one of low, medium, high, critical, not 'bad'"),
        ({"slack": {"per_day": -1}}, 'slack.per_day: expected a whole number of 0 or more, or "off", not -1'),
        ({"slack": {"storm": True}}, 'slack.storm: expected a whole number of 0 or more, or "off", not True'),
        ({"slack": {"quiet": "22-7"}}, "slack.quiet: expected a time such as 09:00, not '22'"),
        ({"slack": {"quiet": "09:00-09:00"}}, "slack.quiet: expected two times such as 22:00-07:00"),
        ({"slack": {"digest_at": "24:00"}}, "slack.digest_at: expected a time such as 09:00, not '24:00'"),
        ({"slack": {"time_zone": "Berlin"}}, "slack.time_zone: expected a time zone such as Europe/Berlin"),
        ({"slack": {"time_zone": "Europe"}}, "slack.time_zone: expected a time zone such as Europe/Berlin"),
        ({"slack": {"time_zone": "../etc"}}, "slack.time_zone: expected a time zone such as Europe/Berlin"),
        ({"slack": {"remind_after": "soon"}}, "slack.remind_after: 'soon' is no duration"),
        ({"slack": {"perday": 5}}, "slack.perday: there is no such setting; did you mean per_day?"),
        ({"slak": {"per_day": 1}}, "notify.slak: there is no such route; did you mean slack?"),
        ({"pager": {}}, "notify.pager: there is no such route; there are mail, slack, slack-bot, stdout, webhook"),
        ({"alertmanager": {}}, "notify.alertmanager: there is no such route"),
        ({"quiet": "22:00-07:00"}, "'quiet' stands outside a route's table: write it under [notify.\"*\"]"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(table: dict, fault: str) -> None:
    """A route that is silent by a slip of the pen is worse than none: each fault is named with its place."""
    with pytest.raises(UsageError, match=re.escape(fault)):
        read_policies(table, "notify", parse_duration)
