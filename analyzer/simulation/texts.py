"""Texts as long as real agents': system prompts, tool definitions, what is attached to a goal, and what tools return.

Scripts say the least that a detector needs to see. What people trace is longer: a system prompt of thousands of tokens,
tools described at length, results by the page. A fleet with `texts = "full"` fills both up from the role's `Material`
until a run's texts hold about as many tokens as its usage says. Nothing that a detector decides by is drawn anew: the
runs, calls, times and tokens are those of the same fleet with short texts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice

from analyzer.simulation.roles import ROLES
from analyzer.simulation.script import Call, Role, Script, dumps

CHARS_PER_TOKEN = 3.5
"""As the investigator estimates tokens of JSON and code."""
MANUAL_SHARE = 0.45
"""Part of the prompt's tokens that is the system prompt; the rest describes the tools."""
RESULT_TOKENS_MAX = 5_000
"""Tools cut their pages at about this."""
ATTACHED_TOKENS_MAX = 12_000
POOL = 2_000
"""Records of one tool that a fleet has: rows, pages and lines come back in other runs, as they do in life."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one agent that are the same in every run."""

    role: Role
    prompt_tokens: int
    system: str
    definitions: str
    """JSON, as in `gen_ai.tool.definitions`."""

    def filled(self, script: Script, tokens: float, rng: random.Random) -> Script:
        """Return a script whose tools return about so many tokens each; failures stay as short as they are."""
        start = rng.randrange(POOL)
        calls: list[Call] = []
        # One call goes on where the one before it ended: within a run a page brings what was not seen yet.
        for call in script.calls:
            room = int(min(tokens * rng.lognormvariate(0, 0.5), RESULT_TOKENS_MAX) * CHARS_PER_TOKEN) - len(call.result)
            records = [] if call.failure else _taken(_records(self.role.name, call.tool), start, room)
            start += len(records)
            more = _joined(call.result, self.role.material.key, records) if records else call.result
            calls.append(replace(call, result=more))
        return replace(script, calls=tuple(calls))

    def attached(self, tokens: float, context: str, rng: random.Random) -> str:
        """Return what stands below the goal, in about so many tokens: what a fault loads, else what people attach.

        `context` is one entry of what is loaded, with `{n}` for its number; "" where no fault loads anything. The
        heading is longer than what tells kinds of task apart, so that attachments make no kind of their own.
        """
        room = int(min(tokens, ATTACHED_TOKENS_MAX) * CHARS_PER_TOKEN)
        if context:
            count = max(room // len(context), 1)
            lines = [context.replace("{n}", str(number + 1)) for number in range(count)]
        else:
            lines = _taken(_lines(self.role.name), rng.randrange(POOL), room)
        return "\n".join(["", "", self.role.material.heading, *lines])


def texts_of(role: str, prompt_tokens: int) -> Texts:
    """Return the texts of an agent that plays this role with so many tokens of system prompt and tools."""
    return _texts_of(role, prompt_tokens)


@cache
def _texts_of(name: str, prompt_tokens: int) -> Texts:
    role = ROLES[name]
    room = int(prompt_tokens * CHARS_PER_TOKEN)
    manual = int(room * MANUAL_SHARE)
    sections = [f"## {subject}\n" + "\n".join(_rules(role, subject)) for subject in role.material.subjects]
    system = f"{role.system}\n\n" + "\n\n".join(sections)
    definitions = [tool.definition() for tool in role.tools]
    each = (room - min(len(system), manual) - len(dumps(definitions))) // len(definitions)
    for place, definition in enumerate(definitions):
        words = (rule for subject in _turned(role.material.subjects, place) for rule in _rules(role, subject))
        guide = " ".join(islice(words, max(each, 0) // 90))
        definition["description"] = f"{definition['description']} {guide}".strip()
    return Texts(role, prompt_tokens, system[:manual].rsplit("\n", 1)[0], dumps(definitions))


def _rules(role: Role, subject: str) -> list[str]:
    return [f"- {rule.replace('{subject}', subject)}" for rule in role.material.rules]


def _turned(subjects: Sequence[str], by: int) -> Sequence[str]:
    return [*subjects[by:], *subjects[:by]]


@cache
def _records(role: str, tool: str) -> tuple[str, ...]:
    """Return what a tool of a role has to give, each record as JSON, a line of text as a JSON string."""
    rng = random.Random(f"{role}/{tool}")
    return tuple(dumps(ROLES[role].material.record(rng, tool)) for _ in range(POOL))


@cache
def _lines(role: str) -> tuple[str, ...]:
    """Return lines as they are attached to the goals of a role."""
    rng = random.Random(f"{role}/lines")
    thread = ROLES[role].material.thread
    return tuple(rng.choice(thread).replace("{n}", str(rng.randrange(10, 1_000))) for _ in range(POOL))


def _taken(pool: Sequence[str], start: int, chars: int) -> list[str]:
    """Return the texts of a pool from a place on, round and round, until so many characters are reached."""
    taken: list[str] = []
    while chars > 0:
        taken.append(pool[(start + len(taken)) % len(pool)])
        chars -= len(taken[-1]) + 1
    return taken


def _joined(result: str, key: str, records: Sequence[str]) -> str:
    """Return a result with records added to it in its own form: an object, a list of objects, or lines of text."""
    if result.startswith("{"):
        opened = f'"{key}":['
        if opened in result:
            before, after = result.split(opened, 1)
            return f"{before}{opened}{','.join(records)}{'' if after.startswith(']') else ','}{after}"
        return f"{result[:-1]},{opened}{','.join(records)}]}}"
    if result.startswith("[{"):
        objects = (one if one.startswith("{") else f'{{"text":{one}}}' for one in records)
        return f"{result[:-1]},{','.join(objects)}]"
    if result.startswith("["):
        return result
    return "\n".join([result, *(one[1:-1] if one.startswith('"') else one for one in records)])
