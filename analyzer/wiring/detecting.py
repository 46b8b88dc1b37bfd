"""The detectors of this installation: ours, those of other packages, and the settings laid over both.

Another package brings a detector by an entry point of the group `analyzer.detectors` (docs/detectors/own.md). One that
cannot be used is a Gap of every run and nothing worse: the rest of the fleet is watched all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from analyzer.config import Settings
from analyzer.detectors import DETECTORS, Detector
from analyzer.detectors.budget import budgeted
from analyzer.detectors.configure import configured
from analyzer.detectors.kernels.detector import resuming
from analyzer.detectors.kernels.remembered import Midnights
from analyzer.detectors.silence import resting
from analyzer.types.report import Gap, Kind

GROUP = "analyzer.detectors"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_HINT = "mend or uninstall the package; docs/detectors/own.md says what a detector needs"


@dataclass(frozen=True, slots=True)
class Detectors:
    """What looks for anomalies here."""

    plain: tuple[Detector, ...]
    """With their defaults."""
    configured: tuple[Detector, ...]
    """With the settings, in the same order."""
    gaps: tuple[Gap, ...]
    """Detectors of other packages that could not be used."""


def detectors_of(
    settings: Settings, points: Iterable[EntryPoint] | None = None, midnights: Midnights | None = None
) -> Detectors:
    """Return the detectors of this installation; `points` stand in for the installed ones. Raises UsageError.

    With the `midnights` of earlier runs ours walk over no day again that one of them has walked over.
    """
    found = entry_points(group=GROUP) if points is None else points
    ours = DETECTORS if midnights is None else resuming(DETECTORS, midnights)
    plain: list[Detector] = list(resting(budgeted(ours, settings.budgets), settings.calendar))
    gaps, refused = [], []
    for point in sorted(found, key=lambda one: (one.name, one.value)):
        try:
            plain.append(_loaded(point, plain))
        except Exception as error:  # noqa: BLE001 - another package's fault must not stop the run
            why = str(error) if isinstance(error, _Refused) else f"{type(error).__name__}: {error}"
            gaps.append(Gap(f"what the detector {point.name} of {_package(point)} looks for", why, _HINT))
            refused.append(point.name)
    return Detectors(tuple(plain), configured(plain, settings.detectors, unknown=refused), tuple(gaps))


def installed() -> list[tuple[str, str, str]]:
    """Return the detectors of other packages: name, where it is, and the version of its package."""
    found = entry_points(group=GROUP)
    return sorted((one.name, one.value, one.dist.version if one.dist is not None else "") for one in found)


class _Refused(Exception):  # noqa: N818 - it is caught a few lines above, and says why in its text
    """What an entry point gave is no detector that can be used."""


def _loaded(point: EntryPoint, others: Sequence[Detector]) -> Detector:
    """Return the detector of an entry point: an object, or a class or function that makes one."""
    if not _NAME.fullmatch(point.name):
        raise _Refused(f"'{point.name}' is no name for a detector: small letters and digits, joined by -")
    if any(other.name == point.name for other in others):
        raise _Refused("there is a detector of this name already")
    given: Any = point.load()
    made = given() if isinstance(given, type) or not hasattr(given, "detect") else given
    for method in ("detect", "explain"):
        if not callable(getattr(made, method, None)):
            raise _Refused(f"{point.value} has no method {method}")
    if getattr(made, "name", None) != point.name:
        raise _Refused(f"its name is {getattr(made, 'name', None)!r} and that of its entry point '{point.name}'")
    if not isinstance(getattr(made, "kind", None), Kind):
        raise _Refused(f"its kind is none of {', '.join(kind.value for kind in Kind)}")
    detector: Detector = made
    return detector


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.split(":", 1)[0]
