"""What `analyzer doctor` tries of the analyst's own state: where it is, when it ran, who runs, what is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from analyzer.cli.check import Check

if TYPE_CHECKING:
    from analyzer.config import Settings
    from analyzer.stores.state import StateDatabase

_RUNS_LOOKED_AT = 12
"""The newest runs, of which the usual time between two is the schedule."""


def state(settings: Settings) -> Check:
    """Try the database that several instances share, and bring it up to date."""
    if settings.state is None:
        return Check("state", "off", "not set: incidents and the log are in the store (docs/instances.md)")
    from analyzer.stores.postgres import PostgresState

    with closing(PostgresState(settings.state)) as state:
        return Check("state", "ok", f"{state.place}: PostgreSQL {state.version()}")


def schedule(settings: Settings) -> Check:
    """Say when the last run was: an analyst that nobody starts sees nothing."""
    from analyzer.wiring.opening import open_memory

    hint, command = "cron, a timer or `analyzer watch` (docs/running.md)", "analyzer watch --every 15m"
    if not settings.store.exists():
        return Check("schedule", "off", "no run yet", hint, command)
    with open_memory(settings) as memory:
        last = memory.latest_run_at()
        runs = memory.run_times(_RUNS_LOOKED_AT)
    if last is None:
        return Check("schedule", "off", "no run yet", hint, command)
    told, expiry = f"last run as of {last:%Y-%m-%d %H:%M} UTC", settings.alertmanager_expiry
    gaps = sorted(later - earlier for earlier, later in pairwise(reversed(runs)))
    apart = gaps[len(gaps) // 2] if len(gaps) > 1 else None
    if apart is not None and apart >= expiry and datetime.now(UTC) - last <= 2 * apart:
        told += (
            f", runs come every {_hours(apart)}, and alerts end {_hours(expiry)} after one: between runs all is well"
        )
        hint = "alertmanager_expiry must be longer than the time between runs; `analyzer rules` anew after that"
        return Check("schedule", "off", told, hint, f"export ANALYZER_ALERTMANAGER_EXPIRY={_hours(apart * 1.1)}")
    if datetime.now(UTC) - last > expiry:
        return Check("schedule", "off", f"{told}: nobody starts one", hint, command)
    return Check("schedule", "ok", told)


def _hours(length: timedelta) -> str:
    return f"{ceil(length / timedelta(hours=1))}h"


def turn(settings: Settings) -> Check:
    """Say who has the turn to run."""
    from analyzer.stores.turn import holder
    from analyzer.wiring.helping import rounds_told

    if settings.state is None and not settings.store.exists():
        return Check("turn", "off", "no store yet, and so nobody who runs over it")
    with _holding_turn(settings) as state:
        held = holder(state)
        divided = "" if held is None else rounds_told(state, held.token)
    if held is None:
        return Check("turn", "ok", "nobody runs over the store now")
    if held.process.lives() is False:
        return Check("turn", "ok", f"left by {held}, which is gone: the next run takes it")
    return Check("turn", "ok", f"held by {held}{divided}")


@contextmanager
def _holding_turn(settings: Settings) -> Iterator[StateDatabase]:
    """Give what the turn is held over: what several share is there before this instance has a store."""
    from analyzer.stores.postgres import PostgresState
    from analyzer.wiring.opening import open_existing

    if settings.state is not None:
        with closing(PostgresState(settings.state)) as state:
            yield state
        return
    with open_existing(settings) as store:
        yield store.state


def budget(settings: Settings) -> Check:
    """Say what the model may still cost today."""
    if settings.llm == "off":
        return Check("budget", "off", "no model is asked")
    from analyzer.ingest.pricing import Pricer
    from analyzer.types.spending import Left
    from analyzer.wiring.opening import open_existing, spending_of

    left = Left(settings.budget_tokens_per_day, settings.budget_usd_per_day)
    if settings.store.exists():
        with open_existing(settings) as store:
            left = spending_of(settings, store.state, "").left()
    day = f"of ${settings.budget_usd_per_day:g} and {settings.budget_tokens_per_day:,} tokens"
    detail = f"left today: ${left.usd:.2f} and {left.tokens:,} tokens, {day} a day"
    if Pricer(settings.prices).price_of(settings.model, "anthropic") is None:
        hint = f"set the price of {settings.model} under [prices] in analyzer.toml"
        return Check("budget", "failed", f"{detail}; the model has no known price, so that USD cannot be held", hint)
    return Check("budget", "ok", detail)


def audit(settings: Settings) -> Check:
    """Say how far the log goes."""
    from analyzer.wiring.opening import open_audit

    if not settings.store.exists():
        return Check("audit", "off", "no store yet, and so nothing to log")
    with open_audit(settings) as log:
        head = log.head()
    return Check("audit", "ok", f"{head.entries:,} entries; `analyzer audit verify` checks them")
