"""`drill`: faults are planted in a shadow of the fleet, and the whole walk is done over it. Keeps and sends nothing.

Faults are dealt into rounds, in each of which an agent has at most one. A round is a store of its own: the shadow's
history, and after it copies of healthy days with the faults in them. A backtest says what was filed and when, and one
whole run what comes out. A fault that was missed is drawn once more: chance misses once, a blind detector always.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, groupby
from pathlib import Path
from typing import Protocol

from analyzer.pipeline.app import App
from analyzer.pipeline.backtest import backtest
from analyzer.pipeline.run import run
from analyzer.pipeline.shadow import Copy, Source, copies, history, profile, sources, spans_of, write
from analyzer.selfwatch.drill.canaries import Canaries, canaries
from analyzer.selfwatch.drill.cast import LeftOut, Missed, Planted, Profile, draw
from analyzer.selfwatch.drill.faults import FAULTS, UNDRILLED, Spans, Struck, struck
from analyzer.selfwatch.drill.judge import Verdict, judge
from analyzer.selfwatch.drill.outcome import Drill, Shadowed
from analyzer.stores.base import TrajectoryStore
from analyzer.types.report import Finding, Gap, Incident, Kind
from analyzer.types.trajectory import ordered

LASTS = timedelta(hours=36)
"""How long the shadow goes on after the history: a doubling at five trajectories an hour takes thirteen hours."""
ONSETS_WITHIN = timedelta(hours=3)
EVERY = timedelta(hours=2)
"""Between two simulated runs: twice as many take twice the time, and say no more than delays to the hour."""
_STORE = "the store"
READ_BACK_MAX = 200
"""Trajectories with canaries that are read back, behind their compression, in a round."""


@dataclass(frozen=True, slots=True)
class Exits:
    """What came out of a whole run."""

    texts: Callable[[], Iterable[tuple[str, str | bytes]]]
    """Exit, and what came out by it: messages, what was printed, what the model was asked, the own trace, the log, and
    the bytes of every file."""
    messages: Callable[[], Mapping[str, int]]
    """By route."""


class Workshop(Protocol):
    """Gives stores in a scratch folder, and Apps over them with the settings of this installation."""

    @property
    def folder(self) -> Path:
        """Where everything lies."""

    def writer(self, path: Path) -> AbstractContextManager[TrajectoryStore]:
        """Give a store to fill."""

    def reader(self, path: Path) -> AbstractContextManager[App]:
        """Give an App that looks back over a store."""

    def captured(self, path: Path) -> AbstractContextManager[tuple[App, Exits]]:
        """Give an App for a whole run, of which nothing leaves the process, and what comes out of it."""


@dataclass(slots=True)
class _Found:
    """What the rounds add up to."""

    verdicts: list[Verdict] = field(default_factory=list)
    false: list[Incident] = field(default_factory=list)
    leaks: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Secret -> the exits by which it came out."""
    messages: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    gaps: dict[str, Gap] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Everything that is the same in all rounds."""

    app: App
    shop: Workshop
    cast: tuple[Source, ...]
    profiles: dict[str, Profile]
    zone: tuple[Copy, ...]
    at: datetime
    ends: datetime
    secrets: Canaries
    seed: int
    known: frozenset[str] = frozenset()


def drill(
    app: App,
    shop: Workshop,
    at: datetime,
    *,
    seed: int = 1,
    kinds: Sequence[Kind] = tuple(FAULTS),
    on_phase: Callable[[str], None] = lambda _name: None,
) -> Drill:
    """Plant one fault of each kind after `at`, walk, and say what was found; the same seed plants the same.

    `app` reads the fleet's own store; nothing is written there. `on_phase` hears what is done next. Raises StoreError.
    """
    rng = random.Random(seed)  # noqa: S311 - which agent is struck is no secret
    # Prometheus knows nothing of the shadow.
    app = replace(app, metrics=None)
    ends = at + LASTS
    on_phase("looking for healthy history")
    cast, left = sources(app, at, rng)
    late = at + ONSETS_WITHIN
    profiles = {one.agent: profile(app, one, late, ends) for one in cast}
    planted, left_out = draw(kinds, tuple(profiles.values()), rng, at, ONSETS_WITHIN)
    found = _Found()
    stage = _Stage(
        app=app,
        shop=shop,
        cast=cast,
        profiles=profiles,
        zone=tuple(copy for one in cast for copy in copies(one, at, ends)),
        at=at,
        ends=ends,
        secrets=canaries(f"{seed} {at.isoformat()}"),
        seed=seed,
    )
    if planted:
        on_phase("copying the history")
        with shop.writer(_base(shop)) as store:
            write(store, (spans_of(app, copy) for one in cast for copy in history(one, at)))
        on_phase("looking at the shadow without faults")
        stage = replace(stage, known=_control(stage))
        _played(stage, planted, found, on_phase)
        lost = [one for one in found.verdicts if not one.is_found]
        missed = {one.planted.kind: Missed(one.planted, frozenset(one.unseen)) for one in lost}
        agents = tuple(profiles.values())
        again, _ = draw(missed, agents, rng, at, ONSETS_WITHIN, first_round=found.rounds, missed=missed)
        _played(stage, again, found, on_phase)
    return _outcome(stage, found, left_out, left)


def _outcome(stage: _Stage, found: _Found, left_out: tuple[LeftOut, ...], left: int) -> Drill:
    return Drill(
        seed=stage.seed,
        at=stage.at,
        ends=stage.ends,
        every=EVERY,
        agents=tuple(
            Shadowed(one.agent, len(history(one, stage.at)), one.one_in, one.healthy_until) for one in stage.cast
        ),
        agents_left=left,
        rounds=found.rounds,
        verdicts=tuple(found.verdicts),
        left_out=left_out,
        undrilled=tuple(_undrilled(stage, found, left_out)),
        false=tuple(found.false),
        known=len(stage.known),
        messages=dict(found.messages),
        canaries=len(stage.secrets.secrets) if found.rounds else 0,
        leaks={secret: tuple(sorted(exits)) for secret, exits in sorted(found.leaks.items())},
        gaps=tuple(found.gaps.values()),
    )


def _undrilled(stage: _Stage, found: _Found, left_out: tuple[LeftOut, ...]) -> Iterator[tuple[str, str]]:
    """Yield the detectors of this installation that had nothing to see, and why."""
    drilled = {name for one in found.verdicts for name in one.planted.witnesses}
    undrawn = {one.kind: one for one in left_out}
    for name in dict.fromkeys(detector.name for detector in stage.app.detectors):
        if name in drilled:
            continue
        faults = [kind for kind, fault in FAULTS.items() if name in fault.witnesses]
        if not faults:
            yield name, UNDRILLED.get(name, "no fault of a drill is made for it")
        elif kinds := [kind.value for kind in faults if kind in undrawn]:
            yield name, f"no fault could be drawn that it must see ({', '.join(kinds)})"
        elif any(one.planted.kind in faults for one in found.verdicts):
            yield name, "the agents that were drawn have not the volume for it"
        else:
            yield name, f"no fault was asked for that it must see ({', '.join(kind.value for kind in faults)})"


def _base(shop: Workshop) -> Path:
    return shop.folder / "history.db"


def _control(stage: _Stage) -> frozenset[str]:
    """Return the fingerprints of what the shadow shows by itself."""
    with _filled(stage, (spans_of(stage.app, copy) for copy in stage.zone)) as path, stage.shop.reader(path) as app:
        return frozenset(one.fingerprint for one in backtest(app, stage.at, stage.ends, EVERY).incidents)


class _filled:  # noqa: N801 - used as a function
    """A copy of the history with trajectories after it, for as long as a block lasts."""

    def __init__(self, stage: _Stage, trajectories: Iterable[Spans]) -> None:
        self._stage, self._trajectories = stage, trajectories
        self._path = stage.shop.folder / "shadow.db"

    def __enter__(self) -> Path:
        shutil.copyfile(_base(self._stage.shop), self._path)
        with self._stage.shop.writer(self._path) as store:
            write(store, self._trajectories)
        return self._path

    def __exit__(self, *_error: object) -> None:
        for path in self._path.parent.glob(f"{self._path.name}*"):
            path.unlink()


def _played(stage: _Stage, planted: Sequence[Planted], found: _Found, on_phase: Callable[[str], None]) -> None:
    """Play the rounds of some faults, and add up what was found."""
    for number, dealt in groupby(planted, key=lambda one: one.round):
        faults = list(dealt)
        on_phase(f"round {number + 1}: {', '.join(one.kind.value for one in faults)}")
        scene = _Scene(stage, faults)
        with _filled(stage, scene.trajectories()) as path:
            with stage.shop.reader(path) as app:
                seen: list[Finding] = []
                done = backtest(app, stage.at, stage.ends, EVERY, on_findings=seen.extend)
            judged = judge(done.incidents, scene.shown(), stage.known, seen, is_alone=len(stage.cast) == 1)
            found.verdicts += judged.verdicts
            found.false += judged.false
            found.gaps.update({gap.what: gap for gap in done.gaps})
            with stage.shop.captured(path) as (app, exits):
                run(app, stage.ends, live=True)
                held = ((_STORE, repr(app.trajectories.trajectory(name))) for name in scene.laced[:READ_BACK_MAX])
                for place, text in chain(held, exits.texts()):
                    for secret in stage.secrets.seen_in(text):
                        found.leaks[secret].add(place)
                found.messages.update(exits.messages())
        found.rounds = number + 1


class _Scene:
    """The time after the history in one round: copies of healthy days, with the round's faults in them."""

    def __init__(self, stage: _Stage, faults: Sequence[Planted]) -> None:
        self._stage = stage
        self._faults = {one.agent: one for one in faults}
        self._first: dict[str, datetime] = {}
        self.laced: list[str] = []
        """Trajectories that hold canaries."""

    def trajectories(self) -> Iterator[Spans]:
        """Yield them."""
        for copy in self._stage.zone:
            spans = spans_of(self._stage.app, copy)
            planted = self._faults.get(copy.agent)
            yield spans if planted is None or copy.begins < planted.onset else self._struck(planted, copy, spans)

    def _struck(self, planted: Planted, copy: Copy, spans: Spans) -> Spans:
        known = self._stage.profiles[copy.agent]
        # A second try strikes other runs: the same ones would be missed by the same chance.
        chance = f"{self._stage.seed}{' again' if planted.again else ''} {copy.trace_id} {copy.days}"
        drawn = random.Random(chance).random()  # noqa: S311 - no secret
        about = Struck(planted.tool, known.largest_tokens, known.largest_usd)
        hit = struck(planted.fault, spans, about, drawn=drawn, first=copy.agent not in self._first)
        if hit == spans:
            return spans
        self._first.setdefault(copy.agent, copy.begins)
        if not hit:
            return hit
        self.laced.append(hit[0].trace_id)
        return ordered(self._stage.secrets.laced(hit))

    def shown(self) -> list[Planted]:
        """Return the faults, each from the first trajectory on that shows it: before that there was nothing to see."""
        return [
            one if one.kind is Kind.SILENCE else replace(one, onset=self._first.get(one.agent, one.onset))
            for one in self._faults.values()
        ]
