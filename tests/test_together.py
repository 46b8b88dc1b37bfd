"""Detection by several instances finds what one finds, whoever does what and whoever dies."""

from __future__ import annotations

import json
import random
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import postgres
from support.drawn import REVIEWER, stored
from support.incidents import finding
from support.spans import chat, root

from analyzer.config import Settings, load
from analyzer.errors import StoreError
from analyzer.pipeline import App, run
from analyzer.pipeline.app import Division
from analyzer.pipeline.parts import parts_of
from analyzer.pipeline.phases import collected, detected, examined
from analyzer.pipeline.together import Helped, detected_together, helped
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.stores.audit import SqliteAudit
from analyzer.stores.base import TrajectoryStore, Usage
from analyzer.stores.database import Connection
from analyzer.stores.postgres import PostgresState
from analyzer.stores.remembered import SqliteRemembered
from analyzer.stores.rounds import NoRounds, PostgresRounds, Round, Stage
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.stores.turn import Process, alone
from analyzer.types.budget import Budget
from analyzer.types.document import report_document
from analyzer.types.metric import Series, Window
from analyzer.types.reading import Reading
from analyzer.types.report import REPEATED, Finding, Gap, Kind, Report, Subject
from analyzer.wiring.building import build, build_reader
from analyzer.wiring.helping import program_of_detection
from analyzer.wiring.standing import build_helper

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONSET = NOW - timedelta(hours=9)
AGENTS = (Agent("billing", "billing", runs_per_hour=8), REVIEWER, Agent("search", "research", runs_per_hour=5))
FAULTS = (
    Fault(FaultKind.LOOP, "billing", ONSET, share=0.4),
    Fault(FaultKind.COST_STEP, "search", ONSET, input_factor=3.0, version="9.9.9"),
    Fault(FaultKind.TOOL_ERRORS, "reviewer", ONSET, share=0.6),
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of three agents, each with a fault of its own."""
    drawn = Fleet(agents=AGENTS, faults=FAULTS, days=5, seed=4, now=NOW)
    return stored(drawn, tmp_path_factory.mktemp("fleet") / "fleet.db")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Give the URL of a PostgreSQL."""
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="module")
def looked(fleet: Path) -> Iterator[tuple[App, Window]]:
    """Give an App over the fleet, and its window."""
    with build_reader(load({"store": str(fleet)}).settings) as app:
        yield app, collected(app, NOW)


def settings_of(store: Path, url: str) -> Settings:
    """Return the settings of an instance."""
    return load({"store": str(store), "state": url, "llm": "off", "reports": str(store.parent / "reports")}).settings


def copied(fleet: Path, folder: Path, name: str) -> Path:
    """Return a copy of a store, as an instance has it that gets the same trajectories."""
    return Path(shutil.copy(fleet, folder / f"{name}.db"))


def by_agents(app: App, window: Window, groups: Collection[Collection[str | None]]) -> list[Finding]:
    """Return what the detectors that judge each agent by itself find in each group of agents, in their order."""
    own = replace(app, detectors=[one for one in app.detectors if getattr(one, "by_agent", False)])
    place = {one.name: number for number, one in enumerate(app.detectors)}
    found = [one for group in groups for one in detected(own, window.only(group.__contains__))[0]]
    return sorted(found, key=lambda one: (place[one.detector], one.subject.agent or ""))


@pytest.mark.parametrize("seed", range(3))
def test_however_agents_are_divided_the_same_is_found(looked: tuple[App, Window], seed: int) -> None:
    """Detectors that say that they judge each agent by itself find in any division what they find in the whole."""
    app, window = looked
    agents: list[str | None] = [*window.agents(), None]
    drawn = random.Random(seed)  # noqa: S311 - a test's own dice
    groups: list[list[str | None]] = [[] for _ in range(drawn.randint(1, len(agents)))]
    for agent in agents:
        drawn.choice(groups).append(agent)
    whole = by_agents(app, window, [agents])
    assert {one.detector for one in whole} >= {"cost", "tool-errors", "loop"}
    assert by_agents(app, window, groups) == whole
    compares = [one.name for one in app.detectors if not getattr(one, "by_agent", False)]
    assert compares == ["silence", "metering"]
    ours = [one for one in detected(app, window)[0] if one.detector not in compares]
    assert ours == whole


