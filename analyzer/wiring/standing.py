"""What an instance stands by with while another one runs: the shared state, and an App to look with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from analyzer.config import Settings
from analyzer.pipeline import App
from analyzer.pipeline.app import Division
from analyzer.stores.postgres import PostgresState
from analyzer.stores.rounds import PostgresRounds, Round
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.stores.turn import WATCH_S, Holder, holder, this_process
from analyzer.wiring.building import build_reader
from analyzer.wiring.collecting import follower
from analyzer.wiring.detecting import detectors_of
from analyzer.wiring.helping import program_of_detection
from analyzer.wiring.remembering import keep, remembered_in


@dataclass(frozen=True, slots=True)
class Watched:
    """The shared state, as one that stands by sees it."""

    state: PostgresState
    rounds: PostgresRounds

    def holder(self) -> Holder | None:
        """Return who has the turn, dead or alive. Raises StoreError."""
        return holder(self.state)


class Other:
    """The run that has the turn, watched until it is over, its process is gone, or it stands still."""

    def __init__(self, watched: Watched, round_: Round, *, watch_s: float = WATCH_S) -> None:
        self._watched, self._turn, self._watch_s = watched, round_.turn, watch_s
        self._beats = -1
        self._still_until_s = 0.0

    def goes_on(self) -> bool:
        """Tell whether it still has the turn and lives, as far as can be seen. Raises StoreError.

        As for whoever wants the turn (`turn.alone`) no clocks are compared: it stands still when its beats do.
        """
        held = self._watched.holder()
        if held is None or held.token != self._turn or held.process.lives() is False:
            return False
        if held.beats != self._beats:
            self._beats, self._still_until_s = held.beats, time.monotonic() + self._watch_s
        return time.monotonic() < self._still_until_s


@contextmanager
def open_watched(url: str) -> Iterator[Watched]:
    """Open the shared state for a block, in which this process is counted on to help. Raises StoreError."""
    with closing(PostgresState(url)) as state:
        rounds = PostgresRounds(state, this_process("analyzer run"))
        with rounds.attended():
            yield Watched(state, rounds)


@contextmanager
def build_helper(settings: Settings) -> Iterator[App]:
    """Put an App together that looks as a run does, and keeps and sends nothing that is shared.

    What is new elsewhere it reads into its own store, and what spares the next run work it keeps there.
    Raises NotFoundError where there is no store yet, StoreError.
    """
    with build_reader(settings) as app:
        store = app.trajectories
        assert isinstance(store, SqliteTrajectories)  # noqa: S101 - build_reader opens no other
        midnights = remembered_in(lambda: store.connection)
        yield replace(
            app,
            detectors=detectors_of(settings, midnights=midnights).configured,
            follow=follower(settings, store),
            remember=partial(keep, midnights, store.connection),
            division=Division(program=partial(program_of_detection, settings)),
        )
