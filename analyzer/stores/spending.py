"""What the analyst spent on its model, in the store: two runs at once, or one that was killed, cannot overspend.

Each call has a row, written before the call with its worst case. Sums count a row by what was used once that is known,
by its worst case until then, and for good where its process died: such a row weighs on its day and its run only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

from analyzer.stores.state import Queries, StateDatabase
from analyzer.types.spending import Allowances, Amount, Exhausted, Left, Scope

BILLIONTHS = 1_000_000_000
"""USD are added up in whole billionths: sums are exact, and no order of calls passes a limit by a rounding."""

_TAKEN = (
    "SELECT COALESCE(SUM(COALESCE(tokens, most_tokens)), 0), COALESCE(SUM(COALESCE(usd, most_usd)), 0) FROM spending"
)
_WHERE = {
    Scope.INVESTIGATION: "run = ? AND about = ?",
    Scope.RUN: "run = ?",
    Scope.DAY: "day = ?",
}


class SqliteSpending:
    """A `Purse` of one run over a store that all runs share."""

    def __init__(
        self,
        connection: StateDatabase,
        allowances: Allowances,
        *,
        run: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connection = connection
        self._allowances = allowances
        self._run = run
        self._now = now

    def refusal(self, about: str, most: Amount) -> Exhausted | None:
        """See `Purse.refusal`."""
        with self._connection.reading() as raw:
            return self._refusal(raw, about, most, self._now())

    def reserve(self, about: str, most: Amount) -> int | Exhausted:
        """See `Purse.reserve`. Looking and taking are one transaction."""
        with self._connection.writing() as raw:
            at = self._now()
            refused = self._refusal(raw, about, most, at)
            if refused is not None:
                return refused
            row = (_day(at), self._run, about, at.isoformat(), most.tokens, _billionths(most.usd))
            query = (
                "INSERT INTO spending (day, run, about, at, most_tokens, most_usd) VALUES (?, ?, ?, ?, ?, ?)"
                " RETURNING id"
            )
            number: int = raw.execute(query, row).fetchone()[0]
        return number

    def settle(self, reservation: int, used: Amount) -> None:
        """See `Purse.settle`."""
        values = (used.tokens, _billionths(used.usd), reservation)
        with self._connection.writing() as raw:
            raw.execute("UPDATE spending SET tokens = ?, usd = ? WHERE id = ? AND tokens IS NULL", values)

    def left(self) -> Left:
        """See `Purse.left`."""
        with self._connection.reading() as raw:
            tokens, usd = self._taken(raw, Scope.DAY, "", self._now())
        day = self._allowances[Scope.DAY]
        return Left(max(day.tokens - tokens, 0), max(_limit(day.usd) - usd, 0) / BILLIONTHS)

    def _refusal(self, raw: Queries, about: str, most: Amount, at: datetime) -> Exhausted | None:
        """Return the widest limit that would break: the day's before the run's, so that the note names what matters."""
        asked = _billionths(most.usd)
        for scope in (Scope.DAY, Scope.RUN, Scope.INVESTIGATION):
            allowance = self._allowances[scope]
            tokens, usd = self._taken(raw, scope, about, at)
            if tokens + most.tokens > allowance.tokens:
                return Exhausted(scope, "tokens", allowance.tokens, tokens, most.tokens)
            limit = _limit(allowance.usd)
            # Without a price nothing can be added up; but who allows nothing wants no call whatever it costs.
            if usd + asked > limit if asked is not None else limit == 0:
                return Exhausted(scope, "usd", allowance.usd, usd / BILLIONTHS, (asked or 0) / BILLIONTHS)
        return None

    def _taken(self, raw: Queries, scope: Scope, about: str, at: datetime) -> tuple[int, int]:
        values = {Scope.INVESTIGATION: (self._run, about), Scope.RUN: (self._run,), Scope.DAY: (_day(at),)}
        tokens, usd = raw.execute(f"{_TAKEN} WHERE {_WHERE[scope]}", values[scope]).fetchone()
        return int(tokens), int(usd)


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()


def _billionths(usd: float | None) -> int | None:
    """Return an amount rounded up: what is spent is never counted short."""
    return None if usd is None else max(math.ceil(round(usd * BILLIONTHS, 3)), 0)


def _limit(usd: float) -> int:
    """Return a limit rounded down."""
    return math.floor(round(usd * BILLIONTHS, 3))
