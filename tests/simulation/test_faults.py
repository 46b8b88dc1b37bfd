"""Faults: each shows in the runs of its time, in the way its kind says, and nowhere else."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from analyzer.errors import UsageError
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Decoy, DecoyKind, Fault, FaultKind
from analyzer.simulation.fleet import Fleet, unix_ns


def _split(fleet):
    """Return the runs that started inside and outside the first fault's time."""
    fault = fleet.faults[0]
    begun, ended = unix_ns(fault.onset), unix_ns(fault.end or fleet.now)
    runs = list(fleet.runs())
    return [r for r in runs if begun <= r.start_ns < ended], [r for r in runs if not begun <= r.start_ns < ended]


def _mean(values):
    values = list(values)
    return sum(values) / len(values)


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.SILENCE])
def test_only_runs_of_its_time_show_a_fault(struck, kind):
    """A fault is shown by runs that start in [onset, end) and by no other run."""
    during, outside = _split(struck(kind, input_factor=2.0, model="claude-opus-5-5", version="2.0.0"))
    assert all(not run.struck for run in outside)
    assert sum(bool(run.struck) for run in during) > 0.9 * len(during)
    assert {run.version for run in during} == {"2.0.0"}
    assert {run.version for run in outside} == {"1.0.0"}


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.SILENCE])
def test_truth_names_the_runs_that_show_the_fault(struck, kind):
    """The truth lists exactly the finished trajectories that show the fault, in order of their start."""
    fleet = struck(kind, input_factor=2.0)
    during, _ = _split(fleet)
    (truth,) = fleet.truths
    assert truth.trace_ids == tuple(run.trace_id for run in during if run.struck)
    assert (truth.kind, truth.agent, truth.onset) == (kind, "a", fleet.faults[0].onset)
    assert truth.visible


def test_a_fault_changes_nothing_outside_its_time(struck):
    """Runs outside a fault's time are byte for byte those of the fleet without the fault."""
    fleet = struck("loop", share=0.5)
    _, outside = _split(fleet)
    healthy = {run.trace_id: run for run in replace(fleet, faults=()).runs()}
    assert outside
    assert all(healthy[run.trace_id] == run for run in outside)


def test_a_rush_changes_no_run_outside_its_time(struck, now):
    """Runs before and after a rush are those of the fleet without it, and there are more of them during it."""
    quiet = replace(struck("latency"), faults=())
    rush = Decoy(DecoyKind.RUSH, "a", now - timedelta(hours=6), now - timedelta(hours=4), factor=4.0)
    rushed = replace(quiet, decoys=(rush,))
    begun, ended = unix_ns(rush.onset), unix_ns(rush.end)

    def split(fleet):
        runs = list(fleet.runs())
        inside = [run for run in runs if begun <= run.start_ns < ended]
        return inside, [run for run in runs if not begun <= run.start_ns < ended]

    assert split(quiet)[1] == split(rushed)[1]
    assert len(split(rushed)[0]) > 2.5 * len(split(quiet)[0])


def test_a_quiet_weekend_changes_no_run_of_a_weekday(struck, now):
    """Of a quiet weekend's runs most are missing, and those of the weekdays are the same as without it."""
    usual = replace(struck("latency"), faults=(), days=7.0)
    quiet = replace(usual, decoys=(Decoy(DecoyKind.QUIET_WEEKEND, "a", usual.start, factor=10.0),))

    def split(fleet):
        saturday = unix_ns(datetime(2026, 11, 14, tzinfo=UTC))
        runs = list(fleet.runs())
        monday = saturday + 2 * 86_400 * 10**9
        inside = [run for run in runs if saturday <= run.start_ns < monday]
        return inside, [run for run in runs if not saturday <= run.start_ns < monday]

    assert split(usual)[1] == split(quiet)[1]
    assert 0 < len(split(quiet)[0]) < 0.15 * len(split(usual)[0])


