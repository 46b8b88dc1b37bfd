"""The table of tools: a new one is a file and a row. Their order is fixed, because a cached prompt begins with them."""

from __future__ import annotations

from analyzer.agent.tools.base import Tool
from analyzer.agent.tools.compare import COMPARE
from analyzer.agent.tools.metric import METRIC
from analyzer.agent.tools.reading import CASE_FACTS, OUTLINE, SPAN
from analyzer.agent.tools.search import SEARCH

CASE: tuple[Tool, ...] = (CASE_FACTS, OUTLINE, SPAN, SEARCH, COMPARE, METRIC)
"""For an incident or a trajectory."""