def test_parts_are_the_same_on_every_instance(fleet: Path, tmp_path: Path, looked: tuple[App, Window]) -> None:
    """Every agent is in one part; a copy has the same digests, in whatever order things lie or were summed."""
    app, window = looked
    parts = parts_of(window, b"program")
    named = [agent for part in parts for agent in part.agents]
    assert sorted(filter(None, named)) == window.agents()
    assert named.count(None) == 1
    assert [part.agents for part in parts_of(window, b"program", 2)] == [
        part.agents for part in parts_of(window, b"", 2)
    ]
    assert len(parts_of(window, b"program", 2)) == 2
    digests = [part.digest for part in parts]
    with build_reader(load({"store": str(copied(fleet, tmp_path, "b"))}).settings) as other:
        assert [part.digest for part in parts_of(collected(other, NOW), b"program")] == digests
    turned = replace(
        window,
        series=tuple(reversed(window.series)),
        suspects=dict(reversed(window.suspects.items())),
        choices=tuple(reversed(window.choices)),
    )
    assert [part.digest for part in parts_of(turned, b"program")] == digests
    summed = replace(window, series=tuple(map(added_otherwise, window.series)))
    assert [part.digest for part in parts_of(summed, b"program")] == digests
    assert not {part.digest for part in parts_of(window, b"another program")} & set(digests)
    assert app is not None


def added_otherwise(series: Series) -> Series:
    """Return a series whose sums were added up in another order: the last digits differ."""
    return replace(series, total=[total * (1 + 2e-16) for total in series.total])


@pytest.mark.parametrize("what", ["end", "a trajectory", "a text", "a choice"])
def test_who_looks_at_something_else_has_another_digest(looked: tuple[App, Window], what: str) -> None:
    """Another moment, a trajectory that has not come in, a text that was masked otherwise: no such part is done."""
    _, window = looked
    (billing,) = (part for part in parts_of(window, b"") if "billing" in part.agents)
    first = next(name for name, steps in window.suspects.items() if steps and window.agent_of(name) == "billing")
    if what == "end":
        other = replace(window, end=window.end + timedelta(seconds=1))
    elif what == "a trajectory":
        other = replace(window, suspects={name: own for name, own in window.suspects.items() if name != first})
    elif what == "a text":
        step, *rest = window.suspects[first]
        other = replace(window, suspects={**window.suspects, first: (replace(step, output="other"), *rest)})
    else:
        other = replace(window, choices=tuple(one for one in window.choices if one.subject.tool is not None))
    (again,) = (part for part in parts_of(other, b"") if "billing" in part.agents)
    assert again.digest != billing.digest


def test_settings_and_their_order() -> None:
    """What is set for a detector tells the programs of two instances apart; in which order it was written does not."""
    plain, little, more = load({}).settings, Budget(usd_per_day=1.0), Budget(usd_per_day=5.0)
    tables = ({"*": more, "a": little}, {"a": little, "*": more}, {"a": more, "*": little}, {})
    first, turned, other, none = (program_of_detection(replace(plain, budgets=table)) for table in tables)
    assert first == turned
    assert len({first, other, none}) == 3
    assert b"" not in {first, other, none}


class Patient(PostgresRounds):
    """A holder that lets others hand in so many parts before it does one itself."""

    wanted = 1

    def claim(self, digests: Collection[str]) -> str | None:
        """Wait for the others first."""
        waiting = threading.Event()
        for _ in range(600):
            if len(self.handed_in()) >= self.wanted:
                break
            waiting.wait(0.05)
        return super().claim(digests)


