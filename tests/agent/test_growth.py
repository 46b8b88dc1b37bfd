"""What costly trajectories are sent that no healthy peer is, where it stands in the same line as what all are sent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from agent.cases import HEALTHY, SECOND, WORST, chat, trajectory
from hypothesis import given
from hypothesis import strategies as st

from analyzer.agent.growth import Growth, growth
from analyzer.types.trajectory import Trajectory

GOAL = "Customer C-{} asks about case {}."
HISTORY = "Order shipped, invoice sent, reminder sent, customer replied politely."
ADDED = f"Full account history follows. {f'{HISTORY} ' * 6}".rstrip()


def sent(name: str, *texts: str) -> Trajectory:
    """Return a run with one inference for each text that it is sent."""
    spans = [replace(chat(n, "fine", trace_id=name), input=text) for n, text in enumerate(texts, 1)]
    return trajectory(spans, name)


def found(costly: list[Trajectory], healthy: list[Trajectory]) -> Growth | None:
    """Return what came with the rise, of texts that hold no secret."""
    return growth(costly, healthy, lambda text: text)


def wording(one: Growth) -> str:
    """Return all that the step is sent that the quote is of."""
    return str(one.trajectory.span(one.quote.span_id).input)


def test_a_sentence_put_into_a_line_that_all_are_sent_is_found():
    """The goal is of the same form everywhere, and what follows it in its line is in no healthy run."""
    costly = [sent(name, f"{GOAL.format(17, at)} {ADDED}", "go on") for at, name in enumerate((WORST, SECOND))]
    one = found(costly, [sent(HEALTHY, GOAL.format(4711, 3), "go on")])
    assert one is not None
    assert (one.step.number, one.quote.quote, one.noun, one.times) == (1, HISTORY, "sentence", 6)
    assert (one.shared, one.of) == (2, 2)
    assert one.quote.quote in wording(one)


def test_a_new_line_is_found_before_a_sentence():
    """A line is quoted from its beginning, as it reads; only where none is new its sentences are compared."""
    costly = [sent(name, f"{GOAL.format(17, 2)}\n{ADDED}") for name in (WORST, SECOND)]
    one = found(costly, [sent(HEALTHY, GOAL.format(4711, 3))])
    assert one is not None
    assert one.noun == "line"
    assert one.quote.quote.startswith("Full account history follows.")


def test_a_sentence_that_a_healthy_run_is_sent_too_explains_nothing():
    """Wherever it stands in its line there."""
    costly = [sent(name, f"{GOAL.format(17, 2)} {ADDED}") for name in (WORST, SECOND)]
    usual = f"{GOAL.format(4711, 3)} Full account history follows. Good morning to you all. {HISTORY}"
    assert found(costly, [sent(HEALTHY, usual)]) is None


@pytest.mark.parametrize(
    ("goal", "told"),
    [
        ("客户{}询问案例{}的情况。", "以下是完整的账户历史记录。订单已发货,发票已寄出,客户礼貌地回复了我们的提醒。"),
        (
            "お客様{}が案件{}について質問しています。",
            "注文は発送済みで、請求書も送付され、お客様は丁寧に返信しました。",
        ),
        ("ग्राहक {} मामले {} के बारे में पूछता है।", "ऑर्डर भेज दिया गया, चालान भेजा गया, ग्राहक ने विनम्रता से उत्तर दिया।"),
    ],
    ids=["chinese", "japanese", "hindi"],
)
def test_sentences_end_as_their_language_ends_them(goal: str, told: str) -> None:
    """Chinese and Japanese put no space between sentences, and Hindi ends them with a danda."""
    costly = [sent(name, goal.format(17, at) + told * 4) for at, name in enumerate((WORST, SECOND))]
    one = found(costly, [sent(HEALTHY, goal.format(4711, 3))])
    assert one is not None
    assert (one.noun, one.times) == ("sentence", 4)
    assert one.quote.quote in told
    assert one.quote.quote.endswith(told[-1])


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8))
def test_what_is_quoted_stands_in_what_was_sent_and_in_no_healthy_run(words: list[str]):
    """However the text is cut into sentences, a quote is verbatim."""
    said = " ".join(f"Rule {word} is to {word * 20}!" for word in words)
    one = found([sent(WORST, f"{GOAL.format(1, 2)} {said}")], [sent(HEALTHY, GOAL.format(3, 4))])
    assert one is not None
    assert one.quote.quote in wording(one)
    assert one.quote.quote not in GOAL.format(3, 4)


@pytest.mark.parametrize(
    "sentence",
    ["他回答客户说:「订单已经发货了。」", "هل تم شحن الطلب الذي سأل عنه العميل؟ "],
    ids=["a quote that ends a sentence", "arabic"],
)
def test_a_sentence_is_quoted_to_its_end(sentence: str) -> None:
    """A closing quote belongs to the sentence that it ends, and Arabic has a question mark of its own."""
    costly = [sent(name, f"{GOAL.format(17, at)} {sentence * 4}") for at, name in enumerate((WORST, SECOND))]
    one = found(costly, [sent(HEALTHY, GOAL.format(4711, 3))])
    assert one is not None
    assert (one.quote.quote, one.noun, one.times) == (sentence.strip(), "sentence", 4)
