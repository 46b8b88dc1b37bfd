"""Whether the investigator names the agent and the step that people have named: exact, and within 1 and 3 messages.

Asks "why did this run fail?" of every labelled run, as `analyzer ask` does: the same case file, tools, limits and gate.
Results are appended to a file of JSON lines, one a run, each written through to the disk: started again, it goes on
where it was, and asks again what the API could not answer. Beside the figures stand rows that need no model, and how
the runs without a named step ended: they count as wrong. Where the price of a model is not known, no limit in USD can
hold; then only the tokens are limited.

Usage: `python bench/localize.py DATA [--model M] [--base-url U] [--out FILE] [--parallel N] [--usd-max X] ...`
`DATA` is a folder in one of the forms of `_labelled.py`. The key is ANTHROPIC_API_KEY, as for `analyzer`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from _labelled import Labelled, load, message_of

from analyzer.accounting.peers import peers_of
from analyzer.agent.ask import ask
from analyzer.agent.case import HEALTHY_MAX, TOKENS_MAX
from analyzer.agent.claude import DEFAULT_MODEL, ClaudeModel
from analyzer.agent.investigate import Means
from analyzer.agent.limits import Limits
from analyzer.agent.model import Model
from analyzer.ingest.pricing import Pricer
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.diagnosis import Ending
from analyzer.types.trace import Tokens

QUESTION = "Why did this run fail? Name the agent that made the decisive mistake, and the step in which it made it."
WITHIN = (0, 1, 3)
NO_STEP = "answered without a step"
BROKEN = "broken"
"""An ending of this program: the run raised, and is asked about again."""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one run; a line of the results."""

    case: str
    key: str
    """Model and settings: only lines of the same are gone on with."""
    by: str
    ending: str
    agent: str | None
    message: int | None
    """0-based, the one that the named step counts as."""
    calls: int
    input_tokens: int
    cache_read_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds: float
    struck_out: int
    note: str


