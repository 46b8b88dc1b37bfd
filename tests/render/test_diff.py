"""Two trajectories side by side: what they share, where they part, in text that hostile spans cannot bend."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile import ATTACKS
from support.spans import chat, root, tool

from analyzer.render.diff import Walk, diff_document, diff_view
from analyzer.render.pairs import Match, compare
from analyzer.types.trace import Span, Status, Tokens
from analyzer.types.trajectory import ordered, steps_of, summarise


def spans_of(number: int, *steps: tuple[str, str, str]) -> list[Span]:
    """Return a trajectory of (tool, arguments, result), an inference before each call; tool "" is a mere answer."""
    spans = [root(number, lasts_s=100 + len(steps))]
    for index, (name, arguments, result) in enumerate(steps):
        words = json.dumps([{"role": "assistant", "content": f"run {number} says {index}"}])
        spans.append(chat(number, 10 + 2 * index, at_s=1 + 2 * index, output=words))
        if name:
            call = tool(number, 11 + 2 * index, at_s=2 + 2 * index, tool=name, input=arguments, output=result)
            spans.append(call)
    return spans


def walk(spans) -> Walk:
    """Return spans as they are compared."""
    in_order = ordered(spans)
    return Walk(summarise(in_order[0].trace_id, in_order), steps_of(in_order))


def run(number: int, *steps: tuple[str, str, str]) -> Walk:
    """Return a walk over the same."""
    return walk(spans_of(number, *steps))


LOOK = ("lookup", '{"order": "A-1", "full": true}', "shipped")
SAME_LOOK = ("lookup", '{"full":true,\n "order":"A-1"}', "shipped")
LOST = ("lookup", '{"order": "A-1", "full": true}', "not found")
CANCEL = ("cancel", "{}", "done")
ANSWER = ("", "", "")


def matches(a: Walk, b: Walk) -> list[Match]:
    """Return how the steps compare."""
    return [pair.match for pair in compare(a.steps, b.steps).pairs]


def test_the_order_of_arguments_and_the_words_of_a_model_say_nothing():
    """Runs that call the same take the same steps, however they put it."""
    a, b = run(1, LOOK, ANSWER), run(2, SAME_LOOK, ANSWER)
    assert set(matches(a, b)) == {Match.SAME}
    assert "They take the same 3 steps." in diff_view(a, b)
    assert diff_document(a, b)["parting"] is None


def test_the_first_step_that_they_do_not_share_is_named():
    """The report says after how many steps they part and what each did there."""
    a, b = run(1, LOOK, LOOK, ANSWER), run(2, LOOK, CANCEL, ANSWER)
    text = diff_view(a, b)
    assert "They take the same 2 steps, then part:" in text
    document = diff_document(a, b)
    assert (document["parting"]["a"]["step"], document["parting"]["b"]["step"]) == (3, 3)
    assert document["steps"] == {"a": 5, "b": 5, "shared": 2}
    assert document["schema"] == "analyzer.trace-diff/1"
    json.dumps(document)


def test_another_result_of_the_same_call_is_pointed_out():
    """Where the same call came back with something else before they parted, that is said, too."""
    a, b = run(1, LOOK, CANCEL), run(2, LOST, LOOK)
    compared = compare(a.steps, b.steps)
    assert (compared.other_result, compared.parting) == (1, 2)
    text = diff_view(a, b)
    assert "Before that, the same call came back with something else:" in text
    assert "-> shipped" in text
    assert "-> not found" in text


def test_what_costs_more_for_the_same_steps_is_said():
    """Runs that take the same steps may be sent unlike amounts of text: the inference that differs most is named."""

    def sent(number: int, *counts: int) -> Walk:
        spans = spans_of(number, LOOK, ANSWER)
        of_each = iter(counts)
        return walk([replace(span, tokens=Tokens(next(of_each), 10)) if span.model else span for span in spans])

    text = diff_view(sent(1, 7000, 900), sent(2, 2000, 880))
    assert "They take the same 3 steps." in text
    assert "Most tokens apart is step 1, claude-sonnet-5-5: 7010 in A, 2010 in B (3.5x)." in text
    assert "Most tokens apart" not in diff_view(sent(1, 2400, 900), sent(2, 2000, 880))


def test_a_failure_is_another_result():
    """A call that failed in one run and said the same is not the same."""
    a = run(1, LOOK)
    spans = [replace(s, status=Status.ERROR, status_message="boom") if s.tool else s for s in spans_of(2, LOOK)]
    assert matches(a, walk(spans)) == [Match.SAME, Match.OTHER_RESULT]


def test_the_same_tool_with_other_arguments():
    """Turns with the same tools and other arguments stand beside each other."""
    a, b = run(1, LOOK, ANSWER), run(2, ("lookup", '{"order": "B-2"}', "x"), ANSWER)
    assert matches(a, b)[:2] == [Match.OTHER_ARGUMENTS] * 2
    assert "with other arguments" in diff_view(a, b)


def test_a_run_that_ends_early_parts_at_its_end():
    """Where one run ends, the other goes on alone."""
    a, b = run(1, LOOK), run(2, LOOK, CANCEL)
    assert matches(a, b) == [Match.SAME, Match.SAME, Match.ONLY_B, Match.ONLY_B]
    assert "  A  ends here" in diff_view(a, b)


def test_loops_are_folded():
    """A call that comes thirty times is a line, not thirty."""
    text = diff_view(run(1, *[LOOK] * 30), run(2, CANCEL))
    assert "x30, same result" in text
    assert len(text.splitlines()) < 15


def test_long_stretches_end_in_a_count():
    """A stretch of many different calls shows the first ones and how many lines follow."""
    text = diff_view(run(1, *[("lookup", json.dumps({"n": n}), "x") for n in range(40)]), run(2, CANCEL))
    assert "... 28 more lines" in text


def test_runs_without_steps():
    """Two runs that did nothing are said to have done nothing."""
    assert "Neither has any steps." in diff_view(run(1), run(2))


DIGITS = st.integers(0, 30)
TEXTS = st.sampled_from(["ok", "gone", "order 7 of 12", ""])
CALLS = st.lists(st.sampled_from([LOOK, SAME_LOOK, LOST, CANCEL, ANSWER]), max_size=12)


@given(CALLS, CALLS)
def test_every_step_occurs_once_and_in_order(left, right):
    """Whatever two runs did, each step of both stands in the comparison exactly once, in its order."""
    a, b = run(1, *left), run(2, *right)
    compared = compare(a.steps, b.steps)
    pairs = compared.pairs
    assert [pair.a for pair in pairs if pair.a] == list(a.steps)
    assert [pair.b for pair in pairs if pair.b] == list(b.steps)
    for pair in pairs:
        assert (pair.a is None) == (pair.match is Match.ONLY_B)
        assert (pair.b is None) == (pair.match is Match.ONLY_A)
    assert all(pair.is_shared for pair in pairs[: compared.parting])


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_is_shown_and_not_obeyed(attack):
    """Nothing in a name, an argument or a result breaks a line, moves the cursor or hides."""
    b = run(2, LOOK)
    spans = spans_of(1, (attack, attack, attack), LOOK)
    hostile = walk(replace(span, model=attack, agent=attack, agent_version=attack) for span in spans)
    plain_lines = len(diff_view(run(1, ("x", "y", "z"), LOOK), b).splitlines())
    text = diff_view(hostile, b, columns=80)
    assert all(char == "\n" or char.isprintable() for char in text)
    assert len(text.splitlines()) == plain_lines
    assert "\u202e" not in text


@given(CALLS)
def test_a_run_and_itself_have_no_difference(calls):
    """Of a run beside itself nothing is reported but that it is the same."""
    compared = compare(run(1, *calls).steps, run(1, *calls).steps)
    assert {pair.match for pair in compared.pairs} <= {Match.SAME}
    assert (compared.parting, compared.other_result, compared.replaced) == (None, None, ())


OTHER_SIDE = {Match.ONLY_A: Match.ONLY_B, Match.ONLY_B: Match.ONLY_A}
NUMBERED = st.lists(
    st.tuples(st.sampled_from(["get", "put"]), st.builds('{{"id": {}, "n": {}}}'.format, DIGITS, DIGITS), TEXTS),
    max_size=10,
)


@given(st.one_of(CALLS, NUMBERED), st.one_of(CALLS, NUMBERED))
def test_a_comparison_has_no_preferred_side(left, right):
    """Exchanged, two runs have the same pairs, the same parting and the same renamings, with the sides exchanged."""
    a, b = run(1, *left), run(2, *right)
    there, back = compare(a.steps, b.steps), compare(b.steps, a.steps)
    turned = [(OTHER_SIDE.get(pair.match, pair.match), pair.b, pair.a) for pair in back.pairs]
    assert sorted(turned, key=repr) == sorted(((pair.match, pair.a, pair.b) for pair in there.pairs), key=repr)
    assert there.parting == back.parting
    assert {(one.b, one.a, one.steps) for one in back.replaced} == {(one.a, one.b, one.steps) for one in there.replaced}


@given(st.lists(st.tuples(st.sampled_from(["get", "put"]), st.integers(0, 5), st.booleans()), max_size=12))
def test_other_ids_are_no_other_run(calls):
    """A run on other things, each called by one other id wherever it comes up, takes the same steps."""

    def on(number: int, ids: list[str]) -> Walk:
        texts = [('{"order_id": "%s", "full": true}' % ids[of], f"{ids[of]} found") for _, of, _ in calls]  # noqa: UP031
        noted = [
            {True: f" as {number}e5{at:05x}{number:04x}b", False: ""}[note] for at, (_, _, note) in enumerate(calls)
        ]
        made = zip(calls, texts, noted, strict=True)
        return run(number, *((name, arguments, result + note) for (name, _, _), (arguments, result), note in made))

    uuids = [[f"{side}{of}0e8400-e29b-41d4-a716-44665544000{of}" for of in range(6)] for side in "ab"]
    numbers = [[str(base + 13 * of) for of in range(6)] for base in (4700, 90_100)]
    for ids in (uuids, numbers):
        compared = compare(on(1, ids[0]).steps, on(2, ids[1]).steps)
        assert (compared.parting, len(compared.pairs)) == (None, 2 * len(calls))
    assert compare(on(1, uuids[0]).steps, on(2, uuids[1]).steps).other_result is None


def test_what_differs_throughout_is_said_once():
    """Two orders: no step is another one for it, and the report says which number stands for which."""
    a, b = (
        run(n, *[(name, f'{{"order": {order}}}', "done") for name in ("get", "pay")])
        for n, order in ((1, 4711), (2, 4712))
    )
    document = diff_document(a, b)
    assert (document["parting"], document["replaced"]) == (None, [{"a": "4711", "b": "4712", "steps": 2}])
    assert "Throughout, A says 4711 where B says 4712 (2 steps)." in diff_view(a, b)


def test_a_number_that_differs_once_is_a_difference():
    """One query with another limit is another query, and the line shows the place where they differ."""
    texts = [
        json.dumps({"sql": "select * from orders where state = 'open' and region = 'north'", "top": n})
        for n in (10, 1000)
    ]
    a, b = (run(n, LOOK, ("query", text, "ok"), ANSWER) for n, text in zip((1, 2), texts, strict=True))
    lines = diff_view(a, b).splitlines()
    assert "They take the same 2 steps, then part:" in lines
    assert '  A  step 4  query  …gion = \'north\'", "top": 10}  -> ok' in lines
    assert '  B  step 4  query  …gion = \'north\'", "top": 1000}  -> ok' in lines


def test_an_id_that_stands_for_two_is_a_difference():
    """Where one run works on one order and the other on two, they are not the same under other names."""
    a = run(1, *[("get", json.dumps({"order_id": one}), "x") for one in (11, 11)])
    b = run(2, *[("get", json.dumps({"order_id": one}), "x") for one in (21, 22)])
    assert compare(a.steps, b.steps).parting == 0


def test_times_are_no_difference():
    """When a call was made, and how long it took, is noise in arguments and results; a day is a choice."""
    calls = [
        ("list", f'{{"day": "2026-11-20", "at": "2026-11-2{n}T10:00:0{n}Z"}}', f"took {n}.5 ms, at 10:0{n}")
        for n in (1, 2)
    ]
    a, b = (run(n, call) for n, call in zip((1, 2), calls, strict=True))
    assert set(matches(a, b)) == {Match.SAME}
    assert matches(a, run(2, ("list", '{"day": "2026-11-21", "at": "2026-11-21T10:00:01Z"}', "took 1 ms, at 10:01")))[
        1
    ] is not (Match.SAME)


def test_steps_put_in_do_not_move_the_others():
    """A call more in the middle is a call more, and what follows is still the same."""
    rest = [("get", json.dumps({"page": n}), f"page {n}") for n in (2, 3, 4)]
    assert matches(run(1, LOOK, *rest), run(2, LOOK, CANCEL, *rest)) == [
        *[Match.SAME] * 2,
        *[Match.ONLY_B] * 2,
        *[Match.SAME] * 6,
    ]


def test_another_result_is_cut_around_the_difference():
    """Of two long results the place where they differ is shown, with what stands before it."""
    common = "row " * 500
    a, b = (run(n, ("query", "{}", f"{common}{end}")) for n, end in ((1, "ok and so on"), (2, "gone and so on")))
    text = diff_view(a, b)
    assert "-> …row row row row row row ok and so on" in text
    assert "-> …row row row row row row gone and so on" in text


def test_ten_thousand_steps_are_paired_whole():
    """Long runs that loop in other ways are aligned to the last step."""
    calls = [("lookup", json.dumps({"n": n % 7}), "x") for n in range(2500)]
    others = [("lookup", json.dumps({"n": (n * n) % 11}), "x") for n in range(2500)]
    a, b = run(1, *calls), run(2, *others)
    pairs = compare(a.steps * 2, b.steps * 2).pairs
    assert sum(pair.a is not None for pair in pairs) == sum(pair.b is not None for pair in pairs) == 10_000
    assert sum(pair.is_shared for pair in pairs) > 3000


def test_view_is_exactly_this():
    """A comparison reads as both runs, where they part and why, then what they share, do otherwise, and do alone."""
    refund = ("refund", '{"order_id": 4712}', "done")
    a = run(1, LOOK, ("query", '{"top": 10}', "10 rows"), ("pay", '{"order_id": 4711}', "paid"), *[LOOK] * 3, ANSWER)
    b = run(2, LOST, ("query", '{"top": 1000}', "1000 rows"), ("pay", '{"order_id": 4712}', "paid"), refund, ANSWER)
    assert diff_view(a, b) == (
        "A  000000000000  shop claude-sonnet-5-5 · 13 steps · 840 tokens · $0.0028 · 0 errors · outcome success\n"
        "B  000000000000  shop claude-sonnet-5-5 · 9 steps · 600 tokens · $0.002 · 0 errors · outcome success\n"
        "\n"
        "They take the same 2 steps, then part:\n"
        '  A  step 4  query  {"top": 10}  -> 10 rows\n'
        '  B  step 4  query  {"top": 1000}  -> 1000 rows\n'
        "Before that, the same call came back with something else:\n"
        '  A  step 2  lookup  {"order": "A-1", "full": true}  -> shipped\n'
        '  B  step 2  lookup  {"order": "A-1", "full": true}  -> not found\n'
        "\n"
        "=  steps 1-2 of A, steps 1-2 of B: 2 steps shared, 1 result differs\n"
        "~  steps 3-4 of A, steps 3-4 of B: 1 call with other arguments:\n"
        '     A  step 4  query  {"top": 10}  -> 10 rows\n'
        '     B  step 4  query  {"top": 1000}  -> 1000 rows\n'
        "=  steps 5-6 of A, steps 5-6 of B: 2 steps shared\n"
        "A  steps 7-12, 6 steps that the other has not:\n"
        '     steps 8-12: x3, same result: lookup  {"order": "A-1", "full": true}  -> shipped\n'
        "B  steps 7-8, 2 steps that the other has not:\n"
        '     step 8  refund  {"order_id": 4712}  -> done\n'
        "~  step 13 of A, step 9 of B: 1 step in other words\n"
    )
