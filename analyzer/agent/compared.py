"""Two runs against each other: "the worst run takes fewer steps than a healthy peer", against their summaries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from analyzer.types.trajectory import TrajectorySummary


@dataclass(frozen=True, slots=True)
class Sides:
    """The trajectories of a case."""

    affected: Sequence[TrajectorySummary] = ()
    """Worst first."""
    healthy: Sequence[TrajectorySummary] = ()


_ID = r"[0-9a-f]{8,32}"
_ONE = (
    rf"(?:the |a |an |any |this |its |every |each )?(?:(?P<ILL>(?:worst|affected|failing|failed|looping"
    rf"|slow(?:est)?|broken|"
    rf"bad)(?: ones?| runs?| trajector(?:y|ies)| traces?)?|this run)|(?P<WELL>healthy(?: ones?| runs?| peers?"
    rf"| trajector(?:y|ies))"
    rf"?|peers?))(?:\s+(?P<ID>{_ID}))?"
)


def _side(name: str) -> str:
    return _ONE.replace("ILL", f"ill_{name}").replace("WELL", f"well_{name}").replace("ID>", f"id_{name}>")


_COUNTED = {
    "steps": "steps", "tokens": "tokens", "errors": "errors", "retries": "retries", "inferences": "inferences",
    "calls": "tool_calls", "tool calls": "tool_calls", "input tokens": "input_tokens",
    "output tokens": "output_tokens", "money": "cost_usd", "time": "duration_s",
}  # fmt: skip
_WORDS: tuple[tuple[str, str, bool], ...] = (
    ((r"(?:is |was |ran |runs |were |are )?(?:much |far |a lot |slightly )?(?:more expensive|dearer|costlier"
    r"|pricier)"), "cost_usd", True),
    (r"(?:is |was |were |are )?(?:much |far |a lot )?(?:cheaper|less expensive)", "cost_usd", False),
    (r"costs? (?:much |far |a lot )?more", "cost_usd", True),
    (r"costs? (?:much |far |a lot )?less", "cost_usd", False),
    ((r"(?:takes?|took|lasts?|lasted|runs?|ran) (?:much |far |a lot )?longer|(?:is |was |were |are )(?:much "
    r"|far )?(?:slower|longer)"), "duration_s", True),
    (r"(?:is |was |were |are |runs? |ran )(?:much |far |a lot )?(?:faster|quicker|shorter)", "duration_s", False),
)  # fmt: skip
_THAN = rf"\s+than\s+{_side('b')}"
_PATTERNS = [
    (re.compile(rf"{_side('a')}\s+(?:{words}){_THAN}", re.IGNORECASE), attribute, more)
    for words, attribute, more in _WORDS
]
_AMOUNT = re.compile(
    rf"{_side('a')}\s+(?:takes?|took|uses?|used|has|had|makes?|made|needs?|needed|spends?|spent)\s+(?:(?:much|far|many)\s+)?"
    rf"(?P<way>more|fewer|less)\s+(?P<what>{'|'.join(sorted(_COUNTED, key=len, reverse=True))}){_THAN}",
    re.IGNORECASE,
)
_ENDS = re.compile(
    rf"{_side('a')}\s+end(?:s|ed)\s+(?:as|in|with)\s+(?:an? )?(?P<as>success|failure|error)\b", re.IGNORECASE
)


def incomparable(sentence: str, sides: Sides) -> str | None:
    """Return which comparison of two runs goes against what they took, or None."""
    found = [(match, attribute, more) for pattern, attribute, more in _PATTERNS for match in pattern.finditer(sentence)]
    found += [
        (match, _COUNTED[match.group("what").lower()], match.group("way").lower() == "more")
        for match in _AMOUNT.finditer(sentence)
    ]
    for match, attribute, more in found:
        ours, theirs = (_values(_meant(match, name, sides), attribute) for name in ("a", "b"))
        if ours and theirs and not any((a > b) if more else (a < b) for a in ours for b in theirs):
            return f"{match.group().strip()!r} is not what their figures say"
    for match in _ENDS.finditer(sentence):
        ended = {one.outcome.value for one in _meant(match, "a", sides)}
        if ended and match.group("as").lower() not in ended:
            return f"it ended as {' or '.join(sorted(ended))}"
    return None


def _meant(match: re.Match[str], name: str, sides: Sides) -> list[TrajectorySummary]:
    given = match.group(f"id_{name}")
    every = [*sides.affected, *sides.healthy]
    if given:
        return [one for one in every if one.trace_id.startswith(given)]
    return list(sides.affected if match.group(f"ill_{name}") else sides.healthy)


def _values(ones: Sequence[TrajectorySummary], attribute: str) -> list[float]:
    values = [getattr(one, attribute) for one in ones]
    return [float(value) for value in values if value is not None]
