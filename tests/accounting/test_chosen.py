"""The trajectories behind a shifted choice are those whose calls made it, quoted in their own words."""

from __future__ import annotations

from analyzer.accounting.chosen import making
from analyzer.types.choices import Shifted
from analyzer.types.report import SpanEvidence
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Status


def step(number, operation, name, text):
    """Return a step that was sent a text."""
    return Step(number, f"{number:016x}", None, operation, name, "a", text, "", Status.OK, "", None, 1, 2, 0, None)


def run(goal, *calls):
    """Return a trajectory with a goal and tool calls (name, arguments)."""
    first = step(1, Operation.CHAT, "m", goal)
    return (first, *(step(at, Operation.TOOL, name, text) for at, (name, text) in enumerate(calls, 2)))


RIGHT = ("run_sql", '{"query": "SELECT 1 FROM orders"}')
WRONG = ("run_sql", '{"query": "SELECT 1\\nFROM Orders_Archive"}')
ELSEWHERE = ("describe", '{"query": "SELECT 1 FROM orders_archive"}')


def test_calls_with_the_new_choice_are_found_and_quoted() -> None:
    """The same tool, the same reading as when it was counted; the quote stands in the arguments."""
    runs = {"a": run("g", RIGHT), "b": run("g", RIGHT, WRONG), "c": run("g", ELSEWHERE), "d": run("g", WRONG)}
    ids, evidence = making(runs, Shifted("tables", "orders", "orders_archive"), "run_sql")
    assert ids == ("b", "d")
    assert evidence == (
        SpanEvidence("", "b", f"{3:016x}", "input", WRONG[1]),
        SpanEvidence("", "d", f"{2:016x}", "input", WRONG[1]),
    )


def test_a_named_kind_of_task_excludes_others() -> None:
    """On another kind of task the same table is right."""
    runs = {"a": run("revenue per country?", WRONG), "b": run("how many were archived?", WRONG)}
    shifted = Shifted("tables", "orders", "orders_archive", task="revenue per country")
    assert making(runs, shifted, "run_sql")[0] == ("a",)
    assert making({"b": runs["b"]}, shifted, "run_sql")[0] == ("b",)


def test_another_tool_is_found_by_its_name() -> None:
    """Of a choice among tools every tool counts."""
    runs = {"a": run("g", ("search_kb", "{}")), "b": run("g", ("search_web", '{"q": "x"}'))}
    ids, evidence = making(runs, Shifted("tool", "search_kb", "search_web"), "search_web")
    assert (ids, [one.quote for one in evidence]) == (("b",), ['{"q": "x"}'])


def test_without_a_new_choice_the_ones_without_the_usual_are_at_fault() -> None:
    """An agent that no longer checks is found by what is missing."""
    runs = {"a": run("g", ("verify", "{}")), "b": run("g")}
    assert making(runs, Shifted("tool", "verify", None), "verify") == (("b",), ())


def test_a_masked_date_in_a_name_is_found_in_the_text() -> None:
    """`events_#` is quoted where the text says `events_20261125`."""
    text = '{"note": "' + "x" * 400 + '", "query": "SELECT 1 FROM events_20261125"}'
    _, (quote,) = making({"a": run("g", ("run_sql", text))}, Shifted("tables", None, "events_#"), "run_sql")
    assert "events_20261125" in quote.quote
    assert quote.quote in text
