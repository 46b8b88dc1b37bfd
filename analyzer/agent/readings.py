"""What can be read off the spans without a model: one function per thing to look for, each a true sentence or None.

Every reading keeps to the incident: the calls of its tool where it has one, and nothing that healthy peers do as well.
What merely stands beside an anomaly in the same run (polling, an error that was overcome) is not its cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from analyzer.agent.facts import number, short
from analyzer.agent.growth import growth
from analyzer.agent.loops import loops_in
from analyzer.agent.quoting import prefix, quote_of
from analyzer.agent.shapes import shape_of
from analyzer.agent.text import Mask
from analyzer.detectors.loops.classify import is_outage
from analyzer.types.report import Incident, Kind, SpanEvidence
from analyzer.types.steps import Step
from analyzer.types.trace import FinishReason, Operation, Status
from analyzer.types.trajectory import Trajectory

LOOP_KINDS = frozenset({Kind.LOOP, Kind.RUNAWAY})
FAILING = frozenset({Kind.ERRORS, Kind.TOOL_ERRORS, Kind.RETRIES})
"""Kinds that are about failed steps: what rose is read off, though healthy peers met some of it as well."""
SHARED_MIN = 0.5
"""Part of the trajectories looked at that must have an error for it to explain anything but failures."""
BUSIER_RATIO, BUSIER_CALLS_MIN = 2, 3
"""A tool is called more often than by peers from twice and three calls more on: less is how two goals differ."""
SLOWER_RATIO = 2.0
"""A step is slower than those of peers from twice the longest of them on."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the rules look at."""

    incident: Incident
    trajectories: Sequence[Trajectory]
    """Worst first."""
    healthy: Sequence[Trajectory]
    mask: Mask

    @property
    def tools(self) -> frozenset[str]:
        """The tools the incident is about; empty where it is about whole trajectories."""
        subject, kind = self.incident.subject, self.incident.kind
        named = {subject.tool} if subject.tool else {f.subject.tool for f in self.incident.findings if f.kind is kind}
        return frozenset(tool for tool in named if tool)

    def concerns(self, step: Step) -> bool:
        """Tell whether a step is one of the incident's: any where no tool is named."""
        return not self.tools or (step.operation is Operation.TOOL and step.name in self.tools)


@dataclass(frozen=True, slots=True)
class Seen:
    """Something read off the spans: a sentence, its quotes, the step it points to, and the class of cause it is."""

    text: str
    quotes: tuple[SpanEvidence, ...]
    trajectory: Trajectory
    step: Step
    category: str = "unknown"


Reading = Callable[[Scene], Seen | None]


def looped(scene: Scene) -> Seen | None:
    """Return the loop of the worst trajectory that has one which no healthy peer has.

    Whether it is one is for the loop detector to say. Of an incident that is a loop only those over its own tool count.
    """
    own = scene.incident.kind in LOOP_KINDS
    usual = set() if own else {(loop.rule, loop.tool) for peer in scene.healthy for loop in loops_in(peer.steps)}
    for one in scene.trajectories:
        steps = {step.span_id: step for step in one.steps}
        for loop in sorted(loops_in(one.steps), key=lambda loop: (-loop.wasted_steps, loop.first_step)):
            if (loop.rule, loop.tool) in usual or (own and scene.tools and loop.tool not in scene.tools):
                continue
            step = steps[loop.example_span_ids[0]]
            text = (
                f"Trajectory {prefix(one.summary.trace_id)} repeats itself from step {loop.first_step} to step "
                f"{loop.last_step}: {short(loop.what, 200)}."
            )
            return Seen(text, _quotes(scene, one, step, ("input",), ("output", "status_message")), one, step, "loop")
    return None


