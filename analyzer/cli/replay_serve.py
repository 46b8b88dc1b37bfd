"""`analyzer replay TRACE --serve`: the agent's own code runs again, against a stand-in for its model provider."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.agent_command import run_agent, timeout_option
from analyzer.cli.common import DONE, FAIL_ON, FAILED, GAPS, Command, print_json, settings_from
from analyzer.cli.replay_step import agree
from analyzer.config import REPLAY_URL, endpoints
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.config import Settings
    from analyzer.replay.judging import Failure, Seen
    from analyzer.replay.recording import Recording
    from analyzer.replay.standin import Met, StandIn
    from analyzer.server.live import Live
    from analyzer.stores.trajectories import SqliteTrajectories
    from analyzer.wiring.live import Sending

POLICIES = ("stop", "nearest", "live")


@dataclass(frozen=True, slots=True)
class Serving:
    """How a recording is served."""

    port: int
    on_divergence: str
    guilty: int | None
    command: Sequence[str]
    timeout_s: float
    budget_usd: str | None
    """What the live part may cost, as the flag has it; None for the setting."""
    yes: bool


def serve_options(command: Command) -> Command:
    """Give `analyzer replay` the options of this mode, and the agent's command behind them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option("--serve", "serving", is_flag=True, help="Stand in for the provider while the agent runs again."),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=0,
        help="Port on loopback to serve on; a free one unless given.",
    ),
    click.option(
        "--on-divergence",
        type=click.Choice(POLICIES),
        default="stop",
        show_default=True,
        help="From the first request on that differs: an error, the recorded reply that fits best, or the provider "
        "itself, which is billed.",
    ),
    click.option("--budget-usd", metavar="USD", help="With --on-divergence live: at most so much; else budget_usd."),
    timeout_option,
    click.option(
        "--guilty-step",
        type=click.IntRange(1),
        metavar="N",
        help="The step to blame; else each that failed or went round in a loop.",
    ),
    click.argument("agent_command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED),
)


OF_SERVE = {
    "port": "--port",
    "on_divergence": "--on-divergence",
    "timeout_s": "--timeout",
    "guilty_step": "--guilty-step",
}
"""Options that mean nothing in another mode, by their parameters; of --budget-usd its own line says what to set."""


def serve(trace: str, store: str | None, serving: Serving, *, as_json: bool) -> int:
    """Stand in for the provider of a recorded run until its command ends; return the exit code of the outcome.

    Without a command it stands until ctrl-c. Raises UsageError for a price that is not agreed to, a port that is taken,
    a command that does not start and a guilty step that is none; NotFoundError, StoreError.
    """
    from analyzer.replay.judging import failure_of, seen
    from analyzer.replay.recording import recording_of
    from analyzer.replay.standin import Policy, StandIn
    from analyzer.server.standin import standing_in

    settings = settings_from(store=store, budget_usd=serving.budget_usd).settings
    is_live = serving.on_divergence == "live"
    with _opened(settings, is_live=is_live) as (trajectories, sending):
        trajectory = trajectories.trajectory(trajectories.resolve(trace))
        recording = recording_of(trajectory)
        _check_step(recording, serving.guilty)
        standin = StandIn(recording, policy=Policy(serving.on_divergence), mask=trajectories.masker.text)
        live = None if sending is None else _live(standin, sending, settings, yes=serving.yes)
        with _traced(sending, trajectory.summary.trace_id), standing_in(standin, serving.port, live=live) as url:
            code = _run(serving, url, is_live=is_live)
        failure = failure_of(recording, trajectory.summary.outcome)
        tools = standin.tools_asked
        found = seen(recording, failure, standin.course, code=code, tools=tools, guilty=serving.guilty)
    if as_json:
        print_json(_document(recording, found, standin.course, code))
    else:
        click.echo("\n".join(_lines(recording, found, standin.course)))
    return _code(found, failure)


@contextmanager
def _opened(settings: Settings, *, is_live: bool) -> Iterator[tuple[SqliteTrajectories, Sending | None]]:
    """Give the store, and what requests are paid with where some may be sent on."""
    from analyzer.wiring.live import open_sending
    from analyzer.wiring.opening import open_existing

    if is_live:
        with open_sending(settings) as sending:
            yield sending.store, sending
    else:
        with open_existing(settings) as store:
            yield store, None


def _traced(sending: Sending | None, trace_id: str) -> AbstractContextManager[Any]:
    """Return the root of the analyst's own trajectory about a replay that may cost something; else nothing."""
    from analyzer.types.trace import Operation

    if sending is None:
        return nullcontext()
    said = f"replay of {trace_id}, live from the first difference on"
    return sending.watch.span("invoke_agent analyzer", Operation.AGENT, agent="analyzer", input=said)


