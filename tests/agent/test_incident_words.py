"""Questions about an incident without a model: which sentences and tables fit the words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from agent.cases import incident, looping, means, well
from hypothesis import given
from hypothesis import strategies as st
from support.docs import DOCS
from support.filed import LOOPING

from analyzer.agent.ask import incident_topic
from analyzer.agent.incident_words import EXAMPLES, KNOWN, ROWS_MAX
from analyzer.agent.investigate import Means
from analyzer.agent.session import Session
from analyzer.render.answer import answer_outline
from analyzer.render.terminal import terminal
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.explained import Answer
from analyzer.types.report import Incident, Kind


@pytest.fixture
def opened(filed_store: Path) -> Iterator[SqliteTrajectories]:
    """Give the filed store."""
    with SqliteTrajectories(filed_store) as store:
        yield store


def loop_of(store: SqliteTrajectories) -> Incident:
    """Return the loop on file."""
    return next(one for one in SqliteIncidents(store.connection).incidents() if one.kind is Kind.LOOP)


def ask(store: SqliteTrajectories, question: str, **changes: object) -> Answer:
    """Return the answer about the loop, without a model."""
    given = Means(None, store, mask=store.masker.text, past=SqliteIncidents(store.connection).incidents)
    one = replace(loop_of(store), **changes)
    topic = incident_topic(one, [], [], given, window=(one.onset, one.last_seen_at))
    return Session(topic, given).ask(question)


WORDED = [
    ("which users were hit?", ["Affected runs by user", f"Cost by user of {LOOPING}"]),
    ("Which customers did it touch", ["Affected runs by user", f"Cost by user of {LOOPING}"]),
    ("which tool costs us most?", [f"Cost by tool of {LOOPING}", f"Time by tool of {LOOPING}"]),
    ("which tool fails most?", [f"Failures by tool of {LOOPING}"]),
    ("which agent is it?", ["Affected runs by agent", f"Cost by agent of {LOOPING}"]),
    ("which version has it?", ["Affected runs by version", f"Cost by version of {LOOPING}"]),
    ("show me the slowest runs", ["Affected runs, worst first"]),
    ("did it happen before?", ["Incidents"]),
    ("since when?", []),
    ("is it still going on?", []),
]


@pytest.mark.parametrize(("question", "titles"), WORDED)
def test_words_choose_the_tables(opened: SqliteTrajectories, question: str, titles: list[str]):
    """What the question names is what is counted; the note names what was chosen and that no model was asked."""
    found = ask(opened, question)
    assert [table.title for table in found.tables] == titles
    assert found.note.startswith("no model was asked: the words of the question chose what was computed (")
    assert all(title in found.note for title in titles)
    assert found.by == "rules"


def test_users_that_were_hit_are_those_of_the_affected_runs(opened: SqliteTrajectories):
    """Each affected run on file counts once, with its user, and what they cost adds up."""
    one = loop_of(opened)
    summaries = [opened.summary(trace_id) for trace_id in one.trace_ids]
    hit, _ = ask(opened, "which users were hit?").tables
    users = {summary.user_id for summary in summaries}
    assert {line.cells[0] for line in hit.lines} <= users
    assert len(hit.lines) == min(len(users), ROWS_MAX)
    by_agent, _ = ask(opened, "which agents were hit?").tables
    [line] = by_agent.lines
    assert line.cells[:3] == (LOOPING, float(len(summaries)), 1.0)
    assert line.cells[3] == pytest.approx(sum(summary.cost_usd or 0 for summary in summaries))


def test_affected_runs_that_are_not_on_file_are_said(opened: SqliteTrajectories):
    """Where more are affected than are named, or some are pruned, the table says so."""
    one = loop_of(opened)
    kept = (*one.trace_ids[:2], "0" * 32)
    hit, _ = ask(opened, "which users were hit?", trace_ids=kept).tables
    assert hit.note.startswith(f"Of {one.affected.trajectories} affected trajectories the incident names the 2 worst")
    assert sum(line.cells[1] for line in hit.lines) == 2


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("since when?", "It began at 2026-11-20 14:15 UTC, as estimated"),
        ("how much did it cost us?", "it cost 43.7 USD beyond what was expected."),
        ("how many runs are affected?", "312 of 420 trajectories are affected, 74 %."),
        ("how bad is it?", "Its severity is high: 0.26 USD per trajectory observed, 0.12 USD per trajectory expected."),
        ("is it still open?", "Its state is open; it was last seen at 2026-11-20 18:00 UTC."),
        ("what changed?", "Seen near the onset: version 1.4.1 to 1.4.2 at 2026-11-20 14:03 UTC."),
        ("where does it come from?", "The change comes from steps per run 83 %, tokens per step 17 %."),
    ],
)
def test_what_was_computed_is_said_in_a_sentence(question: str, said: str):
    """Each thing that is known of an incident has its words and its sentence, and the title stands first."""
    given, one = means(None), incident()
    store = given.store
    store.summary = lambda trace_id: store.trajectory(trace_id).summary  # type: ignore[attr-defined]
    store.totals = lambda *_args, **_named: []  # type: ignore[attr-defined]
    topic = incident_topic(one, [looping()], [well()], given, window=(one.onset, one.last_seen_at))
    found = Session(topic, given).ask(question)
    assert found.text.splitlines()[0] == one.title
    assert said in found.text


def test_what_fits_nothing_gets_the_explanation_and_the_list(opened: SqliteTrajectories):
    """Nobody has to guess what can be asked; and the question is said not to have been answered."""
    found = ask(opened, "what is the sky?")
    assert found.note.startswith("no model is set up, so the question itself was not answered")
    assert found.claims or found.text
    listed = found.text.splitlines()[-1]
    assert listed == f"Without a model these can be answered: {' | '.join(EXAMPLES)}"
    assert listed.split(" | ")[1] in " ".join(terminal(answer_outline(found, None, heading="x")).split())


@pytest.mark.parametrize("example", [one.partition(" (")[0] for one in EXAMPLES])
def test_every_question_of_the_list_is_answered(opened: SqliteTrajectories, example: str):
    """What the list names fits something."""
    assert ask(opened, example).note.startswith("no model was asked: ")


def test_the_docs_list_what_is_known():
    """Every question of the table stands in docs/ask.md."""
    text = (DOCS / "ask.md").read_text("utf-8")
    assert [known.example for known in KNOWN if known.example not in text] == []


@given(st.text(max_size=120))
def test_any_question_is_answered(question: str):
    """Whatever is asked there is an answer by rules that begins with the incident's title."""
    given, one = means(None), incident()
    given.store.summary = lambda trace_id: given.store.trajectory(trace_id).summary  # type: ignore[attr-defined]
    given.store.totals = lambda *_args, **_named: []  # type: ignore[attr-defined]
    topic = incident_topic(one, [], [], given, window=(one.onset, one.last_seen_at))
    assert Session(topic, given).ask(question).text.startswith(one.title)
