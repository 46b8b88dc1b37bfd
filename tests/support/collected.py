"""Runs as OTLP/JSON, to be laid into the Collector's tables."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any


def request(number: int, begin: datetime, *, extra: int = 0, said: str = "nothing") -> dict[str, Any]:
    """Return one run: its agent, a chat, a tool call and `extra` tool calls more, as OTLP/JSON."""
    messages = f'[{{"role":"user","parts":[{{"type":"text","content":"refund order {number}, {said}"}}]}}]'
    spans = [
        _span(number, 1, begin, 10, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "shop"}, parent=0),
        _span(
            number,
            2,
            begin + timedelta(seconds=1),
            1,
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "claude-sonnet-4-5",
                "gen_ai.usage.input_tokens": 1200,
                "gen_ai.usage.output_tokens": 30,
                "gen_ai.input.messages": messages,
                "gen_ai.system_instructions": "be kind",
            },
        ),
    ]
    for tool in range(1 + extra):
        given = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "lookup_order"}
        given["gen_ai.tool.call.arguments"] = f'{{"order": {number}, "note": "{said}"}}'
        spans.append(_span(number, 3 + tool, begin + timedelta(seconds=3 + tool), 0.5, given))
    return {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "made"}, "spans": spans}]}]}


def _span(number: int, span: int, begin: datetime, lasts_s: float, given: dict[str, Any], parent: int = 1) -> Any:
    start = int(begin.timestamp() * 1000) * 1_000_000
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{span:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": f"span {span}",
        "kind": 3,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(lasts_s * 1e9)),
        "attributes": [{"key": key, "value": {kinds[type(value)]: value}} for key, value in given.items()],
        "status": {},
    }
