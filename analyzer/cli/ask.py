"""`analyzer ask`: questions about one trajectory, about an incident, or about the fleet."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import (
    DONE,
    GAPS,
    at_option,
    columns,
    json_option,
    moment,
    print_json,
    record_option,
    replay_option,
    say_gaps,
    say_remarks,
    settings_from,
    store_option,
)
from analyzer.cli.live import Asking, Live
from analyzer.cli.prompting import at_a_prompt, questions
from analyzer.errors import AnalyzerError, StoppedError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from analyzer.pipeline import App
    from analyzer.pipeline.ask import Questions
    from analyzer.types.explained import Answer
    from analyzer.types.report import Gap

FLEET = "fleet"
_NAMES = re.compile(r"latest|worst|fleet|inc-\S*|[0-9a-fA-F]+")
"""What names something to ask about; anything else with a space in it is a question about the fleet."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked about, and how it is called."""

    questions: Questions
    heading: str
    known: tuple[Gap, ...]
    """Gaps of before the first question: they say nothing of the answers."""

    def unseen(self, app: App) -> list[Gap]:
        """Return what could not be seen for the answers so far."""
        return [gap for gap in app.gaps() if gap not in self.known]


@dataclass(frozen=True, slots=True)
class _Range:
    """The range of a question about the fleet, as the flags say it."""

    start: datetime | None
    end: datetime | None
    last: str | None
    now: datetime
    agent: str | None

    def over(self, question: str) -> tuple[datetime, datetime]:
        """Return the range: the flags', else what the question says, else the last seven days."""
        from analyzer.agent.ranges import range_in
        from analyzer.config import parse_duration
        from analyzer.errors import UsageError

        said = range_in(question, self.end or self.now) if self.start is None and self.last is None else None
        start, end = said or (self.start, self.end or self.now)
        if start is None:
            start = end - parse_duration(self.last or "7d")
        if start >= end:
            raise UsageError(f"--from {start:%Y-%m-%dT%H:%M:%SZ} is not before --to {end:%Y-%m-%dT%H:%M:%SZ}")
        return start, end

    @property
    def has_range(self) -> bool:
        """Whether a flag says the range, so that no question does."""
        return any(value is not None for value in (self.start, self.end, self.last))

    @property
    def is_given(self) -> bool:
        """Whether any flag was given: they mean nothing for one trajectory."""
        return self.has_range or self.agent is not None


@click.command("ask")
@click.argument("trace", required=False)
@click.argument("question", required=False)
@click.option("--from", "start", metavar="TIME", help="Fleet: beginning of the range (ISO 8601, UTC).")
@click.option("--to", "end", metavar="TIME", help="Fleet: end of the range; unset: now.")
@click.option(
    "--last", metavar="DURATION", help="Fleet: length of the range, 365d at most; unset: the question's, or 7d."
)
@click.option("--agent", metavar="NAME", help="Fleet: only this agent.")
@click.option("--llm", type=click.Choice(["auto", "off"]), help="off: answer from what can be computed.")
@click.option("--model", metavar="ID", help="The model that answers.")
@click.option("--prometheus-url", metavar="URL", help="Lets the model look at the metrics as well.")
@at_option
@record_option
@replay_option
@store_option
@json_option
def command(
    trace: str | None,
    question: str | None,
    *,
    start: str | None,
    end: str | None,
    last: str | None,
    agent: str | None,
    llm: str | None,
    model: str | None,
    prometheus_url: str | None,
    at: str | None,
    record: Path | None,
    replay: Path | None,
    store: str | None,
    as_json: bool,
) -> int:
    """Ask about one trajectory, an incident or the fleet.

    TRACE is an id or a beginning of one, `latest`, `worst`, an incident's id, or `fleet`. A question alone is about the
    fleet: `analyzer ask "which tool costs us most this week?"`. TRACE alone opens a prompt for questions one after the
    other (from a pipe, a line each), until the input ends. Whatever the model says is checked against the spans and
    computed tables; without a model the answer is what can be computed.
    """
    from analyzer.wiring.building import build
    from analyzer.wiring.opening import Tape, require_store

    about, first = _named(trace, question)
    given = _Range(moment(start) if start else None, moment(end) if end else None, last, moment(at), agent)
    if about != FLEET and given.is_given:
        raise click.UsageError("--from, --to, --last and --agent go with questions about the fleet")
    settings = settings_from(llm=llm, model=model, prometheus_url=prometheus_url, store=store).settings
    require_store(settings)
    asking = Asking(columns())
    on_step = asking if sys.stderr.isatty() and not as_json else None
    with build(settings, out=None, on_step=on_step, tape=Tape(record, replay), or_read=True) as app:
        asked = _about(app, about, given, first or "")
        try:
            if first is None:
                _session(asked, app, asking, as_json=as_json)
            elif as_json:
                print_json(_document(asked.questions.ask(first), asked, first, app))
            else:
                _answer(first, asked, asking)
        finally:
            asking.wipe()
        say_remarks(app.remarks())
        unseen = asked.unseen(app)
        say_gaps(unseen)
    return GAPS if unseen else DONE


