"""Several instances over one state: where their rounds are, and what tells whether two would find the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

from analyzer.config import Settings
from analyzer.detectors.program import program_of_detectors
from analyzer.pipeline.app import Division
from analyzer.stores.postgres import PostgresState
from analyzer.stores.rounds import PostgresRounds, Stage
from analyzer.stores.state import StateDatabase
from analyzer.stores.turn import Turn, this_process
from analyzer.wiring.detecting import installed


def division_of(settings: Settings, state: StateDatabase, turn: Turn | None) -> Division:
    """Return how the holder of a turn divides its detection. A state that is one file is not shared."""
    if turn is None or not isinstance(state, PostgresState):
        return Division()
    rounds = PostgresRounds(state, this_process("analyzer run"), turn.token)
    return Division(rounds, partial(program_of_detection, settings))


def rounds_told(state: StateDatabase, turn: str) -> str:
    """Say in words for people how far the run of a turn is; "" where it is not divided. Raises StoreError."""
    if not isinstance(state, PostgresState):
        return ""
    rounds = PostgresRounds(state, this_process("analyzer doctor"))
    if rounds.stage(turn) is not Stage.DIVIDED:
        return ""
    done = rounds.handed_in()
    by = ", ".join(sorted({one.by for one in done.values()}))
    return f"; {len(done):,} of {len(rounds.laid_out()):,} parts are done" + (f" by {by}" if by else "")


def program_of_detection(settings: Settings) -> bytes:
    """Return what tells the detectors of this installation and their settings from others; b"" where nobody can tell.

    The code itself, as far as it is ours, and what it reckons with; names and versions of others' detectors.
    """
    code = program_of_detectors()
    if code is None:
        return b""
    set_ = (settings.detectors, settings.budgets, settings.calendar, settings.lookback, settings.history)
    said = repr((installed(), [_plain(one) for one in set_]))
    return blake2b(said.encode("utf-8", "surrogatepass"), key=code, digest_size=32).digest()


def _plain(value: Any) -> Any:
    """Return a setting in a form that says the same whatever the order in which it was written down."""
    if is_dataclass(value) and not isinstance(value, type):
        return [(entry.name, _plain(getattr(value, entry.name))) for entry in fields(value)]
    if isinstance(value, Mapping):
        return sorted((repr(key), _plain(one)) for key, one in value.items())
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