class Results:
    """The file of results: read once, appended to by several threads, a line at a time."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._lock = path, threading.Lock()
        self.rows: dict[str, Row] = {}
        text = path.read_text() if path.exists() else ""
        for line in text.splitlines():
            try:
                row = Row(**json.loads(line))
            except (ValueError, TypeError):
                continue  # the line that was being written when the machine went down
            if row.key == key:
                self.rows[row.case] = row
        if text and not text.endswith("\n"):
            self._write("")

    def add(self, row: Row) -> None:
        """Keep a row: when this returns it is on the disk."""
        with self._lock:
            self.rows[row.case] = row
            self._write(json.dumps(asdict(row), ensure_ascii=False))

    def is_done(self, case: Labelled) -> bool:
        """Tell whether there is an answer, or an end that asking again would not change."""
        row = self.rows.get(case.name)
        return row is not None and row.ending not in (Ending.UNAVAILABLE.value, BROKEN)

    def _write(self, line: str) -> None:
        with self._path.open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())


class Purse:
    """What all runs together may take, the worst case of those that are under way included."""

    def __init__(self, usd_max: float, tokens_max: int, limits: Limits, spent: Sequence[Row]) -> None:
        self._returned = threading.Condition()
        self._limits = limits
        self._under_way = 0
        self._usd = usd_max - sum(row.cost_usd or 0.0 for row in spent)
        self._tokens = tokens_max - sum(row.input_tokens + row.output_tokens for row in spent)

    def take(self) -> bool:
        """Set aside the most that one run may take; False where it is not there and nobody will bring it back."""
        with self._returned:
            while self._usd < self._limits.usd or self._tokens < self._limits.tokens:
                if not self._under_way:
                    return False
                self._returned.wait()
            self._usd -= self._limits.usd
            self._tokens -= self._limits.tokens
            self._under_way += 1
            return True

    def give_back(self, row: Row) -> None:
        """Return what a run did not use."""
        with self._returned:
            self._usd += self._limits.usd - (row.cost_usd or 0.0)
            self._tokens += self._limits.tokens - row.input_tokens - row.output_tokens
            self._under_way -= 1
            self._returned.notify_all()


def investigated(case: Labelled, path: Path, model: Model, limits: Limits, case_tokens: int, key: str) -> Row:
    """Ask about one run, over a connection to the store of its own."""
    began = time.monotonic()
    pricer = Pricer()

    def price(used: Tokens) -> float | None:
        return pricer.cost("anthropic", model.name, used, datetime.now(UTC))

    with SqliteTrajectories(path) as store:
        trajectory = store.trajectory(case.trace_id)
        peers = [store.trajectory(one) for one in peers_of(store, trajectory.summary)[:HEALTHY_MAX]]
        means = Means(model=model, store=store, price=price, mask=store.masker.text, limits=limits)
        answer = ask(trajectory, QUESTION, means, peers=peers, tokens_max=case_tokens)
    named = answer.responsible
    message = message_of(trajectory, named.step) if named is not None and named.step is not None else None
    return Row(
        case=case.name,
        key=key,
        by=answer.by,
        ending=answer.ending.value,
        agent=named.agent if named is not None else None,
        message=message,
        calls=answer.use.calls,
        input_tokens=answer.use.input_tokens,
        cache_read_tokens=answer.use.cache_read_tokens,
        output_tokens=answer.use.output_tokens,
        cost_usd=answer.use.cost_usd,
        seconds=round(time.monotonic() - began, 2),
        struck_out=answer.struck_out,
        note=answer.note[:300],
    )


Named = tuple[str | None, float]
"""An agent, and the chance of having named the decisive message."""
Guess = Callable[[Labelled, int], Named]


def speaker(case: Labelled, message: int) -> str:
    """Return who wrote a message: its name, else its role without a remark in brackets."""
    one = case.messages[message]
    return str(one.get("name") or one["role"].partition(" (")[0])


def trivial_rows() -> Iterator[tuple[str, Guess]]:
    """Yield what is right without reading anything: names and guesses, given a run and a distance."""

    def at(place: Callable[[Labelled], int]) -> Guess:
        def guess(case: Labelled, within: int) -> Named:
            message = place(case)
            return speaker(case, message), float(abs(message - case.message) <= within)

        return guess

    def anywhere(case: Labelled, within: int) -> Named:
        near = sum(abs(message - case.message) <= within for message in range(len(case.messages)))
        return commonest(case), near / len(case.messages)

    yield "always the first message", at(lambda _: 0)
    yield "always the second message", at(lambda case: min(1, len(case.messages) - 1))
    yield "always the last message", at(lambda case: len(case.messages) - 1)
    yield "the most common agent, its first message", at(lambda case: first_of(case, commonest(case)))
    yield "the most common agent, any message", anywhere


def commonest(case: Labelled) -> str:
    """Return who wrote most messages."""
    return Counter(speaker(case, message) for message in range(len(case.messages))).most_common(1)[0][0]


def first_of(case: Labelled, name: str) -> int:
    """Return the first message of somebody."""
    return next(message for message in range(len(case.messages)) if speaker(case, message) == name)


def table(cases: Sequence[Labelled], rows: dict[str, Row], name: str) -> list[str]:
    """Return the figures as Markdown: the model's, then the trivial rows, by split."""

    def found(case: Labelled, within: int) -> Named:
        row = rows[case.name]
        return row.agent, float(row.message is not None and abs(row.message - case.message) <= within)

    lines = ["| split | who names | runs | agent | step exact | within 1 | within 3 |", "|---|---|---|---|---|---|---|"]
    for split in ("all", *sorted({case.split for case in cases})):
        group = [case for case in cases if split in ("all", case.split)]
        asked = [case for case in group if case.name in rows]
        guesses = [(name, asked, found), *((label, group, guess) for label, guess in trivial_rows())]
        for label, members, guess in guesses:
            if not members:
                continue
            told = [(guess(case, 0)[0], case.agent) for case in members if case.agent is not None]
            agent = f"{mean(said == true for said, true in told):.1%}" if told else "no labels"
            steps = [f"{mean(guess(case, within)[1] for case in members):.1%}" for within in WITHIN]
            lines.append(f"| {split} | {label} | {len(members)} | {agent} | {' | '.join(steps)} |")
    return lines


