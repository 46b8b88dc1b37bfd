"""Opening what the settings name, one thing at a time: commands that need only the store load nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.agent.recording import RecordingModel, ReplayedModel
from analyzer.config import Settings
from analyzer.errors import NotFoundError, UsageError
from analyzer.stores.audit import SqliteAudit
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.postgres import PostgresState
from analyzer.stores.spending import SqliteSpending
from analyzer.stores.state import StateDatabase
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.stores.turn import Turn
from analyzer.types.spending import Allowance, Scope
from analyzer.wiring.collecting import elsewhere_of, filled_by
from analyzer.wiring.judging import loop_judge

if TYPE_CHECKING:
    from analyzer.agent.model import Model
    from analyzer.agent.text import Mask


def open_store(settings: Settings, form: Callable[..., SqliteTrajectories] = SqliteTrajectories) -> SqliteTrajectories:
    """Open the trajectory store, in the form that is wanted. Raises StoreError."""
    patterns = tuple(settings.mask_patterns.items())
    state = None if settings.state is None else partial(PostgresState, settings.state)
    allow, elsewhere = settings.mask_allow, elsewhere_of(settings)
    known = {"patterns": patterns, "allow": allow, "state": state, "elsewhere": elsewhere, "judge": loop_judge}
    return form(settings.store, **known)


def open_fenced(settings: Settings, turn: Turn | None, *, or_read: bool) -> SqliteTrajectories:
    """Open the store so that what is shared is written only while a turn is held. Raises StoreError."""
    store = open_store(settings, partial(SqliteTrajectories, or_read=or_read))
    if turn is not None and isinstance(store.state, PostgresState):
        store.state.fence = turn.fence
    return store


def open_reader(settings: Settings) -> SqliteTrajectories:
    """Open a store that is there and up to date, so that nothing can be written by it. Raises StoreError."""
    return open_store(settings, partial(SqliteTrajectories, read_only=True))


def open_existing(
    settings: Settings, form: Callable[..., SqliteTrajectories] = SqliteTrajectories
) -> SqliteTrajectories:
    """Open the store to read what is in it. Raises NotFoundError where there is none, StoreError.

    A misspelt path is no empty store: whoever only asks must not make one. One that this user may not write is read all
    the same, and what would be written into it is refused then.
    """
    require_store(settings)
    return open_store(settings, partial(form, or_read=True))


def require_store(settings: Settings) -> None:
    """Raise NotFoundError where there is no store yet; that there cannot be one at this path, opening it says."""
    path = settings.store
    if path.exists() or not next(folder for folder in path.absolute().parents if folder.exists()).is_dir():
        return
    here = f"{filled_by(settings)} makes one, --store or ANALYZER_STORE names another"
    raise NotFoundError(f"there is no store {path}: {here}")


def require_writable(settings: Settings, why: str) -> None:
    """Raise UsageError where the store can only be read: whoever will write must not find out at the first call.

    Raises NotFoundError where there is none, StoreError.
    """
    with open_existing(settings) as store:
        if store.connection.is_sealed:
            how = "make the file and its folder writable for this user, or set ANALYZER_STORE to a copy"
            raise UsageError(f"the store {settings.store} cannot be written, and {why}: {how}")


@contextmanager
def open_memory(settings: Settings) -> Iterator[SqliteIncidents]:
    """Open the analyst's own memory for a block. Raises NotFoundError, StoreError."""
    if settings.state is not None:
        with closing(PostgresState(settings.state)) as state:
            yield SqliteIncidents(state)
        return
    with open_existing(settings) as store:
        yield SqliteIncidents(store.state)


@contextmanager
def open_audit(settings: Settings) -> Iterator[SqliteAudit]:
    """Open the analyst's log for a block, to read it. Raises NotFoundError, StoreError."""
    with open_existing(settings) as store:
        yield SqliteAudit(store.state, store.masker)


def spending_of(settings: Settings, connection: StateDatabase, run: str) -> SqliteSpending:
    """Return the purse of a run over a store."""
    allowances = {
        Scope.INVESTIGATION: Allowance(settings.investigation_tokens, settings.investigation_usd),
        Scope.RUN: Allowance(settings.budget_tokens, settings.budget_usd),
        Scope.DAY: Allowance(settings.budget_tokens_per_day, settings.budget_usd_per_day),
    }
    return SqliteSpending(connection, allowances, run=run)


@dataclass(frozen=True, slots=True)
class Tape:
    """Where conversations with the model are recorded to, or played back from."""

    record: Path | None = None
    replay: Path | None = None

    def __post_init__(self) -> None:
        if self.record is not None and self.replay is not None:
            raise UsageError("--record and --replay exclude each other: what is played back is recorded already")


def open_model(settings: Settings) -> Model | None:
    """Return the model that explains, or None where it is switched off or the SDK finds no credentials."""
    if settings.llm == "off":
        return None
    from analyzer.agent.claude import ClaudeModel, available

    return ClaudeModel(settings.model) if available() else None


@contextmanager
def open_taped(settings: Settings, tape: Tape, mask: Mask) -> Iterator[Model | None]:
    """Give the model with its recording, or the recording in its place. Raises UsageError where there is nothing to."""
    if tape.replay is not None:
        if settings.llm == "off":
            raise UsageError("--replay needs a model's part: leave out --llm off (ANALYZER_LLM=off)")
        yield ReplayedModel(tape.replay, mask)
        return
    model = open_model(settings)
    if tape.record is None:
        yield model
        return
    if model is None:
        raise UsageError("--record has no model to record; `analyzer doctor` says what is missing")
    with closing(RecordingModel(model, tape.record, mask)) as recording:
        yield recording


def reports_folder(settings: Settings) -> Path:
    """Return where report files go: the setting, or a folder beside the store."""
    return settings.reports if settings.reports is not None else settings.store.parent / "reports"
