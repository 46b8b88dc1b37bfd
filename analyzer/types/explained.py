"""What the explainer gives back: of an incident its diagnosis, of a question its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analyzer.types.diagnosis import Claim, Diagnosis, Ending, Responsible, Verdict
from analyzer.types.report import Evidence
from analyzer.types.spending import ModelUse
from analyzer.types.table import Table


@dataclass(frozen=True, slots=True)
class Explained:
    """What an explainer gives back for one incident."""

    diagnosis: Diagnosis
    evidence: tuple[Evidence, ...]
    """To be added to the incident's: the quotes and numbers the diagnosis rests on."""
    use: ModelUse


@dataclass(frozen=True, slots=True)
class Statement:
    """One claim that stands, with all that it rests on: it can be shown before the rest of its answer is known."""

    claim: Claim
    evidence: tuple[Evidence, ...]
    """In the order in which the claim names it, with the ids that the answer will have."""


Tell = Callable[[Statement], None]
"""Hears of a statement that stands while the rest of its answer is still being written."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question, after the gate."""

    text: str
    claims: tuple[Claim, ...]
    evidence: tuple[Evidence, ...]
    verdict: Verdict
    by: str
    """The model's id, or "rules"."""
    ending: Ending
    struck_out: int
    note: str
    use: ModelUse
    responsible: Responsible | None = None
    """The decisive step, where the question asks for one and the model named a step that there is."""
    tables: tuple[Table, ...] = ()
    """What was computed for it: of a model's answer those that its claims cite."""
    missing: str = ""
    """Of an inconclusive one: what evidence would decide it, where that is known."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a read-only tool showed, masked."""

    text: str
    failed: bool = False
    """The text says what to ask instead."""
