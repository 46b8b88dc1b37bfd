"""`analyzer golden`: cases made from failed runs, and later runs held against them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.agent_command import timeout_option
from analyzer.cli.common import (
    ALL_TIME,
    DONE,
    FAIL_ON,
    GAPS,
    at_option,
    json_option,
    moment,
    print_json,
    settings_from,
    store_option,
)

if TYPE_CHECKING:
    from analyzer.pipeline.golden import Made
    from analyzer.replay.golden.case import Case
    from analyzer.replay.golden.expectations import Expectation

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)
_OF_TOOL = ("must_call", "must_not_call", "arguments_match")
"""Repeatable flags whose value is a tool, and arguments behind a colon; each is named as its check is."""
BECAUSE = "asked for"


@click.group("golden", no_args_is_help=True)
def command() -> None:
    """Make cases of failed runs, and hold later runs against them."""


@command.command("add")
@click.argument("trace")
@click.option("--to", "folder", required=True, metavar="DIR", type=_FOLDER, help="The folder of cases.")
@click.option("--control", metavar="TRACE", help="A healthy run; without it the best one of this agent and task.")
@click.option("--no-loop", is_flag=True, help="It must not loop.")
@click.option("--must-call", multiple=True, metavar="TOOL[:JSON]", help="It must call TOOL, with these arguments.")
@click.option("--must-not-call", multiple=True, metavar="TOOL[:JSON]", help="It must not.")
@click.option(
    "--arguments-match", multiple=True, metavar="TOOL:JSON", help="Arguments of every call match regular expressions."
)
@click.option("--steps-at-most", type=click.IntRange(1), metavar="N", help="It takes no more steps.")
@click.option("--tokens-at-most", type=click.IntRange(1), metavar="N", help="It uses no more tokens.")
@click.option("--cost-at-most", type=float, metavar="USD", help="It costs no more.")
@click.option("--answer-contains", multiple=True, metavar="TEXT", help="An answer holds the text, in any case.")
@click.option("--answer-matches", multiple=True, metavar="REGEX", help="An answer matches it.")
@click.option("--no-error", is_flag=True, help="No step fails.")
@click.option("--no-proposals", is_flag=True, help="Only what these flags say, nothing from incidents or healthy runs.")
@click.option(
    "--match", type=click.Choice(["goal", "task", "agent"]), help="Which runs it is about; as narrow as fair."
)
@click.option("--replace", is_flag=True, help="Write over the case of this run that is there.")
@at_option
@store_option
@json_option
def add(
    trace: str, folder: Path, control: str | None, *, at: str | None, store: str | None, as_json: bool, **flags: Any
) -> int:
    """Make a case of TRACE, a failed run, in a folder of your repository.

    What is expected is proposed from the incidents that hold the run and from what sets it apart from healthy runs,
    and is what the flags say. The case is written only where the run is red and a healthy run is green: a case that can
    never fail, or never pass, is refused with the reason. It is self-contained and masked.

    TRACE is an id or a beginning of one, `latest` or `worst`.

    Exit codes: 0 written; 2 refused, or no such run; 4 failed.
    """
    from analyzer.pipeline.golden import Wanted, make_case
    from analyzer.replay.golden.case import Match
    from analyzer.stores.incidents import SqliteIncidents
    from analyzer.wiring.opening import open_existing

    wanted = Wanted(
        expectations=tuple(_asked(flags)),
        match=None if flags["match"] is None else Match(flags["match"]),
        propose=not flags["no_proposals"],
    )
    with open_existing(settings_from(store=store).settings) as trajectories:
        if control is not None:
            wanted = replace(wanted, control=trajectories.resolve(control))
        made = make_case(
            trajectories,
            SqliteIncidents(trajectories.state).incidents(),
            trajectories.resolve(trace),
            wanted,
            at=moment(at),
            mask=trajectories.masker.text,
        )
    made = replace(made, case=_named(made.case, folder))
    path = _written(made.case, folder, over=flags["replace"])
    if as_json:
        print_json(_made_document(made, path))
    else:
        _say_made(made, path)
    return DONE


@command.command("run")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.argument("traces", nargs=-1, metavar="[TRACE]... | --replay -- COMMAND...", type=click.UNPROCESSED)
@click.option("--replay", "again", is_flag=True, help="Run the agent's COMMAND once a case, from the recording in it.")
@click.option(
    "--on-divergence",
    type=click.Choice(["stop", "nearest"]),
    help="With --replay, from the first request on that differs: an error (the default), or the reply that fits best.",
)
@timeout_option
@click.option("--since", metavar="TIME", help="Only runs that ended since TIME (ISO 8601, UTC).")
@click.option("--junit", metavar="FILE", type=_FILE, help="Write JUnit XML.")
@click.option("--markdown", metavar="FILE", type=_FILE, help="Write a summary as Markdown.")
@store_option
@json_option
def run(
    folder: Path,
    traces: tuple[str, ...],
    again: bool,
    on_divergence: str | None,
    timeout_s: float,
    since: str | None,
    junit: Path | None,
    markdown: Path | None,
    store: str | None,
    as_json: bool,
) -> int:
    """Hold stored runs against the cases in DIR: the named ones, else all that each case is about.

    A run is what a case is about by its agent and its task, or its goal. The runs that a case was made from are not
    judged by it, unless they are named.

    With --replay the agent's own code is judged: COMMAND runs once a case, answered on loopback from the recording in
    the case, at no cost. Its `{goal}` is what the failed run was asked for, as is ANALYZER_GOLDEN_GOAL. A case is red
    where the failure comes again, green where it is shown not to.

    Exit codes: 0 all green; 1 one is red; 2 usage, or a case that can never fail or never pass; 3 none is red, but
    one is stale (prompt or tools changed since), cannot be judged, or has no run.
    """
    from analyzer.cli.golden_replay import replay_cases
    from analyzer.config import parse_time
    from analyzer.pipeline.golden import judge_cases
    from analyzer.replay.golden.reports import junit as junit_of
    from analyzer.replay.golden.reports import summary, trials_document
    from analyzer.replay.golden.running import Verdict, overall
    from analyzer.wiring.opening import open_existing

    if traces and since:
        raise click.UsageError("--since chooses among stored runs: it does not go with TRACE or --replay")
    if again and not traces:
        raise click.UsageError("--replay runs your agent: give its command after --")
    if on_divergence and not again:
        raise click.UsageError("--on-divergence is for --replay")
    cases = _checked(folder)
    ended = None if since is None else (parse_time(since), ALL_TIME[1])
    settings = settings_from(store=store).settings
    if again:
        trials = replay_cases(cases, traces, settings, on_divergence or "stop", timeout_s)
    else:
        with open_existing(settings) as trajectories:
            trials = judge_cases(trajectories, cases, [trajectories.resolve(trace) for trace in traces], ended)
    for path, text in ((junit, junit_of), (markdown, summary)):
        if path is not None:
            _write(path, text(trials))
    if as_json:
        print_json(trials_document(trials))
    else:
        _say_trials(trials)
    return {Verdict.GREEN: DONE, Verdict.RED: FAIL_ON}.get(overall(trials), GAPS)


@command.command("list")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@store_option
@json_option
def list_(folder: Path, store: str | None, as_json: bool) -> int:
    """List the cases in DIR, and what each expects.

    With --store also which are stale: the newest run there that a case is about has another prompt or other tools.
    """
    from analyzer.render.text import one_line
    from analyzer.replay.golden.case import case_document, read_cases

    cases = read_cases(folder)
    stale = _stale(cases, store) if store is not None else [None] * len(cases)
    if as_json:
        without = {"recording": None, "control": None, "replay": None}
        shown = [{**case_document(case), **without, "stale": was} for case, was in zip(cases, stale, strict=True)]
        print_json({"schema": "analyzer.golden-list/1", "cases": shown})
        return DONE
    for case, was in zip(cases, stale, strict=True):
        of = f"{one_line(case.bad.agent, 40)}, {len(case.shrunk)} of {len(case.bad.steps)} steps"
        click.echo(f"{one_line(case.name)}  ({of}, control {case.control.trace_id[:12]})")
        if was is not None and was["changed"]:
            click.echo(
                f"    stale: the {' and the '.join(was['changed'])} changed, as run {was['trace_id'][:12]} shows"
            )
        for one in case.expectations:
            click.echo(f"    {one_line(one.words, 110)}")
    return DONE


def _stale(cases: Sequence[Case], store: str | None) -> list[dict[str, Any] | None]:
    """Return what the newest run of each case was given otherwise; None where none is stored."""
    from analyzer.pipeline.golden import changes_since
    from analyzer.wiring.opening import open_existing

    with open_existing(settings_from(store=store).settings) as trajectories:
        found = changes_since(trajectories, cases)
    return [None if one is None else {"trace_id": one[0], "changed": list(one[1])} for one in found]


@command.command("export")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "langfuse", "phoenix", "openai-evals"]),
    default="jsonl",
    show_default=True,
    help="Whose data set.",
)
def export(folder: Path, form: str) -> int:
    """Write the cases in DIR to standard output, as JSON lines or as the data set of another tool."""
    from analyzer.replay.golden.case import read_cases
    from analyzer.replay.golden.exports import FORMATS

    click.echo(FORMATS[form](read_cases(folder)), nl=False)
    return DONE


def _asked(flags: Mapping[str, Any]) -> list[Expectation]:
    """Return what the flags expect. Raises UsageError."""
    from analyzer.replay.golden.expectations import Check, Expectation

    found = []
    for flag in _OF_TOOL:
        for given in flags[flag]:
            tool, arguments = _call(given, flag)
            found.append(Expectation(Check(flag), tool=tool, arguments=arguments, because=BECAUSE))
    limits = {
        Check.STEPS_AT_MOST: flags["steps_at_most"],
        Check.TOKENS_AT_MOST: flags["tokens_at_most"],
        Check.COST_AT_MOST_USD: flags["cost_at_most"],
    }
    found += [Expectation(check, at_most=most, because=BECAUSE) for check, most in limits.items() if most is not None]
    for check in (Check.ANSWER_CONTAINS, Check.ANSWER_MATCHES):
        found += [Expectation(check, text=text, because=BECAUSE) for text in flags[check.value]]
    found += [Expectation(check, because=BECAUSE) for check in (Check.NO_LOOP, Check.NO_ERROR) if flags[check.value]]
    return found


def _call(given: str, flag: str) -> tuple[str, dict[str, Any]]:
    """Return the tool and the arguments of `TOOL:{"a": 1}`; tools may have colons in their names. Raises UsageError."""
    tool, brace, rest = given.partition(":{")
    if not brace:
        return given, {}
    try:
        arguments = json.loads("{" + rest)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--{flag.replace('_', '-')} {given}: the arguments are no JSON: {error}") from None
    return tool, arguments


def _checked(folder: Path) -> list[Case]:
    """Return the cases of a folder, each able to fail and to pass. Raises UsageError."""
    from analyzer.replay.golden.accepting import check_case
    from analyzer.replay.golden.case import read_cases

    cases = read_cases(folder)
    for case in cases:
        check_case(case)
    return cases


def _named(case: Case, folder: Path) -> Case:
    """Return a case under its whole id where its short name is that of another run, whose id begins alike."""
    from analyzer.replay.golden.case import name_of

    taken = _run_in(folder / f"{case.name}.json")
    return case if taken in {None, case.bad.trace_id} else replace(case, name=name_of(case.bad, whole=True))


def _written(case: Case, folder: Path, *, over: bool) -> Path:
    """Write a case to its file and return where. Raises UsageError where it is there already, or no case is."""
    from analyzer.errors import UsageError
    from analyzer.replay.golden.case import case_document

    path = folder / f"{case.name}.json"
    if path.exists() and _run_in(path) is None:
        raise UsageError(f"{path} is no golden case, and is not written over: move it, or take another folder")
    if path.exists() and not over:
        raise UsageError(f"{path} is there already; --replace writes it anew")
    _write(path, json.dumps(case_document(case), ensure_ascii=False, indent=2) + "\n")
    return path


def _run_in(path: Path) -> str | None:
    """Return the id of the run that a case was made from; None where the file is no case."""
    try:
        recorded = json.loads(path.read_text("utf-8"))["recording"]["trace_id"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return str(recorded)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all: a build that is killed leaves no half of one. Raises UsageError."""
    from analyzer.errors import UsageError

    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, "utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _made_document(made: Made, path: Path) -> dict[str, Any]:
    from analyzer.replay.golden.case import case_document
    from analyzer.replay.golden.expectations import document_of

    return {
        "schema": "analyzer.golden-add/1",
        "path": str(path),
        "healthy": list(made.healthy),
        "dropped": [{**document_of(one.expectation), "why": one.why} for one in made.dropped],
        "unsaid": list(made.unsaid),
        "case": case_document(made.case),
    }