@contextmanager
def holding(settings: Settings, kind: type[PostgresRounds] = PostgresRounds) -> Iterator[App]:
    """Give the App of a run that has the turn, with rounds of a kind."""
    assert settings.state is not None
    here = Process("analyzer run", "here", 1, "boot of here", "1")
    with (
        alone(settings.store, state=settings.state) as turn,
        build(settings, out=None, turn=turn) as app,
        closing(PostgresState(settings.state)) as state,
    ):
        assert turn is not None
        yield replace(app, division=Division(kind(state, here, turn.token), app.division.program))


def unheard(unlike: int, parts: int) -> None:
    """Hear of parts that are not the same, and do nothing."""


def stand_by(
    settings: Settings,
    done: list[Helped],
    host: str,
    said: Callable[[int, int], None] = unheard,
    gone: threading.Event | None = None,
) -> threading.Thread:
    """Begin to help in a thread of its own, as an instance on another machine; returns once it is counted on.

    `gone` is set once the one it helps is not there any more.
    """
    ready = threading.Event()

    def work() -> None:
        assert settings.state is not None
        with closing(PostgresState(settings.state)) as state, build_helper(settings) as app:
            rounds = PostgresRounds(state, Process("analyzer run", host, 1, f"boot of {host}", "1"))
            with rounds.attended():
                ready.set()
                while (found := rounds.current()) is None:
                    threading.Event().wait(0.02)
                done.append(helped(app, rounds, found, goes_on=lambda: not (gone and gone.is_set()), on_unlike=said))

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(30)
    return thread


def told(report: Report) -> dict[str, Any]:
    """Return what a report says, but for what is of the run itself."""
    document = report_document(report)
    return {"incidents": document["incidents"], "gaps": document["gaps"]}


def filed(settings: Settings) -> list[Any]:
    """Return what the log holds of incidents that were filed."""
    assert settings.state is not None
    with closing(PostgresState(settings.state)) as state, SqliteTrajectories(settings.store) as store:
        log = SqliteAudit(state, store.masker)
        assert not log.verify().faults
        entries = [one.document for one in log.entries()]
    return [
        {k: v for k, v in one.items() if k not in {"at", "run", "number", "previous", "hash"}}
        for one in entries
        if one["action"] == "incident_filed"
    ]


@pytest.mark.server
def test_three_instances_report_what_one_does(server: str, fleet: Path, tmp_path: Path) -> None:
    """Incidents, gaps and the log are those of one instance that does it all; a note says what others did."""
    one = settings_of(copied(fleet, tmp_path, "one"), postgres.database(server))
    with holding(one) as app:
        alone_ = run(app, NOW)
    assert "instances" not in alone_.notes
    url = postgres.database(server)
    first, *others = (settings_of(copied(fleet, tmp_path, name), url) for name in "abc")
    done: list[Helped] = []
    threads = [stand_by(other, done, f"host-{number}") for number, other in enumerate(others)]
    with holding(first, Patient) as app:
        shared = run(app, NOW)
    for thread in threads:
        thread.join(30)
    assert sum(one.parts for one in done) >= 1
    assert [one.unlike for one in done] == [0, 0]
    # A part that both did at once is the holder's own.
    noted = re.fullmatch(r"([123]) of 3 parts of the detection were done by others: host-.*", shared.notes["instances"])
    assert noted is not None
    assert int(noted[1]) <= sum(one.parts for one in done)
    assert told(shared) == told(alone_)
    assert json.dumps(filed(first)) == json.dumps(filed(one))
    assert len(alone_.incidents) >= 3


def one_behind(fleet: Path, folder: Path, url: str) -> tuple[Settings, Settings]:
    """Return an instance, and one whose store has not the last trajectory of `search`."""
    first, other = (settings_of(copied(fleet, folder, name), url) for name in "ab")
    ended = int((NOW - timedelta(hours=1)).timestamp() * 1e9)
    times = {"start_ns": ended - 10**9, "end_ns": ended, "agent": "search"}
    with SqliteTrajectories(first.store) as store:
        store.add([root(900, **times), chat(900, 2, **times)])
    return first, other


