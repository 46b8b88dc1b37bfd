"""Full texts: as long as the usage says, the same by seed, and nothing else about a fleet is another."""

from dataclasses import replace
from statistics import median

import orjson
import pytest

from analyzer.errors import UsageError
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.simulation.roles import ROLES
from analyzer.simulation.scenario import demo_path, read_scenario
from analyzer.simulation.texts import CHARS_PER_TOKEN, POOL, RESULT_TOKENS_MAX, texts_of


def _fleet(now, texts, **more):
    agents = tuple(
        Agent(f"{role}-a", role, runs_per_hour=10, calls=4, prompt_tokens=3_000, step_tokens=700)
        for role in sorted(ROLES)
    )
    return Fleet(agents, days=0.1, seed=5, now=now, texts=texts, **more)


def _without_texts(run):
    steps = tuple(
        (step.span_id, step.start_ns, step.end_ns, step.failure, getattr(step, "input_tokens", 0)) for step in run.steps
    )
    return run.trace_id, run.end_ns, run.outcome, run.goal, run.answer, run.version, run.user_id, steps


def test_full_texts_change_what_runs_say_and_nothing_else(now):
    """Runs, steps, times, tokens, failures and goals are those of the fleet with short texts."""
    faults = (Fault(FaultKind.LOOP, "billing-a", now.replace(hour=10)),)
    short, full = (list(_fleet(now, texts, faults=faults).runs()) for texts in ("short", "full"))
    assert [_without_texts(run) for run in short] == [_without_texts(run) for run in full]
    assert sum(len(run.system) for run in full) > 20 * sum(len(run.system) for run in short)


def test_full_texts_are_the_same_by_seed(now):
    """Two fleets of one seed export the same bytes."""
    first, again = (list(_fleet(now, "full").requests()) for _ in range(2))
    assert orjson.dumps(first) == orjson.dumps(again)


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_run_holds_about_as_many_tokens_as_its_usage_says(now, role):
    """What an inference is sent is between a third and one and a half times of what it is counted as, in the middle."""
    shares = [
        (len(run.system) + len(run.definitions) + len(step.messages)) / CHARS_PER_TOKEN / step.input_tokens
        for run in _fleet(now, "full").runs()
        if run.agent.role == role
        for step in run.inferences
        if step.failure is None
    ]
    assert 1 / 3 < median(shares) < 1.5


@pytest.mark.parametrize("role", sorted(ROLES))
def test_prompts_and_tools_of_real_agents_are_long(role):
    """Of 3,000 tokens the system prompt has hundreds, tool definitions too, and both say what the short ones say."""
    texts = texts_of(role, 3_000)
    assert texts.system.startswith(ROLES[role].system)
    assert len(texts.system) > 300 * CHARS_PER_TOKEN
    definitions = orjson.loads(texts.definitions)
    assert [one["name"] for one in definitions] == [tool.name for tool in ROLES[role].tools]
    assert all(
        one["description"].startswith(tool.description)
        for one, tool in zip(definitions, ROLES[role].tools, strict=True)
    )
    assert 0.3 < (len(texts.system) + len(texts.definitions)) / CHARS_PER_TOKEN / 3_000 < 1.1


def test_results_keep_their_form_and_what_they_said(now):
    """What was JSON is JSON, what a result said is still in it, and no page is longer than a tool would make it."""
    pairs = zip(_fleet(now, "short").runs(), _fleet(now, "full").runs(), strict=True)
    for short, full in pairs:
        for brief, long in zip(short.tool_uses, full.tool_uses, strict=True):
            assert len(long.result) <= RESULT_TOKENS_MAX * CHARS_PER_TOKEN + 1_000
            if not brief.result.startswith(("{", "[")):
                assert long.result.startswith(brief.result)
                continue
            said, more = orjson.loads(brief.result), orjson.loads(long.result)
            if isinstance(said, list):
                assert more[: len(said)] == said
            else:
                assert all(
                    more[key] == value or (isinstance(value, list) and more[key][-len(value) :] == value)
                    for key, value in said.items()
                )


def test_no_call_of_a_run_brings_what_another_brought(now):
    """Pages of one run differ in all their records: an agent that reads on is no loop."""
    for run in _fleet(now, "full").runs():
        if run.agent.role == "catalog":
            pages = [orjson.loads(use.result)["items"] for use in run.tool_uses if not use.failure]
            skus = [one["sku"] for page in pages for one in page]
            assert len(set(skus)) >= min(len(skus), POOL)


def test_an_unknown_size_of_texts_is_refused(now):
    """The error names what there is to choose from."""
    with pytest.raises(UsageError, match="texts is 'long'; it is one of short, full"):
        _fleet(now, "long")


def test_the_demo_speaks_at_length_and_others_do_not(now):
    """The demo's scenario has full texts; a fleet that does not say so has short ones."""
    demo = read_scenario(demo_path())
    assert demo.texts == "full"
    assert replace(demo, texts="short").texts == Fleet(demo.agents, now=now).texts
