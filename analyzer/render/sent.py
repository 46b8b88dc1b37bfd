"""What one inference was sent that another was not, in words: text put into a line that both were sent, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analyzer.render.align import common, gaps
from analyzer.render.numbers import count
from analyzer.render.text import one_line
from analyzer.types.messages import readable
from analyzer.types.steps import Step
from analyzer.types.trace import Span

WORDS_MAX = 20_000
"""Words of each side that are compared: bounds the work on the longest histories to a second or so."""
STRETCHES_MAX = 3
"""Stretches that are quoted of each side, the longest ones: the count says how much there is in all."""
_COLUMNS = 160
"""All that is quoted of one side."""

Sent = Callable[[Step, Step], tuple[str, str]]
"""An inference of each run -> what both were sent."""


@dataclass(frozen=True, slots=True)
class Alone:
    """What one side alone was sent."""

    words: int
    stretches: tuple[str, ...]
    """The longest, in the order in which they stand."""


def sent_of(span: Span) -> str:
    """Return all that an inference was sent, as it is read: instructions, tools, messages."""
    parts = (readable(span.system), readable(span.tool_definitions), readable(span.input))
    return "\n".join(part for part in parts if part)


def words_apart(a: str, b: str) -> tuple[Alone, Alone]:
    """Return what stands in each text alone; the fewest words that can be. Beyond `WORDS_MAX` nothing is compared."""
    words = a.split()[:WORDS_MAX], b.split()[:WORDS_MAX]
    turned = words[1] < words[0]
    # Of several ways to align equally many words one is taken, and it must not depend on who is called A.
    one, other = words[::-1] if turned else words
    apart = list(gaps(common(one, other), len(one), len(other)))
    found = (
        _alone(one, [(start, end) for start, end, _, _ in apart]),
        _alone(other, [(start, end) for _, _, start, end in apart]),
    )
    return found[::-1] if turned else found


def _alone(words: Sequence[str], places: Sequence[tuple[int, int]]) -> Alone:
    held = [(start, end) for start, end in places if end > start]
    longest = sorted(sorted(held, key=lambda place: place[0] - place[1])[:STRETCHES_MAX])
    return Alone(sum(end - start for start, end in held), tuple(" ".join(words[start:end]) for start, end in longest))


def sent_document(one: Step, other: Step, sent: Sent) -> dict[str, Any] | None:
    """Return what two inferences were sent otherwise, with the words that each side has alone; None for nothing."""
    texts = sent(one, other)
    a, b = words_apart(*texts)
    if not (a.words or b.words):
        return None
    steps = {"a_step": one.number, "b_step": other.number}
    return {**steps, "words_max": WORDS_MAX if _is_cut(texts) else None, "a": asdict(a), "b": asdict(b)}


def _is_cut(texts: Sequence[str]) -> bool:
    return any(len(text.split()) > WORDS_MAX for text in texts)


def sent_lines(one: Step, other: Step, sent: Sent) -> Iterator[str]:
    """Yield what two inferences were sent otherwise, a line each side; nothing where that is the same."""
    texts = sent(one, other)
    apart = words_apart(*texts)
    if not any(side.words for side in apart):
        return
    where = f"step {one.number}" + (f" of A and {other.number} of B" if one.number != other.number else "")
    cut = _is_cut(texts)
    yield f"Other words were sent to {where}{f' (of the first {WORDS_MAX:,})' if cut else ''}:"
    for letter, side in zip("AB", apart, strict=True):
        quoted = " … ".join(one_line(text, _COLUMNS // len(side.stretches)) for text in side.stretches)
        alone = f"{count(side.words, 'word')} alone: {quoted}" if quoted else "nothing that the other was not"
        yield f"  {letter}  {alone}"