def costs(cases: Sequence[Labelled], rows: dict[str, Row]) -> list[str]:
    """Return what it took, and how the runs ended, as lines of text."""
    done = [rows[case.name] for case in cases if case.name in rows]
    if not done:
        return ["no run was asked about yet"]
    priced = [row.cost_usd for row in done if row.cost_usd is not None]
    usd = f"{sum(priced):.4f} USD, {mean(priced):.4f} each" if priced else "price unknown"
    tokens = sum(row.input_tokens + row.output_tokens for row in done)
    cached = sum(row.cache_read_tokens for row in done) / max(sum(row.input_tokens for row in done), 1)
    ends = Counter(
        NO_STEP if row.ending == Ending.ANSWERED.value and row.message is None else row.ending for row in done
    )
    struck = sum(row.struck_out for row in done)
    calls, seconds = mean(row.calls for row in done), mean(row.seconds for row in done)
    parts = [
        f"asked about {len(done)} of {len(cases)} runs: {usd}",
        f"{tokens / len(done):,.0f} tokens each, {cached:.0%} of the input from the cache",
        f"{calls:.1f} calls and {seconds:.1f} s each; {struck} statements struck out",
    ]
    return ["; ".join(parts), "endings: " + ", ".join(f"{ending} {count}" for ending, count in ends.most_common())]


def run(cases: Sequence[Labelled], path: Path, results: Results, given: argparse.Namespace, model: Model) -> bool:
    """Ask about every run that has no answer yet; False where the purse ended before the runs."""
    limits = Limits(steps=given.steps, tokens=given.tokens_per_run, seconds=given.seconds, usd=given.usd_per_run)
    purse = Purse(given.usd_max, given.tokens_max, limits, list(results.rows.values()))
    waiting = [case for case in cases if not results.is_done(case)]
    enough = True

    def one(case: Labelled) -> None:
        nonlocal enough
        if not purse.take():
            enough = False
            return
        try:
            row = investigated(case, path, model, limits, given.case_tokens, key_of(given))
        except Exception as error:  # noqa: BLE001 - one run must not cost the others theirs; it is counted by its name
            note = f"{type(error).__name__}: {error}"[:300]
            row = Row(case.name, key_of(given), "", BROKEN, None, None, 0, 0, 0, 0, None, 0.0, 0, note)
        results.add(row)
        purse.give_back(row)
        print(f"{case.name}: {row.ending}, {row.agent}, message {row.message} {row.note}".rstrip(), file=sys.stderr)

    with ThreadPoolExecutor(max_workers=given.parallel) as pool:
        for done in as_completed([pool.submit(one, case) for case in waiting]):
            done.result()
    return enough


def key_of(given: argparse.Namespace) -> str:
    """Return what must be the same for a result to count."""
    return f"{given.model} case={given.case_tokens} steps={given.steps} tokens={given.tokens_per_run}"


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--base-url", help="where the Messages API is served; by default ANTHROPIC_BASE_URL")
    parser.add_argument(
        "--out", type=Path, default=Path("localize.jsonl"), help="results; gone on with where it exists"
    )
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--limit", type=int, help="only the first so many runs")
    parser.add_argument("--case-tokens", type=int, default=TOKENS_MAX)
    parser.add_argument("--steps", type=int, default=Limits().steps, help="model calls a run")
    parser.add_argument("--tokens-per-run", type=int, default=Limits().tokens)
    parser.add_argument("--usd-per-run", type=float, default=Limits().usd)
    parser.add_argument("--seconds", type=float, default=300.0, help="a run; longer than in the program: nobody waits")
    parser.add_argument(
        "--usd-max", type=float, default=20.0, help="all runs together, earlier ones of the file included"
    )
    parser.add_argument("--tokens-max", type=int, default=20_000_000)
    parser.add_argument("--trivial", action="store_true", help="ask nobody: print what is there and the trivial rows")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, model: Any = None) -> int:
    """Ask, and print the figures. Returns 0, or 3 where the budget ended before the runs did."""
    given = options(argv)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labelled.db"
        with SqliteTrajectories(path) as store:
            cases = load(given.data, store)[: given.limit]
        results = Results(given.out, key_of(given))
        enough = True
        if not given.trivial:
            enough = run(cases, path, results, given, model or ClaudeModel(given.model, base_url=given.base_url))
    print("\n".join([*table(cases, results.rows, given.model), "", *costs(cases, results.rows)]))
    if not enough:
        print("the budget ended before the runs did: raise --usd-max or --tokens-max and start again to go on")
    return 0 if enough else 3


if __name__ == "__main__":
    sys.exit(main())