def test_a_price_that_falls_changes_no_run(struck, now):
    """A price is not in the spans: the fleet only says whose model became cheaper, when and by how much."""
    usual = replace(struck("latency"), faults=())
    onset = now - timedelta(hours=3)
    cheaper = replace(usual, decoys=(Decoy(DecoyKind.PRICE_FALL, "a", onset, factor=2.5),))
    assert list(cheaper.runs()) == list(usual.runs())
    assert cheaper.price_falls == ((usual.agents[0].model, onset, 2.5),)


def test_a_fault_of_several_agents_strikes_each_of_them(now):
    """What `also` names is hit in the same way, at the same time, and counts as one fault; the rest is left alone."""
    agents = tuple(Agent(name, "sql", runs_per_hour=20, error_share=0.0) for name in "abc")
    fault = Fault(FaultKind.ERROR_BURST, "a", now - timedelta(hours=3), also=("b",))
    fleet = Fleet(agents, (fault,), days=0.25, now=now)
    failed = {run.agent.name for run in fleet.runs() if run.failure is not None}
    assert failed == {"a", "b"}
    [truth] = fleet.truths
    assert truth.agents == {"a", "b"}
    assert {run.agent.name for run in fleet.runs() if run.trace_id in truth.trace_ids} == {"a", "b"}


def test_a_price_that_rises_changes_no_run_and_is_of_one_model(struck, now):
    """The fleet says whose model became dearer, when and by how much, and that every run since shows it."""
    usual = replace(struck("latency"), faults=())
    onset = now - timedelta(hours=3)
    dearer = replace(usual, faults=(Fault(FaultKind.PRICE_RISE, "a", onset, factor=2.5),))
    assert [run.steps for run in dearer.runs()] == [run.steps for run in usual.runs()]
    assert dearer.price_rises == ((usual.agents[0].model, onset, 2.5),)
    assert dearer.truths[0].model == usual.agents[0].model
    other = replace(usual.agents[0], name="b", model="claude-opus-5-5")
    fault = Fault(FaultKind.PRICE_RISE, "a", onset, also=("b",))
    with pytest.raises(UsageError, match="the agents run on several models"):
        replace(usual, agents=(*usual.agents, other), faults=(fault,))


def test_an_agent_is_hit_once_by_a_fault(now):
    """`also` is for others."""
    with pytest.raises(UsageError, match="also names an agent twice"):
        Fault(FaultKind.LATENCY, "a", now, also=("b", "a"))


def test_loops_repeat_one_call_with_one_result_and_give_up(struck):
    """A looping run repeats one call with one result 12 to 30 times and says so in its answer."""
    during, _ = _split(struck("loop", "billing"))
    for run in (run for run in during if run.failure is None):
        calls = [(use.tool, use.arguments, use.result) for use in run.tool_uses]
        repeated = max(set(calls), key=calls.count)
        assert 12 <= calls.count(repeated) <= 31
        assert "order not found" in repeated[2]
        assert "I have tried" in run.answer


def test_noisy_loops_differ_in_the_request_id_alone(struck):
    """The results of a noisy loop differ by a request id and by nothing else, and JSON stays JSON."""
    during, _ = _split(struck("loop", "billing", pattern="noisy"))
    run = next(run for run in during if run.failure is None)
    results = [json.loads(use.result) for use in run.tool_uses if "not found" in use.result]
    assert len({result.pop("request_id") for result in results}) == len(results) >= 12
    assert all(result == results[0] for result in results)


def test_cycles_alternate_two_calls(struck):
    """A cycle alternates two calls, each with one result."""
    during, _ = _split(struck("loop", "coding", pattern="cycle"))
    run = next(run for run in during if run.failure is None and not run.retries)
    calls = [(use.tool, use.arguments, use.result) for use in run.tool_uses]
    assert len(set(calls)) == 2
    assert all(before != after for before, after in pairwise(calls))


