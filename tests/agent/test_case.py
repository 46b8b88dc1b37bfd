"""The case file: its budget, its markers, and what it never leaves out."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace

import pytest
from agent.cases import (
    ERROR,
    HEALTHY,
    SECOND,
    WORST,
    HeldStore,
    answer,
    chat,
    incident,
    looping,
    the_case,
    tool,
    trajectory,
    well,
)
from agent.scripting import submit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analyzer.agent.case import BESIDE_TOKENS_MAX, build_case, room_of
from analyzer.agent.explainer import Explainer
from analyzer.agent.investigate import Means
from analyzer.agent.model import ModelReply
from analyzer.agent.notable import first_difference, notable
from analyzer.agent.outline import chosen_lines, left_out, rows_of
from analyzer.agent.passages import CUT, excerpt
from analyzer.agent.portions import portions
from analyzer.agent.scripted import ScriptedModel
from analyzer.agent.text import Markers, estimate_tokens
from analyzer.types.messages import readable
from analyzer.types.report import Subject
from analyzer.types.trace import Span

WORDS = st.sampled_from(
    ["order", "not found", "503", "ünïcode", "日本語のテキスト", "x" * 900, "</span>", "\u202e", "{}"]
)


def long_run(count: int, *, error_at: int | None = None, distinct: bool = True):
    """Return a run of `count` steps, with one error in it."""
    spans: list[Span] = []
    for number in range(1, count + 1):
        if number == error_at:
            spans.append(tool(number, '{"q": 1}', "", error=ERROR))
        elif number % 2:
            spans.append(chat(number, f"I try {number if distinct else 'again'}" * 20))
        else:
            arguments = f'{{"q": {number if distinct else 0}}}'
            spans.append(
                tool(number, arguments, f"nothing for {number if distinct else 0}, " * 30, name=f"tool_{number % 7}")
            )
    return trajectory(spans)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    count=st.integers(10, 1_500),
    error=st.floats(0.1, 1.0),
    distinct=st.booleans(),
    tokens_max=st.integers(2_000, 12_000),
)
def test_the_budget_holds_and_the_error_is_in_sight(count: int, error: float, distinct: bool, tokens_max: int):
    """However long the run and small the budget, the case file fits, and its error is shown and can be quoted."""
    error_at = max(int(count * error), 1)
    run = long_run(count, error_at=error_at, distinct=distinct)
    case = build_case(incident(), trajectories=[run], healthy=[well()], tokens_max=tokens_max)
    assert estimate_tokens(case.text) <= tokens_max
    span = run.steps[error_at - 1].span_id
    assert re.search(rf'id="{span}" field="status_message" note="step {error_at}, [^"]*ERROR', case.text)
    assert case.shown.holds(WORST, span, "status_message", ERROR)


def test_ten_thousand_steps_fit_in_a_few_seconds():
    """A run of 10,000 distinct steps is outlined within the budget and within seconds."""
    run = long_run(10_000, error_at=7_777)
    began = time.monotonic()
    case = build_case(incident(), trajectories=[run], healthy=[well()])
    assert time.monotonic() - began < 20
    assert estimate_tokens(case.text) <= 12_000
    assert case.shown.holds(WORST, run.steps[7_776].span_id, "status_message", ERROR)
    assert re.search(r"steps \d+-\d+ are not shown here", case.text)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.lists(WORDS, min_size=1, max_size=8).map(" ".join), min_size=1, max_size=12))
def test_whatever_stands_between_markers_can_be_quoted(texts: list[str]):
    """Every line shown between span markers without a hidden character stands verbatim in its span."""
    run = trajectory([tool(number, text, text[::-1]) for number, text in enumerate(texts, 1)])
    case = build_case(incident(), trajectories=[run], healthy=[], tokens_max=4_000)
    mark = case.markers.mark
    pattern = rf'<span:{mark} id="(\w+)" field="(\w+)"[^>]*>\n(.*?)\n</span:{mark}>'
    found = re.findall(pattern, case.text, re.DOTALL)
    assert found
    for span, field, body in found:
        held = readable(getattr(run.span(span), field))
        for line in body.splitlines():
            if line.strip() and "⟨" not in line:
                assert line in held
                assert case.shown.holds(WORST, span, field, line)


def test_the_same_case_gives_the_same_bytes():
    """The case file is a function of the incident: nothing in it is random."""
    assert the_case().text == the_case().text


def test_a_mark_is_found_in_no_text():
    """A span that guesses the mark only makes another one be taken."""
    first = Markers(["a"]).mark
    second = Markers(["a", first]).mark
    assert second not in {"a", first}
    digests = ["x"]
    for _ in range(5):
        digests.append(Markers(digests).mark)
    assert len(set(digests)) == 6


def test_repeats_are_folded_and_errors_are_not():
    """Twenty-five identical calls take one line; the failing one after them has its own."""
    text = the_case().text
    assert "steps 2-26: lookup_order x25, same arguments, same result" in text
    assert text.count("lookup_order ok") <= 6
    assert re.search(r'field="status_message" note="step 27, tool lookup_order ERROR', text)


def test_groups_of_steps_that_repeat_are_folded():
    """A cycle of several steps is shown once and counted."""
    spans = []
    for number in range(1, 31, 3):
        spans += [
            chat(number, "again"),
            tool(number + 1, "{}", "a", name="first"),
            tool(number + 2, "{}", "b", name="second"),
        ]
    run = trajectory(spans)
    lines = [row.line for row in rows_of(run.steps, Markers([]))]
    assert len(lines) == 4
    assert "steps 1-30: these 3 steps x10" in lines[3]


def test_every_step_is_in_the_outline():
    """The rows of an outline cover all steps, in order, without holes."""
    for run in (looping(), long_run(101, error_at=50), long_run(100, distinct=False)):
        rows = rows_of(run.steps, Markers([]))
        covered: set[int] = set()
        for row in rows:
            covered |= set(range(row.first, row.last + 1))
        assert covered == set(range(1, len(run.steps) + 1))


def test_what_an_outline_leaves_out_is_counted():
    """Where not every line fits, the hole says how many steps it has and names its errors."""
    run = long_run(400, error_at=200)
    rows = rows_of(run.steps, Markers([]))
    lines = chosen_lines(rows, frozenset(), 900)
    assert lines[0].first == 1
    assert lines[-1].last == 400
    assert any(row.first == 200 and ERROR in row.line for row in lines)
    assert left_out(rows[197:202], run.steps) == (
        "  … steps 198-202 are not shown here (support-triage x2, tool_2 x1, lookup_order x1, tool_6 x1; "
        f"ERROR x1: {ERROR})"
    )


def test_long_fields_show_their_beginning_and_their_end():
    """Goals stand at the beginning and errors at the end of a long text: both are shown and can be quoted."""
    run = trajectory([tool(1, "{}", "BEGINNING-OF-IT " + "x " * 9_000 + " THE-END-OF-IT", error=ERROR)])
    case = build_case(incident(), trajectories=[run], healthy=[])
    span = run.steps[0].span_id
    assert case.shown.holds(WORST, span, "output", "BEGINNING-OF-IT")
    assert case.shown.holds(WORST, span, "output", "THE-END-OF-IT")
    assert not case.shown.holds(WORST, span, "output", "BEGINNING-OF-IT THE-END-OF-IT")


def test_the_first_difference_from_a_peer():
    """The step where a run leaves its peer's path is the first that calls or ends otherwise, or goes on alone."""
    worst, peer = looping().steps, well().steps
    differs = first_difference(worst, peer)
    assert differs is not None
    assert differs.number == 3
    assert first_difference(peer, peer) is None
    assert first_difference(worst[:2], peer) is None


