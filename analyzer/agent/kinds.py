"""What the rules read and advise for each kind of incident: a new kind adds a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analyzer.agent.facts import named_factors
from analyzer.agent.readings import (
    FAILING,
    LOOP_KINDS,
    Reading,
    Scene,
    Seen,
    busier,
    cut,
    erred,
    failed,
    grown,
    looped,
    slowed,
)
from analyzer.types.report import Incident, Kind


@dataclass(frozen=True, slots=True)
class Look:
    """A reading, and when it may explain the incident. Without a condition always."""

    reading: Reading
    factor: str = ""
    """Only where the account names a factor with this word: a loop explains more steps, and no dearer tokens."""
    kinds: frozenset[Kind] = frozenset()
    """Or where the incident holds a finding of one of these kinds."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is read for a kind, in the order in which it explains it, and what to do."""

    looks: tuple[Look, ...] = ()
    actions: tuple[str, ...] = ()

    @property
    def accounted(self) -> bool:
        """Whether the kind is an amount with an account of factors: then the account is the first thing to say."""
        return any(look.factor for look in self.looks)


_LOOP = Look(looped)
_FAILED = Look(failed)
_BESIDE = Look(looped, kinds=LOOP_KINDS)
"""A loop beside other trouble: only where the loop detector's own finding is part of the incident."""
_MORE_STEPS = (
    Look(looped, "steps", LOOP_KINDS),
    Look(busier, "steps"),
    Look(failed, "steps", FAILING),
)
_SPEND = (Look(grown, "tokens"), *_MORE_STEPS)
_CAP = "Cap steps and cost per trajectory where the agent is run."

ROWS: Mapping[Kind, Row] = {
    Kind.COST: Row(_SPEND),
    Kind.TOKENS: Row((Look(grown), *_MORE_STEPS)),
    Kind.BUDGET: Row(
        _SPEND,
        ("Look at the worst trajectories of the day, then raise the budget or cap the agent where it is run.",),
    ),
    Kind.STEPS: Row((_LOOP, Look(busier), Look(failed, kinds=FAILING))),
    Kind.RUNAWAY: Row((_LOOP, Look(busier), Look(grown)), (_CAP,)),
    Kind.LOOP: Row(
        (_LOOP, Look(failed, kinds=FAILING)),
        (
            "Give the loop a way out: stop after the second identical call with an identical result.",
            "Tell the agent in the tool's result what to do when the call gives nothing new.",
        ),
    ),
    Kind.RETRIES: Row(
        (_FAILED, _BESIDE),
        ("Cap the retries, and wait longer between them; the quoted error says if a retry can help.",),
    ),
    Kind.ERRORS: Row(
        (_FAILED, _BESIDE), ("Read the quoted error where it is raised, and fix or roll back what raises it.",)
    ),
    Kind.TOOL_ERRORS: Row(
        (_FAILED, _BESIDE),
        ("Check the tool's backend and its last deployment; the quoted error says what it refused.",),
    ),
    Kind.SUCCESS: Row((_FAILED, Look(cut), _BESIDE)),
    Kind.LATENCY: Row((Look(slowed), Look(busier), _BESIDE, Look(failed, kinds=FAILING))),
    Kind.TOOL_LATENCY: Row((Look(slowed),), ("Check the tool's backend: load, locks, and its last deployment.",)),
    Kind.TOOL_COST: Row((Look(busier), _BESIDE)),
    Kind.TOOL_CHOICE: Row(
        (),
        (
            "Compare what the agent is told about the two choices: prompt, tool descriptions, schema.",
            "Check answers that were given since then: a wrong table or tool leaves no error.",
        ),
    ),
    Kind.TRUNCATION: Row((Look(cut),), ("Raise the limit of output tokens, or ask for less at once.",)),
    Kind.SILENCE: Row((), ("Check that the agent runs and that its exporter can reach the collector.",)),
    Kind.VOLUME: Row((), ("Ask who sends the agent its goals.",)),
    Kind.METERING: Row(
        (),
        (
            "Check that metrics and traces are exported by the same instances of the agent, under one name.",
            "Look for a sampler, dropped spans and instances that are not scraped (docs/detectors/metering.md).",
        ),
    ),
    Kind.INJECTION: Row((), ("Read the text before you open it elsewhere: it was written to steer whoever reads it.",)),
}
QUESTION = Row((_LOOP, Look(erred)))
"""A question about one trajectory: whatever stands out in it, for no anomaly says what to keep to."""


def row_of(kind: Kind) -> Row:
    """Return the row of a kind; an empty one where it has none yet."""
    return ROWS.get(kind, Row())


def read(scene: Scene, looks: Sequence[Look]) -> list[Seen]:
    """Return what the looks that apply have found: what explains the largest factor first, then in their order."""
    taken = [(share, look) for look in looks if (share := _weight(look, scene.incident)) is not None]
    taken.sort(key=lambda entry: -entry[0])
    found = (look.reading(scene) for _, look in taken)
    return [seen for seen in found if seen is not None]


def _weight(look: Look, incident: Incident) -> float | None:
    """Return the share of the change that a look may explain, 0 where it does not say; None where it does not apply."""
    if not look.factor and not look.kinds:
        return 0.0
    shares = [one.share for one in named_factors(incident) if look.factor and look.factor in one.factor]
    if shares:
        return max(shares)
    return 0.0 if look.kinds & {finding.kind for finding in incident.findings} else None
