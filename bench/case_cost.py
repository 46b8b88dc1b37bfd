"""What an investigation's input costs beside sending the trajectories whole.

The demo's incidents, and recorded coding runs one by one where they are at hand, are investigated by a scripted model
that is honest and curious: it asks for four tools in three turns (outline, compare, span, search) and then answers.
Tokens are estimated as everywhere (`text.estimate_tokens`). Of each call, what the call before it sent comes from the
cache, at a tenth of the price of input; the rest is written to it, at 1.25 times that price (Anthropic's prices; system
prompt and tools are written once an incident here, though incidents of one run share them). Whole means one call
without a cache, of the trajectories that were loaded: with every step's input as it was sent, history included, and
with each text once.

Usage: `python bench/case_cost.py [--tokens N] [--runs FOLDER] [--most N]`
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from analyzer.agent.ask import ask, case_of
from analyzer.agent.case import TOKENS_MAX, CaseFile, build_case
from analyzer.agent.explainer import HEALTHY_LOADED, WORST_LOADED
from analyzer.agent.investigate import Means, investigate
from analyzer.agent.limits import size_of
from analyzer.agent.model import ModelReply, ModelRequest, ToolCall
from analyzer.agent.passages import passages_of
from analyzer.agent.scripted import ScriptedModel
from analyzer.agent.text import estimate_tokens, plain, text_of
from analyzer.agent.tools import SUBMIT_ANSWER, SUBMIT_DIAGNOSIS
from analyzer.config import load as load_settings
from analyzer.ingest.files import Parsed, read_paths
from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.pipeline import run
from analyzer.simulation.scenario import demo_path, read_scenario
from analyzer.stores.base import TrajectoryStore
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Incident
from analyzer.types.trace import TEXT_FIELDS
from analyzer.types.trajectory import Trajectory
from analyzer.wiring.building import build

RUNS = Path(__file__).resolve().parents[2] / "shared" / "data" / "fleet_swebench_mini_gemini3pro"
CACHE_READ, CACHE_WRITE = 0.1, 1.25
"""Prices beside that of uncached input."""


def curious(case: CaseFile, submit: str) -> ScriptedModel:
    """Return a model that asks for four tools and then answers with one quote."""
    worst = case.trajectories[0]
    trace_id, step = worst.summary.trace_id, worst.steps[-1]
    other = (case.healthy or case.trajectories)[-1].summary.trace_id
    words = (step.output or step.input).split()[0][:40]
    asks = (
        [("outline", {"trace_id": trace_id, "page": 1}), ("compare", {"trace_a": trace_id, "trace_b": other})],
        [("span", {"trace_id": trace_id, "span": step.span_id, "field": "input", "page": 1})],
        [("search", {"text": words.ljust(3, "e")})],
    )
    calls = [ToolCall(f"{turn}-{at}", *ask) for turn, turns in enumerate(asks) for at, ask in enumerate(turns)]
    quote = {"kind": "quote", "trace_id": trace_id, "span_id": step.span_id, "field": "output", "quote": step.output}
    claim = {"text": "It ends like this.", "decisive": True, "evidence": [quote]}
    answer = {"summary": "It ends like this.", "cause": "It ends like this.", "claims": [claim]}
    replies = [
        ModelReply(text="I look.", tool_calls=tuple(one for one in calls if one.id[0] == turn)) for turn in "012"
    ]
    return ScriptedModel([*replies, ModelReply(tool_calls=(ToolCall("s", submit, answer),))])


def priced(requests: Sequence[ModelRequest]) -> tuple[float, int]:
    """Return the input of all calls in tokens at the price of uncached input, and as they were sent."""
    sizes = [size_of(request) for request in requests]
    known = [0, *sizes[:-1]]
    paid = sum(CACHE_READ * old + CACHE_WRITE * max(size - old, 0) for size, old in zip(sizes, known, strict=True))
    return paid, sum(sizes)


def whole(trajectories: Sequence[Trajectory]) -> tuple[int, int]:
    """Return the tokens of trajectories: every field of every span, and each text once."""
    fields = [text_of(span, name, plain) for one in trajectories for span in one.spans for name in TEXT_FIELDS]
    once = [
        piece.text for one in trajectories for piece in passages_of(one, one.steps, plain) if piece.stands_in is None
    ]
    return sum(estimate_tokens(text) for text in fields), sum(estimate_tokens(text) for text in once)


def loaded(store: TrajectoryStore, incident: Incident) -> tuple[list[Trajectory], list[Trajectory]]:
    """Return the worst trajectories and the healthy peers, as the explainer loads them."""
    worst = [store.trajectory(one) for one in incident.trace_ids[:WORST_LOADED]]
    return worst, [store.trajectory(one) for one in incident.healthy_trace_ids[:HEALTHY_LOADED]]


def row(title: str, trajectories: Sequence[Trajectory], requests: Sequence[ModelRequest]) -> tuple[str, float, float]:
    """Return a line of the table, and the shares of the whole: history included, and each text once."""
    paid, sent = priced(requests)
    raw, once = whole(trajectories)
    steps = f"{len(trajectories)}, {sum(len(one.steps) for one in trajectories)}"
    cells = [f"{number:,.0f}" for number in (len(requests), sent, paid, raw, once)]
    return f"| {title[:60]} | {steps} | {' | '.join(cells)} | {paid / raw:.1%} |", paid / raw, paid / once


def of_the_demo(tokens_max: int, scratch: Path) -> Iterator[tuple[str, float, float]]:
    """Yield a row for each incident of the demo that has trajectories."""
    fleet = read_scenario(demo_path())
    alone = replace(load_settings().settings, llm="off", prometheus_url=None, slack_webhook_url=None)
    settings = replace(alone, store=scratch / "demo.db", reports=scratch, pushgateway_url=None)
    with build(settings, out=None) as app:
        pricer = Pricer(settings.prices)
        for request in fleet.requests():
            app.trajectories.add(spans_from_json(request, pricer=pricer).spans)
        for incident in run(app, fleet.now).incidents:
            worst, healthy = loaded(app.trajectories, incident)
            if worst:
                case = build_case(incident, trajectories=worst, healthy=healthy, tokens_max=tokens_max)
                model = curious(case, SUBMIT_DIAGNOSIS)
                investigate(incident, case, Means(model, app.trajectories))
                yield row(incident.title, [*worst, *healthy], model.requests)


def of_runs(folder: Path, most: int, tokens_max: int, scratch: Path) -> Iterator[tuple[str, float, float]]:
    """Yield a row for each of the first runs of a folder."""
    with SqliteTrajectories(scratch / "runs.db") as store:
        for read in read_paths([str(path) for path in sorted(folder.rglob("*.traj.json"))[:most]]):
            if isinstance(read, Parsed):
                store.add(read.spans)
        for summary in store.summaries(limit=most):
            one = store.trajectory(summary.trace_id)
            model = curious(case_of(one, tokens_max=tokens_max), SUBMIT_ANSWER)
            ask(one, "Why did it end like this?", Means(model, store), tokens_max=tokens_max)
            yield row(f"run {summary.trace_id[:8]}", [one], model.requests)


def main() -> None:
    """Print one row an incident or run, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--tokens", type=int, default=TOKENS_MAX)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--most", type=int, default=10)
    given = parser.parse_args()
    heads = ("what", "trajectories, steps", "calls", "input sent", "at its price", "whole", "each text once", "share")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        parts = (of_the_demo(given.tokens, scratch), of_runs(given.runs, given.most, given.tokens, scratch))
        for rows in parts:
            print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
            shares = []
            for line, raw, once in rows:
                print(line, flush=True)
                shares.append((raw, once))
            if shares:
                raw, once = (median(one) for one in zip(*shares, strict=True))
                print(f"\nMedian share of the whole: {raw:.1%}; of each text once: {once:.1%}\n")


if __name__ == "__main__":
    main()
