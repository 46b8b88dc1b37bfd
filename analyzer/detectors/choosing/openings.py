"""When values of a choice have a test opened: what tells that a look at other values would find nothing either."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

VALUES_USUAL_MAX = 20
"""A choice that had more values than this has no usual ones, and a new one means nothing."""


@dataclass(frozen=True, slots=True)
class Opening:
    """When tests of one value are opened, in hours of its table."""

    falls: bool
    """Whether it gives way at some hour, should it be the most usual one then."""
    unseen: int | None
    """The first hour at which it would be reported as unseen, should few values be known by then."""
    known: int
    """The first hour before which it was picked."""


def are_quiet(openings: Collection[Opening]) -> bool:
    """Tell whether a look at a choice of these values finds nothing, because no test is opened at any hour.

    Of an argument, that is: tools are tested all together, too.
    """
    known = sorted(one.known for one in openings)
    many = known[VALUES_USUAL_MAX] if len(known) > VALUES_USUAL_MAX else math.inf
    return not any(one.falls or (one.unseen is not None and one.unseen < many) for one in openings)
