"""Detection by several instances: the holder of the turn pools what they find, the others help.

Only what judges each agent by itself is divided. What compares agents, and everything after detection, is the holder's:
two that file would tell an outage which many agents share twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from analyzer.detectors.base import is_by_agent
from analyzer.errors import InputError
from analyzer.pipeline.app import App
from analyzer.pipeline.parts import Part, parts_of
from analyzer.pipeline.phases import agent_of, collected, detected
from analyzer.stores.rounds import HandedIn, PostgresRounds, Round, Rounds, Stage
from analyzer.types.metric import Window
from analyzer.types.report import Finding, Gap
from analyzer.types.whole import dumped, loaded

LOOK_S = 0.3
"""Between two looks of one that helps, while there is nothing for it to do."""
NOTE = "instances"


@dataclass(frozen=True, slots=True)
class Helped:
    """What one that stood by did for a round."""

    parts: int
    unlike: int
    """Parts that it could not look at: its own of these agents are not the same."""


def detected_together(app: App, window: Window) -> tuple[list[Finding], list[Gap], Mapping[str, str]]:
    """Return what all detectors find, gaps, and a note of who found it. Raises StoreError.

    It is what `detected` returns, and in its order. Without others that stand by, it is `detected`. A detector that
    raises is a Gap here, too; what it found in other parts goes out.
    """
    program = app.division.program() if app.division.rounds.has_others() else b""
    if not program:
        found, gaps = detected(app, window)
        app.division.rounds.pool()
        return found, gaps, {}
    parts = parts_of(window, program)
    app.division.rounds.divide([part.digest for part in parts])
    fleetwide, gaps = detected(_asking(app, by_agent=False), window)
    own, by, unseen = _pooled(_asking(app, by_agent=True), parts)
    app.division.rounds.pool()
    found = _in_order(app, [*fleetwide, *own])
    if not by:
        return found, _once([*gaps, *unseen]), {}
    hosts = ", ".join(f"{host} ({count:,})" for host, count in sorted(by.items()))
    note = f"{sum(by.values()):,} of {len(parts):,} parts of the detection were done by others: {hosts}"
    return found, _once([*gaps, *unseen]), {NOTE: note}


def helped(
    app: App,
    rounds: PostgresRounds,
    round_: Round,
    *,
    goes_on: Callable[[], bool],
    on_unlike: Callable[[int, int], None],
) -> Helped:
    """Look at parts of a round until its holder has them all, or is gone. Raises StoreError.

    `goes_on` tells whether the holder is still there; `on_unlike` hears of how many of how many parts cannot be looked
    at here, once they are laid out.
    """
    app.follow(round_.at, None)
    asking = _asking(app, by_agent=True)
    program = app.division.program()
    mine = {part.digest: part for part in parts_of(collected(app, round_.at), program)} if program else {}
    parts = unlike = 0
    is_compared = False
    while (stage := rounds.stage(round_.turn)) in {Stage.OPEN, Stage.DIVIDED} and goes_on():
        if stage is Stage.DIVIDED and not is_compared:
            is_compared = True
            # Of all parts, also those that are done: of a few that are left, each may be one whose spans come in now.
            all_ = rounds.laid_out()
            unlike = len([digest for digest in all_ if digest not in mine])
            if unlike:
                on_unlike(unlike, len(all_))
        digest = rounds.claim(mine) if is_compared else None
        if digest is None:
            time.sleep(LOOK_S)
            continue
        findings, gaps = detected(asking, mine.pop(digest).window)
        # What fails here is the holder's to see and to tell.
        parts += not gaps and _handed_in(rounds, digest, findings)
    return Helped(parts, unlike)


def _pooled(app: App, parts: Sequence[Part]) -> tuple[list[Finding], Counter[str], list[Gap]]:
    """Return what was found in all parts, how many were done by whom, and gaps.

    The holder does what is free, and then what others have claimed and not handed in: it has nothing else to do, and
    whoever has died is not waited for. Whose answer comes first counts, and all would be the same.
    """
    open_ = {part.digest: part for part in parts}
    found: list[Finding] = []
    gaps: list[Gap] = []
    by: Counter[str] = Counter()
    while open_:
        for digest, done in app.division.rounds.handed_in().items():
            if digest in open_ and (findings := _read(done)) is not None:
                del open_[digest]
                found += findings
                by[done.by] += 1
        if not open_:
            break
        # The last one that is out: the first ones were begun earlier, and will be there sooner.
        digest = app.division.rounds.claim(open_) or next(reversed(open_))
        own, unseen = detected(app, open_.pop(digest).window)
        found += own
        gaps += unseen
        if not unseen:
            _handed_in(app.division.rounds, digest, own)
    return found, by, gaps


def _handed_in(rounds: Rounds, digest: str, findings: Sequence[Finding]) -> bool:
    """Hand in what was found in a part; return whether it was, and nobody had done so yet.

    A detector of another package may put something into its findings that is no JSON: those the holder finds itself.
    """
    try:
        return rounds.hand_in(digest, dumped(tuple(findings)))
    except InputError:
        return False


def _read(done: HandedIn) -> tuple[Finding, ...] | None:
    """Return findings that were handed in; None where they are not as this release writes them."""
    try:
        return loaded(Finding, done.findings)
    except InputError:
        return None


def _asking(app: App, *, by_agent: bool) -> App:
    return replace(app, detectors=[one for one in app.detectors if is_by_agent(one) is by_agent])


def _in_order(app: App, found: Sequence[Finding]) -> list[Finding]:
    """Return findings in the order in which one instance would have found them."""
    place = {detector.name: number for number, detector in enumerate(app.detectors)}
    return sorted(found, key=lambda one: (place.get(one.detector, len(place)), agent_of(one)))


def _once(gaps: Sequence[Gap]) -> list[Gap]:
    return list(dict.fromkeys(gaps))
