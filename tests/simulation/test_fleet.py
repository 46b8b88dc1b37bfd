"""Fleets and scenarios: what a file says is what is played, and what contradicts itself is refused."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.errors import UsageError
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Decoy, DecoyKind, Fault, FaultKind
from analyzer.simulation.fleet import Fleet, quarter_hour, unix_ns
from analyzer.simulation.scenario import OF_ONE_AGENT, demo_path, random_fleet, read_scenario


@pytest.fixture(scope="module")
def demo():
    """Return the demo fleet at its own time."""
    return read_scenario(demo_path())


def test_the_demo_is_small_enough(demo):
    """The demo fleet has eight days and at most 26,000 spans: what a laptop takes in within seconds."""
    spans = trajectories = 0
    for run in demo.runs():
        spans += len(run.steps) + 1
        trajectories += 1
    assert demo.days == 8
    assert 2_000 < trajectories < 9_000
    assert spans <= 26_000


def test_the_demo_holds_three_faults_of_the_last_day(demo):
    """The demo's faults are a cost step with a version, a loop and an error burst, all of the last 24 hours."""
    assert [truth.kind for truth in demo.truths] == ["cost-step", "loop", "error-burst"]
    assert [truth.agent for truth in demo.truths] == ["support-triage", "billing-agent", "sql-analyst"]
    assert demo.truths[0].version == "2.4.0"
    for truth in demo.truths:
        assert timedelta(0) < demo.now - truth.onset < timedelta(hours=24)
        assert len(truth.trace_ids) >= 8


def test_the_demo_works_at_any_time():
    """Read for another moment, weekends included, the demo keeps its story: the faults move with now."""
    for day in range(1, 8):
        now = datetime(2027, 3, day, 7, 52, 13, tzinfo=UTC)
        fleet = read_scenario(demo_path(), now=now)
        assert fleet.now == now.replace(minute=45, second=0)
        assert [fleet.now - fault.onset for fault in fleet.faults] == [timedelta(hours=h) for h in (20, 15, 10)]
        assert all(len(truth.trace_ids) >= 6 for truth in fleet.truths)


def test_now_is_rounded_down_in_any_time_zone():
    """Now is rounded down to a quarter of an hour of UTC, whatever zone it was given in."""
    east = timezone(timedelta(hours=5, minutes=37))
    assert quarter_hour(datetime(2026, 11, 20, 17, 44, 59, tzinfo=east)) == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert quarter_hour(datetime(1969, 12, 31, 23, 59, tzinfo=UTC)) == datetime(1969, 12, 31, 23, 45, tzinfo=UTC)


@settings(max_examples=25, deadline=None)
@given(micros=st.integers(0, 4 * 10**15))
def test_nanoseconds_are_exact(micros):
    """Unix nanoseconds of a moment lose nothing of its microseconds."""
    assert unix_ns(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)) == micros * 1_000


def test_a_deploy_changes_the_version_and_nothing_else(struck, now):
    """After a harmless deploy the version differs and every run is otherwise the same."""
    plain = replace(struck("latency"), faults=())
    deploy = Decoy(DecoyKind.DEPLOY, "a", now - timedelta(hours=3), version="1.1.0")
    before, after = list(plain.runs()), list(replace(plain, decoys=(deploy,)).runs())
    assert [replace(run, version="1.0.0") for run in after] == before
    assert [run.version for run in after] == [
        "1.1.0" if run.start_ns >= unix_ns(deploy.onset) else "1.0.0" for run in after
    ]


def test_runs_come_in_order_and_before_now(now):
    """Runs of all agents are merged in order of their start, and none starts at or after now."""
    fleet = random_fleet(1, days=1, now=now)
    begun = [run.start_ns for run in fleet.runs()]
    assert begun == sorted(begun)
    assert unix_ns(fleet.start) <= begun[0]
    assert begun[-1] < fleet.now_ns


def test_a_file_is_read_field_by_field(tmp_path, now):
    """Onsets and ends are hours before now; a seed and a now given by the caller replace the file's."""
    path = tmp_path / "fleet.toml"
    path.write_text(
        'days = 2\nseed = 5\n[[agents]]\nname = "x"\nrole = "sql"\ncalls = 3\n'
        '[[faults]]\nkind = "loop"\nagent = "x"\nonset_h = 6\nend_h = 1.5\nshare = 0.25\n'
        '[[decoys]]\nkind = "rush"\nagent = "x"\nonset_h = 3\nfactor = 2\n'
    )
    fleet = read_scenario(path, now=now, seed=9)
    assert fleet == Fleet(
        (Agent("x", "sql", calls=3),),
        (Fault(FaultKind.LOOP, "x", now - timedelta(hours=6), now - timedelta(hours=1.5), share=0.25),),
        (Decoy(DecoyKind.RUSH, "x", now - timedelta(hours=3), factor=2),),
        days=2,
        seed=9,
        now=now,
    )
    assert read_scenario(path).seed == 5


