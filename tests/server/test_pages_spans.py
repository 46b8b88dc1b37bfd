"""What a span's page shows of its texts: all of a short one, the part that matters of a long one."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from support.spans import chat, history, tool

from analyzer.server.pages.drawing import LINE_HEIGHT, LINE_WIDTH, WATERFALL_WIDTH, bar, line_points
from analyzer.server.pages.spans import CHARACTERS_MAX, MESSAGES_MAX, Field, field_of, find


def shown(name: str, wanted: str = "", *, is_whole: bool = False, **fields: str) -> Field:
    """Return a field of a span as its page shows it."""
    found = field_of(name, chat(1, 2, **fields), wanted, is_whole=is_whole)
    assert found is not None
    return found


def marked(field: Field) -> list[str]:
    """Return what is marked in a field."""
    return [text for said in field.said for text, mark in said.pieces if mark]


@given(st.text(min_size=1).filter(str.strip), st.integers(0, 50), st.integers(1, 20))
def test_the_pieces_of_a_text_are_the_text(text: str, start: int, length: int) -> None:
    """Nothing is lost or added by marking, and a quote from the text is marked in its own words."""
    quote = text[start : start + length]
    field = field_of("output", tool(1, 2, output=json.dumps(text)), quote, is_whole=True)
    assert field is not None
    assert "".join(piece for said in field.said for piece, _ in said.pieces) == text
    assert marked(field) == ([quote] if quote else [])


def test_a_quote_in_one_message_is_marked_in_the_chat() -> None:
    """The chat stays a chat, and the words stand marked in the message that says them."""
    field = shown("input", "order 7", input=history("Where is order 7?", "I look."))
    assert field.is_chat
    assert [said.is_marked for said in field.said] == [True, False]


def test_a_quote_over_two_messages_is_marked_in_the_text_as_a_whole() -> None:
    """Evidence quotes the readable form, in which messages follow each other with their roles."""
    payload = json.dumps([{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}])
    field = shown("input", "one\nassistant: two", input=payload)
    assert not field.is_chat
    assert marked(field) == ["one\nassistant: two"]


def test_of_a_long_conversation_the_part_around_the_quote_is_shown() -> None:
    """Of a thousand messages those around the quote come, else the last; whole on demand."""
    payload = history(*(f"message {number}." for number in range(1000)))
    around = shown("input", "message 500.", input=payload)
    assert (len(around.said), around.before + len(around.said) + around.after) == (MESSAGES_MAX, 1000)
    assert marked(around) == ["message 500."]
    assert shown("input", input=payload).after == 0
    assert len(shown("input", input=payload, is_whole=True).said) == 1000


def test_of_a_long_text_the_quote_is_in_what_is_shown() -> None:
    """A quote at the end of a text of megabytes is shown, and how much is not."""
    field = shown("output", "the end", output="x" * 1_000_000 + " the end")
    assert marked(field) == ["the end"]
    assert 0 < len(field.said[0].pieces[0][0]) < CHARACTERS_MAX
    assert field.is_cut
    assert not shown("output", "the end", is_whole=True, output="x" * 1_000_000 + " the end").is_cut


def test_tools_that_were_offered_are_shown_with_their_parameters() -> None:
    """The definitions stand as JSON; a quote from their readable form is marked in that."""
    tools = json.dumps([{"type": "function", "name": "refund", "parameters": {"order": "string"}}])
    assert '"order": "string"' in shown("tool_definitions", tool_definitions=tools).said[0].pieces[0][0]
    assert marked(shown("tool_definitions", "[call refund ]", tool_definitions=tools)) == ["[call refund ]"]
    assert shown("tool_definitions", tool_definitions="[not json").said[0].pieces[0][0] == "[not json"


def test_a_letter_that_grows_with_its_case_moves_no_mark() -> None:
    """A search ignores case only where every place stays where it is."""
    assert find("ORDER seven", "order") == 0
    assert find("\u0130 ORDER", "order") == -1


NUMBERS = st.one_of(st.none(), st.floats(0, 1e9))


@given(st.lists(NUMBERS, max_size=200))
def test_a_line_stays_in_its_frame(values: list[float | None]) -> None:
    """Every point of a chart is in it, but for half a dash of a lone value at its sides."""
    for stretch in line_points(values):
        for point in stretch.split():
            x, y = map(float, point.split(","))
            assert -1.5 <= x <= LINE_WIDTH + 1.5
            assert 0 <= y <= LINE_HEIGHT


TIMES = st.one_of(st.none(), st.integers(0, 2**63))


@given(TIMES, TIMES, TIMES, TIMES)
def test_a_bar_stays_in_its_row_and_can_be_seen(
    start: int | None, end: int | None, first: int | None, last: int | None
) -> None:
    """Whatever clocks say, a bar has a width and ends within the row."""
    drawn = bar(start, end, first, last)
    if drawn is not None:
        assert drawn[0] >= 0
        assert drawn[1] > 0
        assert drawn[0] + drawn[1] <= WATERFALL_WIDTH + 0.2
