"""What is asked about the fleet: facts about a range, tools that compute tables, and tables by the question's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from analyzer.agent.case import TOKENS_MAX, build_case
from analyzer.agent.facts import Fact, moment, number, short
from analyzer.agent.investigate import Means
from analyzer.agent.numbers import COUNT, TOKENS, USD, Quantity
from analyzer.agent.ranges import before_in, range_in
from analyzer.agent.rules import explain
from analyzer.agent.session import Topic
from analyzer.agent.tables import DATED, compared_table, priced_or_timed, runs_table
from analyzer.agent.tools.catalogue import FLEET
from analyzer.agent.tools.past import incidents_table
from analyzer.agent.wanted import CHOSEN, EXAMPLES, Wanted, askable, wanted
from analyzer.prompts import load
from analyzer.stores.base import Totals
from analyzer.types.diagnosis import Ending, Verdict
from analyzer.types.explained import Answer
from analyzer.types.promql import one_of
from analyzer.types.report import STORE, Affected, Incident, Kind, MetricEvidence, Severity, State, Subject
from analyzer.types.spending import ModelUse
from analyzer.types.table import Table

ROWS_MAX = 15
"""Of a table that is printed: what matters stands at its top."""
NAMED_MAX = 30
NO_TABLE = "no model was asked, and no word of the question chooses a table: `analyzer doctor` says what is missing"


@dataclass(frozen=True, slots=True)
class Range:
    """When a question about the fleet is asked, and of which time."""

    start: datetime
    end: datetime
    reach: datetime
    """How far back tools may look, for comparisons; not after `start`."""
    now: datetime
    fixed: bool = True
    """False where each question may name a range of its own, as in a session that began without one."""

    def of(self, question: str) -> Range:
        """Return the range of one question."""
        said = None if self.fixed else range_in(question, self.now)
        return self if said is None else replace(self, start=said[0], end=said[1])

    def before(self, question: str) -> Range:
        """Return what the range of a question is compared with."""
        start, end = before_in(question, self.start, self.end, self.now)
        return replace(self, start=start, end=end)


def fleet_topic(span: Range, means: Means, *, agent: str | None = None, tokens_max: int = TOKENS_MAX) -> Topic:
    """Return the fleet, or one agent of it, to ask about. Raises StoreError."""
    incident = _as_incident(span, agent)
    agents = [agent] if agent is not None else means.store.agents(span.reach, span.end)
    case = build_case(
        incident,
        trajectories=(),
        healthy=(),
        tokens_max=tokens_max,
        mask=means.mask,
        window=(span.reach, span.end),
        facts=_facts(span, means, () if agent is None else (agent,), agents),
    )
    opening = load("ask_fleet").render(
        mark=case.markers.mark,
        now=span.now.isoformat(timespec="minutes"),
        start=span.start.isoformat(timespec="minutes"),
        end=span.end.isoformat(timespec="minutes"),
        reach=span.reach.isoformat(timespec="minutes"),
        agents=case.markers.clean(means.mask(", ".join(short(name) for name in agents[:NAMED_MAX]) or "none")),
    )
    return Topic(
        case=case,
        system=load("ask_fleet_system").text,
        opening=opening,
        tools=FLEET,
        fallback=explain(incident, (), (), mask=means.mask).diagnosis,
        by_rules=_by_rules(span, means, agents, agent),
    )


def _by_rules(span: Range, means: Means, agents: Sequence[str], only: str | None) -> Callable[[str], Answer]:
    def answer(question: str) -> Answer:
        own = span.of(question)
        asked = wanted(question, agents)
        if only is not None:
            asked = replace(asked, agents=frozenset({only}))
        of = sorted(asked.agents)
        text = _facts(own, means, of, agents)[0].text
        before = own.before(question) if asked.compared and asked.tables else None
        if before is not None:
            text += _against(before, means, of, agents)
        tables: list[Table] = []
        note = NO_TABLE
        if asked.fits or asked.compared or only is not None:
            tables = _tables(asked, own, means, before)
            note = CHOSEN.format(tables="; ".join(table.title for table in tables))
        else:
            text += askable(EXAMPLES)
        return Answer(
            text=means.mask(text),
            claims=(),
            evidence=(),
            verdict=Verdict.INCONCLUSIVE,
            by="rules",
            ending=Ending.OFF,
            struck_out=0,
            note=note,
            use=ModelUse(),
            tables=tuple(tables),
        )

    return answer


def _tables(asked: Wanted, span: Range, means: Means, before: Range | None) -> list[Table]:
    """Return the tables that a question asks for."""
    store = means.store
    tables: list[Table] = []
    for by in asked.tables:
        if before is not None and by not in DATED:
            ranges = (span.start, span.end), (before.start, before.end)
            tables.append(compared_table(store, by, asked.order, *ranges, agents=asked.agents, rows_max=ROWS_MAX))
            continue
        tables += priced_or_timed(store, by, asked.order, span.start, span.end, agents=asked.agents, rows_max=ROWS_MAX)
    if asked.runs is not None:
        found = store.summaries(agents=asked.agents, start=span.start, end=span.end, order=asked.runs, limit=ROWS_MAX)
        tables.append(runs_table(f"Runs, {asked.runs} first", found, span.start, span.end, asked.runs))
    if asked.incidents:
        tables.append(incidents_table(means.past(), asked.agents, span.start, span.end))
    return tables


def _facts(span: Range, means: Means, of: Sequence[str], agents: Sequence[str]) -> tuple[Fact, ...]:
    """Return what is true of the range as a whole: of some agents, or of the fleet where none is named."""
    totals = means.store.totals("outcome", span.start, span.end, agents=of)
    times = frozenset({span.start, span.end, span.reach})
    if not totals:
        return (Fact("F1", _nothing(span, means, of), frozenset(), (), times),)
    runs, failed = (sum(getattr(one, name) for one in totals) for name in ("trajectories", "failed"))
    cost, tokens, unpriced = _sums(totals)
    known = {Quantity(float(runs), COUNT), Quantity(float(failed), COUNT), Quantity(float(len(agents)), COUNT)}
    known |= {Quantity(tokens, TOKENS), Quantity(float(unpriced), COUNT)}
    paid = "no known cost"
    if cost is not None:
        known.add(Quantity(cost, USD))
        paid = f"{number(cost)} USD"
    text = (
        f"From {moment(span.start)} to {moment(span.end)}, {runs:,} trajectories of {_who(of)} ended, {failed:,} of "
        f"them in an error or short of their goal: {paid}, {number(tokens)} tokens."
    )
    if unpriced:
        text += f" {unpriced:,} calls of models have no known price."
    seconds = max((span.end - span.start).total_seconds(), 1.0)
    labels = f"{{{one_of('agent', of)}}}" if of else ""
    query = f"sum(increase(agent_trajectories_total{labels}[{seconds:.0f}s]))"
    basis = MetricEvidence("", query, span.start, span.end, seconds, float(runs), STORE)
    facts = [Fact("F1", text, frozenset(known), (), times, basis)]
    names = ", ".join(short(name) for name in agents[:NAMED_MAX])
    rest = ", ..." if len(agents) > NAMED_MAX else ""
    count = frozenset({Quantity(float(len(agents)), COUNT)})
    facts.append(Fact("F2", f"{len(agents)} agents since {moment(span.reach)}: {names}{rest}.", count, (), times))
    return tuple(facts)


def _sums(totals: Sequence[Totals]) -> tuple[float | None, float, int]:
    costs = [one.cost_usd for one in totals if one.cost_usd is not None]
    tokens = float(sum((one.input_tokens or 0) + (one.output_tokens or 0) for one in totals))
    return sum(costs) if costs else None, tokens, sum(one.unpriced for one in totals)


def _against(before: Range, means: Means, of: Sequence[str], agents: Sequence[str]) -> str:
    """Return what is true of the range that another is compared with, and how much of it the store has."""
    said = _facts(before, means, of, agents)[0]
    text = f" {said.text if said.basis is not None else _none(before, of)}"
    oldest = means.store.summaries(order="oldest", limit=1)
    if oldest and oldest[0].end_ns and (began := datetime.fromtimestamp(oldest[0].end_ns / 1e9, UTC)) > before.start:
        text += f" Nothing is stored of before {moment(began)}: the earlier range is not whole."
    return text


def _none(span: Range, of: Sequence[str]) -> str:
    whose = f" of {_who(of)}" if of else ""
    return f"From {moment(span.start)} to {moment(span.end)} no trajectory{whose} ended."


def _who(of: Sequence[str]) -> str:
    names = " and ".join(short(name) for name in of)
    return "the fleet" if not of else f"agent {names}" if len(of) == 1 else f"agents {names}"


def _nothing(span: Range, means: Means, of: Sequence[str]) -> str:
    """Say that nothing ended in a range, and when anything did: the range is what to change then."""
    latest = means.store.summaries(agents=of, limit=1)
    text = _none(span, of)
    if latest and latest[0].end_ns:
        ended = datetime.fromtimestamp(latest[0].end_ns / 1e9, UTC)
        text += f" The latest ended {moment(ended)}: --to or --last name another range."
    return text


def _as_incident(span: Range, agent: str | None) -> Incident:
    """Return the range in the form the case file and the gate work on. It is never filed."""
    return Incident(
        id="question-fleet",
        fingerprint="fleet",
        state=State.OPEN,
        severity=Severity.LOW,
        kind=Kind.COST,
        title="Question about the fleet",
        subject=Subject(agent=agent),
        onset=span.start,
        opened_at=span.end,
        last_seen_at=span.end,
        observed=0.0,
        expected=0.0,
        ratio=None,
        unit="USD",
        affected=Affected(0, 0),
        excess_usd=None,
        findings=(),
    )
