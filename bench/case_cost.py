"""What an investigation's input costs beside sending the trajectories whole.

The demo's incidents, and recorded coding runs one by one where they are at hand, are investigated by a scripted model
that is honest and curious: it asks for four tools in three turns (outline, compare, span, search) and then answers.
Tokens are estimated as everywhere (`text.estimate_tokens`). Of each call, what the call before it sent comes from the
cache, at a tenth of the price of input; the rest is written to it, at 1.25 times that price (Anthropic's prices). What
the cache is keyed by (system prompt, tools, form of the output) must be the same for that, or all is written anew.
*Alone*: system prompt and tools are written, too; *after another*: an incident of the same run has written them. Whole
means one call without a cache, of the trajectories that were loaded: with every step's input as it was sent, history
included, and with each text once.

Usage: `python bench/case_cost.py [--tokens N] [--runs FOLDER] [--most N] [--seed N]`
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from analyzer.agent.ask import ask, case_of
from analyzer.agent.case import TOKENS_MAX, CaseFile, build_case, room_of
from analyzer.agent.explainer import HEALTHY_LOADED, WORST_LOADED
from analyzer.agent.investigate import Means, investigate
from analyzer.agent.limits import size_of
from analyzer.agent.model import ModelReply, ModelRequest, ToolCall, ToolReturn
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
    field = "output" if step.output.strip() else "status_message"
    said = getattr(step, field)[:1_000]
    quote = {"kind": "quote", "trace_id": trace_id, "span_id": step.span_id, "field": field, "quote": said}
    claim = {"text": "It ends like this.", "decisive": True, "evidence": [quote]}
    answer = {"summary": "It ends like this.", "cause": "It ends like this.", "claims": [claim]}
    replies = [
        ModelReply(text="I look.", tool_calls=tuple(one for one in calls if one.id[0] == turn)) for turn in "012"
    ]
    return ScriptedModel([*replies, ModelReply(tool_calls=(ToolCall("s", submit, answer),))])


def priced(requests: Sequence[ModelRequest], *, alone: bool = True) -> float:
    """Return the input of all calls in tokens at the price of uncached input."""
    paid, known = 0.0, 0 if alone else size_of(replace(requests[0], messages=()))
    before = requests[0]
    for request in requests:
        if (request.system, request.tools, request.schema) != (before.system, before.tools, before.schema):
            known = 0
        size = size_of(request)
        paid += CACHE_READ * known + CACHE_WRITE * max(size - known, 0)
        known, before = size, request
    return paid


def parts(requests: Sequence[ModelRequest]) -> str:
    """Return where the input goes: what stands before the case, the case file, and what the tools answered."""
    first, last = requests[0], requests[-1]
    system = estimate_tokens(first.system)
    case = estimate_tokens(first.messages[0].blocks[0].text)
    answers = [one.text for turn in last.messages for one in turn.blocks if isinstance(one, ToolReturn)]
    sizes = (system, size_of(replace(first, messages=(), system="")), case, sum(map(estimate_tokens, answers)))
    return " + ".join(f"{size:,}" for size in sizes)


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
    paid, after = priced(requests), priced(requests, alone=False)
    raw, once = whole(trajectories)
    steps = f"{len(trajectories)}, {sum(len(one.steps) for one in trajectories)}"
    numbers = (len(requests), sum(map(size_of, requests)), paid, after, raw, once)
    cells = [parts(requests), *(f"{number:,.0f}" for number in numbers), f"{paid / raw:.1%}", f"{after / raw:.1%}"]
    return f"| {title[:60]} | {steps} | {' | '.join(cells)} |", paid / raw, paid / once


def of_the_demo(tokens_max: int, scratch: Path, seed: int | None) -> Iterator[tuple[str, float, float]]:
    """Yield a row for each incident of the demo that has trajectories."""
    fleet = read_scenario(demo_path(), seed=seed)
    alone = replace(load_settings().settings, llm="off", prometheus_url=None, slack_webhook_url=None)
    settings = replace(alone, store=scratch / "demo.db", reports=scratch, pushgateway_url=None)
    with build(settings, out=None) as app:
        pricer = Pricer(settings.prices)
        for request in fleet.requests():
            app.trajectories.add(spans_from_json(request, pricer=pricer).spans)
        for incident in run(app, fleet.now).incidents:
            worst, healthy = loaded(app.trajectories, incident)
            if worst:
                room = room_of([*worst, *healthy], tokens_max)
                case = build_case(incident, trajectories=worst, healthy=healthy, tokens_max=room)
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
    parser.add_argument("--seed", type=int, help="of the demo's fleet; unset: as shipped")
    given = parser.parse_args()
    heads = (
        "what",
        "trajectories, steps",
        "system + tools + case file + answers of tools",
        "calls",
        "input sent",
        "at its price, alone",
        "after another",
        "whole",
        "each text once",
        "share, alone",
        "after another",
    )
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        tables = (
            of_the_demo(given.tokens, scratch, given.seed),
            of_runs(given.runs, given.most, given.tokens, scratch),
        )
        for rows in tables:
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
