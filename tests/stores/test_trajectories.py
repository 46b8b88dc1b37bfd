"""Trajectories in SQLite: whatever the order and number of deliveries, the store holds the same."""

from __future__ import annotations

import json
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.spans import EPOCH, chat, history, ns, root, tool, trace_id

from analyzer.errors import NotFoundError, StoreBusyError, StoreError
from analyzer.stores.cohorts import cohorts
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import ErrorClass, Event, Operation, Outcome, Span, Status, Tokens

END = EPOCH + timedelta(days=1)


def run_of_three(number: int = 1) -> list[Span]:
    """Return a root, two inferences and a tool call."""
    return [
        chat(number, 2, at_s=1, input=history("hello"), output=history("", "let me look"), system="be kind"),
        tool(number, 3, at_s=2),
        chat(number, 4, at_s=3, input=history("hello", "let me look", "no such order"), system="be kind"),
        root(number, agent_version="1.0", input="find the order", output="not there"),
    ]


def contents(store: SqliteTrajectories) -> list[object]:
    """Return everything a store says of its trajectories, payloads included."""
    with store.connection.reading() as raw:
        ids = [row[0] for row in raw.execute("SELECT trace_id FROM trajectories ORDER BY trace_id")]
        repeated = raw.execute("SELECT trajectory, span_id FROM spans WHERE repeated ORDER BY 1, 2").fetchall()
    return [[store.trajectory(one) for one in ids], len(repeated)]


def test_what_went_in_comes_out(store: SqliteTrajectories) -> None:
    """A span comes back with every field, payloads, attributes and events as they were."""
    span = chat(
        1,
        2,
        parent_id=None,
        input=history("a", "b", "c"),
        output="[not json",
        system="s",
        tool_definitions='[{"name": "t"}]',
        status=Status.ERROR,
        status_message="boom",
        error=ErrorClass.TIMEOUT,
        error_type="TimeoutError",
        attributes={"gen_ai.request.max_tokens": 64, "nested": {"a": [1, None, "x"]}},
        resource={"service.name": "shop"},
        events=(Event("exception", ns(1), {"exception.type": "TimeoutError"}),),
        tokens=Tokens(350, 20, 200, 50, 10, 7),
        scope="scope",
    )
    store.add([span])
    [back] = store.trajectory(trace_id(1)).spans
    assert json.loads(back.input or "") == json.loads(span.input or "")
    assert json.loads(back.tool_definitions or "") == json.loads(span.tool_definitions or "")
    assert (back.output, back.system, back.tokens, back.attributes) == (
        span.output,
        span.system,
        span.tokens,
        span.attributes,
    )
    assert (back.status, back.status_message, back.error, back.error_type) == (
        Status.ERROR,
        "boom",
        ErrorClass.TIMEOUT,
        "TimeoutError",
    )
    assert (back.resource, back.events, back.scope) == (span.resource, span.events, "scope")
    assert store.span(trace_id(1), span.span_id) == back


def test_summary_adds_up_each_call_once(store: SqliteTrajectories) -> None:
    """Tokens, cost and steps are the sums over inferences and tool calls; agent, version and times are the root's."""
    added = store.add(run_of_three())
    summary = store.trajectory(trace_id(1)).summary
    assert (added.spans_new, added.spans_known, added.trajectories) == (4, 0, 1)
    assert (summary.agent, summary.version, summary.model) == ("shop", "1.0", "claude-sonnet-5-5")
    assert (summary.steps, summary.inferences, summary.tool_calls, summary.spans) == (3, 2, 1, 4)
    assert (summary.input_tokens, summary.output_tokens, summary.cost_usd) == (200, 40, pytest.approx(0.0008))
    assert (summary.start_ns, summary.end_ns, summary.complete) == (ns(0), ns(10), True)
    assert summary.outcome is Outcome.SUCCESS


def test_the_same_twice_changes_nothing(store: SqliteTrajectories) -> None:
    """Ingesting the same spans again adds nothing and says so."""
    store.add(run_of_three())
    before = contents(store)
    added = store.add(run_of_three())
    assert (added.spans_new, added.spans_known) == (0, 4)
    assert contents(store) == before


