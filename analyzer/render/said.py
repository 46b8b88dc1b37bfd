"""What a human said of an incident, and its earlier lives, as blocks."""

from __future__ import annotations

from collections.abc import Iterable

from analyzer.render.blocks import Block, Bullets, Line, plain, prose
from analyzer.render.numbers import count, moment, period
from analyzer.render.text import one_line
from analyzer.types.report import Incident, State
from analyzer.types.word import Said, Word


def said_outline(incident: Incident) -> Iterable[Block]:
    """Yield who said what, until when it is muted, and when it was over before."""
    lines: list[Line] = []
    if incident.word is not None:
        overruled = incident.word.said is Said.DISMISSED and incident.state is not State.DISMISSED
        since = "; it got clearly worse since" if overruled else ""
        lines.append(prose(f"{word_text(incident.word)}{since}."))
    if incident.muted_until is not None:
        lines.append(plain(f"No messages before {moment(incident.muted_until)}."))
    if incident.past:
        last = incident.past[-1]
        times = "once" if len(incident.past) == 1 else count(len(incident.past), "time")
        lines.append(
            plain(f"It was over {times} and came back; the last time it was {period(last.onset, last.resolved_at)}.")
        )
    if lines:
        yield Bullets(tuple(lines))


def word_text(word: Word) -> str:
    """Return what was said, by whom and when, in one line."""
    until = "" if word.until is None else f" until {moment(word.until)}"
    why = f": {one_line(word.reason)}" if word.reason else ""
    return f"{word.said.value.capitalize()}{until} by {one_line(word.by)}, {moment(word.at)}{why}"
