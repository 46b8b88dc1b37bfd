"""Putting a cause to the proof: which step shows the fault, and what is changed back. Pure.

A fault is looked for in one reply, so that only what one reply can show is put to a proof: everything else is refused
with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from analyzer.errors import UsageError
from analyzer.replay.alike import Decision, normalised
from analyzer.replay.comparing import nearness
from analyzer.replay.conversation import ToolReturn
from analyzer.replay.recording import Call, Recording, Request
from analyzer.types.choices import TOOL
from analyzer.types.diagnosis import ProofFactor
from analyzer.types.report import Factor, Incident, Kind
from analyzer.types.trace import FinishReason, Tokens

HALF = 0.5
"""The cause makes at least half of the effect, as `agent.verdict` has it of a main factor."""

_IN_A_REPLY = ("price", "model mix", "tokens per step")
"""Ends of the names of factors in an account that a single call has a share in."""
_CACHED = ("cache read tokens per step", "cache write tokens per step")
"""Of these, what a call that is sent again does not show: the cache of then is gone."""

Figure = Callable[[Tokens], float | None]
"""The tokens of a reply -> USD; None where there is no price."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What counts as the fault in one reply."""

    says: str
    """In words, such as "a call made before"."""
    shows: Callable[[Call, Decision], bool] | None = None
    """Whether a reply to a recorded call shows the fault; None where a figure decides."""
    keeps: float = 1.0
    """Of a figure: the part of the recorded one from which on a reply still has at least half of the rise."""
    in_usd: bool = False

    def figure(self, tokens: Tokens, price: Figure) -> float | None:
        """Return tokens, or USD, of one call as if nothing had come from the cache: replays fill it themselves."""
        plain = Tokens(input=tokens.input, output=tokens.output)
        return price(plain) if self.in_usd else float(plain.input + plain.output)

    def is_shown(self, call: Call, decision: Decision, tokens: Tokens, was: Figure, now: Figure) -> bool | None:
        """Return whether a reply shows the fault; None where its figure is not known.

        `was` and `now` price the tokens of the recorded call and of the reply.
        """
        if self.shows is not None:
            return self.shows(call, decision)
        recorded = None if call.span.tokens is None else self.figure(call.span.tokens, was)
        figure = self.figure(tokens, now)
        return None if recorded is None or figure is None else figure >= recorded * self.keeps


def measure_of(incident: Incident) -> Measure:
    """Return what an incident's fault is in one reply. Raises UsageError where one reply cannot show it."""
    if incident.kind in (Kind.COST, Kind.TOKENS):
        return _figure_measure(incident)
    if incident.kind is Kind.LOOP:
        return Measure("a call made before", _repeats)
    if incident.kind is Kind.TRUNCATION:
        return Measure("a reply cut at its limit", lambda _, decision: decision.finish is FinishReason.LENGTH)
    if incident.kind is Kind.TOOL_CHOICE:
        shifted = next((one.shifted for one in incident.findings if one.shifted is not None), None)
        if shifted is not None and shifted.what == TOOL and shifted.picked:
            picked = shifted.picked
            return Measure(f"a call of {picked}", lambda _, one: any(call.name == picked for call in one.tool_calls))
        raise UsageError(f"cannot judge {incident.id}: its choice is no tool that a single reply could name")
    raise UsageError(f"cannot judge {incident.id}: no single reply shows a fault of kind {incident.kind.value}")


def step_of(recording: Recording, incident: Incident, measure: Measure) -> Call | None:
    """Return the call to send again: the responsible one, where it shows the fault, else the one that does.

    Of a figure it is the call with the most tokens, as the rise is spread over all of them.
    """
    where = incident.diagnosis.responsible if incident.diagnosis is not None else None
    named = recording.call(where.step) if where and where.step and where.trace_id == recording.trace_id else None
    if measure.shows is None:
        calls = [call for call in recording.calls if call.span.tokens is not None]
        return named if named in calls else max(calls, key=_weight, default=None)
    showing = [call for call in recording.calls if measure.shows(call, call.decision)]
    return named if named in showing else next(iter(showing), None)


