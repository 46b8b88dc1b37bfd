"""What costly trajectories are sent that no healthy peer was sent: the text behind a rise of the tokens per step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from unicodedata import east_asian_width

from analyzer.agent.shapes import shape_of
from analyzer.agent.text import Mask, has_hidden, text_of
from analyzer.types.messages import CALL_MARK, Message, parse_messages
from analyzer.types.report import SpanEvidence
from analyzer.types.steps import Step
from analyzer.types.trace import Operation, Span
from analyzer.types.trajectory import Trajectory

FIELDS = ("system", "input")
"""Where instructions and loaded context stand."""
LINE_CHARS_MIN, LINE_CHARS_MAX = 16, 240
"""A shorter line says nothing (a wide character, as of Chinese, counts twice); of a longer one the beginning is quoted,
and all of it is counted."""
OWN_ROLES = frozenset({"assistant", "model", "ai", "aimessage", "gpt", "bot", "agent", "reasoning", "function_call"})
"""Who speaks where the agent does. What it said and called comes back to it at every step: an effect, no reason."""
HEAD_WORDS = 4
"""Words by which two lines begin alike: what follows differs with what a run is about."""
SHARE_MIN = 0.2
"""Share of the rise in characters that the new text makes up: as with factors, a fifth is worth a sentence."""
LINES_MAX = 20_000
"""Lines, or sentences, of one trajectory looked at: bounds the work on the longest histories."""

_SPEAKER = re.compile(r"(?i)^(assistant|model|ai|system|developer|user|human|tool|function|observation): ?")
_STRING = re.compile(r'"[^"]*"(\s*:)?')
"""A string in JSON, with the colon that makes it a key."""
_DENSE = "\u3002\uff01\uff1f\uff1b\uff61"
"""Full stops of Chinese and Japanese: no space follows, though a quote may end."""
_CLOSING = "\u300d\u300f\u201d\u2019\uff09"
_STOPS = "\u0964\u0965\u104b\u17d4\u1362"
"""Dandas of Indian scripts, and the full stops of Burmese, Khmer and Amharic: nothing else is written with them."""
_SENTENCE_END = re.compile(
    rf"(?<=[.!?;\u061f\u061b\u06d4])\s+|(?<=[{_DENSE}{_STOPS}])(?![{_CLOSING}])\s*|(?<=[{_DENSE}][{_CLOSING}])\s*"
)
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{1,2}|\w+")
"""Chinese and Japanese put no space between words: two characters are about one."""


Split = Callable[[str], Sequence[str]]
"""A line -> what of it is compared."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A line, or a sentence within a line, that came with the rise."""

    trajectory: Trajectory
    step: Step
    quote: SpanEvidence
    noun: str
    """"line" or "sentence"."""
    times: int
    """How many of this shape the one step holds: what is loaded whole comes in many."""
    shared: int
    """Of the costly trajectories looked at, how many hold one of this shape."""
    of: int


@dataclass(slots=True)
class _Text:
    """What of one shape is in one trajectory."""

    step: Step
    """The first that is sent it."""
    quote: SpanEvidence
    times: int = 0
    """In that step."""
    chars: int = 0
    """Of all inferences looked at."""


@dataclass(slots=True)
class _Sent:
    """What the inferences of one trajectory are sent by others than the agent."""

    texts: dict[str, _Text]
    """By shape."""
    inferences: int = 0
    chars: int = 0


def growth(trajectories: Sequence[Trajectory], healthy: Sequence[Trajectory], mask: Mask) -> Growth | None:
    """Return the line that most costly trajectories are sent and no healthy peer; the one with most characters.

    Where no line is new it may be a sentence: what is put behind a goal or a prompt often stands in the same line. None
    where there is no peer to compare with, nothing is new to more than half of the costly ones, or what is new
    makes up less than `SHARE_MIN` of the characters that an inference is sent more: text that stands beside a rise.
    """
    if not healthy or not trajectories:
        return None
    found = _growth(trajectories, healthy, mask, _whole, "line")
    return found or _growth(trajectories, healthy, mask, _SENTENCE_END.split, "sentence")


