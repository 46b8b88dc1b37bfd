"""An incident that several agents share: one subject, their figures together, and what each of them has of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, zip_longest

from analyzer.accounting.summed import Accounted, summed
from analyzer.triage.dated import best_dated, changes_near
from analyzer.triage.groups import Group
from analyzer.triage.rules import fingerprint, key_of
from analyzer.triage.told import Told, affected_of, ids_of, sources_of
from analyzer.types.metric import TICK_S
from analyzer.types.report import Affected, Change, Examined, Finding, Incident, Subject
from analyzer.types.shared import Part

AGENTS_MIN = 2


def shared_by(group: Group, base: Incident | None) -> Subject | None:
    """Return what several agents share in a group, as a subject without an agent; None where one agent is concerned.

    What an incident was shared by once it stays, also when all agents but one have recovered; and where it begins anew
    (`base` is None then) as long as it covers several agents, whether or not this run could prove the cause again.
    """
    causes = Counter(entry.cause.shared for entry in group.members if entry.cause is not None)
    agents = {entry.finding.subject.agent for entry in group.members if entry.cause is not None}
    covered = {entry.finding.subject.agent for entry in group.members}
    last = base or (group.home if len(covered) >= AGENTS_MIN else None)
    if last is not None and last.agents:
        return replace(last.subject, agent=None, version=None)
    if len(agents) < AGENTS_MIN:
        return None
    # Findings of one agent may have different causes that began together: the one of most is told.
    shared = min(causes, key=lambda one: (-causes[one], one))
    return Subject(**{shared.what: shared.name})


def mark_of(group: Group, lead: Finding) -> str:
    """Return the fingerprint that a group has as a new incident; `lead` is its foremost finding."""
    return fingerprint(lead.kind, shared_by(group, None) or lead.subject)


def of_several(
    shared: Subject, members: Sequence[Examined], findings: Sequence[Finding], base: Incident | None
) -> Told:
    """Return what is told of several agents with one cause. Arguments as of `told.of_one`.

    The figures are means over the trajectories of all agents; money and trajectories are summed, and so is the account.
    Of the changes those stay that concern what is shared, or that several agents have.
    """
    agents = _agents_of(findings)
    lead = _foremost(findings, members)
    parts = _parts(lead, agents, members, findings, base)
    by_agent = {part.agent: [one for one in members if one.finding.subject.agent == part.agent] for part in parts}
    alike = [one for one in findings if (one.kind, one.subject.tool) == (lead.kind, lead.subject.tool)]
    dated = _dated(lead, alike, findings)
    excess = [part.excess_usd for part in parts if part.excess_usd is not None]
    sources = [sources_of(own) for own in by_agent.values() if own]
    account = summed([_accounted(own, lead) for own in sources]).factors
    changes = _changes(shared, [changes_near(dated, own) for own in sources])
    worst, healthy = _in_turn(map(ids_of, sources)), _in_turn(_healthy(own) for own in sources)
    told = replace(_together(lead, alike), subject=shared)
    return Told(
        lead=replace(
            told,
            onset=dated.onset,
            onset_low=dated.onset_low,
            onset_high=dated.onset_high,
            excess_usd=math.fsum(excess) if excess else None,
        ),
        subject=shared,
        onset=dated.onset,
        affected=Affected(sum(part.affected for part in parts), sum(part.of for part in parts)),
        excess_usd=math.fsum(excess) if excess else None,
        account=account or (base.account if base else ()),
        changes=changes or (base.changes if base else ()),
        places=(),
        trace_ids=worst or (base.trace_ids if base else ()),
        healthy_trace_ids=healthy or (base.healthy_trace_ids if base else ()),
        agents=parts,
    )


def _agents_of(findings: Iterable[Finding]) -> list[str]:
    return sorted({one.subject.agent for one in findings if one.subject.agent is not None})


def _foremost(findings: Sequence[Finding], members: Sequence[Examined]) -> Finding:
    """Return the foremost finding of those that have the shared cause; of all, where this run saw none of them."""
    keys = {key_of(entry.finding) for entry in members if entry.cause is not None}
    return next((one for one in findings if key_of(one) in keys), findings[0])


def _together(lead: Finding, alike: Sequence[Finding]) -> Finding:
    """Return one finding with the figures of those of one kind in several agents, weighted by what each has seen."""
    weights = [max(one.of, 1) for one in alike]
    ends = [one.recovered for one in alike]
    total = sum(weights)
    return replace(
        lead,
        value=math.fsum(one.value * weight for one, weight in zip(alike, weights, strict=True)) / total,
        baseline=math.fsum(one.baseline * weight for one, weight in zip(alike, weights, strict=True)) / total,
        score=max(one.score for one in alike),
        recovered=None if None in ends else max(end for end in ends if end is not None),
        affected=sum(one.affected for one in alike),
        of=sum(one.of for one in alike),
        trace_ids=(),
    )


def _dated(lead: Finding, alike: Sequence[Finding], findings: Sequence[Finding]) -> Finding:
    """Return the foremost finding with the onset that all agents together give; `alike` are those of its kind.

    Agents are independent witnesses of one moment, where the findings of one agent are not: so the mean of their onsets
    counts, each by the one of its findings that dates it best, weighted by how sharp that is (the inverse square of its
    interval, as for any mean of estimates), on the grid of ticks. What joined later, beside the sharpest one's
    interval, is no witness of the beginning.
    """
    witnesses = [best_dated(one, (other for other in findings if _are_of_one(one, other))) for one in alike]
    sharpest = min(witnesses, key=_width_s)
    found = [one for one in witnesses if one.onset_low <= sharpest.onset_high and one.onset_high >= sharpest.onset_low]
    weights = [1 / max(_width_s(one), TICK_S) ** 2 for one in found]
    seconds = [one.onset.timestamp() * weight for one, weight in zip(found, weights, strict=True)]
    onset = datetime.fromtimestamp(round(math.fsum(seconds) / math.fsum(weights) / TICK_S) * TICK_S, UTC)
    low = min(onset, max(one.onset_low for one in found))
    high = max(onset, min(one.onset_high for one in found))
    return replace(lead, onset=onset, onset_low=low, onset_high=high)


def _are_of_one(one: Finding, other: Finding) -> bool:
    return one.subject.agent == other.subject.agent


def _width_s(finding: Finding) -> float:
    return (finding.onset_high - finding.onset_low).total_seconds()


def _parts(
    lead: Finding,
    agents: Sequence[str],
    members: Sequence[Examined],
    findings: Sequence[Finding],
    base: Incident | None,
) -> tuple[Part, ...]:
    """Return what each agent has, worst first: by its finding of the foremost kind, or else by its own foremost."""
    known = {part.agent: part for part in base.agents} if base is not None else {}
    seen = {entry.finding.subject.agent for entry in members}
    parts = []
    for agent in agents:
        own = [one for one in findings if one.subject.agent == agent]
        if agent not in seen and agent in known:
            parts.append(known[agent])
            continue
        first = next((one for one in own if (one.kind, one.subject.tool) == (lead.kind, lead.subject.tool)), own[0])
        hit = affected_of(first, members, None)
        money = [one.excess_usd for one in own if one.excess_usd is not None]
        figures = (first.onset, first.value, first.baseline, first.unit, hit.trajectories, hit.of)
        parts.append(Part(agent, first.kind.value, *figures, max(money, default=None), 0.0))
    return _shared_out(parts)


def _shared_out(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts with their shares, which sum to 1, the largest first.

    An agent whose money is not known is put at what a trajectory hit costs the others: one unknown figure is no reason
    to drop those that are known.
    """
    known = [part for part in parts if part.excess_usd is not None]
    lost = math.fsum(max(part.excess_usd or 0.0, 0.0) for part in known)
    hit = sum(part.affected for part in known)
    each = lost / hit if hit else 0.0
    weights = [max(part.excess_usd, 0.0) if part.excess_usd is not None else each * part.affected for part in parts]
    if lost <= 0:
        weights = [float(part.affected) for part in parts]
    if sum(weights) <= 0:
        weights = [1.0] * len(parts)
    total = math.fsum(weights)
    shared = [replace(part, share=weight / total) for part, weight in zip(parts, weights, strict=True)]
    return tuple(sorted(shared, key=lambda part: (-part.share, part.agent)))


