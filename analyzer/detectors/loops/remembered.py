"""Scans that an earlier run made: a trajectory that says the same as then is not scanned again.

A run looks at the same trajectories as the run before it, but for a quarter of an hour, and at two hundred old ones of
every agent that loops. A scan is known by all that it sees: the steps as they were read and the rules' own code. So
late spans, texts that were pruned and prices that were changed need no rule of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import orjson

from analyzer.detectors.loops.scan import Loop, scan
from analyzer.types import messages, noise, quick, steps, trace
from analyzer.types.program import program_of
from analyzer.types.steps import Step

_KEY_BYTES = 16
"""A thousand million scans share a key by chance once in 10^20 times."""
BESIDE = (messages, noise, quick, steps, trace)
"""What the rules use that stands elsewhere."""


class Scans:
    """The loops of trajectories, each scanned once by the runs that hand on what they know."""

    def __init__(self, kept: Callable[[], bytes | None]) -> None:
        """`kept` gives what the run before had as `body`; it is asked when the first trajectory is looked at."""
        self._kept = kept
        self._known: Mapping[str, Sequence[Loop]] | None = None
        self._used: dict[str, Sequence[Loop]] = {}

    def loops_of(self, trajectory: Sequence[Step]) -> Sequence[Loop]:
        """Return what `scan` returns."""
        if not trajectory:
            return ()
        key = _key(trajectory)
        if key is None:
            return scan(trajectory)
        if key not in self._used:
            if self._known is None:
                self._known = _read(self._kept())
            self._used[key] = self._known[key] if key in self._known else scan(trajectory)
        return self._used[key]

    @property
    def body(self) -> bytes | None:
        """What the next run needs: all that this one asked for and nothing else; None where it is known already."""
        if self._known is None or self._used == self._known:
            return None
        return orjson.dumps({key: [astuple(loop) for loop in loops] for key, loops in self._used.items()})


def _read(body: bytes | None) -> Mapping[str, Sequence[Loop]]:
    """Return scans by what they saw; none where an older or a later release kept them in another form."""
    try:
        return {key: tuple(map(_loop, loops)) for key, loops in orjson.loads(body or b"{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _loop(row: Sequence[object]) -> Loop:
    # As `body` wrote it, where tuples became lists; another number of fields raises TypeError.
    return Loop(*(tuple(part) if isinstance(part, list) else part for part in row))  # type: ignore[arg-type]


def _key(trajectory: Sequence[Step]) -> str | None:
    """Return what tells a scan from every other one; None where that cannot be said."""
    rules = _rules()
    try:
        seen = orjson.dumps(list(trajectory))
    except TypeError:
        # Half a character pair, which UTF-8 cannot hold.
        return None
    return None if rules is None else blake2b(seen, key=rules, digest_size=_KEY_BYTES).hexdigest()


@lru_cache(maxsize=1)
def _rules() -> bytes | None:
    """Return what tells these rules from others; None for a program without its sources."""
    return program_of([*sorted(Path(__file__).parent.glob("*.py")), *(Path(str(one.__file__)) for one in BESIDE)])
