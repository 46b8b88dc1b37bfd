"""The analyst's card, as the A2A protocol (1.0) has it: what other agents read to learn what it does.

It is honest about what there is not: the analyst speaks none of A2A's own bindings, so its one interface names the
webhook that it does take, by an address of its own, and a client of A2A finds nothing that it could call by mistake.
"""

from __future__ import annotations

import json
from typing import Any

from analyzer.errors import UsageError
from analyzer.selfwatch.registry.base import Registration

PROTOCOL = "1.0"
BINDING = "https://prometheus.io/docs/alerting/latest/configuration/#webhook_config"
"""Bindings beyond A2A's own are named by an address (specification, 5.8): this is Alertmanager's webhook."""
INBOX = "/api/alerts"
_JSON = "application/json"
_TOKEN = "token"  # noqa: S105 - the name of the scheme, not a token


class AgentCard:
    """The card of one agent. It is a `Registry` of just that one: whoever wants to know asks the server."""

    def __init__(self) -> None:
        self.body = b""
        """The document, as JSON."""

    def register(self, registration: Registration) -> None:
        """Write the card. Raises UsageError for an agent that cannot be reached or does not say what it is."""
        self.body = json.dumps(document(registration), ensure_ascii=False).encode()


def document(one: Registration) -> dict[str, Any]:
    """Return the card of an agent by the field names of A2A's JSON. Raises UsageError; see `AgentCard.register`."""
    if not (one.url and one.description and one.version and one.skills):
        raise UsageError(f"a card of {one.name} needs its address, description, version and skills")
    card: dict[str, Any] = {
        "name": one.name,
        "description": one.description,
        "version": one.version,
        "supportedInterfaces": [
            {"url": f"{one.url.rstrip('/')}{INBOX}", "protocolBinding": BINDING, "protocolVersion": PROTOCOL}
        ],
        "capabilities": {"streaming": False, "pushNotifications": False, "extendedAgentCard": False},
        "defaultInputModes": [_JSON],
        "defaultOutputModes": [_JSON],
        "skills": [
            {
                "id": skill.id,
                "name": skill.name,
                "description": skill.description,
                "tags": list(skill.tags),
                **({"examples": list(skill.examples)} if skill.examples else {}),
            }
            for skill in one.skills
        ],
    }
    if one.needs_token:
        card["securitySchemes"] = {
            _TOKEN: {"httpAuthSecurityScheme": {"scheme": "Bearer", "description": "the token of the receiver"}}
        }
        card["securityRequirements"] = [{"schemes": {_TOKEN: {"list": []}}}]
    return card
