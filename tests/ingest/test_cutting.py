"""What following leaves in ClickHouse of a conversation is missed by nobody: a row of the index is the same."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clickhouse import TRACES, embedded, write
from support.conversations import SCOPES, attributes
from support.otlp_requests import request, span

from analyzer.ingest.cutting import cut_attributes
from analyzer.ingest.dialects import DIALECTS
from analyzer.ingest.dialects.base import Dequoted, Dialect
from analyzer.ingest.wire_clickhouse import span_of
from analyzer.simulation.scenario import random_fleet
from analyzer.stores.clickhouse import ClickHouse, Row
from analyzer.stores.rows import COLUMNS
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.choices import GOAL_CHARS_MAX
from analyzer.types.collector import CollectorTables
from analyzer.types.trace import Operation, Span
from analyzer.types.trajectory import steps_of

CUT = cut_attributes(2_000)
"""Shorter ones than a run cuts, so that many of those that are drawn are."""
RECORDED = "fleet_swebench_mini_gemini3pro/trajs/*/*.json"
NOT_STORED = ("digest", "trajectory")


class Tables:
    """The Collector's tables, read as they are and as following reads them, and a store for each."""

    def __init__(self, client: Any, folder: Path) -> None:
        self.client, self.number = client, 0
        url = f"chdb://{folder / 'clickhouse'}"
        self.sources = [ClickHouse(url, None, CollectorTables(), cut) for cut in ("", CUT)]
        SqliteTrajectories(folder / "whole.db").close()
        # With the same keys.
        shutil.copy(folder / "whole.db", folder / "cut.db")
        self.stores = [SqliteTrajectories(folder / f"{name}.db", clock=lambda: 0.0) for name in ("whole", "cut")]

    def read(self, *requests: Mapping[str, Any]) -> list[tuple[Row, Row]]:
        """Return each row of some requests whole and cut."""
        self.client.command(f"TRUNCATE TABLE {TRACES}")
        count = write(self.client, *requests)
        whole, cut = (sorted(one.between(0, 2**62), key=lambda row: row[:2]) for one in self.sources)
        assert len(whole) == len(cut) == count
        return list(zip(whole, cut, strict=True))

    def close(self) -> None:
        """Close all."""
        for one in (*self.sources, *self.stores):
            one.close()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    """Give empty tables."""
    folder = tmp_path_factory.mktemp("cut")
    with embedded(folder) as client:
        made = Tables(client, folder)
        yield made
        made.close()


def agree(tables: Tables, rows: Sequence[tuple[Row, Row]]) -> int:
    """Hold what is made of whole and of cut rows against each other; return how many rows were cut."""
    all_whole, all_cut = ([span_of(row) for row in some] for some in zip(*rows, strict=True))
    for whole, cut, (row, short) in zip(all_whole, all_cut, rows, strict=True):
        assert short == row or whole.operation.is_inference
        assert replace(cut, input=whole.input, attributes=whole.attributes) == whole
        assert cut.attributes.keys() == whole.attributes.keys()
    assert steps_of(all_cut) == steps_of(all_whole)
    whole_stored, cut_stored = (
        _stored(store, some, f"{tables.number:08x}")
        for store, some in zip(tables.stores, (all_whole, all_cut), strict=True)
    )
    assert cut_stored == whole_stored
    tables.number += 1
    return sum(whole != cut for whole, cut in rows)


def _stored(store: SqliteTrajectories, spans: Iterable[Span], head: str) -> list[Any]:
    """Add spans under trace ids of their own; return all columns of their rows but the digest, and the sums."""
    fresh = [replace(one, trace_id=head + one.trace_id[8:]) for one in spans]
    store.add_light(fresh)
    ids = sorted({one.trace_id for one in fresh})
    columns = ", ".join(f"s.{one}" for one in COLUMNS if one not in NOT_STORED)
    marks = ",".join("?" * len(ids))
    query = (
        f"SELECT trace_id, {columns} FROM spans s JOIN trajectories t ON t.id = s.trajectory"  # noqa: S608 - own names and question marks
        f" WHERE trace_id IN ({marks}) ORDER BY trace_id, span_id"
    )
    with store.connection.reading() as raw:
        found: list[Any] = raw.execute(query, ids).fetchall()
    return [*found, *map(store.summary, ids)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**64))
def test_a_row_of_the_index_does_not_miss_what_was_cut(tables: Tables, seed: int):
    """Whatever the attributes, the dialect and the conversation: rows, sums and steps are those of the whole spans."""
    rng = random.Random(f"cut/{seed}")  # noqa: S311 - a draw that can be repeated
    trace = f"{rng.getrandbits(128):032x}"
    made = [
        request(span(number, traceId=trace, attributes=attributes(rng)), scope=rng.choice(SCOPES))
        for number in range(1, 25)
    ]
    agree(tables, tables.read(*made))


