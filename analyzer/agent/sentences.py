"""The computed part of an explanation by rules in sentences: what happened, where it comes from, how to check it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from analyzer.agent.facts import TAKEN_BACK, amount, evidence_of, moment, named_factors, near_onset, number, short
from analyzer.agent.quoting import prefix
from analyzer.agent.readings import LOOP_KINDS
from analyzer.types.choices import TABLES, TOOL
from analyzer.types.promql import pinned
from analyzer.types.report import (
    AGAINST_SHARE,
    MILLION,
    PER_TOKEN,
    PROMETHEUS,
    STORE,
    Change,
    Factor,
    Incident,
    Kind,
    MetricEvidence,
)
from analyzer.types.trajectory import Trajectory

_MOVED_BY = {"model mix": "model", "price": "price"}
"""Factors that a change of this name moves by itself: no coincidence, the account is made of them."""


_WAYS = {"rate": "Concentrated in", "mix": "There is a larger part of", "volume": "There is more of"}
FINGERPRINTS = frozenset({"version", "model", "prompt", "tools", "parameters", "sdk", "price"})
"""Changes that are seen in the trajectories themselves; any other was told to us, by its name."""
_MEASURED: dict[Kind, str] = {Kind.SUCCESS: "missed goals", Kind.TRUNCATION: "cut replies"}
"""What is measured of a kind that is named after something else."""


def summary_of(incident: Incident) -> str:
    """Return what happened, since when and how bad it is, in up to three sentences."""
    subject = short(str(incident.subject))
    observed = amount(incident.observed, incident.unit, incident.kind)
    expected = amount(incident.expected, incident.unit, incident.kind)
    if incident.kind in LOOP_KINDS:
        text = f"{subject}: {incident.kind.value} of up to {observed}, where {number(incident.expected)} are the limit"
    elif incident.kind is Kind.INJECTION:
        acted = f"; the agent acts on it in {number(incident.observed)}" if incident.observed else ""
        text = f"{subject}: what a tool returned speaks to the model as if it gave orders{acted}"
    else:
        what = _MEASURED.get(incident.kind, incident.kind.value)
        text = f"{subject}: {what} at {observed}, expected {expected}"
        if incident.ratio is not None:
            text += f" ({number(incident.ratio)}x)"
    text += f", since about {moment(incident.onset)}."
    if incident.affected.of:
        text += f" {number(incident.affected.trajectories)} of {number(incident.affected.of)} are affected."
    if incident.excess_usd:
        text += f" About {number(incident.excess_usd)} USD were spent beyond what was expected."
    return text


def choice_sentence(incident: Incident) -> str:
    """Return which choice took the place of which, on which tasks, and how often; "" where that is not what is filed.

    The share is of the trajectories that had the choice, the finding's own, and so is the count.
    """
    found = next((one for one in incident.findings if one.kind is incident.kind is Kind.TOOL_CHOICE), None)
    if found is None or found.shifted is None:
        return ""
    shifted, tool = found.shifted, found.subject.tool
    what = {TOOL: "the tool ", TABLES: "the table "}.get(shifted.what, f"{short(shifted.what, 60)} ")
    place = f"In {short(tool, 60)} the agent" if tool and shifted.what != TOOL else "The agent"
    usual = short(shifted.usual, 80) if shifted.usual else ""
    if not shifted.picked:
        made = f"{place} no longer picks {what}{usual}"
    else:
        made = f"{place} picks {what}{short(shifted.picked, 80)}{f' instead of {usual}' if usual else ''}"
    task = f' on tasks like "{short(shifted.task, 120)}"' if shifted.task else ""
    worse = " Such runs fail more often than runs did before." if shifted.worse and shifted.picked else ""
    return f"{made}{task}, in {number(found.affected)} of {number(found.of)} trajectories.{worse}"


def factor_sentence(incident: Incident) -> str:
    """Return the factors worth naming with their shares in one sentence, or "" where there is none."""
    named = named_factors(incident)
    if not named:
        return ""
    against = TAKEN_BACK if _total(named) >= AGAINST_SHARE else ""
    if len(named) == 1:
        ends = f": {ends}" if (ends := _ends(named[0])) else ""
        return f"{_per_cent(named[0])} of the change comes from {short(named[0].factor, 60)}{against}{ends}."
    parts = [f"{short(one.factor, 60)}{f' ({ends})' if (ends := _ends(one)) else ''}" for one in named]
    parts = [f"{_per_cent(named[0])} of the change comes from {parts[0]}"] + [
        f"{_per_cent(one)} from {part}" for one, part in zip(named[1:], parts[1:], strict=True)
    ]
    return f"{', '.join(parts[:-1])} and {parts[-1]}{against}."


def place_sentence(incident: Incident) -> str:
    """Return where the rise is, in one sentence: the foremost place, and a second; "" where it is nowhere for sure."""
    parts = []
    for place in incident.places[:2]:
        where = " and ".join(f"{short(name, 60)} {short(value, 80)}" for name, value in place.where)
        new = ", which is new" if place.new else ""
        share = number(min(place.share, 1) * 100)
        parts.append(f"{_WAYS[place.way]} {where}{new}: {share} % of the excess comes from it.")
    return " ".join(parts)


def change_sentence(incident: Incident) -> str:
    """Return what changed near the onset, what moves a named factor by itself first; "" where nothing was seen to."""
    changes = telling_changes(incident)
    if not changes:
        return ""
    change = changes[0]
    before = f" from {short(change.from_value, 80)}" if change.from_value else ""
    after = f" to {short(change.to_value, 80)}" if change.to_value else ""
    moved = mover_of(incident)
    how = f", which is what moved the {'mix' if change.what == 'model' else change.what}" if change == moved else ""
    if change.borne_out and not how:
        how = ", and in the same hours the new one shows it beside the old one"
    others = [f"{short(one.what, 60)} {short(one.to_value, 80)}" for one in changes[1:4] if one.to_value]
    more = f" Also new then: {', '.join(others)}." if others else ""
    seen = f"first seen {moment(change.at)}"
    if change.what not in FINGERPRINTS:
        name = f"{short(change.what, 60)} {short(change.to_value or '', 80)}".rstrip()
        return f"It coincides with {name}, recorded for {moment(change.at)}.{more}"
    link = "is caused by" if change.borne_out else "coincides with"
    return f"It {link} a change of {short(change.what, 60)}{before}{after}, {seen}{how}.{more}"


def telling_changes(incident: Incident) -> list[Change]:
    """Return the changes near the onset, what moves the largest factor by itself first."""
    moved = mover_of(incident)
    return sorted(near_onset(incident), key=lambda change: change != moved)


def mover_of(incident: Incident) -> Change | None:
    """Return the change near the onset that moves the largest factor by itself, if there is one."""
    largest = next(iter(named_factors(incident)), None)
    what = _MOVED_BY.get(largest.factor) if largest is not None else None
    return next((change for change in near_onset(incident) if change.what == what), None)


def check_of(incident: Incident, trajectories: Sequence[Trajectory], healthy: Sequence[Trajectory]) -> str:
    """Return what anyone can run to check: a query that holds its own time, or else a command of this program.

    Queries only where a Prometheus has answered them. No text from spans stands in a command, ids alone: it is made to
    be pasted into a shell.
    """
    metrics = [entry for entry in evidence_of(incident) if isinstance(entry, MetricEvidence)]
    queries = (pinned(entry.promql, entry.end) for entry in metrics if entry.source == PROMETHEUS)
    query = next((query for query in queries if query), None)
    if query is not None:
        return query
    worst = trajectories[0].summary.trace_id if trajectories else next(iter(incident.trace_ids), "")
    peer = healthy[0].summary.trace_id if healthy else next(iter(incident.healthy_trace_ids), "")
    if worst and peer and incident.kind not in LOOP_KINDS:
        return f"analyzer traces diff {prefix(worst)} {prefix(peer)}"
    if worst:
        return f"analyzer traces show {worst}"
    if any(entry.source == STORE for entry in metrics):
        at = incident.last_seen_at.astimezone(UTC)
        return f"analyzer run --at {at:%Y-%m-%dT%H:%M:%SZ} --llm off"
    return f"analyzer incidents show {incident.id}"


def refutation_of(incident: Incident) -> str:
    """Return what would show the explanation to be wrong."""
    changes = telling_changes(incident)
    if changes:
        return f"Trajectories without the change of {short(changes[0].what, 60)} would show the same in the same hours."
    return "Healthy peers from before the onset would show the same steps."


def _total(factors: Sequence[Factor]) -> float:
    return sum(factor.share for factor in factors)


def _per_cent(factor: Factor) -> str:
    return f"{number(factor.share * 100)} %"


def _ends(factor: Factor) -> str:
    if factor.from_value is None or factor.to_value is None:
        return ""
    if factor.factor in PER_TOKEN:
        ends = (number(value * MILLION) for value in (factor.from_value, factor.to_value))
        return f"from {' to '.join(ends)} USD per million tokens"
    return f"from {number(factor.from_value)} to {number(factor.to_value)}"
