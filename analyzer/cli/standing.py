"""An instance whose turn it is not: it helps the one that runs, and takes over where that one dies.

Only where several share a state in PostgreSQL. Over one store there is nobody to help: the run there is done already by
the time another has loaded what it looks at.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from analyzer.cli import logs
from analyzer.errors import TurnTakenError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from analyzer.config import Settings
    from analyzer.stores.rounds import Round
    from analyzer.stores.turn import Turn
    from analyzer.wiring.standing import Other, Watched

LOOK_S = 0.5
"""Between two looks whether the one that runs is still there."""
OPENS_S = 10.0
"""How long a run may take from its turn to its round: it opens its store meanwhile. What has a turn for something else,
a replay, opens none."""


def stood_by(settings: Settings, url: str, at: datetime | None, refusal: TurnTakenError) -> Round | None:
    """Help the run that has the turn, and stand by until it is over; return its round where it has to be taken over.

    None: it is over, and this instance did parts of it. Raises `refusal` where there was nothing to be done, or where
    the other run is one of another moment; TurnTakenError too where another process stands by over the same store;
    StoreError.
    """
    from analyzer.stores.rounds import Stage
    from analyzer.wiring.standing import Other, open_watched

    with _only_one(settings.store), open_watched(url) as watched:
        round_ = _opened(watched, at)
        if round_ is None:
            raise refusal
        other = Other(watched, round_)
        parts = _helped(settings, watched, round_, other)
        while other.goes_on():
            time.sleep(LOOK_S)
        if watched.rounds.stage(round_.turn) is not Stage.DONE:
            logs.info("the run that this instance stood by broke off: it is taken over", at=round_.at.isoformat())
            return round_
    if not parts:
        raise refusal
    return None


def _only_one(store: Path) -> AbstractContextManager[Turn | None]:
    """Hold the turn that a store has of its own, which nobody needs while the shared one counts.

    Two that stand by over one store help no more than one, and each of them loads the window: what cron starts every
    five minutes would pile up behind a run that hangs. An instance without a store has no place to hold it in.
    """
    from analyzer.stores.turn import alone

    return alone(store, what="analyzer run, standing by", or_read=True) if store.exists() else nullcontext()


def _opened(watched: Watched, at: datetime | None) -> Round | None:
    """Wait for the round of the one that has the turn; None where it opens none that is as this run would be."""
    until = time.monotonic() + OPENS_S
    while (held := watched.holder()) is not None and time.monotonic() < until:
        found = watched.rounds.current()
        if found is not None and found.turn == held.token:
            is_alike = found.live if at is None else found.at == at
            return found if is_alike else None
        if held.process.lives() is False:
            return None
        time.sleep(LOOK_S)
    return None


def _helped(settings: Settings, watched: Watched, round_: Round, other: Other) -> int:
    """Look at parts of a round; return how many. An instance without a store has nothing to look at."""
    from analyzer.pipeline.together import helped
    from analyzer.wiring.standing import build_helper

    if not settings.store.exists():
        return 0
    with build_helper(settings) as app:
        done = helped(app, watched.rounds, round_, goes_on=other.goes_on, on_unlike=_say_unlike)
        app.remember()
    logs.info("this instance helped the one that runs", parts=done.parts, unlike=done.unlike)
    return done.parts


def _say_unlike(unlike: int, parts: int) -> None:
    """Say that what lies here is not what the one that runs looks at: a line for people only where nothing is alike.

    Spans that come in just now reach one store before the other. That is so in every run, and nobody's fault.
    """
    why = "its trajectories, its settings or its release are not those of the one that runs (docs/instances.md)"
    say = logs.warning if unlike == parts else logs.info
    say(f"this instance cannot help with {unlike:,} of {parts:,} parts of the run: {why}")