def test_the_same_again_takes_no_room(store: SqliteTrajectories) -> None:
    """Spans that are sent over and over leave the file as it is, in whatever batches they come."""
    store.add(run_of_three())
    with store.connection.reading() as raw:
        before = raw.execute("SELECT COUNT(*), SUM(size) FROM blocks").fetchone()
    for _ in range(3):
        store.add(run_of_three())
        for span in reversed(run_of_three()):
            store.add([span])
    with store.connection.reading() as raw:
        assert raw.execute("SELECT COUNT(*), SUM(size) FROM blocks").fetchone() == before


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), batch=st.integers(1, 5))
def test_any_order_duplication_and_batching_gives_the_same_store(tmp_path: Path, seed: int, batch: int) -> None:
    """Spans that arrive late, doubled, in other batches or in an older form leave the same store."""
    random = Random(seed)  # noqa: S311 - a seeded shuffle
    spans = [span for number in (1, 2) for span in run_of_three(number)]
    unfinished = chat(1, 2, at_s=1, end_ns=None, output=None, input=history("hello"))
    nested = chat(2, 9, at_s=3.1, lasts_s=0.5, parent_id=f"{4:016x}", tokens=Tokens(100, 20))
    sent = [*spans, nested, *random.sample(spans, 3), unfinished]
    random.shuffle(sent)
    whole = SqliteTrajectories(tmp_path / f"whole-{seed}-{batch}.db")
    parts = SqliteTrajectories(tmp_path / f"parts-{seed}-{batch}.db")
    try:
        whole.add([*spans, nested])
        for start in range(0, len(sent), batch):
            parts.add(sent[start : start + batch])
        assert contents(parts) == contents(whole)
    finally:
        whole.close()
        parts.close()


def test_a_failed_batch_leaves_nothing(store: SqliteTrajectories) -> None:
    """A batch is kept whole or not at all, and the store works on afterwards."""
    with store.connection.writing() as raw:
        raw.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON spans WHEN NEW.span_id = '0000000000000005'"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    before = [row for row in store.connection.raw.iterdump() if row.startswith("INSERT")]
    with pytest.raises(StoreError, match="refused"):
        store.add([*run_of_three(), chat(1, 5)])
    assert store.summaries() == []
    assert [row for row in store.connection.raw.iterdump() if row.startswith("INSERT")] == before
    store.add(run_of_three())
    assert store.trajectory(trace_id(1)).summary.spans == 4


def test_a_long_history_is_stored_once(store: SqliteTrajectories) -> None:
    """The store grows with what is new at each step, not with the whole prompt."""
    texts = [f"message {i} " + "x" * 500 + str(i) for i in range(120)]
    spans = [chat(1, i + 2, at_s=i, input=history(*texts[: i + 1])) for i in range(len(texts))]
    sent = sum(len(span.input or "") for span in spans)
    store.add(spans)
    with store.connection.reading() as raw:
        size = raw.execute("SELECT SUM(size) FROM blocks").fetchone()[0]
        nodes = raw.execute("SELECT COUNT(*) FROM threads").fetchone()[0]
    assert nodes == len(texts)
    assert size * 40 < sent
    last = store.span(trace_id(1), spans[-1].span_id)
    assert json.loads(last.input or "") == json.loads(spans[-1].input or "")


def test_secrets_never_reach_the_file(store: SqliteTrajectories) -> None:
    """What is masked is masked before it is written: no secret stands in the file, in any field."""
    secret = "sk-ant-api03-" + "Zq7" * 30
    mail = "jane.doe@example.org"
    store.add(
        [
            chat(
                1,
                2,
                name=f"chat {mail}",
                input=history(f"my key is {secret}", f"write to {mail}"),
                output=f"Bearer {secret}",
                status_message=f"failed for {mail}",
                user_id=mail,
                attributes={"header": f"Bearer {secret}", "deep": [{"mail": mail}]},
                events=(Event("exception", None, {"exception.message": f"bad key {secret}"}),),
                resource={"owner": mail},
            )
        ]
    )
    store.connection.close()
    raw = b"".join(path.read_bytes() for path in store.connection.path.parent.glob("store.db*"))
    again = SqliteTrajectories(store.connection.path)
    text = repr(again.trajectory(trace_id(1)))
    again.close()
    for one in (secret, mail):
        assert one.encode() not in raw
        assert one not in text
    assert "<email:" in text


