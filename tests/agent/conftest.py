"""One filled store for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.filed import filed


@pytest.fixture(scope="session")
def filed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a simulated fleet and the incidents of a run; nobody writes to it."""
    return filed(tmp_path_factory.mktemp("filed") / "store.db")
