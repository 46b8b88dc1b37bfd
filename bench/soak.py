"""Full load for a long time: eight clients against one receiver while `analyzer run` works every 30 s.

    python bench/soak.py [--minutes 10] [--clients 8] [--run-every 30]

Prints a line for each run and ends with exit 1 where a request was refused, a run failed, an acknowledged span is
missing, or the receiver's memory in the last fifth of the time lies more than a tenth above that of the second fifth.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from ingest_http import SPANS_PER_REQUEST, answers, bodies, cpu_s, free_port, stop, wait_until

MARKER = b"shipped"
"""A word of the texts that every request replaces, so that no two requests share their contents."""
POOL = 40
GROWTH_MAX = 1.10
SAMPLE_S = 5
RUN_TIMEOUT_S = 900


class Load:
    """Clients that send as fast as they are answered."""

    def __init__(self, port: int, clients: int) -> None:
        self.acknowledged = 0
        self.put_off = 0
        self.failures: list[str] = []
        self.ending = threading.Event()
        self._port = port
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        # Spans of the last minutes: runs look at them.
        self._pool = bodies(POOL * SPANS_PER_REQUEST, start_ns=time.time_ns() - 600 * 10**9)
        self.threads = [threading.Thread(target=self._client) for _ in range(clients)]

    def _client(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"Content-Type": "application/x-protobuf"}
        while not self.ending.is_set():
            number = next(self._numbers)
            body = renewed(self._pool[number % POOL], number)
            try:
                connection.request("POST", "/v1/traces", body, headers)
                response = connection.getresponse()
                response.read()
            except OSError as error:
                self.failures.append(repr(error))
                return
            with self._lock:
                if response.status == 200:
                    self.acknowledged += SPANS_PER_REQUEST
                elif response.status == 503:
                    self.put_off += 1
                else:
                    self.failures.append(f"status {response.status}")
            if response.status == 503:
                time.sleep(1)
        connection.close()


def renewed(body: bytes, number: int) -> bytes:
    """Return a body with other ids and other texts of the same length: work for the server, none for the client."""
    # In protobuf a trace id is field 1 with 16 bytes: it follows these two bytes at the start of each span.
    ids = {body[at + 2 : at + 18] for at in _places(body, b"\x0a\x10")}
    for place, one in enumerate(ids):
        body = body.replace(one, number.to_bytes(8, "big") + place.to_bytes(8, "big"))
    return body.replace(MARKER, b"%07d" % (number % 10_000_000))


def _places(body: bytes, mark: bytes) -> list[int]:
    """Return where trace ids stand: behind their tag, and before the tag of a span id of 8 bytes."""
    found, at = [], body.find(mark)
    while at >= 0:
        if body[at + 18 : at + 20] == b"\x12\x08":
            found.append(at)
        at = body.find(mark, at + 1)
    return found


def resident_mib(pid: int) -> float:
    """Return the memory of a process now."""
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@dataclass(frozen=True)
class Ended:
    """One run of the analyst."""

    code: int
    seconds: float
    cpu_s: float
    peak_mib: float
    """The largest of all runs so far: the operating system tells no other."""


def run_once(store: Path) -> Ended:
    """Run the analyst once."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "analyzer", "run", "--json", "--store", str(store)]
    command += ["--reports", str(store.parent / "reports")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print(f"a run was ended after {RUN_TIMEOUT_S} s")
        return Ended(-1, RUN_TIMEOUT_S, 0, 0)
    if done.returncode not in (0, 3):
        print(done.stderr.strip())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ended(done.returncode, time.monotonic() - start, cpu, after.ru_maxrss / 1024)


def soak(load: Load, process: subprocess.Popen[bytes], store: Path, minutes: float, every_s: float) -> list[str]:
    """Watch until the time is over; return what was wrong."""
    wrong: list[str] = []
    memory: list[float] = []
    watched = threading.Event()

    def watch() -> None:
        # Beside the runs: a run may take minutes, and memory would hardly be looked at.
        while not watched.wait(SAMPLE_S) and process.poll() is None:
            memory.append(resident_mib(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < minutes * 60 and not load.failures:
        round_at, before, cpu_before = time.monotonic(), load.acknowledged, cpu_s(process.pid)
        run = run_once(store)
        if run.code not in (0, 3):
            wrong.append(f"a run ended {run.code}")
        time.sleep(max(0.0, round_at + every_s - time.monotonic()))
        spans = load.acknowledged - before
        print(
            f"{passed:6.0f} s  {load.acknowledged:>10,} spans  {spans / (time.monotonic() - round_at):7,.0f}/s "
            f" {(cpu_s(process.pid) - cpu_before) / max(spans, 1) * 1000:.2f} ms of processor a span  "
            f"put off {load.put_off}  memory {resident_mib(process.pid):5.0f} MiB  "
            f"run {run.code} in {run.seconds:5.1f} s, {run.cpu_s:.1f} s of processor, {run.peak_mib:.0f} MiB",
            flush=True,
        )
    watched.set()
    watcher.join()
    fifth = len(memory) // 5
    if fifth < 2:
        wrong.append("memory was looked at too seldom to tell whether it grows")
    elif (last := max(memory[-fifth:])) > GROWTH_MAX * (settled := max(memory[fifth : 2 * fifth])):
        wrong.append(f"memory grew from {settled:.0f} to {last:.0f} MiB")
    return wrong + load.failures


def main() -> int:
    """Soak and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--run-every", type=float, default=30, metavar="SECONDS")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    store, port = folder / "analyzer.db", free_port()
    process = subprocess.Popen([sys.executable, "-m", "analyzer", "serve", "--port", str(port), "--store", str(store)])
    try:
        wait_until(lambda: answers(port, "/healthz"), 30, "the receiver starts")
        load = Load(port, options.clients)
        for thread in load.threads:
            thread.start()
        try:
            wrong = soak(load, process, store, options.minutes, options.run_every)
        finally:
            load.ending.set()
            for thread in load.threads:
                thread.join(60)
        raw = sqlite3.connect(store)
        missing = load.acknowledged - raw.execute("SELECT COUNT(*) FROM spans WHERE name = 'step'").fetchone()[0]
        raw.close()
        if missing > 0:
            wrong.append(f"{missing} acknowledged spans are missing")
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)
    print("; ".join(wrong) or "no error, nothing lost, no growth")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
