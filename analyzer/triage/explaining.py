"""What explains what, of two findings of one agent: loops beside what fails, a new choice of a tool, or other loops.

Kinds alone do not say it. A tool that fails for everybody makes some agents try again and again; and agents that go
round in a failing call make the tool's error rate rise. What covers more, and was not there later, explains the rest.
"""

from __future__ import annotations

from datetime import datetime

from analyzer.triage.shares import least_share
from analyzer.types.report import CALLS, Finding, Kind

MAIN_SHARE = 0.5
"""Where the loops make up half of what failed, or of the shift of a choice, they are the cause and not its echo."""
_WIDER = frozenset({Kind.TOOL_ERRORS, Kind.ERRORS, Kind.TOOL_CHOICE})
"""Kinds that may go on as loops in a few of the trajectories that they hit."""


def is_way_of(loop: Finding, cause: Finding) -> bool:
    """Say whether a loop is only how what fails, or a new choice of a tool, goes on in a few trajectories.

    It is over the same tool, or over no single one (replies, several calls in turn); it makes up less than half of what
    the cause hits; and it did not begin before it, which says nothing of tries of the same failing tool: those were few
    before it failed for everybody, too. Beside a loop over a tool, one over none is what the agent says meanwhile.
    """
    if _is_said_meanwhile(loop, cause):
        return True
    if loop.kind is not Kind.LOOP or cause.kind not in _WIDER or loop.subject.agent != cause.subject.agent:
        return False
    if loop.subject.tool not in {None, cause.subject.tool} or makes_up(loop, cause):
        return False
    return is_retry_of(loop, cause) or beginning(loop) >= cause.onset_low


def _is_said_meanwhile(loop: Finding, calls: Finding) -> bool:
    """Say whether a loop over no tool is the other side of one over a tool: in no more trajectories, and not before."""
    if not loop.kind is calls.kind is Kind.LOOP or loop.subject.agent != calls.subject.agent:
        return False
    if loop.subject.tool is not None or calls.subject.tool is None:
        return False
    return loop.affected <= calls.affected and beginning(loop) >= calls.onset_low


def is_retry_of(loop: Finding, failure: Finding) -> bool:
    """Say whether a loop is only an agent trying again what fails for everybody: it goes with it whenever it began."""
    if loop.kind is not Kind.LOOP or failure.kind is not Kind.TOOL_ERRORS:
        return False
    same = (loop.subject.agent, loop.subject.tool) == (failure.subject.agent, failure.subject.tool)
    return same and not makes_up(loop, failure)


def makes_up(loop: Finding, cause: Finding) -> bool:
    """Say whether loops make up half of what a failing tool, or a new choice, hits: by their number or their share.

    Loops are looked for in the window, the others are counted since their onset. So the share in the loops' own hours
    counts as well, as far as it is sure: of the last three trajectories two loop by chance. Where the failure counts
    calls, those of the loops are put at the worst repeat times the trajectories.

    Of a new choice only the shift is to be made up, for most trajectories may have picked the tool before, too: the
    loops do where without them less than half of it would be left.
    """
    looping = loop.affected * (loop.value if cause.unit == CALLS else 1)
    hit, each = _to_make_up(cause)
    if looping * each >= MAIN_SHARE * hit:
        return True
    if cause.unit == CALLS or not cause.of:
        return False
    return least_share(loop.affected, max(loop.of, loop.affected)) * each >= MAIN_SHARE * hit / cause.of


def _to_make_up(cause: Finding) -> tuple[float, float]:
    """Return what loops are held against, in the units of `affected`, and how much of it one looping trajectory makes.

    Without `n` looping trajectories a share `(k - n) / (of - n)` is beyond the expected `e` by `k - e of - n (1 - e)`
    trajectories: each takes `1 - e` of the shift `k - e of` with it.
    """
    if cause.kind is not Kind.TOOL_CHOICE:
        return cause.affected, 1.0
    fell = cause.value < cause.baseline
    expected = 1 - cause.baseline if fell else cause.baseline
    return max(cause.affected - expected * cause.of, 0.0), 1 - expected


def beginning(finding: Finding) -> datetime:
    """Return when a finding began: what the history shows earlier than the window is no estimate."""
    return finding.began or finding.onset
