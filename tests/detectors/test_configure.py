"""Settings of detectors: for all agents, for some by pattern, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from detectors.fleets import DAY, HOUR, arrivals, costs, step, time_of, window
from detectors.loop_cases import Tape
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors import DETECTORS
from analyzer.detectors.base import is_by_agent, replay_of
from analyzer.detectors.configure import configured
from analyzer.detectors.cost import CostDetector
from analyzer.detectors.loop import LoopDetector
from analyzer.detectors.per_agent import PerAgent, Rule
from analyzer.detectors.silence import SilenceDetector
from analyzer.errors import UsageError
from analyzer.types.metric import Window
from analyzer.types.reading import Gate
from analyzer.types.trajectory import summarise

ONSET = 15 * DAY


def dear(*agents):
    """Return the window of agents that all became three times as dear a day ago."""
    return window(*(costs(step(ONSET, 1.0, 3.0), agent=name, seed=i) for i, name in enumerate(agents)), end=ONSET + DAY)


def found_of(detector, at):
    """Return which agents something is found of, sorted."""
    return sorted(found.subject.agent or "-" for found in detector.detect(at))


def cost_with(**table):
    """Return the cost detector with a table of settings."""
    [detector] = configured([CostDetector()], {"cost": table})
    return detector


def test_settings_hold_for_every_agent():
    """What stands under the detector's own name holds for all agents; without settings it is the detector itself."""
    assert cost_with() == CostDetector()
    assert cost_with(ratio_min=5).settings.ratio_min == 5.0
    assert found_of(cost_with(ratio_min=5), dear("a", "b")) == []


def test_settings_for_some_agents_leave_it_divisible():
    """A detector with settings by agent judges each by itself where the usual one does, and compares where it does."""
    agents = {"agents": {"batch-*": {}}}
    tables = {one.name: agents for one in DETECTORS if hasattr(one, "settings")}
    ruled = configured(DETECTORS, tables)
    assert [is_by_agent(one) for one in ruled] == [is_by_agent(one) for one in DETECTORS]
    assert {type(one) for one in ruled} >= {PerAgent}


def test_a_pattern_sets_for_the_agents_it_names():
    """Agents of a pattern have its settings, all others the usual ones."""
    detector = cost_with(agents={"batch-*": {"ratio_min": 5}})
    at = dear("batch-1", "batch-2", "web")
    assert found_of(detector, at) == ["web"]
    assert detector.detect(at) == CostDetector().detect(at)[2:]
    assert detector.explain(at, "batch-1")[0].gate is not Gate.FOUND
    assert detector.explain(at, "web")[0].gate is Gate.FOUND


def test_the_more_special_pattern_is_stronger():
    """Patterns are laid one over the other: the more letters the later, a whole name last of all."""
    agents = {"batch-night": {"enabled": True}, "batch-*": {"enabled": False, "ratio_min": 2}, "*": {"ratio_min": 5}}
    detector = cost_with(agents=agents)
    assert [rule.pattern for rule in detector.rules] == ["*", "batch-*", "batch-night"]
    assert found_of(detector, dear("batch-day", "batch-night", "web")) == ["batch-night"]
    assert detector.explain(dear("batch-day"), "batch-day")[0].gate is Gate.OFF


def test_off_for_all_but_some():
    """A detector that is off may be on for some agents."""
    assert found_of(cost_with(enabled=False), dear("a")) == []
    detector = cost_with(enabled=False, agents={"a": {"enabled": True}})
    assert found_of(detector, dear("a", "b")) == ["a"]


def test_brackets_in_a_name_are_that_name():
    """An agent whose name reads as a pattern can be named as it is."""
    assert Rule("bot[1]", {}).holds("bot[1]")
    assert Rule("bot[1]", {}).holds("bot1")
    assert not Rule("bot[1]", {}).holds("Bot1")


