"""A golden case as it stands in a file: self-contained, masked, readable in a review."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from analyzer.errors import UsageError
from analyzer.replay.golden.expectations import Expectation, document_of, expectation_from
from analyzer.replay.golden.observed import Observed, goal_key, step_document, step_from
from analyzer.replay.golden.recorded import recording_from, replay_document
from analyzer.replay.recording import Recording
from analyzer.types.audit import digest, stamp
from analyzer.types.steps import Step
from analyzer.types.trace import Outcome

SCHEMA = "analyzer.golden/1"
Mask = Callable[[str], str]
_NAME_CHARS_MAX = 60
_ID_CHARS = 12
_NESTING_MAX = 100
"""Of what a case holds: no tool is described deeper, hostile input may be, and Python's JSON gives up near 300."""


class Match(StrEnum):
    """Which runs of the agent a case is about."""

    GOAL = "goal"
    """Those with this very goal: what is expected names its values."""
    TASK = "task"
    """Those of this kind of task; where it is not known, with this goal."""
    AGENT = "agent"
    """All."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that went wrong, and what is expected since."""

    name: str
    made_at: datetime
    match: Match
    expectations: tuple[Expectation, ...]
    bad: Observed
    """The run it was made from."""
    control: Observed
    """A healthy run, on which every expectation is met."""
    shrunk: tuple[int, ...]
    """The fewest steps of `bad` that are red."""
    incidents: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    """What the model of the bad run was given beside the conversation; see `given_in`."""
    replay: Recording | None = None
    """The bad run as it can be run again, masked; None in cases that were made before this was kept."""

    def concerns(self, run: Observed) -> bool:
        """Whether a run is one that the case is about."""
        if run.agent != self.bad.agent:
            return False
        if self.match is Match.AGENT:
            return True
        if self.match is Match.TASK and None not in (run.task, self.bad.task):
            return run.task == self.bad.task
        return bool(run.goal) and goal_key(run.goal) == goal_key(self.bad.goal)

    @property
    def sources(self) -> frozenset[str]:
        """The trajectories it was made from: neither is judged by it."""
        return frozenset({self.bad.trace_id, self.control.trace_id})


def changed(case: Case, run: Observed) -> tuple[str, ...]:
    """Return what the run was given otherwise than the case: "prompt", "tools"; what either does not tell is equal."""
    pairs = {"prompt": (case.bad.prompt, run.prompt), "tools": (case.bad.tools, run.tools)}
    return tuple(what for what, both in pairs.items() if None not in both and both[0] != both[1])


def is_older(case: Case, run: Observed) -> bool:
    """Tell whether a run began before the one that the case was made from; one without times did not."""
    ran, made = run.began_ns, case.bad.began_ns
    return ran is not None and made is not None and ran < made


def match_of(expectations: Sequence[Expectation]) -> Match:
    """Return the widest match that is fair to what is expected."""
    return Match.GOAL if any(one.about_goal for one in expectations) else Match.TASK


def masked(run: Observed, mask: Mask) -> Observed:
    """Return a run with its texts masked once more: rules that were added since it was stored count, too."""

    def masked_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
        return tuple(
            replace(one, input=mask(one.input), output=mask(one.output), status_message=mask(one.status_message))
            for one in steps
        )

    return replace(run, goal=mask(run.goal), steps=masked_steps(run.steps), untraced=masked_steps(run.untraced))


def given_in(recording: Recording, mask: Mask) -> dict[str, Any]:
    """Return model, parameters, system prompt and tool definitions of the first model call, masked; {} without any.

    With the steps these are what a replay needs: a conversation is the steps before it.
    """
    if not recording.calls:
        return {}
    request = recording.calls[0].request
    tools = [{"name": one.name, "description": one.description, "schema": dict(one.schema)} for one in request.tools]
    if any(_depth_exceeds(one.schema, _NESTING_MAX) for one in request.tools):
        raise UsageError(f"its tool definitions are nested deeper than {_NESTING_MAX}: no case can hold them")
    return {
        "model": request.model,
        "provider": request.provider,
        "parameters": dict(request.parameters),
        "system": mask(request.system),
        "tools": _masked_value(tools, mask),
    }