def test_cost_steps_scale_tokens(struck):
    """A cost step with input factor 3 trebles the input tokens of every run against the same run without it."""
    fleet = struck("cost-step", input_factor=3.0, context="ticket {n}", prompt="Load everything.", prompt_version="2")
    during, _ = _split(fleet)
    healthy = {run.trace_id: run for run in replace(fleet, faults=()).runs()}
    for run in during:
        assert run.input_tokens == pytest.approx(3 * healthy[run.trace_id].input_tokens, rel=0.01, abs=10)
        assert run.prompt_version == "2"
        assert run.system.endswith("Load everything.")
    assert "ticket 12" in during[0].inferences[-1].messages


def test_cost_steps_scale_steps(struck):
    """A cost step with steps factor 3 makes about three times as many tool calls."""
    during, outside = _split(struck("cost-step", steps_factor=3.0))
    assert 2.2 < _mean(len(r.tool_uses) for r in during) / _mean(len(r.tool_uses) for r in outside) < 4.2


def test_a_model_switch_changes_the_model_of_every_inference(struck):
    """Under a model switch every inference is made by the new model."""
    during, outside = _split(struck("model-switch", model="claude-opus-5-5"))
    assert {step.model for run in during for step in run.inferences} == {"claude-opus-5-5"}
    assert {step.model for run in outside for step in run.inferences} == {"claude-sonnet-5-5"}


def test_error_bursts_break_runs_with_the_message_given(struck):
    """Runs hit by an error burst of a tool end in its error, after two tries, with the message of the fault."""
    during, outside = _split(struck("error-burst", tool="run_sql", message='relation "orders_v2" does not exist'))
    broken = [run for run in during if run.struck]
    assert all(run.outcome == "error" and not run.answer for run in broken)
    assert {run.failure.message for run in broken} == {'relation "orders_v2" does not exist'}
    assert all(sum(use.failure is not None for use in run.tool_uses) == 2 for run in broken)
    assert _mean(run.outcome == "error" for run in outside) < 0.1


def test_error_bursts_without_a_tool_are_the_providers(struck):
    """Without a tool an error burst is the provider's 529."""
    during, _ = _split(struck("error-burst"))
    broken = [run for run in during if run.struck]
    assert {run.failure.error_type for run in broken} == {"anthropic.OverloadedError"}
    assert all(len(run.steps) == 1 for run in broken)


def test_tool_errors_do_not_end_the_run(struck):
    """Runs with failing tool calls carry on to an answer."""
    during, _ = _split(struck("tool-errors", share=0.8))
    failed = [run for run in during if run.struck]
    assert _mean(run.outcome != "error" for run in failed) > 0.9
    calls = [use for run in during for use in run.tool_uses if use.tool == "run_sql"]
    assert 0.7 < _mean(use.failure is not None for use in calls) < 0.9


@pytest.mark.parametrize("tool", [None, "run_sql"])
def test_retry_storms_fail_and_then_succeed(struck, tool):
    """In a retry storm a call fails four to nine times and then succeeds; the retries are counted."""
    during, outside = _split(struck("retry-storm", tool=tool))
    assert all(4 <= run.retries <= 10 for run in during if run.struck and run.failure is None)
    assert _mean(run.retries for run in outside) < 0.2
    assert _mean(run.outcome == "error" for run in during) < 0.1


def test_slow_tools_and_slow_models_take_longer(struck):
    """slow-tool multiplies the time of its tool, latency that of the model; neither touches the other's."""
    for kind, slow, same in (
        ("slow-tool", lambda r: r.tool_uses, lambda r: r.inferences),
        ("latency", lambda r: r.inferences, lambda r: r.tool_uses),
    ):
        during, outside = _split(struck(kind, "catalog", factor=8.0))

        def seconds(runs, steps):
            return _mean((step.end_ns - step.start_ns) / 1e9 for run in runs for step in steps(run))

        assert 5 < seconds(during, slow) / seconds(outside, slow) < 12
        assert 0.7 < seconds(during, same) / seconds(outside, same) < 1.4


