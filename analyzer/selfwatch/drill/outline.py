"""A drill as blocks, and as the document `analyzer.drill/1`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from analyzer.render.blocks import Block, Heading, Line, Paragraph, Table, code, plain
from analyzer.render.numbers import clock, count, moment
from analyzer.render.text import one_line
from analyzer.selfwatch.drill.judge import Verdict
from analyzer.selfwatch.drill.outcome import Drill
from analyzer.types.document import gap_document, time_text

SCHEMA = "analyzer.drill/1"
_NAME_COLUMNS_MAX = 50


def drill_outline(drill: Drill, failures: Sequence[str]) -> tuple[Block, ...]:
    """Return what people read: the figures, each fault, and what could not be shown here."""
    heading = Heading(1, plain(f"Drill after {moment(drill.at)}, seed {drill.seed}"))
    blocks: list[Block] = [heading, Paragraph(plain(_summary(drill)))]
    if drill.verdicts:
        header = ("fault", "what happens", "agent", "began", "found", "after", "as")
        blocks.append(Table(header, tuple(_row(verdict, drill) for verdict in drill.verdicts), right=frozenset({5})))
    blocks += [
        Paragraph(plain(f"False: {one_line(one.title, 120)} ({one.kind.value}, opened {moment(one.opened_at)})."))
        for one in drill.false
    ]
    blocks += [
        Paragraph(plain(f"Not drawn: {one.kind.value}. {_why(one.why, is_volume=one.is_volume)}"))
        for one in drill.left_out
    ]
    if drill.undrilled:
        said = "; ".join(f"{name}, because {why}" for name, why in drill.undrilled)
        blocks.append(Paragraph(plain(f"Detectors not drilled: {said}.")))
    blocks.append(Paragraph(plain(_shadow(drill))))
    verdict = "Passed." if not failures else f"Failed: {'; '.join(failures)}."
    blocks.append(Paragraph(plain("Nothing could be drilled." if not drill.verdicts else verdict)))
    return tuple(blocks)


def _summary(drill: Drill) -> str:
    if drill.recall is None:
        return "No agent of this fleet can show any of the faults."
    precision = "-" if drill.precision is None else f"{drill.precision:.2f}"
    delay = "-" if drill.delay is None else _hours(drill.delay)
    below = sum(one.is_volume for one in drill.left_out)
    unseen = f", {below} below what this fleet's volume can show" if below else ""
    leaks = count(len(drill.leaks), "leak") if drill.leaks else "none came out"
    return (
        f"{drill.found} of {count(len(drill.verdicts), 'fault')} found{unseen}: recall {drill.recall:.2f}, precision"
        f" {precision}, median time to detect {delay}. {count(drill.canaries, 'canary', 'canaries')} put in: {leaks}."
    )


def _row(verdict: Verdict, drill: Drill) -> tuple[Line, ...]:
    planted, incident = verdict.planted, verdict.incident
    tool = f" / {planted.tool}" if planted.tool else ""
    return (
        plain(planted.kind.value),
        plain(planted.fault.does),
        plain(one_line(f"{planted.agent}{tool}", _NAME_COLUMNS_MAX)),
        plain(clock(planted.onset, drill.ends)),
        plain(_found(verdict)),
        plain("-" if verdict.delay is None else _hours(verdict.delay)),
        plain("-") if incident is None else (code(incident.kind.value),),
    )


def _found(verdict: Verdict) -> str:
    """Say what became of a fault: who is blind is named where an incident came all the same."""
    if verdict.incident is None:
        return "missed"
    return f"not by {', '.join(verdict.unseen)}" if verdict.unseen else "found"


def _why(why: str, *, is_volume: bool) -> str:
    return f"Below what this fleet's volume can show: {why}." if is_volume else f"{why[:1].upper()}{why[1:]}."


def _shadow(drill: Drill) -> str:
    copied = sum(one.trajectories for one in drill.agents)
    thin = [f"{one.agent} (one in {one.one_in:,})" for one in drill.agents if one.one_in > 1]
    mended = [one.agent for one in drill.agents if one.healthy_until < drill.at]
    left = f"; {count(drill.agents_left, 'agent')} of the fleet left out" if drill.agents_left else ""
    thinned = f"; only a part of {', '.join(thin)}" if thin else ""
    healed = f"; healthy days in the place of what is wrong now with {', '.join(mended)}" if mended else ""
    known = f"; {count(drill.known, 'incident')} there without any fault do not count" if drill.known else ""
    return (
        f"The shadow: {count(len(drill.agents), 'agent')} with {count(copied, 'trajectory', 'trajectories')} of history"
        f"{thinned}{healed}{left}; {count(drill.rounds, 'round')} of {_hours(drill.ends - drill.at)}, judged every"
        f" {_hours(drill.every)}; {count(sum(drill.messages.values()), 'message')} captured on"
        f" {count(sum(said > 0 for said in drill.messages.values()), 'route')}, none sent{known}."
    )


def _hours(length: timedelta) -> str:
    return f"{length / timedelta(hours=1):.1f} h".replace(".0 h", " h")


def drill_document(drill: Drill, failures: Sequence[str]) -> dict[str, Any]:
    """Return the JSON document; times are ISO 8601, durations in seconds."""
    return {
        "schema": SCHEMA,
        "seed": drill.seed,
        "at": time_text(drill.at),
        "ends": time_text(drill.ends),
        "passed": not failures and bool(drill.verdicts),
        "failures": list(failures),
        "recall": drill.recall,
        "precision": drill.precision,
        "delay_s": None if drill.delay is None else drill.delay.total_seconds(),
        "every_s": drill.every.total_seconds(),
        "faults": [_fault(verdict) for verdict in drill.verdicts],
        "blind": [kind.value for kind in drill.blind],
        "missed_by": [{"detector": name, "kind": kind.value} for name, kind in drill.missed_by],
        "not_drilled": [{"detector": name, "why": why} for name, why in drill.undrilled],
        "false": [{"id": one.id, "kind": one.kind.value, "title": one.title} for one in drill.false],
        "not_drawn": [
            {"kind": one.kind.value, "why": one.why, "below_volume": one.is_volume} for one in drill.left_out
        ],
        "canaries": {"planted": drill.canaries, "leaked": {leak: list(exits) for leak, exits in drill.leaks.items()}},
        "shadow": {
            "rounds": drill.rounds,
            "known_incidents": drill.known,
            "messages": dict(drill.messages),
            "agents_left_out": drill.agents_left,
            "agents": [
                {
                    "agent": one.agent,
                    "trajectories": one.trajectories,
                    "one_in": one.one_in,
                    "healthy_until": time_text(one.healthy_until),
                }
                for one in drill.agents
            ],
        },
        "gaps": [gap_document(gap) for gap in drill.gaps],
    }


def _fault(verdict: Verdict) -> dict[str, Any]:
    planted, incident = verdict.planted, verdict.incident
    return {
        "kind": planted.kind.value,
        "agent": planted.agent,
        "tool": planted.tool,
        "onset": time_text(planted.onset),
        "round": planted.round + 1,
        "found": verdict.is_found,
        "detectors": list(planted.witnesses),
        "unseen": list(verdict.unseen),
        "delay_s": None if verdict.delay is None else verdict.delay.total_seconds(),
        "incident": None if incident is None else {"kind": incident.kind.value, "title": incident.title},
    }
