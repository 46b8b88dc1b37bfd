"""The card of A2A: taken by the protocol's own SDK, and true."""

from __future__ import annotations

import json

import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import parse_agent_card
from a2a.types import AgentCard as Parsed
from a2a.utils.constants import AGENT_CARD_WELL_KNOWN_PATH, PROTOCOL_VERSION_CURRENT, TransportProtocol
from a2a.utils.proto_utils import validate_proto_required_fields
from google.protobuf.json_format import ParseDict

from analyzer.errors import UsageError
from analyzer.selfwatch.registry.base import Registration
from analyzer.selfwatch.registry.card import INBOX, PROTOCOL, AgentCard, document
from analyzer.selfwatch.registry.own import own
from analyzer.server.alerts import PATH as ALERTS
from analyzer.server.app import CARD

URL = "https://analyzer.example.org/agents"


def parsed(**fields) -> Parsed:
    """Return the card as the SDK reads it: no field is unknown to it, and none that it needs is missing."""
    made = document(own(URL, **{"needs_token": False, **fields}))
    card = ParseDict(made, Parsed(), ignore_unknown_fields=False)
    validate_proto_required_fields(card)
    assert parse_agent_card(json.loads(json.dumps(made))) == card
    return card


def test_the_card_says_what_the_analyst_is() -> None:
    """Name, version and skills are those of the program; where it is reached is the address that people set."""
    card = parsed()
    assert (card.name, bool(card.version), bool(card.description)) == ("analyzer", True, True)
    assert [interface.url for interface in card.supported_interfaces] == [f"{URL}{ALERTS}"]
    assert [skill.id for skill in card.skills] == ["investigate-alert", "watch-fleet"]
    assert not card.capabilities.streaming
    assert not card.capabilities.push_notifications
    assert not card.security_requirements


def test_paths_and_versions_are_those_of_the_protocol() -> None:
    """The card stands where A2A looks for it, and its one interface is where alerts are taken."""
    assert CARD == AGENT_CARD_WELL_KNOWN_PATH
    assert PROTOCOL == PROTOCOL_VERSION_CURRENT
    assert INBOX == ALERTS


def test_a_client_of_a2a_finds_nothing_that_it_could_call_by_mistake() -> None:
    """None of the protocol's own bindings is claimed: its client says that nothing fits, before it sends anything."""
    card = parsed()
    assert not {one.protocol_binding for one in card.supported_interfaces} & {one.value for one in TransportProtocol}
    with pytest.raises(ValueError, match="no compatible transports found"):
        ClientFactory(ClientConfig()).create(card)


def test_a_token_that_is_needed_is_said_and_never_shown() -> None:
    """The card names the scheme; a card without a token asks for none."""
    card = parsed(needs_token=True)
    assert card.security_schemes["token"].http_auth_security_scheme.scheme == "Bearer"
    assert list(card.security_requirements[0].schemes) == ["token"]


def test_an_agent_that_does_not_say_what_it_is_has_no_card() -> None:
    """A card without an address or skills would be refused by whoever reads it."""
    with pytest.raises(UsageError, match="needs its address"):
        AgentCard().register(Registration("bare"))
