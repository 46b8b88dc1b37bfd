"""A store in a temporary folder, and the state in every database that holds one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support import postgres

from analyzer.stores.database import Connection
from analyzer.stores.postgres import PostgresState
from analyzer.stores.state import StateDatabase
from analyzer.stores.trajectories import SqliteTrajectories


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteTrajectories]:
    """Give an empty store."""
    opened = SqliteTrajectories(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Give the URL of a PostgreSQL that is there for the session."""
    with postgres.server() as url:
        yield url


@pytest.fixture
def database(postgres_server: str) -> str:
    """Return the URL of an empty database of PostgreSQL."""
    return postgres.database(postgres_server)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateDatabase]:
    """Give an empty state, in each kind of database."""
    if request.param == "sqlite":
        opened: StateDatabase = Connection(tmp_path / "state.db")
    else:
        opened = PostgresState(request.getfixturevalue("database"))
    with closing(opened):
        yield opened
