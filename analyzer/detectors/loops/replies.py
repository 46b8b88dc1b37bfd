"""Rules over what the model says. Names and limits: docs/detectors/loop.md."""

from __future__ import annotations

import re
from collections import deque
from itertools import pairwise

from analyzer.detectors.loops.classify import is_poll
from analyzer.detectors.loops.hits import Hit, Streaks, is_progress
from analyzer.detectors.loops.normalise import Shingles, jaccard, mask, shingles
from analyzer.detectors.loops.sequence import Asked, Event, Made, Said
from analyzer.types.steps import Step

NOVELTY_MIN = 0.1
ALIKE_JACCARD = 0.92
MONOLOGUE_SAME, MONOLOGUE_NOVELTY_MAX, MONOLOGUE_ANY = 4, 0.4, 8
REPLY_LIMIT, CALLING_REPLY_LIMIT = 3, 4
CHANT_WORDS_MAX, CHANT_WORDS_MIN = 2400, 30
CHANT_RULES = ((48, 6), (256, 4))
"""Longest period in words and how often it must come."""
CHANT_DISTINCT_MAX = 0.6
"""More different trigrams than this share of the last words: nothing comes four times in them."""
PING_PONG_JACCARD, PING_PONG_PERIODS, PING_PONG_REPEATS = 0.6, (2, 3, 4), 3
_FENCE = re.compile(r"(?:```|~~~)[\s\S]*?(?:```|~~~)")
_ROW = re.compile(r"^\s*[|+].*$|^\s*[-*]?\s*[\w .\"'-]{1,40}[:,;\t]\s*[-\d.,%$\u20ac \t|\"']+$", re.MULTILINE)
_CALL = re.compile(
    r"^\[call |\[call \w|<function_calls>|```(?:bash|sh|shell)|^\s*(?:action|tool)\s*:", re.IGNORECASE | re.MULTILINE
)
_HANDOFF = re.compile(r"transfer|hand_?off|delegate|route_to|ask_agent|send_to_agent", re.IGNORECASE)


class RepeatedReply:
    """Three equal or almost equal replies, unless what came back in between was new.

    A reply that only asks for a call needs four, as the call itself would: the rules over calls know more about those,
    but not every instrumentation records tools. Where the calls were recorded and are other ones than after the reply
    before, it is no repeat: "the same for another period" is said before different queries.
    """

    def __init__(self) -> None:
        self._streaks = Streaks("repeated_llm_output", REPLY_LIMIT)
        self._last: Said | None = None
        self._news = False
        self._made: set[str] = set()
        self._made_before: set[str] = set()

    @property
    def hits(self) -> list[Hit]:
        """What it has found so far."""
        return self._streaks.found

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Made):
            self._made.add(event.call.exact)
            self._news |= event.novelty > NOVELTY_MIN or event.first or event.poll
            return
        if isinstance(event, Asked):
            self._streaks.clear()
            self._last = None
            return
        if event.parallel or not event.text:
            return
        before, self._last = self._last, event
        news = self._news or (not self._made and event.news > NOVELTY_MIN)
        waits = not self._made and is_poll("", event.step.output, event.step.input)
        others = bool(self._made and self._made_before) and self._made != self._made_before
        self._news, self._made, self._made_before = False, set(), self._made
        elsewhere = before is not None and before.step.agent != event.step.agent
        if before is None or news or waits or others or elsewhere or not _alike(before, event):
            self._streaks.clear()
        calls = bool(_CALL.search(event.step.output[:2000]))
        self._streaks.add(0, event.step, tool=None, limit=CALLING_REPLY_LIMIT if calls else REPLY_LIMIT)


def _alike(before: Said, event: Said) -> bool:
    return before.text == event.text or (
        len(event.words) >= 8 and jaccard(before.words, event.words) >= ALIKE_JACCARD  # noqa: PLR2004 - fewer trigrams say nothing
    )


class Monologue:
    """One agent talks to itself: four replies with little new, or eight of any kind, and nobody else is heard."""

    def __init__(self) -> None:
        self._replies: deque[Said] = deque(maxlen=MONOLOGUE_ANY)
        self._hit: Hit | None = None
        self.hits: list[Hit] = []

    def see(self, event: Event) -> None:
        """Take the next event."""
        if not isinstance(event, Said) or event.news > NOVELTY_MIN:
            self._replies.clear()
            self._hit = None
        if not isinstance(event, Said) or event.parallel or not event.text or _CALL.search(event.step.output[:2000]):
            return
        if self._replies and self._replies[-1].step.agent != event.step.agent:
            self._replies.clear()
            self._hit = None
        self._replies.append(event)
        if self._hit is not None:
            self._hit.last, self._hit.repeats = event.step, self._hit.repeats + 1
            return
        recent = list(self._replies)
        stale = len(recent) >= MONOLOGUE_SAME and _new_share(recent[-MONOLOGUE_SAME:]) < MONOLOGUE_NOVELTY_MAX
        if stale or len(recent) >= MONOLOGUE_ANY:
            steps = [said.step for said in (recent[-MONOLOGUE_SAME:] if stale else recent)]
            limit = MONOLOGUE_SAME if stale else MONOLOGUE_ANY
            self._hit = Hit("monologue", steps[0], event.step, event.step, limit, limit, 1, None, 0.8, steps[:3])
            self.hits.append(self._hit)


