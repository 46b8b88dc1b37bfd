"""Opening what the settings name, one thing at a time: commands that need only the store load nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.config import Settings
from analyzer.errors import NotFoundError
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories

if TYPE_CHECKING:
    from analyzer.agent.model import Model
    from analyzer.metrics.prometheus import Prometheus


def open_store(settings: Settings, form: Callable[..., SqliteTrajectories] = SqliteTrajectories) -> SqliteTrajectories:
    """Open the trajectory store, in the form that is wanted. Raises StoreError."""
    patterns = tuple(settings.mask_patterns.items())
    return form(settings.store, patterns=patterns, allow=settings.mask_allow)


def open_reader(settings: Settings) -> SqliteTrajectories:
    """Open a store that is there and up to date, so that nothing can be written by it. Raises StoreError."""
    return open_store(settings, partial(SqliteTrajectories, read_only=True))


def open_existing(
    settings: Settings, form: Callable[..., SqliteTrajectories] = SqliteTrajectories
) -> SqliteTrajectories:
    """Open the store to read what is in it. Raises NotFoundError where there is none, StoreError.

    A misspelt path is no empty store: whoever only asks must not make one.
    """
    require_store(settings)
    return open_store(settings, form)


def require_store(settings: Settings) -> None:
    """Raise NotFoundError where there is no store yet; that there cannot be one at this path, opening it says."""
    path = settings.store
    if path.exists() or not next(folder for folder in path.absolute().parents if folder.exists()).is_dir():
        return
    here = "`analyzer ingest PATH` makes one, --store or ANALYZER_STORE names another"
    raise NotFoundError(f"there is no store {path}: {here}")


@contextmanager
def open_memory(settings: Settings) -> Iterator[SqliteIncidents]:
    """Open the analyst's own memory for a block. Raises NotFoundError, StoreError."""
    with open_existing(settings) as store:
        yield SqliteIncidents(store.connection)


def open_prometheus(settings: Settings) -> Prometheus | None:
    """Return the configured Prometheus, or None. Nothing is sent yet."""
    if settings.prometheus_url is None:
        return None
    # Its import takes as long as a small run.
    from analyzer.metrics.prometheus import Prometheus

    return Prometheus(settings.prometheus_url, timeout_s=settings.prometheus_timeout_s, token=settings.prometheus_token)


def open_model(settings: Settings) -> Model | None:
    """Return the model that explains, or None where it is switched off or the SDK finds no credentials."""
    if settings.llm == "off":
        return None
    from analyzer.agent.claude import ClaudeModel, available

    return ClaudeModel(settings.model) if available() else None


def reports_folder(settings: Settings) -> Path:
    """Return where report files go: the setting, or a folder beside the store."""
    return settings.reports if settings.reports is not None else settings.store.parent / "reports"