def _depth_exceeds(value: Any, most: int) -> bool:
    """Whether a JSON value is nested deeper than that; a level after the other, without recursion."""
    level = [value]
    for _ in range(most):
        parts = [part for one in level if isinstance(one, Mapping | list) for part in _parts(one)]
        if not parts:
            return False
        level = parts
    return True


def _parts(value: Mapping[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else value


def _masked_value(value: Any, mask: Mask) -> Any:
    """Return a JSON value with its texts masked, one by one: what is JSON before is JSON after."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [_masked_value(part, mask) for part in value]
    return {key: _masked_value(part, mask) for key, part in value.items()} if isinstance(value, dict) else value


def case_document(case: Case) -> dict[str, Any]:
    """Return a case as JSON, schema `analyzer.golden/1`."""
    return {
        "schema": SCHEMA,
        "name": case.name,
        "made_at": stamp(case.made_at),
        "agent": case.bad.agent,
        "task": case.bad.task,
        "goal": case.bad.goal,
        "match": case.match.value,
        "expectations": [document_of(one) for one in case.expectations],
        "incidents": list(case.incidents),
        "shrunk": list(case.shrunk),
        "given": dict(case.given),
        "recording": _run_document(case.bad),
        "control": _run_document(case.control),
        "replay": replay_document(case.replay),
    }


def case_from(document: Any, name: str) -> Case:
    """Return the case of a JSON document. Raises UsageError where it is none."""
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise UsageError(f"{name} has schema {schema!r}, not {SCHEMA}")
    try:
        about = {key: document[key] for key in ("agent", "task", "goal")}
        bad = _run_from({**about, **document["recording"]})
        return Case(
            name=str(document["name"]),
            made_at=datetime.fromisoformat(document["made_at"]),
            match=Match(document["match"]),
            expectations=tuple(expectation_from(one) for one in document["expectations"]),
            bad=bad,
            control=_run_from({**about, **document["control"]}),
            shrunk=tuple(int(number) for number in document["shrunk"]),
            incidents=tuple(str(one) for one in document.get("incidents", ())),
            given=dict(document.get("given", {})),
            replay=recording_from(document.get("replay"), bad),
        )
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{name} is no golden case: {type(error).__name__} at {error}") from None


def read_cases(folder: Path) -> list[Case]:
    """Return the cases of a folder, by name. Raises UsageError: a folder without any judges nothing."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; `analyzer golden add TRACE --to {folder}` makes one")
    cases = []
    for path in sorted(folder.rglob("*.json")):
        try:
            document = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from None
        cases.append(case_from(document, str(path)))
    if not cases:
        raise UsageError(f"{folder} holds no golden case; `analyzer golden add TRACE --to {folder}` makes one")
    return cases


def name_of(run: Observed, *, whole: bool = False) -> str:
    """Return the name of a case about a run, fit for a file: its agent and the beginning of its id, or all of it.

    An agent whose name has letters beyond ASCII is told from the next one by a hash of it.
    """
    words = re.sub(r"[^a-z0-9]+", "-", run.agent.lower()).strip("-")[:_NAME_CHARS_MAX] or "agent"
    told = "" if run.agent.isascii() else f"-{digest(run.agent)[:6]}"
    return f"{words}{told}-{run.trace_id if whole else run.trace_id[:_ID_CHARS]}"


def _run_document(run: Observed) -> dict[str, Any]:
    return {
        "trace_id": run.trace_id,
        "version": run.version,
        "goal": run.goal,
        "prompt": run.prompt,
        "tools": run.tools,
        "offered": list(run.offered),
        "outcome": run.outcome.value,
        "complete": run.complete,
        "steps": [step_document(step) for step in run.steps],
        "untraced": [step_document(step) for step in run.untraced],
    }


def _run_from(document: Mapping[str, Any]) -> Observed:
    return Observed(
        trace_id=str(document["trace_id"]),
        agent=str(document["agent"]),
        version=document["version"],
        task=document["task"],
        goal=str(document["goal"]),
        prompt=document["prompt"],
        tools=document["tools"],
        offered=tuple(str(name) for name in document["offered"]),
        outcome=Outcome(document["outcome"]),
        complete=document["complete"] is True,
        steps=tuple(step_from(step) for step in document["steps"]),
        untraced=tuple(step_from(step) for step in document.get("untraced", ())),
    )