def grown(scene: Scene) -> Seen | None:
    """Return what the costly trajectories are sent and no healthy peer is."""
    found = growth(scene.trajectories, scene.healthy, scene.mask)
    if found is None:
        return None
    one, step = prefix(found.trajectory.summary.trace_id), found.step
    times = f", with {found.times} {found.noun}s like it," if found.times > 1 else ""
    many = f" {found.shared} of {found.of} costly trajectories looked at hold such text." if found.of > 1 else ""
    text = (
        f"Step {step.number} of trajectory {one} is sent text{times} that no healthy peer was sent: "
        f'"{found.quote.quote}".{many}'
    )
    return Seen(text, (found.quote,), found.trajectory, step, "context_growth")


@dataclass(slots=True)
class _Failure:
    """Errors that read alike."""

    first: tuple[Trajectory, Step, SpanEvidence]
    steps: int = 0
    holders: set[str] = field(default_factory=set)
    """Trajectories it occurs in."""
    stood: set[str] = field(default_factory=set)
    """Trajectories in which the same call never worked afterwards."""


def failed(scene: Scene) -> Seen | None:
    """Return the error behind an incident: of its own tool, and one that healthy peers lack where there is such a one.

    Of an incident that is not about failed steps it is one that most of these trajectories have and no healthy peer
    has: whatever else failed is background, and was always there.
    """
    return _error_of(scene, most=scene.incident.kind not in FAILING)


def erred(scene: Scene) -> Seen | None:
    """Return the error of a trajectory that is asked about, also where its peers met it."""
    return _error_of(scene, most=False)


def _error_of(scene: Scene, *, most: bool) -> Seen | None:
    """Return the error that stands out, or with `most` only one that most trajectories have and healthy peers lack.

    Of whole trajectories that fail it is the error which most of them did not overcome; then, and of a tool at once,
    the one in most trajectories, then in most steps, then the earliest. Retries within one run do not outvote others.
    """
    failures: dict[str, _Failure] = {}
    worked = _last_worked(scene.trajectories)
    for one, step, quote in _errors(scene, scene.trajectories):
        of_shape = failures.setdefault(shape_of(quote.quote), _Failure((one, step, quote)))
        of_shape.steps += 1
        of_shape.holders.add(one.summary.trace_id)
        if worked.get((one.summary.trace_id, step.operation, step.name), 0) < step.number:
            of_shape.stood.add(one.summary.trace_id)
    usual = {shape_of(quote.quote) for _, _, quote in _errors(scene, scene.healthy)}
    unusual = [found for known, found in failures.items() if known not in usual]
    if most:
        unusual = [found for found in unusual if len(found.holders) >= SHARED_MIN * len(scene.trajectories)]
    else:
        unusual = unusual or list(failures.values())
    if not unusual:
        return None
    whole = not scene.tools
    best = max(unusual, key=lambda one: (len(one.stood) if whole else 0, len(one.holders), one.steps))
    one, step, quote = best.first
    total = sum(found.steps for found in failures.values())
    agent = step.agent if step.agent != scene.incident.subject.agent else None
    what = f'{short(step.name, 60)}{f" of agent {short(agent, 60)}" if agent else ""} fails with "{quote.quote}"'
    noun = "failed steps" if whole else "failed calls"
    many = f": {best.steps} of {total} {noun} in the trajectories looked at read alike, first" if total > 1 else ","
    text = f"{what}{many} at step {step.number} of trajectory {prefix(one.summary.trace_id)}."
    return Seen(text, (quote,), one, step, "provider_outage" if is_outage(step) else "tool_failure")


