"""Spans over HTTP until they can be queried: our receiver beside arize-phoenix and MLflow, in one run.

    python bench/ingest_http.py [--peers DIR] [--spans 4000] [--own-spans 30000] [--clients 8] [--rounds 2]

Every server gets the same protobuf bodies of 100 spans from the same number of clients, in turns; the best round of
each counts, so that a neighbour on the machine does not decide. The clock runs from the first request until the last
span is in the server's own tables. Processor time is that of the server and all its processes over the same span of
time: it says the same on a machine that is shared.

The spans are made up with a seed (`bodies`): runs of an agent with nine steps, each an inference whose input is the
whole chat so far and a tool call with a result of some hundred words; 1 to 8 kB a span, 3 kB on average. No two runs
share a text but the system prompt.

Peers are other people's programs. `--peers DIR` makes a virtual environment of its own for each below DIR, where it is
not there yet, installed by name from PyPI at the versions below. They listen on loopback, store into SQLite as they do
by default, and their telemetry and price look-ups over the network are switched off. Without `--peers` only ours runs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PEERS = {"phoenix": "arize-phoenix==20.26.1", "mlflow": "mlflow==3.17.2"}
"""The folder of each peer's environment, and what is installed there."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SPANS_PER_REQUEST = 100
STEPS = 9
START_NS = 1_795_388_987_000_000_000
START_TIMEOUT_S = 600
RUN_TIMEOUT_S = 600
INSTALL_S = 1800
TEXT = (
    "the query returned twelve rows from orders where status is late and total grew by third customer asked about"
    " refund for broken item shipped last week warehouse confirms delivery address wrong carrier lost parcel agent"
    " checks policy tool"
)
WORDS = TEXT.split()


@dataclass(frozen=True)
class Server:
    """A program to measure."""

    name: str
    command: list[str]
    env: dict[str, str]
    path: str
    headers: dict[str, str]
    database: str
    """The SQLite file, below the folder the server was given."""
    ready: str
    """A path that answers once the server is up."""


@dataclass(frozen=True)
class Figures:
    """What was measured."""

    name: str
    spans: int
    spans_per_s: float
    cpu_ms: float
    """Processor time of the server a span."""
    bytes_per_span: float
    peak_mib: float
    again: int
    """Requests that had to be sent again."""


def words(chance: random.Random, count: int) -> str:
    """Return some text."""
    return " ".join(chance.choices(WORDS, k=count))


def trajectory(chance: random.Random, number: int) -> Iterator[tuple[bytes, bytes, dict[str, str | int]]]:
    """Yield (span id, parent id, attributes) of one run: a root, and per step an inference and a tool call."""
    root = chance.randbytes(8)
    common = {"gen_ai.agent.name": "orders", "gen_ai.agent.version": "1.4", "gen_ai.conversation.id": f"c{number}"}
    yield root, b"", {**common, "gen_ai.operation.name": "invoke_agent"}
    system = json.dumps([{"type": "text", "content": "You are the orders agent. " + " ".join(WORDS * 2)}])
    history = [{"role": "user", "parts": [{"type": "text", "content": words(chance, 60)}]}]
    for step in range(STEPS):
        call = {"type": "tool_call", "id": f"c{step}", "name": "query_db", "arguments": {"sql": words(chance, 15)}}
        reply = {"role": "assistant", "parts": [call]}
        answer = words(chance, 100)
        yield (
            chance.randbytes(8),
            root,
            {
                **common,
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "anthropic",
                "gen_ai.request.model": "claude-sonnet-5-5",
                "gen_ai.response.model": "claude-sonnet-5-5",
                "gen_ai.response.id": "msg_" + chance.randbytes(6).hex(),
                "gen_ai.usage.input_tokens": 1200 + step * 300,
                "gen_ai.usage.output_tokens": 60,
                "gen_ai.usage.cache_read.input_tokens": 1000,
                "gen_ai.system_instructions": system,
                "gen_ai.input.messages": json.dumps(history),
                "gen_ai.output.messages": json.dumps([reply]),
            },
        )
        yield (
            chance.randbytes(8),
            root,
            {
                **common,
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "query_db",
                "gen_ai.tool.call.id": f"c{step}",
                "gen_ai.tool.call.arguments": json.dumps(call["arguments"]),
                "gen_ai.tool.call.result": answer,
            },
        )
        response = {"type": "tool_call_response", "id": f"c{step}", "response": answer}
        history += [reply, {"role": "tool", "parts": [response]}]


