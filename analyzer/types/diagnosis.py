"""The explanation of an incident, as it stands after the evidence gate: part of schema `analyzer.report/1`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    """How well an explanation is borne out; follows from rules, never from the model's own confidence."""

    CONFIRMED = "confirmed"
    LIKELY = "likely"
    INCONCLUSIVE = "inconclusive"


class Ending(StrEnum):
    """How an investigation ended."""

    ANSWERED = "answered"
    STEPS = "steps"
    """The limit of steps was reached without an answer."""
    TOKENS = "tokens"
    """The limit of tokens was reached, or a reply was cut by it."""
    SECONDS = "seconds"
    USD = "usd"
    REFUSED = "refused"
    INVALID = "invalid"
    """The reply was no answer in the required form, also after one repair."""
    INJECTED = "injected"
    """The model followed an order that stood in the data: nothing it said is used."""
    UNAVAILABLE = "unavailable"
    OFF = "off"
    """No model was asked: no credentials, or switched off."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of an explanation and the ids of the evidence it rests on."""

    text: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Responsible:
    """Where it went wrong first: the earliest step whose correction would have avoided the failure."""

    agent: str | None
    trace_id: str | None
    span_id: str | None
    step: int | None
    """1-based, as `traces show` counts."""


class ProofFactor(StrEnum):
    """The one thing that a proof changes back."""

    MODEL = "model"
    PROMPT = "prompt"
    TOOLS = "tools"
    TOOL_RESULT = "tool-result"


class ProofOutcome(StrEnum):
    """What sending affected steps again, as they were and with the factor changed back, showed."""

    PROVEN = "proven"
    """The fault came with the factor, and went with it."""
    REFUTED = "refuted"
    """The fault came all the same without the factor."""
    CANNOT_JUDGE = "cannot judge"
    """There were replies, and they do not say which."""
    CANNOT_REPRODUCE = "cannot reproduce"
    """No replies came, or the fault did not come in the steps as they were."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Replies that show the fault, of those that came."""

    shown: int
    of: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What a replay of affected steps says of the cause."""

    factor: ProofFactor
    steps: tuple[tuple[str, int], ...]
    """(trajectory, step) of what was sent."""
    times: int
    """How often each step was sent in either form."""
    measure: str
    """What counts as the fault in a single reply, in words."""
    unchanged: Counted
    restored: Counted
    """With the factor changed back."""
    chance: float | None
    """P of a difference as large or larger by luck (Fisher's exact test, one-sided); None where one side is empty."""
    outcome: ProofOutcome
    why: str
    at: datetime
    explained: Verdict
    """The verdict that the explanation has without it."""
    cost_usd: float | None
    """What it cost; None where a price is not known."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The explanation of an incident, after the evidence gate."""

    verdict: Verdict
    by: str
    """The model's id, or "rules"."""
    ending: Ending
    summary: str
    cause: str
    claims: tuple[Claim, ...]
    responsible: Responsible | None
    actions: tuple[str, ...]
    check: str
    """PromQL or a command that anyone can run."""
    struck_out: int
    """How many claims did not survive the gate."""
    note: str = ""
    """How the explanation ended, for people: "the model refused", "3 claims were struck out", ..."""
    category: str = "unknown"
    refutation: str = ""
    """What would show the cause to be wrong."""
    as_of: datetime | None = None
    """The now of the run that explained; None in documents of older releases."""
    observed: float | None = None
    """What was observed then, in the incident's unit: figures in the explanation are of that time."""
    basis: tuple[str, ...] = ()
    """The facts that a model has been asked about, see `types.basis`; empty while none was asked."""
    missing: str = ""
    """Of an inconclusive one: what evidence would decide it."""
    proof: Proof | None = None
    """What a replay of affected steps said of it; None where nobody asked for one."""

    @property
    def by_rules(self) -> bool:
        """True where no model has a part in it, so that it can be made anew at no cost."""
        return self.by == "rules"
