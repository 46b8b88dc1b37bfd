"""An answer on a terminal while it is written: statements as they stand, and what is being asked on one moving line."""

from __future__ import annotations

import sys
from threading import Lock
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from analyzer.types.explained import Statement

STEP_CHARS = 200
WIPE = "\r\x1b[K"
OTHERWISE = "What stands above was checked, but the model corrected itself. This is its answer:"


class Asking:
    """One line on standard error that says what is being asked and what it has cost; elsewhere than there nothing."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._live = sys.stderr.isatty()
        self._lock = Lock()
        self._line = ""

    def __call__(self, what: str, asked: str, usd: float | None) -> None:
        """Say what is asked now. Called from several threads."""
        from analyzer.render.numbers import money
        from analyzer.render.text import cut, one_line

        spent = f"{money(usd)} so far; " if usd else ""
        self._draw(cut(f"  . {spent}{one_line(f'asking {what} {asked}', STEP_CHARS)}".rstrip(), self._columns - 1))

    def wipe(self) -> None:
        """Take the line away."""
        self._draw("")

    def _draw(self, text: str) -> None:
        with self._lock:
            if self._live and (text or self._line):
                click.echo(f"{WIPE}{text}", nl=False, err=True)
                self._line = text


class Live:
    """Prints one answer: its statements as they come where that is a terminal, the rest at its end.

    What was printed is never printed again. Where the answer that counts does not begin with it (a repair that changed
    a statement, a model that broke off), that is said, and the answer follows whole.
    """

    def __init__(self, heading: str, columns: int, asking: Asking) -> None:
        self._heading = heading
        self._columns = columns
        self._asking = asking
        self._told: list[Statement] = []
        self._printed = ""

    def tell(self, statement: Statement) -> None:
        """Print a statement that stands."""
        from analyzer.render.answer import statements_outline
        from analyzer.render.terminal import terminal

        self._told.append(statement)
        self._print(terminal(statements_outline(self._told, self._heading), self._columns))

    def finish(self, text: str) -> None:
        """Print what is left of the whole answer."""
        if not text.startswith(self._printed):
            self._echo(f"\n{OTHERWISE}\n\n")
            self._printed = ""
        self._print(text)

    def _print(self, text: str) -> None:
        """Print a text, whose beginning was printed before."""
        self._echo(text.removeprefix(self._printed))
        self._printed = text

    def _echo(self, text: str) -> None:
        self._asking.wipe()
        click.echo(text, nl=False)
        sys.stdout.flush()