def bodies(spans: int, seed: int = 7, start_ns: int = START_NS) -> list[bytes]:
    """Return protobuf requests of SPANS_PER_REQUEST spans each, whole trajectories one after the other."""
    chance = random.Random(seed)
    made: list[bytes] = []
    request, scope = _request()
    count = number = 0
    while count < spans:
        number += 1
        trace = chance.randbytes(16)
        for place, (span_id, parent, attributes) in enumerate(trajectory(chance, number)):
            if count == spans:
                break
            one = scope.spans.add(trace_id=trace, span_id=span_id, parent_span_id=parent, name="step", kind=3)
            one.start_time_unix_nano = start_ns + number * 1_000_000_000 + place * 1_000_000
            one.end_time_unix_nano = one.start_time_unix_nano + 900_000
            for key, value in attributes.items():
                kept = one.attributes.add(key=key).value
                if isinstance(value, int):
                    kept.int_value = value
                else:
                    kept.string_value = value
            count += 1
            if count % SPANS_PER_REQUEST == 0:
                made.append(request.SerializeToString())
                request, scope = _request()
    if scope.spans:
        made.append(request.SerializeToString())
    return made


def _request() -> tuple[Any, Any]:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "orders"
    scope = group.scope_spans.add()
    scope.scope.name = "app"
    return request, scope


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def ours(folder: Path, port: int) -> Server:
    """Return our receiver."""
    command = [sys.executable, "-m", "analyzer", "serve", "--port", str(port), "--store", str(folder / "analyzer.db")]
    return Server("analyzer", command, {}, "/v1/traces", {}, "analyzer.db", "/healthz")


def phoenix(python: str, folder: Path, port: int) -> Server:
    """Return arize-phoenix with its own SQLite store."""
    env = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    name = "arize-phoenix " + version(python, "arize-phoenix")
    return Server(name, [python, "-m", "phoenix.server.main", "serve"], env, "/v1/traces", {}, "phoenix.db", "/healthz")


