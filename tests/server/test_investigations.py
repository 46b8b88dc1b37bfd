from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from analyzer.server import investigations as module
from analyzer.server.investigations import Investigations, in_process


@dataclass
class Fleet:
    """Alerts that wait, and runs that answer them."""

    waiting: int = 0
    runs: list[int] = field(default_factory=list)
    """How many each run found."""
    under_way: int = 0
    most_under_way: int = 0
    said: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    during: list[Callable[[], None]] = field(default_factory=list)

    async def run(self) -> str:
        """Answer what waits as the run begins; what comes meanwhile is left."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        found = self.waiting
        await asyncio.sleep(0.02)
        if self.during:
            self.during.pop(0)()
        self.under_way -= 1
        self.runs.append(found)
        if self.failures:
            return self.failures.pop(0)
        self.waiting -= found
        return ""


def worked(fleet: Fleet, script: Callable[[Investigations], Awaitable[None]], *, wait_s: float = 0.05) -> None:
    """Let the worker work while a script goes on, and until nothing happens any more."""

    async def both() -> None:
        investigations = Investigations(lambda: fleet.waiting, fleet.run, wait_s=wait_s, say=fleet.said.append)
        task = asyncio.create_task(investigations.work())
        await script(investigations)
        await asyncio.sleep(0.4)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(both())


async def nothing(_investigations: Investigations) -> None:
    """Do nothing."""


def test_many_alerts_in_a_short_time_are_one_run() -> None:
    """A burst coalesces."""
    fleet = Fleet()

    async def burst(investigations: Investigations) -> None:
        for _ in range(50):
            fleet.waiting += 1
            investigations.wake()
            await asyncio.sleep(0)

    worked(fleet, burst)
    assert fleet.runs == [50]


def test_what_comes_during_a_run_is_one_more_run_afterwards() -> None:
    """Never two at a time, and nothing that came meanwhile is forgotten."""
    fleet = Fleet(waiting=1)

    def three_more() -> None:
        fleet.waiting += 3

    fleet.during.append(three_more)
    worked(fleet, nothing)
    assert fleet.runs == [1, 3]
    assert fleet.most_under_way == 1


def test_what_waited_before_the_start_is_looked_into() -> None:
    """Nobody needs to tell it again."""
    fleet = Fleet(waiting=2)
    worked(fleet, nothing)
    assert fleet.runs == [2]


def test_what_a_scheduled_run_has_answered_meanwhile_needs_no_run() -> None:
    """The wait over, it looks whether there is still anything to do."""
    fleet = Fleet(waiting=2)

    async def answered(_investigations: Investigations) -> None:
        await asyncio.sleep(0.01)
        fleet.waiting = 0

    worked(fleet, answered)
    assert fleet.runs == []


def test_a_run_that_fails_is_said_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure waits longer; once it goes well all is as before."""
    monkeypatch.setattr(module, "AGAIN_S", (0.02, 1.0))
    fleet = Fleet(waiting=1, failures=["the store is busy", "the store is busy"])
    worked(fleet, nothing, wait_s=0.001)
    assert fleet.runs == [1, 1, 1]
    assert fleet.waiting == 0
    assert [line.partition(";")[0] for line in fleet.said] == [
        "an alert waits, and its run failed: the store is busy"
    ] * 2


def test_a_store_that_cannot_be_asked_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker says it and goes on."""
    monkeypatch.setattr(module, "AGAIN_S", (0.01, 1.0))
    fleet, broken = Fleet(waiting=1), [OSError("gone")]

    def waiting() -> int:
        if broken:
            raise broken.pop()
        return fleet.waiting

    async def both() -> None:
        task = asyncio.create_task(Investigations(waiting, fleet.run, wait_s=0.01, say=fleet.said.append).work())
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(both())
    assert fleet.runs == [1]
    assert fleet.said == ["cannot see whether alerts wait: OSError: gone"]


def ended(program: str, *, timeout_s: float = 20) -> str:
    """Do a run that is a Python program."""
    return asyncio.run(in_process((sys.executable, "-c", program), accepted=frozenset({0, 3}), timeout_s=timeout_s))


def test_a_run_as_a_process_is_judged_by_its_code_and_says_its_last_line() -> None:
    """Gaps are no failure; a failure says what the program said last, however much it said before."""
    assert ended("print('x' * 100_000)") == ""
    assert ended("print('{}'); raise SystemExit(3)") == ""
    talk = "import sys; print('x' * 100_000, file=sys.stderr); sys.exit('the store is gone')"
    assert ended(talk) == "the store is gone"
    assert ended("raise SystemExit(4)") == "exit code 4"


def test_what_a_run_remarks_is_said_on() -> None:
    """A gap is told once: the run of an alert may be the one that tells it, and has nobody else to tell."""
    heard: list[str] = []
    program = "import sys; print('{}'); print('could not see metrics', file=sys.stderr); sys.exit(3)"
    command = (sys.executable, "-c", program)
    assert asyncio.run(in_process(command, accepted=frozenset({3}), say=heard.append)) == ""
    assert heard == ["could not see metrics"]


def test_a_run_that_found_another_one_under_way_was_none() -> None:
    """It ends as one with gaps does, and prints no report: its alerts still wait, and it is tried again later."""
    taken = "import sys; print('analyzer: another run is under way', file=sys.stderr); sys.exit(3)"
    assert ended(taken) == "another run is under way"


def test_a_run_that_hangs_is_ended() -> None:
    """It does not block the alerts after it for ever."""
    assert ended("import time; time.sleep(60)", timeout_s=0.5) == "it took longer than 0 s"


def test_a_run_ends_with_its_server() -> None:
    """When serving stops no process is left behind."""

    async def stopped() -> None:
        program = "import time; time.sleep(60)"
        task = asyncio.create_task(in_process((sys.executable, "-c", program), accepted=frozenset({0})))
        await asyncio.sleep(0.3)
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(stopped())