def test_a_pseudonym_is_the_same_in_every_run_of_one_store(tmp_path: Path) -> None:
    """The key of the pseudonyms is kept in the store: the same address has the same name tomorrow."""
    seen = []
    for number in (1, 2):
        opened = SqliteTrajectories(tmp_path / "same.db")
        opened.add([root(number, input="from jane.doe@example.org")])
        seen.append(opened.trajectory(trace_id(number)).spans[0].input)
        opened.close()
    assert seen[0] == seen[1]


def test_resolving_a_prefix(store: SqliteTrajectories) -> None:
    """A unique beginning of an id is enough; latest and worst work; what is unclear says what to do."""
    store.add([root(0xAB1, at_s=0), chat(0xAB1, 2, cost_usd=5.0), root(0xAB2, at_s=100)])
    assert store.resolve(trace_id(0xAB1)) == trace_id(0xAB1)
    assert store.resolve("latest") == trace_id(0xAB2)
    assert store.resolve("worst") == trace_id(0xAB1)
    with pytest.raises(NotFoundError, match="give more digits"):
        store.resolve("000")
    with pytest.raises(NotFoundError, match="no trajectory begins with"):
        store.resolve("fff")
    with pytest.raises(NotFoundError, match="is no trace id"):
        store.resolve("%")


def test_steps_are_those_of_the_trajectory(store: SqliteTrajectories) -> None:
    """The quick way to steps gives what the whole trajectory gives."""
    for number in (1, 2):
        store.add(run_of_three(number))
    quick = store.steps([trace_id(1), trace_id(2), trace_id(3)])
    assert quick == {trace_id(n): store.trajectory(trace_id(n)).steps for n in (1, 2)}
    assert [step.input for step in quick[trace_id(1)]] == ["hello", '{"order": "A-1"}', "no such order"]


def test_steps_come_in_the_order_of_the_ids(store: SqliteTrajectories) -> None:
    """What an incident quotes of several goes by their order: it is not that in which somebody asked."""
    for number in (2, 1, 3):
        store.add(run_of_three(number))
    assert list(store.steps([trace_id(3), trace_id(1), trace_id(2)])) == [trace_id(n) for n in (1, 2, 3)]


def test_series_count_finished_trajectories_per_tick(store: SqliteTrajectories) -> None:
    """Cost and errors stand in the tick in which a trajectory ended; those still running are left out."""
    store.add([root(1, at_s=10), chat(1, 2, cost_usd=0.5), root(2, at_s=1000), chat(2, 2, cost_usd=1.5)])
    store.add([root(3, at_s=1010, status=Status.ERROR), chat(3, 2, cost_usd=None, tokens=None)])
    store.add([chat(4, 2, at_s=80_000, parent_id="f" * 16, cost_usd=9.0)])
    series = {(one.signal.value, one.subject.agent): one for one in store.series(EPOCH, EPOCH + timedelta(hours=23))}
    cost, errors = series["cost", "shop"], series["errors", "shop"]
    assert (list(cost.count[:2]), list(cost.total[:2])) == ([1, 1], [0.5, 1.5])
    assert (list(errors.count[:2]), list(errors.total[:2])) == ([1, 2], [0, 1])
    assert len(cost.count) == 23 * 4
    assert [sum(sketch.values()) for sketch in (cost.sketches or [])[:2]] == [1, 1]
    assert ("cost", "unknown") not in series
    settled = store.series(EPOCH, EPOCH + timedelta(hours=24))
    assert ("cost", "unknown") in {(one.signal.value, one.subject.agent) for one in settled}


