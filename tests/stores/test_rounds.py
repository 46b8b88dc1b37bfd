"""One run's detection is divided through the shared state: a part is one's at a time, and is done once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.threads import at_once

from analyzer.errors import StoreBusyError
from analyzer.stores.postgres import PostgresState
from analyzer.stores.rounds import SEEN_S, HandedIn, PostgresRounds, Round, Stage
from analyzer.stores.turn import Process, alone

pytestmark = pytest.mark.server
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
Opened = Callable[..., PostgresRounds]


@pytest.fixture
def opened(database: str) -> Iterator[Opened]:
    """Give what opens the rounds of a state as an instance on a machine of its own."""
    with ExitStack() as stack:

        def of(host: str, turn: str = "", lease_s: float = 30.0) -> PostgresRounds:
            state = stack.enter_context(closing(PostgresState(database)))
            return PostgresRounds(
                state, Process("analyzer run", host, 1, f"boot of {host}", "7"), turn, lease_s=lease_s
            )

        yield of


def test_a_round_is_seen_by_others(opened: Opened) -> None:
    """Whoever stands by sees moment and stage of the round that was opened last; a later turn's takes its place."""
    other = opened("b")
    assert other.current() is None
    first = opened("a", "turn-1")
    first.open(NOON, live=True)
    assert other.current() == Round("turn-1", NOON, live=True, stage=Stage.OPEN)
    first.divide(["p", "q"])
    assert (other.stage("turn-1"), other.laid_out()) == (Stage.DIVIDED, {"p", "q"})
    first.pool()
    first.done()
    assert (other.stage("turn-1"), other.laid_out()) == (Stage.DONE, set())
    opened("c", "turn-2").open(NOON, live=False)
    assert (other.stage("turn-1"), other.stage("turn-2")) == (None, Stage.OPEN)


def test_a_part_is_one_instance_s_at_a_time(opened: Opened) -> None:
    """Ten that ask at once get ten parts, the first ones first; what an instance does not have it does not get."""
    opened("a", "turn-1").divide([f"part {number}" for number in range(12)])
    asking = [opened(f"host {number}") for number in range(10)]
    wanted = [f"part {number}" for number in range(1, 12)]
    got: list[str | None] = []
    at_once(lambda: got.append(asking.pop().claim(wanted)), 10)
    assert sorted(map(str, got)) == sorted(wanted[:10])
    assert opened("late").claim(["part 3", "elsewhere"]) is None


def test_a_lease_that_is_not_renewed_runs_out(opened: Opened) -> None:
    """The part of one that died is free once its lease is over, and not before; of one that lives it never is."""
    opened("a", "turn-1").divide(["p"])
    dead, living, other = opened("dead", lease_s=1.0), opened("living", lease_s=1.0), opened("other")
    began = time.monotonic()
    assert dead.claim(["p"]) == "p"
    assert other.claim(["p"]) is None
    while (taken := living.claim(["p"])) is None and time.monotonic() - began < 10:
        time.sleep(0.05)
    assert taken == "p"
    assert time.monotonic() - began >= 1.0
    with living.attended(beat_s=0.2):
        time.sleep(1.5)
        assert other.claim(["p"]) is None
    assert other.claim(["p"]) == "p", "one that goes gives back what it has not done"


def test_what_is_handed_in_first_stands(opened: Opened) -> None:
    """A part that is done is nobody's any more; what comes later of it, from one that stood still, changes nothing."""
    opened("a", "turn-1").divide(["p", "q"])
    slow, fast = opened("slow"), opened("fast")
    assert slow.claim(["p"]) == "p"
    assert fast.hand_in("p", "[1]")
    assert not slow.hand_in("p", "[2]")
    assert not slow.hand_in("gone", "[3]")
    assert fast.handed_in() == {"p": HandedIn("[1]", "fast")}
    assert fast.claim(["p", "q"]) == "q"


def test_a_round_that_broke_off_is_gone_on_with(opened: Opened) -> None:
    """What was handed in before its holder died stays done for parts that are the same, and other parts are gone."""
    first = opened("a", "turn-1")
    first.open(NOON, live=True)
    first.divide(["p", "q", "old"])
    opened("b").hand_in("p", "[1]")
    second = opened("c", "turn-2")
    second.open(NOON, live=True)
    second.divide(["q", "p", "new"])
    assert second.handed_in() == {"p": HandedIn("[1]", "b")}
    assert second.laid_out() == {"p", "q", "new"}


def test_only_who_was_seen_lately_is_counted_on(opened: Opened, database: str) -> None:
    """An instance alone divides nothing with itself; one that stands by counts, until it goes or dies."""
    holder, other = opened("a", "turn-1"), opened("b")
    with holder.attended():
        assert not holder.has_others()
    with other.attended(), closing(PostgresState(database)) as state:
        assert holder.has_others()
        with state.writing() as raw:
            raw.execute("UPDATE helpers SET seen = seen - ? * INTERVAL '1 second'", (SEEN_S,))
        assert not holder.has_others(), "it died, and gives no sign of life"
    assert not holder.has_others()
    holder.divide(["p"])
    assert not holder.has_others()
    other.hand_in("p", "[]")
    assert holder.has_others(), "what it found before it went is not found again"


def test_who_lost_its_turn_pools_nothing_more(database: str, tmp_path: Path) -> None:
    """A holder that stood still and lost its turn cannot go on with a round: every write asks for the turn first."""
    far = Process("analyzer run", "far", 1, "another boot", "7")
    with (
        closing(PostgresState(database)) as state,
        alone(tmp_path / "a.db", state=database, me=far, beat_s=60) as turn,
    ):
        assert turn is not None
        state.fence = turn.fence
        rounds = PostgresRounds(state, far, turn.token)
        rounds.open(NOON, live=True)
        with alone(tmp_path / "b.db", state=database, watch_s=0.2):
            for act in (rounds.pool, rounds.done, lambda: rounds.divide(["p"])):
                with pytest.raises(StoreBusyError, match="another run took its turn"):
                    act()
