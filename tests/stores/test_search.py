"""Search over the whole store: finds what the trajectories say, newest first, and quotes it verbatim."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.spans import chat, history, root, tool, trace_id

from analyzer.errors import NotFoundError
from analyzer.stores import search
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.messages import readable
from analyzer.types.trace import Status


def test_the_newest_come_first_whatever_their_number(store: SqliteTrajectories) -> None:
    """A text that stands in every trajectory is found in the newest ones first, within the limit."""
    for number in range(1, 301):
        store.add([root(number, at_s=number * 60, input=f"order {number}: where is it?")])
    hits = store.search("WHERE IS IT", limit=3)
    assert [hit.trace_id for hit in hits] == [trace_id(300), trace_id(299), trace_id(298)]
    assert [hit.excerpt for hit in store.search("order 7:")] == ["order 7: where is it?"]


def test_one_agent_or_the_fleet(store: SqliteTrajectories) -> None:
    """With an agent only its trajectories are searched; without one the analyst's own are left out."""
    for number, agent in enumerate(("shop", "billing", "analyzer"), start=1):
        store.add([root(number, agent=agent, at_s=number, input="the same question")])
    assert [hit.trace_id for hit in store.search("same question")] == [trace_id(2), trace_id(1)]
    assert [hit.trace_id for hit in store.search("same question", agent="shop")] == [trace_id(1)]
    assert [hit.trace_id for hit in store.search("same question", agent="analyzer")] == [trace_id(3)]


@pytest.mark.parametrize(
    "text",
    [
        'she said "no"',
        "C:\\temp\\new",
        "line one\nline two",
        "tab\there",
        "100 % of 5'000",
        "größer als Überfluß",
        "Привет, мир",
        "数据库连接失败",
        "emoji 🙂 here",
        "* OR NOT NEAR(",
        '"; DROP TABLE spans; --',
        "assistant: she",
    ],
)
def test_any_text_is_found_as_it_reads(store: SqliteTrajectories, text: str) -> None:
    """Quotation marks, backslashes, line ends, other scripts and the syntax of other search engines are plain text."""
    said = f"before {text} after" if not text.startswith("assistant") else "she went"
    spans = [
        chat(1, 2, input=history("hello", said)),
        tool(2, 3, output=said),
        chat(3, 4, output=json.dumps({"role": "assistant", "content": said})),
    ]
    for span in spans:
        store.add([span])
    found = {hit.trace_id for hit in store.search(text)}
    expected = {
        span.trace_id
        for span in spans
        for payload in (span.input, span.output)
        if text.casefold() in readable(payload).casefold()
    }
    assert expected
    assert found == expected
    for hit in store.search(text):
        whole = store.span(hit.trace_id, hit.span_id)
        assert hit.excerpt in readable(getattr(whole, hit.field))


def test_messages_of_failures_are_found(store: SqliteTrajectories) -> None:
    """A status message stands in no payload and is found all the same."""
    store.add([root(1, status=Status.ERROR, status_message="upstream said 418"), root(2)])
    assert [(hit.trace_id, hit.field) for hit in store.search("said 418")] == [(trace_id(1), "status_message")]


def test_the_empty_text_is_nowhere(store: SqliteTrajectories) -> None:
    """Nothing to look for finds nothing; an id that is not there is an error, as everywhere."""
    store.add([root(1, input="something")])
    assert store.search("") == store.search("  \n") == []
    with pytest.raises(NotFoundError):
        store.search("something", trace_ids=[trace_id(9)])


def test_a_search_ends_where_words_stand_everywhere(store: SqliteTrajectories, monkeypatch) -> None:
    """Words that stand in every trajectory, but nowhere in this order, cost a bounded number of trajectories."""
    monkeypatch.setattr(search, "TRIED_MAX", 5)
    for number in range(1, 21):
        store.add([root(number, at_s=number, input="alpha beta")])
    with store.connection.reading() as raw:
        assert len(list(search.candidates(raw, store._codec, "beta alpha", None))) == 5
    assert store.search("beta alpha") == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet='ab "\\\n:é1_-{', min_size=1, max_size=6), seed=st.integers(0, 10**6))
def test_a_search_of_all_finds_what_a_search_of_each_finds(tmp_path: Path, text: str, seed: int) -> None:
    """Looking through blocks passes over no trajectory in which the text stands."""
    chance = Random(seed)  # noqa: S311 - seeded texts
    with SqliteTrajectories(tmp_path / f"{seed}-{abs(hash(text))}.db") as store:
        for number in range(1, 6):
            words = ["".join(chance.choices('ab "\\\n:é1_-{', k=8)) for _ in range(3)]
            store.add([chat(number, 2, at_s=number, input=history(*words), output=words[0])])
        each = [
            trace_id(number)
            for number in range(5, 0, -1)
            if text.strip() and search.hits_in(store.trajectory(trace_id(number)), text, 1)
        ]
        assert list(dict.fromkeys(hit.trace_id for hit in store.search(text, limit=100))) == each