def test_unknown_costs_stand_beside_the_series_and_not_in_it(store: SqliteTrajectories) -> None:
    """A trajectory without any known cost is no unit of the costs, least of all one of 0; of a part the part counts."""
    store.add([root(1), chat(1, 2, cost_usd=0.5), chat(1, 3, cost_usd=None)])
    store.add([root(2), chat(2, 2, cost_usd=None), root(3), chat(3, 2, cost_usd=1.5)])
    store.add([root(4, agent="dark"), chat(4, 2, cost_usd=None)])
    costs = {one.subject.agent: one for one in store.series(EPOCH, END) if one.signal.value == "cost"}
    assert set(costs) == {"shop"}
    own = costs["shop"]
    assert (own.count[0], own.total[0]) == (2, 2.0)
    assert own.unpriced is not None
    assert (own.unpriced.trajectories[0], own.unpriced.calls[0], own.unpriced.inferences[0]) == (1, 2, 4)
    found = [(use.agent, use.model, use.calls, use.trajectories) for use in store.unpriced(EPOCH, END)]
    assert found == [("shop", "claude-sonnet-5-5", 2, 2), ("dark", "claude-sonnet-5-5", 1, 1)]
    assert store.unpriced_models() == [("claude-sonnet-5-5", 3)]
    assert sum(row.unpriced_tokens for row in store.usage("shop", EPOCH, END)) == 240


def test_tool_errors_are_counted_per_tool(store: SqliteTrajectories) -> None:
    """Each trajectory that called a tool has the share of its calls that failed; one reported again counts once."""
    store.add(
        [
            root(1),
            tool(1, 2, status=Status.ERROR),
            tool(1, 3),
            tool(1, 4, parent_id=f"{3:016x}"),
            tool(1, 5, tool="refund"),
        ]
    )
    series = {one.subject.tool: one for one in store.series(EPOCH, END) if one.signal.value == "tool-errors"}
    lookup, refund = series["lookup_order"], series["refund"]
    assert (sum(lookup.count), sum(lookup.total), sum(lookup.hit or [])) == (1, 0.5, 1)
    assert (sum(refund.count), sum(refund.total), refund.hit) == (1, 0, None)
    assert lookup.unit == "trajectories"


def test_a_trajectory_that_fails_ten_times_counts_once(store: SqliteTrajectories) -> None:
    """The calls of one trajectory fail together, over ticks too: it stands in the tick of its last call, as one."""
    store.add([root(1, lasts_s=5000), *[tool(1, 2 + i, at_s=400 * i, status=Status.ERROR) for i in range(10)]])
    store.add([root(2), tool(2, 2), root(3), tool(3, 2)])
    [one] = [one for one in store.series(EPOCH, END) if one.signal.value == "tool-errors"]
    assert [one.count[0], one.count[4], sum(one.count)] == [2, 1, 3]
    assert [one.total[0], one.total[4], sum(one.total)] == [0, 1, 1]


def test_usage_adds_up_to_the_whole(store: SqliteTrajectories) -> None:
    """Rows by version and model add up to all trajectories, steps, tokens and dollars of the agent."""
    store.add([root(1, agent_version="1"), chat(1, 2), chat(1, 3, model="claude-haiku-5-5", cost_usd=0.1), tool(1, 4)])
    store.add([root(2, agent_version="2"), chat(2, 2, cost_usd=None)])
    # A call that an inner span reports again counts once here, too.
    store.add([chat(2, 3, parent_id=f"{2:016x}", cost_usd=None, at_s=1.1, lasts_s=0.5)])
    rows = store.usage("shop", EPOCH, END)
    assert sum(row.trajectories for row in rows) == 2
    assert sum(row.steps for row in rows) == 4
    assert sum(row.input_tokens for row in rows) == 300
    assert sum(row.cost_usd for row in rows) == pytest.approx(0.1004)
    assert sum(row.unpriced for row in rows) == 1
    assert {(row.version, row.model) for row in rows} == {
        ("1", "claude-sonnet-5-5"),
        ("1", "claude-haiku-5-5"),
        ("2", "claude-sonnet-5-5"),
    }


