"""How long a person waits for `traces list` and `traces show`, beside reading the same rows with bare sqlite3.

python bench/view.py [--trajectories N] [--spans N] [--store FILE]

The store holds N small trajectories (100,000) and two of N spans (10,000): an agent that calls a tool, repeats itself
now and then, and whose conversation is summed up every 50 turns; the second one leaves out some turns and has other
ids. All times are processor time of one core, start of
Python included where it says "command", medians of five; compiled code is kept, as in an installation. With `--store`
a store that is there is used again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ingest_files import Words

from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Operation, Span, Tokens

START_NS = 1_795_388_987_000_000_000
SECOND = 1_000_000_000
LONG, OTHER = f"{0xB16:032x}", f"{0xB17:032x}"
TURNS_KEPT = 50
ROUNDS = 5


def message(role, text):
    """Return one message as the conventions have it."""
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def span(trace_id, number, at_s, operation, **fields):
    """Return one span below the root, which is number 1."""
    values = {
        "trace_id": trace_id,
        "span_id": f"{number:016x}",
        "parent_id": None if number == 1 else f"{1:016x}",
        "name": operation.value,
        "operation": operation,
        "start_ns": START_NS + int(at_s * SECOND),
        "end_ns": START_NS + int((at_s + 0.5) * SECOND),
        "agent": "clerk",
    }
    return Span(**values | fields)


def small(number, words):
    """Yield a trajectory of three spans."""
    trace_id = f"{number + 0xA0000:032x}"
    at_s = number * 6
    yield span(trace_id, 1, at_s, Operation.AGENT, input=f"order {number}", output="done")
    yield span(
        trace_id,
        2,
        at_s + 0.1,
        Operation.CHAT,
        model="sonnet",
        tokens=Tokens(900 + number % 100, 40),
        cost_usd=0.004,
        input=json.dumps([message("user", f"order {number}")]),
        output=json.dumps([message("assistant", words[number % len(words)])]),
    )
    found = words[number % 97]
    yield span(trace_id, 3, at_s + 0.2, Operation.TOOL, tool="lookup", input=f'{{"id": {number}}}', output=found)


def long(trace_id, spans, words, first_id, leave_out):
    """Yield one trajectory of many spans; every `leave_out`th turn is missing."""
    at_s = 10_000_000.0
    yield span(trace_id, 1, at_s, Operation.AGENT, input="sort all orders", output="sorted", end_ns=None)
    history = [message("user", "sort all orders")]
    for turn in range((spans - 1) // 2):
        if turn % leave_out == leave_out - 1:
            continue
        if turn % TURNS_KEPT == 0:
            history = [message("user", f"so far: {words.text(200, 400)}")]
        reply = message("assistant", words.text(150, 400))
        yield span(
            trace_id,
            2 * turn + 2,
            at_s + turn * 2,
            Operation.CHAT,
            model="sonnet",
            tokens=Tokens(2_000, 80),
            cost_usd=0.01,
            input=json.dumps(history),
            output=json.dumps([reply]),
        )
        # Every tenth stretch of ten turns asks the same again and again.
        again = turn // 10 % 10 == 0
        found = "not found" if again else words.text(300, 900)
        arguments = json.dumps({"id": first_id if again else first_id + turn})
        yield span(
            trace_id, 2 * turn + 3, at_s + turn * 2 + 1, Operation.TOOL, tool="lookup", input=arguments, output=found
        )
        history += [reply, message("tool", found)]


def fill(path, trajectories, spans):
    """Write the store."""
    words = Words(11)
    texts = [words.text(80, 300) for _ in range(1009)]
    with SqliteTrajectories(path) as store:
        batch = []
        for number in range(trajectories):
            batch += small(number, texts)
            if len(batch) >= 3000:
                store.add(batch)
                batch = []
        store.add(batch)
        store.add(long(LONG, spans, words, 10_000, spans))
        store.add(long(OTHER, spans, words, 70_000, 211))


def used():
    """Return the processor time of ended child processes, in seconds."""
    figures = resource.getrusage(resource.RUSAGE_CHILDREN)
    return figures.ru_utime + figures.ru_stime


def command(folder, *arguments):
    """Return the median processor time of a command in seconds; `folder` keeps compiled code."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder), "PYTHONDONTWRITEBYTECODE": ""}
    took = []
    for _ in range(ROUNDS + 1):
        before = used()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)
        took.append(used() - before)
    return statistics.median(took[1:])


def query(question):
    """Return the median processor time of a call in seconds."""
    took = []
    for _ in range(ROUNDS):
        start = time.process_time()
        question()
        took.append(time.process_time() - start)
    return statistics.median(took)


_BARE = """
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall():
    print(row)
"""
LATEST = "SELECT * FROM trajectories WHERE agent <> 'analyzer' ORDER BY end_ns DESC, trace_id LIMIT 50"
SPANS = f"SELECT * FROM spans WHERE trajectory = (SELECT id FROM trajectories WHERE trace_id = '{LONG}')"  # noqa: S608 - own values


def measure(path, folder):
    """Print a row a question: the command, the bare read of the same rows, and the query without the process."""
    analyzer = ("-m", "analyzer", "traces")
    at = ("--store", str(path))
    raw = sqlite3.connect(path)
    with SqliteTrajectories(path) as store:
        rows = (
            ("list the latest 50", ("list",), LATEST, lambda: store.summaries(limit=50)),
            ("list the dearest 50", ("list", "--order", "cost"), LATEST, lambda: store.summaries(order="cost")),
            ("show", ("show", LONG), SPANS, lambda: store.outline(LONG)),
            ("show as JSON", ("show", LONG, "--json"), SPANS, lambda: store.trajectory(LONG)),
            ("diff", ("diff", LONG, OTHER), SPANS, lambda: store.steps([LONG, OTHER])),
        )
        print("| question | command, s | bare sqlite3 command, s | query, ms | bare query, ms |")
        print("|---|---|---|---|---|")
        for name, arguments, statement, question in rows:
            figures = (
                command(folder, *analyzer, *arguments, *at),
                command(folder, "-c", _BARE, str(path), statement),
                query(question) * 1000,
                query(lambda statement=statement: raw.execute(statement).fetchall()) * 1000,
            )
            print(f"| {name} | {figures[0]:.2f} | {figures[1]:.2f} | {figures[2]:.0f} | {figures[3]:.1f} |", flush=True)


def main():
    """Fill a store and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", type=int, default=100_000)
    parser.add_argument("--spans", type=int, default=10_001)
    parser.add_argument("--store", type=Path, help="the store to use, made where it is not there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.store or Path(folder) / "view.db"
        if not path.exists():
            fill(path, given.trajectories, given.spans)
        measure(path, Path(folder) / "compiled")


if __name__ == "__main__":
    main()
