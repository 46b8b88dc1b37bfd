"""What must not change what a run finds: names, the order of arrival, how many runs there were, the week."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from analyzer.config import load
from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.pipeline import run
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.types.document import incident_document, incident_from_document
from analyzer.types.report import Severity, State, Subject
from analyzer.types.trace import Span
from analyzer.wiring.building import build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RENAMED = {"alpha": "zulu", "golf": "mike", "tango": "bravo", "yankee": "alpha"}
"""Turns the alphabetical order of the fleet's agents round."""

Found = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def spans() -> tuple[Span, ...]:
    """Return five days of four agents: one gets dear, one loops, a tool of the third fails, the last is healthy."""
    fleet = Fleet(
        agents=(
            Agent("alpha", "support", runs_per_hour=6),
            Agent("golf", "billing", runs_per_hour=5),
            Agent("tango", "sql", runs_per_hour=6),
            Agent("yankee", "coding", runs_per_hour=2),
        ),
        faults=(
            Fault(FaultKind.COST_STEP, "alpha", NOW - timedelta(hours=15), version="2.0.0", input_factor=3.2),
            Fault(FaultKind.LOOP, "golf", NOW - timedelta(hours=12), share=0.4),
            Fault(FaultKind.TOOL_ERRORS, "tango", NOW - timedelta(hours=18), share=0.9),
        ),
        days=5,
        seed=8,
        now=NOW,
    )
    pricer = Pricer({})
    return tuple(span for request in fleet.requests() for span in spans_from_json(request, pricer=pricer).spans)


def stored(spans: Sequence[Span], folder: Path, *, batch: int = 2000) -> Path:
    """Return a store that these spans went into, in their order and in batches of a size."""
    folder.mkdir()
    path = folder / "store.db"
    with build(settings(path), out=None) as app:
        for start in range(0, len(spans), batch):
            app.trajectories.add(spans[start : start + batch])
    return path


def settings(store: Path) -> Any:
    """Return settings without a model."""
    return replace(load({}, {}).settings, store=store, reports=store.parent / "reports", llm="off")


def found(store: Path, *moments: datetime) -> Found:
    """Return the incidents as the last of some runs leaves them, by kind, agent and tool."""
    for at in moments:
        with build(settings(store), out=None) as app:
            run(app, at)
            incidents = [incident_document(one) for one in app.incidents.incidents()]
    keyed = {f"{one['kind']} {one['subject']['agent']} {one['subject']['tool']}": one for one in incidents}
    assert len(keyed) == len(incidents)
    return keyed


def facts(incidents: Found, *, without: Iterable[str] = ()) -> Found:
    """Return what was computed of each incident: everything but its id, which names hash into."""
    left_out = {"id", "trace_id", "fingerprint", *without}
    return {
        name: rounded({key: value for key, value in one.items() if key not in left_out})
        for name, one in incidents.items()
    }


def rounded(value: Any) -> Any:
    """Return a document with its numbers to nine digits: sums in another order differ in the last ones."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {name: rounded(entry) for name, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list) else value


def in_text(document: Any, change: Callable[[str], str]) -> Any:
    """Return a document with all its texts, keys included, changed."""
    if isinstance(document, str):
        return change(document)
    if isinstance(document, dict):
        return {change(name): in_text(entry, change) for name, entry in document.items()}
    return [in_text(entry, change) for entry in document] if isinstance(document, list) else document


@pytest.fixture(scope="module")
def plain(spans: tuple[Span, ...], tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Return what one run finds in the fleet as it is."""
    return found(stored(spans, tmp_path_factory.mktemp("plain") / "s"), NOW)


def test_the_fleet_has_its_three_faults(plain: Found) -> None:
    """What the other tests compare is no empty list."""
    assert {name.rsplit(" ", 1)[0] for name in plain} >= {"cost alpha", "loop golf", "tool-errors tango"}
    assert not any("yankee" in name for name in plain)


def test_names_change_nothing(spans: tuple[Span, ...], plain: Found, tmp_path: Path) -> None:
    """Agents with other names, in another alphabetical order, have the same incidents under these names."""
    marks = {name: f"@{number}@" for number, name in enumerate(RENAMED)}

    def renamed(text: str) -> str:
        for name, mark in marks.items():
            text = text.replace(name, mark)
        for name, mark in marks.items():
            text = text.replace(mark, RENAMED[name])
        return text

    others = [replace(span, agent=RENAMED.get(span.agent or "", span.agent), resource={}) for span in spans]
    same = [replace(span, resource={}) for span in spans]
    before = found(stored(same, tmp_path / "before"), NOW)
    after = found(stored(others, tmp_path / "after"), NOW)
    ids = {one["id"]: after[renamed(name)]["id"] for name, one in before.items() if renamed(name) in after}

    def translated(text: str) -> str:
        for old, new in ids.items():
            text = text.replace(old, new)
        return renamed(text)

    assert facts(in_text(before, translated)) == facts(after)
    assert before.keys() == plain.keys()


