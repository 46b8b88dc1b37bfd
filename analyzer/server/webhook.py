"""Alertmanager's webhook, version 4: a body becomes alerts, or is refused with a sentence.

Everything in it is data. What is kept is masked and of bounded length; an address is kept where it may become a link.
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from analyzer.notify.alertmanager import ALERT_NAME
from analyzer.server.refusal import RefusalError
from analyzer.stores.alerts import CLOCKS_APART
from analyzer.types.address import web_address
from analyzer.types.alerts import PrometheusAlert

VERSION = "4"
ALERTS_MAX = 2_000
"""Alerts in one request; a group of more is cut by `max_alerts` in the receiver's configuration."""
NAME_CHARACTERS_MAX = 200
AGENT_CHARACTERS_MAX = 500
SUMMARY_CHARACTERS_MAX = 1_000
MASKED_CHARACTERS_MAX = 64 * SUMMARY_CHARACTERS_MAX
YEAR_MIN = 1971
_FINGERPRINT = re.compile(r"[0-9a-f]{1,64}")
_SUMMARIES = ("summary", "description", "message")


@dataclass(frozen=True, slots=True)
class Notified:
    """What one request holds."""

    alerts: tuple[PrometheusAlert, ...]
    own: int
    """Alerts that this program sent to Alertmanager itself: to look into them would go round in circles."""
    refused: int
    """Entries that are no alerts: without a time, say."""


def read_webhook(body: bytes, *, labels: Sequence[str], mask: Callable[[str], str], now: datetime) -> Notified:
    """Return the alerts of a request; `labels` are those that may name the agent, the first one given counts.

    Raises RefusalError (400) for what is no such webhook, (413) for too many alerts.
    """
    try:
        document = orjson.loads(body)
    except ValueError as error:
        raise RefusalError(400, f"the body is no JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("alerts"), list):
        raise RefusalError(400, "the body is no webhook of Alertmanager: it has no list `alerts`")
    if document.get("version") != VERSION:
        raise RefusalError(400, f"the webhook's version is {str(document.get('version'))[:20]!r}, and not '{VERSION}'")
    entries = document["alerts"]
    if len(entries) > ALERTS_MAX:
        raise RefusalError(413, f"more than {ALERTS_MAX:,} alerts in one request: set `max_alerts` in the receiver")
    source = _address(document.get("externalURL"), mask)
    found: list[PrometheusAlert] = []
    own = 0
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("labels"), dict):
            continue
        if entry["labels"].get("alertname") == ALERT_NAME and entry["labels"].get("incident"):
            own += 1
        elif (alert := _alert(entry, labels, mask, now, source)) is not None:
            found.append(alert)
    return Notified(tuple(found), own, len(entries) - own - len(found))


def _alert(
    entry: Mapping[str, Any], names: Sequence[str], mask: Callable[[str], str], now: datetime, source: str
) -> PrometheusAlert | None:
    """Return one alert; None where it has no usable time."""
    labels, annotations = entry["labels"], entry.get("annotations")
    starts = _time(entry.get("startsAt"))
    if starts is None or starts > now + CLOCKS_APART:
        return None
    ends = None
    if entry.get("status") == "resolved":
        ends = max(starts, min(_time(entry.get("endsAt")) or now, now))
    given = entry.get("fingerprint")
    known = isinstance(given, str) and _FINGERPRINT.fullmatch(given)
    texts = annotations if isinstance(annotations, dict) else {}
    return PrometheusAlert(
        fingerprint=given if isinstance(given, str) and known else _fingerprint(labels),
        name=_said(labels, ("alertname",), mask, NAME_CHARACTERS_MAX) or "(no name)",
        agent=_said(labels, names, mask, AGENT_CHARACTERS_MAX) or None,
        starts_at=starts,
        ends_at=ends,
        summary=_said(texts, _SUMMARIES, mask, SUMMARY_CHARACTERS_MAX),
        url=_address(entry.get("generatorURL"), mask),
        alertmanager_url=source,
    )


def _said(texts: Mapping[str, Any], names: Sequence[str], mask: Callable[[str], str], characters_max: int) -> str:
    """Return the first text of several names that says anything, masked before it is cut: no half of a secret stays.

    What is masked is bounded as well, far beyond what is kept: masking megabytes of one text takes seconds.
    """
    given = (texts.get(name) for name in names)
    text = next((one.strip() for one in given if isinstance(one, str) and one.strip()), "")
    return mask(text[:MASKED_CHARACTERS_MAX])[:characters_max]


def _address(text: Any, mask: Callable[[str], str]) -> str:
    """Return an address that may become a link, masked; "" for any other, also one that masking broke."""
    return web_address(mask(text)) if isinstance(text, str) and web_address(text) else ""


def _time(text: Any) -> datetime | None:
    """Return a time in UTC; None for what is none, Go's year 1 included."""
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return time if time.year >= YEAR_MIN else None


def _fingerprint(labels: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]
