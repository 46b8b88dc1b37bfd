"""Questions about the fleet: which tables fit the words, over which range, and what a model may say of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agent.cases import claim
from hypothesis import given
from hypothesis import strategies as st
from support.docs import DOCS
from support.filed import DEAR, LOOPING, NOW, VERSION, WELL

from analyzer.agent.facts import number
from analyzer.agent.fleet import ROWS_MAX, Range, fleet_topic
from analyzer.agent.investigate import Means
from analyzer.agent.model import ModelReply, ModelRequest, Stop, ToolCall, ToolReturn
from analyzer.agent.ranges import before_in, range_in
from analyzer.agent.scripted import ScriptedModel
from analyzer.agent.session import Session
from analyzer.agent.tables import totals_table
from analyzer.agent.wanted import EXAMPLES, GROUPED_BY, SORTED_BY, wanted
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.diagnosis import Ending, Verdict
from analyzer.types.explained import Answer

WEEK = Range(NOW - timedelta(days=6), NOW, NOW - timedelta(days=28), NOW)
AGENTS = [DEAR, LOOPING, WELL]


@pytest.fixture
def opened(filed_store: Path) -> Iterator[SqliteTrajectories]:
    """Give the filed store."""
    with SqliteTrajectories(filed_store) as store:
        yield store


def session(store: SqliteTrajectories, model: Any = None, span: Range = WEEK, agent: str | None = None) -> Session:
    """Return a session about the fleet."""
    means = Means(model, store, mask=store.masker.text, past=SqliteIncidents(store.connection).incidents)
    return Session(fleet_topic(span, means, agent=agent), means)


def ask(store: SqliteTrajectories, question: str, **options: Any) -> Answer:
    """Return the answer without a model."""
    return session(store, **options).ask(question)


WORDED = [
    ("which tool costs us most this week?", ("tool",), "cost"),
    ("what does each model cost?", ("model",), "cost"),
    ("which agent fails most often?", ("agent",), "failed"),
    ("tokens per user", ("user",), "tokens"),
    ("is version 2.0.0 slower?", ("version",), "p95"),
    ("cost per day", ("day",), "cost"),
    ("which customers spend the most?", ("user",), "cost"),
    ("how often is each tool called?", ("tool",), "calls"),
    ("errors by hour and tool", ("tool", "hour"), "failed"),
    ("how much did we spend?", ("agent",), "cost"),
    ("how many runs were there per day?", ("day",), "trajectories"),
    ("did it get faster?", ("agent",), "p95"),
]


@pytest.mark.parametrize(("question", "tables", "order"), WORDED)
def test_words_choose_the_table(question: str, tables: tuple[str, ...], order: str):
    """What the question names is what the table has a row for and is sorted by."""
    found = wanted(question, AGENTS)
    assert (found.tables, found.order, found.runs) == (tables, order, None)


def test_an_agent_that_is_named_is_the_only_one():
    """An agent's name narrows the tables, whole and whatever its case; words inside it ask for nothing."""
    found = wanted("What did Tool-Runner cost?", ["tool-runner", "tool"])
    assert (found.agents, found.tables) == (frozenset({"tool-runner"}), ("agent",))


def test_single_runs_and_incidents_are_asked_for_by_name():
    """`which runs` lists runs, `incidents` what is on file."""
    assert wanted("which runs were the most expensive?", AGENTS).runs == "cost"
    assert wanted("show the slowest trajectories", AGENTS).runs == "duration"
    assert wanted("any incidents this week?", AGENTS).incidents
    assert wanted("any incidents this week?", AGENTS).tables == ()


MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
DAY = timedelta(days=1)
RANGES = [
    ("today", NOW.replace(hour=0), NOW),
    ("yesterday", NOW.replace(hour=0) - timedelta(days=1), NOW.replace(hour=0)),
    ("this week", MONDAY, NOW),
    ("last week", MONDAY - timedelta(days=7), MONDAY),
    ("last 3 days", NOW - timedelta(days=3), NOW),
    ("past 36 hours", NOW - timedelta(hours=36), NOW),
    ("last month", datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)),
    ("on 2026-11-12", MONDAY - timedelta(days=4), MONDAY - timedelta(days=3)),
    ("since 2026-11-12", MONDAY - timedelta(days=4), NOW),
    ("since 2026-11-16 9:30", MONDAY + timedelta(hours=9.5), NOW),
    ("since 2026-11-16T09:30:00Z", MONDAY + timedelta(hours=9.5), NOW),
    ("before 2026-11-16", MONDAY - timedelta(days=365), MONDAY),
    ("from 2026-11-10 to 2026-11-12", MONDAY - timedelta(days=6), MONDAY - timedelta(days=3)),
    ("on 12 November", MONDAY - timedelta(days=4), MONDAY - timedelta(days=3)),
    ("on Nov 12th", MONDAY - timedelta(days=4), MONDAY - timedelta(days=3)),
    ("on 24 December", datetime(2025, 12, 24, tzinfo=UTC), datetime(2025, 12, 25, tzinfo=UTC)),
    ("on Monday", MONDAY, min(NOW, MONDAY + timedelta(days=1))),
    ("since Monday", MONDAY, NOW),
]


