"""Budgets are read from the settings; a misspelt one is refused with a hint."""

from __future__ import annotations

import pytest

from analyzer.config import load
from analyzer.errors import UsageError
from analyzer.types.budget import Budget, budget_of, read_budgets

NAMES = ("retries_per_trajectory", "steps_per_trajectory", "tokens_per_day", "usd_per_day", "usd_per_trajectory")
OUTSIDE = "stands outside an agent's table"


def test_budgets_come_from_the_file(tmp_path) -> None:
    """`[budgets.<agent>]` and `[budgets."*"]` are laid over each other limit by limit."""
    path = tmp_path / "analyzer.toml"
    path.write_text('[budgets."*"]\nusd_per_day = 20\n[budgets.billing]\nsteps_per_trajectory = 50\n', "utf-8")
    budgets = load(environ={"ANALYZER_CONFIG": str(path)}).settings.budgets
    assert budget_of(budgets, "billing") == Budget(usd_per_day=20.0, steps_per_trajectory=50.0)
    assert budget_of(budgets, "other") == Budget(usd_per_day=20.0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": {"usd_a_day": 1}}, "here.a.usd_a_day: there is no such budget; did you mean usd_per_day?"),
        (
            {"a": {"euros": 1}},
            f"here.a.euros: there is no such budget; there are {', '.join(NAMES)}",
        ),
        ({"a": {"usd_per_day": 0}}, "here.a.usd_per_day: expected a number above 0, not 0"),
        ({"a": {"usd_per_day": True}}, "here.a.usd_per_day: expected a number above 0, not True"),
        ({"a": {"usd_per_day": "20"}}, "here.a.usd_per_day: expected a number above 0, not '20'"),
        ({"a": {"usd_per_day": float("inf")}}, "here.a.usd_per_day: expected a number above 0, not inf"),
        (
            {"usd_per_day": 20},
            f"here: 'usd_per_day' {OUTSIDE}: write it under [here.\"*\"] or [here.<agent>]",
        ),
        ({"a": 20}, f"here: 'a' {OUTSIDE}: write it under [here.a]"),
    ],
)
def test_what_is_no_budget_is_refused(table: dict, message: str) -> None:
    """The error names the place and what to write."""
    with pytest.raises(UsageError) as refused:
        read_budgets(table, "here")
    assert str(refused.value) == message
