"""Model Context Protocol, client and server side: `tools/call` is the call of a tool."""

from __future__ import annotations

from analyzer.ingest.dialects.base import Dialect
from analyzer.types.trace import Operation

MCP = Dialect(
    name="mcp",
    marks=("mcp.method.name",),
    operation=("mcp.method.name",),
    operations={"tools/call": Operation.TOOL},
    tool=("gen_ai.tool.name", "mcp.tool.name"),
    prompt_name=("gen_ai.prompt.name", "mcp.prompt.name"),
    tool_input=("gen_ai.tool.call.arguments", "mcp.request.params", "mcp.tool.arguments"),
    tool_output=("gen_ai.tool.call.result", "mcp.response.result", "mcp.tool.result"),
)
"""The server's span repeats the caller's: `types.repeats.repeats_of` folds nested calls of one tool.

A session with a server (`mcp.session.id`) is no conversation: it is kept among the attributes."""
