"""Progress on standard error, where it is a terminal; elsewhere nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

import click

_EVERY_S = 0.1
_BAR_COLUMNS = 30


class Counting:
    """A line that counts what has been done, for work whose length is not known beforehand."""

    def __init__(self, verb: str, noun: str) -> None:
        self._verb, self._noun = verb, noun
        self._count = 0
        self._began = time.monotonic()
        self._drawn = 0.0
        self._live = sys.stderr.isatty()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wipe the line: what was done is said elsewhere."""
        self._wipe()

    def add(self, count: int) -> None:
        """Count on, and draw if the last drawing is old enough."""
        self._count += count
        now = time.monotonic()
        if self._live and now - self._drawn > _EVERY_S:
            self._drawn = now
            rate = self._count / max(now - self._began, 1e-3)
            click.echo(f"\r\x1b[K{self._verb} {self._count:,} {self._noun} ({rate:,.0f}/s)", nl=False, err=True)

    def note(self, text: str) -> None:
        """Say what is done now, where nothing is counted."""
        if self._live:
            click.echo(f"\r\x1b[K{self._verb} {text}", nl=False, err=True)

    def line(self, text: str) -> None:
        """Print a line of its own on standard error."""
        self._wipe()
        click.echo(text, err=True)

    def _wipe(self) -> None:
        if self._live:
            click.echo("\r\x1b[K", nl=False, err=True)


class Phases:
    """A bar over the phases of a run."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._live = sys.stderr.isatty()

    def __call__(self, name: str) -> None:
        """Show that a phase begins; an empty name wipes the bar."""
        if not self._live:
            return
        if name not in self._names:
            click.echo("\r\x1b[K", nl=False, err=True)
            return
        done = self._names.index(name)
        bar = "#" * done + "-" * (len(self._names) - done)
        click.echo(f"\r\x1b[K[{bar}] {name}", nl=False, err=True)


class Bar:
    """A bar over work whose length is known."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._drawn = 0.0
        self._live = sys.stderr.isatty()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wipe the line: what was done is said elsewhere."""
        if self._live:
            click.echo("\r\x1b[K", nl=False, err=True)

    def __call__(self, done: int, of: int) -> None:
        """Draw how much is done if the last drawing is old enough."""
        now = time.monotonic()
        if self._live and now - self._drawn > _EVERY_S:
            self._drawn = now
            full = done * _BAR_COLUMNS // max(of, 1)
            bar = "#" * full + "-" * (_BAR_COLUMNS - full)
            click.echo(f"\r\x1b[K[{bar}] {done:,} of {of:,} {self._noun}", nl=False, err=True)
