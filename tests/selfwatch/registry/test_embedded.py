"""The registry in the store: what was seen and what was said, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.spans import EPOCH, root

from analyzer.errors import NotFoundError, UsageError
from analyzer.selfwatch.registry.base import Registration
from analyzer.selfwatch.registry.embedded import EmbeddedRegistry
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.agents import Entry

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[EmbeddedRegistry]:
    """Give a registry over a store that has seen one agent."""
    with SqliteTrajectories(tmp_path / "store.db") as store:
        store.add([root(1, agent="shop")])
        yield EmbeddedRegistry(store, clock=lambda: AT)


def test_what_was_said_stands_with_what_was_seen(registry: EmbeddedRegistry) -> None:
    """Somebody's word is laid over the sighting, and an agent that is still to come is listed as not seen."""
    registry.register(Registration("shop", owner="team-a", contact="#shop"))
    registry.register(Registration("later", description="will sell"))
    later, shop = registry.agents()
    assert (shop.agent, shop.first_seen, shop.is_seen) == ("shop", EPOCH, True)
    assert shop.entry == Entry("shop", "team-a", "#shop", "", AT)
    assert (later.agent, later.first_seen, later.is_seen) == ("later", None, False)


def test_what_is_not_given_stays_and_an_empty_text_takes_back(registry: EmbeddedRegistry) -> None:
    """Each part of an entry is said for itself."""
    registry.register(Registration("shop", owner="team-a", contact="#shop"))
    registry.register(Registration("shop", contact=""))
    assert registry.agent("shop").entry == Entry("shop", "team-a", "", "", AT)


def test_an_agent_that_nobody_knows_is_refused_with_those_like_it(registry: EmbeddedRegistry) -> None:
    """A slip of the pen is answered with the name that was meant."""
    with pytest.raises(NotFoundError, match=r"no agent called 'shopp'; did you mean shop"):
        registry.agent("shopp")


def test_a_secret_in_an_entry_is_masked_and_a_mail_address_is_not(registry: EmbeddedRegistry) -> None:
    """An address that stands alone was given to be shown; a key never was."""
    key = "sk-ant-api03-" + "a1B2" * 20
    registry.register(Registration("shop", owner="jo@example.org", contact=f"key {key}", description=f"uses {key}"))
    entry = registry.agent("shop").entry
    assert entry is not None
    assert entry.owner == "jo@example.org"
    assert key not in f"{entry.contact} {entry.description}"


@pytest.mark.parametrize("name", ["", "  ", "x" * 256])
def test_a_name_that_no_agent_has_is_refused(registry: EmbeddedRegistry, name: str) -> None:
    """Neither nothing nor a page of text is a name."""
    with pytest.raises(UsageError, match="name the agent"):
        registry.register(Registration(name, owner="x"))
