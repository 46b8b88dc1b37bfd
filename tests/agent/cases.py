"""Trajectories, an incident and a store in memory for the tests of the investigator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import get_ident

from analyzer.agent.case import CaseFile, build_case
from analyzer.agent.investigate import Means
from analyzer.errors import NotFoundError
from analyzer.metrics.base import Exemplar, Points
from analyzer.stores.base import Hit
from analyzer.types.choices import Shifted
from analyzer.types.messages import readable
from analyzer.types.report import (
    Affected,
    Change,
    Factor,
    Finding,
    Incident,
    Kind,
    MetricEvidence,
    Severity,
    SpanEvidence,
    State,
    Subject,
)
from analyzer.types.trace import TEXT_FIELDS, ErrorClass, Operation, Outcome, Span, Status, Tokens
from analyzer.types.trajectory import Trajectory, ordered, summarise

ONSET = datetime(2026, 11, 20, 14, 15, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
AGENT = "support-triage"
WORST, SECOND, HEALTHY, FOREIGN = (letter * 32 for letter in "abcd")
QUERY = f'sum(increase(agent_cost_usd_total{{agent="{AGENT}"}}[4h]))'
ERROR = "order service answered 503: connection pool exhausted"


def span_id(number: int, trace_id: str = WORST) -> str:
    """Return the id of the span that is step `number`."""
    return f"{trace_id[0] * 8}{number:08x}"


def chat(
    number: int,
    said: str,
    *,
    trace_id: str = WORST,
    tokens: int = 1200,
    heard: str = "go on",
    calls: Sequence[str] = (),
) -> Span:
    """Return an inference; `calls` are the tools that its reply asks for."""
    asked = [{"type": "function", "function": {"name": name, "arguments": "{}"}} for name in calls]
    start = int(ONSET.timestamp() * 1e9) + number * 2_000_000_000
    return Span(
        trace_id=trace_id,
        span_id=span_id(number, trace_id),
        parent_id="f" * 16,
        name="chat claude-haiku-5-5",
        operation=Operation.CHAT,
        start_ns=start,
        end_ns=start + 1_500_000_000,
        agent=AGENT,
        agent_version="1.4.2",
        model="claude-haiku-5-5",
        tokens=Tokens(input=tokens, output=50),
        cost_usd=tokens * 1e-6,
        input=json.dumps([{"role": "user", "content": heard}]),
        output=json.dumps([{"role": "assistant", "content": said} | ({"tool_calls": asked} if asked else {})]),
        system="You triage support tickets. Never promise refunds.",
    )


def tool(
    number: int, arguments: str, outcome: str, *, trace_id: str = WORST, name: str = "lookup_order", error: str = ""
) -> Span:
    """Return a tool call; with `error` a failed one."""
    start = int(ONSET.timestamp() * 1e9) + number * 2_000_000_000
    return Span(
        trace_id=trace_id,
        span_id=span_id(number, trace_id),
        parent_id="f" * 16,
        name=f"execute_tool {name}",
        operation=Operation.TOOL,
        start_ns=start,
        end_ns=start + 320_000_000,
        status=Status.ERROR if error else Status.OK,
        status_message=error,
        error=ErrorClass.TOOL_ERROR if error else None,
        agent=AGENT,
        agent_version="1.4.2",
        tool=name,
        input=arguments,
        output=outcome,
    )


def trajectory(spans: Sequence[Span], trace_id: str = WORST) -> Trajectory:
    """Return the trajectory of these steps under a root span."""
    root = Span(
        trace_id=trace_id,
        span_id="f" * 16,
        parent_id=None,
        name=f"invoke_agent {AGENT}",
        operation=Operation.AGENT,
        start_ns=int(ONSET.timestamp() * 1e9),
        end_ns=max((span.end_ns or 0) for span in spans) + 1,
        agent=AGENT,
        agent_version="1.4.2",
        outcome=Outcome.FAILURE,
    )
    every = ordered([root, *spans])
    return Trajectory(summarise(trace_id, every), every)


def looping(trace_id: str = WORST, times: int = 25) -> Trajectory:
    """Return a run that looks up one order again and again, and fails at the end."""
    heard = "Where is my order 81723?"
    spans = [chat(1, "I will look up the order 81723.", trace_id=trace_id, heard=heard, calls=("lookup_order",))]
    spans += [
        tool(number, '{"order_id": "81723"}', "order 81723 not found in region eu-west", trace_id=trace_id)
        for number in range(2, times + 2)
    ]
    spans.append(tool(times + 2, '{"order_id": "81723"}', "", trace_id=trace_id, error=ERROR))
    spans.append(chat(times + 3, "Sorry, I could not find your order.", trace_id=trace_id, tokens=9000))
    return trajectory(spans, trace_id)


def well(trace_id: str = HEALTHY) -> Trajectory:
    """Return a run of the same agent that did well."""
    spans = [
        chat(1, "I will look up the order 81723.", trace_id=trace_id, heard="Where is my order 55501?"),
        tool(2, '{"order_id": "55501"}', "order 55501 is on its way", trace_id=trace_id),
        chat(3, "Your order is on its way.", trace_id=trace_id),
    ]
    one = trajectory(spans, trace_id)
    return replace(one, summary=replace(one.summary, outcome=Outcome.SUCCESS))


def incident(**changes: object) -> Incident:
    """Return a doubling of cost after a new version, with an account."""
    evidence = MetricEvidence("E1", QUERY, ONSET, NOW, 13500.0, 0.26)
    finding = Finding(
        detector="cost",
        kind=Kind.COST,
        subject=Subject(agent=AGENT),
        onset=ONSET,
        onset_low=ONSET - timedelta(hours=1),
        onset_high=ONSET + timedelta(minutes=30),
        value=0.26,
        baseline=0.12,
        threshold=12.0,
        score=48.7,
        unit="USD",
        affected=312,
        of=420,
        excess_usd=43.7,
        evidence=(evidence,),
        trace_ids=(WORST,),
    )
    base = Incident(
        id="inc-1",
        fingerprint="cost:support-triage",
        state=State.OPEN,
        severity=Severity.HIGH,
        kind=Kind.COST,
        title="Cost per trajectory of support-triage doubled",
        subject=Subject(agent=AGENT),
        onset=ONSET,
        opened_at=NOW,
        last_seen_at=NOW,
        observed=0.26,
        expected=0.12,
        ratio=0.26 / 0.12,
        unit="USD",
        affected=Affected(312, 420),
        excess_usd=43.7,
        findings=(finding,),
        account=(Factor("steps per run", 3.1, 27.4, 0.83), Factor("tokens per step", 1200.0, 1350.0, 0.17)),
        changes=(Change("version", "1.4.1", "1.4.2", ONSET - timedelta(minutes=12)),),
        trace_ids=(WORST, SECOND),
        healthy_trace_ids=(HEALTHY,),
        evidence=(evidence,),
    )
    return replace(base, **changes)


class HeldStore:
    """The reading half of a trajectory store, in memory. Notes when two threads are inside at once."""

    def __init__(self, *trajectories: Trajectory) -> None:
        self.held = {one.summary.trace_id: one for one in trajectories}
        self.inside: set[int] = set()
        self.crowded = False
        self.reads: list[str] = []

    def trajectory(self, trace_id: str) -> Trajectory:
        """Return a trajectory."""
        self._enter(trace_id)
        try:
            return self.held[trace_id]
        except KeyError:
            raise NotFoundError(f"no trajectory {trace_id}") from None
        finally:
            self.inside.discard(get_ident())

    def trajectories(self, trace_ids: Sequence[str]) -> dict[str, Trajectory]:
        """Return those trajectories that are there."""
        return {trace_id: self.trajectory(trace_id) for trace_id in trace_ids if trace_id in self.held}

    def span(self, trace_id: str, span_id: str) -> Span:
        """Return a span."""
        self._enter(trace_id)
        try:
            found = self.held[trace_id].span(span_id) if trace_id in self.held else None
        finally:
            self.inside.discard(get_ident())
        if found is None:
            raise NotFoundError(f"no span {span_id}")
        return found

    def search(
        self, text: str, *, trace_ids: Sequence[str] = (), agent: str | None = None, limit: int = 20
    ) -> list[Hit]:
        """Return where a text stands."""
        hits = []
        for one in self.held.values():
            for span in one.spans:
                for field in TEXT_FIELDS:
                    held = readable(getattr(span, field))
                    at = held.lower().find(text.lower())
                    if at >= 0 and one.summary.trace_id in trace_ids:
                        hits.append(Hit(span.trace_id, span.span_id, field, held[max(at - 20, 0) : at + 200]))
        return hits[:limit]

    def _enter(self, what: str) -> None:
        self.reads.append(what)
        self.crowded = self.crowded or bool(self.inside - {get_ident()})
        self.inside.add(get_ident())


class OneValue:
    """A metric source that answers everything with one value."""

    def __init__(self, value: float = 0.26) -> None:
        self.value = value
        self.asked: list[str] = []

    def query(self, promql: str, at: datetime) -> list[Points]:
        """Return one point."""
        self.asked.append(promql)
        return [Points({"agent": AGENT}, (at.timestamp(),), (self.value,))]

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: float) -> list[Points]:
        """Return a point every step."""
        self.asked.append(promql)
        count = int((end - start).total_seconds() // step_s) + 1
        times = tuple(start.timestamp() + index * step_s for index in range(count))
        return [Points({"agent": AGENT}, times, (self.value,) * count)]

    def exemplars(self, promql: str, start: datetime, end: datetime) -> list[Exemplar]:
        """Know none."""
        return []


def choosing(shifted: Shifted, **changes: object) -> Incident:
    """Return an incident of a shifted choice, with a call that made it and the value it was counted by on file."""
    base = incident()
    made = SpanEvidence("E2", WORST, span_id(2), "input", "SELECT total FROM orders_archive")
    found = replace(
        base.findings[0],
        kind=Kind.TOOL_CHOICE,
        detector="tool-choice",
        subject=Subject(agent=AGENT, tool="run_sql"),
        value=0.3,
        baseline=0.0,
        unit="share",
        affected=12,
        of=40,
        shifted=shifted,
    )
    fields = {"account": (), "changes": (), "observed": 0.3, "expected": 0.0, "unit": "share", "ratio": None}
    fields |= {"affected": Affected(12, 40), "evidence": (*base.evidence, made), "excess_usd": None}
    title = f"{AGENT}: picks table orders_archive instead of orders (run_sql) in 12 of 40 trajectories"
    return replace(base, kind=Kind.TOOL_CHOICE, findings=(found,), title=title, **(fields | changes))


def querying() -> Trajectory:
    """Return a run that reads the table it should not."""
    call = tool(2, "SELECT total FROM orders_archive", "42", name="run_sql")
    return trajectory([chat(1, "fine"), call, chat(3, "done")])


def the_case(**options: object) -> CaseFile:
    """Return the case file of the incident."""
    given = {"trajectories": (looping(), looping(SECOND, 12)), "healthy": (well(),)} | options
    one = given.pop("incident", None) or incident()
    return build_case(one, **given)


def means(model: object = None, **options: object) -> Means:
    """Return what an investigation works with, over a store that holds the case and a foreign trajectory."""
    store = HeldStore(looping(), looping(SECOND, 12), well(), well(FOREIGN))
    given = {"store": store, "recompute": lambda evidence: 0.26 if evidence.promql == QUERY else None} | options
    return Means(model=model, **given)


def quote(
    text: str, *, number: int = 2, field: str = "output", trace_id: str = WORST, **changes: str
) -> dict[str, str]:
    """Return a quote as a model gives it."""
    one = {"kind": "quote", "trace_id": trace_id, "span_id": span_id(number, trace_id), "field": field, "quote": text}
    return one | changes


def claim(text: str, *evidence: dict[str, object], decisive: bool = False) -> dict[str, object]:
    """Return a claim as a model gives it."""
    return {"text": text, "decisive": decisive, "evidence": list(evidence)}


def answer(*claims: dict[str, object], **changes: object) -> dict[str, object]:
    """Return an honest diagnosis as a model gives it."""
    honest = [
        claim(
            "The lookup keeps answering that the order is not found in region eu-west.",
            quote("order 81723 not found in region eu-west"),
            decisive=True,
        ),
        claim("The agent repeats the same lookup for order 81723.", quote('{"order_id": "81723"}', field="input")),
        claim("Cost per trajectory is 0.26 USD where 0.12 USD was expected.", {"kind": "fact", "id": "E1"}),
    ]
    return {
        "summary": "Since 14:15 UTC a trajectory costs 0.26 USD, 2.2x the usual. 312 of 420 are affected.",
        "cause": "After version 1.4.2 the agent repeats lookup_order without progress; 83 % comes from steps per run.",
        "category": "loop",
        "refutation": "Runs of version 1.4.1 in the same hours would loop as well.",
        "claims": list(claims) or honest,
        "responsible": {"trace_id": WORST, "span_id": span_id(3), "step": 3},
        "actions": ["Stop after the second identical lookup."],
        "check": f"analyzer traces show {WORST}",
    } | changes