@pytest.mark.parametrize(("words", "start", "end"), RANGES)
def test_words_choose_the_range(words: str, start: datetime, end: datetime):
    """Days are of UTC, weeks begin on Monday; "last" and a number count back from now."""
    assert range_in(f"what did it cost {words}?", NOW) == (start, end)


def test_a_question_without_a_range_has_none():
    """Then flags or the default say it."""
    assert range_in("what does the last step cost?", NOW) is None
    assert range_in("how may 3 agents fail at once?", NOW) is None
    assert range_in("what did it cost on 2026-13-45?", NOW) is None
    assert range_in("what will it cost on 2030-01-01?", NOW) is None


@given(st.text(max_size=200), st.integers(0, 7_000_000_000))
def test_any_words_choose_something(question: str, at_s: int):
    """Whatever is asked there is a table, a list of runs or of incidents, and a range that is one."""
    found = wanted(question, AGENTS)
    assert found.tables or found.runs or found.incidents
    at = datetime.fromtimestamp(at_s, UTC)
    said = range_in(question, at)
    assert said is None or said[0] < said[1] <= at


def test_without_a_model_the_tables_answer(opened: SqliteTrajectories):
    """The sum over the range, the table by agent, and that no model is set up."""
    found = ask(opened, "which agent costs most?")
    assert "trajectories of the fleet ended" in found.text
    [table] = found.tables
    costs = [line.cells[1] for line in table.lines]
    assert {line.cells[0] for line in table.lines} == set(AGENTS)
    assert costs == sorted(costs, reverse=True)
    assert found.note.startswith(
        "no model was asked: the words of the question chose what was computed (Cost by agent); "
    )
    whole = sum(one.cost_usd or 0 for one in opened.summaries(start=WEEK.start, end=WEEK.end, limit=5000))
    assert sum(costs) == pytest.approx(whole)


def test_a_question_that_fits_no_table_gets_the_list(opened: SqliteTrajectories):
    """No table is made up for it: the answer says so, and what can be asked; an agent that is named gets its table."""
    found = ask(opened, "why is the sky blue?")
    assert (found.tables, found.note.partition(":")[0]) == (
        (),
        "no model was asked, and no word of the question chooses a table",
    )
    assert found.text.splitlines()[-1] == f"Without a model these can be answered: {' | '.join(EXAMPLES)}"
    assert [table.title for table in ask(opened, f"what about {DEAR}?").tables] == [f"Cost by agent of {DEAR}"]
    for example in EXAMPLES:
        assert ask(opened, example.partition(" (")[0]).tables


def test_runs_of_two_named_agents_are_one_list(opened: SqliteTrajectories):
    """The most expensive of both, whichever agent made them."""
    [table] = ask(opened, f"which runs of {LOOPING} and {DEAR} were the most expensive?").tables
    every = opened.summaries(start=WEEK.start, end=WEEK.end, order="cost", limit=5000)
    ranked = [one.trace_id for one in every if one.agent in {DEAR, LOOPING}]
    assert [line.cells[0] for line in table.lines] == ranked[: len(table.lines)]
    assert len(table.lines) == ROWS_MAX


def test_tools_without_a_price_are_told_by_their_time(opened: SqliteTrajectories):
    """No price is not 0: the first table says that none is known, the second what they took."""
    cost, took = ask(opened, "which tool costs us most?").tables
    assert all(line.cells[1] is None for line in cost.lines)
    assert "have none" in cost.note
    assert took.title.startswith("Time by tool")


def test_an_empty_range_says_when_anything_ended(opened: SqliteTrajectories):
    """Nobody has to guess which range holds the data."""
    later = Range(NOW + timedelta(days=9), NOW + timedelta(days=10), NOW, NOW + timedelta(days=10))
    found = ask(opened, "what did it cost?", span=later)
    assert "no trajectory ended. The latest ended 2026-11-20 " in found.text


def test_a_question_about_one_agent_keeps_to_it(opened: SqliteTrajectories):
    """`--agent` holds for every table, whoever the question names."""
    found = ask(opened, f"what did {LOOPING} cost by version?", agent=DEAR)
    assert {line.cells[0] for line in found.tables[0].lines} == {"1.0.0", VERSION}
    assert "agent support" in found.text


