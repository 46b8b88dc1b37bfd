"""What a finding is put down to, from stored trajectories: place, price, version, model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.incidents import finding
from support.spans import EPOCH, chat, root

from analyzer.accounting.examine import examine
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Examined, Kind
from analyzer.types.trace import Span, Tokens

ONSET = EPOCH + timedelta(days=3)
HOURS = 6
PER_HOUR = 20
PRICES = {"small": 1e-6, "large": 5e-6}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteTrajectories]:
    """Give an empty store."""
    with SqliteTrajectories(tmp_path / "store.db") as opened:
        yield opened


def fill(store: SqliteTrajectories, habits: Callable[[int, bool], dict[str, object]]) -> None:
    """Store three days and six hours of the writer; `habits` says how run `i` goes, before or since the onset."""
    spans: list[Span] = []
    for run in range(int((72 + HOURS) * PER_HOUR)):
        at_s = run * 3600 / PER_HOUR
        habit = {"version": "1", "model": "small", "tokens": 1000, "price": 1.0, "user": f"u{run % 3}"}
        habit |= habits(run, at_s >= 72 * 3600)
        tokens = int(habit["tokens"] * (0.8 + 0.4 * (run * 7919 % 101) / 100))  # type: ignore[operator]
        usd = tokens * PRICES[str(habit["model"])] * habit["price"]  # type: ignore[operator]
        more = {"agent": "writer", "agent_version": habit["version"], "user_id": habit["user"]}
        spans.append(root(run, at_s=at_s, **more))
        used = {"tokens": Tokens(input=tokens, output=tokens // 10), "cost_usd": usd}
        spans.append(chat(run, 2, at_s=at_s + 1, model=habit["model"], **used))
    store.add(spans)


def examined(store: SqliteTrajectories, kind: Kind = Kind.COST) -> Examined:
    """Examine a finding of the writer six hours after its onset."""
    found = finding(kind, "writer", onset=ONSET, onset_low=ONSET - timedelta(hours=1), onset_high=ONSET)
    return examine(store, found, at=ONSET + timedelta(hours=HOURS), history_start=EPOCH)


def test_a_version_beside_the_old_one_is_the_cause(store: SqliteTrajectories) -> None:
    """Half of the runs move to a version that takes thrice the tokens: place, change and subject name it."""
    fill(store, lambda run, since: {"version": "2", "tokens": 3000} if since and run % 2 else {})
    done = examined(store)
    assert done.places[0].where == (("version", "2"),)
    assert done.places[0].new
    [change] = done.changes
    assert (change.what, change.to_value, change.borne_out) == ("version", "2", True)
    assert (done.named.version, done.named.model) == ("2", None)


def test_a_price_that_rose_is_a_change_of_its_model(store: SqliteTrajectories) -> None:
    """Twice the price of one model is seen in what was paid: a change with both prices, and the model is named."""
    fill(store, lambda run, since: {"model": "large" if run % 2 else "small", "price": 2.0 if since else 1.0})
    done = examined(store)
    [change] = done.changes
    assert change.what == "price"
    assert (change.from_value, change.to_value) == (
        "large at 4.55 USD per million tokens",
        "large at 9.09 USD per million tokens",
    )
    assert done.named.model == "large"
    assert max(done.account, key=lambda one: one.share).factor == "price"


def test_work_that_moves_to_a_dear_model_names_it(store: SqliteTrajectories) -> None:
    """Both models were there before, so that no first sight tells; the mix does."""
    fill(store, lambda run, since: {"model": "large" if run % 10 < (7 if since else 2) else "small"})
    done = examined(store)
    assert done.changes == ()
    assert done.named.model == "large"
    assert [(place.where, place.way) for place in done.places] == [((("model", "large"),), "mix")]


def test_a_user_whose_runs_grew_is_a_place(store: SqliteTrajectories) -> None:
    """What one user sends is longer: neither version nor model is named for it."""
    fill(store, lambda _run, since: {"tokens": 4000} if since and _run % 3 == 1 else {})
    done = examined(store, Kind.TOKENS)
    assert done.places[0].where == (("user", "u1"),)
    assert (done.named.version, done.named.model) == (None, None)


def test_a_harmless_version_is_not_named(store: SqliteTrajectories) -> None:
    """Old and new version cost twice as much alike: what changed is not the version."""
    fill(store, lambda run, since: {"version": "2" if run % 2 else "1", "tokens": 2000} if since else {})
    done = examined(store)
    assert (done.changes, done.places, done.named.version) == ((), (), None)
