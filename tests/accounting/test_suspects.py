"""What a finding of one agent comes from that others may use too, from a store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.incidents import finding
from support.spans import EPOCH, chat, root, tool

from analyzer.accounting.examine import examine
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Finding, Kind
from analyzer.types.shared import Shared
from analyzer.types.trace import ErrorClass, Outcome, Span, Status, Tokens

ONSET = EPOCH + timedelta(hours=1)
OVERLOADED = {"status": Status.ERROR, "status_message": "Error code: 529 - overloaded, request 4711"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteTrajectories]:
    """Give an empty store."""
    with SqliteTrajectories(tmp_path / "store.db") as opened:
        yield opened


def suspects(store: SqliteTrajectories, spans: list[Span], found: Finding) -> tuple[Shared, ...]:
    """Return what a finding comes from, two hours after the history begins."""
    store.add(spans)
    return examine(store, found, at=EPOCH + timedelta(hours=2), history_start=EPOCH).suspects


def broken(number: int, **failed: Any) -> list[Span]:
    """Return a run of the shop since the onset that breaks with its call of the model."""
    fields = {"model": "opus", "provider": "anthropic", **OVERLOADED, **failed}
    return [
        root(number, at_s=3600 + number, status=Status.ERROR, outcome=Outcome.ERROR),
        chat(number, 2, at_s=3600 + number, **fields),
    ]


def failing(kind: Kind, **fields: Any) -> Finding:
    """Return a finding about runs of the shop that fail."""
    return finding(kind, "shop", onset=ONSET, unit="trajectories", value=0.5, baseline=0.01, **fields)


def test_calls_of_a_model_that_fail_point_to_it_and_to_its_provider(store: SqliteTrajectories) -> None:
    """With what they say, without the numbers in it: other agents are told the same."""
    said = "error code: # - overloaded, request #"
    spans = [span for number in range(1, 5) for span in broken(number)]
    expected = (Shared("model", "opus", said), Shared("provider", "anthropic", said))
    assert suspects(store, spans, failing(Kind.ERRORS)) == expected


@pytest.mark.parametrize("own", [ErrorClass.BAD_REQUEST, ErrorClass.CONTEXT_LENGTH, ErrorClass.REFUSAL])
def test_what_a_model_refuses_of_what_it_was_sent_is_the_agents_own(store: SqliteTrajectories, own: ErrorClass) -> None:
    """A prompt that is too long is no outage, whoever else sends one."""
    spans = [span for number in range(1, 5) for span in broken(number, error=own)]
    assert suspects(store, spans, failing(Kind.ERRORS)) == ()


def test_a_tool_that_fails_is_pointed_to_by_its_runs_as_well(store: SqliteTrajectories) -> None:
    """The tool's own finding and that of the runs that break by it come from one thing."""
    spans: list[Span] = []
    for number in range(1, 5):
        spans.append(root(number, at_s=3600 + number, status=Status.ERROR, outcome=Outcome.ERROR))
        spans.append(tool(number, 3, at_s=3600 + number, tool="fetch", status=Status.ERROR, status_message="no route"))
    fetch = (Shared("tool", "fetch", "no route"),)
    assert suspects(store, spans, failing(Kind.TOOL_ERRORS, tool="fetch")) == fetch
    assert suspects(store, [], failing(Kind.ERRORS)) == fetch
    assert suspects(store, [], failing(Kind.TOOL_LATENCY, tool="fetch")) == (Shared("tool", "fetch"),)


def paid(first: int, from_s: float, usd: float, model: str = "opus", tokens: int = 1000) -> list[Span]:
    """Return 40 runs over an hour, each with one inference."""
    spans: list[Span] = []
    for number in range(first, first + 40):
        at_s = from_s + (number - first) * 85
        used = {"tokens": Tokens(input=tokens, output=0), "cost_usd": usd, "model": model}
        spans += [root(number, at_s=at_s, agent="shop"), chat(number, 2, at_s=at_s, **used)]
    return spans


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (paid(1000, 3600, 0.02), (Shared("model", "opus"),)),
        (paid(1000, 3600, 0.02, model="fable"), (Shared("model", "fable"),)),
        (paid(1000, 3600, 0.02, tokens=2000), ()),
    ],
    ids=["a price that doubled", "work that moved to another model", "twice the tokens"],
)
def test_a_cost_points_to_the_model_that_made_it_dear(
    store: SqliteTrajectories, since: list[Span], expected: tuple[Shared, ...]
) -> None:
    """A price and a model may be others' as well; what an agent sends is its own."""
    found = finding(Kind.COST, "shop", onset=ONSET, onset_low=ONSET, onset_high=ONSET)
    assert suspects(store, [*paid(100, 0, 0.01), *since], found) == expected


def timed(first: int, from_s: float, model_s: float, tool_s: float) -> list[Span]:
    """Return ten runs with one inference and one call of a tool that take so long."""
    spans: list[Span] = []
    for number in range(first, first + 10):
        at_s = from_s + (number - first) * 300
        spans += [
            root(number, at_s=at_s, lasts_s=model_s + tool_s),
            chat(number, 2, at_s=at_s, lasts_s=model_s, model="opus"),
            tool(number, 3, at_s=at_s + model_s, lasts_s=tool_s, tool="fetch"),
        ]
    return spans


@pytest.mark.parametrize(
    ("model_s", "tool_s", "expected"), [(12, 2, (Shared("model", "opus"),)), (4, 10, ())], ids=["model", "tool"]
)
def test_slow_runs_point_to_the_model_whose_calls_take_longer(
    store: SqliteTrajectories,
    model_s: float,
    tool_s: float,
    expected: tuple[Shared, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the time goes into a tool, the model is not to blame. No text is fetched to know."""
    monkeypatch.delattr(SqliteTrajectories, "steps")
    spans = [*timed(100, 0, 4, 2), *timed(200, 3600, model_s, tool_s)]
    found = finding(
        Kind.LATENCY, "shop", onset=ONSET, onset_low=ONSET, onset_high=ONSET, value=14, baseline=6, unit="s"
    )
    assert suspects(store, spans, found) == expected
