"""Score causes that several agents share: one incident for each, and two for what only looks like one.

    python bench/shared.py --seeds 5
    python bench/shared.py --only price-rise --seeds 1

Six agents on two or three models over eight days. A price that rises, a provider that is down, a model that is slow and
a move to another model hit several of them at once: wanted is one incident that lists them. In `unrelated` four agents
have a fault of their own in one hour, which have to stay four. Each fleet goes through ingest and store and is analysed
as `analyzer run` does, every three hours over the last half day. Prints one line a fleet, as Markdown, with processor
time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from analyzer.config import load
from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.pipeline import run
from analyzer.simulation.agents import Agent
from analyzer.simulation.evaluate import evaluate
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.simulation.scenario import DEFAULT_NOW as NOW
from analyzer.wiring.building import build

SONNET, OPUS, HAIKU = "claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"
ROLES = ("support", "billing", "coding", "research", "sql", "retention")
MODELS = (SONNET, SONNET, HAIKU, SONNET, HAIKU, SONNET)
HOUR = timedelta(hours=1)
ONSET = NOW - 12 * HOUR
HEAD = "| fleet | seed | agents hit | incidents of faults | agents listed | missed | false | onset off, h | cpu s |"


def _agents() -> tuple[Agent, ...]:
    return tuple(
        Agent(f"{role}-{number}", role, model=MODELS[number], runs_per_hour=5 + 3 * number % 9)
        for number, role in enumerate(ROLES)
    )


def _shared(kind: FaultKind, agents: tuple[Agent, ...], *, on: str | None = SONNET, **fields: object) -> Fault:
    hit = [agent.name for agent in agents if on in {None, agent.model}]
    return Fault(kind, hit[0], ONSET, also=tuple(hit[1:]), **fields)


def _unrelated(agents: tuple[Agent, ...]) -> tuple[Fault, ...]:
    costs = [
        Fault(FaultKind.COST_STEP, agent.name, ONSET, version=f"2.{number}", input_factor=3.0)
        for number, agent in enumerate(agents[:2])
    ]
    return (*costs, *(Fault(FaultKind.TOOL_ERRORS, agents[number].name, ONSET, share=0.7) for number in (2, 4)))


FLEETS: dict[str, Callable[[tuple[Agent, ...]], tuple[Fault, ...]]] = {
    "price-rise": lambda agents: (_shared(FaultKind.PRICE_RISE, agents, factor=2.0),),
    "outage": lambda agents: (_shared(FaultKind.ERROR_BURST, agents, on=None, share=0.6),),
    "slow-model": lambda agents: (_shared(FaultKind.LATENCY, agents, factor=3.0),),
    "model-switch": lambda agents: (_shared(FaultKind.MODEL_SWITCH, agents, model=OPUS),),
    "unrelated": _unrelated,
}


def main() -> None:
    """Draw, run, compare, print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--first", type=int, default=1)
    arguments.add_argument("--only", choices=sorted(FLEETS))
    given = arguments.parse_args()
    print(HEAD + "\n" + "|---" * HEAD.count(" | ") + "|---|")
    for name in [given.only] if given.only else FLEETS:
        for seed in range(given.first, given.first + given.seeds):
            print(_row(name, seed), flush=True)


def _row(name: str, seed: int) -> str:
    began = time.process_time()
    agents = _agents()
    fleet = Fleet(agents, FLEETS[name](agents), seed=seed, now=NOW)
    with tempfile.TemporaryDirectory() as folder:
        incidents = _analysed(fleet, Path(folder))
    score = evaluate({"schema": "analyzer.report/1", "incidents": incidents}, fleet.truths)
    hit = sum(len(truth.agents) for truth in fleet.truths)
    told = {match.incident_id for match in score.matched} | set(score.echoes)
    listed = sum(len(one["agents"]) for one in incidents if one["id"] in told)
    off = [abs(match.onset_error_s) / 3600 for match in score.matched]
    worst = f"{max(off):.1f}" if off else ""
    cells = (name, seed, hit, len(told), listed, len(score.missed), len(score.false), worst)
    return f"| {' | '.join(map(str, cells))} | {time.process_time() - began:.0f} |"


def _analysed(fleet: Fleet, folder: Path) -> list[dict]:
    """Return the incidents that runs over the last half day leave, each in its last form."""
    settings = replace(load({}, {}).settings, store=folder / "s.db", reports=folder / "r", llm="off")
    pricer = Pricer(_prices(fleet))
    incidents: dict[str, dict] = {}
    with build(settings, out=None) as app:
        for request in fleet.requests():
            app.trajectories.add(spans_from_json(request, pricer=pricer).spans)
        for hours in (9, 6, 3, 0):
            document = json.loads(app.document(run(app, fleet.now - hours * HOUR)))
            incidents.update({one["id"]: one for one in document["incidents"]})
    return list(incidents.values())


def _prices(fleet: Fleet) -> dict[str, list[dict[str, object]]]:
    """Return price overrides for the models that became dearer."""
    overrides: dict[str, list[dict[str, object]]] = {}
    for model, onset, factor in fleet.price_rises:
        price = Pricer().price_of(model, at=fleet.now)
        if price is None or price.output is None:
            raise SystemExit(f"{model} has no list price to rise from")
        usd = {name: getattr(price, name) for name in ("input", "output", "cache_read", "cache_write")}
        dearer = {name: factor * amount for name, amount in usd.items()}
        overrides[model] = [dict(usd), {"from": onset, **dearer}]
    return overrides


if __name__ == "__main__":
    main()
