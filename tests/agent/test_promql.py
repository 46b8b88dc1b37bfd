"""Queries that a model writes stay inside the case."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.agent.promql import _KEYWORDS, objection

REACH = timedelta(days=7)


@pytest.mark.parametrize(
    "query",
    [
        'sum(rate(agent_cost_usd_total{agent="a"}[5m]))',
        'sum by (model) (increase(agent_tokens_total{agent="a", phase="input"}[1h]))',
        'sum(increase(x_total{agent="a"}[1h])) / sum(increase(y_total{agent="a"}[1h]))',
        'histogram_quantile(0.95, sum by (le, tool) (rate(agent_tool_seconds_bucket{agent="a"}[10m])))',
        'x_total{agent="a"} offset 1d > 5',
        '{"gen_ai.client.operation.duration_count", gen_ai_agent_name="a"}',
        'x{agent="a", error=~"time.*out|{}"} * on (agent) group_left (version) y{agent="a"}',
        'topk(3, x{agent="a"}) or vector(0)',
    ],
)
def test_confined_queries_pass(query: str):
    """Queries whose every selector names the agent are allowed."""
    assert objection(query, {"a"}, REACH) is None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "characters"),
        ("x" * 5000, "characters"),
        ("up", "selector"),
        ("sum(rate(agent_cost_usd_total[5m]))", "selector"),
        ('x{agent="b"}', "agent"),
        ('x{agent=~"a|b"}', "agent"),
        ('x{agent!="a"}', "agent"),
        ('x{agent="a"} + y', "selector"),
        ('x{agent="a"} + y{agent="b"}', "agent"),
        ('x{note="agent=\\"a\\""}', "agent"),
        ('x{other="a"}', "agent"),
        ('x{agent="a"}[30d]', "reach back"),
        ('rate(x{agent="a"}[5d] offset 5d)', "reach back"),
        ('x{agent="a"} offset 90d', "reach back"),
        ('x{agent="a"} offset -1h', "negative"),
        ('x{agent="a"} @ 1600000000', "@"),
        ('max_over_time(rate(x{agent="a"}[5m])[1h:1m])', "subqueries"),
        ('x{agent="a"} # comment', "comments"),
    ],
)
def test_queries_that_leave_the_case_are_refused(query: str, words: str):
    """Another agent, the whole fleet, another time or unbounded work is refused with a reason."""
    reason = objection(query, {"a"}, REACH)
    assert reason is not None
    assert words in reason


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str):
    """No text makes the check fail, and of words alone none passes that names something to select."""
    reason = objection(text, {"the-agent"}, REACH)
    if re.fullmatch(r"[A-Za-z0-9_ ]+", text):
        names = {word.lower() for word in re.findall(r"(?<!\w)[A-Za-z_]{4,}\w*", text)} - _KEYWORDS
        assert reason is not None or not names


@pytest.mark.parametrize(("text", "passes"), [("0AAAA", False), ("0xABCD", True), ("1e6", True), ("5m30s", True)])
def test_what_only_begins_like_a_number_is_a_name(text: str, passes: bool):
    """Numbers and durations select nothing; anything else does."""
    assert (objection(text, {"the-agent"}, REACH) is None) == passes
