"""The place of a finding: which slices of its agent's trajectories explain it, and what they point to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from analyzer.accounting.lmdi import Account
from analyzer.accounting.periods import Periods
from analyzer.accounting.slices import search
from analyzer.stores.base import Cohort, Measure, TrajectoryStore
from analyzer.types.place import Place
from analyzer.types.report import MILLION, Change, Finding, Kind, Subject

MEASURES: dict[Kind, Measure] = {
    Kind.COST: "cost",
    Kind.TOKENS: "tokens",
    Kind.STEPS: "steps",
    Kind.LATENCY: "latency",
    Kind.ERRORS: "errors",
    Kind.SUCCESS: "failures",
    Kind.RETRIES: "retries",
    Kind.TRUNCATION: "truncated",
}
"""Kinds that are about whole trajectories of an agent, and what they count of each."""
CAP_SHARE, CAP_TIMES = 0.99, 1.5
"""Amounts count up to 1.5 times what 99 % were below before: one runaway is no slice."""
NAMED_SHARE = 0.2
"""A factor with at least this part of the change names its model; below are small change and noise."""
PRICE_RATIO_MIN = 1.1
"""Less is a tier or rounding, and no price that was changed."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What was looked through, and what was found."""

    places: tuple[Place, ...] = ()
    since: tuple[Cohort, ...] = ()
    """The agent's trajectories since the onset."""


def places_of(store: TrajectoryStore, finding: Finding, agent: str, periods: Periods) -> Searched:
    """Search the agent's versions, models, prompts, tasks and users for the smallest slice that explains a finding."""
    measure = MEASURES.get(finding.kind)
    if measure is None or finding.subject.tool is not None:
        return Searched()
    start, end = min(period[0] for period in periods.before), max(period[1] for period in periods.before)
    usual = store.percentile(agent, start, end, measure, CAP_SHARE)
    # What most trajectories have none of is an event; there is nothing to cut.
    cap = CAP_TIMES * usual if usual else None
    before = [one for period in periods.before for one in store.cohorts(agent, *period, measure, capped_at=cap)]
    since = store.cohorts(agent, *periods.after, measure, capped_at=cap)
    length = sum((stop - begin).total_seconds() for begin, stop in periods.before)
    if length <= 0:
        return Searched(since=tuple(since))
    traffic = (periods.after[1] - periods.after[0]).total_seconds() / length
    return Searched(search(before, since, traffic=traffic), tuple(since))


def price_changes(account: Account, finding: Finding) -> list[Change]:
    """Return the price that the account shows to have risen, dated at the onset: it is told by what was paid."""
    moved = account.price
    if moved is None or _share(account, "price") < NAMED_SHARE or moved.to_value < PRICE_RATIO_MIN * moved.from_value:
        return []
    name = moved.model or "(no model named)"
    ends = [f"{name} at {usd * MILLION:.3g} USD per million tokens" for usd in (moved.from_value, moved.to_value)]
    return [Change("price", ends[0], ends[1], finding.onset)]


def named(account: Account, places: Sequence[Place], changes: Sequence[Change]) -> Subject:
    """Return the version and the model that account, place and comparison point to."""
    proven = {change.what: change.to_value for change in reversed(changes) if change.borne_out}
    found = Subject(
        version=_value(places, "version") or proven.get("version"),
        model=_value(places, "model") or proven.get("model"),
    )
    if found.model is None and _share(account, "price") >= NAMED_SHARE and account.price is not None:
        found = replace(found, model=account.price.model)
    if found.model is None and _share(account, "model mix") >= NAMED_SHARE:
        found = replace(found, model=account.gained)
    return found


def _value(places: Sequence[Place], dimension: str) -> str | None:
    return next((value for place in places if (value := place.value(dimension)) is not None), None)


def _share(account: Account, factor: str) -> float:
    return next((one.share for one in account.factors if one.factor == factor), 0.0)
