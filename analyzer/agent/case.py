"""The case file: everything the model is shown before it asks for more, built without it.

Facts first, then an outline of the worst trajectories and of healthy peers, then the decisive stretches in full:
failed steps, the start of a loop, the first step that differs from a healthy peer, the last steps and the dearest.
Outlines and facts are ours and cannot be quoted; only what stands between span markers can. The file is filled in
this order until its budget of tokens is used (`text.estimate_tokens`), so it holds for 10 steps and for 10,000.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from analyzer.agent.facts import Fact, facts_of
from analyzer.agent.loops import loops_in
from analyzer.agent.outline import Row, fit, rows_of
from analyzer.agent.shown import Shown
from analyzer.agent.text import Markers, Mask, clip, estimate_tokens, one_line, plain, text_of, visible
from analyzer.detectors.loops.scan import Loop
from analyzer.types.report import Incident
from analyzer.types.steps import Step
from analyzer.types.trace import TEXT_FIELDS, Status
from analyzer.types.trajectory import Trajectory

TOKENS_MAX = 12_000
TRAJECTORIES_MAX = 3
HEALTHY_MAX = 2
FACTS_SHARE, OUTLINES_SHARE = 0.35, 0.45
"""Parts of the budget that facts and outlines may take; the stretches get the rest."""
STRETCH_TOKENS = 700
"""One stretch takes no more: several places say more than one long payload; the `span` tool pages through the rest."""
STRETCHES_MAX = 40
OUTLINE_HEAD = "a summary, not quotable: step, span id, operation, name, status, tokens, time, cost | gist"
LOOPS_SHOWN = 2
"""Beginnings of loops shown of one trajectory, the longest first."""
LOOKBACK = timedelta(days=7)
"""How long before the onset queries may reach: the same hours of the days before are the fair comparison."""


@dataclass(frozen=True, slots=True)
class CaseFile:
    """An incident as the model sees it, and what is needed to check what it says."""

    text: str
    facts: tuple[Fact, ...]
    shown: Shown
    repeats: frozenset[int]
    """How often steps repeat, as the outlines and the loop detector count them."""
    incident: Incident
    trajectories: tuple[Trajectory, ...]
    """Worst first."""
    healthy: tuple[Trajectory, ...]
    markers: Markers
    start: datetime
    """Queries and searches stay in [start, end]."""
    end: datetime
    agents: frozenset[str]
    trace_ids: frozenset[str]
    """Trajectories that may be opened: those of the incident and its healthy peers."""

    def trajectory(self, trace_id: str) -> Trajectory | None:
        """Return a trajectory of the case file by its id, or None."""
        return next((one for one in (*self.trajectories, *self.healthy) if one.summary.trace_id == trace_id), None)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A place in a trajectory worth showing in full, and why."""

    trajectory: Trajectory
    step: Step
    field: str
    why: str


def build_case(
    incident: Incident,
    *,
    trajectories: Sequence[Trajectory],
    healthy: Sequence[Trajectory],
    tokens_max: int = TOKENS_MAX,
    mask: Mask = plain,
    window: tuple[datetime, datetime] | None = None,
    facts: tuple[Fact, ...] | None = None,
) -> CaseFile:
    """Return the case file of an incident. `trajectories` come worst first, `healthy` are peers that did well.

    `mask` is laid over every text once more; the store's texts are masked already. `window` bounds what the tools may
    look at; by default from LOOKBACK before the onset to when the incident was last seen. `facts` replaces the facts
    of the incident (a question about one trajectory has its own).
    """
    worst, peers = tuple(trajectories[:TRAJECTORIES_MAX]), tuple(healthy[:HEALTHY_MAX])
    markers = Markers(_all_texts(incident, (*worst, *peers)))
    shown = Shown()
    steps = {one.summary.trace_id: masked_steps(one, mask) for one in (*worst, *peers)}
    rows = {trace_id: rows_of(own, markers) for trace_id, own in steps.items()}
    loops = {one.summary.trace_id: loops_in(steps[one.summary.trace_id]) for one in (*worst, *peers)}
    facts = facts_of(incident, worst, peers) if facts is None else facts
    head = _facts_section(facts, markers, int(tokens_max * FACTS_SHARE))
    outlines = _outlines(worst, peers, steps, rows, markers, int(tokens_max * OUTLINES_SHARE))
    shown.say(head)
    for outline in outlines:
        shown.say(outline)
    parts = [head, *outlines]
    room = tokens_max - sum(estimate_tokens(part) + 2 for part in parts) - 60
    tool = incident.subject.tool
    peer_steps = [steps[peer.summary.trace_id] for peer in peers]

    def places_of(one: Trajectory) -> list[tuple[int, Stretch]]:
        trace_id = one.summary.trace_id
        return decisive(one, steps[trace_id], peer_steps, loops[trace_id], tool)

    ranked = _ranked(worst, peers, steps, places_of)
    parts.append(_stretches_section(ranked, markers, shown, mask, room))
    start, end = window or (incident.onset - LOOKBACK, max(incident.last_seen_at, incident.onset))
    agents = {one.summary.agent for one in worst} | ({incident.subject.agent} if incident.subject.agent else set())
    return CaseFile(
        text=clip("\n\n".join(part for part in parts if part), tokens_max),
        facts=facts,
        shown=shown,
        repeats=frozenset(
            [row.repeats for own in rows.values() for row in own if row.repeats > 1]
            + [loop.repeats for own in loops.values() for loop in own]
        ),
        incident=incident,
        trajectories=worst,
        healthy=peers,
        markers=markers,
        start=start,
        end=end,
        agents=frozenset(agents),
        trace_ids=frozenset(
            {*incident.trace_ids, *incident.healthy_trace_ids, *(one.summary.trace_id for one in (*worst, *peers))}
        ),
    )


