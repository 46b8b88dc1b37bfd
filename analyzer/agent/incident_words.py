"""What the words of a question about an incident ask for, without a model: sentences and tables that were computed.

A table of questions, no more: each says by which words it is known and what was computed about it. What fits nothing
gets the explanation by rules, and the list of what can be asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from analyzer.agent.facts import NAME_CHARS, amount, moment, number, short
from analyzer.agent.tables import NOT_TOLD, clock, priced_or_timed, runs_table
from analyzer.agent.tools.past import incidents_table
from analyzer.agent.wanted import Wanted, wanted
from analyzer.errors import NotFoundError
from analyzer.stores.base import Grouping, TotalsOrder, TrajectoryStore
from analyzer.types.report import Incident, Kind
from analyzer.types.table import Column, Line, Table, Unit
from analyzer.types.trajectory import TrajectorySummary

ROWS_MAX = 15
CHANGES_MAX = 5
_HIT: dict[Grouping, Callable[[TrajectorySummary], str | None]] = {
    "agent": lambda one: one.agent,
    "version": lambda one: one.version,
    "model": lambda one: one.model,
    "prompt": lambda one: one.prompt,
    "task": lambda one: one.task,
    "user": lambda one: one.user_id,
    "outcome": lambda one: one.outcome.value,
}
"""What the affected trajectories that are on file can be counted by; tools and times are of calls and of all runs."""
_LED_BY: dict[Kind, TotalsOrder] = {
    Kind.TOKENS: "tokens",
    Kind.LATENCY: "p95",
    Kind.TOOL_LATENCY: "p95",
    Kind.ERRORS: "failed",
    Kind.TOOL_ERRORS: "failed",
    Kind.SUCCESS: "failed",
    Kind.VOLUME: "trajectories",
    Kind.SILENCE: "trajectories",
}
"""What a table about an incident of a kind is sorted by, where the question does not say; else the cost."""


@dataclass(frozen=True, slots=True)
class Known:
    """One thing that was computed of every incident."""

    example: str
    """A question that asks for it."""
    words: str
    """What it is known by."""
    say: Callable[[Incident], str]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What fits a question."""

    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
    explained: bool
    """Whether the explanation by rules is asked for, or nothing else fits."""
    fits: bool
    """Whether anything in the question said what to choose."""


def _when(incident: Incident) -> str:
    return (
        f"It began at {moment(incident.onset)}, as estimated; it was opened at {moment(incident.opened_at)} and last "
        f"seen at {moment(incident.seen_until)}."
    )


def _cost(incident: Incident) -> str:
    if incident.excess_usd is None:
        return "What it cost beyond the usual is not known."
    return f"Until {moment(incident.seen_until)} it cost {number(incident.excess_usd)} USD beyond what was expected."


def _hit(incident: Incident) -> str:
    hit = incident.affected
    part = f", {100 * hit.trajectories / hit.of:.0f} %" if hit.of else ""
    return f"{hit.trajectories} of {hit.of} trajectories are affected{part}."


def _size(incident: Incident) -> str:
    observed = amount(incident.observed, incident.unit, incident.kind)
    expected = amount(incident.expected, incident.unit, incident.kind)
    return f"Its severity is {incident.severity.value}: {observed} observed, {expected} expected."


def _state(incident: Incident) -> str:
    return f"Its state is {incident.state.value}; it was last seen at {moment(incident.seen_until)}."


def _changed(incident: Incident) -> str:
    if not incident.changes:
        return "No change was seen near the onset."
    told = [
        f"{change.what} {short(change.from_value or 'nothing')} to {short(change.to_value or 'nothing')} at "
        f"{moment(change.at)}"
        for change in incident.changes[:CHANGES_MAX]
    ]
    return f"Seen near the onset: {'; '.join(told)}."


def _account(incident: Incident) -> str:
    if not incident.account:
        return "No account of where the change comes from was made."
    parts = sorted(incident.account, key=lambda factor: -abs(factor.share))
    return f"The change comes from {', '.join(f'{one.factor} {100 * one.share:.0f} %' for one in parts)}."


