"""A second look at a diagnosis by somebody who knows nothing but its claims and their evidence. Off by default.

It sees no case, no facts and no names, so that it cannot be led by them, and it may only lower the verdict: one claim
that does not follow takes one step, all of them make it inconclusive. What it says is never printed. A reply that is
broken, late or absent changes nothing but the note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from analyzer.agent.answer import AnswerError, payload_in
from analyzer.agent.asking import Asking
from analyzer.agent.facts import evidence_of, number
from analyzer.agent.limits import Meter, Refusal
from analyzer.agent.model import Model, ModelReply, ModelRequest, Stop, Text, Turn
from analyzer.agent.text import Markers, Mask, visible
from analyzer.errors import ModelError, StoreError
from analyzer.prompts import load
from analyzer.types.audit import Journal
from analyzer.types.diagnosis import Claim, Diagnosis, Verdict
from analyzer.types.report import Evidence, Incident, MetricEvidence
from analyzer.types.watch import Watch

REPLY_TOKENS = 1_000
QUOTE_CHARS = 600
_LOWER = {Verdict.CONFIRMED: Verdict.LIKELY, Verdict.LIKELY: Verdict.INCONCLUSIVE}
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "claims": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"number": {"type": "integer"}, "follows": {"type": "boolean"}},
                "required": ["number", "follows"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["claims"],
    "additionalProperties": False,
}


def read_again(
    diagnosis: Diagnosis,
    new: Sequence[Evidence],
    incident: Incident,
    model: Model,
    meter: Meter,
    watch: Watch,
    *,
    journal: Journal,
    mask: Mask,
) -> Diagnosis:
    """Return the diagnosis with its verdict as it was or lower, and a note of what the second reader did.

    `new` is what the diagnosis cites beyond what is filed. The call is paid for and logged like any other. Never raises
    because of what the model does.
    """
    if diagnosis.verdict not in _LOWER or not diagnosis.claims:
        return diagnosis
    request = _request(diagnosis, {entry.id: entry for entry in (*evidence_of(incident), *new)}, incident, meter)
    if meter.refusal(request) is not None:
        return _noted(diagnosis, "no room in the limits for a second reader")
    try:
        reply = _asked(Asking(model, meter, journal, watch, mask, incident.id), replace(request, about=incident.id))
    except StoreError:
        # What cannot be paid for or written down is not done.
        return _noted(diagnosis, "the second reader was not asked, for its call could not be written down")
    if isinstance(reply, str):
        return _noted(diagnosis, reply)
    doubted = _doubted(reply.text, len(diagnosis.claims)) if reply.stop is Stop.DONE else None
    if doubted is None:
        return _noted(diagnosis, "the second reader gave no usable answer")
    return _lowered(diagnosis, doubted) if doubted else _noted(diagnosis, "a second reader agrees")


def _asked(asking: Asking, request: ModelRequest) -> ModelReply | str:
    """Return the reply, or why there is none. Raises StoreError."""
    try:
        reply = asking.ask(request, "second reader")
    except ModelError:
        return "the second reader could not be reached"
    except StoreError:
        raise
    except Exception:  # noqa: BLE001 - whatever a broken model provokes, the diagnosis stands as it is
        return "the second reader failed"
    return "no room in the limits for a second reader" if isinstance(reply, Refusal) else reply


def _lowered(diagnosis: Diagnosis, doubted: Sequence[int]) -> Diagnosis:
    lower = Verdict.INCONCLUSIVE if len(doubted) == len(diagnosis.claims) else _LOWER[diagnosis.verdict]
    which = ", ".join(str(one) for one in doubted)
    noted = _noted(diagnosis, f"a second reader does not see how claim {which} follows")
    missing = "Evidence that says what the claims say." if lower is Verdict.INCONCLUSIVE else ""
    return replace(noted, verdict=lower, missing=missing)


def _noted(diagnosis: Diagnosis, said: str) -> Diagnosis:
    return replace(diagnosis, note="; ".join(part for part in (diagnosis.note, said) if part))


def _request(diagnosis: Diagnosis, evidence: Mapping[str, Evidence], incident: Incident, meter: Meter) -> ModelRequest:
    blocks = [_block(index, claim, evidence) for index, claim in enumerate(diagnosis.claims, 1)]
    text = _nameless("\n\n".join(blocks), incident)
    mark = Markers([text]).mark
    body = f"<{mark}>\n{text}\n</{mark}>"
    asked = load("second_reader").render(mark=mark, claims=body)
    return ModelRequest(
        system="You judge whether claims follow from their evidence.",
        messages=(Turn("user", (Text(asked),)),),
        tools=(),
        max_tokens=REPLY_TOKENS,
        timeout_s=max(meter.seconds_left, 0.0),
        schema=_SCHEMA,
        must_answer=True,
    )


def _block(index: int, claim: Claim, evidence: Mapping[str, Evidence]) -> str:
    lines = [f"Claim {index}: {visible(claim.text)}"]
    for name in claim.evidence:
        entry = evidence.get(name)
        if isinstance(entry, MetricEvidence):
            lines.append(f"- measured: {visible(entry.promql)} = {number(entry.value)}")
        elif entry is not None:
            lines.append(f"- quoted ({entry.field}): {visible(entry.quote[:QUOTE_CHARS])}")
    return "\n".join(lines)


def _nameless(text: str, incident: Incident) -> str:
    """Replace the names of the incident by letters: what they suggest is no evidence."""
    subject = incident.subject
    named = (("AGENT", subject.agent), ("TOOL", subject.tool), ("MODEL", subject.model), ("VERSION", subject.version))
    for letter, name in named:
        text = text.replace(name, letter) if name and len(name) > 1 else text
    return text


def _doubted(text: str, claims: int) -> tuple[int, ...] | None:
    """Return the claims that are said not to follow; None where the answer has not the form or not every claim."""
    try:
        given = payload_in(text).get("claims")
    except AnswerError:
        return None
    if not isinstance(given, list):
        return None
    said: dict[int, bool] = {}
    for entry in given:
        if not isinstance(entry, Mapping):
            return None
        place, follows = entry.get("number"), entry.get("follows")
        if isinstance(place, bool) or not isinstance(place, int) or not isinstance(follows, bool):
            return None
        # Whoever says both of one claim doubts it.
        said[place] = said.get(place, True) and follows
    if set(said) != set(range(1, claims + 1)):
        return None
    return tuple(place for place, follows in sorted(said.items()) if not follows)