def _live(standin: StandIn, sending: Sending, settings: Settings, *, yes: bool) -> Live:
    """Say what the live part may cost, have it agreed to, and return what sends requests on. Raises UsageError."""
    from datetime import UTC, datetime

    from analyzer.server.live import Live, Paid
    from analyzer.types.spending import Amount
    from analyzer.web import check_url

    recording, now = standin.recording, datetime.now(UTC)
    spans = [call.span for call in recording.calls if call.span.tokens is not None]
    prices = [sending.price(one.provider or "", one.model or "", one.tokens, now) for one in spans if one.tokens]
    known = [usd for usd in prices if usd is not None]
    told = f"${sum(known):.4f}" if len(known) == len(recording.calls) else "a price that is not known"
    what = (
        "from the first request that differs on the provider itself is asked"
        f" (the {len(recording.calls)} recorded calls come to {told} today)"
    )
    agree(what, Amount(settings.budget_tokens, settings.budget_usd), yes=yes)
    found = endpoints()
    for provider, endpoint in found.items():
        check_url(endpoint.base_url, f"{provider.upper()}_BASE_URL")
    about = f"replay-{recording.trace_id}"
    return Live(standin, found, Paid(sending.purse, sending.journal, sending.watch, sending.price, about))


def _run(serving: Serving, url: str, *, is_live: bool) -> int | None:
    """Run the agent, or wait for one; return its exit code, None where it is not known."""
    if is_live and any(one.base_url in {url, f"{url}/v1"} for one in endpoints().values()):
        raise UsageError(f"{url} is this replay's own address: unset ANTHROPIC_BASE_URL or OPENAI_BASE_URL")
    if serving.command:
        return run_agent(serving.command, url, timeout_s=serving.timeout_s)
    _wait(url)
    return None


def _check_step(recording: Recording, guilty: int | None) -> None:
    numbers = [call.number for call in recording.calls]
    numbers += [one.number for one in recording.executions if one.number is not None]
    if guilty is not None and guilty not in numbers:
        raise UsageError(
            f"--guilty-step {guilty}: the recording has steps {min(numbers, default=0)} to {max(numbers, default=0)}"
        )


def _wait(url: str) -> None:
    click.echo(
        f"standing in for the provider: set ANTHROPIC_BASE_URL={url} or OPENAI_BASE_URL={url}/v1, "
        f"and {REPLAY_URL}={url} for recorded tools, or {url}/mcp for those of MCP; ctrl-c ends",
        err=True,
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return


def _code(found: Seen, failure: Failure) -> int:
    """Return the exit code: 0 where nothing is wrong, which for a run that failed is that it is fixed."""
    from analyzer.replay.outcomes import Outcome

    codes = {
        Outcome.REPRODUCED: FAIL_ON if failure.any else DONE,
        Outcome.FIXED: DONE,
        Outcome.DIVERGED: FAIL_ON,
        Outcome.CANNOT_JUDGE: GAPS,
        Outcome.CANNOT_REPRODUCE: FAILED,
    }
    return codes[found.judged.outcome]


def _lines(recording: Recording, found: Seen, course: Sequence[Met]) -> list[str]:
    from analyzer.render.text import one_line

    at = f" at step {found.judged.step}" if found.judged.step is not None else ""
    lines = [f"{found.judged.outcome.value}{at}: {found.judged.why}"]
    lines.append(f"{len(course)} requests; the recording has {len(recording.calls)} calls of a model")
    sent = [met.live for met in course if met.live is not None and not met.live.refused]
    if sent:
        priced = [one.usd for one in sent if one.usd is not None]
        lines.append(f"{len(sent)} of them went to the provider, and count with ${sum(priced):.4f}")
    if found.difference is not None and found.difference.diff:
        lines.append("- recorded, + asked:")
        lines += [f"  {line[:1]}{one_line(line[1:])}" for line in found.difference.diff]
    return lines


def _document(recording: Recording, found: Seen, course: Sequence[Met], code: int | None) -> dict[str, Any]:
    difference = found.difference
    return {
        "schema": "analyzer.replay-serve/1",
        "trace_id": recording.trace_id,
        "outcome": found.judged.outcome.value,
        "step": found.judged.step,
        "why": found.judged.why,
        "differs": None if difference is None else {"parts": list(difference.parts), "diff": list(difference.diff)},
        "agent_exit_code": code,
        "recorded_calls": len(recording.calls),
        "requests": [
            {"step": met.step, "how": met.how.value, "answered": met.answered, **_live_document(met)} for met in course
        ],
    }


def _live_document(met: Met) -> dict[str, Any]:
    """Return what the provider said to a request that was sent on, masked."""
    if met.live is None:
        return {}
    decision, tokens = met.live.decision, met.live.tokens
    said: dict[str, Any] | None = None
    if decision is not None:
        calls = [{"name": one.name, "arguments": one.arguments} for one in decision.tool_calls]
        finish = None if decision.finish is None else decision.finish.value
        said = {"text": decision.text, "tool_calls": calls, "finish": finish}
    return {
        "live": {
            "status": met.live.status,
            "sent": not met.live.refused,
            "said": said,
            "input_tokens": None if tokens is None else tokens.input,
            "output_tokens": None if tokens is None else tokens.output,
            "usd": met.live.usd,
            "problem": met.live.problem or None,
        }
    }