def factor_of(incident: Incident, call: Call, peers: Sequence[Recording]) -> ProofFactor:
    """Return the one thing that the cause names, or that alone differs from healthy runs. Raises UsageError."""
    category = incident.diagnosis.category if incident.diagnosis is not None else ""
    named = {
        "prompt_change": ProofFactor.PROMPT,
        "model_change": ProofFactor.MODEL,
        "tool_failure": ProofFactor.TOOL_RESULT,
    }
    if category in named:
        return named[category]
    changed = {change.what for change in incident.changes}
    if category != "version_change" and not changed & {"version", *ProofFactor}:
        raise UsageError(f"cannot judge {incident.id}: its cause names no change of a prompt, model, version or tool")
    peer = nearest(call, peers).request
    differs = [
        factor
        for factor, is_same in (
            (ProofFactor.MODEL, peer.model == call.request.model),
            (ProofFactor.PROMPT, peer.system == call.request.system),
            (ProofFactor.TOOLS, peer.tools_version == call.request.tools_version),
        )
        if not is_same
    ]
    if len(differs) == 1:
        return differs[0]
    what = f"{', '.join(differs)} all differ" if differs else "neither model, prompt nor tools differ"
    raise UsageError(f"cannot judge {incident.id}: {what} from the healthy runs; --factor names the one to change back")


def nearest(call: Call, peers: Iterable[Recording]) -> Call:
    """Return the healthy call that is most like one, of the same agent where there is one. Raises UsageError."""
    there = [one for peer in peers for one in peer.calls if one.request.messages]
    if not there:
        raise UsageError(
            "cannot judge: no healthy run from before the onset is recorded, so nothing can be changed back"
        )
    same = [one for one in there if one.span.agent == call.span.agent]
    return max(same or there, key=lambda one: nearness(one.request, call.request))


def changed_back(call: Call, factor: ProofFactor, peers: Sequence[Recording], old_model: str | None) -> Request:
    """Return a call's request with one factor as healthy runs have it. Raises UsageError where none have it so."""
    peer = nearest(call, peers).request
    request = call.request
    if factor is ProofFactor.MODEL:
        made = replace(request, model=old_model or peer.model, provider=peer.provider)
    elif factor is ProofFactor.PROMPT:
        if len({nearest(call, (one,)).request.system for one in peers if one.calls}) > 1:
            raise UsageError(
                "cannot judge: the healthy runs' prompts differ among themselves, so none is that of before"
            )
        made = replace(request, system=peer.system)
    elif factor is ProofFactor.TOOLS:
        made = replace(request, tools=peer.tools)
    else:
        made = _with_results(request, peers)
    is_same = made.model in ("", request.model) if factor is ProofFactor.MODEL else made == request
    if is_same:
        raise UsageError(f"cannot judge: the {factor.value} of step {call.number} is that of the healthy runs")
    return made


def _figure_measure(incident: Incident) -> Measure:
    """Return the measure of a rise in figures: only where single calls, and not their number, make most of it."""
    share = sum(_shares(incident.account))
    if incident.ratio is None or incident.ratio <= 1 or share < HALF:
        why = "most of its rise lies in how many calls there are, or in the cache, or is not accounted for"
        raise UsageError(f"cannot judge {incident.id}: {why}, which no single reply shows")
    keeps = incident.ratio ** (-HALF * min(share, 1.0))
    in_usd = incident.kind is Kind.COST
    return Measure("more than half of the rise in " + ("cost" if in_usd else "tokens"), None, keeps, in_usd)


def _shares(account: Iterable[Factor]) -> list[float]:
    return [one.share for one in account if one.factor.endswith(_IN_A_REPLY) and one.factor not in _CACHED]


def _weight(call: Call) -> int:
    return call.span.tokens.total if call.span.tokens is not None else 0


def _repeats(call: Call, decision: Decision) -> bool:
    given = call.request.given
    made = {(one.name, normalised(one.arguments, given)) for said in call.request.messages for one in said.tool_calls}
    return any((one.name, normalised(one.arguments, given)) in made for one in decision.tool_calls)


def _with_results(request: Request, peers: Sequence[Recording]) -> Request:
    """Return a request in which tools gave what they gave to healthy runs for the same arguments."""
    asked = {
        one.id: (one.name, normalised(one.arguments)) for said in request.messages for one in said.tool_calls if one.id
    }
    gave = {
        (one.tool, normalised(one.arguments)): one
        for peer in peers
        for one in peer.executions
        if one.result is not None and not one.failed
    }

    def given(returned: ToolReturn) -> ToolReturn:
        healthy = gave.get(asked.get(returned.call_id, ("", "")))
        if healthy is None or healthy.result is None:
            return returned
        return replace(returned, text=healthy.result, failed=False)

    messages = (replace(said, returns=tuple(map(given, said.returns))) for said in request.messages)
    return replace(request, messages=tuple(messages))
