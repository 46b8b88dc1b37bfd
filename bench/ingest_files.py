"""How fast files become queryable trajectories, beside the raw floor in the same run, and whether speed stays flat.

python bench/ingest_files.py [SPANS] [--store FOLDER] [--flat] [--command]

Spans are those of agents with full chat histories: 12 a trajectory, 1 to 8 kB each, every inference repeats the whole
conversation before it. One core, masking and pricing on. The floor parses the same protobuf, makes one row a span and
writes it with `executemany` in transactions of the same size: what any SQLite store pays before it does anything.
With `--flat` the store is filled to SPANS in ten parts and each part is timed; then the newest 50 trajectories are
listed, one is read and the store is searched. Peak memory is that of the process. All times are processor time of one
core, so that neighbours on the machine do not count.
With `--command` the spans are written to one file, a single request, and `analyzer ingest` takes it as a user would
have it: by the clock, start included, in two processes. How much each works says what an idle machine would give.
"""

from __future__ import annotations

import argparse
import gc
import io
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
from ingest_parse import attribute, proto
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from analyzer.cycles import rarely_sought
from analyzer.ingest.files import Parsed, read_stream
from analyzer.ingest.pricing import Pricer
from analyzer.stores.trajectories import SqliteTrajectories

MARK = b"c0000000"
"""Stands in every text and in every trace id; another one in its place makes other trajectories of the same shape."""
CHATS = 6
SPANS_PER_TRAJECTORY = 2 * CHATS
TRAJECTORIES_PER_REQUEST = 8
TEMPLATE_SPANS = 9_600
START_NS = 1_795_388_987_000_000_000


