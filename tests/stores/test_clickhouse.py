"""ClickHouse over HTTP, as in production: followed, asked for texts, and what is said when it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clickhouse import connected, served, write
from support.collected import request
from support.spans import EPOCH

from analyzer.config import load
from analyzer.errors import SourceError, UsageError
from analyzer.ingest.cutting import cut_attributes
from analyzer.ingest.wire_clickhouse import reader, span_of
from analyzer.stores.clickhouse import _PAUSE_S, _STRETCHES_MAX, ClickHouse, _stretches
from analyzer.stores.collected import CollectedSpans
from analyzer.stores.elsewhere import Elsewhere
from analyzer.stores.following import follow
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.collector import CollectorTables
from analyzer.types.messages import readable
from analyzer.wiring import collecting
from analyzer.wiring.opening import open_store

AT = EPOCH + timedelta(days=2)
USER, PASSWORD = "reader", "hunter2hunter2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a ClickHouse with two runs in it; give its URL with the user."""
    with served(tmp_path_factory.mktemp("clickhouse"), user=USER, password=PASSWORD, timezone="Asia/Kathmandu") as url:
        with connected(url, user=USER, password=PASSWORD) as client:
            write(client, request(1, AT - timedelta(hours=1)), request(2, AT - timedelta(hours=30)))
        yield url.replace("://", f"://{USER}@")


def test_a_store_follows_over_http(server: str, tmp_path: Path):
    """Spans are counted and texts fetched through the real client, whatever the server's time zone."""
    source = ClickHouse(server, PASSWORD, CollectorTables())
    elsewhere = Elsewhere(lambda: CollectedSpans(source, reader(None), timedelta(days=28), lambda: AT))
    with SqliteTrajectories(tmp_path / "s.db", elsewhere=elsewhere) as store:
        followed = follow(store, source, reader(None), AT, timedelta(days=28), rows_max=100)
        assert (followed.rows, followed.spans_new, followed.gaps) == (6, 6, ())
        assert [hit.trace_id for hit in store.search("REFUND order 2")] == [f"{2:032x}"]
        assert [one.tool for one in store.trajectory(f"{1:032x}").spans if one.tool] == ["lookup_order"]
    source.close()


@pytest.mark.parametrize(
    ("password", "tables", "said"),
    [
        ("wrong", CollectorTables(), "refused user or password; check ANALYZER_CLICKHOUSE_URL and ANALYZER"),
        (PASSWORD, CollectorTables(traces_table="traces"), "has no table traces; set traces_table under [clickhouse]"),
        (PASSWORD, CollectorTables(traces_table="nowhere.x"), "has no database nowhere; set traces_table under"),
        (PASSWORD, CollectorTables(max_result_rows=1), "stopped the query at a limit; raise it under [clickhouse]"),
    ],
)
def test_what_a_server_refuses_is_said_in_one_line(server: str, password: str, tables: CollectorTables, said: str):
    """Each refusal names the setting; none shows the query or a password."""
    source = ClickHouse(server, password, tables)
    with pytest.raises(SourceError) as caught:
        list(source.between(0, int(AT.timestamp()) * 10**9))
    source.close()
    assert said in str(caught.value)
    assert not any(word in str(caught.value) for word in (PASSWORD, "wrong", "SELECT", "\n"))


@pytest.mark.parametrize("cut", ["noSuchFunction(SpanAttributes)", "mapApply(SpanAttributes)", "extract(TraceId, '(')"])
def test_a_server_that_cannot_cut_is_read_whole(server: str, cut: str):
    """An older server, without a function or with another form of it, gives the rows as they are."""
    whole, other = (ClickHouse(server, PASSWORD, CollectorTables(), one) for one in ("", cut))
    every = 0, int(AT.timestamp()) * 10**9
    for _ in range(2):
        assert sorted(other.between(*every)) == sorted(whole.between(*every)) != []
    whole.close()
    other.close()


def test_a_limit_is_no_want_of_a_function(server: str):
    """A query that is stopped at a limit is not asked once more without the cut, which would read still more."""
    asked: list[str] = []
    source = ClickHouse(server, PASSWORD, CollectorTables(max_result_rows=1), cut_attributes())
    rows = source._rows
    source._rows = lambda query, given: asked.append(query) or rows(query, given)  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="stopped the query at a limit"):
        list(source.between(0, int(AT.timestamp()) * 10**9))
    source.close()
    assert len(asked) == 1


def test_a_run_follows_without_the_middle_of_conversations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a trajectory says when somebody reads it is whole all the same."""
    said = json.dumps([{"role": role, "content": f"{role} " * 900} for role in ("user", "assistant", "tool", "tool")])
    sent = request(1, AT - timedelta(hours=1))
    chat = sent["resourceSpans"][0]["scopeSpans"][0]["spans"][1]
    next(one for one in chat["attributes"] if one["key"] == "gen_ai.input.messages")["value"]["stringValue"] = said
    seen: list[int] = []
    monkeypatch.setattr(
        collecting, "_reader", lambda _: lambda row: seen.append(len(str(row.attributes))) or span_of(row)
    )
    with served(tmp_path) as url:
        with connected(url) as client:
            write(client, sent)
        settings = replace(
            load({}, {}).settings, store=tmp_path / "s.db", clickhouse_url=f"{url.replace('//', '//default@')}/default"
        )
        with open_store(settings) as store:
            assert collecting.followed(settings, store, AT).spans_new == 3
            assert 0 < max(seen) < len(said) / 2
            assert readable(store.trajectory(f"{1:032x}").spans[1].input) == readable(said)


def test_want_of_memory_is_no_limit_of_ours():
    """What a server gives a query in memory stands in no setting of the analyst's: its own is named."""
    from clickhouse_connect.driver.exceptions import DatabaseError

    source = ClickHouse("http://host", None, CollectorTables())
    refusal = "Code: 241. DB::Exception: Query memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"
    with pytest.raises(SourceError) as caught, source._said("SELECT"):
        raise DatabaseError(refusal)
    said = "had not the memory for the query; try again later, or give its user more (max_memory_usage)"
    assert str(caught.value) == f"ClickHouse at http://host {said}"