def test_the_order_of_arrival_changes_nothing(spans: tuple[Span, ...], plain: Found, tmp_path: Path) -> None:
    """Spans in any order and in batches of any size, some of them twice, give the same incidents."""
    chance = random.Random(1)  # noqa: S311 - a repeatable order
    shuffled = [*spans, *chance.sample(spans, len(spans) // 20)]
    chance.shuffle(shuffled)
    assert facts(found(stored(shuffled, tmp_path / "s", batch=chance.randint(300, 3000)), NOW)) == facts(plain)


def test_a_second_run_in_the_middle_changes_no_figure(spans: tuple[Span, ...], plain: Found, tmp_path: Path) -> None:
    """With half of the spans taken in after a first run, the last run says what one run over all says.

    What differs is the life: states, and when an incident was opened.
    """
    half = NOW - timedelta(hours=9)
    early = [span for span in spans if (span.end_ns or 0) / 1e9 < half.timestamp()]
    late = [span for span in spans if (span.end_ns or 0) / 1e9 >= half.timestamp()]
    store = stored(early, tmp_path / "s")
    first = found(store, half)
    with build(settings(store), out=None) as app:
        app.trajectories.add(late)
    life = ("state", "opened_at")
    assert facts(found(store, NOW), without=life) == facts(plain, without=life)
    assert first


def test_a_detector_that_humans_dismiss_counts_one_severity_less(
    spans: tuple[Span, ...], plain: Found, tmp_path: Path
) -> None:
    """With its last incidents dismissed the cost detector's next one is a step less severe; others are as they were."""
    store = stored(spans, tmp_path / "s")
    [cost] = [name for name in plain if name.startswith("cost alpha")]
    kept = incident_from_document(plain[cost])
    before = [
        replace(kept, id=f"inc-{number:010x}", fingerprint=f"{number:016x}", state=State.DISMISSED)
        for number in range(6)
    ]
    old = [
        replace(one, findings=tuple(replace(f, subject=Subject(agent="gone")) for f in one.findings)) for one in before
    ]
    with build(settings(store), out=None) as app:
        app.incidents.save_incidents(old, run_trace_id="old")
    with build(settings(store), out=None) as app:
        run(app, NOW)
        now = {one.kind.value: one.severity for one in app.incidents.incidents(active_only=True)}
    steps = list(Severity)
    assert steps.index(now["cost"]) == steps.index(Severity(plain[cost]["severity"])) - 1
    assert now["tool-errors"] == next(one["severity"] for name, one in plain.items() if name.startswith("tool-errors"))


@pytest.mark.parametrize("weeks", [-7, 52])
def test_whole_weeks_change_nothing(weeks: int, spans: tuple[Span, ...], plain: Found, tmp_path: Path) -> None:
    """The same fleet some weeks earlier or later has the same incidents, earlier or later by as much."""
    shift = timedelta(weeks=weeks)
    nanoseconds = int(shift.total_seconds()) * 10**9

    def moved(span: Span) -> Span:
        start, end = span.start_ns, span.end_ns
        return replace(
            span,
            start_ns=None if start is None else start + nanoseconds,
            end_ns=None if end is None else end + nanoseconds,
        )

    after = found(stored([moved(span) for span in spans], tmp_path / "s"), NOW + shift)
    keys = ("observed", "expected", "ratio", "unit", "affected", "account", "excess_usd", "severity", "trace_ids")

    def timeless(incidents: Found, back: timedelta) -> Found:
        return {
            name: {key: one[key] for key in keys}
            | {"onset": (datetime.fromisoformat(one["onset"]) - back).isoformat()}
            | {"changes": [(each["what"], each["from"], each["to"]) for each in one["changes"]]}
            | {"findings": [(each["detector"], each["value"], each["score"]) for each in one["findings"]]}
            for name, one in incidents.items()
        }

    assert rounded(json.loads(json.dumps(timeless(after, shift)))) == rounded(
        json.loads(json.dumps(timeless(plain, timedelta(0))))
    )