class Words:
    """Makes text that packs about as well as prose: a few thousand words, the common ones often."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgkqjxz"
        self.words = ["".join(self.chance.choices(letters, k=self.chance.randint(2, 10))) for _ in range(4000)]
        self.weights = [1 / (rank + 3) for rank in range(4000)]

    def text(self, least, most):
        """Return text of about `least` to `most` bytes."""
        words = self.chance.choices(self.words, self.weights, k=self.chance.randint(least, most) // 6)
        words[len(words) // 2] = str(self.chance.randint(1000, 10**6))
        return " ".join(words)


def message(role, text):
    """Return one message as the conventions have it."""
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def trajectory(words, number):
    """Return the spans of one run in the order in which they end: the root comes last."""
    chance, mark = words.chance, MARK.decode()
    trace_id = MARK.hex() + f"{number + 1:016x}"
    own = f"{mark}-{number}"
    root_id = f"{number * 100 + 1:016x}"
    common = [attribute("gen_ai.agent.name", f"agent-{number % 20}"), attribute("gen_ai.conversation.id", own)]
    system = '[{"type":"text","content":"' + Words(number % 20).text(400, 500) + '"}]'
    tools = orjson.dumps([{"name": f"tool_{n}", "description": Words(n).text(150, 160)} for n in range(4)]).decode()
    history = [message("user", f"{own}: {words.text(200, 500)}")]
    spans = []
    start = START_NS + number * 1_000_000_000
    for step in range(CHATS):
        reply = message("assistant", f"{own} step {step}: {words.text(150, 400)}")
        spans.append(
            (
                step * 2 + 2,
                "chat claude-sonnet-5-5",
                [
                    attribute("gen_ai.operation.name", "chat"),
                    attribute("gen_ai.provider.name", "anthropic"),
                    attribute("gen_ai.request.model", "claude-sonnet-5-5"),
                    attribute("gen_ai.response.model", "claude-sonnet-5-5"),
                    attribute("gen_ai.response.id", f"msg_{own}_{step}"),
                    attribute("gen_ai.request.max_tokens", 4096),
                    attribute("gen_ai.usage.input_tokens", 900 + 300 * step),
                    attribute("gen_ai.usage.output_tokens", 20 + chance.randint(0, 90)),
                    attribute("gen_ai.usage.cache_read.input_tokens", 200),
                    attribute("gen_ai.system_instructions", system),
                    attribute("gen_ai.tool.definitions", tools),
                    attribute("gen_ai.input.messages", orjson.dumps(history).decode()),
                    attribute("gen_ai.output.messages", orjson.dumps([reply]).decode()),
                ],
            )
        )
        history.append(reply)
        if step + 1 < CHATS:
            found = f"{own} result {step}: {words.text(400, 1600)}"
            if chance.random() < 0.03:
                found += f" from clerk{chance.randint(1, 500)}@example.org"
            spans.append(
                (
                    step * 2 + 3,
                    "execute_tool query_db",
                    [
                        attribute("gen_ai.operation.name", "execute_tool"),
                        attribute("gen_ai.tool.name", f"tool_{step % 4}"),
                        attribute("gen_ai.tool.call.id", f"toolu_{own}_{step}"),
                        attribute("gen_ai.tool.call.arguments", f'{{"sql": "{words.text(40, 120)}", "run": "{own}"}}'),
                        attribute("gen_ai.tool.call.result", found),
                    ],
                )
            )
            history.append(message("tool", found))
    spans.append((1, "invoke_agent", [attribute("gen_ai.operation.name", "invoke_agent")]))
    return [
        {
            "traceId": trace_id,
            "spanId": f"{number * 100 + place:016x}",
            "parentSpanId": "" if place == 1 else root_id,
            "name": name,
            "kind": 3,
            "startTimeUnixNano": str(start + place * 10_000_000),
            "endTimeUnixNano": str(start + (900_000_000 if place == 1 else place * 10_000_000 + 9_000_000)),
            "attributes": common + attributes,
            "status": {},
        }
        for place, name, attributes in spans
    ]


def template(spans):
    """Return requests of whole trajectories, as bytes of JSON and of protobuf."""
    words, lines, messages = Words(7), [], []
    entry = {"attributes": [attribute("service.name", "orders"), attribute("service.version", "1.4")]}
    for first in range(0, spans // SPANS_PER_TRAJECTORY, TRAJECTORIES_PER_REQUEST):
        inner = [one for number in range(first, first + TRAJECTORIES_PER_REQUEST) for one in trajectory(words, number)]
        request = {"resourceSpans": [{"resource": entry, "scopeSpans": [{"scope": {"name": "app"}, "spans": inner}]}]}
        lines.append(orjson.dumps(request) + b"\n")
        messages.append(proto(request))
    return lines, [len(message).to_bytes(4, "big") + message for message in messages]


class Endless(io.RawIOBase):
    """A file of `spans` spans that is made while it is read: a file of any size takes no disk and no memory."""

    def __init__(self, pieces, spans, *, first=0):
        super().__init__()
        each = SPANS_PER_TRAJECTORY * TRAJECTORIES_PER_REQUEST
        self.pieces, self.left, self.at, self.round, self.rest = pieces, spans // each, 0, first, b""
        self.seconds = 0.0

    def readable(self):
        """Say that this can be read."""
        return True

    def readinto(self, buffer):
        """Give the next bytes; the time this takes is kept apart."""
        start = time.process_time()
        if not self.rest and self.left:
            mark = f"c{self.round:07d}".encode()
            piece = self.pieces[self.at]
            self.rest = piece.replace(MARK, mark).replace(MARK.hex().encode(), mark.hex().encode())
            self.left -= 1
            self.at = (self.at + 1) % len(self.pieces)
            self.round += self.at == 0
        size = min(len(buffer), len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        self.seconds += time.process_time() - start
        return size


def ingest(store, pieces, spans, form, first=0):
    """Put spans into a store as `analyzer ingest` does; return the seconds without making the file."""
    file = Endless(pieces, spans, first=first)
    pricer = Pricer()
    gc.collect()
    with rarely_sought():
        start = time.process_time()
        for read in read_stream(file, "bench", format=form, pricer=pricer):
            if isinstance(read, Parsed):
                store.add(read.spans)
    return time.process_time() - start - file.seconds


def floor(path, messages, spans):
    """Parse protobuf, one row a span, `executemany` in transactions of 1,000; return the seconds."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("CREATE TABLE spans (trace BLOB, id BLOB, name TEXT, start INTEGER, end INTEGER, attributes BLOB)")
    each = SPANS_PER_TRAJECTORY * TRAJECTORIES_PER_REQUEST
    start, rows = time.process_time(), []
    for number in range(spans // each):
        request = ExportTraceServiceRequest.FromString(messages[number % len(messages)][4:])
        for group in request.resource_spans:
            for scope in group.scope_spans:
                for span in scope.spans:
                    pairs = {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}
                    rows.append(
                        (
                            span.trace_id,
                            span.span_id,
                            span.name,
                            span.start_time_unix_nano,
                            span.end_time_unix_nano,
                            orjson.dumps(pairs),
                        )
                    )
        if len(rows) >= 1000:
            raw.execute("BEGIN")
            raw.executemany("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?)", rows)
            raw.execute("COMMIT")
            rows = []
    seconds = time.process_time() - start
    raw.close()
    return seconds


def disk_bytes(path):
    """Return what a store takes on disk once its write-ahead log is in the file."""
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    return path.stat().st_size


def compare(folder, lines, messages, spans, rounds):
    """Measure floor and stores in turns, so that a noisy machine is noisy for all, and print the medians."""
    print("| way | spans/s | times the floor | bytes a span on disk |\n|---|---|---|---|")
    ways = (
        ("floor: parse, rows, executemany", None),
        ("OTLP/JSON lines", "otlp-json"),
        ("OTLP protobuf", "otlp-proto"),
    )
    seconds = {name: [] for name, _ in ways}
    sizes = {}
    for turn in range(rounds):
        for name, form in ways:
            path = folder / f"{form}-{turn}.db"
            if form is None:
                seconds[name].append(floor(path, messages, spans))
            else:
                with SqliteTrajectories(path) as store:
                    seconds[name].append(ingest(store, lines if form == "otlp-json" else messages, spans, form))
            sizes[name] = disk_bytes(path) / spans
            path.unlink()
    base = sorted(seconds[ways[0][0]])[rounds // 2]
    for name, _ in ways:
        middle = sorted(seconds[name])[rounds // 2]
        print(f"| {name} | {spans / middle:,.0f} | {middle / base:.2f} | {sizes[name]:,.0f} |")


def flat(folder, messages, spans):
    """Fill one store in ten parts and print the speed of each."""
    print(
        "\n| spans in the store | spans/s of this part | bytes a span on disk | peak memory, MiB |\n|---|---|---|---|"
    )
    path = folder / "flat.db"
    part = spans // 10
    with SqliteTrajectories(path) as store:
        for number in range(10):
            took = ingest(store, messages, part, "otlp-proto", first=number * 1000)
            size = disk_bytes(path) / (part * (number + 1))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"| {part * (number + 1):,} | {part / took:,.0f} | {size:,.0f} | {peak:,.0f} |", flush=True)
        print("\n| question | ms |\n|---|---|")
        newest = store.resolve("latest")
        for name, question in (
            ("list the newest 50 trajectories", lambda: store.summaries(limit=50)),
            ("read one trajectory", lambda: store.trajectory(newest)),
            ("search for a text that stands nowhere", lambda: store.search("stands nowhere at all")),
        ):
            start = time.process_time()
            question()
            print(f"| {name} | {(time.process_time() - start) * 1000:,.0f} |", flush=True)


def command(folder, messages, spans):
    """Ingest one file of one large protobuf message with the real command, as often as it takes to be sure."""
    path = folder / "spans.pb"
    with path.open("wb") as file:
        # Repeated fields may be spread over messages: one behind the other they are one message.
        reader = io.BufferedReader(Endless(messages, spans))
        while head := reader.read(4):
            file.write(reader.read(int.from_bytes(head, "big")))
    print(f"one message of {path.stat().st_size >> 20} MiB\n")
    print("| run | spans/s by the clock | storing, us a span | reading, us a span | peak memory of each, MiB |")
    print("|---|---|---|---|---|")
    for turn in range(3):
        run = [sys.executable, "-c", _COMMAND, "ingest", str(path), "--store", str(folder / f"command-{turn}.db")]
        start = time.monotonic()
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        took = time.monotonic() - start
        own, own_peak, other, other_peak = map(float, done.stderr.split())
        print(
            f"| {turn + 1} | {spans / took:,.0f} | {own / spans * 1e6:.0f} | {other / spans * 1e6:.0f} "
            f"| {own_peak / 1024:.0f} and {other_peak / 1024:.0f} |",
            flush=True,
        )


_COMMAND = """
import resource, sys
from analyzer.cli.app import run
if __name__ == "__main__":
    code = run(sys.argv[1:])
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
    sys.exit(code)
"""


def main():
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spans", nargs="?", type=int, default=48_000)
    parser.add_argument("--store", type=Path, help="folder for the stores (default: a temporary one)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--command", action="store_true")
    given = parser.parse_args()
    lines, messages = template(TEMPLATE_SPANS)
    print(f"{given.spans:,} spans, {sum(map(len, lines)) / TEMPLATE_SPANS:,.0f} bytes of JSON each\n")
    with tempfile.TemporaryDirectory(dir=given.store) as folder:
        if given.flat:
            flat(Path(folder), messages, given.spans)
        elif given.command:
            command(Path(folder), messages, given.spans)
        else:
            compare(Path(folder), lines, messages, given.spans, given.rounds)


if __name__ == "__main__":
    sys.exit(main())
