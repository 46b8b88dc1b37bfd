from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from analyzer.config import load
from analyzer.errors import UsageError
from analyzer.types.holidays import Calendar, read_calendar
from analyzer.wiring.detecting import detectors_of


def test_days_are_read_as_dates_or_texts_in_order_and_once() -> None:
    """A day may be written with quotes or without, in any order and twice."""
    found = read_calendar({"holidays": ["2027-01-01", date(2026, 12, 25), "2026-12-25"]}, "calendar")
    assert found == Calendar((date(2026, 12, 25), date(2027, 1, 1)), UTC)
    assert str(found) == "2 holidays, 2026-12-25 to 2027-01-01 (UTC)"
    assert str(read_calendar({}, "calendar")) == "no holidays"


def test_a_day_is_as_long_as_its_place_makes_it() -> None:
    """A day begins and ends at local midnight: one on which the clocks go back has 25 hours."""
    sunday = Calendar((date(2026, 10, 25),), ZoneInfo("Europe/Berlin"))
    ((first, last, weekday),) = sunday.spans()
    assert (datetime.fromtimestamp(first, UTC), weekday) == (datetime(2026, 10, 24, 22, tzinfo=UTC), 6)
    assert last - first == 25 * 3600


@pytest.mark.parametrize("month", [1, 7])
@pytest.mark.parametrize(
    ("zone", "minutes"),
    [
        ("UTC", 0),
        ("Europe/Dublin", 0),
        ("Europe/Berlin", 60),
        ("Africa/Casablanca", 60),
        ("Asia/Kolkata", 330),
        ("Asia/Kathmandu", 345),
        ("America/Los_Angeles", -480),
        ("America/St_Johns", -210),
        ("Pacific/Auckland", 720),
        ("Australia/Lord_Howe", 630),
    ],
)
def test_standard_time_is_the_same_in_summer_and_in_winter(zone: str, minutes: int, month: int) -> None:
    """To the minute, wherever summer is, and where the zone's own law calls its winter the exception."""
    assert Calendar((), ZoneInfo(zone)).ahead_min(datetime(2026, month, 15, tzinfo=UTC).timestamp()) == minutes


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('holidays = "2026-12-25"', 'calendar.holidays: expected a list of days such as ["2026-12-25"]'),
        ('holidays = ["25.12.2026"]', "calendar.holidays: expected a day such as 2026-12-25, not '25.12.2026'"),
        ("holidays = [20261225]", "calendar.holidays: expected a day such as 2026-12-25, not 20261225"),
        ("holidays = [2026-12-25T00:00:00]", "calendar.holidays: expected a day such as 2026-12-25, not datetime"),
        ('holidays = ["9999-12-31"]', "calendar.holidays: expected a day such as 2026-12-25, not '9999-12-31'"),
        ("holidays = [9999-12-31]", "calendar.holidays: expected a day such as 2026-12-25, not datetime.date(9999"),
        ('time_zone = "Berlin"', "calendar.time_zone: expected a time zone such as Europe/Berlin, not 'Berlin'"),
        ("days = []", "calendar.days: there is no such setting; there are holidays, time_zone"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    """What is no calendar is refused in one line that says what was expected where."""
    path = tmp_path / "analyzer.toml"
    path.write_text(f"[calendar]\n{text}\n", "utf-8")
    with pytest.raises(UsageError) as raised:
        load({}, {"ANALYZER_CONFIG": str(path)})
    assert complaint in str(raised.value)


def test_the_detector_of_silences_gets_the_calendar(tmp_path: Path) -> None:
    """What stands in the file is what silences are judged by, with settings of the detector laid over it, too."""
    path = tmp_path / "analyzer.toml"
    path.write_text(
        '[calendar]\nholidays = [2026-12-25]\ntime_zone = "Europe/Berlin"\n[detectors.silence]\nhours_min = 2\n',
        "utf-8",
    )
    settings = load({}, {"ANALYZER_CONFIG": str(path)}).settings
    (silence,) = (one for one in detectors_of(settings, []).configured if one.name == "silence")
    assert getattr(silence, "calendar", None) == Calendar((date(2026, 12, 25),), ZoneInfo("Europe/Berlin"))
