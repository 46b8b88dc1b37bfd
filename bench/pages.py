"""What the page of a long trajectory takes, in processor time, beside reading that trajectory alone.

    python bench/pages.py [--spans 10000]

Three runs of that many spans: all steps different, one call again and again, and a chain in which each span hangs
below the one before. The page is asked for over HTTP, as a browser does; its bytes and the ratio to the plain read
(`outline`, all spans of it) are printed. The promise is two seconds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _timing import took
from starlette.applications import Starlette
from starlette.testclient import TestClient

from analyzer.server.pages.site import Site, Sources
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Operation, Span, Tokens

START_NS = 1_780_000_000_000_000_000
SHAPES = ("different", "looping", "chain")
ROUNDS = 3


def spans(shape: str, trace: str, count: int) -> Iterator[Span]:
    """Yield a root and so many steps below it: an inference, then a call, and so on."""
    root = f"{1:016x}"
    yield Span(trace, root, None, "work", Operation.AGENT, START_NS, START_NS + count * 10**9, agent="worker")
    for number in range(2, count + 1):
        is_call = number % 2
        about = 0 if shape == "looping" else number
        yield Span(
            trace_id=trace,
            span_id=f"{number:016x}",
            parent_id=f"{number - 1:016x}" if shape == "chain" else root,
            name="lookup" if is_call else "chat",
            operation=Operation.TOOL if is_call else Operation.CHAT,
            start_ns=START_NS + number * 10**9,
            end_ns=START_NS + number * 10**9 + 10**8,
            agent="worker",
            tool="lookup" if is_call else None,
            model=None if is_call else "gpt-4o",
            tokens=None if is_call else Tokens(1000, 50),
            cost_usd=None if is_call else 0.01,
            input=f'{{"order": "A-{about}"}}' if is_call else None,
            output=f"Order A-{about} is on its way." if is_call else f"I look for order A-{about}.",
        )


def main() -> None:
    """Print a line a shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=10_000)
    count = parser.parse_args().spans
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        with SqliteTrajectories(path) as store:
            for number, shape in enumerate(SHAPES, start=1):
                store.add(spans(shape, f"{number:032x}", count))
            memory = SqliteIncidents(store.connection)
            sources = Sources(lambda: SqliteTrajectories(path, read_only=True), memory.say, store.masker.text)
            site = Site(sources, token=None, loopback=True)
            client = TestClient(Starlette(routes=site.routes()), base_url="http://localhost")
            for number, shape in enumerate(SHAPES, start=1):
                address = f"/trajectories/{number:032x}"
                size = len(client.get(address).content)
                page = took(lambda address=address: client.get(address), ROUNDS)
                read = took(lambda number=number: store.outline(f"{number:032x}"), ROUNDS)
                beside = f"page {page:.2f} s, read {read:.2f} s, {page / read:.1f} times it"
                print(f"{shape:<10} {count:,} spans: {beside}, {size:,} bytes")
            site.close()


if __name__ == "__main__":
    main()
