"""When two texts say the same but for ids, numbers and pseudonyms."""

from __future__ import annotations

import re

from analyzer.detectors.loops.normalise import mask as without_noise

_VARYING = re.compile(r"<\*>|(?<![0-9a-z])(?:0x)?(?=[a-f]*\d)[0-9a-f]{8,}(?![0-9a-z])|\d+(?:\.\d+)?")
"""Ids before numbers: a number inside an id would leave its letters, and each id its own."""


def shape_of(text: str) -> str:
    """Return a text as the loop detector compares it (lower case, noise masked), with every id and number as #."""
    return _VARYING.sub("#", without_noise(text))
