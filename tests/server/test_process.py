"""`analyzer serve` as a process: started, stopped, killed, and beside `analyzer run`."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import analyzer
from support.otlp_requests import request, span, to_proto
from support.receiver import PROTO, ask, serving
from support.threads import at_once

HEADERS = {"Content-Type": PROTO}


def body(number: int, spans: int = 20) -> bytes:
    """Return a request with a trajectory of its own."""
    chance = random.Random(number)  # noqa: S311 - a seeded text, no secret
    text = " ".join(chance.choices(("rows", "orders", "late", "refund", "customer"), k=200))
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.agent.name": "shop", "gen_ai.input.messages": text}
    made = [
        span(
            one,
            traceId=f"{number + 1:032x}",
            parentSpanId="" if one == 1 else f"{1:016x}",
            attributes=attributes,
            startTimeUnixNano=str(time.time_ns() - 10**9),
            endTimeUnixNano=str(time.time_ns()),
        )
        for one in range(1, spans + 1)
    ]
    return to_proto(request(*made))


def traces(store: Path) -> dict[str, int]:
    """Return how many spans of each trajectory a store holds."""
    raw = sqlite3.connect(store)
    try:
        query = "SELECT trace_id, (SELECT COUNT(*) FROM spans WHERE trajectory = trajectories.id) FROM trajectories"
        return dict(raw.execute(query).fetchall())
    finally:
        raw.close()


class Clients:
    """Several clients that send until they are stopped or the server is gone; each remembers what was acknowledged."""

    def __init__(self, url: str, clients: int, make: Callable[[int], bytes] = body) -> None:
        self.acknowledged: set[int] = set()
        self.other: list[int] = []
        self._url, self._make = url.removeprefix("http://"), make
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(one, clients)) for one in range(clients)]
        for thread in self._threads:
            thread.start()

    def _send(self, first: int, step: int) -> None:
        number = first
        connection = http.client.HTTPConnection(self._url, timeout=30)
        while not self._stop.is_set():
            try:
                connection.request("POST", "/v1/traces", self._make(number), HEADERS)
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                break
            if response.status == 200:
                self.acknowledged.add(number)
                number += step
            else:
                self.other.append(response.status)
                time.sleep(0.1)
        connection.close()

    def join(self) -> None:
        """Stop and wait."""
        self._stop.set()
        for thread in self._threads:
            thread.join(40)


def until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_acknowledged_span_is_lost_by_kill_9(tmp_path: Path) -> None:
    """After kill -9 under load the store opens sound and holds every span whose request was answered."""
    store = tmp_path / "store.db"
    acknowledged: set[int] = set()
    for round_ in range(2):
        with serving(store) as server:
            clients = Clients(server.url, 4, lambda number, base=round_ * 100_000: body(base + number))
            until(lambda clients=clients: len(clients.acknowledged) >= 25)
            os.kill(server.process.pid, signal.SIGKILL)
            clients.join()
        acknowledged |= {round_ * 100_000 + number for number in clients.acknowledged}
    found = traces(store)
    assert len(acknowledged) >= 50
    assert {number for number in acknowledged if found.get(f"{number + 1:032x}") != 20} == set()
    raw = sqlite3.connect(store)
    assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    raw.close()


def test_sigterm_finishes_what_is_in_flight(tmp_path: Path) -> None:
    """On SIGTERM requests in flight are answered, the end is exit 0 with a line that counts, and nothing is lost."""
    store = tmp_path / "store.db"
    with serving(store) as server:
        clients = Clients(server.url, 4)
        until(lambda: len(clients.acknowledged) >= 20)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert server.process.stderr is not None
        line = server.process.stderr.read()
        clients.join()
    assert clients.other == []
    assert line.startswith("took ")
    assert "Traceback" not in line
    found = traces(store)
    assert {number for number in clients.acknowledged if found.get(f"{number + 1:032x}") != 20} == set()


def test_a_bomb_does_not_exhaust_memory(tmp_path: Path) -> None:
    """Gibibytes behind a few megabytes are refused with 413, four at once, and memory stays bounded."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(2048)) + packer.flush()
    with serving(tmp_path / "store.db") as server:
        assert ask(server.url, "POST", "/v1/traces", body(0), HEADERS).status == 200
        before = server.peak_mib()
        told: list[int] = []

        def send() -> None:
            told.append(ask(server.url, "POST", "/v1/traces", bomb, {**HEADERS, "Content-Encoding": "gzip"}).status)

        at_once(send, 4)
        assert set(told) <= {413, 503}
        assert 413 in told
        assert server.peak_mib() - before < 350
        assert ask(server.url, "POST", "/v1/traces", body(1), HEADERS).status == 200


