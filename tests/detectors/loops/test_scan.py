from __future__ import annotations

import json
import random
import time
from dataclasses import replace

import pytest
from detectors.loop_cases import NEGATIVE, PAGE, POSITIVE, Tape, uuid_of, words
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.detectors.loops.scan import scan
from analyzer.types.trace import ErrorClass


@pytest.mark.parametrize("name", POSITIVE)
def test_must_fire(name):
    """Each loop of the table is found."""
    assert scan(POSITIVE[name])


@pytest.mark.parametrize("name", NEGATIVE)
def test_must_stay_silent(name):
    """Each lookalike of the table is left alone."""
    assert scan(NEGATIVE[name]) == ()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("P01", "repeat_same_call"),
        ("P02", "repeat_same_error"),
        ("P07", "cycle"),
        ("P09", "near_duplicate_calls"),
        ("P10", "pagination_no_new_data"),
        ("P11", "reworded_query_same_answer"),
        ("P12", "same_error_different_args"),
        ("P13", "repeated_llm_output"),
        ("P14", "monologue"),
        ("P15", "text_chanting"),
        ("P16", "agent_ping_pong"),
        ("P18", "poll_after_terminal"),
        ("P19", "long_poll"),
        ("P24", "duplicate_fan_out"),
        ("P28", "fix_attempts_same_failure"),
    ],
)
def test_named_by_its_rule(name, rule):
    """A loop is named after the rule that describes it best."""
    assert scan(POSITIVE[name])[0].rule == rule


@pytest.mark.parametrize("name", ["P31", "P32", "P33"])
def test_calls_without_recorded_answers_are_less_certain(name):
    """Where nobody recorded what came back, equal arguments are all there is: reported, with less confidence."""
    (loop,) = scan(POSITIVE[name])
    assert 0.4 <= loop.confidence <= 0.6
    assert "what came back was not recorded" in loop.what


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(4, 40))
def test_unseen_calls_that_differ_in_anything_are_left_alone(seed, count):
    """Arguments that differ in an id, a time or a token are different calls where no answer shows otherwise."""
    rng = random.Random(seed)  # noqa: S311 - seeded by the example
    make = rng.choice([uuid_of, lambda i: f"{i:08x}a1", lambda i: f"2026-01-01T10:{i % 60:02d}:{i // 60:02d}Z", str])
    tape = Tape()
    for i in range(count):
        tape.turn("list_products", {"cursor": make(seed + i), "request_id": make(i)})
    assert scan(tape.steps) == ()


def test_period_and_waste():
    """A loop says how long one turn is, and counts as waste every step after the one at which it was plain."""
    tape = Tape()
    for _ in range(6):
        tape.turn("read_file", {"path": "a"}, PAGE).turn("read_file", {"path": "b"}, words(2, 50))
    (loop,) = scan(tape.steps)
    assert (loop.period, loop.first_step, loop.last_step) == (2, 2, 24)
    assert loop.wasted_steps == 12
    assert loop.wasted_usd == pytest.approx(0.01 * sum(1 for s in tape.steps[-loop.wasted_steps :] if s.tokens))
    assert loop.wasted_tokens == 1000 * sum(1 for s in tape.steps[-loop.wasted_steps :] if s.tokens)
    assert set(loop.example_span_ids) <= {step.span_id for step in tape.steps}


def test_overload_is_no_loop():
    """Calls that a provider's overload failed are retries, however many, whether by class or by text."""
    tape = Tape()
    for _ in range(20):
        tape.call("fetch", {"u": 1}, error="upstream said 529 overloaded")
        tape.call("fetch", {"u": 1}, error="no", error_class=ErrorClass.RATE_LIMIT)
        tape.say("", error=ErrorClass.OVERLOADED)
    assert scan(tape.steps) == ()


