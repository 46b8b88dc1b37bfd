"""Replay: whether an agent meets the same bytes twenty times out of twenty, and what a replayed step and a case cost.

    python bench/replay.py [--times 20] [--cases 200]

1. The agents of `fixtures/agents/` are recorded through the receiver and run again against the stand-in: over three
   APIs, streamed and not, with parallel calls; in this process, each time with a client of its own, and once in a
   process of their own. Every request that they send, every answer and every reply as the SDK understood it is compared
   with the first run's.
2. One exchange, client included, beside a bare server of the standard library that gives the same bytes: of those
   agents, and of a conversation of 40 calls with a long result each, in which every request holds all before it.
3. What a stand-in takes to start, in a process of its own, beside a server of the standard library.
4. Golden cases: read, proven and held against a run, beside plain JSON loading of the same files; and a stand-in for
   each, started and ended.

Figures are processor time, children included. Ends with exit 1 where a byte differs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures" / "agents"))

from _timing import took
from support.agents import KINDS, ROOT, Kind, recorded
from support.golden import seen, shop_spans

from analyzer.masking import Masker
from analyzer.replay.alike import Decision
from analyzer.replay.conversation import Message, ToolCall, ToolReturn
from analyzer.replay.golden.accepting import accepted, check_case
from analyzer.replay.golden.case import case_document, read_cases
from analyzer.replay.golden.expectations import Check, Expectation
from analyzer.replay.golden.rerunning import standin_of
from analyzer.replay.golden.running import tried
from analyzer.replay.recording import Call, Recording, Request, recording_of
from analyzer.replay.standin import Answer, How, StandIn
from analyzer.server.standin import standing_in
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import FinishReason, Operation, Outcome, Span, Tokens
from analyzer.types.trajectory import Trajectory, ordered, summarise

ROUNDS = 5
LONG_CALLS = 40
RESULT_PARTS = 33
Exchange = tuple[str, bytes, Answer]


class Overheard(StandIn):
    """A stand-in that keeps what it was asked and what it said."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self.exchanges: list[Exchange] = []

    def answer(self, path: str, body: bytes, *, again: bool = False) -> Answer:
        """Answer, and keep it."""
        answer = super().answer(path, body, again=again)
        self.exchanges.append((path, body, answer))
        return answer


@dataclass
class Run:
    """What came of one run of an agent."""

    exchanges: list[Exchange]
    log: str
    """Its replies as the SDK understood them."""
    is_same: bool
    """Every request was the recorded one, and all of them came."""