def test_two_receivers_worth_of_clients_while_run_works(tmp_path: Path) -> None:
    """Under full load from eight clients, `analyzer run` works beside it, nobody is put off and nothing is lost."""
    store = tmp_path / "store.db"
    with serving(store) as server:
        clients = Clients(server.url, 8)
        until(lambda: len(clients.acknowledged) >= 20)
        ended = analyzer("run", "--json", "--store", str(store), "--reports", str(tmp_path / "r"))
        assert ended.code in {0, 3}, ended.stderr
        assert json.loads(ended.stdout)["run"]["spans_seen"] > 0
        clients.join()
        assert clients.other == []
        found = traces(store)
    assert len(clients.acknowledged) > 20
    assert {number for number in clients.acknowledged if found.get(f"{number + 1:032x}") != 20} == set()


@pytest.mark.parametrize(
    ("arguments", "env", "line"),
    [
        (("--host", "0.0.0.0"), {}, "refusing to listen on 0.0.0.0 without a token: set ANALYZER_SERVE_TOKEN"),
        ((), {"ANALYZER_SERVE_HOST": "10.1.2.3"}, "refusing to listen on 10.1.2.3 without a token"),
        ((), {"ANALYZER_SERVE_PORT": "70000"}, "ANALYZER_SERVE_PORT: '70000' is no port: expected 0 to 65535"),
        (("--port", "99999"), {}, "Invalid value for '--port'"),
    ],
)
def test_it_refuses_to_start_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], env: dict[str, str], line: str
) -> None:
    """A setting under which it must not or cannot listen is exit 2 with one line that says what to do."""
    ended = analyzer("serve", *arguments, "--store", str(tmp_path / "s.db"), env=env, timeout_s=30)
    assert (ended.code, ended.stdout) == (2, "")
    assert line in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "s.db").exists()


def test_with_a_token_it_listens_anywhere_and_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a token every address is allowed, and nothing passes without it."""
    monkeypatch.setenv("ANALYZER_SERVE_TOKEN", "the-token")
    with serving(tmp_path / "s.db", "--host", "0.0.0.0") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert ask(url, "POST", "/v1/traces", body(0), HEADERS).status == 401
        assert ask(url, "POST", "/v1/traces", body(0), {**HEADERS, "Authorization": "Bearer the-token"}).status == 200
        assert "the-token" not in analyzer("doctor", "--store", str(tmp_path / "s.db")).stdout


def test_the_receiver_loads_no_statistics_and_no_model() -> None:
    """The receiver starts without scipy or the model's SDK: it may run where memory is short."""
    code = (
        "import sys, threading\n"
        "from analyzer.cli.app import COMMANDS\n"
        "import analyzer.cli.serve, analyzer.server.listen, analyzer.server.receiver, analyzer.wiring.opening\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert loaded & {"scipy", "anthropic", "grpc", "slack_sdk"} == set()


def test_secrets_are_masked_before_they_are_stored(tmp_path: Path) -> None:
    """What comes in over HTTP passes the same masker as everything else: the secret is in no byte of the store."""
    secret = "sk-ant-api03-" + "Zq7" * 12
    path = tmp_path / "s.db"
    with serving(path) as server:
        made = request(span(1, name=f"call {secret}", attributes={"gen_ai.operation.name": "chat", "x": secret}))
        assert ask(server.url, "POST", "/v1/traces", to_proto(made), HEADERS).status == 200
        broken = json.dumps(request(span(1, spanId=secret))).encode()
        told = ask(server.url, "POST", "/v1/traces", broken, {"Content-Type": "application/json"})
        assert told.status == 200
        assert secret.encode() not in told.body
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("s.db*"))
    assert b"Zq7Zq7" not in kept


def test_json_prints_the_address_and_ctrl_c_ends_it_well(tmp_path: Path) -> None:
    """The document of `--json` names where to send, nothing else is on stdout, and ctrl-c is a good end."""
    with serving(tmp_path / "s.db") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert server.grpc is None
        server.process.send_signal(signal.SIGINT)
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""
        assert server.process.wait(20) == 0
