"""Following ClickHouse: what is new is read once, whatever comes late, doubled or not at all; texts stay there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.clickhouse import embedded, write
from support.collected import request

from analyzer.errors import NotFoundError, SourceError
from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.wire_clickhouse import reader
from analyzer.stores.clickhouse import ClickHouse, Row
from analyzer.stores.collected import CollectedSpans
from analyzer.stores.counting import count
from analyzer.stores.elsewhere import Elsewhere
from analyzer.stores.following import Followed, follow, reached, unread
from analyzer.stores.rows import TEXTS
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.collector import CollectorTables
from analyzer.types.loops import Looked
from analyzer.types.report import Gap
from analyzer.types.steps import Step
from analyzer.types.trace import Operation

from support.spans import EPOCH  # isort: skip

AT = EPOCH + timedelta(days=2)
SECRET = "sk-ant-api03-" + "Zq8Lw2Xv" * 11 + "AA"
READ = reader(None)


class Calls:
    """Sees polls in what has four calls or more."""

    program = b"calls"

    def look(self, steps: Sequence[Step]) -> Looked:
        """See `stores.verdicts.Judge`."""
        calls = sum(one.operation is Operation.TOOL for one in steps)
        return Looked(polls=calls if calls >= 4 else 0)


class Place:
    """A ClickHouse with the Collector's tables, and a store that follows it."""

    def __init__(self, client: Any, folder: Path, **limits: Any) -> None:
        self.client = client
        self.url = f"chdb://{folder / 'clickhouse'}"
        self.source = ClickHouse(self.url, None, CollectorTables(**limits))
        self.store = SqliteTrajectories(
            folder / "index.db",
            clock=AT.timestamp,
            judge=Calls,
            elsewhere=Elsewhere(lambda: CollectedSpans(self.source, READ, timedelta(days=28), lambda: AT)),
        )

    def write(self, *requests: dict[str, Any]) -> None:
        """Lay requests into the table, as the exporter does."""
        write(self.client, *requests)

    def follow(self, at: datetime = AT, *, rows_max: int = 10_000, read: Any = READ) -> Followed:
        """Follow up to a moment."""
        return follow(self.store, self.source, read, at, timedelta(days=28), rows_max=rows_max)

    def rows(self) -> list[str]:
        """Return every row of the index, as one text each."""
        raw = sqlite3.connect(self.store.connection.path)
        names = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = [repr(row) for name in names for row in raw.execute(f"SELECT * FROM {name}")]  # noqa: S608 - names of the schema
        raw.close()
        return found

    def close(self) -> None:
        """Close both."""
        self.source.close()
        self.store.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give an empty ClickHouse and an empty store."""
    with embedded(tmp_path) as client:
        made = Place(client, tmp_path)
        yield made
        made.close()


def test_what_is_new_is_read_once(place: Place):
    """A second pass over the same rows reads none; one that comes later is read, in its five minutes."""
    place.write(request(1, AT - timedelta(hours=1)), request(2, AT - timedelta(hours=5)))
    first, again = place.follow(), place.follow()
    place.write(request(3, AT - timedelta(minutes=30)))
    later = place.follow(AT + timedelta(minutes=15))
    assert [(one.rows, one.spans_new, one.left, one.gaps) for one in (first, again, later)] == [
        (6, 6, 0, ()),
        (0, 0, 0, ()),
        (3, 3, 0, ()),
    ]
    assert [one.trace_id[-1] for one in place.store.summaries()] == ["3", "1", "2"]


def test_a_clock_that_went_back_makes_nothing_be_read_again(place: Place):
    """What lies after the moment of a pass was not counted in it, and has not aged out either."""
    place.write(request(1, AT - timedelta(hours=1)), request(2, AT - timedelta(hours=5)))
    assert place.follow().rows == 6
    back = place.follow(AT - timedelta(hours=4))
    assert (back.rows, place.follow().rows) == (0, 0)


def test_a_secret_in_an_id_is_masked_where_its_row_is_left_out(place: Place):
    """The line that says why a row is left out goes into reports."""
    spans = request(1, AT - timedelta(hours=1))
    spans["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["spanId"] = SECRET
    place.write(spans)
    (gap,) = place.follow().gaps
    assert "is not 16 hex digits" in gap.why
    assert SECRET[:20] not in gap.why


@pytest.mark.parametrize("kept_first", [True, False])
@pytest.mark.parametrize("kept", [[], [0], [2], [1, 3], [0, 1, 2, 3, 4]])
def test_a_trajectory_that_came_both_ways_is_put_together(
    place: Place, tmp_path: Path, kept: list[int], *, kept_first: bool
):
    """Whichever part came with its texts, and first: it is read as if all of it had been ingested here."""
    whole = request(1, AT - timedelta(hours=1), extra=2)
    spans = spans_from_json(whole).spans
    place.write(whole)
    if not kept_first:
        place.follow()
    place.store.add([spans[number] for number in kept])
    assert place.follow().gaps == ()
    trace_id = f"{1:032x}"
    with SqliteTrajectories(tmp_path / "kept.db", masking=place.store.masking) as all_here:
        all_here.add(spans)
        assert place.store.summary(trace_id) == all_here.summary(trace_id)
        assert place.store.outline(trace_id) == all_here.outline(trace_id)
        assert place.store.steps([trace_id]) == all_here.steps([trace_id])
        for span in all_here.trajectory(trace_id).spans:
            mine, other = place.store.span(trace_id, span.span_id), place.store.trajectory(trace_id).span(span.span_id)
            assert [getattr(mine, name) for name in TEXTS] == [getattr(span, name) for name in TEXTS]
            assert [getattr(other, name) for name in TEXTS] == [getattr(span, name) for name in TEXTS]
    place.client.command("TRUNCATE TABLE otel_traces_trace_id_ts")
    with SqliteTrajectories(place.store.connection.path) as unset:
        unset.elsewhere.heard()
        inputs = [span.input is not None for span in unset.trajectory(trace_id).spans]
        assert inputs == [number in kept and bool(span.input) for number, span in enumerate(spans)]


def test_a_call_that_one_way_reports_without_its_words_has_them_from_the_other(place: Place):
    """A report with the words that lies in ClickHouse completes the one that counts, and came here; and the reverse."""
    begin = AT - timedelta(hours=1)
    for number, here in ((1, slice(2, 3)), (2, slice(3, 4))):
        both = request(number, begin, extra=1)
        outer, inner = both["resourceSpans"][0]["scopeSpans"][0]["spans"][2:]
        inner["parentSpanId"] = outer["spanId"]
        inner["startTimeUnixNano"], inner["endTimeUnixNano"] = outer["startTimeUnixNano"], outer["endTimeUnixNano"]
        outer["attributes"] = [one for one in outer["attributes"] if "arguments" not in one["key"]]
        place.write(both)
        place.store.add(spans_from_json(both).spans[here])
    place.follow()
    for number in (1, 2):
        trace_id, span_id = f"{number:032x}", f"{3:016x}"
        said = f'{{"order": {number}, "note": "nothing"}}'
        assert place.store.span(trace_id, span_id).input == said
        shown = place.store.trajectory(trace_id).span(span_id)
        assert shown is not None
        assert shown.input == said


def test_what_ended_later_is_the_span_whichever_way_it_came(place: Place):
    """A span that was sent while it ran, with its text, is the finished one that ClickHouse has."""
    begin = AT - timedelta(hours=1)
    running, done = request(1, begin), request(1, begin, said="done")
    call = running["resourceSpans"][0]["scopeSpans"][0]["spans"][2]
    call["endTimeUnixNano"] = str(int(call["startTimeUnixNano"]) + 1)
    place.store.add(spans_from_json(running).spans)
    place.write(done)
    place.follow()
    found = place.store.span(f"{1:032x}", f"{3:016x}")
    assert (found.duration_ms, found.input) == (500.0, '{"order": 1, "note": "done"}')


def test_a_span_that_came_again_in_a_newer_form_is_fetched_anew(place: Place):
    """A process that stays shows what the index knows of it, and not the text that it fetched before."""
    begin, trace_id, span_id = AT - timedelta(hours=1), f"{1:032x}", f"{3:016x}"
    place.write(request(1, begin))
    place.follow()
    assert place.store.span(trace_id, span_id).input == '{"order": 1, "note": "nothing"}'
    assert place.store.steps([trace_id])[trace_id][-1].input == '{"order": 1, "note": "nothing"}'
    newer = request(1, begin, said="newer")
    calls = newer["resourceSpans"][0]["scopeSpans"][0]["spans"] = newer["resourceSpans"][0]["scopeSpans"][0]["spans"][
        2:
    ]
    calls[0]["endTimeUnixNano"] = str(int(calls[0]["endTimeUnixNano"]) + 1)
    place.write(newer)
    assert place.follow().spans_new == 0
    assert place.store.span(trace_id, span_id).input == '{"order": 1, "note": "newer"}'
    assert place.store.steps([trace_id])[trace_id][-1].input == '{"order": 1, "note": "newer"}'


def test_a_late_span_joins_its_trajectory(place: Place):
    """A span that arrives hours after its time is found, and its trajectory is as if it had come in time."""
    begin = AT - timedelta(hours=20)
    place.write(request(1, begin))
    place.follow(AT - timedelta(hours=15))
    late = request(1, begin, extra=2)
    late["resourceSpans"][0]["scopeSpans"][0]["spans"] = late["resourceSpans"][0]["scopeSpans"][0]["spans"][3:]
    place.write(late)
    assert place.follow().spans_new == 2
    assert place.store.summary(f"{1:032x}").tool_calls == 3


def test_a_doubled_row_changes_nothing(place: Place):
    """An exporter that tries again leaves each row twice; the second one is read and known."""
    place.write(request(1, AT - timedelta(hours=1)))
    place.follow()
    before = place.store.summaries()
    place.write(request(1, AT - timedelta(hours=1)))
    followed = place.follow()
    assert (followed.rows, followed.spans_new) == (6, 0)
    assert place.store.summaries() == before


def test_later_than_late_is_not_read(place: Place):
    """What arrives longer after its time than `late` is not looked for, once the history was read."""
    place.follow()
    place.write(request(1, AT - timedelta(hours=49)), request(2, AT - timedelta(hours=47)))
    assert [one.trace_id for one in place.store.summaries()] == []
    assert place.follow().rows == 3
    assert [one.trace_id for one in place.store.summaries()] == [f"{2:032x}"]


def test_a_moment_belongs_to_one_portion(place: Place):
    """Spans on the edges of five minutes are each read once, and what lies up to an hour ahead is read too."""
    edge = datetime.fromtimestamp(AT.timestamp() // 300 * 300, AT.tzinfo)
    place.write(
        request(1, edge - timedelta(minutes=5)),
        request(2, edge - timedelta(milliseconds=1)),
        request(3, edge),
        request(4, AT + timedelta(minutes=50)),
        request(5, AT + timedelta(minutes=70)),
    )
    followed = place.follow()
    assert (followed.rows, followed.spans_new, followed.left) == (12, 12, 0)


def test_a_first_run_reads_the_latest_first_and_says_how_far(place: Place):
    """With a bound on rows the history comes in portions, newest first; each pass says what is left."""
    place.write(*(request(number, AT - timedelta(hours=number)) for number in range(1, 5)))
    seen = [place.follow(rows_max=6) for _ in range(3)]
    assert [(one.rows, one.left) for one in seen] == [(6, 6), (6, 0), (0, 0)]
    [gap] = seen[0].gaps
    assert gap == Gap(
        "spans in ClickHouse",
        "6 of before 2026-11-17 21:05 UTC are not read yet",
        "the next runs go on; `analyzer store follow` reads them at once",
    )
    assert seen[1].gaps == ()


def test_what_grew_and_was_not_read_is_read_however_old_it_is_by_then(place: Place):
    """Rows that came to a known five minutes, and had to wait for later passes, wait there longer than `late`."""
    place.write(request(1, AT - timedelta(hours=46)))
    place.follow()
    place.write(request(2, AT - timedelta(hours=46)), request(3, AT - timedelta(hours=1)))
    bounded, next_day = place.follow(rows_max=3), place.follow(AT + timedelta(days=1), rows_max=6)
    assert (bounded.rows, bounded.left) == (3, 6)
    assert (next_day.spans_new, next_day.left, next_day.gaps) == (3, 0, ())
    assert {one.trace_id[-1] for one in place.store.summaries()} == {"1", "2", "3"}


def test_a_pass_into_the_past_leaves_what_is_known_after_it(place: Place):
    """A pass up to an earlier moment reads nothing of what came after it, and does not make the next one read again."""
    place.write(request(1, AT - timedelta(hours=1)), request(2, AT - timedelta(hours=9)))
    place.follow()
    assert [place.follow(at).rows for at in (AT - timedelta(hours=5), AT)] == [0, 0]


def test_whoever_is_killed_in_the_middle_reads_the_portion_again(place: Place):
    """A pass that dies before a portion is noted leaves it to the next one, and nothing is counted twice."""
    place.write(request(1, AT - timedelta(hours=1)), request(2, AT - timedelta(hours=5)))

    class KilledError(BaseException):
        """As a signal would."""

    def read(row: Any) -> Any:
        if row.trace_id.endswith("2"):
            raise KilledError
        return READ(row)

    with suppress(KilledError):
        place.follow(read=read)
    assert [one.trace_id[-1] for one in place.store.summaries()] == ["1"]
    followed = place.follow()
    assert (followed.rows, followed.spans_new) == (3, 3)
    assert place.follow().rows == 0


def test_rows_that_age_out_leave_the_index_as_it_is(place: Place):
    """What its TTL deletes from ClickHouse stays counted; its spans are shown without texts; new rows are seen."""
    place.write(request(1, AT - timedelta(hours=1), extra=3))
    place.follow()
    place.client.command("TRUNCATE TABLE otel_traces")
    place.client.command("TRUNCATE TABLE otel_traces_trace_id_ts")
    assert place.follow().rows == 0
    spans = place.store.trajectory(f"{1:032x}").spans
    assert [(span.tool, span.input) for span in spans if span.tool] == [("lookup_order", None)] * 4
    place.write(request(2, AT - timedelta(hours=1)))
    assert place.follow().spans_new == 3


def test_as_many_rows_that_came_as_aged_out_are_seen(place: Place):
    """Five minutes with as many rows as before, but others, are read again; those that aged out stay counted."""
    place.write(request(1, AT - timedelta(hours=1)))
    place.follow()
    place.client.command("TRUNCATE TABLE otel_traces")
    place.write(request(2, AT - timedelta(hours=1) + timedelta(seconds=20)))
    assert [place.follow().spans_new for _ in range(2)] == [3, 0]
    assert {one.trace_id[-1] for one in place.store.summaries()} == {"1", "2"}


def test_five_minutes_with_fewer_rows_are_read_while_late_ones_may_come(place: Place):
    """More may have aged out than came late; what is older than that is not read for having aged."""
    place.write(request(1, AT - timedelta(hours=1), extra=3), request(2, AT - timedelta(hours=90), extra=3))
    place.follow()
    place.client.command("TRUNCATE TABLE otel_traces")
    place.write(request(3, AT - timedelta(hours=1)), request(4, AT - timedelta(hours=90)))
    # Further back than was read: all of the history is looked at.
    followed = follow(place.store, place.source, READ, AT, timedelta(days=29), rows_max=100)
    assert (followed.rows, followed.spans_new) == (3, 3)


def test_a_store_of_before_the_times_were_noted_reads_nothing_again(place: Place):
    """Where only the count is known, an equal count is what it was; from then on the times are known too."""
    place.write(request(1, AT - timedelta(hours=1)))
    place.follow()
    with place.store.connection.writing() as raw:
        raw.execute("UPDATE followed SET times = NULL")
    assert place.follow().rows == 0
    place.client.command("TRUNCATE TABLE otel_traces")
    place.write(request(2, AT - timedelta(hours=1) + timedelta(seconds=20)))
    assert place.follow().rows == 3


def test_a_full_id_that_was_not_followed_yet_is_found(place: Place):
    """Whoever names a whole trajectory gets it, counted like any; a beginning of one is not looked for."""
    place.write(request(10, AT - timedelta(days=60), said=SECRET))
    trace_id = f"{10:032x}"
    with pytest.raises(NotFoundError):
        place.store.resolve(trace_id[:31])
    with pytest.raises(NotFoundError):
        place.store.resolve("f" * 32)
    assert place.store.resolve(trace_id.upper()) == trace_id
    assert (place.store.summary(trace_id).agent, place.store.summary(trace_id).spans) == ("shop", 3)
    assert "refund order 10" in repr(place.store.trajectory(trace_id))
    assert [row for row in place.rows() if SECRET in row or "be kind" in row] == []


def test_a_full_id_is_not_written_by_who_may_only_read(place: Place):
    """A store that is only read says by which command the trajectory comes into it."""
    place.write(request(1, AT - timedelta(hours=1)))
    elsewhere = Elsewhere(lambda: CollectedSpans(place.source, READ, timedelta(days=28), lambda: AT))
    with (
        SqliteTrajectories(place.store.connection.path, read_only=True, elsewhere=elsewhere) as reading,
        pytest.raises(NotFoundError, match=f"`analyzer traces show {1:032x}` reads it"),
    ):
        reading.resolve(f"{1:032x}")
    assert place.store.summaries() == []


def test_a_full_id_of_other_services_is_none_of_the_fleet(tmp_path: Path):
    """With `services`, a trajectory of other programs in the same table is not taken into the index by its id."""
    with embedded(tmp_path) as client:
        place = Place(client, tmp_path, services=("shop's",))
        place.write(request(2, AT - timedelta(hours=1)))
        with pytest.raises(NotFoundError):
            place.store.resolve(f"{2:032x}")
        place.close()


def test_no_secret_and_no_text_is_in_the_index(place: Place):
    """Nothing of a payload is written down here, and what is read of one is masked before it is shown."""
    place.write(request(1, AT - timedelta(hours=1), said=SECRET))
    place.follow()
    trace_id = f"{1:032x}"
    shown = [
        repr(place.store.trajectory(trace_id)),
        repr(place.store.outline(trace_id)),
        repr(place.store.steps([trace_id])),
        repr(place.store.span(trace_id, f"{3:016x}")),
        repr(place.store.search("refund order")),
    ]
    assert all(SECRET not in one for one in shown)
    assert all("refund order 1" in one or "lookup_order" in one for one in shown)
    assert [row for row in place.rows() if SECRET in row or "be kind" in row] == []


def test_texts_are_those_of_a_store_that_took_the_spans_in(place: Place, tmp_path: Path):
    """Trajectory, outline, span, steps and hits are the same as if the spans had been ingested here."""
    requests = [request(number, AT - timedelta(hours=number), said=SECRET) for number in range(1, 4)]
    place.write(*requests)
    place.follow()
    with SqliteTrajectories(tmp_path / "kept.db", masking=place.store.masking) as kept:
        for one in requests:
            kept.add(spans_from_json(one).spans)
        ids = [one.trace_id for one in kept.summaries()]
        assert place.store.summaries() == kept.summaries()
        assert place.store.steps(ids) == kept.steps(ids)
        assert place.store.search("refund") == kept.search("refund")
        for trace_id in ids:
            assert place.store.outline(trace_id) == kept.outline(trace_id)
            for mine, its in zip(place.store.trajectory(trace_id).spans, kept.trajectory(trace_id).spans, strict=True):
                texts = ("input", "output", "system", "tool_definitions", "status_message", "name", "tokens", "tool")
                assert [getattr(mine, name) for name in texts] == [getattr(its, name) for name in texts]


def test_what_is_kept_here_stays(place: Place):
    """The analyst's own runs, which an exporter may send to ClickHouse as well, keep their texts here."""
    place.store.add(spans_from_json(request(1, AT - timedelta(hours=1))).spans)
    place.write(request(1, AT - timedelta(hours=1)))
    assert (place.follow().spans_new, place.store.stats().spans_elsewhere) == (0, 0)
    place.client.command("TRUNCATE TABLE otel_traces")
    assert "refund order 1" in repr(place.store.trajectory(f"{1:032x}"))


