"""What a replay sends requests on with: the purse of the day, the log, and the price list."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version

from analyzer.config import Settings
from analyzer.errors import UsageError
from analyzer.ingest.pricing import Pricer
from analyzer.stores.audit import SqliteAudit
from analyzer.stores.spending import SqliteSpending
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Tokens
from analyzer.wiring.opening import open_existing, spending_of


@dataclass(frozen=True, slots=True)
class Sending:
    """A store, and what requests are paid and logged with."""

    store: SqliteTrajectories
    purse: SqliteSpending
    journal: SqliteAudit
    pricer: Pricer

    def price(self, provider: str, model: str, tokens: Tokens, at: datetime) -> float | None:
        """Return USD of a call, or None where no price is known."""
        return self.pricer.cost(provider, model, tokens, at)


@contextmanager
def open_sending(settings: Settings) -> Iterator[Sending]:
    """Open all of it for the length of a block: one replay is one run, and its own investigation.

    Raises NotFoundError where there is no store yet, StoreError, and UsageError where it may only be read.
    """
    whole = replace(settings, investigation_usd=settings.budget_usd, investigation_tokens=settings.budget_tokens)
    with open_existing(settings) as store:
        if store.connection.is_sealed:
            raise UsageError(f"{settings.store} may only be read: what is spent could not be written down")
        actor = f"analyzer {version('analyzer')}"
        purse = spending_of(whole, store.state, secrets.token_hex(16))
        journal = SqliteAudit(store.state, store.masker, run="", actor=actor)
        yield Sending(store, purse, journal, Pricer(settings.prices))
