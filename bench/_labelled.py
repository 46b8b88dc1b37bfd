"""Failed runs that people have labelled: imported as any log is, and where their decisive step stands among the steps.

Two forms, told apart by what is in the files. A log of agents with `history`, `mistake_agent` and `mistake_step`
(Who&When, 0-based into the history), one run a file; and a list of chats with a `ground_truth*.json` beside it
(AgentRx, `step_number` 1-based into `traj`; the root cause among several failures is the label). Labels are read from
the files again: an import leaves them out, so no model can see them.

Message and step are not the same: a reply is the inference that made it; a tool's result is the output of its call;
what a person said has no step of its own and stands in the input of the next inference. A step counts as the message
that it is, a tool call as the message that asked for it: that is where its arguments were chosen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from analyzer.ingest.files import Parsed, read_stream
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.messages import last_message, readable
from analyzer.types.steps import Step
from analyzer.types.trace import Operation
from analyzer.types.trajectory import Trajectory

MESSAGE = "analyzer.import.message"
"""Attribute of an inference: the 0-based index of its reply among the messages of its log."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands in a trajectory."""

    step: int
    """1-based."""
    span_id: str
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """One failed run and what its label says."""

    name: str
    """Unique in its data set: `Hand-Crafted/12`."""
    split: str
    trace_id: str
    agent: str | None
    """Who made the mistake; None where the log does not tell agents apart."""
    message: int
    """The decisive one, 0-based."""
    messages: tuple[Mapping[str, Any], ...]

    @property
    def half(self) -> str:
        """`chosen on` or `held out`: by a hash of the name, so that it never changes."""
        return "held out" if hashlib.sha256(self.name.encode()).digest()[0] % 2 else "chosen on"


@dataclass(frozen=True, slots=True)
class _Run:
    """A log before it is imported."""

    name: str
    split: str
    document: Mapping[str, Any]
    messages: Sequence[Mapping[str, Any]]
    agent: str | None = None
    message: int | None = None
    """None for a run that did well."""


def load(data: Path, store: SqliteTrajectories) -> list[Labelled]:
    """Import every run below a folder into the store, those without a label too: they are the peers.

    Return the labelled ones by name. Raises ValueError where there is none, or where a label lies outside of its log.
    """
    found = []
    for run in (*_logs(data), *_chats(data)):
        trace_id = _imported(run, store)
        if run.message is None:
            continue
        if not 0 <= run.message < len(run.messages):
            raise ValueError(f"{run.name}: message {run.message} is not among its {len(run.messages)}")
        found.append(Labelled(run.name, run.split, trace_id, run.agent, run.message, tuple(run.messages)))
    if not found:
        raise ValueError(f"{data} holds no labelled run")
    return sorted(found, key=lambda one: one.name)


def place_of(trajectory: Trajectory, messages: Sequence[Mapping[str, Any]], message: int) -> Place:
    """Return where a message (0-based) stands. Raises LookupError where it stands nowhere."""
    replies = _replies(trajectory)
    if message in replies:
        step = replies[message]
        return Place(step.number, step.span_id, "output", _said(trajectory, step))
    call_id = messages[message].get("tool_call_id")
    if call_id:
        called = next(span for span in trajectory.spans if span.tool_call_id == call_id)
        step = next(step for step in trajectory.steps if step.span_id == called.span_id)
        return Place(step.number, step.span_id, "output", step.output)
    later = [index for index in replies if index > message]
    if not later:
        raise LookupError(f"message {message} comes after the last reply")
    step = replies[min(later)]
    return Place(step.number, step.span_id, "input", step.input)


def message_of(trajectory: Trajectory, step: int) -> int | None:
    """Return the message (0-based) that a step counts as, or None where there is no such step."""
    if not 1 <= step <= len(trajectory.steps):
        return None
    numbers = {reply.number: index for index, reply in _replies(trajectory).items()}
    return next((numbers[number] for number in range(step, 0, -1) if number in numbers), None)


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message of a log in the form in which the store gives it to readers, without its role."""
    return last_message(json.dumps([message]))


def is_human(message: Mapping[str, Any]) -> bool:
    """Tell whether a message is a person's: a user's that no agent has signed."""
    return message["role"] in {"user", "human"} and not message.get("name")


def _replies(trajectory: Trajectory) -> dict[int, Step]:
    indexes = {span.span_id: span.attributes[MESSAGE] for span in trajectory.spans if MESSAGE in span.attributes}
    steps = trajectory.steps
    return {indexes[step.span_id]: step for step in steps if step.operation is Operation.CHAT}


def _said(trajectory: Trajectory, step: Step) -> str:
    """Return a reply without the role before it."""
    span = trajectory.span(step.span_id)
    return last_message(span.output) if span is not None else readable(step.output)


def _logs(data: Path) -> Iterator[_Run]:
    for path in sorted(data.rglob("*.json")):
        document = json.loads(path.read_bytes())
        if isinstance(document, dict) and "mistake_step" in document and isinstance(document.get("history"), list):
            split = path.parent.name
            name, agent, step = f"{split}/{path.stem}", document["mistake_agent"], int(document["mistake_step"])
            yield _Run(name, split, document, document["history"], agent, step)


def _chats(data: Path) -> Iterator[_Run]:
    for path in sorted(data.rglob("ground_truth*.json")):
        labels = {label["trajectory_id"]: _root_cause(label) for label in json.loads(path.read_bytes())}
        for beside in sorted(path.parent.glob("*.json")):
            documents = json.loads(beside.read_bytes())
            if beside == path or not isinstance(documents, list):
                continue
            for document in documents:
                task, split = document["task_id"], path.parent.name
                yield _Run(f"{split}/{task}", split, document, document["traj"], message=labels.get(task))


def _root_cause(label: Mapping[str, Any]) -> int:
    """Return the message of the failure that is called the root cause, 0-based."""
    steps = {failure["failure_id"]: failure["step_number"] for failure in label["failures"]}
    return int(steps[label["root_cause"]["failure_id"]]) - 1


def _imported(run: _Run, store: SqliteTrajectories) -> str:
    trace_ids = set()
    for read in read_stream(BytesIO(json.dumps(run.document).encode()), run.name):
        if isinstance(read, Parsed):
            store.add(read.spans)
            trace_ids |= {span.trace_id for span in read.spans}
    if len(trace_ids) != 1:
        raise ValueError(f"{run.name} gave {len(trace_ids)} trajectories")
    return trace_ids.pop()