def masked_steps(trajectory: Trajectory, mask: Mask) -> tuple[Step, ...]:
    """Return the steps with their texts masked once more."""
    return tuple(
        replace(step, input=mask(step.input), output=mask(step.output), status_message=mask(step.status_message))
        for step in trajectory.steps
    )


def first_difference(steps: Sequence[Step], peer: Sequence[Step]) -> Step | None:
    """Return the first step that is another call, or ends another way, than the peer's step at the same place."""
    for step, other in zip(steps, peer, strict=False):
        if (step.operation, step.name, step.status) != (other.operation, other.name, other.status):
            return step
    return steps[len(peer)] if len(steps) > len(peer) else None


def decisive(
    trajectory: Trajectory,
    steps: Sequence[Step],
    peers: Sequence[Sequence[Step]],
    loops: Sequence[Loop] = (),
    tool: str | None = None,
) -> list[tuple[int, Stretch]]:
    """Return the places worth showing with their rank, best first: see the module's text for the order.

    `loops` are what the loop detector says of the trajectory; `tool` is the incident's, whose failures come first.
    """
    found: list[tuple[int, Stretch]] = []

    def add(rank: int, step: Step, field: str, why: str) -> None:
        found.append((rank, Stretch(trajectory, step, field, why)))

    failed = [step for step in steps if step.status is Status.ERROR]
    failed.sort(key=lambda step: tool is not None and step.name != tool)
    told: set[str] = set()
    for index, step in enumerate(failed):
        words = one_line(step.status_message or step.output, 80)
        rank = 0 if index == 0 else (1 if words not in told else 6)
        told.add(words)
        if step.status_message:
            add(rank, step, "status_message", "error")
        add(rank, step, "output", "what the failed step returned")
        add(rank + 1, step, "input", "what the failed step was asked")
    by_id = {step.span_id: step for step in steps}
    for loop in sorted(loops, key=lambda loop: loop.first_step - loop.last_step)[:LOOPS_SHOWN]:
        step = by_id[loop.example_span_ids[0]]
        why = f"a loop starts here, {loop.repeats} times to step {loop.last_step}"
        add(0, step, "input", why)
        add(0, step, "output", why)
    for peer in peers[:1]:
        differs = first_difference(steps, peer)
        if differs is not None:
            add(2, differs, "input", "first step unlike the healthy peer")
            add(2, differs, "output", "first step unlike the healthy peer")
    for step in steps[-2:]:
        add(3, step, "output", "one of the last steps")
    dearest = max(steps, key=lambda step: step.tokens, default=None)
    if dearest is not None and dearest.tokens:
        add(4, dearest, "input", "most tokens of all steps")
        add(4, dearest, "output", "most tokens of all steps")
    if steps:
        add(4, steps[0], "input", "the first step")
        add(5, steps[0], "output", "the first step")
    return found