def busier(scene: Scene) -> Seen | None:
    """Return the tool that the worst trajectory calls far more often than any healthy peer."""
    if not scene.healthy:
        return None
    usual: Counter[str] = Counter()
    for peer in scene.healthy:
        usual |= Counter(step.name for step in _calls(scene, peer))
    for one in scene.trajectories:
        calls = Counter(step.name for step in _calls(scene, one))
        name, times = max(calls.items(), key=lambda entry: entry[1] - usual[entry[0]], default=("", 0))
        most = usual[name]
        if times < BUSIER_RATIO * most or times - most < BUSIER_CALLS_MIN:
            continue
        step = [step for step in _calls(scene, one) if step.name == name][most]
        peers = f"{most} time{'' if most == 1 else 's'} at most" if most else "not once"
        text = (
            f"Trajectory {prefix(one.summary.trace_id)} calls {short(name, 60)} {times} times, "
            f"the healthy peers looked at {peers}; step {step.number} is the first beyond that."
        )
        return Seen(text, _quotes(scene, one, step, ("input", "output", "status_message")), one, step)
    return None


def slowed(scene: Scene) -> Seen | None:
    """Return the step that took longer than any of its name in a healthy peer: of all, the one that lost most time."""
    usual: dict[str, float] = {}
    for step in (step for peer in scene.healthy for step in peer.steps):
        usual[step.name] = max(usual.get(step.name, 0.0), _seconds(step))
    slow = [
        (_seconds(step) - usual[step.name], one, step)
        for one in scene.trajectories
        for step in one.steps
        if scene.concerns(step) and step.name in usual and _seconds(step) > SLOWER_RATIO * usual[step.name]
    ]
    if not slow:
        return None
    _, one, step = max(slow, key=lambda entry: entry[0])
    text = (
        f"Step {step.number} of trajectory {prefix(one.summary.trace_id)}, {short(step.name, 60)}, took "
        f"{number(_seconds(step))} s; in healthy peers it took {number(usual[step.name])} s at most."
    )
    return Seen(text, _quotes(scene, one, step, ("input", "output", "status_message")), one, step)


def cut(scene: Scene) -> Seen | None:
    """Return the first reply that ended at its limit of tokens."""
    for one in scene.trajectories:
        steps = {step.span_id: step for step in one.steps}
        for span in one.spans:
            step = steps.get(span.span_id)
            if span.finish is not FinishReason.LENGTH or step is None:
                continue
            after = f" after {span.tokens.output:,} output tokens" if span.tokens is not None else ""
            where = f"Step {step.number} of trajectory {prefix(one.summary.trace_id)}"
            text = f"{where} was cut at its limit{after}."
            return Seen(text, _quotes(scene, one, step, ("output", "input")), one, step, "premature_stop")
    return None


def _errors(scene: Scene, trajectories: Sequence[Trajectory]) -> Iterator[tuple[Trajectory, Step, SpanEvidence]]:
    """Yield the failed steps of the incident's tool that say something, with what they say."""
    for one in trajectories:
        spans = {span.span_id: span for span in one.spans}
        for step in one.steps:
            if step.status is Status.ERROR and scene.concerns(step):
                quote = quote_of(spans.get(step.span_id), ("status_message", "output"), scene.mask)
                if quote is not None:
                    yield one, step, quote


def _last_worked(trajectories: Sequence[Trajectory]) -> dict[tuple[str, Operation, str], int]:
    """Map trajectory, operation and name to the number of the last such step that did not fail."""
    return {
        (one.summary.trace_id, step.operation, step.name): step.number
        for one in trajectories
        for step in one.steps
        if step.status is not Status.ERROR
    }


def _calls(scene: Scene, one: Trajectory) -> list[Step]:
    return [step for step in one.steps if step.operation is Operation.TOOL and scene.concerns(step)]


def _seconds(step: Step) -> float:
    """Return how long a step took; 0 where its times are unknown."""
    if step.start_ns is None or step.end_ns is None:
        return 0.0
    return max(step.end_ns - step.start_ns, 0) / 1e9


def _quotes(scene: Scene, one: Trajectory, step: Step, *fields: Sequence[str]) -> tuple[SpanEvidence, ...]:
    """Return a quote for each group of fields that has one."""
    span = one.span(step.span_id)
    found = (quote_of(span, group, scene.mask) for group in fields)
    return tuple(quote for quote in found if quote is not None)
