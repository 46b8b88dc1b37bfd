"""What an agent's own code imports: its tools answered from the recording while it is replayed.

Light on purpose: an agent that imports it loads nothing of the analyst.
"""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from analyzer.config.loading import replay_url
from analyzer.errors import AnalyzerError

TOOLS_PATH = "/recorded-tools"
"""Where agents ask for the recorded outcome of a tool call: POST {TOOLS_PATH}/NAME with its arguments as JSON."""
Tool = Callable[[str, Mapping[str, Any]], Any]
"""Runs a tool: its name and arguments in, what it gives out."""
_WAIT_S = 30.0


class UnrecordedError(AnalyzerError):
    """The recording has no outcome for this call of a tool; the message names the step that it came nearest to."""

    exit_code = 3


class RecordedFailureError(AnalyzerError):
    """The tool failed in the recording; the message is what it gave then."""


def recorded_tools(otherwise: Tool | None = None, *, url: str | None = None) -> Tool:
    """Return what runs an agent's tools: the recorded outcomes in a replay, `otherwise` outside of one.

        run_tool = recorded_tools(otherwise=run_tool)
        text = run_tool("find_order", {"order": "A-17"})

    A replay is known by ANALYZER_REPLAY_URL, which `analyzer replay TRACE --serve -- COMMAND` sets; `url` names one in
    its place. What it gives raises UnrecordedError for a call that was not recorded, and RecordedFailureError for one
    that failed. Raises UnrecordedError at once where there is neither a replay nor `otherwise`.
    """
    base = url or replay_url()
    if base is not None:
        return lambda tool, arguments: _asked(base, tool, arguments)
    if otherwise is None:
        raise UnrecordedError(
            "no replay is under way: ANALYZER_REPLAY_URL is not set; pass `otherwise` to run the tools"
        )
    return otherwise


def outcome_of(document: Mapping[str, Any]) -> str:
    """Return the result that the stand-in tells of. Raises RecordedFailureError where the tool failed."""
    if document["failed"]:
        raise RecordedFailureError(str(document["result"]))
    return str(document["result"])


def _asked(base: str, tool: str, arguments: Mapping[str, Any]) -> str:
    where = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=_WAIT_S)
    try:
        path = f"{where.path.rstrip('/')}{TOOLS_PATH}/{urllib.parse.quote(tool, safe='')}"
        connection.request("POST", path, json.dumps(arguments), {"Content-Type": "application/json"})
        response = connection.getresponse()
        document = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnrecordedError(f"the replay at {base} does not answer: {error}") from None
    finally:
        connection.close()
    if response.status != 200:  # noqa: PLR2004 - the number is its name
        raise UnrecordedError(document["error"]["message"])
    return outcome_of(document)
