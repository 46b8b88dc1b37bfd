"""`analyzer replay TRACE --step N`: one model call sent again, after its price is said and agreed to."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import DONE, FAILED, GAPS, Command, columns, print_json, settings_from

if TYPE_CHECKING:
    from analyzer.pipeline.replay import Replayed, StepReplay
    from analyzer.replay.alike import Decision
    from analyzer.types.spending import Amount

SCHEMA = "analyzer.replay-step/1"
_SHOWN_COLUMNS = 100


def step_options(command: Command) -> Command:
    """Give `analyzer replay` the options of this mode."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option("--step", metavar="N", type=click.IntRange(min=1), help="Send the model call of this step again."),
    click.option(
        "--times",
        type=click.IntRange(1, 100),
        default=5,
        show_default=True,
        help="With --step or an incident: how often.",
    ),
    click.option("--model", metavar="ID", help="With --step: ask this model instead of the recorded one."),
    click.option(
        "--edit",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="With --step: JSON object with the system, messages, tools or parameters to send instead.",
    ),
    click.option("--yes", is_flag=True, help="Send without asking, at the price that is said without it."),
)


OF_STEP = {"times": "--times", "model": "--model", "edit": "--edit"}
"""Options that mean nothing in another mode, by their parameters; --times also goes with an incident."""


def replay_step(
    trace: str,
    step: int,
    *,
    times: int,
    model: str | None,
    edit: Path | None,
    yes: bool,
    store: str | None,
    as_json: bool,
) -> int:
    """Send one recorded call again and show what came. Raises NotFoundError, UsageError, ModelError, StoreError."""
    from dataclasses import replace

    from analyzer.pipeline.replay import prepared, replayed, worst_case
    from analyzer.replay.recording import recording_of
    from analyzer.wiring.building import build_means
    from analyzer.wiring.opening import open_existing

    settings = settings_from(store=store).settings
    with open_existing(settings) as trajectories:
        recording = recording_of(trajectories.trajectory(trajectories.resolve(trace)))
    replay = prepared(recording, step, model=model, edit=None if edit is None else _edit(edit), times=times)
    _check_sold(replay.model)
    with build_means(replace(settings, model=replay.model)) as (_, means):
        _agree(replay, worst_case(replay, means), yes=yes)
        done = replayed(replay, means)
    if as_json:
        print_json(_document(done))
    else:
        _show(done)
    if not done.decisions:
        return FAILED
    return GAPS if done.problems else DONE


def _check_sold(model: str) -> None:
    """Refuse a model of another vendor before it is priced. Raises UsageError.

    Only where Anthropic itself is asked: a gateway may have models of every vendor.
    """
    from analyzer.agent.model import PROVIDER
    from analyzer.config import ANTHROPIC_URL, endpoints
    from analyzer.errors import UsageError
    from analyzer.ingest.pricing import vendor_of

    vendor = vendor_of(model)
    if vendor not in (None, PROVIDER) and endpoints()[PROVIDER].base_url == ANTHROPIC_URL:
        raise UsageError(
            f"{model} is a model of {vendor}, and {ANTHROPIC_URL} is asked: "
            "name one of its own, or set ANTHROPIC_BASE_URL to a gateway that has it"
        )


def _edit(path: Path) -> dict[str, Any]:
    """Read what is to be changed. Raises UsageError."""
    from analyzer.errors import UsageError

    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no JSON: it is not UTF-8") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no JSON object")
    return found


def _agree(replay: StepReplay, most: Amount, *, yes: bool) -> None:
    """Name what cannot be sent, and have the price agreed to. Raises UsageError."""
    if replay.unsent:
        click.echo(f"not sent, because the API has no place for it: {', '.join(replay.unsent)}", err=True)
    agree(f"{replay.times} x {replay.model}", most, yes=yes)


def agree(what: str, most: Amount, *, yes: bool) -> None:
    """Say what calls may cost at most, and ask; where nobody can be asked, raise UsageError."""
    from analyzer.errors import UsageError

    cost = "a price that is not known" if most.usd is None else f"${most.usd:.4f}"
    said = f"{what}: at most {most.tokens:,} tokens, {cost}"
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{said}; --yes sends it")
    click.confirm(f"{said}. Send it?", abort=True, err=True)


def _document(done: Replayed) -> dict[str, Any]:
    replay, share = done.replay, done.share
    return {
        "schema": SCHEMA,
        "trace_id": replay.trace_id,
        "step": replay.call.number,
        "model": replay.model,
        "changed": replay.changed or None,
        "times": replay.times,
        "answered": len(done.same),
        "same": sum(done.same),
        "share": None if share is None else dict(zip(("value", "low", "high"), share, strict=True)),
        "recorded": _decision(replay.call.decision),
        "decisions": [{"same": same, **_decision(one)} for one, same in zip(done.decisions, done.same, strict=True)],
        "problems": list(done.problems),
        "unsent": list(replay.unsent),
        "llm": {
            "calls": done.use.calls,
            "input_tokens": done.use.input_tokens,
            "output_tokens": done.use.output_tokens,
            "cost_usd": done.use.cost_usd,
        },
    }


def _decision(one: Decision) -> dict[str, Any]:
    calls = [{"name": call.name, "arguments": call.arguments} for call in one.tool_calls]
    return {"text": one.text, "tool_calls": calls, "finish": None if one.finish is None else one.finish.value}


def _show(done: Replayed) -> None:
    from analyzer.render.blocks import Block, Bullets, Heading, Paragraph, line, plain, strong
    from analyzer.render.terminal import terminal

    replay, share = done.replay, done.share
    change = f"with another {replay.changed}" if replay.changed else "unchanged"
    blocks: list[Block] = [
        Heading(1, plain(f"Step {replay.call.number} of {replay.trace_id}, {change}, by {replay.model}")),
        Paragraph(line(strong("Recorded"), f": {_words(replay.call.decision)}")),
    ]
    if share is None:
        blocks.append(Paragraph(plain("No reply came that could be compared.")))
    else:
        value, low, high = (f"{100 * figure:.0f} %" for figure in share)
        counted = f"{sum(done.same)} of {len(done.same)} replies took the recorded decision"
        blocks.append(Paragraph(plain(f"{counted}: {value}, between {low} and {high} (Wilson, 95 %).")))
    others = Counter(_words(one) for one, same in zip(done.decisions, done.same, strict=True) if not same)
    if others:
        blocks += [
            Heading(2, plain("Other decisions")),
            Bullets(tuple(plain(f"{count} x {words}") for words, count in others.most_common())),
        ]
    if done.problems:
        counts = Counter(done.problems).most_common()
        entries = tuple(plain(f"{count} x {problem}") for problem, count in counts)
        blocks += [Heading(2, plain("Without a reply")), Bullets(entries)]
    cost = "at a price that is not known" if done.use.cost_usd is None else f"for ${done.use.cost_usd:.4f}"
    tokens = done.use.input_tokens + done.use.output_tokens
    blocks.append(Paragraph(plain(f"Calls {done.use.calls}, tokens {tokens:,}, {cost}.")))
    click.echo(terminal(tuple(blocks), columns()), nl=False)


def _words(one: Decision) -> str:
    from analyzer.render.text import one_line

    calls = [f"{call.name} {json.dumps(call.arguments, ensure_ascii=False)}" for call in one.tool_calls]
    said = "; ".join(calls) or one.text or (one.finish.value if one.finish else "(nothing)")
    return one_line(said, _SHOWN_COLUMNS)