def spent() -> float:
    """Return the processor time of this process and its children so far, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def ran(kind: Kind, recording: Recording, folder: Path, *, stream: bool, apart: bool) -> Run:
    """Run an agent with its bug against a recording, in this process or in one of its own."""
    log = folder / "log.jsonl"
    log.unlink(missing_ok=True)
    standin = Overheard(recording)
    options = ["--bug", "--notes", str(folder / "canary.txt"), "--log", str(log), *(["--stream"] if stream else [])]
    with standing_in(standin) as url:
        env = {"ANTHROPIC_BASE_URL": url, "OPENAI_BASE_URL": f"{url}/v1", "ANALYZER_REPLAY_URL": url}
        env |= {"ANTHROPIC_API_KEY": "replay", "OPENAI_API_KEY": "replay"}
        if apart:
            environ = {**os.environ, **env, "PYTHONPATH": str(ROOT)}
            subprocess.run([*kind.command, *options], env=environ, capture_output=True, timeout=120, check=False)
        else:
            _in_process(kind, options, env)
    if (folder / "canary.txt").exists():
        raise SystemExit(f"{kind.name}: a tool was run")
    whole = [met.answered for met in standin.course] == [call.number for call in recording.calls]
    same = whole and all(met.how is How.SAME for met in standin.course)
    return Run(standin.exchanges, log.read_text("utf-8"), same)


def _in_process(kind: Kind, options: Sequence[str], env: Mapping[str, str]) -> None:
    orders, agent = import_module("orders"), import_module(kind.script.removesuffix(".py"))
    os.environ.update(env)
    sys.argv = [kind.script, *kind.arguments, *options]
    try:
        with redirect_stdout(StringIO()):
            agent.run(orders.arguments())
    except orders.OrdersError:
        # The planted bug: it breaks after its last turn, as it did when it was recorded.
        return
    finally:
        # The next agent is recorded outside of any replay.
        for name in env:
            del os.environ[name]


def agents_again(times: int, folder: Path) -> tuple[bool, dict[str, tuple[Recording, list[Exchange]]]]:
    """Run every agent so often, print how often all was the same; return whether it always was, and what was said."""
    held, said = True, {}
    print("| API | replies | runs | same bytes both ways | requests a run |\n|---|---|---|---|---|")
    for kind in KINDS:
        recorded(kind, folder / f"{kind.name}.db", folder)
        (folder / "recorded-note.txt").unlink()
        with SqliteTrajectories(folder / f"{kind.name}.db") as store:
            recording = recording_of(store.trajectory(store.resolve("latest")))
        for stream in (False, True):
            runs = [ran(kind, recording, folder, stream=stream, apart=at == times) for at in range(times + 1)]
            first = runs[0]
            same = sum(one == first and one.is_same for one in runs)
            held = held and same == len(runs) and bool(first.exchanges)
            how = "streamed" if stream else "whole"
            print(f"| {kind.name} | {how} | {len(runs)} | {same} | {len(first.exchanges)} |", flush=True)
            said[f"{kind.name}, {how}"] = (recording, first.exchanges)
    return held, said


def long_conversation() -> tuple[Recording, list[Exchange]]:
    """Return a recording of many calls of a tool with long results, and its exchanges over Chat Completions."""
    goal = Message("user", "Look all of the orders up.")
    messages, calls, bodies = [goal], [], []
    wire: list[dict[str, Any]] = [{"role": "user", "content": goal.text}]
    for number in range(LONG_CALLS):
        arguments = {"order": f"A-{number}"}
        made = ToolCall(f"c{number}", "find_order", arguments)
        request = Request("gpt-5.2", {}, "", (), tuple(messages))
        span = Span("0" * 32, f"{number + 1:016x}", None, "chat", Operation.CHAT, tokens=Tokens(100, 10))
        calls.append(Call(number + 1, span, request, Decision("", (made,), FinishReason.TOOL_CALL)))
        bodies.append(json.dumps({"model": "gpt-5.2", "messages": wire}).encode())
        text = " ".join(f"line {number} of part {at} is on its way" for at in range(RESULT_PARTS))
        messages += [Message("assistant", "", (made,)), Message("tool", "", (), (ToolReturn(made.id, text),))]
        asked = {"id": made.id, "type": "function", "function": {"name": made.name, "arguments": json.dumps(arguments)}}
        wire += [
            {"role": "assistant", "content": None, "tool_calls": [asked]},
            {"role": "tool", "tool_call_id": made.id, "content": text},
        ]
    recording = Recording("0" * 32, "a", None, "", tuple(calls), (), ())
    standin = Overheard(recording)
    for body in bodies:
        standin.answer("/v1/chat/completions", body)
    if any(met.how is not How.SAME for met in standin.course):
        raise SystemExit("the long conversation is not its own recording")
    return recording, standin.exchanges


@contextmanager
def bare_server(exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Give the same bytes in turn, whatever is asked, by the server of the standard library."""
    left = iter(exchanges)

    class _Responder(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            _, _, answer = next(left)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Responder)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def exchanged(url: str, exchanges: Sequence[Exchange]) -> float:
    """Send all requests over one connection; return the processor time of one exchange in ms. Answers must agree."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.connect()
    began = time.process_time()
    for path, body, answer in exchanges:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        if connection.getresponse().read() != answer.body:
            raise SystemExit(f"other bytes at {path}")
    took = time.process_time() - began
    connection.close()
    return 1000 * took / len(exchanges)


def steps(said: Mapping[str, tuple[Recording, list[Exchange]]]) -> None:
    """Print what an exchange takes beside the bare server."""
    print("\n| conversation | exchanges | a step, ms | bare server, ms | ratio |\n|---|---|---|---|---|")
    masker = Masker(b"bench" * 8)
    for name, (recording, exchanges) in said.items():
        own, bare = [], []
        for _ in range(ROUNDS):
            with standing_in(StandIn(recording, mask=masker.text)) as url:
                own.append(exchanged(url, exchanges))
            with bare_server(exchanges) as url:
                bare.append(exchanged(url, exchanges))
        ratio = min(own) / min(bare)
        print(f"| {name} | {len(exchanges)} | {min(own):.2f} | {min(bare):.2f} | {ratio:.1f} |", flush=True)


_START = """
import urllib.request
from analyzer.replay.recording import Recording
from analyzer.replay.standin import StandIn
from analyzer.server.standin import standing_in
with standing_in(StandIn(Recording("0" * 32, "a", None, "", (), (), ()))) as url:
    try:
        urllib.request.urlopen(url + "{path}", b"")
    except OSError:
        pass