def test_texts_of_the_simulation_are_cut_and_not_missed(tables: Tables):
    """Whole runs of drawn agents with full texts: the rows of most inferences come shorter, and all say the same."""
    fleet = replace(random_fleet(5, 4, 0.2, 3, runs_per_hour=(1.0, 2.0), decoys=1), texts="full")
    rows = tables.read(*fleet.requests())
    assert agree(tables, rows) > 0.4 * sum(span_of(whole).operation is Operation.CHAT for whole, _ in rows)
    assert _size(cut for _, cut in rows) < 0.8 * _size(whole for whole, _ in rows)


def test_recorded_runs_are_not_missed(tables: Tables, shared_data: Path):
    """Steps of coding agents, each with all that went before: a tenth of it comes."""
    made = [_steps(path, number) for number, path in enumerate(sorted(shared_data.glob(RECORDED))[:6], 1)]
    rows = tables.read(*made)
    assert agree(tables, rows) > 0.8 * len(rows)
    assert _size(cut for _, cut in rows) < 0.2 * _size(whole for whole, _ in rows)


def _steps(path: Path, number: int) -> dict[str, Any]:
    """Return the calls of a recorded run, each with its conversation so far."""
    messages = [
        {"role": one["role"], "content": one["content"]} for one in json.loads(path.read_text("utf-8"))["messages"]
    ]
    spans = [
        span(
            place,
            traceId=f"{number:032x}",
            attributes={"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(messages[:place])},
        )
        for place, message in enumerate(messages)
        if message["role"] == "assistant"
    ]
    return request(*spans)


def _size(rows: Iterable[Row]) -> int:
    return sum(len(text) for row in rows for text in row.attributes.values())


def _said(*roles: str) -> str:
    return json.dumps(
        [{"role": role, "content": f"{role} {place} " + "says more " * 300} for place, role in enumerate(roles)]
    )


LONG = _said("system", "user", "assistant", "tool", "assistant", "tool")


@pytest.mark.parametrize(
    ("dialect", "name"),
    sorted({(one.name, name) for one in DIALECTS for name in one.chat_input if isinstance(name, str)}),
)
def test_every_dialect_is_cut(tables: Tables, dialect: str, name: str):
    """What stays of an inference's input is the system prompt, where the user began, and the last message."""
    told = next(one for one in DIALECTS if one.name == dialect)
    mark = {told.marks[0]: "x"} if told.marks else {}
    [(whole, cut)] = tables.read(
        request(span(attributes={**mark, **_telling(told), name: LONG}), scope=[*told.scopes, ""][0])
    )
    assert agree(tables, [(whole, cut)]) == 1
    kept = json.loads(cut.attributes[name])
    system, user, *_, last = json.loads(LONG)
    assert (kept[0], kept[2]) == (system, last)
    assert (kept[1]["role"], len(kept)) == ("user", 3)
    assert GOAL_CHARS_MAX <= len(kept[1]["content"]) < 3 * GOAL_CHARS_MAX
    assert user["content"].startswith(kept[1]["content"])


def _telling(dialect: Dialect) -> dict[str, str]:
    """Return the attribute by which a dialect says that a span is an inference."""
    source = next(one for one in dialect.operation if isinstance(one, str | Dequoted))
    kind = next(kind for kind, operation in reversed(dialect.operations.items()) if operation is Operation.CHAT)
    return {source: kind} if isinstance(source, str) else {source.name: f'"{kind}"'}


@pytest.mark.parametrize(
    ("attributes", "scope"),
    [
        ({"openinference.span.kind": "TOOL", "input.value": LONG}, ""),
        (
            {"langfuse.observation.type": "tool", "langfuse.observation.input": LONG, "gen_ai.operation.name": "chat"},
            "",
        ),
        ({"langfuse.trace.name": "t", "langfuse.observation.input": LONG, "traceloop.span.kind": "chat"}, ""),
        ({"mlflow.spanType": '"T\\u004fOL"', "gen_ai.operation.name": "chat", "mlflow.spanInputs": LONG}, ""),
        ({"langsmith.span.kind": "chain", "gen_ai.operation.name": "chat", "gen_ai.prompt": LONG}, ""),
        ({"span.type": "tool", "gen_ai.operation.name": "chat", "new_context": LONG}, "com.anthropic.claude_code"),
        ({"span.type": "llm_request", "new_context": LONG}, ""),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.input.messages": LONG}, ""),
        ({"gen_ai.operation.name": "chat", "gen_ai.output.messages": LONG}, ""),
        ({"traceloop.span.kind": "tas\u212a", "llm.request.type": "chat", "gen_ai.prompt": LONG}, ""),
    ],
)
def test_what_is_no_inferences_input_is_left_whole(tables: Tables, attributes: dict[str, str], scope: str):
    """The arguments of a tool and an agent's goal are read in full; of two words about a span the first counts."""
    [(whole, cut)] = tables.read(request(span(attributes=attributes), scope=scope))
    assert cut == whole


@pytest.mark.parametrize(
    "text",
    [
        LONG.replace("assistant 2", r"\ud800"),
        LONG.replace("assistant 2", r"\\ud83d\ude00"),
        LONG.replace("assistant 2", "\t"),
        LONG.replace('"assistant 2', "1" * 400 + ',"a":"'),
        LONG.replace('"assistant 2', '1e400,"a":"'),
        LONG.replace('"assistant 2', "[" * 40 + "]" * 40 + ',"a":"'),
        LONG[:-1] + ",null]",
        LONG[:-1] + ",[]]",
        LONG[:-1],
        LONG[:-1] + ",]",
        LONG.replace('"user"', '"human"'),
        LONG.replace('"role": "user"', '"role": "user", "role": "assistant"'),
        LONG.replace('"role": "user"', r'"role": "user", "r\u006fle": "assistant"'),
        LONG.replace('"role": "user", "content": "', '"role": "user", "content": "", "a": "'),
        f'{{"messages": {LONG}, "messages": []}}',
        f'{{"messages": {LONG}, "m\\u0065ssages": []}}',
        f'{{"messages": [{LONG}]}}',
        f'{{"messages": {LONG.replace("user 1", "-----BEGIN RSA PRIVATE KEY-----")}}}',
    ],
)
def test_what_may_be_read_in_several_ways_is_left_whole(tables: Tables, text: str):
    """Nothing is taken out of what is no JSON, of what one reader refuses and another takes, nor of a key."""
    [(whole, cut)] = tables.read(
        request(span(attributes={"gen_ai.operation.name": "chat", "gen_ai.input.messages": text}))
    )
    assert cut == whole


def test_bytes_of_what_stays_are_as_they_came(tables: Tables):
    """Escapes, numbers, spaces and the order of keys in the last message are part of what rules compare."""
    last = '{"z":1.0,"role":"tool" , "content":[{"n":1e400,"b":-0.0,"a":"\\u003cb\\u003e 🙂"}]}'
    text = LONG[:-1] + f",\n {last}\n]"
    [(_, cut)] = tables.read(
        request(
            span(attributes={"gen_ai.operation.name": "chat", "gen_ai.input.messages": text.replace("1e400", "12")})
        )
    )
    assert len(cut.attributes["gen_ai.input.messages"]) < len(text) / 2
    assert cut.attributes["gen_ai.input.messages"].endswith("," + last.replace("1e400", "12") + "\n]")


def test_an_attribute_that_came_twice_leaves_a_row_whole(tables: Tables):
    """A map may hold a name twice; the first is what SQL finds, the last is what we read."""
    tables.read(request(span(attributes={"gen_ai.operation.name": "chat"})))
    names = "['gen_ai.operation.name', 'gen_ai.operation.name', 'gen_ai.input.messages']"
    twice = f"CAST(({names}, ['chat', 'execute_tool', %(text)s]), 'Map(LowCardinality(String), String)')"
    tables.client.command(
        f"ALTER TABLE {TRACES} UPDATE SpanAttributes = {twice} WHERE 1 SETTINGS mutations_sync = 2",
        parameters={"text": LONG},
    )
    [cut] = tables.sources[1].between(0, 2**62)
    assert cut.attributes == {"gen_ai.operation.name": "execute_tool", "gen_ai.input.messages": LONG}


def test_a_span_that_comes_whole_and_cut_counts_once(tables: Tables, tmp_path: Path):
    """A row that was read before there was a cut, or came with its texts, stays one span, whichever form is kept."""
    pairs = tables.read(request(span(attributes={"gen_ai.operation.name": "chat", "gen_ai.input.messages": LONG})))
    whole, cut = (span_of(row) for row in pairs[0])
    for first, second in ((whole, cut), (cut, whole), (cut, cut)):
        with SqliteTrajectories(":memory:") as store:
            assert store.add_light([first]).spans_new == 1
            before = store.summary(whole.trace_id)
            assert store.add_light([second]).spans_new == 0
            assert store.summary(whole.trace_id) == before
            store.add([whole])
            store.add_light([second])
            kept = store.trajectory(whole.trace_id).spans[0].input
            assert kept is not None
            assert json.loads(kept) == json.loads(LONG)