KNOWN: tuple[Known, ...] = (
    Known("since when?", r"since when|when|how long|began|begin|begun|start|starts|started|onset", _when),
    Known("how much did it cost us?", r"costs?|spen[dt]|money|usd|dollars?|wasted?|bill|expensive|price", _cost),
    Known("how many runs are affected?", r"how many|hit|affected|impacted|concerned|share of|extent|scope", _hit),
    Known("how bad is it?", r"bad|severe|severity|serious|urgent|critical|worse|much (?:more|worse)", _size),
    Known("is it still going on?", r"still|going on|over|ongoing|resolved|open|closed|state|status|now", _state),
    Known("what changed?", r"chang\w*|deploy\w*|releas\w*|roll\w* ?out|different|new", _changed),
    Known("where does it come from?", r"come from|comes from|factors?|account|breakdown|split|due to", _account),
)
"""In the order in which they are answered."""
WHY = re.compile(
    r"\b(?:why|cause[ds]?|reason|explain|what (?:is|was) (?:it|wrong|this)|what happened)\b", re.IGNORECASE
)
EXAMPLES = (
    "why?",
    *(known.example for known in KNOWN),
    "which users were hit? (or: versions, models, prompts, tasks, agents)",
    "which tool costs most? (or: fails most, takes longest)",
    "which runs were the most expensive?",
    "did it happen before?",
)
_BEFORE = re.compile(r"\b(?:before|again|earlier|previous|similar|history|first time|recurr\w*)\b", re.IGNORECASE)


def chosen(
    question: str,
    incident: Incident,
    store: TrajectoryStore,
    past: Callable[[], Sequence[Incident]],
    *,
    history_start: datetime,
    end: datetime,
) -> Chosen:
    """Return what fits a question; tables of runs are of the incident's agents from its onset to `end`."""
    found = [known for known in KNOWN if re.search(rf"\b(?:{known.words})\b", question, re.IGNORECASE)]
    asked = wanted(question, incident.concerned)
    tables = _tables(asked, incident, store, end) if asked.fits else []
    if _BEFORE.search(question) is not None:
        others = [one for one in past() if one.id != incident.id]
        tables.append(incidents_table(others, incident.concerned, history_start, end))
    fits = bool(found or tables)
    why = WHY.search(question) is not None
    return Chosen(tuple(known.say(incident) for known in found), tuple(tables), why or not fits, fits or why)


def _tables(asked: Wanted, incident: Incident, store: TrajectoryStore, end: datetime) -> list[Table]:
    agents = asked.agents or frozenset(incident.concerned)
    order = asked.order if asked.ordered else _LED_BY.get(incident.kind, "cost")
    summaries = _on_file(incident, store)
    tables: list[Table] = []
    if asked.runs is not None and summaries:
        tables.append(
            runs_table(
                "Affected runs, worst first",
                summaries[:ROWS_MAX],
                incident.onset,
                end,
                asked.runs,
                _rest(incident, summaries),
            )
        )
    for by in asked.tables:
        if by in _HIT and summaries:
            tables.append(hit_table(incident, summaries, by, end))
        if incident.onset < end:
            tables += priced_or_timed(store, by, order, incident.onset, end, agents=agents, rows_max=ROWS_MAX)
    return tables


def hit_table(incident: Incident, summaries: Sequence[TrajectorySummary], by: Grouping, end: datetime) -> Table:
    """Return how many of the affected trajectories that are on file each value has, and what they took."""
    groups: dict[str, list[TrajectorySummary]] = {}
    for one in summaries:
        groups.setdefault(short(_HIT[by](one) or NOT_TOLD, NAME_CHARS), []).append(one)
    lines = []
    for value, runs in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))[:ROWS_MAX]:
        costs = [one.cost_usd for one in runs if one.cost_usd is not None]
        latest = clock(max((one.start_ns for one in runs if one.start_ns is not None), default=None))
        share = len(runs) / len(summaries)
        tokens = float(sum(one.tokens for one in runs))
        lines.append(Line((value, float(len(runs)), share, sum(costs) if costs else None, tokens, latest)))
    columns = (
        Column(by),
        Column("affected runs", Unit.COUNT),
        Column("share of them", Unit.SHARE),
        Column("cost", Unit.USD),
        Column("tokens", Unit.TOKENS),
        Column("latest began"),
    )
    notes = [_rest(incident, summaries)]
    if len(groups) > ROWS_MAX:
        notes.append(f"Rows 1 to {ROWS_MAX} of {len(groups)}.")
    note = " ".join(part for part in notes if part)
    return Table(f"Affected runs by {by}", columns, tuple(lines), incident.onset, end, note=note)


def _on_file(incident: Incident, store: TrajectoryStore) -> list[TrajectorySummary]:
    """Return the affected trajectories that the incident names and the store still has, worst first."""
    found = []
    for trace_id in incident.trace_ids:
        try:
            found.append(store.summary(trace_id))
        except NotFoundError:
            continue
    return found


def _rest(incident: Incident, summaries: Sequence[TrajectorySummary]) -> str:
    """Say that there are more than those on file, where there are."""
    if len(summaries) >= incident.affected.trajectories:
        return ""
    return (
        f"Of {incident.affected.trajectories} affected trajectories the incident names the {len(summaries)} worst that "
        "are still stored: others may be hit as well."
    )