def test_usage_tells_what_prices_are_fitted_from(store: SqliteTrajectories) -> None:
    """Of priced inferences the products of parts and USD are summed; tool calls and paid ones stand apart."""
    used = Tokens(input=100, output=10, cache_read=60, cache_write=15)
    store.add([root(1), chat(1, 2, tokens=used, cost_usd=0.5), chat(1, 3, tokens=used, cost_usd=None)])
    store.add([tool(1, 4, cost_usd=0.25), tool(1, 5)])
    rows = {row.model: row for row in store.usage("shop", EPOCH, END)}
    parts = (25, 10, 60, 15, 0.5)
    expected = [parts[i] * parts[j] for i in range(5) for j in range(i, 5)]
    assert rows["claude-sonnet-5-5"].squares == pytest.approx(expected)
    assert sum(row.tool_steps for row in rows.values()) == 2
    assert (rows[None].tool_calls, rows[None].tool_usd, rows[None].cost_usd) == (1, 0.25, 0)


def test_cohorts_are_trajectories_that_agree(store: SqliteTrajectories) -> None:
    """Counts and sums by what trajectories were made with, cut at a bound; what has no cost is left out."""
    for run, usd in enumerate((1.0, 2.0, 50.0, None)):
        more = {"agent_version": "1" if run else "2", "user_id": "u"}
        store.add([root(run, **more), chat(run, 2, cost_usd=usd, model="m")])
    found = store.cohorts("shop", EPOCH, END, "cost", capped_at=10.0)
    assert [(one.values[:3], one.values[5], one.trajectories, one.total, one.squares) for one in found] == [
        (("shop", "1", "m"), "u", 2, 12.0, 104.0),
        (("shop", "2", "m"), "u", 1, 1.0, 1.0),
    ]
    assert sum(one.trajectories for one in store.cohorts(None, EPOCH, END, "errors")) == 4
    assert store.percentile("shop", EPOCH, END, "cost", 0.99) == 2.0
    assert store.percentile("nobody", EPOCH, END, "cost", 0.5) is None


def test_more_cohorts_than_memory_should_hold_are_the_same(store: SqliteTrajectories) -> None:
    """Beyond a bound SQLite sorts them on disk: the same cohorts in the same order."""
    for run in range(12):
        more = {"user_id": f"user {run % 5}"} if run % 3 else {}
        store.add([root(run, agent_version=str(run % 2), **more), chat(run, 2, cost_usd=run / 4, model="m")])
    with store.connection.reading() as raw:
        held, on_disk = (cohorts(raw, "shop", EPOCH, END, "cost", 2.0, held_max=most) for most in (100, 3))
    assert held == on_disk
    assert len(held) > 3


def test_what_is_new_in_every_run_is_no_change(store: SqliteTrajectories) -> None:
    """Parameters that a program computes for every call are no fingerprint; the version beside them is one."""
    for run in range(40):
        version = "1" if run < 20 else "2"
        limits = {"parameters": f"max_tokens={1000 + run}"}
        store.add([root(run, at_s=60 * run, agent_version=version), chat(run, 2, at_s=60 * run, **limits)])
    assert [change.what for change in store.changes("shop", EPOCH, END)] == ["version"]


def test_new_parameters_and_sdk_are_changes(store: SqliteTrajectories) -> None:
    """How the model is asked, and by which library, are fingerprints as version and prompt are."""
    for run, (parameters, sdk) in enumerate([("temperature=0", "lib 1"), ("temperature=1", "lib 2")]):
        store.add([root(run, at_s=60 * run), chat(run, 2, at_s=60 * run, parameters=parameters, sdk=sdk)])
    found = [(one.what, one.from_value, one.to_value) for one in store.changes("shop", EPOCH, END)]
    assert found == [("parameters", "temperature=0", "temperature=1"), ("sdk", "lib 1", "lib 2")]


