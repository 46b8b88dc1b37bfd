"""Whether the labelled decisive step stands in the case file, verbatim, before a model asks for anything.

For each labelled run the case file of the question "why did this run fail?" is built as `analyzer ask` builds it, with
the peers that `ask` would choose. A message is found where 200 characters of it that stand together, or all of a
shorter one, stand in one stretch that the model may quote (white space folded). Beside it: whether its first 200
characters do, how much of the message stands there, and what as many tokens of the beginning, of the end, and the
outline alone would give. Prints Markdown, by data set and split and by half: what ranks the steps was chosen on the one
half only.

Usage: `python bench/case_file.py [DATA ...] [--tokens N ...] [--missed]`
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from _labelled import Labelled, is_human, load, place_of, text_of

from analyzer.accounting.peers import peers_of
from analyzer.agent.ask import case_of
from analyzer.agent.case import HEALTHY_MAX, CaseFile
from analyzer.agent.outline import rows_of
from analyzer.agent.text import CHARS_PER_TOKEN, Markers, clip, estimate_tokens
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trajectory import Trajectory

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
DATA = (SHARED / "who_and_when", SHARED / "agentrx")
TOKENS = (12_000, 4_000)
CHARS_MIN = 200
"""So much of a message, or all of a shorter one, must stand together: less is a gist."""


@dataclass(frozen=True, slots=True)
class Score:
    """What was shown of one decisive message."""

    case: Labelled
    chars: int
    """Of all messages of the run."""
    tokens: int
    found: bool
    head: bool
    share: float
    """Part of the message's characters, 0 to 1."""
    first: bool
    last: bool
    outline: bool
    whole: bool
    """Whether every message of the run stands whole in the case file."""
    fits: bool
    """Whether the messages alone take fewer tokens than the budget."""


def folded(text: str) -> str:
    """Return text with white space folded, as the gate compares it."""
    return " ".join(text.split())


def found_in(text: str, stretches: Iterable[str]) -> bool:
    """Tell whether `CHARS_MIN` characters that stand together, or all of a shorter text, stand in one stretch."""
    size = min(CHARS_MIN, len(text))
    windows = [text[at : at + size] for at in range(len(text) - size + 1)]
    return any(window in stretch for stretch in stretches if len(stretch) >= size for window in windows)


def share_in(text: str, stretches: Sequence[str], step: int = 40) -> float:
    """Return which part of a text stands in the stretches, counted in pieces of `step` characters."""
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    return mean(any(piece in stretch for stretch in stretches) for piece in pieces) if pieces else 1.0


def stretches_of(case: CaseFile, trace_id: str) -> list[str]:
    """Return the stretches of a trajectory that may be quoted, folded; only those that the text really holds."""
    shown = folded(case.text)
    return [piece for one in case.shown.stretches(trace_id) if (piece := folded(one)) in shown]


def score(
    case: Labelled, trajectory: Trajectory, peers: Sequence[Trajectory], tokens_max: int, mask: Callable[[str], str]
) -> Score:
    """Return what the case file of a run shows of its decisive message."""
    file = case_of(trajectory, peers=peers, tokens_max=tokens_max)
    text = folded(place_of(trajectory, case.messages, case.message).text)
    # What a person says after the last reply is in nobody's input.
    last = max(index for index, message in enumerate(case.messages) if not is_human(message))
    every = [folded(mask(text_of(message))) for message in case.messages[: last + 1]]
    plain = "\n".join(f"{message.get('name') or message['role']}: {text_of(message)}" for message in case.messages)
    stretches = stretches_of(file, case.trace_id)
    outline = "\n".join(row.line for row in rows_of(trajectory.steps, Markers([])))
    room = int(tokens_max * CHARS_PER_TOKEN)
    return Score(
        case=case,
        chars=len(plain),
        tokens=estimate_tokens(file.text),
        found=found_in(text, stretches),
        head=any(text[:CHARS_MIN] in stretch for stretch in stretches),
        share=share_in(text, stretches),
        first=found_in(text, [folded(clip(plain, tokens_max))]),
        last=found_in(text, [folded(plain[-room:])]),
        outline=found_in(text, [folded(clip(outline, tokens_max))]),
        whole=all(any(one in stretch for stretch in stretches) for one in every),
        fits=estimate_tokens(plain) <= tokens_max,
    )


def table(scores: Sequence[Score], tokens_max: int) -> list[str]:
    """Return the figures of one budget as Markdown lines, one a group of runs."""
    groups: list[tuple[str, Callable[[Score], bool]]] = [("all", lambda _: True)]
    splits = sorted({one.case.split for one in scores})
    groups += [(split, lambda one, split=split: one.case.split == split) for split in splits]
    groups += [(half, lambda one, half=half: one.case.half == half) for half in ("chosen on", "held out")]
    groups.append(("longer than the budget", lambda one: not one.fits))
    heads = ("runs", "found", f"its first {CHARS_MIN} characters", "share of the message", "first N tokens")
    heads = (f"{tokens_max:,} tokens", *heads, "last N tokens", "outline alone", "shown whole, of those that fit")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, belongs in groups:
        group = [one for one in scores if belongs(one)]
        if group:
            cells = [f"{mean(getattr(one, what) for one in group):.1%}" for what in ("found", "head", "share")]
            cells += [f"{mean(getattr(one, what) for one in group):.1%}" for what in ("first", "last", "outline")]
            fitting = [one.whole for one in group if one.fits]
            lines.append(f"| {name} | {len(group)} | {' | '.join(cells)} | {sum(fitting)} of {len(fitting)} |")
    return lines


def main() -> None:
    """Print a table a budget."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("data", nargs="*", type=Path, default=DATA)
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS)
    parser.add_argument("--missed", action="store_true", help="name the runs whose decisive step is not found")
    given = parser.parse_args()
    with ExitStack() as stack:
        runs = []
        for data in given.data:
            if not data.is_dir():
                print(f"{data} is not here: left out")
                continue
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            store = stack.enter_context(SqliteTrajectories(Path(folder) / "labelled.db"))
            for case in load(data, store):
                trajectory = store.trajectory(case.trace_id)
                peers = [store.trajectory(one) for one in peers_of(store, trajectory.summary)[:HEALTHY_MAX]]
                runs.append((case, trajectory, peers, store.masker.text))
        for tokens_max in given.tokens:
            scores = [score(case, one, peers, tokens_max, mask) for case, one, peers, mask in runs]
            if any(one.tokens > tokens_max for one in scores):
                raise SystemExit("a case file breaks its budget")
            print("\n".join(table(scores, tokens_max)), end="\n\n")
            if given.missed:
                for one in scores:
                    if not one.found:
                        print(f"- missed: {one.case.name}, message {one.case.message} of {len(one.case.messages)}")


if __name__ == "__main__":
    main()