def _growth(
    trajectories: Sequence[Trajectory], healthy: Sequence[Trajectory], mask: Mask, split: Split, noun: str
) -> Growth | None:
    peers = [_sent(one, mask, split) for one in healthy]
    known = {_head(shape) for peer in peers for shape in peer.texts}
    costly = [_sent(one, mask, split) for one in trajectories]
    holders: dict[str, int] = {}
    for shape in (shape for sent in costly for shape in sent.texts if _head(shape) not in known):
        holders[shape] = holders.get(shape, 0) + 1
    # Every run has a goal of its own, and text about it.
    new = {shape: times for shape, times in holders.items() if times > len(trajectories) // 2}
    rise = _mean([sent.chars / (sent.inferences or 1) for sent in costly]) - _mean(
        [sent.chars / (sent.inferences or 1) for sent in peers]
    )
    weights = {shape: _mean([_per_inference(sent, shape) for sent in costly]) for shape in new}
    if not new or rise <= 0 or sum(weights.values()) < SHARE_MIN * rise:
        return None
    best = max(new, key=lambda shape: (weights[shape], shape))
    first = next(index for index, sent in enumerate(costly) if best in sent.texts)
    one, text = trajectories[first], costly[first].texts[best]
    return Growth(one, text.step, text.quote, noun, text.times, new[best], len(trajectories))


def _whole(line: str) -> Sequence[str]:
    return (line,)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _per_inference(sent: _Sent, shape: str) -> float:
    """Return the characters of a shape that an inference is sent on average."""
    return sent.texts[shape].chars / sent.inferences if shape in sent.texts else 0.0


def _head(shape: str) -> str:
    """Return how a line begins, values left out: two results of one tool begin alike whatever they hold."""
    keys = _STRING.sub(lambda match: match.group() if match[1] else "", shape)
    return " ".join(_WORD.findall(keys)[:HEAD_WORDS]) or shape


def _sent(one: Trajectory, mask: Mask, split: Split) -> _Sent:
    """Return what a trajectory is sent, inference by inference, until `LINES_MAX` lines or parts are looked at."""
    sent = _Sent({})
    left = LINES_MAX
    # A history comes again with every inference: what it says is put into shape once.
    shapes: dict[str, tuple[str, str] | None] = {}
    steps = {step.span_id: step for step in one.steps if step.operation is Operation.CHAT}
    for span in one.spans:
        step = steps.get(span.span_id)
        if step is None:
            continue
        if left <= 0:
            break
        sent.inferences += 1
        for field in FIELDS:
            parts = (part for line in _lines(span, field, mask) for part in split(line))
            for part in islice(parts, max(left, 0)):
                left -= 1
                words = part.strip()
                sent.chars += len(words)
                if words not in shapes:
                    shapes[words] = _shaped(words)
                shaped = shapes[words]
                if shaped is None:
                    continue
                quotable, shape = shaped
                if shape not in sent.texts:
                    quote = SpanEvidence("", one.summary.trace_id, step.span_id, field, quotable)
                    sent.texts[shape] = _Text(step, quote)
                text = sent.texts[shape]
                text.times += text.step is step
                text.chars += len(words)
    return sent


def _shaped(words: str) -> tuple[str, str] | None:
    """Return what of a line can be quoted, and its shape; None where it is too short, or hides something."""
    quotable = _beginning(words)
    if _extent(quotable) < LINE_CHARS_MIN or has_hidden(quotable):
        return None
    return quotable, shape_of(quotable)


def _extent(words: str) -> int:
    """Return how many columns of a terminal a text takes: what a language says in so many."""
    return len(words) if words.isascii() else len(words) + sum(east_asian_width(one) in "WF" for one in words)


def _beginning(words: str) -> str:
    """Return what of a line can be quoted: all of it, or whole words of its beginning."""
    if len(words) <= LINE_CHARS_MAX:
        return words
    return words[: LINE_CHARS_MAX + 1].rpartition(" ")[0].rstrip() or words[:LINE_CHARS_MAX]


def _lines(span: Span, field: str, mask: Mask) -> Iterator[str]:
    """Yield the lines of a field that somebody else than the agent wrote."""
    payload = getattr(span, field)
    messages = parse_messages(payload) if payload else None
    if messages is None:
        yield from _spoken(text_of(span, field, mask))
        return
    for message in messages:
        if not _is_own(message):
            yield from (line for line in mask(message.text).splitlines() if not line.startswith(CALL_MARK))


def _is_own(message: Message) -> bool:
    return message.role.casefold() in OWN_ROLES


def _spoken(text: str) -> Iterator[str]:
    """Yield the lines of a text that is no messages; where it is a transcript, without what the agent said in it."""
    own = False
    for line in text.splitlines():
        speaker = _SPEAKER.match(line)
        if speaker is not None:
            own = speaker[1].casefold() in OWN_ROLES
        words = line[speaker.end() :] if speaker is not None else line
        if not own and not words.startswith(CALL_MARK):
            yield words
