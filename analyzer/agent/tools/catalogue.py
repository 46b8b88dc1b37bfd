"""The table of tools: a new one is a file and a row. Their order is fixed, because a cached prompt begins with them."""

from __future__ import annotations

from analyzer.agent.tools.account import ACCOUNT
from analyzer.agent.tools.base import Tool
from analyzer.agent.tools.changes import CHANGES
from analyzer.agent.tools.compare import COMPARE
from analyzer.agent.tools.metric import METRIC
from analyzer.agent.tools.past import INCIDENTS, SIMILAR
from analyzer.agent.tools.peers import PEERS_TOOL
from analyzer.agent.tools.reading import CASE_FACTS, OUTLINE, SPAN
from analyzer.agent.tools.search import SEARCH
from analyzer.agent.tools.series import SERIES
from analyzer.agent.tools.totals import RUNS, TOTALS

_READING = (CASE_FACTS, OUTLINE, SPAN, SEARCH, COMPARE, PEERS_TOOL)
CASE: tuple[Tool, ...] = (*_READING, SERIES, ACCOUNT, TOTALS, CHANGES, SIMILAR, METRIC)
"""For an incident."""
TRAJECTORY: tuple[Tool, ...] = (*_READING, SERIES, TOTALS, CHANGES, METRIC)
"""For one trajectory: nothing has changed that could be split."""
FLEET: tuple[Tool, ...] = (*_READING, TOTALS, RUNS, SERIES, ACCOUNT, CHANGES, INCIDENTS, METRIC)
"""For a question about many: nothing is open at first, and tables name what may be opened."""