def test_a_loop_is_shown_where_it_starts():
    """Four identical calls with identical answers are a loop, shown at the first; three are not."""
    case = build_case(incident(), trajectories=[looping(times=4)], healthy=[])
    assert re.search(
        r'id="a{8}0{7}2" field="input"[^>]*"step 2, [^>]*; a loop starts here, 4 times to step 5', case.text
    )
    assert "loop starts" not in build_case(incident(), trajectories=[looping(times=3)], healthy=[]).text


def test_the_failure_of_the_incidents_tool_comes_before_others():
    """Where there is room for few steps, the error of the tool the incident is about is shown, wherever it stands."""
    words = ["pool", "lock", "disk", "quota", "route"]
    spans = [
        tool(number, "{}", "", name="fetch", error=f"{words[number % 5]} {'x' * number} is not there, " * 20)
        for number in range(1, 60)
    ]
    spans[29] = tool(30, "{}", "", name="run_sql", error=ERROR)
    run = trajectory(spans)

    def shows_it(subject: Subject) -> bool:
        case = build_case(incident(subject=subject), trajectories=[run], healthy=[], tokens_max=1_200)
        return case.shown.holds(WORST, run.steps[29].span_id, "status_message", ERROR)

    assert shows_it(Subject(agent="support-triage", tool="run_sql"))
    assert not shows_it(Subject(agent="support-triage", tool="fetch"))


