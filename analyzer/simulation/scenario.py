"""Scenarios: fleets described in TOML, and fleets drawn at random for scoring.

A scenario file has `days`, `seed`, `now`, `texts` and the tables `[[agents]]`, `[[faults]]` and `[[decoys]]`, whose
keys are the fields of `Agent`, `Fault` and `Decoy`. Onsets and ends are hours before "now" (`onset_h = 20`), so that
the same file tells the same story at any time.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from analyzer.errors import UsageError
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Decoy, DecoyKind, Fault, FaultKind, LoopPattern
from analyzer.simulation.fleet import Fleet, quarter_hour
from analyzer.simulation.roles import ROLES
from analyzer.simulation.script import chance

_Entry = TypeVar("_Entry", Agent, Fault, Decoy)
_Kind = TypeVar("_Kind", FaultKind, DecoyKind)

_TOP = frozenset({"days", "seed", "now", "texts", "agents", "faults", "decoys"})
_MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5")
_LOOK_ALIKES = ("release", "catalog")
"""Roles that look like loops and are none: one polls, one pages."""
OF_ONE_AGENT = tuple(kind for kind in FaultKind if kind is not FaultKind.PRICE_RISE)
"""Kinds that are drawn at random: a price that rises is of all agents on a model, and needs a price list."""
DEFAULT_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
"""A fixed moment, so that a scenario without one still gives the same bytes every day."""


def demo_path() -> Path:
    """Return the demo's scenario: inside the package where it was installed, else in the checkout."""
    package = Path(__file__).parents[1]
    shipped = package / "_data" / "fixtures" / "demo" / "fleet.toml"
    return shipped if shipped.exists() else package.parent / "fixtures" / "demo" / "fleet.toml"