"""
_STARTS = {
    "server of the standard library": "import http.server, urllib.request\n"
    "http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.BaseHTTPRequestHandler)",
    "a stand-in": _START.format(path="/v1/messages"),
    "a stand-in, asked for tools at /mcp": _START.format(path="/mcp"),
}


def starts() -> None:
    """Print what a start takes, in a process of its own."""
    print("\n| a process with | s |\n|---|---|")
    for name, code in _STARTS.items():
        took = []
        for _ in range(3):
            began = spent()
            subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
            took.append(spent() - began)
        print(f"| {name} | {min(took):.2f} |", flush=True)


def golden(count: int, folder: Path) -> None:
    """Print what cases cost beside the JSON they are in."""
    look_up, refund = ("lookup_order", {"order": "A-1"}), ("refund", {"order": "A-1"})
    spans = ordered(shop_spans(1, [look_up] * 6 + [refund], outcome=Outcome.FAILURE))
    recording = recording_of(Trajectory(summarise(spans[0].trace_id, spans), spans))
    expected = [Expectation(Check.MUST_NOT_CALL, tool="refund"), Expectation(Check.STEPS_AT_MOST, at_most=10)]
    bad, healthy = seen(list(spans)), seen(shop_spans(2, [look_up]))
    for number in range(count):
        case = accepted(
            replace(bad, trace_id=f"{number:032x}"),
            healthy,
            expected,
            at=datetime.now(UTC),
            mask=lambda text: text,
            replay=recording,
        )
        (folder / f"case-{number}.json").write_text(json.dumps(case_document(case)), "utf-8")
    paths = sorted(folder.glob("case-*.json"))
    size = sum(path.stat().st_size for path in paths)

    def judge() -> None:
        for case in read_cases(folder):
            check_case(case)
            tried(case, bad)

    masker, found = Masker(b"bench" * 8), read_cases(folder)[:20]

    def stand() -> None:
        for case in found:
            standin = standin_of(case, masker.text)
            if standin is None:
                raise SystemExit("a case without its recording")
            with standing_in(standin):
                pass

    plain = took(lambda: [json.loads(path.read_text("utf-8")) for path in paths], ROUNDS)
    judged, stood = took(judge, ROUNDS), took(stand, ROUNDS)
    print(f"\n{count} golden cases of {size / count / 1000:.1f} kB")
    print(f"plain JSON loading: {count / plain:,.0f} cases/s")
    print(f"read, proven and judged: {count / judged:,.0f} cases/s, {judged / plain:.1f} times the loading")
    print(f"a stand-in for a case, started and ended: {1000 * stood / len(found):.1f} ms")


def main() -> int:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--cases", type=int, default=200)
    given = parser.parse_args()
    began = spent()
    with tempfile.TemporaryDirectory() as folder:
        held, said = agents_again(given.times, Path(folder))
        steps({**said, f"{LONG_CALLS} calls, long": long_conversation()})
        starts()
        (Path(folder) / "cases").mkdir()
        golden(given.cases, Path(folder) / "cases")
    print(f"\n{spent() - began:.0f} s of processor time")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
