"""Questions one after the other: from a prompt on a terminal, a line each from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress

import click

from analyzer.errors import StoppedError

PROMPT = "? "
BYTE_ORDER_MARK = "\ufeff"


def at_a_prompt() -> bool:
    """Tell whether a person types the questions."""
    return sys.stdin.isatty()


def questions() -> Iterator[str]:
    """Yield questions until the input ends, empty lines left out.

    At a prompt lines can be edited and called back (not kept beyond the session: a question may say what is nobody
    else's business), Ctrl-C drops the line, Ctrl-D ends.
    """
    read = _typed if at_a_prompt() else _line
    if at_a_prompt():
        with suppress(ImportError):
            # Importing it is what gives `input` its history.
            import readline  # noqa: F401
        click.echo("One question a line; Ctrl-D ends.", err=True)
    else:
        _readable()
    while True:
        try:
            question = read().strip().removeprefix(BYTE_ORDER_MARK)
        except EOFError:
            if at_a_prompt():
                click.echo(err=True)
            return
        except StoppedError:
            raise
        except KeyboardInterrupt:
            if not at_a_prompt():
                raise
            click.echo(err=True)
            continue
        if question:
            yield question


def _typed() -> str:
    """Return a line from the terminal. The prompt never goes into a file that takes the answers."""
    if sys.stdout.isatty():
        return input(PROMPT)
    click.echo(PROMPT, nl=False, err=True)
    return input()


def _line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _readable() -> None:
    """Have bytes that are no text shown as such, and not end the session."""
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
