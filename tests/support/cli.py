"""Runs the program as a user does: another process, its own environment, its real exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def analyzer(
    *arguments: str, env: Mapping[str, str] | None = None, stdin: bytes = b"", timeout_s: float = 300
) -> Ended:
    """Run `analyzer` with arguments; the tests' fences (no keys, dead base URL) hold in it as well."""
    done = subprocess.run(
        [sys.executable, "-m", "analyzer", *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, **(env or {})},
        timeout=timeout_s,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def announced(process: subprocess.Popen[str]) -> Any:
    """Return the JSON document that a program prints when it is ready, while it goes on."""
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        text += line
    return json.loads(text)