def test_calls_that_are_alike_are_counted_without_their_arguments(place: Place, tmp_path: Path):
    """The analyst's own metrics, loops among them, come to the same as with the texts in the store."""
    requests = [request(number, AT - timedelta(minutes=9), extra=12 * (number % 2)) for number in range(1, 4)]
    place.write(*requests)
    place.follow()
    with SqliteTrajectories(tmp_path / "kept.db", clock=AT.timestamp) as kept:
        for one in requests:
            kept.add(spans_from_json(one).spans)
        found = []
        for store in (kept, place.store):
            assert count(store.connection, AT.timestamp() + 86_400).trajectories == 3
            with store.connection.reading() as raw:
                found.append(raw.execute("SELECT name, labels, value FROM measures ORDER BY 1, 2").fetchall())
    assert found[0] == found[1]
    assert sum(value for name, _, value in found[0] if "loop" in name) == 2


def test_a_row_that_is_no_span_is_left_out_and_said(place: Place):
    """An id that is none costs the other rows nothing."""
    place.write(request(1, AT - timedelta(hours=1)))
    broken = request(2, AT - timedelta(hours=1))
    broken["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["spanId"] = "xyz"
    place.write(broken)
    followed = place.follow()
    assert followed.spans_new == 5
    why = "1 could not be read, the first because it SpanId 'xyz' is not 16 hex digits"
    assert followed.gaps == (Gap("spans in ClickHouse", why, "they are left out; see docs/clickhouse.md"),)


@pytest.mark.parametrize("limit", [{"max_result_rows": 2}, {"max_bytes_to_read": 10}])
def test_a_limit_is_a_gap_and_the_next_run_goes_on(tmp_path: Path, limit: dict[str, int]):
    """A query over a limit stops; what was read stays, and with a wider limit the rest comes."""
    with embedded(tmp_path) as client:
        place = Place(client, tmp_path, **limit)
        place.write(request(1, AT - timedelta(hours=1)))
        followed = place.follow()
        [gap] = followed.gaps
        assert "stopped the query at a limit; raise it under [clickhouse]" in gap.why
        assert followed.spans_new == 0
        place.close()
        wider = Place(client, tmp_path)
        assert wider.follow().spans_new == 3
        wider.close()


def test_trajectories_that_are_too_much_together_come_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One that is too large by itself is left out, as it would be alone; whoever does not listen gets the error."""
    with embedded(tmp_path) as client:
        place = Place(client, tmp_path)
        large, begin = 40, AT - timedelta(hours=1)
        for number, extra in ((1, 0), (2, large), (3, 0)):
            place.write(request(number, begin, extra=extra, said="x" * 300))
        assert place.follow().gaps == ()
        ids = [f"{number:032x}" for number in (1, 2, 3)]
        place.store.add(spans_from_json(request(2, begin)).spans[2:])
        narrow = ClickHouse(place.url, None, CollectorTables(max_result_rows=5))
        elsewhere = Elsewhere(lambda: CollectedSpans(narrow, READ, timedelta(days=28), lambda: AT))
        with SqliteTrajectories(place.store.connection.path, elsewhere=elsewhere) as store:
            with pytest.raises(SourceError, match="stopped the query at a limit"):
                store.trajectories(ids)
            told = elsewhere.heard()
            texts = {
                one: len([span for span in whole.spans if span.input]) for one, whole in store.trajectories(ids).items()
            }
            assert texts == {ids[0]: 2, ids[1]: 1, ids[2]: 2}
            # Steps of a part of it would look like all of them.
            monkeypatch.setattr(elsewhere, "read", lambda _ids: [])
            assert store.steps(ids).keys() == {ids[0], ids[2]}
            assert {gap.what for gap in told} == {"texts of trajectories"}
        narrow.close()
        place.close()


def test_every_query_is_read_only_and_within_limits(place: Place):
    """The engine itself refuses to write for what comes through the door, and has the four limits."""
    names = ["max_bytes_to_read", "max_execution_time", "max_result_rows", "readonly"]
    query = "SELECT name, value FROM system.settings WHERE name IN {names:Array(String)} ORDER BY name"
    assert list(place.source._rows(query, {"names": names})) == [
        ("max_bytes_to_read", "20000000000"),
        ("max_execution_time", "60"),
        ("max_result_rows", "1000000"),
        ("readonly", "1"),
    ]
    with pytest.raises(SourceError, match="does not let this user ask"):
        list(place.source._rows("INSERT INTO otel_traces (TraceId) VALUES ('x')", {}))


def test_a_server_that_is_gone_is_said_with_the_next_step(tmp_path: Path):
    """One line, no query, no password; a store that follows it goes on with what it has."""
    source = ClickHouse("http://reader@127.0.0.1:9/otel", "hunter2hunter2", CollectorTables())
    with SqliteTrajectories(tmp_path / "s.db") as store:
        followed = follow(store, source, READ, AT, timedelta(days=28), rows_max=10)
    why = "ClickHouse at http://127.0.0.1:9/otel did not answer; check ANALYZER_CLICKHOUSE_URL and the server"
    hint = "what was read before stays; the next run reads on, and so does `analyzer store follow`"
    assert followed.gaps == (Gap("spans in ClickHouse", why, hint),)


def test_texts_that_cannot_be_read_are_said_or_raised(place: Place):
    """Whoever listens gets the trajectory without texts and no steps; whoever does not gets the error."""
    place.write(request(1, AT - timedelta(hours=1)))
    place.follow()
    trace_id = f"{1:032x}"
    with SqliteTrajectories(place.store.connection.path) as unset:
        with pytest.raises(SourceError, match="ANALYZER_CLICKHOUSE_URL does not say where"):
            unset.trajectory(trace_id)
        with pytest.raises(NotFoundError):
            unset.trajectory("f" * 32)
        told = unset.elsewhere.heard()
        assert len(unset.trajectory(trace_id).spans) == 3
        assert unset.trajectories([trace_id, "f" * 32]) == {trace_id: unset.trajectory(trace_id)}
        assert unset.steps([trace_id]) == {}
        # What they took and when is here.
        assert [step.input + step.output for step in unset.light_steps([trace_id])[trace_id]] == ["", ""]
    assert {gap.what for gap in told} == {"texts of trajectories"}


@pytest.mark.parametrize("few", [2, 60])
def test_trajectories_that_lie_far_apart_are_found_where_they_are(place: Place, few: int):
    """Whether they are sought stretch by stretch of time, or, where these are too many, from the first to the last."""
    begins = {f"{number:032x}": AT - timedelta(minutes=20 * number) for number in range(1, few + 1)}
    place.write(*(request(number, begin) for number, begin in enumerate(begins.values(), start=1)))
    found = [row.trace_id for row in place.source.of_trajectories([*begins, "f" * 32])]
    assert sorted(found) == sorted([*begins] * 3)
    assert [row.trace_id for row in place.source.of_trajectories([*begins][1:2])] == [[*begins][1]] * 3
    assert list(place.source.of_trajectories(["f" * 32])) == []


def test_several_trajectories_are_fetched_by_one_question(place: Place, monkeypatch: pytest.MonkeyPatch):
    """One that is gone from there comes without its texts, and the others whole."""
    asked: list[list[str]] = []
    fetch = ClickHouse.of_trajectories

    def noted(source: ClickHouse, trace_ids: Sequence[str], **given: bool) -> Iterator[Row]:
        asked.append(sorted(trace_ids))
        return fetch(source, trace_ids, **given)

    ids = [f"{number:032x}" for number in (1, 2, 3)]
    for number in (1, 2, 3):
        place.write(request(number, AT - timedelta(hours=1)))
    place.follow()
    place.client.command(f"ALTER TABLE otel_traces DELETE WHERE TraceId = '{ids[1]}' SETTINGS mutations_sync = 2")
    monkeypatch.setattr(ClickHouse, "of_trajectories", noted)
    found = place.store.trajectories([ids[2], "f" * 32, ids[0], ids[1]])
    assert asked == [ids]
    texts = {one: any(span.input for span in trajectory.spans) for one, trajectory in found.items()}
    assert texts == {ids[2]: True, ids[0]: True, ids[1]: False}
    assert list(texts) == [ids[2], ids[0], ids[1]]


def test_what_grew_since_its_texts_were_fetched_is_fetched_anew(place: Place):
    """A process that stays, as the pages do, shows a trajectory that is still under way as it is by then."""
    begin, trace_id = AT - timedelta(hours=1), f"{1:032x}"
    place.write(request(1, begin))
    place.follow()
    assert len(place.store.trajectory(trace_id).spans) == len(place.store.steps([trace_id])[trace_id]) + 1 == 3
    grown = request(1, begin, extra=2)
    grown["resourceSpans"][0]["scopeSpans"][0]["spans"] = grown["resourceSpans"][0]["scopeSpans"][0]["spans"][3:]
    place.write(grown)
    assert place.follow().spans_new == 2
    assert place.store.span(trace_id, f"{5:016x}").input == '{"order": 1, "note": "nothing"}'
    assert len(place.store.steps([trace_id])[trace_id]) == 4
    assert [span.input is not None for span in place.store.trajectory(trace_id).spans if span.tool] == [True] * 3


def test_texts_that_cannot_be_searched_are_said_or_raised(tmp_path: Path):
    """A search gives what stands here and says what it could not look through; nobody there to be told: an error."""
    source = ClickHouse("http://reader@127.0.0.1:9/otel", None, CollectorTables())
    elsewhere = Elsewhere(lambda: CollectedSpans(source, READ, timedelta(days=28), lambda: AT))
    with SqliteTrajectories(tmp_path / "s.db", elsewhere=elsewhere) as store:
        store.add(spans_from_json(request(1, AT)).spans)
        with pytest.raises(SourceError, match="did not answer"):
            store.search("refund order")
        told = elsewhere.heard()
        assert [hit.trace_id for hit in store.search("refund order")] == [f"{1:032x}"]
    assert [gap.what for gap in told] == ["texts of trajectories"]


def test_a_search_keeps_to_the_agent_and_to_the_fleet(place: Place):
    """Texts elsewhere are found for the agent that is named; without one the analyst's own runs are left out."""
    shop, own = request(1, AT - timedelta(hours=1)), request(2, AT - timedelta(hours=1))
    for attribute in own["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]:
        if attribute["key"] == "gen_ai.agent.name":
            attribute["value"]["stringValue"] = "analyzer"
    place.write(shop, own, request(3, AT - timedelta(days=40)))
    place.follow()
    found = {name: {hit.trace_id[-1] for hit in place.store.search("refund order", agent=name)} for name in _AGENTS}
    assert found == {None: {"1"}, "shop": {"1"}, "analyzer": {"2"}, "nobody": set()}


_AGENTS = (None, "shop", "analyzer", "nobody")


def test_a_text_is_found_however_it_is_spelt_in_the_table(place: Place):
    """Quotation marks stand there as JSON has them; what is asked for is what people read."""
    place.write(request(1, AT - timedelta(hours=1), said='wrote \\"hiya\\" twice'))
    place.follow()
    assert {hit.trace_id[-1] for hit in place.store.search('wrote "HIYA" twice')} == {"1"}
    assert place.store.search('wrote "hiya" thrice') == []


def test_only_the_services_that_are_named_are_read(tmp_path: Path):
    """With `services` the spans of other programs in the same table are not the fleet's."""
    with embedded(tmp_path) as client:
        place = Place(client, tmp_path, services=("shop's",))
        named = request(1, AT - timedelta(hours=1))
        attributes = [{"key": "service.name", "value": {"stringValue": "shop's"}}]
        named["resourceSpans"][0]["resource"] = {"attributes": attributes}
        place.write(named, request(2, AT - timedelta(hours=1)))
        assert place.follow().rows == 3
        place.close()


def test_steps_of_other_services_are_among_those_that_are_judged(tmp_path: Path):
    """A run numbers the steps as the page does; and calls that only another service reports may be what loops."""
    with embedded(tmp_path) as client:
        place = Place(client, tmp_path, services=("shop",))
        begin = AT - timedelta(hours=1)
        own, other = of_service("shop", 1, begin, extra=2), of_service("tools", 1, begin, extra=3)
        spans = other["resourceSpans"][0]["scopeSpans"][0]["spans"]
        del spans[:-1]
        place.write(own, other)
        assert place.follow().spans_new == 5
        trace_id = f"{1:032x}"
        assert place.store.summary(trace_id).repeats == 3
        assert place.store.looked([trace_id]) == {}
        found = place.store.suspects([trace_id])[trace_id].steps
        assert len(found) == 5
        assert found == place.store.trajectory(trace_id).steps
        place.close()


def of_service(name: str, number: int, begin: datetime, *, extra: int = 0) -> dict[str, Any]:
    """Return a run of a service."""
    made = request(number, begin, extra=extra)
    made["resourceSpans"][0]["resource"] = {"attributes": [{"key": "service.name", "value": {"stringValue": name}}]}
    return made


def test_services_that_are_named_later_are_read_from_the_beginning(tmp_path: Path):
    """Their history comes in portions, as in a first pass; of those known before nothing is read again, nor counted."""
    with embedded(tmp_path) as client:
        before = Place(client, tmp_path, services=("a", "b"))
        before.write(
            *(
                of_service(name, 10 * at + one, AT - timedelta(days=at))
                for one, name in enumerate("abc")
                for at in (1, 5, 9)
            )
        )
        assert before.follow().rows == 18
        before.close()
        after = Place(client, tmp_path, services=("c", "a", "b"))
        after.write(of_service("b", 99, AT - timedelta(hours=1)))
        assert unread(after.store, after.source, AT, AT - timedelta(days=28)) != ()
        seen = [after.follow(rows_max=9) for _ in range(3)]
        assert [(one.rows, one.spans_new, one.left) for one in seen] == [(9, 9, 3), (3, 3, 0), (0, 0, 0)]
        assert [gap.why for one in seen for gap in one.gaps] == ["3 of before 2026-11-09 00:05 UTC are not read yet"]
        assert unread(after.store, after.source, AT, AT - timedelta(days=28)) == ()
        found = reached(after.store, after.source)
        assert found is not None
        assert (found.start, found.rows) == (AT - timedelta(days=28), 30)
        after.close()
        fewer = Place(client, tmp_path, services=("b", "a"))
        assert fewer.follow().rows == 0
        fewer.close()


def test_all_services_after_some_are_read_from_the_beginning(tmp_path: Path):
    """Without `services` all of the table is followed: what the history has besides is read, what is known stays."""
    with embedded(tmp_path) as client:
        some = Place(client, tmp_path, services=("a",))
        some.write(*(of_service(name, number, AT - timedelta(days=9)) for number, name in enumerate(("a", "it's"), 1)))
        assert some.follow().spans_new == 3
        some.close()
        every = Place(client, tmp_path)
        assert [(one.spans_new, one.left) for one in (every.follow(), every.follow())] == [(3, 0), (0, 0)]
        every.close()


def test_the_store_says_how_far_it_followed(place: Place):
    """From the first five minutes that were looked at to the end of the last ones."""
    assert reached(place.store, place.source) is None
    place.write(request(1, AT - timedelta(hours=1)))
    place.follow()
    found = reached(place.store, place.source)
    assert found is not None
    assert (found.start, found.end, found.rows) == (AT - timedelta(days=28), AT, 3)
    assert place.store.stats().spans_elsewhere == 3


def test_pruning_takes_what_was_followed(place: Place):
    """Retention deletes old trajectories of the index, and they do not come back."""
    place.write(request(1, AT - timedelta(hours=30)), request(2, AT - timedelta(hours=1)))
    place.follow()
    assert place.store.prune(AT - timedelta(hours=24)).trajectories == 1
    assert place.follow().rows == 0
    assert [one.trace_id[-1] for one in place.store.summaries()] == ["2"]