@pytest.mark.server
def test_an_instance_that_lags_does_not_take_what_it_has_not_seen(server: str, fleet: Path, tmp_path: Path) -> None:
    """It says for how many parts its trajectories are not the same, and helps with the others."""
    url = postgres.database(server)
    first, other = one_behind(fleet, tmp_path, url)
    done: list[Helped] = []
    heard: list[tuple[int, int]] = []
    thread = stand_by(other, done, "behind", lambda unlike, parts: heard.append((unlike, parts)))
    with holding(first, Patient) as app:
        report = run(app, NOW)
    thread.join(30)
    assert done[0].unlike == heard[0][0] == 1
    assert 1 <= done[0].parts <= 2
    # The second it may hand in when the holder has already done that part itself.
    counted = [f"behind ({parts})" for parts in range(1, done[0].parts + 1)]
    assert report.notes["instances"].endswith(tuple(counted))


@pytest.mark.server
def test_the_part_of_one_that_died_is_not_waited_for(server: str, fleet: Path, tmp_path: Path) -> None:
    """One that claimed a part and is gone holds nobody up: the holder does its part, and nothing is missing."""
    url = postgres.database(server)
    settings = settings_of(copied(fleet, tmp_path, "a"), url)

    class Robbed(PostgresRounds):
        """A holder whose first part is claimed by one that dies with it."""

        def divide(self, digests: Any) -> None:
            """Let somebody claim the first part."""
            super().divide(digests)
            with closing(PostgresState(url)) as state:
                dead = PostgresRounds(state, Process("analyzer run", "dead", 9, "its boot", "1"))
                assert dead.claim(digests) == digests[0]

    with closing(PostgresState(url)) as state:
        gone = PostgresRounds(state, Process("analyzer run", "dead", 9, "its boot", "1"))
        gone._beat()
    with holding(settings, Robbed) as app:
        report = run(app, NOW)
    one = settings_of(copied(fleet, tmp_path, "one"), postgres.database(server))
    with holding(one) as app:
        assert told(run(app, NOW)) == told(report)


@pytest.mark.server
def test_a_run_that_broke_off_is_gone_on_with(server: str, fleet: Path, tmp_path: Path) -> None:
    """What was handed in before the holder died the next one uses, at the same moment, and does not look at again."""
    url = postgres.database(server)
    first, other = (settings_of(copied(fleet, tmp_path, name), url) for name in "ab")

    class Dying(Patient):
        """A holder that dies once all parts are handed in."""

        wanted = 3

        def pool(self) -> None:
            """Die."""
            raise OSError("killed")

    done: list[Helped] = []
    gone = threading.Event()
    thread = stand_by(other, done, "helper", gone=gone)
    with pytest.raises(OSError, match="killed"), holding(first, Dying) as app:
        run(app, NOW)
    # It helps nobody any more: it is the one that takes over.
    gone.set()
    thread.join(30)
    looked_at: list[int] = []

    class Counting(PostgresRounds):
        """A holder of which is known what it does itself."""

        def claim(self, digests: Collection[str]) -> str | None:
            """Count what is left to do."""
            looked_at.append(len(digests))
            return super().claim(digests)

    with holding(other, Counting) as app:
        report = run(app, NOW)
    assert done[0].parts == 3
    assert looked_at == []
    assert report.notes["instances"] == "3 of 3 parts of the detection were done by others: helper (3)"
    assert len(report.incidents) >= 3


@pytest.mark.server
def test_parts_that_are_unlike_are_told_of_all(server: str, fleet: Path, tmp_path: Path) -> None:
    """One that comes when all but a part are done says for how many of all its own are not the same: one of three."""
    url = postgres.database(server)
    first, other = one_behind(fleet, tmp_path, url)
    heard: list[tuple[int, int]] = []
    with (
        closing(PostgresState(url)) as state,
        build_helper(first) as app,
        build_helper(other) as late,
    ):
        rounds = PostgresRounds(state, Process("analyzer run", "here", 1, "boot of here", "1"), "turn-1")
        rounds.open(NOW, live=True)
        parts = parts_of(collected(app, NOW), app.division.program())
        rounds.divide([part.digest for part in parts])
        for part in parts:
            if "search" not in part.agents:
                rounds.hand_in(part.digest, "[]")
        far = PostgresRounds(state, Process("analyzer run", "late", 2, "boot of late", "1"))
        asked = iter([True, True])
        done = helped(
            late,
            far,
            Round("turn-1", NOW, live=True, stage=Stage.DIVIDED),
            goes_on=lambda: next(asked, False),
            on_unlike=lambda unlike, parts: heard.append((unlike, parts)),
        )
    assert heard == [(1, 3)]
    assert done == Helped(0, 1)