def mlflow(python: str, folder: Path, port: int) -> Server:
    """Return MLflow with SQLite and its price look-up over the network switched off."""
    where = f"sqlite:///{folder / 'mlflow.db'}"
    command = [python, "-m", "mlflow", "server", "--backend-store-uri", where, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--default-artifact-root", str(folder / "artifacts")]
    env = {"MLFLOW_MODEL_CATALOG_URI": "", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    headers = {"x-mlflow-experiment-id": "0"}
    return Server("MLflow " + version(python, "mlflow"), command, env, "/v1/traces", headers, "mlflow.db", "/health")


def installed(folder: Path, name: str) -> str:
    """Return the Python of a peer's environment, made where it is not there yet."""
    home = folder.absolute() / name
    python = home / "bin" / "python"
    if not python.exists():
        print(f"installing {PEERS[name]} into {home} ...", flush=True)
        venv.create(home, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PEERS[name]], check=True, timeout=INSTALL_S)
    return str(python)


def version(python: str, package: str) -> str:
    """Return the version of a package in another environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def stored(path: Path) -> int:
    """Return how many spans a store holds; all three call their table `spans`."""
    try:
        raw = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        try:
            return int(raw.execute("SELECT COUNT(*) FROM spans").fetchone()[0])
        finally:
            raw.close()
    except sqlite3.Error:
        return 0


def exchange(connection: http.client.HTTPConnection, server: Server, body: bytes) -> tuple[int, bytes, float]:
    """Send once; return the status, the answer and the seconds to wait. No answer is 503: to be sent again."""
    try:
        headers = {"Content-Type": "application/x-protobuf", **server.headers}
        connection.request("POST", server.path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(), float(response.getheader("Retry-After") or 1)
    except (OSError, http.client.HTTPException):
        connection.close()
        return 503, b"", 1.0


def send(server: Server, port: int, requests: list[bytes], clients: int) -> int:
    """Send every request once, from several clients; return how often one had to be sent again.

    As exporters do, a client sends again what was put off, and what a server did not answer because its worker died:
    under load uvicorn's supervisor, which MLflow runs behind, ends workers that do not answer it for 5 s.
    """
    waiting = iter(requests)
    lock = threading.Lock()
    failures: list[str] = []
    again = 0

    def client() -> None:
        nonlocal again
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=RUN_TIMEOUT_S)
        while not failures:
            with lock:
                body = next(waiting, None)
            if body is None:
                break
            while True:
                status, told, pause_s = exchange(connection, server, body)
                if status not in (429, 503):
                    break
                with lock:
                    again += 1
                time.sleep(pause_s)
            if status >= 300:
                failures.append(f"{server.name} answered {status}: {told[:200]!r}")
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(failures[0])
    return again


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def peak_mib(pid: int) -> float:
    """Return the peak resident memory of a process and its descendants, added up."""
    total = 0
    for one in family(pid):
        try:
            lines = Path(f"/proc/{one}/status").read_text("utf-8").splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    return total / 1024


def cpu_s(pid: int) -> float:
    """Return the processor time of a process and its descendants, ended ones included."""
    ticks = 0
    for one in family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        # User and system time, its own and that of its ended children: fields 14 to 17 of proc(5).
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS_PER_S


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait for a condition, looking often enough not to be part of the figures."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)


def answers(port: int, path: str) -> bool:
    """Tell whether a server answers."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except OSError:
        return False


def measure(make: Callable[[Path, int], Server], requests: list[bytes], spans: int, clients: int) -> Figures:
    """Start a server, send, wait until everything can be queried, stop it."""
    folder = Path(tempfile.mkdtemp(prefix="ingest-http-"))
    port = free_port()
    server = make(folder, port)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(server.command, env={**os.environ, **server.env}, stdout=log, stderr=log)
    try:
        wait_until(
            lambda: process.poll() is not None or answers(port, server.ready), START_TIMEOUT_S, f"{server.name} starts"
        )
        if process.poll() is not None:
            raise SystemExit(f"{server.name} does not start: {(folder / 'log').read_text('utf-8', 'replace')[-500:]}")
        database = folder / server.database
        # The first request pays for imports and for caches that are filled once.
        send(server, port, bodies(SPANS_PER_REQUEST, seed=1), 1)
        wait_until(lambda: stored(database) >= SPANS_PER_REQUEST, RUN_TIMEOUT_S, f"{server.name} stores anything")
        before = disk(database)
        cpu_before, start = cpu_s(process.pid), time.perf_counter()
        again = send(server, port, requests, clients)
        wait_until(
            lambda: stored(database) >= spans + SPANS_PER_REQUEST, RUN_TIMEOUT_S, f"{server.name} stores everything"
        )
        seconds, cpu = time.perf_counter() - start, cpu_s(process.pid) - cpu_before
        peak = peak_mib(process.pid)
    finally:
        stop(process)
    # At the end: what is still in the write-ahead log is moved into the file when a server stops.
    size = disk(database) - before
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{server.name}: {spans:,} spans in {seconds:.1f} s, {cpu:.1f} s of processor time", flush=True)
    return Figures(server.name, spans, spans / seconds, cpu / spans * 1000, size / spans, peak, again)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and what it started."""
    started = family(process.pid)
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
    for pid in started[1:]:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, 9)


def disk(database: Path) -> int:
    """Return the bytes of a SQLite store with its log."""
    return sum(file.stat().st_size for file in database.parent.glob(database.name + "*") if file.name[-4:] != "-shm")


def main() -> None:
    """Measure whoever is there and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=4000, help="for everybody (default 4000)")
    parser.add_argument("--own-spans", type=int, default=30_000, help="for a longer run of our own (default 30000)")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peers", metavar="DIR", type=Path, help="where the peers' environments are or are to be made")
    options = parser.parse_args()
    requests = bodies(options.spans)
    size = sum(map(len, requests)) / options.spans
    makers: list[Callable[[Path, int], Server]] = [ours]
    if options.peers:
        pythons = {name: installed(options.peers, name) for name in PEERS}
        makers.append(lambda folder, port: phoenix(pythons["phoenix"], folder, port))
        makers.append(lambda folder, port: mlflow(pythons["mlflow"], folder, port))
    print(f"{options.spans} spans of {size:,.0f} bytes, {SPANS_PER_REQUEST} a request, {options.clients} clients\n")
    rounds = [
        [measure(make, requests, options.spans, options.clients) for make in makers] for _ in range(options.rounds)
    ]
    rows = [max(of_one, key=lambda row: row.spans_per_s) for of_one in zip(*rounds, strict=True)]
    rows.append(measure(ours, bodies(options.own_spans), options.own_spans, options.clients))
    print(
        "| receiver | spans | spans/s until queryable | processor ms a span | bytes a span on disk | peak memory, MiB |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for row in rows:
        peer = row.name != "analyzer"
        shown = (
            _beside(row.spans_per_s, rows[0].spans_per_s / row.spans_per_s if peer else 0),
            _beside(row.cpu_ms, row.cpu_ms / rows[0].cpu_ms if peer else 0),
            _beside(row.bytes_per_span, row.bytes_per_span / rows[0].bytes_per_span if peer else 0),
            _beside(row.peak_mib, row.peak_mib / rows[0].peak_mib if peer else 0),
        )
        print(f"| {row.name} | {row.spans:,} | {' | '.join(shown)} | {row.again} |")
    print("\nIn brackets: by how many times ours is better.")


def _beside(figure: float, ratio: float) -> str:
    """Return a figure, and how many times better ours is where it is a peer's."""
    text = f"{figure:,.0f}" if figure >= 10 else f"{figure:.2f}"
    return f"{text} ({ratio:.1f})" if ratio else text


if __name__ == "__main__":
    main()