def _say_made(made: Made, path: Path) -> None:
    from analyzer.render.text import one_line

    case = made.case
    click.echo(f"wrote {path}: red on {case.bad.trace_id[:12]}, green on {case.control.trace_id[:12]}")
    for one in case.expectations:
        click.echo(f"    {one_line(one.words, 90)}  ({one_line(one.because, 60)})")
    steps = ", ".join(str(number) for number in case.shrunk[:20]) + (", ..." if len(case.shrunk) > 20 else "")  # noqa: PLR2004 - a line
    click.echo(f"shrunk to {len(case.shrunk)} of {len(case.bad.steps)} steps: {steps}")
    for dropped in made.dropped:
        click.echo(f"not kept: {one_line(dropped.expectation.words, 80)}: {one_line(dropped.why, 110)}")
    if made.unsaid:
        click.echo(f"no expectation can say: {', '.join(made.unsaid)}")


def _say_trials(trials: Sequence[Any]) -> None:
    """Show every trial that is not green, and in the last line what all of them came to."""
    from analyzer.render.text import one_line, visible
    from analyzer.replay.golden.diverging import asked_otherwise, divergence
    from analyzer.replay.golden.reports import counted
    from analyzer.replay.golden.running import Verdict, overall

    for trial in trials:
        if trial.verdict is Verdict.GREEN:
            continue
        ran = "-" if trial.run is None else trial.run.trace_id[:12]
        click.echo(f"{trial.verdict.value:<12}  {one_line(trial.case.name)}  {ran}  {one_line(trial.why, 160)}")
        if trial.verdict is Verdict.RED:
            for line in divergence(trial):
                click.echo(f"    {visible(line)}")
        elif trial.replayed is not None and trial.verdict is Verdict.CANNOT_JUDGE:
            for line in asked_otherwise(trial.replayed):
                click.echo(f"    {visible(line)}")
    if trials:
        click.echo(f"{overall(trials).value}: {counted(trials)}")
    else:
        click.echo("nothing to judge: none of the named runs is what a case is about")
