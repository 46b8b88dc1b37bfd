"""Fences around every test: no credentials, no paid API, no settings of the person who runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

DEAD = "http://127.0.0.1:9"
"""A loopback port on which nothing listens: what a forgotten base URL must hit instead of a paid API."""
_SIZES = ("COLUMNS", "LINES")
"""Of somebody's terminal; where tests run side by side each process is given one."""
_FENCED_OFF = ("ANALYZER_", "ANTHROPIC_", "OPENAI_", "OTEL_", "AWS_")


@pytest.fixture(scope="session", autouse=True)
def _fenced_off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is made once for many tests is made behind the same fences."""
    with pytest.MonkeyPatch.context() as patched:
        _fence(patched, tmp_path_factory.mktemp("fenced"))
        yield


@pytest.fixture(autouse=True)
def fenced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test starts without credentials, with base URLs that lead nowhere and with a home of its own."""
    _fence(monkeypatch, tmp_path)


def _fence(patched: pytest.MonkeyPatch, folder: Path) -> None:
    for name in [name for name in os.environ if name.startswith(_FENCED_OFF) or name in _SIZES]:
        patched.delenv(name)
    patched.setenv("ANTHROPIC_BASE_URL", DEAD)
    patched.setenv("OPENAI_BASE_URL", f"{DEAD}/v1")
    patched.setenv("HOME", str(folder / "home"))
    patched.setenv("XDG_DATA_HOME", str(folder / "home" / "data"))
    patched.setenv("XDG_CONFIG_HOME", str(folder / "home" / "config"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        patched.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded runs beside the checkout; tests that want it are skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("recorded runs (../shared/data) are not here")
    return folder
