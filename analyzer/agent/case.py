"""The case file: everything the model is shown before it asks for more, built without it.

Facts first, then the worst trajectories and healthy peers, each told in its own order (`narrative`): verbatim stretches
between span markers, the other steps as lines of an outline. Facts and lines are ours and cannot be quoted; only what
stands between span markers can. The worst trajectory is whole where there is room for that; a budget of tokens
(`text.estimate_tokens`) holds for 10 steps and for 10,000.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from analyzer.agent.facts import Fact, facts_of
from analyzer.agent.loops import loops_in
from analyzer.agent.narrative import AFFECTED, PEER, Narrative, Role, Told
from analyzer.agent.notable import notable
from analyzer.agent.outline import has_several_agents, rows_of
from analyzer.agent.passages import cost_of, passages_of
from analyzer.agent.portions import portions
from analyzer.agent.shown import Shown
from analyzer.agent.text import Markers, Mask, clip, estimate_tokens, plain
from analyzer.types.report import Incident
from analyzer.types.steps import Step
from analyzer.types.trace import TEXT_FIELDS
from analyzer.types.trajectory import Trajectory

TOKENS_MAX = 12_000
TOKENS_MIN, INPUT_PART = 4_000, 16
"""An incident's case file takes at most this part of what its trajectories were sent, and at least so many tokens, in
which 95 % of decisive steps are still in sight. A file is paid about 1.6 times (written to the cache, read by three
calls), prompt, tools and their answers take some 9,000 more: so explaining stays below a fifth of what is explained,
but for runs that were sent little (docs/investigator.md, "What it costs")."""
TRAJECTORIES_MAX = 3
HEALTHY_MAX = 2
FACTS_SHARE = 0.35
"""Part of the budget that facts may take."""
FIRST_SHARE = 0.6
"""Part of what is left that the worst trajectory may take beside others that went as badly."""
OTHERS_SHARE, OTHERS_TOKENS_MAX = 0.06, 300
"""Room that is kept for each trajectory beside it: its course in a few lines."""
BESIDE_TOKENS_MAX: Mapping[Role, int] = {AFFECTED: 900, PEER: 600}
"""What a trajectory beside the worst may take: it is there to compare with, and each token is paid at every call."""
WEIGHTS: Mapping[Role, float] = {AFFECTED: 2.0, PEER: 1.0}
"""How the trajectories beside the worst share what it leaves."""
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


def room_of(trajectories: Sequence[Trajectory], tokens_max: int) -> int:
    """Return the budget of a case file of these trajectories; all of it where no usage was recorded."""
    sent = sum(one.summary.input_tokens for one in trajectories)
    return min(tokens_max, max(sent // INPUT_PART, TOKENS_MIN)) if sent else tokens_max


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
    steps = {one.summary.trace_id: masked_steps(one, mask) for one in (*worst, *peers)}
    loops = {trace_id: loops_in(own) for trace_id, own in steps.items()}
    facts = facts_of(incident, worst, peers) if facts is None else facts
    head = _facts_section(facts, markers, int(tokens_max * FACTS_SHARE))
    peer = steps[peers[0].summary.trace_id] if peers else ()

    def narrative(one: Trajectory, role: Role) -> Narrative:
        own = steps[one.summary.trace_id]
        against = peer if role == AFFECTED else ()
        found = notable(own, peer=against, loops=loops[one.summary.trace_id], tool=incident.subject.tool)
        return Narrative(
            trajectory=one,
            role=role,
            steps=own,
            rows=rows_of(own, markers),
            passages=passages_of(one, own, mask),
            notable=found,
            markers=markers,
            mask=mask,
            team=has_several_agents(own),
        )

    narratives = _once([*(narrative(one, AFFECTED) for one in worst), *(narrative(one, PEER) for one in peers)])
    told = _told(narratives, tokens_max - cost_of(head) - 2)
    shown = Shown()
    shown.say(head)
    for one in told:
        shown.say(one.said)
        for place, text in one.stretches:
            shown.add(*place, text)
    start, end = window or (incident.onset - LOOKBACK, max(incident.last_seen_at, incident.onset))
    agents = {one.summary.agent for one in worst} | set(incident.concerned)
    return CaseFile(
        text=clip("\n\n".join([head, *(one.text for one in told)]), tokens_max),
        facts=facts,
        shown=shown,
        repeats=frozenset(
            [row.repeats for one in narratives for row in one.rows if row.repeats > 1]
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


def _once(narratives: Sequence[Narrative]) -> list[Narrative]:
    """Leave out system prompts that a trajectory before has: runs of one agent all begin with the same thousands."""
    known: set[str] = set()
    found = []
    for one in narratives:
        kept = [passage for passage in one.passages if passage.field != "system" or passage.text not in known]
        found.append(replace(one, passages=kept))
        known |= {passage.text for passage in kept if passage.field == "system"}
    return found


def _told(narratives: Sequence[Narrative], room: int) -> list[Told]:
    """Tell the trajectories: the first one whole where that leaves the others a little; these share what it leaves."""
    if not narratives:
        return []
    first, *others = narratives
    alone = not any(one.role == AFFECTED for one in others)
    kept = min(int(room * OTHERS_SHARE), OTHERS_TOKENS_MAX)
    most = room - kept * len(others) if alone else int(room * FIRST_SHARE)
    needs = [min(one.need, BESIDE_TOKENS_MAX[one.role]) + 2 for one in others]
    # What the others do not need is the first one's too.
    told = [first.told(max(most, room - sum(needs)))]
    left = room - cost_of(told[0].text) - 2
    for one, tokens in zip(others, portions(needs, [WEIGHTS[one.role] for one in others], left), strict=True):
        told.append(one.told(tokens - 2))
    return told
