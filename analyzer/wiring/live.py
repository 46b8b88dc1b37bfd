"""What a replay sends requests on with: the purse of the day, the log, the analyst's own trace, and the price list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version

from analyzer.config import Settings
from analyzer.ingest.pricing import Pricer
from analyzer.stores.audit import SqliteAudit
from analyzer.stores.spending import SqliteSpending
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Tokens
from analyzer.types.watch import Watch
from analyzer.wiring.opening import open_existing, require_writable, spending_of
from analyzer.wiring.recording import own_recorder


@dataclass(frozen=True, slots=True)
class Sending:
    """A store, and what requests are paid, logged and traced with."""

    store: SqliteTrajectories
    purse: SqliteSpending
    journal: SqliteAudit
    watch: Watch
    pricer: Pricer

    def price(self, provider: str, model: str, tokens: Tokens, at: datetime) -> float | None:
        """Return USD of a call, or None where no price is known."""
        return self.pricer.cost(provider, model, tokens, at)


@contextmanager
def open_sending(settings: Settings) -> Iterator[Sending]:
    """Open all of it for the length of a block: one replay is one run, and its own investigation.

    Raises NotFoundError where there is no store yet, StoreError, and UsageError where it may only be read.
    """
    require_writable(settings, "what a live replay spends is written down before it is sent")
    whole = replace(settings, investigation_usd=settings.budget_usd, investigation_tokens=settings.budget_tokens)
    with ExitStack() as stack:
        store = stack.enter_context(open_existing(settings))
        actor = f"analyzer {version('analyzer')}"
        recorder, _ = own_recorder(settings, store, [], stack, rehearsal=False)
        purse = spending_of(whole, store.state, recorder.trace_id)
        journal = SqliteAudit(store.state, store.masker, run=recorder.trace_id, actor=actor)
        yield Sending(store, purse, journal, recorder, Pricer(settings.prices))