LOOPING_OUTPUTS = {
    "xml": lambda i: (
        f"<response id='req_{i}8fa' ts='2026-03-0{i + 1}T10:0{i}:00Z'><rows/><status>ok</status></response>"
    ),
    "json": lambda i: json.dumps(
        {"request_id": f"{i:08x}-1111-4222-8333-444455556666", "items": [], "took_ms": f"{i}ms"}
    ),
    "trace": lambda i: (
        "Traceback (most recent call last):\n"
        f"  File \"/tmp/run{i}/job.py\", line 12, in main\n    total(rows)\nKeyError: 'amount'"
    ),
    "shell": lambda i: f"$ make check\n[12:0{i}:33] linking\nmake: *** [check] Error 2\nreal 0m{i}.21s\nexit code: 2",
    "prose": lambda i: f"I looked at the ledger (took {i}.4 seconds) and there is still no entry for invoice INV-778.",
}


@pytest.mark.parametrize("form", LOOPING_OUTPUTS)
def test_formats_of_answers(form):
    """The same call with the same answer is a loop in any format, when only ids, times and paths differ."""
    tape = Tape()
    for i in range(6):
        tape.turn("load_ledger", {"account": "A-1"}, LOOPING_OUTPUTS[form](i))
    assert scan(tape.steps)


WORKING_OUTPUTS = {
    "xml": lambda i: f"<file name='{words(i, 1)}'><line>{words(i + 9, 20)}</line></file>",
    "json": lambda i: json.dumps({"rows": [{"name": words(i * 7 + k, 2), "total": i * k} for k in range(5)]}),
    "trace": lambda i: f'  File "src/{words(i, 1)}.py", line {i}\n{words(i, 12)}',
    "shell": lambda i: f"$ ls {words(i, 1)}\n" + "\n".join(words(i * 11 + k, 1) for k in range(6)),
}


@pytest.mark.parametrize("form", WORKING_OUTPUTS)
def test_formats_of_work(form):
    """Reading one thing after the other is work in any format."""
    tape = Tape()
    for i in range(25):
        tape.turn("read_part", {"name": words(i, 1), "n": i}, WORKING_OUTPUTS[form](i), say=words(i, 9))
    assert scan(tape.steps) == ()


def test_no_model_spans():
    """A loop is seen where only the tool calls were recorded, one after the other."""
    tape = Tape()
    for _ in range(5):
        tape.call("get_order", {"id": 7}, "order 7: shipped")
    assert [loop.repeats for loop in scan(tape.steps)] == [5]


def test_no_times():
    """Steps without times are judged all the same."""
    steps = [replace(step, start_ns=None, end_ns=None) for step in POSITIVE["P01"]]
    assert scan(steps)


def test_nothing_to_see():
    """An empty trajectory has no loops."""
    assert scan(()) == ()


def test_prefix_and_growth():
    """The scan works on a prefix: the loop is there from the limit on and never shrinks as it goes on."""
    tape = Tape()
    for _ in range(12):
        tape.turn("get_order", {"id": 7}, "order 7: shipped")
    repeats = [
        max((loop.repeats for loop in scan(tape.steps[:stop])), default=0) for stop in range(len(tape.steps) + 1)
    ]
    assert repeats == sorted(repeats)
    assert repeats[7] == 0
    assert repeats[8] == 4


def test_long_trajectories_take_little_more_a_step():
    """Five times the steps are scanned in near linear time."""
    durations = []
    for count in (1000, 5000):
        tape = Tape()
        for i in range(count):
            tape.turn("read_file", {"path": f"src/{i}.py", "n": i}, words(i, 25))
        began = time.process_time()
        assert scan(tape.steps) == ()
        durations.append(time.process_time() - began)
    assert durations[1] < 12 * durations[0]


def test_hostile_texts_take_no_longer():
    """Long texts without spaces, and with many of them, do not blow up any expression."""
    began = time.process_time()
    for text in (
        "a" * 200_000,
        "1" * 200_000,
        "select " * 30_000,
        "[" * 100_000,
        "x/" * 80_000,
        "wait " * 40_000,
        "0a" * 90_000,
    ):
        scan(Tape().turn("bash", text, text, say=text).turn("query", text, text, say=text).steps)
    assert time.process_time() - began < 20