def test_first_sights_are_changes_but_the_beginning_is_none(store: SqliteTrajectories) -> None:
    """A new version, model or prompt is a change with what it replaced; what the history begins with is none."""
    for number in range(6):
        store.add(
            [
                root(number + 1, at_s=number * 1000, agent_version="1" if number < 4 else "2"),
                chat(number + 1, 2, at_s=number * 1000 + 1, system="old" if number < 3 else "new"),
            ]
        )
    found = [(one.what, one.from_value, one.to_value) for one in store.changes("shop", EPOCH, END)]
    assert [what for what, _, _ in found] == ["prompt", "version"]
    assert found[1] == ("version", "1", "2")


def test_search_finds_masked_text_once_per_place(store: SqliteTrajectories) -> None:
    """Search ignores case and does not report again what a later step's history repeats."""
    store.add(run_of_three())
    hits = store.search("LET ME LOOK", trace_ids=[trace_id(1)])
    assert [(hit.span_id, hit.field) for hit in hits] == [(f"{2:016x}", "output"), (f"{4:016x}", "input")]
    assert store.search("nowhere to be found") == []


def test_the_analysts_own_runs_are_not_the_fleet(store: SqliteTrajectories) -> None:
    """Own trajectories are found by id and by name, and left out everywhere else."""
    store.add([root(1, agent="analyzer"), root(2, agent="shop")])
    assert [one.agent for one in store.summaries()] == ["shop"]
    assert [one.agent for one in store.summaries(agent="analyzer")] == ["analyzer"]
    assert store.agents(EPOCH, END) == ["shop"]
    assert store.count(EPOCH, END) == (1, 1)
    assert {one.subject.agent for one in store.series(EPOCH, END)} == {"shop"}


def test_a_second_writer_waits_and_a_stuck_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process writes, a write waits; when it takes too long the error says so and nothing is lost."""
    path = tmp_path / "busy.db"
    store = SqliteTrajectories(path)
    store.connection.raw.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError, match="held by another process"):
        store.add(run_of_three())
    store.connection.raw.execute("PRAGMA busy_timeout = 5000")
    release = threading.Timer(0.2, other.execute, ["ROLLBACK"])
    release.start()
    store.add(run_of_three())
    release.join()
    assert store.trajectory(trace_id(1)).summary.spans == 4
    other.close()
    store.close()


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    """A text file in the store's place is an error with the next step, not a traceback."""
    path = tmp_path / "notes.db"
    path.write_text("these are my notes " * 100)
    with pytest.raises(StoreError, match="no sound SQLite file"):
        SqliteTrajectories(path)
    with pytest.raises(StoreError, match="cannot open the store"):
        SqliteTrajectories(tmp_path / "notes.db" / "x.db")


def test_a_run_of_ten_thousand_steps_is_read_within_bounds(store: SqliteTrajectories) -> None:
    """A very long trajectory comes back with the tail of each history, and `span` gives the whole."""
    texts = [f"step {i}: " + "y" * 300 for i in range(1000)]
    store.add([chat(1, i + 2, at_s=i, input=history(*texts[: i + 1])) for i in range(1000)])
    spans = store.trajectory(trace_id(1)).spans
    assert sum(len(span.input or "") for span in spans) <= 33_000_000
    assert texts[999] in (spans[-1].input or "")
    assert len(json.loads(store.span(trace_id(1), spans[-1].span_id).input or "")) == 1000


def test_unknown_spans_are_not_found(store: SqliteTrajectories) -> None:
    """A span or trajectory that is not there is an error that says so."""
    store.add(run_of_three())
    with pytest.raises(NotFoundError, match="has no span"):
        store.span(trace_id(1), "f" * 16)
    with pytest.raises(NotFoundError, match="no trajectory"):
        store.trajectory(trace_id(9))


def test_an_orphaned_agent_span_still_names_the_trajectory(store: SqliteTrajectories) -> None:
    """A trajectory below a web framework's span that went elsewhere has its agent's name and outcome."""
    store.add([root(1, parent_id="e" * 16, status=Status.ERROR, operation=Operation.AGENT), chat(1, 2)])
    summary = store.trajectory(trace_id(1)).summary
    assert (summary.agent, summary.outcome, summary.complete) == ("shop", Outcome.ERROR, False)
