"""What earlier runs found of a series by a midnight: where that is nothing, the next run walks on from there.

A walk that has found nothing takes no more into a day than how far each CUSUM has risen. What makes it hold is said by
two digests. One is of the series, the detector with its settings, and the code; the other of all that the walk saw up
to the midnight. So late spans, other settings and another release need no rule of their own: what does not fit is
walked anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import orjson

from analyzer.detectors.kernels.grid import BINS_MAX, TICKS_PER_HOUR, Grid
from analyzer.detectors.kernels.model import BaselineT, Model
from analyzer.detectors.kernels.walk import Midnight, Walk
from analyzer.detectors.program import program_of_detectors
from analyzer.types.metric import FlatSketches, Series

LATE_TICKS = 6 * TICKS_PER_HOUR
"""A midnight younger than this is not handed on: spans that come some hours late would make it worthless, and to
take the one before costs a day more."""
_DIGEST_BYTES = 16
"""A thousand million series share a digest by chance once in 10^20 times."""


@dataclass(frozen=True, slots=True)
class _Kept:
    midnight: Midnight
    seen: str
    """Digest of what had been seen by then."""


class Midnights:
    """From where on series are to be walked, for the runs that hand on what they know."""

    def __init__(self, kept: Callable[[], bytes | None]) -> None:
        """`kept` gives what the run before had as `body`; it is asked when the first series is walked."""
        self._kept = kept
        self._known: Mapping[str, _Kept] | None = None
        self._used: dict[str, _Kept] = {}

    def walked(self, model: Model[BaselineT], series: Series, rules: str) -> Walk[BaselineT]:
        """Return a walk to the end of a model's grid; `rules` tell what made the model of the series."""
        key = _key(series, model.grid, rules)
        if key is None:
            return Walk(model).run()
        if self._known is None:
            self._known = _read(self._kept())
        before = self._known.get(key)
        if before is not None and not _holds(before, model, series):
            before = None
        walk = Walk(model, None if before is None else before.midnight).run()
        settled = [one for one in walk.midnights if one.tick <= model.grid.stop - LATE_TICKS]
        if settled and before is not None and settled[-1] is before.midnight:
            self._used[key] = before
        elif settled:
            self._used[key] = _Kept(settled[-1], _seen(series, model.grid, settled[-1].tick))
        return walk

    @property
    def body(self) -> bytes | None:
        """What the next run needs: of the series of this one and of nothing else; None where it is known already."""
        if self._known is None or self._used == self._known:
            return None
        return orjson.dumps(
            {key: [one.midnight.tick, one.midnight.rising, one.seen] for key, one in self._used.items()}
        )


def _read(body: bytes | None) -> Mapping[str, _Kept]:
    """Return what is known by series; nothing where another release kept it in another form."""
    try:
        return {
            key: _Kept(Midnight(int(tick), tuple((int(zero), float(level)) for zero, level in rising)), str(seen))
            for key, (tick, rising, seen) in orjson.loads(body or b"{}").items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def _holds(kept: _Kept, model: Model[BaselineT], series: Series) -> bool:
    """Tell whether a walk to the midnight would see what the one saw that is remembered."""
    tick = kept.midnight.tick
    return model.warm < tick < model.grid.stop and kept.seen == _seen(series, model.grid, tick)


def _key(series: Series, grid: Grid, rules: str) -> str | None:
    """Return what tells a series and how it is judged from all others; None where that cannot be said."""
    program = program_of_detectors()
    sketches = _flat(series)
    # More bins than a grid has: what comes later moves those of before (see `grid.BINS_MAX`).
    if program is None or (len(sketches.bins) and int(np.ptp(np.asarray(sketches.bins))) >= BINS_MAX):
        return None
    named = orjson.dumps([rules, series.signal, series.subject, series.source, grid.start_s])
    return blake2b(named, key=program, digest_size=_DIGEST_BYTES).hexdigest()


def _seen(series: Series, grid: Grid, stop: int) -> str:
    """Return a digest of all that a walk knows by tick `stop` of the grid."""
    ended = stop - grid.tick(series.start_s)
    digest = blake2b(grid.n[:stop].tobytes(), digest_size=_DIGEST_BYTES)
    digest.update(grid.total[:stop].tobytes())
    sketches = _flat(series).until(ended)
    for entries in (sketches.ticks, sketches.bins, sketches.units):
        digest.update(np.asarray(entries, dtype=np.int64).tobytes())
    for tokens in () if series.bought is None else series.bought.parts:
        digest.update(np.asarray(tokens[:ended], dtype=np.float64).tobytes())
    return digest.hexdigest()


def _flat(series: Series) -> FlatSketches:
    """Return the distribution of a series; an empty one where it has none."""
    sketches = series.sketches or ()
    return sketches if isinstance(sketches, FlatSketches) else FlatSketches.of(sketches)
