"""READ THIS FIRST. `run` goes down the list of phases once; nothing calls back up.

    collect -> detect -> account -> triage -> investigate -> report -> deliver

Facts come before opinion: incidents, their size, account and severity are decided by the first four phases, which are
computed (`phases`). The model only explains what they found, and what it says passes the evidence gate. Whatever could
not be done is a Gap in the report, and the report goes out all the same.

`run` does all of it, `ask` does it for a question about one trajectory, an incident or the fleet. `why_not` stops
before anything is told and says what holds each detector back. `backtest` repeats the computed phases at many moments
of the past and keeps nothing.
"""

from analyzer.pipeline.app import App
from analyzer.pipeline.ask import about_fleet, about_incident, about_named, about_trajectory, ask
from analyzer.pipeline.backtest import backtest
from analyzer.pipeline.run import run
from analyzer.pipeline.why_not import why_not

__all__ = [
    "App",
    "about_fleet",
    "about_incident",
    "about_named",
    "about_trajectory",
    "ask",
    "backtest",
    "run",
    "why_not",
]
