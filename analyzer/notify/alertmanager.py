"""Alertmanager, told of incidents as a Prometheus would tell it: existing routes, silences and receivers work.

Alertmanager is no route of messages: it keeps a set of alerts, forgets those that are not sent again, and decides
itself whom to tell. So each run sends every incident that goes on, and ends what it finds there of those that do not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from analyzer.errors import DeliveryError
from analyzer.notify.base import Message
from analyzer.render.links import NO_LINKS, Links
from analyzer.render.message import headline
from analyzer.render.text import one_line
from analyzer.types.report import ACTIVE, Incident
from analyzer.types.sent import Reason
from analyzer.web import TIMEOUT_S, ask, check_url

ALERT_NAME = "AgentIncident"
ALERTS_AT_ONCE = 500
"""Alerts in one request: some 300 KiB."""
TEST_LENGTH = timedelta(minutes=5)
_TEXT_CHARACTERS_MAX = 1000
_WHO = "Alertmanager"
_LOOKALIKES = str.maketrans({"<": "\u2039", ">": "\u203a"})
_JOINER = "\u2060"


class Alertmanager:
    """One Alertmanager, by its API of version 2."""

    def __init__(
        self,
        url: str,
        *,
        expiry: timedelta,
        token: str | None = None,
        links: Links = NO_LINKS,
        timeout_s: float = TIMEOUT_S,
        asked: Callable[..., bytes] = ask,
    ) -> None:
        """Check the URL; alerts end by themselves `expiry` after they were last sent. Raises UsageError.

        `asked` stands in for `web.ask`.
        """
        check_url(url, "ANALYZER_ALERTMANAGER_URL")
        self._api = f"{url.rstrip('/')}/api/v2"
        self._expiry = expiry
        self._headers = {} if token is None else {"Authorization": f"Bearer {token.strip()}"}
        self._links = links
        self._timeout_s = timeout_s
        self._asked = asked

    def tell(self, incidents: Sequence[Incident], known: Collection[str], at: datetime) -> None:
        """Send the incidents that go on; end what is there of the incidents `known`, by id, and goes on no more.

        So a resolution, a dismissal, a mute and a severity that changed (it is a label) end the alert that stood for
        it; alerts of another installation are left alone. Raises DeliveryError.
        """
        alerts = [_alert(one, at, at + self._expiry, self._links) for one in incidents if _is_told(one, at)]
        now_firing = [alert["labels"] for alert in alerts]
        ended = [
            {"labels": labels, "startsAt": starts, "endsAt": _time(at)}
            for labels, starts in self._there()
            if labels.get("incident") in known and labels not in now_firing
        ]
        self._post([*ended, *alerts])

    def send(self, message: Message) -> None:
        """Send one incident for five minutes: a test message. Raises DeliveryError."""
        self._post([_alert(message.incident, message.at, message.at + TEST_LENGTH, self._links)])

    def check(self) -> str:
        """Ask for the status, which changes nothing; return a line about it. Raises DeliveryError."""
        status = self._read("/status")
        info = status.get("versionInfo") if isinstance(status, dict) else None
        if not isinstance(info, dict):
            raise DeliveryError(f"{_WHO} answered, but not as it should: check its URL", retryable=False)
        return f"version {str(info.get('version'))[:20]}; nothing was sent"

    def _there(self) -> list[tuple[dict[str, str], str]]:
        """Return labels and start of the alerts that are there under our name, silenced ones included."""
        wanted = quote(f'alertname="{ALERT_NAME}"')
        found = self._read(f"/alerts?filter={wanted}")
        try:
            return [(dict(alert["labels"]), str(alert["startsAt"])) for alert in found]
        except (TypeError, KeyError, ValueError):
            raise DeliveryError(f"{_WHO} answered, but not as it should: check its URL", retryable=False) from None

    def _post(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        headers = {**self._headers, "Content-Type": "application/json"}
        for begin in range(0, len(alerts), ALERTS_AT_ONCE):
            body = json.dumps(alerts[begin : begin + ALERTS_AT_ONCE]).encode("ascii")
            self._asked(f"{self._api}/alerts", who=_WHO, body=body, headers=headers, timeout_s=self._timeout_s)

    def _read(self, path: str) -> Any:
        answer = self._asked(f"{self._api}{path}", who=_WHO, headers=self._headers, timeout_s=self._timeout_s)
        try:
            return json.loads(answer)
        except ValueError:
            raise DeliveryError(f"{_WHO} answered, but not as it should: check its URL", retryable=False) from None


def _is_told(incident: Incident, at: datetime) -> bool:
    muted = incident.muted_until is not None and at < incident.muted_until
    return incident.state in ACTIVE and not muted


def _alert(incident: Incident, at: datetime, ends_at: datetime, links: Links) -> dict[str, Any]:
    diagnosis = incident.diagnosis
    cause = "" if diagnosis is None else diagnosis.cause or diagnosis.summary
    labels = {
        "alertname": ALERT_NAME,
        "agent": incident.subject.agent or "",
        "kind": incident.kind.value,
        "severity": incident.severity.value,
        "incident": incident.id,
    }
    annotations = {
        "summary": _text(headline(incident, Reason.FIRST_SEEN).partition(": ")[2]),
        "description": _text(cause),
        "owner": _text(", ".join(incident.owners)),
        "command": f"analyzer incidents show {incident.id}",
    }
    page = links.incident(incident)
    return {
        # Alertmanager takes an empty label for none, and answers without it: what is compared must be without it too.
        "labels": {name: one_line(value) for name, value in labels.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": _time(min(incident.onset, at)),
        "endsAt": _time(ends_at),
        **({"generatorURL": page} if page else {}),
    }


def _text(text: str) -> str:
    """Return text in which a template, which sets annotations as they are, finds no tag, mention or link."""
    shown = one_line(text, _TEXT_CHARACTERS_MAX).translate(_LOOKALIKES)
    return shown.replace("@", f"@{_JOINER}").replace("://", f":{_JOINER}//")


def _time(at: datetime) -> str:
    return at.isoformat()