@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 900)), max_size=90))
def test_stretches_of_time_hold_every_time_and_are_few(drawn: list[tuple[int, int]]):
    """Whatever times there are, each lies in one of some stretches, which are in order and apart."""
    times = [(start, start + lasts + 1) for start, lasts in drawn]
    stretches = _stretches(times)
    assert all(any(start <= first and last <= end for start, end in stretches) for first, last in times)
    assert {start for start, _ in stretches} <= {start for start, _ in times}
    assert {end for _, end in stretches} <= {end for _, end in times}
    assert all(later[0] > earlier[1] + _PAUSE_S for earlier, later in pairwise(stretches))
    assert len(stretches) <= _STRETCHES_MAX


def test_the_table_that_is_missing_is_named(server: str):
    """Of two tables the one that the server does not have is named, with its own setting."""
    source = ClickHouse(server, PASSWORD, CollectorTables(lookup_table="nope"))
    with pytest.raises(SourceError) as caught:
        list(source.of_trajectories([f"{1:032x}"]))
    source.close()
    said = f"{server.replace(f'{USER}@', '')} has no table nope; set lookup_table under [clickhouse]"
    assert str(caught.value) == f"ClickHouse at {said} in analyzer.toml, or the database in ANALYZER_CLICKHOUSE_URL"


def test_a_database_that_is_missing_is_named(server: str):
    """The database of the URL is no matter of a table: a table's setting would not mend it."""
    source = ClickHouse(f"{server}/otel", PASSWORD, CollectorTables())
    with pytest.raises(SourceError) as caught:
        source.counts(0, int(AT.timestamp()) * 10**9)
    source.close()
    where = server.replace(f"{USER}@", "")
    said = f"ClickHouse at {where}/otel has no database otel; check ANALYZER_CLICKHOUSE_URL"
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("url", "table"),
    [
        ("http://analyzer@HOST", "otel_traces"),
        ("http://analyzer@host/default", "otel_traces"),
        ("http://other@host:8123/", "otel_traces"),
        ("http://host/otel", "default.otel_traces"),
    ],
)
def test_one_place_in_several_spellings_is_one(url: str, table: str):
    """What was followed under one spelling is not read again under another one."""
    place = ClickHouse(url, None, CollectorTables(traces_table=table)).place
    assert place == "http://host:8123 default.otel_traces"


def test_places_that_differ_are_two():
    """Another database, another port and another engine in this process hold other spans."""
    urls = ("http://host", "http://host/otel", "http://host:8124", "https://host", "chdb:///a", "chdb:///A")
    assert len({ClickHouse(url, None, CollectorTables()).place for url in urls}) == len(urls)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://reader:hunter2@host:8443/otel", "set ANALYZER_CLICKHOUSE_PASSWORD"),
        ("clickhouse://host", "write it as https://user@host:8443/database"),
        ("http://host/otel?readonly=0", "write it as https://user@host:8443/database"),
        ("http://host:99999/otel", "write it as https://user@host:8443/database"),
        ("http://host:port", "write it as https://user@host:8443/database"),
        ("http://[::1/otel", "write it as https://user@host:8443/database"),
        ("http://user@/otel", "write it as https://user@host:8443/database"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, said: str):
    """A password is not taken in a setting that is shown, nor are settings of the server."""
    with pytest.raises(UsageError) as caught:
        load({}, {"ANALYZER_CLICKHOUSE_URL": url})
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('traces_table = "otel; DROP TABLE x"', "clickhouse.traces_table: expected a name such as otel_traces"),
        ('trace_table = "otel"', "clickhouse.trace_table: there is no such setting; did you mean traces_table?"),
        ('services = "shop"', "clickhouse.services: expected a list of texts"),
        ("late = 48", "clickhouse.late: expected a duration such as 48h"),
        ('late = "x"', "analyzer.toml: clickhouse.late: "),
        ("rows_per_run = 0", "clickhouse.rows_per_run: expected a whole number of 1 or more"),
    ],
)
def test_a_table_of_settings_is_checked(tmp_path: Path, line: str, said: str):
    """Every mistake under [clickhouse] names its place."""
    file = tmp_path / "analyzer.toml"
    file.write_text(f"[clickhouse]\n{line}\n", "utf-8")
    with pytest.raises(UsageError) as caught:
        load({}, {"ANALYZER_CONFIG": str(file)})
    assert said in str(caught.value)


def test_the_tables_are_read_from_the_file(tmp_path: Path):
    """What is set stands in the settings, the rest has its defaults."""
    file = tmp_path / "analyzer.toml"
    file.write_text('[clickhouse]\ntraces_table = "otel.spans"\nlate = "6h"\nservices = ["shop"]\n', "utf-8")
    settings = load({}, {"ANALYZER_CONFIG": str(file)}).settings
    wanted = CollectorTables(traces_table="otel.spans", late=timedelta(hours=6), services=("shop",))
    assert settings.clickhouse == wanted