def test_an_agent_that_is_named_is_what_the_sentence_is_about(opened: SqliteTrajectories):
    """The sums are of the agents that the question names, and their share is of what the whole fleet came to."""
    found = ask(opened, f"how much did {DEAR} cost?")
    fleet, own = (opened.totals("outcome", WEEK.start, WEEK.end, agents=agents) for agents in ((), (DEAR,)))
    cost, all_cost = (sum(one.cost_usd or 0 for one in totals) for totals in (own, fleet))
    assert f"{sum(one.trajectories for one in own):,} trajectories of agent {DEAR} ended" in found.text
    assert f": {number(cost)} USD" in found.text
    [table] = found.tables
    assert table.columns[2].name == "share of the fleet's cost"
    assert [line.cells[2] for line in table.lines] == [pytest.approx(cost / all_cost)]
    both = ask(opened, f"tokens of {LOOPING} and {DEAR}")
    assert f"trajectories of agents {' and '.join(sorted((LOOPING, DEAR)))} ended" in both.text
    assert sum(line.cells[2] for line in both.tables[0].lines) < 1


LAST_WEEK = MONDAY - timedelta(days=7)
NOON = timedelta(hours=12)
COMPARISONS = [
    ("did it get slower this week?", (MONDAY, NOW), (LAST_WEEK, LAST_WEEK + (NOW - MONDAY))),
    ("compare this week with last week", (MONDAY, NOW), (LAST_WEEK, LAST_WEEK + (NOW - MONDAY))),
    ("compare last week with this week", (MONDAY, NOW), (LAST_WEEK, LAST_WEEK + (NOW - MONDAY))),
    ("more errors today than yesterday?", (NOW - NOON, NOW), (NOW - NOON - DAY, NOW - DAY)),
    ("did cost rise yesterday?", (NOW - NOON - DAY, NOW - NOON), (NOW - NOON - 2 * DAY, NOW - NOON - DAY)),
    ("what grew in the last 3 days?", (NOW - 3 * DAY, NOW), (NOW - 6 * DAY, NOW - 3 * DAY)),
    ("compare 2026-11-12 with 2026-11-10", (MONDAY - 4 * DAY, MONDAY - 3 * DAY), (MONDAY - 6 * DAY, MONDAY - 5 * DAY)),
    ("is it more since Monday?", (MONDAY, NOW), (MONDAY - (NOW - MONDAY), MONDAY)),
]


@pytest.mark.parametrize(("question", "now", "before"), COMPARISONS)
def test_a_comparison_is_of_two_ranges(
    question: str, now: tuple[datetime, datetime], before: tuple[datetime, datetime]
):
    """The later is the question's range; what is not over is held against as much of the other."""
    assert range_in(question, NOW) == now
    assert before_in(question, *now, NOW) == before


def test_a_comparison_gets_both_figures_and_their_ratio(opened: SqliteTrajectories):
    """Of the range and of the one before it, in the sentence and in each row; what one has nothing of has no runs."""
    span = Range(NOW - timedelta(days=3), NOW, NOW - timedelta(days=28), NOW)
    found = ask(opened, f"did {DEAR} and {LOOPING} get more expensive?", span=span)
    [table] = found.tables
    assert [column.name for column in table.columns] == [
        "agent", "cost", "before", "ratio", "runs", "runs before", "cost per run", "before",
    ]  # fmt: skip
    assert table.title.endswith("against 2026-11-14T12:00Z to 2026-11-17T12:00Z")
    assert "From 2026-11-17 12:00 UTC to 2026-11-20 12:00 UTC" in found.text
    assert "From 2026-11-14 12:00 UTC to 2026-11-17 12:00 UTC" in found.text
    for line in table.lines:
        agent, cost, before, ratio, runs, runs_before, per, per_before = line.cells
        own = [
            opened.totals("agent", start, start + timedelta(days=3), agents=[agent])[0]
            for start in (span.start, span.start - timedelta(days=3))
        ]
        assert [cost, before] == [one.cost_usd for one in own]
        assert [runs, runs_before] == [one.trajectories for one in own]
        assert ratio == cost / before
        assert [per, per_before] == [cost / runs, before / runs_before]
    early = Range(NOW - timedelta(days=40), NOW, NOW - timedelta(days=40), NOW)
    alone = ask(opened, "has the number of runs grown?", span=early)
    assert alone.tables[0].lines[0].cells[2:] == (0.0, None)
    assert "no trajectory ended. Nothing is stored of before" in alone.text