def test_a_silence_is_judged_beside_the_others():
    """Silence off for one agent neither hides the others' nor makes the fleet look silent."""
    quiet = arrivals(step(ONSET, 20.0, 0.0), agent="quiet", seed=1)
    other = arrivals(step(ONSET, 20.0, 0.0), agent="other", seed=2)
    busy = arrivals(step(ONSET, 20.0, 20.0), agent="busy", seed=3)
    [detector] = configured([SilenceDetector()], {"silence": {"agents": {"quiet": {"enabled": False}}}})
    at = window(quiet, other, busy, end=ONSET + 6 * HOUR)
    assert found_of(detector, at) == ["other"]
    everyone = window(quiet, other, end=ONSET + 6 * HOUR)
    assert found_of(SilenceDetector(), everyone) == found_of(detector, everyone) == ["-"]


def test_single_trajectories_have_their_agents_settings():
    """Suspects go to the variant of their agent."""
    tape = Tape()
    for _ in range(6):
        tape.turn("get_order", {"id": 7}, "status: shipped")
    names = {"1": "a", "2": "b"}
    at = Window(
        start=time_of(0),
        end=time_of(96),
        suspects=dict.fromkeys(names, tuple(tape.steps)),
        summaries={trace_id: replace(summarise(trace_id, ()), agent=name) for trace_id, name in names.items()},
    )
    [detector] = configured([LoopDetector()], {"loop": {"agents": {"b": {"confidence_min": 0.99}}}})
    assert found_of(LoopDetector(), at) == ["a", "b"]
    assert found_of(detector, at) == ["a"]


@settings(max_examples=10, deadline=None)
@given(factors=st.lists(st.sampled_from([1.0, 1.5, 3.0]), min_size=1, max_size=3))
def test_rules_that_change_nothing_change_nothing(factors):
    """Agents that are given the settings they have anyway have the same findings, asked once or replayed."""
    series = [costs(step(ONSET, 1.0, factor), agent=f"a{i}", seed=i) for i, factor in enumerate(factors)]
    at = window(*series, end=ONSET + DAY)
    detector = cost_with(agents={"a1": {"ratio_min": 1.6}, "a?": {"units_min": 50}})
    assert set(detector.detect(at)) == set(CostDetector().detect(at))
    assert set(replay_of(detector, window(*series)).detect(at)) == set(CostDetector().detect(at))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"csot": {}}, "[detectors.csot]: there is no such detector; did you mean cost?"),
        ({"cost": {"ratio_mni": 2}}, "[detectors.cost] ratio_mni: there is no such setting; did you mean ratio_min?"),
        ({"cost": {"ratio_min": "2"}}, "[detectors.cost] ratio_min: expected a float like 1.6"),
        ({"cost": {"ratio_min": -1}}, "[detectors.cost] ratio_min: expected a float like 1.6"),
        ({"cost": {"ratio_min": float("nan")}}, "[detectors.cost] ratio_min: expected a float like 1.6"),
        ({"cost": {"ratio_min": True}}, "[detectors.cost] ratio_min: expected a float like 1.6"),
        ({"errors": {"events_min": 2.5}}, "[detectors.errors] events_min: expected a int like 5"),
        ({"cost": {"enabled": "no"}}, "[detectors.cost] enabled: expected true or false"),
        ({"cost": {"agents": 3}}, "[detectors.cost] agents: expected a table for each agent or pattern"),
        (
            {"cost": {"agents": {"a*": {"enable": False}}}},
            '[detectors.cost.agents."a*"] enable: there is no such setting; did you mean enabled?',
        ),
        ({"cost": {"agents": {"a*": 3}}}, '[detectors.cost.agents."a*"]: expected a table of settings'),
    ],
)
def test_what_is_refused(tables, message):
    """A misspelt name or a value of the wrong type is an error that names its place and the nearest name."""
    with pytest.raises(UsageError) as raised:
        configured(DETECTORS, tables)
    assert str(raised.value) == message


def test_a_detector_that_could_not_be_loaded_may_have_settings():
    """What is set for a plug-in that failed to load is not looked at: its own line says why it is missing."""
    assert configured([CostDetector()], {"mine": {"limit": 3}}, unknown=["mine"]) == (CostDetector(),)
