"""An analyst agent: turns questions into SQL on the warehouse."""

from __future__ import annotations

import random

from analyzer.simulation.script import Call, Confusion, Failure, Material, Role, Script, Tool, dumps

_QUESTIONS = (
    ("revenue per country last week", "SELECT country, sum(total_usd) FROM orders WHERE {since} GROUP BY country"),
    ("how many orders were returned", "SELECT count(*) FROM orders WHERE status = 'returned' AND {since}"),
    ("the five largest customers", "SELECT customer_id, sum(total_usd) s FROM orders WHERE {since} GROUP BY 1 LIMIT 5"),
    ("average basket by channel", "SELECT channel, avg(total_usd) FROM orders WHERE {since} GROUP BY channel"),
)
_COUNTRIES = ("DE", "FR", "US", "GB", "JP", "BR", "IN", "SE")


def _rows(rng: random.Random) -> str:
    countries = rng.sample(_COUNTRIES, rng.randint(2, 5))
    return dumps({"rows": [[name, round(rng.lognormvariate(8, 1), 2)] for name in countries], "seconds": None})


def _plan(rng: random.Random, calls_n: int) -> Script:
    question, query = rng.choice(_QUESTIONS)
    day = rng.randint(1, 28)
    columns = {"table": "orders", "columns": ["id", "customer_id", "country", "channel", "status", "total_usd"]}
    calls = [Call("Which columns are there?", "describe_table", {"table": "orders"}, dumps(columns))] * (calls_n > 1)
    for number in range(max(1, calls_n - 1)):
        since = f"placed_at >= DATE '2026-{1 + (day + number) % 12:02d}-{day:02d}'"
        thought = "Now the figures." if number == 0 else "The same for another period, to compare."
        calls.append(Call(thought, "run_sql", {"query": query.format(since=since)}, _rows(rng)))
    goal = f"Question from {rng.choice(('finance', 'sales', 'growth', 'the board'))}: {question}?"
    return Script(goal, tuple(calls), f"Here is {question}, from the table orders; the rows are attached.")


def _dead_end(rng: random.Random) -> Call:
    row = str(rng.randrange(10**6, 10**7))
    query = f"SELECT total_usd FROM orders WHERE id = {row}"  # noqa: S608 - text of a simulation; nothing runs it
    return Call("The row has to be there; I will run the query again.", "run_sql", {"query": query}, '{"rows":[]}')


def _record(rng: random.Random, tool: str) -> object:
    if tool == "describe_table":
        of, what = rng.choice(("ship", "bill", "order", "customer")), rng.choice(("id", "at", "state", "code"))
        name = f"{of}_{what}"
        kind = rng.choice(("bigint", "text", "numeric(12,2)", "timestamptz", "boolean"))
        null = rng.choice(("not null", "null"))
        comment = (
            f"{rng.choice(('filled by', 'copied nightly from', 'deprecated in favour of'))} the {name} of the shop"
        )
        return {"name": name, "type": kind, "null": null, "distinct": rng.randrange(10**6), "comment": comment}
    day = f"2026-{rng.randint(1, 11):02d}-{rng.randint(1, 28):02d}"
    return [rng.choice(_COUNTRIES), rng.choice(("web", "app", "store")), day, round(rng.lognormvariate(8, 1), 2)]


_MATERIAL = Material(
    subjects=("orders", "returns", "customers", "channels", "countries", "baskets", "campaigns", "stock"),
    rules=(
        "Questions on {subject} are answered from the warehouse only; say which table and which columns.",
        "Describe a table of {subject} before the first query on it; columns are renamed now and then.",
        "A day of {subject} begins at midnight UTC; weeks begin on Monday; quarters are of the calendar.",
        "Count {subject} by id, not by row: late corrections add a second row with the same id.",
        "Leave out test accounts from {subject}: their customer ids are below 1000.",
        "Never select more than 500 rows of {subject}; aggregate in the query, not in your head.",
        "If a query on {subject} takes more than 30 seconds, narrow the time and say that you did.",
        "Money in {subject} is total_usd after discounts and before tax, unless the question says otherwise.",
    ),
    heading="Below are notes of whoever asked, copied from the request form, in the order of the form, as they are:",
    thread=(
        "Note {n}: the figure on slide {n} of the last review was higher, so please name the filter you used.",
        "Note {n}: leave out wholesale; its orders are booked by hand at the end of the month.",
        "Note {n}: the old dashboard took the day of payment, the new one takes the day of the order.",
        "Note {n}: if a country has fewer than {n} orders, put it under other.",
        "Note {n}: we compare with the same weeks of the year before, holidays moved where they moved.",
        "Note {n}: a short table is enough, with one sentence on what stands out.",
    ),
    key="rows",
    record=_record,
)

ROLE = Role(
    name="sql",
    system="You answer questions about the business from the warehouse, read only. Say from which table.",
    tools=(
        Tool("describe_table", "List the columns of a table.", {"table": "str"}, 0.1),
        Tool("run_sql", "Run one read-only query.", {"query": "str"}, 1.2),
    ),
    plan=_plan,
    dead_end=_dead_end,
    main_tool="run_sql",
    failure=Failure("psycopg.errors.UndefinedTable", 'relation "orders" does not exist'),
    confusion=Confusion(
        tool="run_sql",
        wrong_tool="run_sql",
        right="FROM orders ",
        wrong="FROM orders_archive ",
        result='{"rows":[],"seconds":null}',
    ),
    material=_MATERIAL,
)
