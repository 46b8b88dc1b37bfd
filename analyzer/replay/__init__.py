"""Replay: a stored trajectory as what can be run again, and what a run of it says.

`conversation` reads the payloads of any dialect as messages, decisions and tool definitions; `recording` makes a
trajectory into calls, tool results, and what is missing of them; `alike` says when a decision is the recorded one;
`outcomes` names what a replay showed, in one of five words. `golden/` keeps a failed run as a case that later runs are
held against.
"""
