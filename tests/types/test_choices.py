"""Choices are names that can be compared from day to day; kinds of task are goals without their particulars."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.types.choices import CHOICES_MAX, TASK_WORDS_MAX, VALUE_CHARS_MAX, choices_of, task_of

ARGUMENTS = {
    '{"query": "select * from orders o join customers c on 1=1"}': (("tables", "orders"), ("tables", "customers")),
    "select 1 from orders": (("tables", "orders"),),
    '{"sql": "select 1 from events_20261125"}': (("tables", "events_#"),),
    '{"region": "us-east-1", "limit": 10, "dry": true, "x": null}': (("dry", "true"), ("region", "us-east-1")),
    '{"index": "logs-2026.11.25", "since": "2026-11-25", "at": "10:30"}': (("index", "logs-#"),),
    '{"a": "/tmp/x", "b": "src/a.py", "c": "README.md", "d": "a/b/c", "e": "C:/x"}': (),
    '{"repo": "apache/spark", "table": "sales.item"}': (("repo", "apache/spark"), ("table", "sales.item")),
    '{"a": "cus_8f3a2b1c", "b": "123e4567-e89b-12d3-a456-426614174000", "c": "deadbeef01"}': (),
    '{"order": "ORD-12345"}': (("order", "ORD-#"),),
    '{"model": "claude-sonnet-4-5-20250929"}': (("model", "claude-sonnet-4-5-#"),),
    '{"text": "where is my parcel", "who": "<email:0a1b2c3d4e5f>"}': (),
    '{"url": "https://me:pw@API.staging.example.com:80/v1?x=1"}': (("url", "api.staging.example.com"),),
    '{"input": {"table": "orders", "tool": "x"}}': (("table", "orders"), ("tool argument", "x")),
    '"{\\"table\\": \\"orders\\"}"': (("table", "orders"),),
    '{"tables": ["a", "b"], "ids": [1, 2, 3], "many": ["a", "b", "c", "d", "e"]}': (("tables", "a"), ("tables", "b")),
    '{"deep": {"a": "b"}, "flat": "c"}': (("flat", "c"),),
    "eu-west-1": (("input", "eu-west-1"),),
    "[1, 2]": (), "": (), "{": (), "null": (), "[[[[": (),
}  # fmt: skip


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_the_choices_of_a_call_are_read(arguments: str) -> None:
    """Names are choices; numbers, dates, ids, paths and free text are not."""
    assert choices_of("run", arguments) == (("tool", "run"), *ARGUMENTS[arguments])


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=90)


@given(st.dictionaries(st.text(max_size=8), VALUES | st.lists(VALUES, max_size=5), max_size=20))
def test_choices_are_few_short_and_do_not_depend_on_the_order_of_arguments(arguments: dict) -> None:
    """At most 16 short choices a call, the same ones however the arguments are ordered."""
    turned = json.dumps(dict(reversed(arguments.items())))
    choices = choices_of("run", json.dumps(arguments))
    assert choices == choices_of("run", turned)
    assert 1 <= len(choices) <= CHOICES_MAX
    assert all(len(value) <= VALUE_CHARS_MAX for _, value in choices)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading(text: str) -> None:
    """Whatever an agent wrote as arguments or was given as a goal, something is returned."""
    assert choices_of("run", text)[0] == ("tool", "run")
    assert len(task_of(text).split()) <= TASK_WORDS_MAX


def test_a_call_of_many_arguments_is_cut() -> None:
    """Sixteen choices are kept, the first by name; very long arguments leave the tool alone."""
    many = json.dumps({f"arg{number:02}": "x" for number in range(40)})
    assert len(choices_of("run", many)) == CHOICES_MAX
    assert choices_of("run", json.dumps({"a": "x", "text": "y" * 100_000})) == (("tool", "run"),)
    assert choices_of("run", "[" * 90_000) == (("tool", "run"),)


GOALS = {
    "Refund order 12345 for Amelia Ward.": "refund order # for #",
    "refund order A-77 for Jonas": "refund order # for #",
    "Ticket T-12345 from <email:aabb>: cannot log in. Draft a reply": "ticket # from # cannot log in draft a reply",
    "Fix the bug in src/app.py: 'foo' fails with \"bar\"": "fix the bug in # fails with #",
    '{"type": "refund", "order_id": 12}': "{order_id type=refund}",
    "Summarise https://x.com/y please": "summarise # please",
    "Don't do it. Now go": "don't do it now go",
    "12345": "",
    "": "",
}


@pytest.mark.parametrize("goal", GOALS)
def test_the_kind_of_a_task_is_its_goal_without_particulars(goal: str) -> None:
    """Goals of the same form have one key that can be read."""
    assert task_of(goal) == GOALS[goal]


NAMES = st.sampled_from(
    ["Amelia", "Jonas Keller", "ACME", "cus_81f3a2", "9", "2026-11-25", '"two words"', "a@b.example"]
)


@given(NAMES, NAMES, st.integers(0, 10**12))
def test_names_numbers_and_quotes_do_not_change_the_kind(first: str, second: str, number: int) -> None:
    """Who and which one does not matter to the kind of a task."""
    template = "Please refund order {} for {} and tell {} about it"
    assert task_of(template.format(number, first, second)) == task_of(template.format(7, "Bo", "Ida"))


@given(st.lists(st.from_regex(r"[a-z]{1,9}", fullmatch=True), min_size=1, max_size=12).filter(lambda words: words))
def test_other_words_are_another_kind(words: list[str]) -> None:
    """A key holds the plain words of its goal as they are."""
    assert task_of(" ".join(words)) == " ".join(words)
