"""Runs for golden cases: the smallest a case can be made from, and the tau-retail recordings with their labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.spans import chat, history, root, tool

from analyzer.replay.golden.expectations import Check, Expectation
from analyzer.replay.golden.observed import Observed, observed
from analyzer.types.trace import Outcome, Span
from analyzer.types.trajectory import Trajectory, ordered, summarise

GOAL = "Where is my order and can I have my money back?"
TASK = "where is my order"


def shop_spans(
    number: int,
    calls: list[tuple[str, dict[str, Any]]],
    *,
    answer: str = "It is on its way.",
    at_s: float = 0,
    result: str = "shipped",
    outcome: Outcome = Outcome.SUCCESS,
    **fields: Any,
) -> list[Span]:
    """Return a run of the shop: calls, each asked for by a reply of the model, then the answer."""
    spans = [root(number, at_s=at_s, lasts_s=100, input=GOAL, output=answer, outcome=outcome)]
    told = {
        "input": history(GOAL),
        "system": "Be kind.",
        "tool_definitions": offered("lookup_order", "refund"),
        **fields,
    }
    for at, (name, arguments) in enumerate(calls):
        spelt = json.dumps(arguments)
        asked = json.dumps([{"role": "assistant", "tool_calls": [{"function": {"name": name, "arguments": spelt},
                                                                   "type": "function"}]}])  # fmt: skip
        spans.append(chat(number, 10 + 2 * at, at_s=at_s + 2 * at + 1, lasts_s=0.5, output=asked, **told))
        spans.append(
            tool(number, 11 + 2 * at, at_s=at_s + 2 * at + 2, tool=name, input=spelt, output=f"{result} {name}")
        )
    last = json.dumps([{"role": "assistant", "content": answer}])
    return [*spans, chat(number, 9_000, at_s=at_s + 90, output=last, **told)]


def offered(*names: str) -> str:
    """Return the definitions of tools."""
    return json.dumps([{"name": name, "input_schema": {"type": "object"}} for name in names])


def seen(spans: list[Span]) -> Observed:
    """Return spans as a run that is judged."""
    in_order = ordered(spans)
    return observed(Trajectory(summarise(spans[0].trace_id, in_order), in_order))


@dataclass(frozen=True)
class Labelled:
    """A failed run of tau-retail, and what its label says it should have done."""

    number: int
    """Its place in the file."""
    expectations: tuple[Expectation, ...]
    reference: dict[str, Any]
    """The run as its label has it: the right calls and the right answers, as a recording in the same form."""

    @property
    def barred(self) -> tuple[Expectation, ...]:
        """The calls that it made and must not make again: what any passing run can be held against."""
        return tuple(one for one in self.expectations if one.check is Check.MUST_NOT_CALL)


_CHANGES = ("cancel_", "exchange_", "modify_", "return_")
"""How the names of the tools begin that change anything; what was looked up on the way is nobody's fault."""


def labelled(path: Path) -> Iterator[Labelled]:
    """Yield the failed runs of the recordings that changed the wrong thing, or told the wrong answer."""
    for number, run in enumerate(json.loads(path.read_bytes())):
        if run["reward"] == 1.0:
            continue
        task = run["info"]["task"]
        right = [(one["name"], one["kwargs"]) for one in task["actions"]]
        made = [_call(one) for message in run["traj"] for one in message.get("tool_calls") or ()]
        missing = [one for one in right if one[0].startswith(_CHANGES) and one not in made]
        extra = [one for one in made if one[0].startswith(_CHANGES) and one not in right]
        said = " ".join(str(message.get("content")) for message in run["traj"] if message["role"] == "assistant")
        untold = [text for text in task["outputs"] if text not in said.replace(",", "")]
        expectations = (
            *(Expectation(Check.MUST_CALL, tool=name, arguments=arguments) for name, arguments in missing),
            *(Expectation(Check.MUST_NOT_CALL, tool=name, arguments=arguments) for name, arguments in extra),
            *(Expectation(Check.ANSWER_CONTAINS, text=text) for text in untold),
        )
        if expectations:
            yield Labelled(number, expectations, _reference(run, right, task["outputs"]))


def _call(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return given["function"]["name"], json.loads(given["function"]["arguments"])


def _reference(run: Mapping[str, Any], right: list[tuple[str, dict[str, Any]]], outputs: list[str]) -> dict[str, Any]:
    opening = list(run["traj"][: next(at for at, one in enumerate(run["traj"]) if one["role"] == "user") + 1])
    for at, (name, arguments) in enumerate(right):
        inner = {"name": name, "arguments": json.dumps(arguments)}
        opening.append({"role": "assistant", "tool_calls": [{"id": f"c{at}", "type": "function", "function": inner}]})
        opening.append({"role": "tool", "tool_call_id": f"c{at}", "content": "done"})
    opening.append({"role": "assistant", "content": f"Done. {' '.join(outputs)}"})
    return {"messages": opening, "reward": 1.0}
