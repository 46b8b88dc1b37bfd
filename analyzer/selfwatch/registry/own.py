"""What the analyst says of itself, wherever it is entered."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

from analyzer.selfwatch.recorder import AGENT
from analyzer.selfwatch.registry.base import Registration, Skill

DESCRIPTION = (
    "The analyst on call for a fleet of LLM agents: it reads their traces and metrics, finds what changed for the"
    " worse, works out where the change comes from and files an incident with its evidence."
)
SKILLS = (
    Skill(
        "investigate-alert",
        "Look into an alert",
        "Takes Alertmanager's webhook; an alert that names an agent has a run look into it, and its incident names the"
        " alert.",
        ("alerts", "incidents"),
    ),
    Skill(
        "watch-fleet",
        "Watch a fleet of agents",
        "Takes traces of agents by OTLP over HTTP; each scheduled run judges them against each agent's own history:"
        " cost, tokens, steps, duration, errors, missed goals, retries, loops, wrong choices, silence.",
        ("traces", "anomalies", "cost"),
    ),
)


def own(
    url: str | None, *, needs_token: bool, name: str = AGENT, model: str | None = None, tools: Iterable[str] = ()
) -> Registration:
    """Return the analyst's registration; `url` is where it is reached, None where it is not."""
    return Registration(
        name=name,
        description=DESCRIPTION,
        version=version("analyzer"),
        model=model,
        url=url,
        needs_token=needs_token,
        tools=tuple(dict.fromkeys(tools)),
        skills=SKILLS,
    )
