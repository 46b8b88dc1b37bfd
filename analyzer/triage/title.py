"""The title of an incident: what, who, how much, since when, in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from analyzer.render.numbers import count, figure, moment, money, number, period, ratio
from analyzer.render.text import one_line
from analyzer.triage.dated import since
from analyzer.triage.told import Told
from analyzer.types.choices import TABLES, TOOL
from analyzer.types.percents import percent
from analyzer.types.report import CALLS, Finding, Kind, Subject

_NAME_COLUMNS_MAX = 60
_HOUR_S, _DAY_S = 3600, 86_400
_RATE_AFTER_S = 6 * _HOUR_S
"""From here on money is said per day; before, a rate would be more guess than figure."""

_CENT_USD = 0.01
_OF_MONEY = frozenset({Kind.COST, Kind.TOOL_COST, Kind.BUDGET})
"""Their money is always said, however little; beside retries or durations less than a cent is no news."""

_SHARES = {
    Kind.ERRORS: "of trajectories fail",
    Kind.TRUNCATION: "of trajectories are cut short",
    Kind.SUCCESS: "of trajectories miss their goal",
    Kind.RETRIES: "of trajectories have to try again",
}
_NOUNS = {
    Kind.COST: "cost per trajectory",
    Kind.TOKENS: "tokens per trajectory",
    Kind.STEPS: "steps per trajectory",
    Kind.LATENCY: "duration of a trajectory",
    Kind.VOLUME: "trajectories per hour",
}
_TOOL_NOUNS = {Kind.TOOL_LATENCY: "duration of", Kind.TOOL_COST: "cost of"}
_EVENTS = {
    Kind.INJECTION: "was given instructions by the data it read",
    Kind.SILENCE: "has gone silent",
    Kind.METERING: "metrics and traces disagree",
}

_ONSETS_APART = timedelta(hours=1)
"""Onsets closer than this are one moment to a reader."""


def title(told: Told, began: datetime, until: datetime) -> str:
    """Return the title. `until` is how far it has gone on: to when its agents last ran.

    Names are cut to 60 columns and made visible; escaping them is the renderer's.
    Times stand in full: a title is stored and read on other days, where "since 16:15" would mean another day.
    The figures of a finding count from its own onset; where the incident `began` before that, the title says both.
    Where several agents share it, it says how many: `10 agents on claude-opus-5-5`.
    """
    lead = since(told.lead, began)
    when = f"since {moment(lead.onset)}"
    if lead.recovered is not None:
        when = f"from {period(lead.onset, lead.recovered)}"
    if lead.onset - began > _ONSETS_APART:
        when = f"{when} (first {moment(began)})"
    text = f"{_who(told.subject, len(told.agents))}: {_what(lead, told.subject)} {when}"
    loss = _loss(lead, told.excess_usd, until)
    return f"{text}, {loss}" if loss else text


def _who(subject: Subject, agents: int) -> str:
    if not agents:
        return one_line(subject.agent or "fleet", _NAME_COLUMNS_MAX)
    name = one_line(subject.model or subject.provider or "", _NAME_COLUMNS_MAX)
    calls = f" that call {one_line(subject.tool, _NAME_COLUMNS_MAX)}" if subject.tool else ""
    return f"{count(agents, 'agent')}{f' on {name}' if name else calls}"


def _what(lead: Finding, subject: Subject) -> str:
    tool = one_line(subject.tool, _NAME_COLUMNS_MAX) if subject.tool else ""
    if lead.kind in _SAID:
        return _SAID[lead.kind](lead, tool)
    if lead.kind in _SHARES:
        return f"{percent(lead.value)} {_SHARES[lead.kind]} ({percent(lead.baseline)} expected)"
    if lead.kind in _EVENTS:
        return f"{_EVENTS[lead.kind]}{f' ({tool})' if tool else ''}{_hit(lead)}"
    noun = _NOUNS.get(lead.kind) or f"{_TOOL_NOUNS.get(lead.kind, lead.kind.value)} {tool or 'tool calls'}"
    return f"{noun} {_change(lead)}"


def _loop(lead: Finding, tool: str) -> str:
    # Over no single tool it may be replies, several calls in turn, or agents that send each other back and forth.
    return f"{f'{tool} repeated' if tool else 'repeats itself'} up to {figure(lead.value, lead.kind)}{_hit(lead)}"


def _tool_errors(lead: Finding, tool: str) -> str:
    expected = f"({percent(lead.baseline)} expected)"
    if lead.unit == CALLS or not lead.of:
        calls = f"{tool}: {percent(lead.value)} of calls" if tool else f"{percent(lead.value)} of tool calls"
        return f"{calls} fail {expected}"
    # Of each trajectory's calls the failed share, on average: the calls of one trajectory fail together.
    return f"{tool or 'a tool'} fails{_hit(lead)}: {percent(lead.value)} of a trajectory's calls {expected}"


def _runaway(lead: Finding, _tool: str) -> str:
    usual = figure(lead.baseline, lead.kind, lead.unit)
    return f"up to {figure(lead.value, lead.kind, lead.unit)} where {usual} is usual{_hit(lead)}"


def _budget(lead: Finding, _tool: str) -> str:
    """Say what was spent of what: the unit is that of a day, or says "a trajectory"."""
    unit, _, each = lead.unit.partition(" ")
    spent, budget = (figure(value, lead.kind, unit) for value in (lead.value, lead.baseline))
    return f"{spent} spent {each or 'in a day'}, {budget} budgeted{_hit(lead)}"


def _choice(lead: Finding, tool: str) -> str:
    """Say which choice took the place of which: `reads orders_archive instead of orders (run_sql)`."""
    shifted = lead.shifted
    if shifted is None:
        return f"picks another tool than it used to{f' ({tool})' if tool else ''}{_hit(lead)}"
    picked, usual = (one_line(name, _NAME_COLUMNS_MAX) if name else "" for name in (shifted.picked, shifted.usual))
    what = {TOOL: "", TABLES: "table "}.get(shifted.what, f"{one_line(shifted.what, _NAME_COLUMNS_MAX)} ")
    verb = "calls" if shifted.what == TOOL else "picks"
    place = f" ({tool})" if tool and shifted.what != TOOL else ""
    if not picked:
        return f"no longer {verb} {what}{usual}{place}{_hit(lead)}"
    return f"{verb} {what}{picked}{f' instead of {usual}' if usual else ''}{place}{_hit(lead)}"


def _injection(lead: Finding, tool: str) -> str:
    """Say whose results hold orders, and whether the agent acts: `read_page returns orders to the model in 3 of 40`."""
    acted = f", and it acts on them in {number(lead.value)}" if lead.value else ""
    return f"{tool or 'a tool'} returns orders to the model{_hit(lead)}{acted}"


_SAID: Mapping[Kind, Callable[[Finding, str], str]] = {
    Kind.LOOP: _loop,
    Kind.TOOL_ERRORS: _tool_errors,
    Kind.TOOL_CHOICE: _choice,
    Kind.RUNAWAY: _runaway,
    Kind.INJECTION: _injection,
    Kind.BUDGET: _budget,
}
"""Kinds with a sentence of their own."""


def _change(lead: Finding) -> str:
    if lead.baseline > 0:
        return ratio(lead.value / lead.baseline)
    return f"at {figure(lead.value, lead.kind, lead.unit)}"


def _hit(lead: Finding) -> str:
    if lead.affected <= 0:
        return ""
    if lead.of > 0:
        return f" in {number(lead.affected)} of {count(lead.of, 'trajectory', 'trajectories')}"
    return f" in {count(lead.affected, 'trajectory', 'trajectories')}"


def _loss(lead: Finding, excess_usd: float | None, until: datetime) -> str:
    # What a loop cost is what was paid after it was plain, and not all that its runs cost more than others.
    if lead.kind is Kind.LOOP and lead.excess_usd:
        return f"{money(lead.excess_usd)} wasted"
    if excess_usd is None or excess_usd <= 0:
        return ""
    elapsed_s = (until - lead.onset).total_seconds()
    at_once = lead.recovered is not None or elapsed_s < _RATE_AFTER_S
    amount = excess_usd if at_once else excess_usd / elapsed_s * _DAY_S
    if amount < _CENT_USD and lead.kind not in _OF_MONEY:
        return ""
    return f"{money(amount)} {'too much' if at_once else 'a day too much'}"
