"""`analyzer golden run DIR --replay -- COMMAND`: each case against the agent's own code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyzer.cli.agent_command import run_agent
from analyzer.config import GOLDEN_GOAL, Settings

if TYPE_CHECKING:
    from analyzer.replay.golden.case import Case
    from analyzer.replay.golden.running import Trial

GOAL = "{goal}"
"""Stands in the command for what the failed run was asked for."""


def replay_cases(
    cases: Sequence[Case], command: Sequence[str], settings: Settings, policy: str, timeout_s: float
) -> list[Trial]:
    """Run the agent once a case, each against a stand-in of its own. Raises UsageError where it does not start."""
    from analyzer.masking import Masker
    from analyzer.replay.golden.rerunning import not_replayable, standin_of, tried_again
    from analyzer.replay.standin import Policy
    from analyzer.server.standin import standing_in

    patterns = tuple(settings.mask_patterns.items())
    masker = Masker(os.urandom(32), patterns=patterns, allow=settings.mask_allow)
    trials = []
    for case in cases:
        standin = standin_of(case, masker.text, Policy(policy))
        if standin is None:
            trials.append(not_replayable(case))
            continue
        goal = case.bad.goal
        with standing_in(standin) as url:
            code = run_agent(
                [part.replace(GOAL, goal) for part in command], url, {GOLDEN_GOAL: goal}, timeout_s=timeout_s
            )
        trials.append(tried_again(case, standin, code))
    return trials
