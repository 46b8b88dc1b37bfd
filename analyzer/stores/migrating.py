"""Bringing a store up to date: named steps in their order, each of them once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

    Step = Callable[[Database], None]

_SET = "analyzer"
"""Under this name a store records which steps it has had."""


class Steps:
    """The steps in their order. sqlite-utils runs them, and is imported only then: it brings numpy, half of a start."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def __call__(self) -> Callable[[Step], Step]:
        """Return a decorator that makes a function the last step."""

        def register(step: Step) -> Step:
            self._steps.append(step)
            return step

        return register

    def are_pending(self, raw: sqlite3.Connection) -> bool:
        """Tell whether a store lacks any step. Only reads."""
        if not raw.execute("SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'").fetchone():
            return True
        found = raw.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = ?", (_SET,))
        return not {step.__name__ for step in self._steps} <= {name for (name,) in found}

    def apply(self, raw: sqlite3.Connection) -> None:
        """Run what a store lacks, in the caller's transaction."""
        from sqlite_utils import Database, Migrations

        migrations = Migrations(_SET)
        for step in self._steps:
            migrations()(step)
        migrations.apply(Database(raw, execute_plugins=False))
