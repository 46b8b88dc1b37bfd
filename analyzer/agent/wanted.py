"""What the words of a question about the fleet ask for, without a model: which tables, of whom; `ranges` says of when.

A table of words, no more: it says which of the computed tables fits, and answers nothing itself. docs/investigator.md
lists the words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from analyzer.agent.ranges import COMPARED, without_ranges
from analyzer.stores.base import Grouping, Order, TotalsOrder

GROUPED_BY: Mapping[str, Grouping] = {
    r"tools?": "tool",
    r"models?|llms?": "model",
    r"users?|customers?|tenants?": "user",
    r"versions?|releases?|deploys?|deployments?|builds?": "version",
    r"prompts?": "prompt",
    r"tasks?|goals?": "task",
    r"outcomes?": "outcome",
    r"days?|daily": "day",
    r"hours?|hourly": "hour",
    r"agents?|fleet|bots?": "agent",
}
"""Words -> what the table has a row for. The first that is in the question, in this order, beside a second one."""
SORTED_BY: Mapping[str, TotalsOrder] = {
    r"costs?|costl\w+|expensive|cheap\w*|dear\w*|money|usd|dollars?|spen[dt]s?|spending|price|bill|budget": "cost",
    r"tokens?": "tokens",
    r"errors?|fail|fails|failed|failing|failures?|broke|broken|breaks|wrong|crash\w*|unreliable|success\w*": "failed",
    r"slow|slower|slowest|fast|faster|fastest|quicker|latency|latencies|p95|p99|percentile": "p95",
    r"time|long|longest|seconds|duration|takes": "seconds",
    r"calls?|called|used|uses|usage|often|popular": "calls",
    r"runs?|trajector\w+|traffic|volume|busy|busiest|many": "trajectories",
}
"""Words -> what the table is about. The first that is in the question, in this order; else the cost."""
CHOSEN = (
    "no model was asked: the words of the question chose what was computed ({tables}); `analyzer doctor` says what is "
    "missing"
)
"""The note of an answer that no model had a part in."""
EXAMPLES = (
    "which tool costs us most this week? (or: agent, model, user, version, prompt, task, outcome, day, hour)",
    "which agent fails most? (or: tokens, slowest, time, calls, runs)",
    "which runs were the most expensive yesterday?",
    "did the agents get slower this week? (or: faster, more, less, than, compared with, grew, rose, change)",
    "any incidents in the last 3 days?",
)
SINGLE = re.compile(
    r"\b(?:which|what|list|show|top|worst|single)\b[^.?!]*\b(?:runs?|trajector\w+|traces?)\b", re.IGNORECASE
)
INCIDENTS = re.compile(r"\b(?:incidents?|alerts?|happened|went wrong|anything wrong|since when)\b", re.IGNORECASE)
_RUN_ORDERS: Mapping[TotalsOrder, Order] = {
    "cost": "cost",
    "tokens": "tokens",
    "failed": "errors",
    "p95": "duration",
    "seconds": "duration",
    "calls": "steps",
    "trajectories": "recent",
}
_TABLES_MAX = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be computed."""

    tables: tuple[Grouping, ...]
    order: TotalsOrder
    agents: frozenset[str]
    """Agents that the question names; empty for all."""
    runs: Order | None
    """What the single runs are sorted by, where they are asked for."""
    incidents: bool
    ordered: bool = False
    """Whether the question says what the tables are about."""
    compared: bool = False
    """Whether the tables are of a range against the one before."""
    fits: bool = False
    """Whether any word of the question, or an agent that it names, chose any of this."""


def wanted(question: str, agents: Collection[str]) -> Wanted:
    """Return the tables that fit a question; `agents` are those that there are."""
    named = frozenset(agent for agent in agents if _names(question, agent))
    # An agent's name may hold any of the words: what names somebody asks for nothing.
    rest = question
    for agent in sorted(named, key=len, reverse=True):
        rest = re.sub(re.escape(agent), " ", rest, flags=re.IGNORECASE)
    rest = without_ranges(rest)
    order = next((order for words, order in SORTED_BY.items() if _holds(rest, words)), None)
    by = [grouping for words, grouping in GROUPED_BY.items() if _holds(rest, words)]
    incidents = INCIDENTS.search(rest) is not None
    runs = SINGLE.search(rest) is not None
    compared = COMPARED.search(rest) is not None
    fits = bool(by or named or incidents or runs or order)
    if not by and not (incidents or runs):
        by = ["agent"]
    return Wanted(
        tables=tuple(by[:_TABLES_MAX]),
        order=order or "cost",
        agents=named,
        runs=_RUN_ORDERS[order or "cost"] if runs else None,
        incidents=incidents,
        ordered=order is not None,
        compared=compared,
        fits=fits,
    )


def askable(examples: Sequence[str]) -> str:
    """Return the questions that can be answered without a model, as a line after a text."""
    return f"\nWithout a model these can be answered: {' | '.join(examples)}"


def _holds(text: str, words: str) -> bool:
    return re.search(rf"\b(?:{words})\b", text, re.IGNORECASE) is not None


def _names(question: str, agent: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(agent)}(?![\w-])", question, re.IGNORECASE) is not None