def _named(trace: str | None, question: str | None) -> tuple[str, str | None]:
    """Return what is asked about, and the question; None for a session."""
    if trace is None:
        raise click.UsageError('say what to ask: TRACE "question", or only "question" about the fleet')
    if question is not None:
        if not question.strip():
            raise click.UsageError("QUESTION is empty: say what to ask")
        return trace, question
    if _NAMES.fullmatch(trace):
        return trace, None
    if len(trace.split()) > 1:
        return FLEET, trace
    raise click.UsageError(
        f"'{trace}' is no trace id; a question of one word about the fleet is `analyzer ask fleet {trace}`"
    )


def _about(app: App, about: str, given: _Range, question: str) -> _Asked:
    """Return what answers. Raises NotFoundError, UsageError."""
    from analyzer.errors import NotFoundError
    from analyzer.pipeline import about_fleet, about_named

    before = app.gaps()
    if about == FLEET:
        start, end = given.over(question)
        if given.agent is not None and given.agent not in (known := app.trajectories.agents(start, end)):
            there = f"; there are {', '.join(known[:8])}" if known else ""
            raise NotFoundError(f"no agent called '{given.agent}' had a run in this range{there}")
        who = f"Agent {given.agent}" if given.agent is not None else "The fleet"
        fixed = bool(question) or given.has_range
        return _Asked(about_fleet(app, start, end, now=given.now, agent=given.agent, fixed=fixed), who, before)
    questions = about_named(app, about)
    if questions.incident_id is not None:
        return _Asked(questions, f"Incident {questions.incident_id}", before)
    return _Asked(questions, f"Trajectory {questions.trace_id}", before)


def _session(asked: _Asked, app: App, asking: Asking, *, as_json: bool) -> None:
    """Answer one question after the other; with JSON all of them in one document at the end."""
    documents = []
    for question in questions():
        if as_json:
            documents.append(_document(asked.questions.ask(question), asked, question, app))
        elif at_a_prompt():
            _answer_or_say(question, asked, asking)
        else:
            _answer(question, asked, asking)
    if as_json:
        print_json({"schema": "analyzer.answers/1", "answers": documents})


def _answer_or_say(question: str, asked: _Asked, asking: Asking) -> None:
    """Answer at a prompt, which outlives a question that cannot be answered, and one that is stopped by Ctrl-C."""
    try:
        _answer(question, asked, asking)
    except AnalyzerError as error:
        asking.wipe()
        click.echo(f"analyzer: {error}", err=True)
    except StoppedError:
        raise
    except KeyboardInterrupt:
        asking.wipe()
        click.echo("\nstopped; what the question has cost so far counts", err=True)


def _answer(question: str, asked: _Asked, asking: Asking) -> None:
    """Print the answer to a question; on a terminal each statement as soon as it stands."""
    from analyzer.render.answer import answer_outline
    from analyzer.render.terminal import terminal

    width = columns()
    live = Live(asked.heading, width, asking)
    answer = asked.questions.ask(question, live.tell if sys.stdout.isatty() else None)
    live.finish(terminal(answer_outline(answer, asked.questions.trace_id, heading=asked.heading), width))


def _document(answer: Answer, asked: _Asked, question: str, app: App) -> dict[str, Any]:
    from analyzer.render.documents import answer_document, llm_document
    from analyzer.types.document import gap_document

    about = asked.questions
    document = answer_document(answer, question, trace_id=about.trace_id, incident_id=about.incident_id)
    return {
        **document,
        "gaps": [gap_document(gap) for gap in asked.unseen(app)],
        "run": {"trace_id": app.run_trace_id, "llm": llm_document(answer.use, app.purse.left())},
    }
