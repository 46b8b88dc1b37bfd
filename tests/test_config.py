"""Settings: where each comes from, and what is refused."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.config import DEFAULT_QUERIES, Settings, duration_text, load, parse_duration, parse_time
from analyzer.errors import UsageError


def write(tmp_path: Path, text: str) -> dict[str, str]:
    """Write a settings file and return the environment that names it."""
    path = tmp_path / "analyzer.toml"
    path.write_text(text, "utf-8")
    return {"ANALYZER_CONFIG": str(path)}


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    """Each setting comes from the first of flag, variable, file, default, and says from which."""
    environ = write(tmp_path, 'model = "from-file"\nlookback = "6h"\nhistory = "10d"\n')
    environ |= {"ANALYZER_LOOKBACK": "12h", "ANALYZER_HISTORY": "20d"}
    loaded = load({"history": "21d", "llm": None}, environ)
    assert loaded.settings.model == "from-file"
    assert loaded.sources["model"] == environ["ANALYZER_CONFIG"]
    assert (loaded.settings.lookback, loaded.sources["lookback"]) == (timedelta(hours=12), "ANALYZER_LOOKBACK")
    assert (loaded.settings.history, loaded.sources["history"]) == (timedelta(days=21), "flag")
    assert (loaded.settings.llm, loaded.sources["llm"]) == ("auto", "default")


def test_every_setting_has_a_source() -> None:
    """`doctor` can show where every setting comes from."""
    assert set(load({}, {}).sources) == {spec.name for spec in fields(Settings)}


def test_tables_of_the_file_reach_the_settings(tmp_path: Path) -> None:
    """Queries, prices, detector settings and masking patterns are read from their tables."""
    environ = write(
        tmp_path,
        '[queries]\ncost = "sum by (agent) (increase(spend_total[$range]))"\n'
        '[prices."local/*"]\ninput = 0.1\n[detectors.cost]\nratio_min = 2.0\n'
        '[masking]\nallow = ["noreply@example.org"]\n[masking.patterns]\nticket = "TCK-[0-9]+"\n',
    )
    settings = load({}, environ).settings
    assert settings.queries["cost"] == ("sum by (agent) (increase(spend_total[$range]))",)
    assert settings.queries["steps"] == DEFAULT_QUERIES["steps"]
    assert settings.prices == {"local/*": {"input": 0.1}}
    assert settings.detectors == {"cost": {"ratio_min": 2.0}}
    assert settings.mask_patterns == {"ticket": "TCK-[0-9]+"}
    assert settings.mask_allow == ("noreply@example.org",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('lokback = "6h"', "'lokback' is no setting; did you mean lookback?"),
        ('lookback = "soon"', "'soon' is no duration"),
        ("lookback = [1]", "expected a single value"),
        ('llm = "on"', "'on' is none of off, auto"),
        ('prometheus_url = "localhost:9090"', "must begin with http"),
        ("budget_usd = -1", "0 or more"),
        ("investigation_steps = 1.5", "no whole number"),
        ('[queries]\ncosts = "x"', "'costs' is no signal; did you mean cost?"),
        ('[masking.patterns]\nbad = "("', "no regular expression"),
        ("[masking]\nother = 1", "'masking.other' is no setting"),
        ('detectors = "x"', "expected a table"),
        ("model = ", "Invalid value"),
    ],
)
def test_a_fault_in_the_file_is_named_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    """A wrong setting is one line that names the file and the fault; nothing wrong is silently ignored."""
    environ = write(tmp_path, text)
    with pytest.raises(UsageError, match=r"analyzer\.toml") as raised:
        load({}, environ)
    assert complaint in str(raised.value)


def test_misspelt_variable_is_refused() -> None:
    """A variable that means nothing is refused: its owner believes it has an effect."""
    with pytest.raises(UsageError, match="ANALYZER_PROMETHEUS_URL"):
        load({}, {"ANALYZER_PROMETHEUS": "http://localhost:9090"})


def test_missing_named_file_is_refused(tmp_path: Path) -> None:
    """A file that was named and is not there is an error, not an empty file."""
    with pytest.raises(UsageError, match="cannot read"):
        load({}, {"ANALYZER_CONFIG": str(tmp_path / "none.toml")})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("24h", 86400), ("14d", 1209600), ("1d12h", 129600), ("2w", 1209600)],
)
def test_durations(text: str, seconds: int) -> None:
    """Durations are a number and a unit, also several of them."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1x", "0s", "1h and more"])
def test_what_is_no_duration(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(UsageError, match="duration"):
        parse_duration(text)


@given(st.datetimes(min_value=datetime(2001, 9, 9), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001 - strategy wants naive bounds
def test_times_survive_their_iso_form(moment: datetime) -> None:
    """A time without a zone is UTC, and any time written as ISO 8601 is read back exactly."""
    aware = moment.replace(tzinfo=UTC)
    assert parse_time(moment.isoformat()) == aware
    assert parse_time(aware.isoformat().replace("+00:00", "Z")) == aware


def test_unix_seconds_are_a_time() -> None:
    """`--at $(date +%s)` works."""
    assert parse_time("1763900000") == datetime(2025, 11, 23, 12, 13, 20, tzinfo=UTC)


def test_the_default_store_lies_in_the_users_data_folder(tmp_path: Path) -> None:
    """Without a setting the store is `analyzer/analyzer.db` under the user's data folder."""
    loaded = load({}, {"XDG_DATA_HOME": str(tmp_path)})
    assert loaded.settings.store == tmp_path / "analyzer" / "analyzer.db"


@given(st.integers(1, 365 * 86_400))
def test_a_duration_is_written_as_it_is_read(seconds: int) -> None:
    """What is shown of a length of time can be set again."""
    length = timedelta(seconds=seconds)
    assert parse_duration(duration_text(length)) == length


@pytest.mark.parametrize(
    "text",
    ["analyzer.example.com", "javascript://x", "https://me:pw@h.example", "https://h.example/?a=b", "https://h/<x>"],
)
def test_an_address_of_pages_that_links_cannot_be_made_from_is_refused(text: str) -> None:
    """What stands in front of every link holds no password, no question and nothing that ends a link."""
    with pytest.raises(UsageError, match="ANALYZER_BASE_URL: write the address of the pages as https://"):
        load({}, {"ANALYZER_BASE_URL": text})
    assert load({}, {"ANALYZER_BASE_URL": "http://h.example:8080/x/"}).settings.base_url == "http://h.example:8080/x"
