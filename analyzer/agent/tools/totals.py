"""Tools that add up: what agents, models, tools, users, versions took over a range, and the runs that took most."""

from __future__ import annotations

from typing import cast

from analyzer.agent.desk import Desk, ToolError
from analyzer.agent.model import ToolSpec
from analyzer.agent.tables import GROUPINGS, ORDERS, RUN_ORDERS, runs_table, totals_table
from analyzer.agent.tools.arguments import agent_of, page_of, range_of, text_of, word_of
from analyzer.agent.tools.base import AGENT, CITABLE, END, PAGE, START, Arguments, Tool, choice, closed_schema
from analyzer.stores.base import Grouping, Order, TotalsOrder
from analyzer.types.table import Table

ROWS_PER_PAGE = 25
RUNS_LISTED = 15
NARROWED_BY = ("version", "model", "prompt", "task", "user", "outcome")


def totals(desk: Desk, arguments: Arguments) -> Table:
    """Return sums by a grouping."""
    by, order = word_of(arguments, "by", GROUPINGS), word_of(arguments, "order", ORDERS)
    start, end = range_of(desk, arguments)
    with desk.reading() as store:
        return totals_table(
            store,
            cast("Grouping", by),
            cast("TotalsOrder", order),
            start,
            end,
            agents=_agents(desk, arguments),
            where=_narrowed(arguments),
            rows_max=ROWS_PER_PAGE,
            page=page_of(arguments),
        )


def runs(desk: Desk, arguments: Arguments) -> Table:
    """Return the largest or newest trajectories of a range, which may be opened from now on."""
    order = word_of(arguments, "order", RUN_ORDERS)
    start, end = range_of(desk, arguments)
    agents = _agents(desk, arguments)
    failed = arguments.get("failed_only") is True
    with desk.reading() as store:
        found = store.summaries(
            agents=agents, start=start, end=end, order=cast("Order", order), errors_only=failed, limit=RUNS_LISTED
        )
    desk.admit([one.trace_id for one in found])
    who = f" of {', '.join(sorted(agents))}" if agents and found else ""
    return runs_table(f"Runs{who}{' with errors' if failed else ''}, {order} first", found, start, end, order)


def _agents(desk: Desk, arguments: Arguments) -> frozenset[str]:
    """Return whom the question is about: the agent that is named, else all of the case; empty for a whole fleet."""
    if not arguments.get("agent"):
        return desk.agents
    agent = agent_of(desk, arguments)
    return frozenset({agent} if agent else ())


def _narrowed(arguments: Arguments) -> dict[str, str]:
    """Return what `only` narrows to, such as `version=1.4.2`."""
    given = text_of(arguments, "only", 300)
    if not given:
        return {}
    name, _, value = given.partition("=")
    if name.strip() not in NARROWED_BY or not value.strip():
        raise ToolError(f"only must be empty or one of {', '.join(NARROWED_BY)}, `=` and a value")
    return {name.strip(): value.strip()}


TOTALS = Tool(
    ToolSpec(
        "totals",
        "Runs, cost, tokens, time, failures, 95th percentile of time and share over a range, the largest first."
        + CITABLE,
        closed_schema(
            by=choice("a row for each of these", GROUPINGS),
            order=choice("what the table is about and sorted by", ORDERS),
            agent=AGENT,
            only={"type": "string", "description": "empty, or what to narrow to, such as version=1.4.2"},
            start=START,
            end=END,
            page=PAGE,
        ),
    ),
    totals,
)
RUNS = Tool(
    ToolSpec(
        "runs",
        "Lists single trajectories of a range, the newest or largest first; they may be opened afterwards." + CITABLE,
        closed_schema(
            order=choice("what comes first", RUN_ORDERS),
            agent=AGENT,
            failed_only={"type": "boolean", "description": "only those with errors or a missed goal"},
            start=START,
            end=END,
        ),
    ),
    runs,
)
