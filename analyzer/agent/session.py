"""Questions about one thing, one after the other: the history is kept, and the budget holds over all of them.

Each question goes through the loop and the gate that an incident goes through. The case file is sent once; later
questions follow the history, so that what was sent before is read from the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from analyzer.agent.answer import read_answer
from analyzer.agent.case import CaseFile
from analyzer.agent.facts import evidence_of
from analyzer.agent.gate import Gate, Gated
from analyzer.agent.investigate import Means, complaints, converse, note_of, toolbox_of
from analyzer.agent.investigator import Conversation, Judge, Judged
from analyzer.agent.limits import Limits, Meter
from analyzer.agent.model import ToolCall, Turn
from analyzer.agent.second_reader import read_again
from analyzer.agent.tools import SUBMIT_ANSWER_SPEC
from analyzer.agent.tools.base import Tool
from analyzer.prompts import load
from analyzer.types.diagnosis import Diagnosis, Ending, Verdict
from analyzer.types.explained import Answer, Looked, Tell
from analyzer.types.spending import ModelUse
from analyzer.types.table import Table

QUESTION_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Topic:
    """What is asked about."""

    case: CaseFile
    system: str
    """The system prompt."""
    opening: str
    """What stands between the case file and the question."""
    tools: Sequence[Tool]
    fallback: Diagnosis
    """What the gate puts in the place of an answer that does not hold."""
    by_rules: Callable[[str], Answer]
    """Answers a question without a model, as far as that can be."""


class Session:
    """A conversation about one topic."""

    def __init__(self, topic: Topic, means: Means) -> None:
        """Without a model in `means` every question is answered by rules."""
        self._topic = topic
        self._means = means
        self._toolbox = toolbox_of(topic.case, means, topic.tools)
        self._history: list[Turn] = []
        self._left = means.limits

    def ask(self, question: str, tell: Tell | None = None) -> Answer:
        """Answer a question. Never raises because of what the model does.

        `tell` hears of each statement that stands as soon as it is written; the answer is the same without it.
        """
        rules = cache(partial(self._topic.by_rules, question[:QUESTION_CHARS]))
        if self._means.model is None:
            return rules()
        means = replace(self._means, limits=self._left)
        meter = means.meter(self._topic.case.incident.id)
        try:
            ended = self._conversed(question[:QUESTION_CHARS], means, meter, tell)
            if ended.judged is None:
                return self._unanswered(rules(), ended, meter)
            gated = self._read_again(_for_a_question(ended.judged.outcome), meter)
            return self._answered(gated, ended, rules, meter.use)
        finally:
            # A question that was stopped has cost something as well.
            self._left = _left(self._left, meter)

    def look(self, tool: str, arguments: Mapping[str, Any]) -> Looked:
        """Use one of the topic's tools without a model: confined to the case and masked as it is for one."""
        (gave,) = self._toolbox.run((ToolCall("", tool, arguments),))
        return Looked(gave.text, gave.is_error)

    def _conversed(self, question: str, means: Means, meter: Meter, tell: Tell | None) -> Conversation:
        topic = self._topic
        name = means.model.name if means.model is not None else ""
        # What the rules hold responsible answers no question: only a step that the model named stands in its answer.
        fallback = replace(topic.fallback, responsible=None)

        def judge(gate: Gate) -> Judge:
            def judged(payload: Mapping[str, Any]) -> Judged:
                gated = gate.judge(read_answer(payload), fallback, name)
                return Judged(gated, len(gated.diagnosis.claims), complaints(gated))

            return judged

        turns = list(self._history)
        ended = converse(
            topic.case,
            means,
            meter,
            SUBMIT_ANSWER_SPEC,
            judge,
            topic.system,
            self._said(question),
            toolbox=self._toolbox,
            history=turns,
            tell=tell,
        )
        if turns[-1].role == "assistant" and ended.ending is not Ending.INJECTED:
            # A question that nobody answered is no part of the conversation: the next one follows the last answer.
            # Nor is one where the model did what the data told it: it would read on from its own obedience.
            self._history = turns
        return ended

    def _said(self, question: str) -> tuple[str, ...]:
        asked = f"Question: {question}"
        if self._history:
            return (f"{load('follow_up').text}\n{asked}",)
        return (self._topic.case.text, f"{self._topic.opening}\n{asked}")

    def _unanswered(self, rules: Answer, ended: Conversation, meter: Meter) -> Answer:
        note = note_of(ended, self._means.mask)
        return replace(rules, ending=ended.ending, struck_out=len(ended.struck), note=note, use=meter.use)

    def _read_again(self, gated: Gated, meter: Meter) -> Gated:
        """Have a second reader look at the claims, where one is wanted: it may lower the verdict."""
        means = self._means
        if not means.second_reader or means.model is None:
            return gated
        read = read_again(
            gated.diagnosis,
            gated.evidence,
            self._topic.case.incident,
            means.model,
            meter,
            means.watch,
            journal=means.journal,
            mask=means.mask,
        )
        return replace(gated, diagnosis=read)

    def _answered(self, gated: Gated, ended: Conversation, rules: Callable[[], Answer], use: ModelUse) -> Answer:
        diagnosis, filed = gated.diagnosis, evidence_of(self._topic.case.incident)
        own_words = diagnosis.summary != self._topic.fallback.summary
        return Answer(
            text=diagnosis.summary if own_words else rules().text,
            claims=diagnosis.claims,
            evidence=(*filed, *gated.evidence),
            verdict=diagnosis.verdict,
            by=diagnosis.by,
            ending=ended.ending,
            struck_out=diagnosis.struck_out,
            note=diagnosis.note,
            use=use,
            tables=self._cited(gated),
            responsible=diagnosis.responsible,
            missing=diagnosis.missing,
        )

    def _cited(self, gated: Gated) -> tuple[Table, ...]:
        """Return the tables with a row that a standing claim rests on, in the order in which they were shown."""
        used = {name for claim in gated.diagnosis.claims for name in claim.evidence}
        resting = {replace(entry, id="") for entry in gated.evidence if entry.id in used}
        return tuple(
            one.table
            for _, one in sorted(self._toolbox.tables.items())
            if any(fact.basis in resting for fact in one.facts if fact.basis is not None)
        )


def _for_a_question(gated: Gated) -> Gated:
    """Return what stands with the verdict of an answer: a question has no computed finding that could confirm it.

    It is *likely* where claims stand, nothing was struck out, and its author does not say that evidence is missing.
    """
    likely = bool(gated.diagnosis.claims) and not gated.struck and not gated.missing
    verdict = Verdict.LIKELY if likely else Verdict.INCONCLUSIVE
    note = gated.diagnosis.note if gated.struck else ""
    return replace(gated, diagnosis=replace(gated.diagnosis, verdict=verdict, note=note, missing=gated.missing))


def _left(limits: Limits, meter: Meter) -> Limits:
    """Return what a session may still use; time is counted by question, because people think in between."""
    return replace(
        limits,
        tokens=max(limits.tokens - meter.tokens.total, 0),
        usd=max(limits.usd - (meter.use.cost_usd or 0.0), 0.0),
    )
