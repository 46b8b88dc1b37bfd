"""Alerts that came in, each once, with what a run had to say of it. What waits for a run is a row without an answer.

The table is the queue: it is written before the sender is answered, so that neither a crash nor a restart loses what
was acknowledged, and many alerts that wait are still one run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from analyzer.errors import StoreBusyError
from analyzer.stores.state import Queries, StateDatabase
from analyzer.types.alerts import HEARD_FOR, AlertAnswer, AlertAsked, PrometheusAlert

WAITING_MAX = 2_000
"""Alerts that wait for a run: beyond it the sender is put off, and sends them again. One run answers all of them."""
KEPT_MAX = 10_000
"""Alerts kept, a few megabytes: beyond it those go that were heard longest ago. What waits for a run is never among
them; what was over before any run looked at it may be."""
ASKED_MAX = 2_000
"""Alerts one run answers: first those that wait, the latest first."""
LATE = timedelta(days=1)
"""How long after its end an incident may still be found that carries it."""
REOPENED_AFTER = timedelta(minutes=5)
"""How long after an end the same firing, told again, is still news from before it: Alertmanager goes on for its
`group_interval` (5 min unless set) to send what it saw at its beginning. Later than that the rule fires again. It keeps
its beginning where Alertmanager had only taken it to be over: a Prometheus that it did not hear for a while."""
CLOCKS_APART = timedelta(hours=1)
"""How far ahead the clock of a Prometheus may be; what comes with a later time is refused on the way in."""

_FIELDS = "fingerprint, name, agent, starts_at, ends_at, summary, url, alertmanager_url"
_ANSWER = "received_at, answered_at, incidents, said"
_WAITING = "answered_at IS NULL AND ends_at IS NULL"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of some alerts that came in."""

    new: int
    """Firings that nobody had told of, and those that were over and fire again."""
    known: int
    """Told before: sent again, or over by now."""


class SqliteAlerts:
    """An `AlertBook` over the state, with the side that takes alerts in."""

    def __init__(self, connection: StateDatabase) -> None:
        self._connection = connection

    def take(self, alerts: Iterable[PrometheusAlert], at: datetime) -> Taken:
        """Keep what came in, all of it or nothing. One that was told before is only brought up to date.

        One that was over and fires again waits for a run like a new one. Raises StoreError; StoreBusyError where too
        many wait.
        """
        new = known = 0
        with self._connection.writing() as raw:
            for alert in alerts:
                is_known = _kept(raw, alert, at)
                new, known = new + (not is_known), known + is_known
            waiting = raw.execute(f"SELECT count(*) FROM alerts WHERE {_WAITING}").fetchone()[0]  # noqa: S608 - own text
            if new and waiting > WAITING_MAX:
                raise StoreBusyError(f"more than {WAITING_MAX:,} alerts wait for a run")
            _pruned(raw)
        return Taken(new, known)

    def waiting(self) -> int:
        """Return how many alerts call for a run. Raises StoreError."""
        with self._connection.reading() as raw:
            return int(raw.execute(f"SELECT count(*) FROM alerts WHERE {_WAITING}").fetchone()[0])  # noqa: S608 - own text

    def asked(self, at: datetime) -> list[AlertAsked]:
        """See `AlertBook.asked`."""
        return self._read(
            "settled = 0 AND starts_at <= ? AND (answered_at IS NULL OR ends_at IS NOT NULL OR heard_at >= ?)"
            " ORDER BY answered_at IS NOT NULL, starts_at DESC, id DESC",
            (_text(at + CLOCKS_APART), _text(at - HEARD_FOR)),
            ASKED_MAX,
        )

    def latest(self, limit: int) -> list[AlertAsked]:
        """Return the alerts that came in last, newest first. Raises StoreError."""
        return self._read("TRUE ORDER BY received_at DESC, id DESC", (), limit)

    def answer(self, answers: Sequence[AlertAnswer], at: datetime) -> None:
        """See `AlertBook.answer`.

        An alert is done with once its end is answered, by an incident or a day later without one: what a rule sees in a
        minute may take a detector hours.
        """
        with self._connection.writing() as raw:
            raw.executemany(
                "UPDATE alerts SET answered_at = coalesce(answered_at, ?), incidents = ?, said = ?,"
                " settled = CASE WHEN ends_at = ? AND (1 = ? OR ends_at < ?) THEN 1 ELSE 0 END"
                " WHERE fingerprint = ? AND starts_at = ?",
                [
                    (
                        _text(at),
                        json.dumps(one.incidents),
                        one.said,
                        _text_or_none(one.alert.ends_at),
                        int(bool(one.incidents)),
                        _text(at - LATE),
                        one.alert.fingerprint,
                        _text(one.alert.starts_at),
                    )
                    for one in answers
                ],
            )

    def _read(self, where: str, values: Sequence[str], limit: int) -> list[AlertAsked]:
        query = f"SELECT {_FIELDS}, {_ANSWER} FROM alerts WHERE {where} LIMIT ?"  # noqa: S608 - own text
        with self._connection.reading() as raw:
            return [_asked(row) for row in raw.execute(query, (*values, limit))]


def _kept(raw: Queries, alert: PrometheusAlert, at: datetime) -> bool:
    """Keep an alert; return whether it was known as it is: neither new nor fires again after its end."""
    named = (alert.fingerprint, _text(alert.starts_at))
    known = raw.execute("SELECT ends_at FROM alerts WHERE fingerprint = ? AND starts_at = ?", named).fetchone()
    ends = _text_or_none(alert.ends_at)
    if known is None:
        values = (alert.fingerprint, alert.name, alert.agent, _text(alert.starts_at), ends)
        raw.execute(
            f"INSERT INTO alerts ({_FIELDS}, received_at, heard_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - own text
            (*values, alert.summary, alert.url, alert.alertmanager_url, _text(at), _text(at)),
        )
        return False
    is_again = ends is None and known[0] is not None and at >= _time(known[0]) + REOPENED_AFTER
    if is_again:
        raw.execute(
            "UPDATE alerts SET ends_at = NULL, received_at = ?, answered_at = NULL, incidents = '[]', said = '',"
            " settled = 0 WHERE fingerprint = ? AND starts_at = ?",
            (_text(at), *named),
        )
    # What is settled has an end, and keeps it.
    over = ends if known[0] is None or is_again else known[0]
    raw.execute(
        "UPDATE alerts SET heard_at = ?, summary = ?, url = ?, alertmanager_url = ?, ends_at = ?"
        " WHERE fingerprint = ? AND starts_at = ?",
        (_text(at), alert.summary, alert.url, alert.alertmanager_url, over, *named),
    )
    return not is_again


def _pruned(raw: Queries) -> None:
    raw.execute(
        f"DELETE FROM alerts WHERE NOT ({_WAITING}) AND id NOT IN"  # noqa: S608 - own text
        " (SELECT id FROM alerts ORDER BY heard_at DESC, id DESC LIMIT ?)",
        (KEPT_MAX,),
    )


def _asked(row: Sequence[Any]) -> AlertAsked:
    fingerprint, name, agent, starts, ends, summary, url, alertmanager_url, received, answered, incidents, said = row
    alert = PrometheusAlert(
        fingerprint, name, agent, _time(starts), _time_or_none(ends), summary, url, alertmanager_url
    )
    return AlertAsked(alert, _time(received), _time_or_none(answered), tuple(json.loads(incidents)), said)


def _text(at: datetime) -> str:
    """Return a time in the one form that sorts as text."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _text_or_none(at: datetime | None) -> str | None:
    return None if at is None else _text(at)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else _time(text)