TOOLS = ("read_file", "search_kb", "run_sql", "get_order", "list_items", "fetch_page")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), period=st.integers(1, 9), noise=st.booleans())
def test_generated_loops_are_found(seed, period, noise):
    """A stretch of calls that comes round five times with the same answers is found inside any legitimate run."""
    tape = _legitimate(seed, 20)
    first = len(tape.steps) + 1
    rng = random.Random(seed + 1)  # noqa: S311 - seeded by the example
    turn = [(rng.choice(TOOLS), {"key": words(seed + 100 + k, 2)}, words(seed + 500 + k, 30)) for k in range(period)]
    for i in range(6):
        for tool, arguments, answer in turn:
            stamp = f"[req {rng.getrandbits(48):012x}] 2026-05-0{i + 1}T09:1{i}:00Z " if noise else ""
            tape.turn(tool, {**arguments, **({"request_id": str(rng.random())} if noise else {})}, stamp + answer)
    loops = scan(tape.steps)
    assert any(loop.last_step > first for loop in loops)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_generated_work_is_left_alone(seed):
    """A run of reads, writes, polls and pages that gets on is never called a loop."""
    assert scan(_legitimate(seed, 60).steps) == ()


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(sorted(POSITIVE)), seed=st.integers(0, 10**6))
def test_later_work_takes_nothing_back(name, seed):
    """Appending a legitimate stretch never removes a loop that was there before."""
    steps = list(POSITIVE[name])
    later = [
        replace(step, number=step.number + len(steps), span_id=f"l{step.span_id}")
        for step in _legitimate(seed, 15).steps
    ]
    before = {(loop.rule, loop.first_step) for loop in scan(steps)}
    assert before <= {(loop.rule, loop.first_step) for loop in scan([*steps, *later])}


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60)), max_size=12),
)
def test_any_text_is_survived(texts):
    """Whatever stands in names, arguments and answers, the scan ends and its steps lie in the trajectory."""
    tape = Tape()
    for tool, arguments, answer in texts:
        tape.turn(tool, arguments, answer, say=answer)
    for loop in scan(tape.steps):
        assert 1 <= loop.first_step <= loop.last_step <= len(tape.steps)
        assert 0 < loop.confidence <= 1
        assert loop.wasted_steps >= 0


def _legitimate(seed: int, turns: int) -> Tape:
    """Return a run that gets on: reads with new content, edits, pages, polls that end, short acknowledgements."""
    rng = random.Random(seed)  # noqa: S311 - seeded by the example
    tape = Tape()
    for i in range(turns):
        salt = seed * 1000 + i
        kind = rng.randrange(6)
        if kind == 0:
            tape.turn("read_file", {"path": f"{words(salt, 1)}.py"}, words(salt, 50), say=words(salt + 1, 8))
        elif kind == 1:
            tape.turn("edit_file", {"path": f"{words(salt, 1)}.py", "new": words(salt, 10)}, "edited")
        elif kind == 2:
            for page in range(3):
                tape.turn("list_items", {"of": words(salt, 1), "page": page}, words(salt + 7 * page + 1, 40))
        elif kind == 3:
            for _ in range(rng.randrange(1, 5)):
                tape.turn("get_job_status", {"id": words(salt, 1)}, '{"state": "running"}')
            tape.turn("get_job_status", {"id": words(salt, 1)}, '{"state": "completed"}')
        elif kind == 4:
            tape.turn(
                "search_kb", {"query": words(salt, 4)}, rng.choice(["No results.", words(salt, 30)]), say="OK, next."
            )
        else:
            tape.say(words(salt, 40), asked=words(salt + 3, 12))
    return tape


def test_recorded_coding_runs(shared_data):
    """Of fifty-seven recorded coding runs, in which people found no loop, none is flagged."""
    paths = sorted((shared_data / "fleet_swebench_mini_gemini3pro" / "trajs").rglob("*.traj.json"))[:20]
    for path in paths:
        tape = Tape()
        messages = json.loads(path.read_text())["messages"]
        for message, answer in zip(messages[2::2], messages[3::2], strict=False):
            tape.turn("bash", message["content"], str(answer["content"]), say=message["content"])
        assert scan(tape.steps) == (), path.name
