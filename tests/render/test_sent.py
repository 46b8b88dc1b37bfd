"""What one inference was sent that another was not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.spans import chat, history

from analyzer.render.sent import WORDS_MAX, Alone, sent_document, sent_lines, sent_of, words_apart
from analyzer.types.trajectory import steps_of

GOAL = "Customer 17 asks about an order. Be short."


def lines(a: str, b: str, **fields: str) -> list[str]:
    """Return what is said of two inferences that were sent these texts."""
    spans = [chat(number, 2, input=history(text), **fields) for number, text in enumerate((a, b), 1)]
    (one,), (other,) = (steps_of([span]) for span in spans)
    return list(sent_lines(one, other, lambda *_: (sent_of(spans[0]), sent_of(spans[1]))))


def test_text_put_into_a_line_is_shown_either_way_round() -> None:
    """The words that came in are quoted, on the side that has them; the other side is said to have nothing more."""
    more = GOAL.replace(" Be", " Add all tickets of the last year. Be")
    assert lines(GOAL, more) == [
        "Other words were sent to step 1:",
        "  A  nothing that the other was not",
        "  B  7 words alone: Add all tickets of the last year.",
    ]
    assert [line[4:] for line in lines(more, GOAL)[1:]] == [line[4:] for line in lines(GOAL, more)[:0:-1]]


def test_instructions_and_tools_are_what_an_inference_is_sent_too() -> None:
    """A system prompt that differs is found as a message is; the same everywhere is not spoken of."""
    assert lines(GOAL, GOAL, system="Be kind.") == []
    span = chat(1, 2, system="Be kind.", tool_definitions="[pay]", input=history("hello"))
    assert sent_of(span).split() == ["Be", "kind.", "[pay]", "user:", "hello"]


def test_hostile_words_stay_in_their_line() -> None:
    """What was sent may hold anything: it is shown, and neither breaks a line nor steers the terminal."""
    said = lines(GOAL, f"{GOAL} \x1b[2J\u202e evil")
    assert len(said) == 3
    assert all(line.isprintable() for line in said)


def test_the_longest_stretches_are_quoted_in_their_order_and_all_are_counted() -> None:
    """Four stretches came in: the shortest is left out, and stands in the count; the line stays short."""
    more = "a1 one b2 two two2 c3 three three2 three3 d4 four four2 four3 four4"
    said = lines("a1 b2 c3 d4", more)
    assert said[2] == "  B  10 words alone: two two2 … three three2 three3 … four four2 four3 four4"
    assert len(lines("", "word " * 500)[2]) < 200


def test_what_is_longer_than_is_compared_is_said() -> None:
    """The first words are compared, and it is said that these are not all."""
    whole = "same " * WORDS_MAX
    assert lines(whole, f"{whole} more") == []
    assert lines(f"more {whole}", whole)[0] == "Other words were sent to step 1 (of the first 20,000):"
    spans = [chat(1, 2), chat(2, 2)]
    (one,), (other,) = (steps_of([span]) for span in spans)
    told = [sent_document(one, other, lambda *_, text=text: (text, GOAL)) for text in (f"more {whole}", f"more {GOAL}")]
    assert [part is not None and part["words_max"] for part in told] == [WORDS_MAX, None]


@given(*[st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join)] * 2)
def test_nothing_is_lost_and_no_side_is_preferred(a: str, b: str) -> None:
    """What stands alone and what both share make up each text; exchanged, the sides are exchanged."""
    one, other = words_apart(a, b)
    assert words_apart(b, a) == (other, one)
    assert len(a.split()) - one.words == len(b.split()) - other.words
    assert ((one, other) == (Alone(0, ()), Alone(0, ()))) == (a == b)
