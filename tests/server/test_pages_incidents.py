"""What the pages of incidents say of time, over a store that nothing came to for days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.incidents import incident
from support.site import Structure, showing
from support.spans import root

from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.word import Said, Word

OLD = timedelta(days=3)


def grown_old(path: Path, ended: datetime) -> Path:
    """Fill a store whose last trajectory ended then, with an incident that began a minute before."""
    began_ns = int((ended - timedelta(seconds=10)).timestamp()) * 1_000_000_000
    with SqliteTrajectories(path) as store:
        store.add([replace(root(1), start_ns=began_ns, end_ns=began_ns + 10_000_000_000)])
        memory = SqliteIncidents(store.connection)
        onset = ended - timedelta(minutes=1)
        memory.save_incidents([incident(onset=onset, opened_at=ended, last_seen_at=ended)], run_trace_id="f" * 32)
    return path


def test_an_onset_of_another_day_has_its_date(tmp_path: Path) -> None:
    """Three days after the last trajectory an incident of that day does not read as if it had begun today."""
    ended = (datetime.now(UTC) - OLD).replace(hour=12, minute=30, second=0, microsecond=0)
    with showing(grown_old(tmp_path / "store.db", ended)) as served:
        for path in ("/incidents", "/incidents/inc-0123456789"):
            text = " ".join(Structure(served.get(path).body).text.split())
            assert f"{ended.day} {ended:%b} 12:29 UTC" in text or f"{ended.day} {ended:%b %Y} 12:29 UTC" in text, path


def test_a_mute_that_is_over_offers_no_unmuting(tmp_path: Path) -> None:
    """A mute ends by the clock, whatever the last trajectory was: what can be said then is a new one."""
    now = datetime.now(UTC)
    with showing(grown_old(tmp_path / "store.db", now - OLD)) as served:
        for until, offered in ((now + timedelta(hours=1), "unmuted"), (now - timedelta(hours=1), "muted")):
            word = Word(0, Said.MUTED, now - timedelta(days=2), "ann", "", until)
            SqliteIncidents(served.store.connection).say("inc-0123456789", word)
            page = served.get("/incidents/inc-0123456789").body.decode()
            assert [name for name in ("muted", "unmuted") if f'value="{name}"' in page] == [offered]
