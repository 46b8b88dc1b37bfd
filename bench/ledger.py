"""What being held to account costs: an entry of the log, a call reserved and settled, a log verified.

Prints a Markdown table: milliseconds of processor time each, and times an empty transaction of the same store, which is
the floor: every entry must be on disk before the next call is made.

Usage: `python bench/ledger.py [--entries N]`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from analyzer.stores.audit import SqliteAudit
from analyzer.stores.spending import SqliteSpending
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.audit import Act, Action
from analyzer.types.spending import Allowance, Amount, Scope

PAGE = "step 12  execute_tool lookup_order  ok  320 ms  order 81723 not found in region eu-west\n" * 70
"""As long as a page of an outline."""


def timed(work: Callable[[int], object], times: int) -> float:
    """Return the processor time of one call in milliseconds."""
    began = time.process_time()
    for number in range(times):
        work(number)
    return (time.process_time() - began) * 1000 / times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=2_000)
    entries = parser.parse_args().entries
    with tempfile.TemporaryDirectory() as folder, SqliteTrajectories(Path(folder) / "s.db") as store:
        log = SqliteAudit(store.connection, store.masker, run="r" * 32)
        wide = Allowance(10**12, 10.0**6)
        purse = SqliteSpending(store.connection, dict.fromkeys(Scope, wide), run="r" * 32)

        def empty(number: int) -> None:
            with store.connection.writing() as raw:
                raw.execute("INSERT OR REPLACE INTO meta VALUES ('bench', ?)", (number,))

        def act(number: int) -> None:
            page = f"{number}\n{PAGE}"
            log.write(Act(Action.TOOL_CALL, "inc-0123456789", "outline", {"page": number}, returned=page))

        def pay(number: int) -> None:
            reserved = purse.reserve(f"inc-{number}", Amount(20_000, 0.05))
            if isinstance(reserved, int):
                purse.settle(reserved, Amount(9_000, 0.02))

        floor = timed(empty, entries)
        rows = [("an empty transaction", floor)]
        rows.append(("a tool call with a page of 6,000 characters, masked and logged", timed(act, entries)))
        size = sum(path.stat().st_size for path in Path(folder).glob("s.db*"))
        rows.append((f"a call reserved and settled, after up to {entries:,} of that day", timed(pay, entries)))
        rows.append(("an entry verified, with its text", timed(lambda _: log.verify(), 1) / entries))
    print("| work | ms | times the floor |\n|---|---|---|")
    for name, each in rows:
        print(f"| {name} | {each:.3f} | {each / floor:.1f} |")
    print(f"\n{entries:,} entries; the file with its write-ahead log then had {size / 1e6:.1f} MB.")


if __name__ == "__main__":
    main()
