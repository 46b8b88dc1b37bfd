"""Looks for loops in recorded coding runs and prints each flagged one, for judging by eye.

Usage: `python bench/loops.py FOLDER`, a folder of mini-swe-agent `.traj.json` files; `python bench/loops.py --steps`
prints what long trajectories take, in processor time of 1,000 and of 10,000 steps.
"""

from __future__ import annotations

import json
import math
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

from analyzer.detectors.loops.scan import scan
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Status

_COMMAND = re.compile(r"```(?:bash|sh)\n(.*?)```", re.DOTALL)


def steps_of(document: dict[str, Any]) -> tuple[Step, ...]:
    """Return a run as steps: each assistant message is a reply and the command in it, the next message its output."""
    messages = document["messages"]
    steps: list[Step] = []
    asked = ""
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            asked = _text(message)
            continue
        reply = _text(message)
        steps.append(_step(len(steps) + 1, Operation.CHAT, "model", asked, reply))
        command = _COMMAND.search(reply)
        if command is not None and index + 1 < len(messages):
            answer = _text(messages[index + 1])
            steps.append(_step(len(steps) + 1, Operation.TOOL, "bash", command.group(1), answer))
    return tuple(steps)


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _step(number: int, operation: Operation, name: str, asked: str, answer: str) -> Step:
    return Step(
        number=number,
        span_id=f"{number:016x}",
        parent_id=None,
        operation=operation,
        name=name,
        agent="coder",
        input=asked,
        output=answer,
        status=Status.OK,
        status_message="",
        error=None,
        start_ns=None,
        end_ns=None,
        tokens=0,
        cost_usd=None,
    )


def made_up(count: int) -> tuple[Step, ...]:
    """Return replies and calls in turn, with answers of some 200 characters that all bring something new."""
    drawn = random.Random(7)
    steps: list[Step] = []
    answer = ""
    for number in range(1, count, 2):
        path = f"src/module_{number}.py"
        steps.append(_step(number, Operation.CHAT, "model", answer, f"I will read {path} and look for the handler."))
        answer = " ".join("".join(drawn.choices("etaoinshrdlu", k=7)) for _ in range(25))
        steps.append(_step(number + 1, Operation.TOOL, "read_file", json.dumps({"path": path, "n": number}), answer))
    return tuple(steps)


def print_steps() -> None:
    """Print what a scan takes, the best of five."""
    for count in (1_000, 10_000):
        steps = made_up(count)
        best = math.inf
        for _ in range(5):
            began = time.process_time()
            scan(steps)
            best = min(best, time.process_time() - began)
        print(f"{count:,} steps: {best:.2f} s of processor time, {best / count * 1e6:.0f} us a step")


def main() -> None:
    """Scan every run of a folder, or long ones that are made up."""
    if sys.argv[1:] == ["--steps"]:
        print_steps()
        return
    paths = sorted(Path(sys.argv[1]).rglob("*.traj.json"))
    flagged = total = 0
    for path in paths:
        steps = steps_of(json.loads(path.read_text()))
        total += len(steps)
        loops = scan(steps)
        flagged += bool(loops)
        for loop in loops:
            where = f"{path.parent.name}: steps {loop.first_step}-{loop.last_step} of {len(steps)}"
            print(f"{where}: {loop.what} ({loop.rule})")
            for step in steps[loop.first_step - 1 : loop.first_step + 7]:
                text = step.input if step.operation is Operation.TOOL else step.output
                print(f"    {step.number} {step.operation}: {' '.join(text.split())[:140]}")
                if step.operation is Operation.TOOL:
                    print(f"        -> {' '.join(step.output.split())[:140]}")
    print(f"{flagged} of {len(paths)} runs flagged, {total} steps")


if __name__ == "__main__":
    main()
