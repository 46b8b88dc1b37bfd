"""What tells a program from one that works in another way: for what an earlier one has worked out and kept."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

_BYTES = 32


def program_of(sources: Iterable[Path]) -> bytes | None:
    """Return a digest of sources and of Python; None for a program without its sources, of which nobody can tell.

    It is the code itself, and not a version that somebody must remember to raise.
    """
    digest = blake2b(sys.version.encode(), digest_size=_BYTES)
    try:
        for file in sources:
            content = file.read_bytes()
            digest.update(f"{len(content)} ".encode() + content)
    except OSError:
        return None
    return digest.digest()
