"""How long the tables of `analyzer ask` take over many trajectories: processor time per grouping, and per million rows.

    python bench/totals.py [TRAJECTORIES]

Rows are written with the store's own insert into its real schema; beside each table stands a plain COUNT(*) over the
same range, which is the least that any answer could cost.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from analyzer.stores import summaries
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Outcome
from analyzer.types.trajectory import TrajectorySummary

START = datetime(2026, 11, 1, tzinfo=UTC)
CHUNK = 20_000
GROUPINGS = ("agent", "version", "user", "task", "day", "outcome")


def summary(number: int, count: int, rng: random.Random) -> TrajectorySummary:
    """Return one trajectory of twenty agents and 5,000 users, spread over four weeks."""
    end_ns = int((START.timestamp() + 28 * 86_400 * number / count) * 1e9)
    steps = rng.randrange(2, 30)
    return TrajectorySummary(
        trace_id=f"{number:032x}",
        agent=f"agent-{number % 20}",
        version=f"1.{number % 3}",
        model="claude-sonnet-5-5",
        start_ns=end_ns - int(rng.lognormvariate(2, 0.6) * 1e9),
        end_ns=end_ns,
        complete=True,
        outcome=Outcome.SUCCESS if rng.random() > 0.03 else Outcome.ERROR,
        spans=steps + 1,
        steps=steps,
        inferences=steps // 2,
        tool_calls=steps - steps // 2,
        errors=0,
        tool_errors=0,
        retries=0,
        input_tokens=steps * 1000,
        output_tokens=steps * 100,
        cache_read_tokens=0,
        cache_write_tokens=0,
        cost_usd=steps * 0.004,
        unpriced=0,
        tool_cost_usd=None,
        repeats=1,
        prompt="p1",
        tools="t1",
        conversation_id=None,
        user_id=f"user-{rng.randrange(5000)}",
        task=f"task-{number % 9}",
    )


def main() -> None:
    """Fill a store and time the tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder, SqliteTrajectories(Path(folder) / "store.db") as store:
        for first in range(0, count, CHUNK):
            last = min(first + CHUNK, count)
            fresh = [(number + 1, summary(number, count, rng)) for number in range(first, last)]
            with store.connection.writing() as raw:
                summaries.insert(raw, fresh)
        end = START + timedelta(days=29)
        began = time.process_time()
        store.count(START, end)
        print(f"{'COUNT(*)':10} {time.process_time() - began:7.2f} s of processor time, {count:,} trajectories")
        for by in GROUPINGS:
            began = time.process_time()
            rows = store.totals(by, START, end, order="cost")
            took = time.process_time() - began
            print(f"{by:10} {took:7.2f} s, {took / count * 1e6:6.2f} s a million, {len(rows)} rows")


if __name__ == "__main__":
    main()