def _all_texts(incident: Incident, trajectories: Sequence[Trajectory]) -> list[str]:
    texts = [incident.id, incident.title, *(change.to_value or "" for change in incident.changes)]
    for trajectory in trajectories:
        for span in trajectory.spans:
            texts += [span.trace_id, span.span_id, span.name, span.tool or "", span.model or ""]
            texts += [value for name in TEXT_FIELDS if (value := getattr(span, name))]
    return texts


def _facts_section(facts: Sequence[Fact], markers: Markers, tokens_max: int) -> str:
    lines: list[str] = []
    room = tokens_max - 20
    for fact in facts:
        line = f"{fact.id}: {markers.clean(fact.text)}"
        if fact.evidence:
            line += f" [rests on {', '.join(fact.evidence[:6])}]"
        line = clip(line, room)
        room -= estimate_tokens(line) + 1
        if not line or room < 0:
            break
        lines.append(line)
    return markers.section("facts", "\n".join(lines))


def _outlines(
    worst: Sequence[Trajectory],
    peers: Sequence[Trajectory],
    steps: Mapping[str, Sequence[Step]],
    rows: Mapping[str, Sequence[Row]],
    markers: Markers,
    tokens_max: int,
) -> list[str]:
    """Return the outlines; what one of them does not use is left for the next, and the worst comes first."""
    outlines: list[str] = []
    room = tokens_max
    everyone = [(one, "affected") for one in worst] + [(one, "healthy peer") for one in peers]
    for index, (one, role) in enumerate(everyone):
        own = room // (len(everyone) - index) if index else max(room // max(len(everyone) - 1, 1), room // 2)
        trace_id = one.summary.trace_id
        title = f"Outline of {trace_id} ({role}); {OUTLINE_HEAD}"
        lines = fit(rows[trace_id], steps[trace_id], own - estimate_tokens(title) - 30)
        outline = markers.section("outline", "\n".join([title, *lines]))
        room = max(room - estimate_tokens(outline) - 2, 0)
        outlines.append(outline)
    return outlines


def _ranked(
    worst: Sequence[Trajectory],
    peers: Sequence[Trajectory],
    steps: Mapping[str, Sequence[Step]],
    places_of: Callable[[Trajectory], list[tuple[int, Stretch]]],
) -> list[Stretch]:
    """Return the decisive stretches in the order of their rank, the worst trajectory before the next."""
    ranked: list[tuple[int, int, Stretch]] = []
    for order, one in enumerate(worst):
        ranked += [(rank + order * 2, order, stretch) for rank, stretch in places_of(one)]
    for one in peers:
        last = steps[one.summary.trace_id][-1:]
        ranked += [(5, len(worst), Stretch(one, step, "output", "last step of a healthy peer")) for step in last]
    return [stretch for _, _, stretch in sorted(ranked, key=lambda entry: entry[:2])]


def _stretches_section(ranked: Sequence[Stretch], markers: Markers, shown: Shown, mask: Mask, room: int) -> str:
    """Return the stretches in full, as many as the room holds."""
    blocks: list[str] = []
    done: set[tuple[str, str, str]] = set()
    for stretch in ranked:
        place = (stretch.trajectory.summary.trace_id, stretch.step.span_id, stretch.field)
        span = stretch.trajectory.span(stretch.step.span_id)
        if place in done or span is None or len(blocks) >= STRETCHES_MAX:
            continue
        done.add(place)
        text = visible(text_of(span, stretch.field, mask))
        frame = estimate_tokens(markers.wrap(*place, "", f"step {stretch.step.number}, {stretch.why}, part of it")) + 4
        allowed = min(STRETCH_TOKENS, room - frame)
        if not text.strip() or allowed < 20:  # noqa: PLR2004 - less room than a sentence needs
            continue
        body, part = _ends(text, allowed)
        block = markers.wrap(*place, body, f"step {stretch.step.number}, {stretch.why}{part}")
        size = estimate_tokens(block) + 1
        if size > room:
            continue
        room -= size
        for piece in body.split(_CUT):
            shown.add(*place, piece)
        blocks.append(block)
    return "\n".join(blocks)


_CUT = "\n⟨… left out …⟩\n"


def _ends(text: str, tokens_max: int) -> tuple[str, str]:
    """Return a text that fits, else its beginning and its end: errors stand at the end, goals at the beginning."""
    if estimate_tokens(text) <= tokens_max:
        return text, ""
    half = max((tokens_max - 10) // 2, 1)
    tail = clip(text[::-1], half)[::-1]
    return clip(text, half) + _CUT + tail, ", part of it"
