"""The example agents, over the official SDKs: recorded through the receiver, taken again against the stand-in."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.agents import ANTHROPIC, CHAT, KINDS, RESPONSES, ROOT, Kind, recorded

from analyzer.replay.judging import Seen, failure_of, seen
from analyzer.replay.outcomes import Outcome
from analyzer.replay.recording import Recording, recording_of
from analyzer.replay.standin import Answer, How, Policy, StandIn
from analyzer.server.standin import standing_in
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trajectory import Trajectory

TIMES = 20


class Overheard(StandIn):
    """A stand-in that keeps what it was asked and what it said."""

    def __init__(self, recording: Recording, policy: Policy = Policy.STOP) -> None:
        super().__init__(recording, policy=policy)
        self.exchanges: list[tuple[str, bytes, Answer]] = []

    def answer(self, path: str, body: bytes, *, again: bool = False) -> Answer:
        """Answer, and keep it."""
        answer = super().answer(path, body, again=again)
        self.exchanges.append((path, body, answer))
        return answer


@dataclass(frozen=True)
class Replayed:
    """One replay of an agent."""

    standin: Overheard
    seen: Seen
    log: list[str]
    stderr: str


@pytest.fixture(scope="session")
def trajectories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trajectory]:
    """What each agent with its bug left in the store: the failing run, by name of the agent."""
    found = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind.name)
        recorded(kind, folder / "a.db", folder)
        with SqliteTrajectories(folder / "a.db") as store:
            found[kind.name] = store.trajectory(store.resolve("latest"))
    return found


def replay(
    kind: Kind,
    trajectory: Trajectory,
    folder: Path,
    options: Sequence[str] = (),
    *,
    guilty: int | None = None,
    policy: Policy = Policy.STOP,
    over_mcp: bool = False,
) -> Replayed:
    """Run an agent against the stand-in; the canary is the file that its second tool writes."""
    recording = recording_of(trajectory)
    standin = Overheard(recording, policy)
    log, canary = folder / "log.jsonl", folder / "canary.txt"
    log.unlink(missing_ok=True)
    with standing_in(standin) as url:
        done = subprocess.run(
            [*kind.command, "--notes", str(canary), "--log", str(log), *options],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "ANTHROPIC_BASE_URL": url,
                "OPENAI_BASE_URL": f"{url}/v1",
                "ANTHROPIC_API_KEY": "replay",
                "OPENAI_API_KEY": "replay",
                "ANALYZER_REPLAY_URL": url,
                **({"ORDERS_MCP_URL": f"{url}/mcp"} if over_mcp else {}),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert not canary.exists()
    failure = failure_of(recording, trajectory.summary.outcome)
    found = seen(recording, failure, standin.course, code=done.returncode, tools=standin.tools_asked, guilty=guilty)
    return Replayed(standin, found, log.read_text().splitlines() if log.exists() else [], done.stderr)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_bug_comes_again_streamed_or_not(kind: Kind, trajectories: dict[str, Trajectory], tmp_path: Path) -> None:
    """With its bug an agent takes all recorded steps, parallel calls too, and its SDK reads the same from a stream."""
    whole = replay(kind, trajectories[kind.name], tmp_path, ["--bug"])
    streamed = replay(kind, trajectories[kind.name], tmp_path, ["--bug", "--stream"])
    for one in (whole, streamed):
        assert "no answer after 4 turns" in one.stderr
        assert one.seen.judged.outcome is Outcome.REPRODUCED
        assert [(met.step, met.how) for met in one.standin.course] == [(n, How.SAME) for n in (1, 4, 7, 9)]
    calls = [[_calls(line) for line in one.log] for one in (whole, streamed)]
    assert calls[0] == calls[1]
    assert [len(turn) for turn in calls[0]] == [2, 2, 1, 1]
    assert calls[0][0] == [("find_order", {"order": "A-17"}), ("find_order", {"order": "B-2"})]


@pytest.mark.parametrize("kind", [ANTHROPIC, CHAT], ids=lambda kind: kind.name)
def test_tools_over_mcp_give_what_was_recorded(kind: Kind, trajectories: dict[str, Trajectory], tmp_path: Path) -> None:
    """An agent with tools over the Model Context Protocol changes their address alone: the bug comes again."""
    found = replay(kind, trajectories[kind.name], tmp_path, ["--bug"], over_mcp=True)
    assert found.seen.judged.outcome is Outcome.REPRODUCED, found.stderr
    assert [(met.step, met.how) for met in found.standin.course] == [(n, How.SAME) for n in (1, 4, 7, 9)]
    assert len(found.standin.tools_asked) == 6
    assert all(one.told is not None for one in found.standin.tools_asked)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_same_requests_get_the_same_bytes(
    kind: Kind, stream: bool, trajectories: dict[str, Trajectory], tmp_path: Path
) -> None:
    """Twenty replays of twenty give, byte for byte, what the first one gave."""
    first = replay(kind, trajectories[kind.name], tmp_path, ["--bug", *(["--stream"] if stream else [])])
    asked = first.standin.exchanges
    assert len(asked) == 4 + 6
    for _ in range(TIMES):
        again = StandIn(recording_of(trajectories[kind.name]))
        assert [again.answer(path, body) for path, body, _ in asked] == [answer for _, _, answer in asked]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_without_its_bug_it_is_fixed_at_the_step_where_it_gives_up(
    kind: Kind, trajectories: dict[str, Trajectory], tmp_path: Path
) -> None:
    """The mended agent ends well after the second failure, at step 6: the request of step 7 never comes."""
    found = replay(kind, trajectories[kind.name], tmp_path)
    assert (found.seen.judged.outcome, found.seen.judged.step) == (Outcome.FIXED, 7)
    blamed = replay(kind, trajectories[kind.name], tmp_path, guilty=6)
    assert (blamed.seen.judged.outcome, blamed.seen.judged.step) == (Outcome.FIXED, 7)


def test_a_fix_behind_the_guilty_step_is_none(trajectories: dict[str, Trajectory], tmp_path: Path) -> None:
    """Where step 3 is to blame, a run that takes it and the next as recorded has the fault, however well it ends."""
    found = replay(CHAT, trajectories["chat"], tmp_path, guilty=3)
    assert (found.seen.judged.outcome, found.seen.judged.step) == (Outcome.REPRODUCED, 4)


@pytest.mark.parametrize("policy", [Policy.STOP, Policy.NEAREST])
@pytest.mark.parametrize("kind", [ANTHROPIC, RESPONSES], ids=lambda kind: kind.name)
def test_another_schema_cannot_be_judged(
    kind: Kind, policy: Policy, trajectories: dict[str, Trajectory], tmp_path: Path
) -> None:
    """Where a tool's schema changed the recorded decisions say nothing, whether or not the agent goes on to its end."""
    found = replay(kind, trajectories[kind.name], tmp_path, ["--with-region"], policy=policy)
    assert (found.seen.judged.outcome, found.seen.judged.step) == (Outcome.CANNOT_JUDGE, 1)
    assert found.seen.difference is not None
    assert any(line.startswith("+tool find_order") and "region" in line for line in found.seen.difference.diff)
    if policy is Policy.STOP:
        assert "differs from the recording at step 1 (the tools)" in found.stderr


def _calls(line: str) -> list[tuple[str, object]]:
    """Return the calls of a logged reply, in whatever API it came."""
    reply = json.loads(line)
    if "content" in reply:
        return [(block["name"], block["input"]) for block in reply["content"] if block["type"] == "tool_use"]
    if "choices" in reply:
        made = [call["function"] for call in reply["choices"][0]["message"]["tool_calls"]]
    else:
        made = [item for item in reply["output"] if item["type"] == "function_call"]
    return [(call["name"], json.loads(call["arguments"])) for call in made]
