"""Agents that settings name: one that was never seen is a slip of the pen, or one to come."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

WILD = frozenset("*?[")
NAMED_MAX = 8
"""Agents named to somebody who asked for one that is not there, where none has a name like it."""


@dataclass(frozen=True, slots=True)
class Named:
    """Where a setting names agents, and how."""

    place: str
    """The table, as it stands in the file: `[budgets.support]`."""
    pattern: str
    """A name, or a pattern of names as in a shell."""


def never_seen(named: Iterable[Named], known: Collection[str]) -> list[str]:
    """Return a sentence for each place that names no agent of those that were ever seen; none where none were."""
    return [_sentence(one, known) for one in named if known and not _is_seen(one.pattern, known)]


def _is_seen(pattern: str, known: Collection[str]) -> bool:
    return pattern in known or any(fnmatchcase(agent, pattern) for agent in known)


def _sentence(one: Named, known: Collection[str]) -> str:
    if WILD & set(one.pattern):
        return f"{one.place}: no agent whose name matches was ever seen"
    close = difflib.get_close_matches(one.pattern, sorted(known), n=1)
    return f"{one.place}: no agent of this name was ever seen{f'; did you mean {close[0]}?' if close else ''}"


def names_like(agent: str, known: Collection[str]) -> str:
    """Return the end of a sentence that says that an agent is not known: which are called like it, or which there are.

    "" where none is known.
    """
    if not known:
        return ""
    by_folded = {name.casefold(): name for name in sorted(known)}
    close = [by_folded[name] for name in difflib.get_close_matches(agent.casefold(), list(by_folded), n=3)]
    if close:
        return f"; did you mean {' or '.join(close)}?"
    more = ", ..." if len(known) > NAMED_MAX else ""
    return f"; there are {', '.join(sorted(known)[:NAMED_MAX])}{more}"
