"""Where a red run parts from the healthy run of its case, as a diff of one step."""

from __future__ import annotations

import difflib
import json
from operator import attrgetter

from analyzer.detectors.loops.normalise import call_of
from analyzer.replay.golden.expectations import arguments_of
from analyzer.replay.golden.observed import Observed, goal_key
from analyzer.replay.golden.running import Replayed, Trial
from analyzer.types.steps import Step
from analyzer.types.trace import Status

RESULT_CHARS_MAX = 400
CONTEXT_LINES = 100
"""Around a difference: a step is shown whole."""
STEPS_SHOWN_MAX = 3
"""Steps at fault that are spelt out."""


def divergence(trial: Trial) -> list[str]:
    """Return lines: what did not hold, the steps that show it, and the first call that the healthy run did not make."""
    run = trial.run
    if run is None:
        return [trial.why]
    lines = [f"{one.expectation.words}: {one.why}" for one in trial.unmet]
    at_fault = {number for one in trial.unmet for number in one.steps}
    for step in [step for step in run.steps if step.number in at_fault][:STEPS_SHOWN_MAX]:
        lines += ["", *(f"    {line}" for line in _spelt(step))]
    parting = parted(trial.case.control, run)
    if parting is not None:
        healthy, own = parting
        lines += ["", *_diff(healthy, own, trial.case.control.trace_id, run.trace_id)]
    if trial.replayed is not None:
        lines = [f"{trial.replayed.outcome.value}: {trial.replayed.why}", *lines, *asked_otherwise(trial.replayed)]
    return lines


def asked_otherwise(replayed: Replayed) -> list[str]:
    """Return the first request of a replay that differs from the recording as lines; [] where none did."""
    return ["", "--- recorded request", "+++ request of this run", *replayed.diff] if replayed.diff else []


def parted(healthy: Observed, run: Observed) -> tuple[Step | None, Step | None] | None:
    """Return the first calls in which two runs differ, None for a run that made no more; None where no call differs.

    Runs with other goals have other arguments throughout: of those the tools alone are compared.
    """
    theirs, own = healthy.calls, run.calls
    key = _key if goal_key(healthy.goal) == goal_key(run.goal) else attrgetter("name")
    for at in range(max(len(theirs), len(own))):
        one = theirs[at] if at < len(theirs) else None
        other = own[at] if at < len(own) else None
        if one is None or other is None or key(one) != key(other):
            return one, other
    return None


def _key(step: Step) -> str:
    return call_of(step.name, step.input).exact


def _diff(healthy: Step | None, own: Step | None, healthy_id: str, own_id: str) -> list[str]:
    before, after = ([] if step is None else _spelt(step, numbered=False) for step in (healthy, own))
    names = (_place("healthy run", healthy_id, healthy), _place("this run", own_id, own))
    return list(difflib.unified_diff(before, after, names[0], names[1], lineterm="", n=CONTEXT_LINES))


def _place(which: str, trace_id: str, step: Step | None) -> str:
    return f"{which} {trace_id[:12]}, {'ends here' if step is None else f'step {step.number}'}"


def _spelt(step: Step, *, numbered: bool = True) -> list[str]:
    """Return a step on lines, an argument a line, so that a diff shows which one differs."""
    head = f"step {step.number}: {step.name}" if numbered else step.name
    given = arguments_of(step)
    try:
        arguments = json.dumps(given, indent=2, sort_keys=True, ensure_ascii=False).splitlines() if step.input else []
    except RecursionError:
        arguments = step.input.splitlines()
    came = step.status_message or step.output
    mark = "failed: " if step.status is Status.ERROR else "-> "
    cut = came[:RESULT_CHARS_MAX] + (" ..." if len(came) > RESULT_CHARS_MAX else "")
    return [head, *arguments, *f"{mark}{cut}".splitlines()]
