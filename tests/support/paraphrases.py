"""True findings in words of people: by hand, in several Englishes, each true of every incident of its kind.

None repeats the words of a fact. The evidence is what is on file of the incident. They say what was found and no more:
no cause that the evidence does not hold, no number, no name but the incident's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from support.lies import claim
from support.simulated import Simulated

from analyzer.types.report import Kind

EVIDENCE_MAX = 4
ANY = (
    "Something went sideways here, and it has not recovered.",
    "Things took a turn for the worse.",
    "{agent} misbehaves compared with its own past.",
    "It is out of line with how {agent} normally behaves.",
    "This is no blip.",
    "The behaviour shifted noticeably.",
)
"""Of every kind."""
PARAPHRASES: Mapping[Kind, tuple[str, ...]] = {
    Kind.LOOP: (
        "The agent cannot succeed this way.",
        "It goes round in circles.",
        "{agent} is stuck.",
        "It spins without getting anywhere.",
        "The same thing is tried over and over, to no avail.",
        "It hammers {tool} in vain.",
        "The agent does not realise that it is getting nowhere.",
        "{agent} never gives up on a hopeless lookup.",
        "It is caught in a cycle and burns money.",
        "Nothing new is learnt from one round to the next.",
        "It should have stopped much sooner.",
        "Agent is doing same action many times and not move forward.",
        "{tool} is invoked again and again with identical arguments.",
        "It's flogging a dead horse.",
    ),
    Kind.COST: (
        "Each run has become pricier.",
        "{agent} is burning through more cash than it used to.",
        "Runs now come at a premium.",
        "We are paying noticeably extra for every run.",
        "The bill per run went through the roof.",
        "It eats more budget than before.",
        "Spend per run jumped.",
    ),
    Kind.TOKENS: ("{agent} gobbles up more context than it used to.", "It chews through more tokens per run."),
    Kind.STEPS: ("{agent} takes the scenic route.", "It needs many more hops to finish."),
    Kind.TOOL_ERRORS: (
        "{tool} is flaky.",
        "{tool} keeps falling over.",
        "Most of its invocations blow up.",
        "The backend behind {tool} seems unavailable.",
        "{tool} is not reliable any longer.",
        "The agent gets refusals from {tool} rather than data.",
        "{tool} became unusable for {agent}.",
    ),
    Kind.ERRORS: (
        "Many runs crash.",
        "{agent} falls over more than it finishes.",
        "Runs die before they get to the end.",
        "A large share of runs blows up.",
        "{agent} is largely unusable at the moment.",
        "Its runs abort.",
    ),
    Kind.SUCCESS: (
        "Users rarely get what they asked for.",
        "The outcome is unsatisfactory more often than not.",
        "{agent} delivers poor answers.",
        "It finishes without complaint, yet does not achieve what it set out to.",
        "Quality dropped although no run breaks.",
        "The results are unhelpful.",
    ),
    Kind.LATENCY: (
        "{agent} has become sluggish.",
        "Runs drag on.",
        "Everything crawls.",
        "It dawdles compared with before.",
        "People are kept waiting for ages.",
        "Its responsiveness suffered.",
    ),
    Kind.TOOL_LATENCY: (
        "{tool} has become sluggish.",
        "{tool} responds with a delay.",
        "{tool} holds the runs up.",
        "{tool} is a bottleneck.",
        "{tool} drags its feet.",
    ),
    Kind.RETRIES: (
        "Calls do not go through at the first attempt.",
        "It has to knock several times before it is let in.",
        "Only a later attempt gets through.",
        "{agent} spends its runs on second attempts.",
        "Transient hiccups pile up.",
    ),
    Kind.TRUNCATION: (
        "Replies are cut off.",
        "The final message stops mid-sentence.",
        "Responses hit the ceiling and are incomplete.",
        "Its answers are chopped.",
        "The reply never gets to its conclusion.",
    ),
}


AFTERWARDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.LOOP: (
        "It bangs its head against a wall.",
        "{agent} repeats a pointless query without end.",
        "It fails to break out.",
    ),
    Kind.COST: ("{agent} costs an arm and a leg.", "Every run is dearer than it used to be."),
    Kind.TOKENS: ("Its prompts have ballooned.", "It is wordier than it was."),
    Kind.TOOL_ERRORS: ("{tool} is broken.", "{tool} errors out a lot.", "{tool} refuses most of the calls."),
    Kind.ERRORS: ("{agent} is mostly down.", "The majority of runs ends badly.", "Runs bomb."),
    Kind.SUCCESS: ("The goal is missed a lot.", "{agent} lets its users down.", "Its work is not good enough."),
    Kind.LATENCY: ("{agent} takes forever.", "It is slower than a snail.", "Runs lag."),
    Kind.TOOL_LATENCY: ("{tool} takes forever.", "{tool} slows everything down.", "{tool} is dead slow."),
    Kind.RETRIES: ("It rarely works first time round.", "{agent} has to ask twice.", "There is a lot of trying again."),
    Kind.TRUNCATION: ("It runs out of room.", "The text breaks off.", "Answers lack their ending."),
}
"""Written after the first words of `agent/kind_words.py`, of which it lost 26 of 46; those were widened since."""


def paraphrases(one: Simulated) -> Iterator[dict[str, Any]]:
    """Yield the true sentences about an incident, as claims."""
    subject = one.incident.subject
    names = {"agent": subject.agent or "the agent", "tool": subject.tool or "the tool"}
    evidence = [{"kind": "fact", "id": entry.id} for entry in one.incident.evidence[:EVIDENCE_MAX]]
    kind = one.incident.kind
    for text in (*PARAPHRASES.get(kind, ()), *ANY, *AFTERWARDS.get(kind, ())):
        yield claim(text.format(**names), *evidence)
