"""One incident from case file to diagnosis: the loop with a model, or the rules without one.

This module and `ask` are what the pipeline calls; `Means` is everything they need from above.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analyzer.agent.answer import read_diagnosis
from analyzer.agent.case import CaseFile
from analyzer.agent.gate import Gate, Gated, Recompute
from analyzer.agent.investigator import Conversation, Investigator, Judge, Judged
from analyzer.agent.limits import Limits, Meter, Price
from analyzer.agent.model import Model, ToolSpec, Turn
from analyzer.agent.obedience import Obedience
from analyzer.agent.overheard import Overheard
from analyzer.agent.rules import ENDINGS, explain
from analyzer.agent.second_reader import read_again
from analyzer.agent.text import Mask, defuse, plain
from analyzer.agent.toolbox import Toolbox
from analyzer.agent.tools import SUBMIT_DIAGNOSIS_SPEC
from analyzer.agent.tools.base import Tool
from analyzer.agent.tools.catalogue import CASE
from analyzer.metrics.base import MetricSource
from analyzer.prompts import load
from analyzer.stores.base import TrajectoryStore
from analyzer.types.audit import Journal, Unwritten
from analyzer.types.diagnosis import Diagnosis, Ending
from analyzer.types.explained import Tell
from analyzer.types.report import Evidence, Incident, MetricEvidence
from analyzer.types.spending import ModelUse, Purse, Unlimited
from analyzer.types.trace import Operation, Tokens
from analyzer.types.watch import Unwatched, Watch

NOTE_CHARS = 400


def unpriced(_usage: Tokens) -> float | None:
    """Say of every call that its price is not known: only the limits of steps, tokens and seconds hold then."""
    return None


def not_recomputed(_evidence: MetricEvidence) -> float | None:
    """Say of every metric that it cannot be computed again: claims on new metrics are struck out then."""
    return None


@dataclass(frozen=True, slots=True)
class Means:
    """What an investigation works with."""

    model: Model | None
    """None: explained by rules."""
    store: TrajectoryStore
    metrics: MetricSource | None = None
    recompute: Recompute = not_recomputed
    """A metric the model cites -> its value as computed now, or None."""
    price: Price = unpriced
    mask: Mask = plain
    """Laid over everything that goes to the model and everything that comes back."""
    past: Callable[[], Sequence[Incident]] = tuple
    """Gives the incidents that were filed, for "have we seen this before?"."""
    watch: Watch = field(default_factory=Unwatched)
    limits: Limits = field(default_factory=Limits)
    purse: Purse = field(default_factory=Unlimited)
    """Holds the limits that conversations share: of the run, of the day."""
    journal: Journal = field(default_factory=Unwritten)
    """Is told every call of the model and of a tool."""
    clock: Callable[[], float] = time.monotonic
    second_reader: bool = False
    """Whether a second, blind call may lower the verdict."""
    tools: frozenset[str] | None = None
    """The only tools that may be offered, by name; None: all that there are."""

    def meter(self, about: str) -> Meter:
        """Return a meter for one conversation; `about` is the incident's id, or a question's."""
        return Meter(self.limits, self.price, self.clock, purse=self.purse, about=about)


@dataclass(frozen=True, slots=True)
class Investigation:
    """What came of it."""

    diagnosis: Diagnosis
    evidence: tuple[Evidence, ...]
    """To be added to the incident's: what the diagnosis cites beyond what is filed."""
    use: ModelUse
    transcript: tuple[Turn, ...]
    """The whole conversation, masked; empty where no model was asked."""
    struck: tuple[str, ...] = ()
    """What was struck out of the answer, each with the reason."""