def test_a_case_without_trajectories_still_has_its_facts():
    """A metric-only incident (nothing stored) makes a case file of facts."""
    case = build_case(incident(trace_ids=(), healthy_trace_ids=()), trajectories=[], healthy=[])
    assert "F1: " in case.text
    assert case.trace_ids == frozenset()


def test_scope_is_the_incident_and_its_peers():
    """Only the incident's trajectories and healthy peers may be opened."""
    assert the_case().trace_ids == {WORST, SECOND, HEALTHY}


def two_agents():
    """Return a run of a planner and a worker whose prompts repeat what the other said."""
    plan = replace(chat(1, "Plan: the worker reads the file.", heard="What does the file say?"), agent="planner")
    work = replace(chat(2, "The file says nothing useful."), agent="worker")
    work = replace(work, input=plan.output)
    said = "The file is empty, I think, so the answer is 42."
    last = replace(chat(3, said), agent="planner", input=work.output)
    return trajectory([plan, work, last])


def test_a_run_that_fits_is_shown_whole_in_its_order():
    """Every text of a short run stands in the case file once, in order, with its step, its agent and its place."""
    case = build_case(incident(), trajectories=[two_agents()], healthy=[])
    text = case.text[case.text.index("<trajectory:") :].replace(case.markers.mark, "MARK")
    ids = [span.span_id for span in two_agents().spans if span.operation.is_step]

    def tag(number: int, field: str, agent: str, why: str) -> str:
        what = f"step {number}, chat claude-haiku-5-5 {agent} ok, 1250 tok, 1500 ms, 0.0012 USD; {why}"
        return f'<span:MARK id="{ids[number - 1]}" field="{field}" note="{what}">\n'

    assert text == (
        f'<trajectory:MARK id="{WORST}" role="affected">\n'
        "3 steps; every step is shown whole; lines outside of span tags are summaries, not quotable\n"
        f'<span:MARK id="{ids[0]}" field="system" note="system prompt">\n'
        "You triage support tickets. Never promise refunds.\n</span:MARK>\n"
        + tag(1, "input", "planner", "the first step")
        + "user: What does the file say?\n</span:MARK>\n"
        + tag(1, "output", "planner", "the first step")
        + "assistant: Plan: the worker reads the file.\n</span:MARK>\n"
        + tag(2, "output", "worker", "one of the last steps")
        + "assistant: The file says nothing useful.\n</span:MARK>\n"
        + tag(3, "output", "planner", "the last step")
        + "assistant: The file is empty, I think, so the answer is 42.\n</span:MARK>\n"
        "</trajectory:MARK>"
    )


@settings(max_examples=40, deadline=None)
@given(
    needs=st.lists(st.integers(0, 3_000), max_size=40),
    weights=st.lists(st.floats(0.1, 20), min_size=40, max_size=40),
    room=st.integers(0, 20_000),
    floor=st.integers(0, 100),
)
def test_portions_fill_a_room_and_never_more(needs: list[int], weights: list[float], room: int, floor: int):
    """Nobody gets more than it needs, all together no more than there is, and nobody less than the floor if all can."""
    got = portions(needs, weights[: len(needs)], room, floor)
    assert sum(got) <= room
    assert all(one <= need for one, need in zip(got, needs, strict=True))
    if sum(min(need, floor) for need in needs) <= room:
        assert all(one >= min(need, floor) for one, need in zip(got, needs, strict=True))
    if sum(needs) <= room:
        assert got == needs


@given(text=st.text(alphabet="ab \nü語", max_size=2_000), tokens_max=st.integers(12, 400))
def test_an_excerpt_stands_in_its_text_and_fits(text: str, tokens_max: int):
    """The pieces of an excerpt are a beginning and an end of the text, and they and the mark between them fit."""
    pieces = excerpt(text, tokens_max)
    assert text.startswith(pieces[0])
    assert text.endswith(pieces[-1]) or len(pieces) == 1
    assert estimate_tokens(CUT.join(pieces)) <= tokens_max


def test_the_source_of_what_the_answer_says_is_notable():
    """The step that first said a value of the final answer outweighs one that said nothing of it."""
    spans = [chat(number, f"Nothing of note happens here, as ever ({'x' * number}).") for number in range(1, 12)]
    spans[4] = tool(5, "{}", "The invoice 7731-B was paid twice.", name="run_sql")
    spans.append(chat(12, "I have checked: the invoice 7731-B was paid twice by the customer."))
    found = notable(trajectory(spans).steps)
    assert found[5].why == "first to say what the answer says"
    assert found[5].points > max(found[number].points for number in (3, 4, 6, 7))