def test_silence_starts_no_run(struck):
    """During a silence no run starts; its truth has no trajectories and can be found all the same."""
    fleet = struck("silence")
    during, outside = _split(fleet)
    assert during == []
    assert outside
    assert fleet.truths[0].trace_ids == ()
    assert fleet.truths[0].visible


def test_the_wrong_table_is_taken(struck):
    """Under wrong-tool every query reads the wrong table; before, every query reads the right one."""
    during, outside = _split(struck("wrong-tool"))
    queries = [use.arguments for run in during for use in run.tool_uses if use.tool == "run_sql"]
    assert all("orders_archive" in query for query in queries)
    assert not any("orders_archive" in use.arguments for run in outside for use in run.tool_uses)


def test_the_wrong_tool_is_taken_with_its_own_parameters(struck):
    """Under wrong-tool another tool is called, with the parameters that tool declares."""
    during, _ = _split(struck("wrong-tool", "support"))
    wrong = [use for run in during for use in run.tool_uses if use.tool == "search_web"]
    assert wrong
    assert all('"query":' in use.arguments and '"email":' not in use.arguments for use in wrong)


def test_success_drops_show_in_the_evaluation_alone(struck):
    """A success drop fails evaluations and breaks no run."""
    during, outside = _split(struck("success-drop", share=0.6))
    judged = [run for run in during if run.passed is not None]
    assert 0.4 < _mean(run.passed is False for run in judged) < 0.8
    assert all(run.passed is not False for run in outside)
    assert _mean(run.outcome == "error" for run in during) < 0.1


def test_truncation_cuts_the_last_reply(struck):
    """A truncated run ends with finish reason length, at exactly the limit the request set."""
    during, outside = _split(struck("truncation"))
    last = [run.inferences[-1] for run in during if run.failure is None]
    assert {step.finish for step in last} == {"length"}
    assert all(step.output_tokens == step.max_tokens for step in last)
    assert all(step.finish != "length" for run in outside for step in run.inferences)


def test_faults_compose(struck, now):
    """Two faults of one agent at one time both act, and each has its own truth."""
    fleet = struck("cost-step", input_factor=2.0)
    both = replace(fleet, faults=(*fleet.faults, Fault(FaultKind.LATENCY, "a", now - timedelta(hours=4), factor=9.0)))
    plain = {run.trace_id: run for run in fleet.runs()}
    after = [run for run in both.runs() if run.start_ns >= unix_ns(now - timedelta(hours=4))]
    assert all(run.input_tokens == plain[run.trace_id].input_tokens for run in after)
    assert [truth.kind for truth in both.truths] == ["cost-step", "latency"]
    assert set(both.truths[0].trace_ids) & set(both.truths[1].trace_ids)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"share": 0.0}, "share"),
        ({"share": 1.5}, "share"),
        ({"factor": -1.0}, "factor"),
        ({"steps_factor": 1e6}, "steps_factor"),
        ({"pattern": "spiral"}, "pattern spiral"),
        ({"input_factor": float("nan")}, "input_factor"),
    ],
)
def test_impossible_faults_are_refused(now, changes, says):
    """A fault that cannot be simulated is a usage error that names the field."""
    with pytest.raises(UsageError, match=says):
        Fault(FaultKind.LOOP, "a", now, **changes)


def test_times_and_versions_are_checked(now):
    """An end before the onset and a release without a version are usage errors."""
    with pytest.raises(UsageError, match="ends before"):
        Fault(FaultKind.LOOP, "a", now, now)
    with pytest.raises(UsageError, match="ends before"):
        Decoy(DecoyKind.RUSH, "a", now, now)
    with pytest.raises(UsageError, match="version"):
        Decoy(DecoyKind.DEPLOY, "a", now)
    with pytest.raises(UsageError, match="factor"):
        Decoy(DecoyKind.RUSH, "a", now, factor=0.0)
