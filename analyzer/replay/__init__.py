"""Replay: a stored trajectory as what can be run again, and what a run of it says.

`conversation` reads the payloads of any dialect as messages, decisions and tool definitions; `recording` makes a
trajectory into calls, tool results, and what is missing of them; `alike` says when a decision is the recorded one;
`outcomes` names what a replay showed, in one of five words. `golden/` keeps a failed run as a case that later runs are
held against.

`standin` takes the place of a model provider for an agent that runs again, in the formats of `wires`; `comparing` says
where a request differs from the recorded one, `tools` gives the recorded outcomes of tools, and `judging` what was seen
of it all. Agents import `recorded_tools` from here.
"""

from analyzer.replay.client import RecordedFailureError, UnrecordedError, recorded_tools

__all__ = ["RecordedFailureError", "UnrecordedError", "recorded_tools"]