def investigate(incident: Incident, case: CaseFile, means: Means) -> Investigation:
    """Return the diagnosis of an incident. Never raises because of what the model does."""
    fallback = explain(incident, case.trajectories, case.healthy, mask=means.mask)
    meter = means.meter(incident.id)
    if means.model is None:
        return Investigation(fallback.diagnosis, fallback.evidence, meter.use, ())
    name = means.model.name

    def judge(gate: Gate) -> Judge:
        def judged(payload: Mapping[str, Any]) -> Judged:
            gated = gate.judge(read_diagnosis(payload), fallback.diagnosis, name)
            return Judged(gated, len(gated.diagnosis.claims), complaints(gated))

        return judged

    opening = (
        case.text,
        load("investigate_case").render(
            mark=case.markers.mark,
            window=f"{case.start.isoformat()} to {case.end.isoformat()}",
            agents=", ".join(sorted(case.agents)) or "the whole fleet",
            trace_ids=", ".join(sorted(case.trace_ids)[:30]) or "none",
        ),
    )
    system = load("investigate_system").text
    ended = converse(case, means, meter, SUBMIT_DIAGNOSIS_SPEC, judge, system, opening)
    if ended.judged is not None and ended.judged.standing:
        gated: Gated = ended.judged.outcome
        diagnosis = gated.diagnosis
        if means.second_reader:
            diagnosis = read_again(
                diagnosis,
                gated.evidence,
                incident,
                means.model,
                meter,
                means.watch,
                journal=means.journal,
                mask=means.mask,
            )
        return Investigation(diagnosis, gated.evidence, meter.use, ended.history, complaints(gated))
    spoken = explain(
        incident,
        case.trajectories,
        case.healthy,
        ending=ended.ending,
        note=note_of(ended, means.mask) or "the model named no cause that it could prove",
        struck_out=len(ended.struck),
        mask=means.mask,
    )
    return Investigation(spoken.diagnosis, spoken.evidence, meter.use, ended.history, ended.struck)


def toolbox_of(case: CaseFile, means: Means, tools: Sequence[Tool] = CASE) -> Toolbox:
    """Return the tools over a case, with a record of their own of what was shown."""
    return Toolbox(
        case,
        case.shown.copy(),
        store=means.store,
        metrics=means.metrics,
        mask=means.mask,
        watch=means.watch,
        parallel=means.limits.parallel_tools,
        past=means.past,
        tools=[tool for tool in tools if means.tools is None or tool.name in means.tools],
    )


def converse(
    case: CaseFile,
    means: Means,
    meter: Meter,
    submit: ToolSpec,
    judge: Callable[[Gate], Judge],
    system: str,
    opening: tuple[str, ...],
    *,
    toolbox: Toolbox | None = None,
    history: list[Turn] | None = None,
    tell: Tell | None = None,
) -> Conversation:
    """Run the loop over a case with its own record of what was shown. Never raises because of what the model does.

    A later question of a session comes with the session's `toolbox` and `history`; the history grows in place. `tell`
    hears of statements that stand while the answer is still being written.
    """
    assert means.model is not None  # noqa: S101 - both callers have asked; this tells the type checker
    box = toolbox if toolbox is not None else toolbox_of(case, means)
    metered = means.metrics is not None
    gate = Gate(case, box.desk.shown, box.lookup, means.recompute, means.mask, metered=metered, found=lambda: box.facts)
    names = {*(spec.name for spec in box.specs), submit.name}
    obedience = Obedience(box.desk.shown, names, lambda: box.desk.trace_ids, case.markers.mark, system)
    overheard = None if tell is None else Overheard(gate.one_by_one, obedience.leaks, submit.name, tell)
    turns = history if history is not None else []
    investigator = Investigator(
        means.model,
        box,
        submit,
        judge(gate),
        means.limits,
        meter,
        means.watch,
        means.mask,
        obedience,
        journal=means.journal,
        about=case.incident.id,
        overheard=overheard,
        history=turns,
        logged=len(turns),
    )
    about = {"analyzer.incident.id": case.incident.id}
    with means.watch.span("investigate", Operation.AGENT, agent="analyzer", model=means.model.name, **about) as mark:
        try:
            ended = investigator.converse(system, *opening)
        except Exception as error:  # noqa: BLE001 - whatever a broken model provokes, the report still goes out
            ended = Conversation(Ending.INVALID, None, f"{type(error).__name__} while reading the model's answer", ())
        mark.set(output=f"{ended.ending.value} {ended.note}".strip())
    return ended


def complaints(gated: Gated) -> tuple[str, ...]:
    """Return what was struck out, as the model and the transcript read it."""
    return tuple(f"- {one.text[:200]!r}: {one.why}" for one in gated.struck)


def note_of(ended: Conversation, mask: Mask) -> str:
    """Return how a conversation without a usable answer ended, for people."""
    parts = [ENDINGS[ended.ending], mask(defuse(ended.note, NOTE_CHARS))]
    return ": ".join(part for part in parts if part)