@dataclass(frozen=True)
class Foreign:
    """A detector of another package, which gives numbers and lists as it has them."""

    name: str = "foreign"
    kind: Kind = Kind.LOOP
    by_agent: bool = True

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Find one thing of every agent."""
        given = {"detector": self.name, "trace_ids": ["1" * 32], "value": np.float32(2.5)}
        return tuple(finding(subject=Subject(agent=agent), **given) for agent in window.agents())

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Say nothing."""
        return ()


@dataclass(frozen=True)
class Failing(Foreign):
    """A detector of another package that cannot look at one agent."""

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Fail where the agent is among those it is asked about."""
        if "search" in window.agents():
            raise ValueError("no such metric")
        return tuple(finding(subject=Subject(agent=agent), detector=self.name) for agent in window.agents())


@dataclass(frozen=True)
class Turned(Foreign):
    """A detector of another package that tells its agents from the last to the first."""

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Find one thing of every agent."""
        return Foreign.detect(self, window)[::-1]


class Beside(NoRounds):
    """Rounds in which somebody stands by and does nothing."""

    def has_others(self) -> bool:
        """Say so."""
        return True


def test_what_is_found_in_parts_is_in_the_order_of_one(looked: tuple[App, Window]) -> None:
    """By detector, and of each by agent: whichever part was done first, and however a detector puts it."""
    app, window = looked
    asking = replace(app, detectors=[Turned("b"), Foreign("a")], division=Division(Beside(), lambda: b"program"))
    found, gaps, note = detected_together(asking, window)
    agents = ["billing", "reviewer", "search"]
    assert [(one.detector, one.subject.agent) for one in found] == [(name, of) for name in "ba" for of in agents]
    assert (found, gaps) == detected(asking, window)
    assert note == {}


@pytest.mark.server
def test_a_detector_that_fails_is_a_gap_and_what_it_found_elsewhere_is_told(
    server: str, fleet: Path, tmp_path: Path
) -> None:
    """A part in which a detector failed is handed in by nobody: the next one to look at it is to see that, too."""
    url = postgres.database(server)
    with closing(PostgresState(url)) as state, holding(settings_of(copied(fleet, tmp_path, "a"), url)) as app:
        PostgresRounds(state, Process("analyzer run", "far", 2, "boot of far", "1"))._beat()
        app.division.rounds.open(NOW, live=True)
        found, gaps, note = detected_together(replace(app, detectors=[Failing()]), collected(app, NOW))
        assert [one.subject.agent for one in found] == ["billing", "reviewer"]
        why = "the detector failed: ValueError: no such metric"
        assert [(one.what, one.why) for one in gaps] == [("loop anomalies", why)]
        assert note == {}
        assert len(app.division.rounds.handed_in()) == 2


