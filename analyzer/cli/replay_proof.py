"""`analyzer replay INCIDENT`: the cause of an incident put to the proof, after its price is said and agreed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from analyzer.cli.common import DONE, FAIL_ON, FAILED, GAPS, columns, print_json, settings_from
from analyzer.cli.replay_step import agree

if TYPE_CHECKING:
    from analyzer.config import Settings
    from analyzer.pipeline.proof import ProofPlan
    from analyzer.types.diagnosis import Proof
    from analyzer.types.report import Incident

SCHEMA = "analyzer.replay-proof/1"
_PEERS_MAX = 5

factor_option = click.option(
    "--factor",
    type=click.Choice(("model", "prompt", "tools", "tool-result")),
    help="With an incident: what to change back; without it, what its cause names.",
)


def replay_incident(
    incident: str, *, factor: str | None, times: int, yes: bool, store: str | None, as_json: bool
) -> int:
    """Put a cause to the proof, keep the outcome and show it. Raises NotFoundError, UsageError, StoreError."""
    from collections import Counter
    from contextlib import ExitStack
    from dataclasses import replace
    from datetime import UTC, datetime

    from analyzer.pipeline.proof import at_most, tried
    from analyzer.render.blocks import Bullets, Heading, Paragraph, plain
    from analyzer.render.proof import proof_text
    from analyzer.render.terminal import terminal
    from analyzer.types.diagnosis import ProofOutcome
    from analyzer.types.document import proof_document
    from analyzer.wiring.building import build_means

    settings = settings_from(store=store).settings
    plan = _plan(settings, incident, factor, times)
    with ExitStack() as stack:
        means = {name: stack.enter_context(build_means(replace(settings, model=name)))[1] for name in plan.models}
        most = at_most(plan, means)
        what = f"{2 * times * len(plan.pairs)} calls of {', '.join(plan.models)}, half with the {plan.factor} of before"
        agree(what, most, yes=yes)
        done = tried(plan, means, datetime.now(UTC).replace(microsecond=0))
    kept = _keep(settings, plan.incident.id, done.proof)
    verdict = kept.diagnosis.verdict.value if kept is not None and kept.diagnosis is not None else None
    if as_json:
        proof = proof_document(done.proof)
        print_json(
            {
                "schema": SCHEMA,
                "incident": plan.incident.id,
                "verdict": verdict,
                "proof": proof,
                "problems": list(done.problems),
            }
        )
    else:
        problems = tuple(plain(f"{count} x {problem}") for problem, count in Counter(done.problems).most_common())
        listed = (Heading(2, plain("Without a reply")), Bullets(problems)) if problems else ()
        now = f" The verdict is {verdict}." if verdict is not None else ""
        said = Paragraph(plain(f"{proof_text(done.proof)}{now}"))
        click.echo(terminal((Heading(1, plain(plan.incident.title)), said, *listed), columns()), nl=False)
    if kept is None:
        return FAILED
    codes = {
        ProofOutcome.PROVEN: DONE,
        ProofOutcome.REFUTED: FAIL_ON,
        ProofOutcome.CANNOT_JUDGE: GAPS,
        ProofOutcome.CANNOT_REPRODUCE: FAILED,
    }
    return codes[done.proof.outcome]


def _plan(settings: Settings, incident: str, factor: str | None, times: int) -> ProofPlan:
    """Read what was recorded of an incident. Raises NotFoundError, UsageError, StoreError."""
    from collections.abc import Iterator, Sequence
    from itertools import islice

    from analyzer.errors import NotFoundError
    from analyzer.pipeline.proof import STEPS_MAX, planned
    from analyzer.replay.recording import Recording, recording_of
    from analyzer.stores.incidents import SqliteIncidents
    from analyzer.wiring.opening import open_existing

    with open_existing(settings) as trajectories:
        found = SqliteIncidents(trajectories.state).incident(incident)

        def recorded(trace_ids: Sequence[str]) -> Iterator[Recording]:
            for trace_id in trace_ids:
                try:
                    yield recording_of(trajectories.trajectory(trace_id))
                except NotFoundError:
                    continue  # pruned since

        worst = tuple(islice(recorded(found.trace_ids), STEPS_MAX))
        healthy = tuple(islice(recorded(found.healthy_trace_ids), _PEERS_MAX))
    return planned(found, worst, healthy, times=times, factor=factor)


def _keep(settings: Settings, incident: str, proof: Proof) -> Incident | None:
    """Keep a proof with its incident; not while a run is under way, which would write over it: that is said, None."""
    from dataclasses import replace

    from analyzer.errors import TurnTakenError
    from analyzer.pipeline.investigated import no_surer
    from analyzer.pipeline.proof import with_proof
    from analyzer.stores.turn import alone
    from analyzer.wiring.opening import open_memory

    def proven(one: Incident) -> Incident:
        if one.diagnosis is None:
            return one
        return no_surer(replace(one, diagnosis=with_proof(one.diagnosis, proof)))

    try:
        with alone(settings.store, what="analyzer replay", state=settings.state), open_memory(settings) as memory:
            return memory.amend(incident, proven)
    except TurnTakenError as error:
        click.echo(f"the outcome is not kept with the incident: {error}", err=True)
        return None