AGENT = '[[agents]]\nname = "x"\nrole = "sql"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("days = ", "no TOML"),
        ("", "at least one agent"),
        (AGENT + AGENT, "only once"),
        ("wat = 1\n" + AGENT, "unknown key wat"),
        (AGENT + "speed = 1\n", "unknown key speed"),
        (AGENT + 'calls = "many"\n', "wrong type"),
        ('agents = "x"\n', "wrong type"),
        ("[[agents]]\nrole = 'sql'\n", "wrong type"),
        ("now = 2026-11-20T12:00:00\n" + AGENT, "time zone"),
        ("now = 12\n" + AGENT, "time zone"),
        ("days = 0\n" + AGENT, "days"),
        ('days = "8"\n' + AGENT, "wrong type"),
        (AGENT + '[[faults]]\nkind = "flood"\nagent = "x"\nonset_h = 1\n', "unknown kind flood"),
        (AGENT + '[[faults]]\nkind = "loop"\nagent = "y"\nonset_h = 1\n', "no agent y"),
        (AGENT + '[[faults]]\nkind = "loop"\nagent = "x"\n', "wrong type"),
        (AGENT + '[[faults]]\nkind = "loop"\nagent = "x"\nonset_h = "soon"\n', "wrong type"),
        (AGENT + '[[faults]]\nkind = "slow-tool"\nagent = "x"\nonset_h = 1\ntool = "fax"\n', "no tool fax"),
        (AGENT + '[[decoys]]\nkind = "loop"\nagent = "x"\nonset_h = 1\n', "unknown kind loop"),
    ],
)
def test_wrong_files_are_refused_with_the_reason(tmp_path, text, says):
    """A scenario that cannot be played is a usage error that names the file and what is wrong."""
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        read_scenario(path)
    assert str(path) in str(caught.value)


def test_a_missing_or_binary_file_is_refused(tmp_path):
    """A path that leads nowhere, or to bytes that are no text, is a usage error."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_scenario(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="no TOML"):
        read_scenario(tmp_path / "b.toml")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_random_fleets_are_playable_and_repeatable(seed):
    """Any seed draws a valid fleet, the same one every time, whose faults begin inside its time."""
    fleet = random_fleet(seed)
    assert fleet == random_fleet(seed)
    assert len(fleet.agents) == len(fleet.faults) == 10
    assert {decoy.agent for decoy in fleet.decoys} <= {agent.name for agent in fleet.agents}
    for fault in fleet.faults:
        assert fleet.start < fault.onset < fleet.now
        assert fault.end is None or fault.end < fleet.now


def test_random_fleets_spread_their_faults_and_kinds():
    """No agent and no kind comes twice before each came once; every fleet polls, pages and has every look-alike."""
    kinds = Counter()
    for seed in range(40):
        fleet = random_fleet(seed)
        assert len({fault.agent for fault in fleet.faults}) == 10
        kinds.update(fault.kind for fault in fleet.faults)
        assert len({fault.kind for fault in fleet.faults}) == 10
        assert {decoy.kind for decoy in fleet.decoys} == set(DecoyKind)
        assert [agent.role for agent in fleet.agents[:2]] == ["release", "catalog"]
    assert set(kinds) == set(OF_ONE_AGENT)
    only = random_fleet(1, kinds=(FaultKind.LOOP,))
    assert {fault.kind for fault in only.faults} == {FaultKind.LOOP}


def test_most_random_faults_can_be_seen():
    """Of the faults of random fleets at least nine in ten strike some run."""
    truths = [truth for seed in range(3) for truth in random_fleet(seed, runs_per_hour=(3.0, 8.0)).truths]
    assert sum(truth.visible for truth in truths) >= 0.9 * len(truths)


def test_a_random_fleet_needs_an_agent():
    """A random fleet without agents is a usage error."""
    with pytest.raises(UsageError, match="at least one agent"):
        random_fleet(1, agents=0)


def test_the_demo_tells_its_causes_in_its_texts(demo):
    """The spans themselves say what went wrong: the longer prompt, the order not found, the renamed table."""
    text = json.dumps(list(demo.requests()))
    assert "load the customer's whole ticket history" in text
    assert "order not found" in text
    assert "renamed to" in text