class Untold(NoRounds):
    """Rounds of a state that goes away once everything is filed; it hears of each step."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def open(self, at: datetime, *, live: bool) -> None:
        """Hear of it."""
        self.heard.append("open")

    def has_others(self) -> bool:
        """Hear of it."""
        self.heard.append("has_others")
        return True

    def divide(self, digests: Any) -> None:
        """Hear of it."""
        self.heard.append("divide")

    def done(self) -> None:
        """Fail."""
        self.heard.append("done")
        raise StoreError("the state is gone")


def test_a_run_that_is_filed_has_not_failed(fleet: Path, tmp_path: Path) -> None:
    """Where nobody can be told that it is over it is over all the same: who would be woken has been told everything.

    Here without its sources, of which nobody can tell whether another one would find the same: it divides nothing.
    """
    store = copied(fleet, tmp_path, "one")
    with build(load({"store": str(store), "llm": "off", "reports": str(tmp_path)}).settings, out=None) as app:
        rounds = Untold()
        divided = replace(app, division=Division(rounds))
        report = run(divided, NOW)
        assert rounds.heard == ["open", "has_others", "done"]
        assert app.incidents.latest_run_at() == NOW
        assert report.incidents
        repeated = run(divided, NOW - timedelta(hours=1))
    assert REPEATED in repeated.notes
    assert rounds.heard == ["open", "has_others", "done"], "what keeps nothing is no round, and nobody's to help with"


@pytest.mark.server
def test_one_that_helps_reads_what_is_new_elsewhere_first(server: str, fleet: Path, tmp_path: Path) -> None:
    """It follows as the run does, up to the run's moment, and keeps what spares its own next run work."""
    url = postgres.database(server)
    store = copied(fleet, tmp_path, "a")
    asked: list[tuple[datetime, datetime | None]] = []

    def follow(at: datetime, later: datetime | None) -> tuple[Gap, ...]:
        asked.append((at, later))
        return ()

    with closing(PostgresState(url)) as state, build_helper(settings_of(store, url)) as late:
        far = PostgresRounds(state, Process("analyzer run", "far", 2, "boot of far", "1"), "turn-1")
        far.open(NOW, live=True)
        far.divide([part.digest for part in parts_of(collected(late, NOW), late.division.program())])
        round_, asking = Round("turn-1", NOW, live=True, stage=Stage.DIVIDED), iter([True] * 3)
        looking = replace(late, follow=follow)
        done = helped(looking, far, round_, goes_on=lambda: next(asking, False), on_unlike=unheard)
        late.remember()
    assert asked == [(NOW, None)]
    assert done == Helped(3, 0)
    with closing(Connection(store)) as kept:
        with kept.reading() as raw:
            assert raw.execute("SELECT COUNT(*) FROM looked").fetchone()[0] > 0
        assert SqliteRemembered(kept).read("midnights") is not None


@pytest.mark.server
def test_what_cannot_be_handed_in_is_the_holder_s(server: str, fleet: Path, tmp_path: Path) -> None:
    """A detector whose findings do not go through JSON ends nobody's run: the holder looks at those parts itself."""
    url = postgres.database(server)
    first, other = (settings_of(copied(fleet, tmp_path, name), url) for name in "ab")
    with closing(PostgresState(url)) as state, build_helper(other) as late, holding(first) as app:
        asking = replace(app, detectors=[Foreign()])
        far = PostgresRounds(state, Process("analyzer run", "late", 2, "boot of late", "1"))
        app.division.rounds.open(NOW, live=True)
        window = collected(app, NOW)
        app.division.rounds.divide([part.digest for part in parts_of(window, app.division.program())])
        asked = iter([True] * 5)
        found = far.current()
        assert found is not None
        given = {"goes_on": lambda: next(asked, False), "on_unlike": unheard}
        done = helped(replace(late, detectors=[Foreign()]), far, found, **given)
        far._beat()
        both, gaps, note = detected_together(asking, window)
    assert done == Helped(0, 0)
    assert [one.subject.agent for one in both] == ["billing", "reviewer", "search"]
    assert (gaps, note) == ([], {})


def test_findings_of_one_onset_ask_once_what_was_used(looked: tuple[App, Window], monkeypatch) -> None:
    """Cost, tokens and steps rise together and compare the same periods: each is added up once."""
    app, window = looked
    asked: Counter[tuple[object, ...]] = Counter()
    usage = type(app.trajectories).usage

    def counted(store: TrajectoryStore, *given: Any) -> list[Usage]:
        asked[given] += 1
        return usage(store, *given)

    monkeypatch.setattr(type(app.trajectories), "usage", counted)
    examined(app, detected(app, window)[0], window)
    assert set(asked.values()) == {1}