def test_days_are_no_rows_of_a_comparison(opened: SqliteTrajectories):
    """A day is in one of the ranges alone, so that the table of days stays as it is."""
    [table] = ask(opened, "did the cost per day grow?").tables
    assert table.columns[2].name == "share of cost"


def reply(summary: str, *claims: dict[str, object]) -> ModelReply:
    """Return a reply that hands in an answer."""
    payload = {"summary": summary, "claims": list(claims)}
    return ModelReply(tool_calls=(ToolCall("s", "submit_answer", payload),), stop=Stop.TOOLS)


BY_AGENT = ToolCall(
    "a", "totals", {"by": "agent", "order": "cost", "agent": "", "only": "", "start": "", "end": "", "page": 1}
)


def row(request: ModelRequest, name: str) -> str:
    """Return a row as the model reads it."""
    told = "\n".join(block.text for block in request.messages[-1].blocks if isinstance(block, ToolReturn))
    return re.findall(rf"^{re.escape(name)}: (.*)$", told, re.MULTILINE)[0]


def test_an_answer_from_a_table_stands_and_brings_the_table(opened: SqliteTrajectories):
    """The row's number is proven by the row; the table is shown with the answer, evidence names what was computed."""

    def honest(request: ModelRequest) -> ModelReply:
        found = re.match(r"agent (\S+); cost ([\d.]+) USD; share of cost ([\d.]+) %", row(request, "T1.1"))
        assert found
        text = f"{found.group(1)} costs most: {found.group(2)} USD, {found.group(3)} % of all."
        return reply(text, claim(text, {"kind": "fact", "id": "T1.1"}))

    model = ScriptedModel([ModelReply(tool_calls=(BY_AGENT,), stop=Stop.TOOLS), honest])
    found = session(opened, model).ask("which agent costs us most?")
    assert (found.ending, found.struck_out, found.verdict) == (Ending.ANSWERED, 0, Verdict.LIKELY)
    assert "costs most" in found.text
    assert [table.title for table in found.tables] == ["Cost by agent"]
    [evidence] = found.evidence
    assert evidence.promql.startswith('sum(increase(agent_cost_usd_total{agent="')
    assert "It is 2026-11-20T12:00+00:00 now" in model.requests[0].messages[0].blocks[1].text


def test_an_answer_with_arithmetic_of_its_own_is_struck_out(opened: SqliteTrajectories):
    """A sum that no row holds is not known, and the tables by the words of the question answer instead."""
    text = "The three agents together cost 987.65 USD."
    lie = reply(text, claim(text, {"kind": "fact", "id": "T1.1"}, {"kind": "fact", "id": "T1.2"}))
    model = ScriptedModel([ModelReply(tool_calls=(BY_AGENT,), stop=Stop.TOOLS), lie, lie])
    found = session(opened, model).ask("which agent costs us most?")
    assert "987" not in found.text
    assert found.claims == ()
    assert found.struck_out


def test_whatever_fails_the_tables_answer(opened: SqliteTrajectories):
    """A model that never answers leaves the answer by rules, under the name of its ending."""
    found = session(opened, ScriptedModel([])).ask("which agent costs us most?")
    assert (found.by, found.ending) == ("rules", Ending.UNAVAILABLE)
    assert [table.title for table in found.tables] == ["Cost by agent"]


def documented(heading: str) -> list[tuple[str, str]]:
    """Return (word, what it asks for) of a table of words in the docs."""
    page = (DOCS / "ask.md").read_text("utf-8")
    table = page.partition(f"| {heading} |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([^|;]+)[^|]*\| `(\w+)` \|$", table, re.MULTILINE)
    return [(word.strip(), name) for words, name in rows for word in words.split(",")]


def test_the_words_of_the_docs_ask_for_what_the_docs_say():
    """Every documented word chooses its table, and every table that there is has a word."""
    rows = documented("words of a question")
    assert {name for _, name in rows} == set(GROUPED_BY.values())
    assert [name for word, name in rows if wanted(f"what about {word}", AGENTS).tables != (name,)] == []
    orders = documented("words for an amount")
    assert {name for _, name in orders} == set(SORTED_BY.values())
    assert [name for word, name in orders if wanted(f"what about {word}", AGENTS).order != name] == []


def test_a_figure_of_two_agents_has_a_query_that_selects_both(opened: SqliteTrajectories):
    """A label is never `a|b`: the query of every row, and of the facts, finds each of the two by its name."""
    first, second = sorted(opened.agents(WEEK.start, WEEK.end))[:2]
    table = totals_table(opened, "model", "cost", WEEK.start, WEEK.end, agents={first, second})
    assert table.lines
    assert all(f'{{agent=~"{first}|{second}", model="' in line.query for line in table.lines)
