"""Pages that are made from the program itself; `python tests/support/docs.py` writes them, a test compares them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def leaves() -> Iterator[tuple[str, ...]]:
    """Yield every command that does something, groups resolved."""
    import importlib

    import click

    from analyzer.cli.app import COMMANDS

    for name in COMMANDS:
        command = importlib.import_module(f"analyzer.cli.{name.replace('-', '_')}").command
        if isinstance(command, click.Group):
            yield from ((name, inner) for inner in command.commands)
        else:
            yield (name,)


def commands_page() -> str:
    """Return docs/commands.md: the help of the program and of every command."""
    parts = ["# Commands\n\nMade from the program; `make docs` writes it anew.\n"]
    for command in ((), *leaves()):
        title = " ".join(("analyzer", *command))
        done = subprocess.run(
            [sys.executable, "-m", "analyzer", *command, "--help"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={**os.environ, "COLUMNS": "100", "TERM": "dumb"},
        )
        parts.append(f"## {title}\n```\n{done.stdout.rstrip()}\n```\n")
    return "\n".join(parts)


def settings_page() -> str:
    """Return docs/settings.md: every setting with its variable, default and meaning."""
    from analyzer.config import SECTIONS, Settings, duration_text

    head = (
        "# Settings\n\nMade from the program; `make docs` writes it anew.\n\n"
        "A setting comes from its flag, else from its variable, else from `analyzer.toml` (in the working folder,\n"
        "or where `ANALYZER_CONFIG` says), else from its default. `analyzer doctor` shows each with its source.\n"
        "Durations are written `15m`, `24h`, `14d`. A misspelt name is refused.\n\n"
        "| in `analyzer.toml` | variable | default | meaning |\n|---|---|---|---|\n"
    )
    sections: Mapping[str, str] = {setting: section for section, setting in SECTIONS.items()}
    rows = []
    for spec in fields(Settings):
        if spec.name in sections:
            rows.append(f"| `[{sections[spec.name]}]` | - | - | {spec.metadata['doc']} |")
        else:
            text = duration_text(spec.default) if isinstance(spec.default, timedelta) else spec.default
            default = "-" if text is None else f"`{text}`"
            rows.append(f"| `{spec.name}` | `ANALYZER_{spec.name.upper()}` | {default} | {spec.metadata['doc']} |")
    return head + "\n".join(rows) + "\n"


def readme() -> str:
    """Return README.md with the report that the demo makes today between its markers."""
    text = (ROOT / "README.md").read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "analyzer", "demo", "--folder", folder],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
    messages = [f"New: {part}" for part in done.stdout.split("New: ")[1:]]
    [cost] = [message for message in messages if "cost per trajectory" in message]
    before, _, rest = text.partition("<!-- demo: made by `make docs` -->\n")
    _, _, after = rest.partition("<!-- /demo -->")
    report = cost.split("\n\nReports:")[0].rstrip()
    return f"{before}<!-- demo: made by `make docs` -->\n```\n{report}\n```\n<!-- /demo -->{after}"


PAGES = {"../README.md": readme, "commands.md": commands_page, "settings.md": settings_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), "utf-8")
        print(DOCS / name)