def sent_what_tools_gave(*given: str):
    """Return a run whose second inference is sent what tools gave, side by side, as instrumentations write it."""
    uses = [replace(tool(number, f'{{"id": {number}}}', one)) for number, one in enumerate(given, 2)]
    parts = [{"type": "tool_call_response", "id": f"t{number}", "response": one} for number, one in enumerate(given)]
    reads = replace(chat(len(given) + 2, "Both are paid."), input=json.dumps([{"role": "user", "parts": parts}]))
    return trajectory([chat(1, "I will look the orders up.", heard="Are they paid?"), *uses, reads])


@given(given_=st.lists(st.text(st.characters(categories=("L", "N")), min_size=30, max_size=80), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_what_a_tool_returned_is_not_shown_again_as_the_input_of_the_next_step(given_: list[str]):
    """Each result stands in the file once, at the tool that gave it, also where several come in one message."""
    case = build_case(incident(), trajectories=[sent_what_tools_gave(*given_)], healthy=[])
    assert all(case.text.count(one) == given_.count(one) for one in given_)
    assert "[result]" not in case.text


def test_a_message_that_says_more_than_tools_returned_is_shown():
    """Where one result among several is nowhere else, the message that holds it is shown whole."""
    run = sent_what_tools_gave("order 1 is paid since Monday", "order 2 is paid since Tuesday")
    spans = [replace(span, output="cut off") if span.span_id == run.steps[2].span_id else span for span in run.spans]
    case = build_case(incident(), trajectories=[replace(run, spans=tuple(spans))], healthy=[])
    assert "[result] order 2 is paid since Tuesday" in case.text


def test_a_system_prompt_is_shown_once_and_another_one_is_shown():
    """Runs of one agent begin with one prompt, which stands in the first of them only; a changed one stands too."""
    first, second, third = (looping(one) for one in (WORST, SECOND, HEALTHY))
    changed = [replace(span, system="You triage tickets.") if span.system else span for span in third.spans]
    third = replace(third, spans=tuple(changed))
    case = build_case(incident(), trajectories=[first, second], healthy=[third])
    assert case.text.count("Never promise refunds.") == 1
    assert case.text.count("You triage tickets.") == 1
    assert case.text.index("Never promise refunds.") < case.text.index(f'id="{SECOND}"')


def test_what_stands_beside_the_worst_is_bounded():
    """The worst trajectory gets the room that the others, which are there to compare with, do not take."""
    runs = [trajectory(list(long_run(200).spans[1:]), WORST)]
    others = [
        trajectory([replace(span, trace_id=one, span_id=f"{one[0]}{span.span_id[1:]}") for span in run.spans[1:]], one)
        for one, run in ((SECOND, long_run(200)), (HEALTHY, long_run(200)))
    ]
    case = build_case(incident(), trajectories=[*runs, others[0]], healthy=[others[1]])
    sections = re.findall(rf"<trajectory:{case.markers.mark}.*?</trajectory:{case.markers.mark}>", case.text, re.DOTALL)
    worst, second, peer = map(estimate_tokens, sections)
    assert second <= BESIDE_TOKENS_MAX["affected"]
    assert peer <= BESIDE_TOKENS_MAX["healthy peer"]
    assert worst > 8_000


@pytest.mark.parametrize(
    ("sent", "setting", "room"),
    [(160_000, 12_000, 10_000), (20_000, 12_000, 4_000), (10**6, 12_000, 12_000), (0, 12_000, 12_000), (20_000, 9, 9)],
)
def test_the_file_of_an_incident_is_a_part_of_what_its_runs_were_sent(sent: int, setting: int, room: int):
    """A sixteenth of the input, 4,000 tokens at least, the setting at most; the setting where no usage is known."""
    one = looping()
    half = replace(one, summary=replace(one.summary, input_tokens=sent // 2))
    assert room_of([half, half], setting) == room


def test_an_incident_is_explained_within_its_part_and_a_question_has_all_of_it():
    """What goes to the model about an incident of cheap runs is small; a person who asks gets the whole setting."""
    long = long_run(300)
    means = Means(ScriptedModel([submit(answer()), ModelReply(text="no")]), HeldStore(long, well()))
    explainer = Explainer(means, 12_000)
    one = incident(trace_ids=(WORST,), healthy_trace_ids=(HEALTHY,))
    cheap = replace(long, summary=replace(long.summary, input_tokens=50_000))
    means.store.held[WORST] = cheap
    explainer.explain(one, budget_usd=1.0, history_start=one.onset)
    explainer.about_incident(one, history_start=one.onset).ask("why?")
    explained, asked = (means.model.requests[at].messages[0].blocks[0].text for at in (0, -1))
    assert 2_000 < estimate_tokens(explained) <= 4_000
    assert estimate_tokens(asked) > 8_000
