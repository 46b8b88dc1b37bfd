"""Runs that alerts call for: one at a time, in a process of their own, a short while after the first alert.

A run takes seconds of processor time and hundreds of megabytes, and the receiver must answer meanwhile: hence a
process. What calls for a run stands in the store, so that nothing is remembered here: alerts that come during a run are
one more run afterwards, those of a run that was cut off are there at the next start, and where a scheduled run has
answered them in between there is nothing left to do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

RUN_S = 900.0
"""A run that takes longer hangs: it is ended, and begun again later."""
AGAIN_S = (10.0, 900.0)
"""Seconds before the next try after one that failed, the first and the most; each time twice as long."""
_STOP_S = 5.0
_SAID_BYTES = 4_096

Run = Callable[[], Awaitable[str]]
"""Does one run; returns "" or, in a line, why it failed."""


class Investigations:
    """Starts runs while alerts wait."""

    def __init__(self, waiting: Callable[[], int], run: Run, *, wait_s: float, say: Callable[[str], None]) -> None:
        """Take what counts the alerts that call for a run, which may block, and `say` for lines to the operator.

        Alerts that come within `wait_s` of the first are one run.
        """
        self._waiting = waiting
        self._run = run
        self._wait_s = wait_s
        self._say = say
        self._told = asyncio.Event()

    def wake(self) -> None:
        """Look again: something came in. From the event loop only."""
        self._told.set()

    async def work(self) -> None:
        """Go on until it is cancelled; what waits from before the start counts.

        A run is followed by a pause as long as itself, so that rules that flap take half of a core at most.
        """
        failed = 0
        pause_s = 0.0
        while True:
            self._told.clear()
            before = await self._count()
            if before == 0:
                await self._told.wait()
                continue
            await asyncio.sleep(max(self._wait_s, pause_s))
            if await self._count() == 0:
                continue
            began = time.monotonic()
            why = await self._run()
            pause_s = time.monotonic() - began
            failed = failed + 1 if why else 0
            if why:
                pause_s = max(pause_s, min(AGAIN_S[0] * 2 ** (failed - 1), AGAIN_S[1]))
                self._say(f"an alert waits, and its run failed: {why}; the next try is in {pause_s:.0f} s")

    async def _count(self) -> int:
        """Return how many wait; a store that cannot be asked is asked again after a while."""
        while True:
            try:
                return await asyncio.to_thread(self._waiting)
            except Exception as error:  # noqa: BLE001 - whatever it is, alerts must not go unheard from then on
                self._say(f"cannot see whether alerts wait: {type(error).__name__}: {error}")
            await asyncio.sleep(AGAIN_S[0])


async def in_process(
    command: Sequence[str],
    *,
    accepted: frozenset[int],
    say: Callable[[str], None] = lambda _line: None,
    timeout_s: float = RUN_S,
) -> str:
    """Do a run of this program as a process; return "" where it did one, else its last error line.

    It did one where it ended with an accepted code and printed its report: one that found another run under way ends
    with gaps too, and prints none. What it remarks on standard error is said on: it counts as told, and no later run
    says it again. When this is cancelled the process is ended: what it was to answer still waits.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-c in a terminal is for us; we end the run ourselves.
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_s):
            said, report = await asyncio.gather(_tail(process.stderr), _tail(process.stdout))
            code = await process.wait()
    except TimeoutError:
        return f"it took longer than {timeout_s:.0f} s"
    finally:
        await _ended(process)
    if code in accepted and report:
        for line in said.splitlines():
            say(line)
        return ""
    return said.splitlines()[-1].removeprefix("analyzer: ") if said else f"exit code {code}"


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """Read a stream to its end and return the last of it."""
    kept = b""
    while stream is not None and (piece := await stream.read(_SAID_BYTES)):
        kept = (kept + piece)[-_SAID_BYTES:]
    return kept.decode("utf-8", "replace").strip()


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
