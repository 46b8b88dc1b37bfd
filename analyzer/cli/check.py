"""One line of what `analyzer doctor` says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    name: str
    state: str
    """"ok", "off" (not set up, which is allowed) or "failed"."""
    detail: str
    hint: str = ""
    command: str = ""
    """What to type where this is missing; dots stand for what only the operator knows."""
