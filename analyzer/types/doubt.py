"""What is to be said of figures that metrics and traces do not agree about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the figures of a finding may be off."""

    said: str
    """A sentence for people."""
    from_short: bool
    """They come from the side that misses work, or counts it twice: no explanation of them is more than likely."""