def _accounted(sources: Sequence[Examined], lead: Finding) -> Accounted:
    """Return the account of one agent that is of the foremost kind: USD do not add up with tokens."""
    own = next((one for one in sources if one.account and one.finding.kind is lead.kind), None)
    return Accounted((), 0.0, 0) if own is None else Accounted(own.account, own.change, own.finding.of)


def _changes(shared: Subject, by_agent: Sequence[Sequence[Change]]) -> tuple[Change, ...]:
    """Return the changes that concern what is shared, and those that most of the agents have; in the worst's words."""
    have = Counter(
        (one.what, one.to_value) for own in by_agent for one in {(c.what, c.to_value): c for c in own}.values()
    )
    found: dict[tuple[str, str | None], Change] = {}
    for change in chain.from_iterable(by_agent):
        names = (
            shared.model is not None and change.what in {"model", "price"} and shared.model in (change.to_value or "")
        )
        if names or 2 * have[change.what, change.to_value] > len(by_agent):
            # A price is read from what each agent paid, for its own mix of tokens: one of them is enough.
            found.setdefault((change.what, None if change.what == "price" else change.to_value), change)
    return tuple(found.values())


def _healthy(sources: Sequence[Examined]) -> tuple[str, ...]:
    return next((entry.healthy_trace_ids for entry in sources if entry.healthy_trace_ids), ())


def _in_turn(by_agent: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return the first of each agent, then the second of each: who looks at a few sees several agents."""
    return tuple(dict.fromkeys(one for row in zip_longest(*by_agent) for one in row if one is not None))
