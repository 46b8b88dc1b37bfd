"""Fences around every test: no credentials, no paid API, no settings of the person who runs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DEAD = "http://127.0.0.1:9"
"""A loopback port on which nothing listens: what a forgotten base URL must hit instead of a paid API."""
_FENCED_OFF = ("ANALYZER_", "ANTHROPIC_", "OPENAI_", "OTEL_", "AWS_")


@pytest.fixture(autouse=True)
def fenced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test starts without credentials, with base URLs that lead nowhere and with a home of its own."""
    for name in [name for name in os.environ if name.startswith(_FENCED_OFF)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", DEAD)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{DEAD}/v1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded runs beside the checkout; tests that want it are skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("recorded runs (../shared/data) are not here")
    return folder