def read_scenario(path: Path, *, now: datetime | None = None, seed: int | None = None) -> Fleet:
    """Read a scenario file. Raises UsageError that names the file, the entry and the key."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give the path of a scenario file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no TOML ({error}); correct the file") from error
    unknown = set(document) - _TOP
    if unknown:
        raise UsageError(f"{path}: unknown key {min(unknown)}; known are {', '.join(sorted(_TOP))}")
    try:
        fixed = quarter_hour(now or document.get("now", DEFAULT_NOW))
        return Fleet(
            agents=tuple(_entry(Agent, entry, fixed) for entry in document.get("agents", ())),
            faults=tuple(_entry(Fault, entry, fixed) for entry in document.get("faults", ())),
            decoys=tuple(_entry(Decoy, entry, fixed) for entry in document.get("decoys", ())),
            days=document.get("days", 8.0),
            seed=document.get("seed", 0) if seed is None else seed,
            now=fixed,
            texts=document.get("texts", "short"),
        )
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"{path}: a value has the wrong type ({error}); docs/simulation.md lists the keys") from error


def _entry(made: type[_Entry], values: Mapping[str, Any], now: datetime) -> _Entry:
    """Make one entry of the file; `onset_h` and `end_h` are hours before now."""
    known = {field.name for field in fields(made)}
    given = dict(values)
    for name in ("onset", "end"):
        if name in known and f"{name}_h" in given:
            given[name] = now - timedelta(hours=float(given.pop(f"{name}_h")))
    if "kind" in given:
        kinds = FaultKind if made is Fault else DecoyKind
        try:
            given["kind"] = kinds(given["kind"])
        except ValueError:
            raise UsageError(f"unknown kind {given['kind']}; known are {', '.join(kinds)}") from None
    if made is Fault and given.get("pattern") in set(LoopPattern):
        given["pattern"] = LoopPattern(given["pattern"])
    for name in sorted(set(given) - known):
        raise UsageError(f"{made.__name__.lower()} {given.get('name') or given.get('kind')}: unknown key {name}")
    return made(**given)


def random_fleet(
    seed: int,
    agents: int = 10,
    days: float = 8.0,
    faults: int = 10,
    *,
    runs_per_hour: tuple[float, float] = (3.0, 30.0),
    decoys: int = 4,
    kinds: Sequence[FaultKind] = OF_ONE_AGENT,
    now: datetime = DEFAULT_NOW,
) -> Fleet:
    """Draw a fleet with faults and look-alikes for scoring; the same seed draws the same fleet.

    Faults go to different agents as far as there are enough, and begin in the last third of the time but at least six
    hours before `now`, so that there is a history to learn from and time to be seen. Half of them end before `now`.
    Nightly batches are struck last: a fault of six hours by day would not touch them. No kind of fault or look-alike
    comes twice before each has come once; the first agent polls, the second pages and the third has heavy tails: these
    look like a fault at all times. Raises UsageError where `agents` or `faults` make no fleet.
    """
    rng = random.Random(f"fleet/{seed}")
    drawn = tuple(_random_agent(rng, number, runs_per_hour) for number in range(agents))
    order = list(drawn)
    rng.shuffle(order)
    order.sort(key=lambda agent: agent.batch_hour is not None)
    if not order:
        raise UsageError("random fleet: it needs at least one agent")
    struck = [
        _random_fault(rng, order[number % len(order)], kind, days, now)
        for number, kind in enumerate(_dealt(rng, kinds, faults))
    ]
    lookalikes = [
        _random_decoy(rng, order[-1 - number % len(order)], kind, days, now)
        for number, kind in enumerate(_dealt(rng, tuple(DecoyKind), decoys))
    ]
    # A miss only shows where somebody judges the runs.
    judged = {fault.agent for fault in struck if fault.kind is FaultKind.SUCCESS_DROP}
    drawn = tuple(replace(agent, evaluated_share=1.0) if agent.name in judged else agent for agent in drawn)
    return Fleet(drawn, tuple(struck), tuple(lookalikes), days, seed, now)


def _dealt(rng: random.Random, kinds: Sequence[_Kind], count: int) -> list[_Kind]:
    """Deal kinds like cards: none comes again before all have come."""
    dealt: list[_Kind] = []
    while len(dealt) < count:
        dealt += rng.sample(kinds, len(kinds))
    return dealt[:count]


def _random_agent(rng: random.Random, number: int, runs_per_hour: tuple[float, float]) -> Agent:
    role = _LOOK_ALIKES[number] if number < len(_LOOK_ALIKES) else rng.choice(sorted(ROLES))
    heavy = number == len(_LOOK_ALIKES)
    low, high = runs_per_hour
    nightly = role == "retention" and chance(rng, 0.5)
    return Agent(
        name=f"{role}-{number}",
        role=role,
        version=f"{rng.randint(1, 4)}.{rng.randint(0, 20)}.0",
        model=rng.choice(_MODELS),
        prompt_version=str(rng.randint(1, 30)),
        runs_per_hour=low * (high / low) ** rng.random(),
        batch_hour=rng.randint(0, 5) if nightly else None,
        calls=rng.uniform(1.2, 4.0),
        prompt_tokens=rng.randint(600, 4_000),
        step_tokens=rng.randint(100, 900),
        output_tokens=rng.randint(60, 300),
        sigma=rng.uniform(0.9, 1.2) if heavy else rng.uniform(0.3, 0.7),
        runaway_share=0.02 if heavy else 0.007,
        drift=rng.uniform(0.05, 0.15),
        error_share=rng.uniform(0.01, 0.03),
        retry_share=rng.uniform(0.0, 0.04),
        evaluated_share=rng.choice((0.0, 1.0)),
        cached=rng.choice((0.0, 0.8)),
        daily=rng.uniform(0.1, 0.7),
        weekend=rng.uniform(0.3, 1.0),
    )


def _random_times(rng: random.Random, days: float, now: datetime) -> tuple[datetime, datetime | None]:
    earliest = max(6.0, days * 24 / 3)
    onset_h = rng.uniform(6.0, earliest)
    onset = now - timedelta(hours=onset_h)
    end = onset + timedelta(hours=rng.uniform(4.0, onset_h)) if chance(rng, 0.5) else None
    return onset, end if end is None or end < now else None


def _random_fault(rng: random.Random, agent: Agent, kind: FaultKind, days: float, now: datetime) -> Fault:
    onset, end = _random_times(rng, days, now)
    grown = rng.uniform(2.0, 3.5)
    role = agent.played
    # Most cost steps come from longer prompts.
    more_steps = chance(rng, 0.3)
    share = {
        FaultKind.LOOP: rng.uniform(0.05, 0.4),
        FaultKind.ERROR_BURST: rng.uniform(0.3, 0.9),
        FaultKind.TOOL_ERRORS: rng.uniform(0.3, 0.9),
        FaultKind.RETRY_STORM: rng.uniform(0.2, 0.7),
        FaultKind.SUCCESS_DROP: rng.uniform(0.3, 0.7),
        FaultKind.WRONG_TOOL: rng.uniform(0.5, 1.0),
        FaultKind.TRUNCATION: rng.uniform(0.2, 0.7),
    }.get(kind, 1.0)
    named = kind in (FaultKind.ERROR_BURST, FaultKind.RETRY_STORM) and chance(rng, 0.5)
    costly = kind is FaultKind.COST_STEP
    return Fault(
        kind=kind,
        agent=agent.name,
        onset=onset,
        end=end,
        share=share,
        tool=role.main_tool if named else None,
        version=f"{agent.version}-next" if costly or chance(rng, 0.2) else None,
        model=_dearer(agent.model) if kind is FaultKind.MODEL_SWITCH else None,
        factor=rng.uniform(3.0, 10.0),
        pattern=rng.choice(list(LoopPattern)),
        input_factor=grown if costly and not more_steps else 1.0,
        output_factor=grown if costly and not more_steps else 1.0,
        steps_factor=grown if costly and more_steps else 1.0,
    )


def _dearer(model: str) -> str:
    """Return a model that costs at least twice as much per token."""
    return "claude-fable-5-1" if model == "claude-opus-5-5" else "claude-opus-5-5"


def _random_decoy(rng: random.Random, agent: Agent, kind: DecoyKind, days: float, now: datetime) -> Decoy:
    onset, end = _random_times(rng, days, now)
    factor = rng.uniform(2.0, 4.0)
    match kind:
        case DecoyKind.DEPLOY:
            return Decoy(kind, agent.name, onset, version=f"{agent.version}-quiet")
        case DecoyKind.RUSH:
            return Decoy(kind, agent.name, onset, end or min(now, onset + timedelta(hours=6)), factor=factor)
        case DecoyKind.PRICE_FALL:
            return Decoy(kind, agent.name, onset, factor=factor)
        case DecoyKind.QUIET_WEEKEND:
            return Decoy(kind, agent.name, now - timedelta(days=days), factor=4 * factor)
