"""Conversations as attributes of spans in every dialect, drawn: well formed, odd, and no JSON at all."""

from __future__ import annotations

import json
import random
from typing import Any

from analyzer.ingest.dialects import DIALECTS

TELLING = sorted({source for one in DIALECTS for source in one.operation if isinstance(source, str)})
INPUTS = sorted({source for one in DIALECTS for source in one.chat_input if isinstance(source, str)})
KINDS = sorted({kind for one in DIALECTS for kind in one.operations})
MARKS = sorted({mark for one in DIALECTS for mark in one.marks})
SCOPES = ["app", *sorted(scope for one in DIALECTS for scope in one.scopes)]
_INFERENCES = [
    (source, kind, name)
    for dialect in DIALECTS
    for source in dialect.operation
    for kind, operation in dialect.operations.items()
    for name in dialect.chat_input
    if isinstance(source, str) and isinstance(name, str) and operation.is_inference
]
_WORDS = (
    "", "refund order 77, ", 'say "no" \\ [maybe] {all}', "räumen 🙂 ", "<b>&\u2028", "\\ud83d", '{"type":"refund"}',
    "\n\t", "One of the many lines that a tool gave back. ",
)  # fmt: skip
_RAW = (
    '{"role":"user","content":"first","role":"assistant"}', '{"role":"assistant","content":"x","role":"user"}',
    '{"role":"user","content":"first","content":""}', '{"role":"user","content":[{"text":"a","text":""}]}',
    '{"role":"user","content":"a","type":"function_call","name":"f"}', '{"role":"user","content":null,"text":"a"}',
    r'{"r\u006fle":"user","content":"in disguise"}', r'{"role":"us\u0065r","content":"in disguise"}',
    r'{"role":"user","content":"first","content\u0000":"a"}', r'{"role":"user","content":"","c\u006fntent":"twice"}',
    r'{"role":"tool","content":"\ud800"}', r'{"role":"tool","content":"\uDE00"}', '{"role":"tool","a":"\t"}',
    r'{"role":"tool","content":"\\ud83d\ude00"}', r'{"role":"user","content":"' + r"\ud83d\ude00" * 900 + '"}',
    '{"role":"user","content":"' + r"\u003c" * 900 + r'\ud83d"}', '{"role":"user","content":"' + r"\\" * 900 + '"}',
    '{"role":"tool","n":1e400}', '{"role":"tool","n":' + "9" * 40 + "}", '{"role":"tool","n":' + "9" * 5000 + "}",
    '{"role":"tool","n":01}', '{"role":"tool","n":NaN}', '{"role":"tool","n":1,}', '{"role":"tool" "n":1}',
    '{"role":"tool","a":' + "[" * 12 + "]" * 12 + "}", '{"role":"tool","a":' + "[" * 300 + "]" * 300 + "}",
    "{}", "7", "null", "[]", '"text"', '{"role":"tool","a":[}]}', '{"role":"tool","a":"}{[\\""}', "{'role':'user'}",
    '{"role":"tool","a":"\x7f\x00"}', "",
)  # fmt: skip
"""Messages that parsers may read in several ways, and what is none."""
_FRAMES = (
    " [ ...\n]", '{"messages":[...]}', '{"model":"m","a":{}, "messages" : [...] ,"b":1}', "[[...]]", "[...",
    '{"messages":[...],"messages":[]}', '[...] "more"',
)  # fmt: skip


def attributes(rng: random.Random) -> dict[str, str]:
    """Return those of a span: half of them an inference's as one dialect sends it, the others in any mixture."""
    source, kind, name = rng.choice(_INFERENCES)
    usual = {source: kind, name: conversation(rng)}
    if rng.random() < 0.5:
        return usual
    told = rng.choices(TELLING, k=rng.randrange(3))
    kinds = [*KINDS, "LLM", '"LLM"', '"TOOL"', '"T\\u004fOL"', "tas\u212a"]
    return {
        **usual,
        **{one: conversation(rng) for one in rng.choices(INPUTS, k=rng.randrange(2))},
        **dict.fromkeys(rng.choices([*MARKS, "gen_ai.tool.name", "gen_ai.request.model"], k=rng.randrange(3)), "x"),
        **{one: rng.choice(kinds) for one in told},
    }


def conversation(rng: random.Random) -> str:
    """Return a text that mostly is a JSON array of messages."""
    odd = rng.random() < 0.4
    messages = [_message(rng, odd=odd) for _ in range(rng.randrange(1, 10))]
    text = (rng.choice(_FRAMES) if rng.random() < 0.2 else "[...]").replace("...", ",".join(messages))
    lost = rng.randrange(len(text)) if odd and rng.random() < 0.2 else len(text)
    return text[:lost] + text[lost + 1 :]


def _message(rng: random.Random, *, odd: bool) -> str:
    if odd and rng.random() < 0.2:
        return rng.choice(_RAW)
    message: dict[str, Any] = {
        "role": rng.choice(["system", "user", "user", "assistant", "tool"]),
        "content": _text(rng) if rng.random() < 0.6 else _parts(rng),
        "parts": _parts(rng),
        "type": rng.choice(["message", "function_call", 1]),
        "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"a": [1.0, {"b": -0.0}]}}}],
    }
    names = list(message)
    rng.shuffle(names)
    shares = {"role": 0.95, "content": 0.8, "parts": 0.2 if odd else 0, "type": 0.1, "tool_calls": 0.1}
    return json.dumps(
        {name: message[name] for name in names if rng.random() < shares[name]},
        ensure_ascii=rng.random() < 0.5,
        separators=rng.choice([None, (",", ":")]),
        indent=rng.choice([None, None, 1]),
    )


def _parts(rng: random.Random) -> list[Any]:
    part = {"type": rng.choice(["text", "text", "tool_call"]), rng.choice(["text", "content"]): _text(rng)}
    return [part, {"type": "text", "text": _text(rng)}, {"parts": []}, None][: rng.choice([0, 1, 1, 2, 4])]


def _text(rng: random.Random) -> str:
    return rng.choice(_WORDS) + rng.choice(_WORDS) * rng.choice([1, 20, 100, 300])