def _new_share(replies: list[Said]) -> float:
    """Return the mean share of trigrams of each reply after the first that no earlier one has."""
    seen: set[tuple[str, str, str]] = set(replies[0].words)
    shares = []
    for said in replies[1:]:
        fallback = 0.0 if any(said.text == earlier.text for earlier in replies if earlier is not said) else 1.0
        shares.append(len(said.words - seen) / len(said.words) if said.words else fallback)
        seen |= said.words
    return sum(shares) / len(shares)


class Chanting:
    """One reply says the same over and over. Code blocks and tables do so by nature and are left out."""

    def __init__(self) -> None:
        self.hits: list[Hit] = []

    def see(self, event: Event) -> None:
        """Take the next event."""
        if not isinstance(event, Said) or len(event.step.output) < 4 * CHANT_WORDS_MIN:
            return
        found = chant(event.step.output)
        if found is not None:
            period, repeats = found
            step = event.step
            limit = next(times for longest, times in CHANT_RULES if period <= longest)
            self.hits.append(Hit("text_chanting", step, step, step, repeats, limit, period, None, 1.0, [step]))


def chant(text: str) -> tuple[int, int] | None:
    """Return the period in words and how often it comes at the end of a text, or None.

    The failure function of Knuth, Morris and Pratt (1977) on the reversed words gives, for every suffix of the text,
    its shortest period: linear in the number of words.
    """
    prose = _ROW.sub("", _FENCE.sub("", text[-40 * CHANT_WORDS_MAX :]))
    words = prose.lower().split()[-CHANT_WORDS_MAX:]
    if len(words) < CHANT_WORDS_MIN:
        return None
    tail = words[-4 * CHANT_RULES[0][0] :]
    if len(set(zip(tail, tail[1:], tail[2:], strict=False))) > CHANT_DISTINCT_MAX * len(tail) and len(
        set(zip(words, words[1:], words[2:], strict=False))
    ) > CHANT_DISTINCT_MAX * len(words):
        return None
    # A reply cut by its limit ends in the middle of a word: that word matches nothing.
    return _period(words) or _period(words[:-1])


def _period(words: list[str]) -> tuple[int, int] | None:
    backwards = words[::-1]
    fail = [0] * len(backwards)
    matched = 0
    best: tuple[int, int] | None = None
    for at in range(1, len(backwards)):
        while matched and backwards[at] != backwards[matched]:
            matched = fail[matched - 1]
        matched += backwards[at] == backwards[matched]
        fail[at] = matched
        period, length = at + 1 - matched, at + 1
        if length >= CHANT_WORDS_MIN and any(
            period <= longest and length // period >= times for longest, times in CHANT_RULES
        ):
            best = (period, length // period)
    return best


class PingPong:
    """Agents hand the same text round, with a period of two to four hand-offs, three times."""

    def __init__(self) -> None:
        self._edges: deque[tuple[str, str, Shingles, str, Step]] = deque(
            maxlen=PING_PONG_REPEATS * PING_PONG_PERIODS[-1]
        )
        self._agent: str | None = None
        self._text = ""
        self._hit: Hit | None = None
        self.hits: list[Hit] = []

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Asked) or (is_progress(event) and not _hands_off(event)):
            self._edges.clear()
            self._hit = None
        step = event.step
        if isinstance(event, Made) and _hands_off(event):
            self._pass(step.agent or "", step.name, event.call.plain, step)
        elif step.agent and self._agent and step.agent != self._agent:
            self._pass(self._agent, step.agent, self._text or mask(step.input), step)
        self._agent = step.agent or self._agent
        if isinstance(event, Said):
            self._text = event.text

    def _pass(self, source: str, target: str, text: str, step: Step) -> None:
        self._edges.append((source, target, shingles(text), text, step))
        edges = list(self._edges)
        for period in PING_PONG_PERIODS:
            recent = edges[-PING_PONG_REPEATS * period :]
            if len(recent) == PING_PONG_REPEATS * period and _same_round_trip(recent, period):
                self._grow(recent, period)
                return
        self._hit = None

    def _grow(self, recent: list[tuple[str, str, Shingles, str, Step]], period: int) -> None:
        step = recent[-1][4]
        if self._hit is not None:
            self._hit.last, self._hit.repeats = step, self._hit.repeats + 1
            return
        limit = PING_PONG_REPEATS
        steps = [edge[4] for edge in recent]
        self._hit = Hit("agent_ping_pong", steps[0], step, step, limit, limit, period, None, 0.9, steps[:3])
        self.hits.append(self._hit)


def _hands_off(event: Event) -> bool:
    return isinstance(event, Made) and bool(_HANDOFF.search(event.step.name))


def _same_round_trip(edges: list[tuple[str, str, Shingles, str, Step]], period: int) -> bool:
    pairs = [(edges[at], edges[at + period]) for at in range(len(edges) - period)]
    if len({edge[:2] for edge in edges[:period]}) < 2 and all(a[0] == b[0] for a, b in pairwise(edges)):  # noqa: PLR2004 - two ends
        return False
    return all(
        a[:2] == b[:2] and (a[3] == b[3] or (bool(a[2]) and jaccard(a[2], b[2]) >= PING_PONG_JACCARD)) for a, b in pairs
    )
