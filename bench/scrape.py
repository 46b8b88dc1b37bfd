"""What a scrape of `/metrics` costs with many trajectories stored, in processor time.

    python bench/scrape.py [--stored 1000000] [--fresh 1000]

Rows of finished trajectories are put into the table as they are; then some arrive as they would from an exporter. Two
scrapes are measured: one that counts those, and the next with nothing new. The second must cost the same in a store of
a thousand as in one of a million: it reads sums and writes them out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

from analyzer.server.metrics import Scrapes
from analyzer.stores.counting import CALM_S
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Operation, Span, Tokens

AGENTS = 50
STEPS = 8


def arriving(count: int, at_s: float) -> list[Span]:
    """Return trajectories of a root, inferences and tool calls, in turn."""
    spans = []
    at_ns = int(at_s * 1e9)
    for number in range(count):
        trace, agent = f"{number:032x}", f"agent-{number % AGENTS}"
        root = f"{1:016x}"
        spans.append(Span(trace, root, None, "work", Operation.AGENT, at_ns, at_ns + STEPS * 10**9, agent=agent))
        for step in range(STEPS):
            tool = {"tool": f"tool-{step % 4}"} if step % 2 else {}
            chat = {} if step % 2 else {"model": f"model-{number % 3}", "tokens": Tokens(1000, 100), "cost_usd": 0.01}
            operation = Operation.TOOL if step % 2 else Operation.CHAT
            start = at_ns + step * 10**9
            spans.append(Span(trace, f"{step + 2:016x}", root, "step", operation, start, start + 10**8, **tool, **chat))
    return spans


def stored(store: SqliteTrajectories, count: int) -> None:
    """Put finished trajectories into the store that no scrape has to count."""
    with store.connection.writing() as raw:
        raw.execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
            " INSERT INTO trajectories (trace_id, agent, complete, outcome, spans, steps, inferences, tool_calls,"
            " errors, tool_errors, retries, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,"
            " unpriced, repeats, start_ns, end_ns) SELECT printf('f%031x', n), 'agent-' || (n % 50), 1, 'success', 9,"
            " 8, 4, 4, 0, 0, 0, 4000, 400, 0, 0, 0, 1, n * 1000000000, n * 1000000000 + 5 FROM numbers",
            (count,),
        )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stored", type=int, default=1_000_000)
    parser.add_argument("--fresh", type=int, default=1_000)
    given = parser.parse_args()
    print("processor time of one scrape")
    for count in (1_000, given.stored):
        now = time.time()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "store.db"
            with SqliteTrajectories(path, clock=lambda now=now: now - CALM_S - 1) as store:
                stored(store, count)
                scrapes = Scrapes(partial(SqliteTrajectories, path), token=None, loopback=True)
                scrapes._scraped("")  # noqa: SLF001 - the thread that opens it must not be part of the figure
                began = time.process_time()
                store.add(arriving(given.fresh, now - CALM_S - 60))
                added = time.process_time() - began
                busy, quiet = measured(scrapes), measured(scrapes)
                samples = scrapes._scraped("")[0].count(b"\n")  # noqa: SLF001 - as above
                scrapes.close()
        print(
            f"{count:>9,} stored: {quiet * 1000:.0f} ms for {samples:,} lines with nothing new; {busy * 1000:.0f} ms"
            f" with {given.fresh:,} new, {busy / added:.2f} of their ingest"
        )


def measured(scrapes: Scrapes) -> float:
    """Return the processor seconds of one scrape."""
    began = time.process_time()
    scrapes._scraped("application/openmetrics-text; version=1.0.0")  # noqa: SLF001 - as Prometheus asks
    return time.process_time() - began


if __name__ == "__main__":
    main()
