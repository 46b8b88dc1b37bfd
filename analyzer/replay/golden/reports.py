"""What a run of cases came to, for machines that read JUnit XML and for people who read Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

from analyzer.replay.golden.diverging import divergence
from analyzer.replay.golden.expectations import document_of
from analyzer.replay.golden.running import Replayed, Trial, Verdict, overall

_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, escaped or not."""
_SUMMARY_CHARS_MAX = 300


def trials_document(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return schema `analyzer.golden-run/1`."""
    return {
        "schema": "analyzer.golden-run/1",
        "verdict": overall(trials).value,
        "counts": {verdict.value: count for verdict, count in _counts(trials).items()},
        "trials": [_trial_document(trial) for trial in trials],
    }


def _trial_document(trial: Trial) -> dict[str, Any]:
    return {
        "case": trial.case.name,
        "trace_id": None if trial.run is None else trial.run.trace_id,
        "verdict": trial.verdict.value,
        "why": trial.why,
        "changed": list(trial.changed),
        "replay": _replay_document(trial.replayed),
        "expectations": [
            {**document_of(one.expectation), "met": one.met, "why": one.why, "steps": list(one.steps)}
            for one in trial.judged
        ],
    }


def _replay_document(replayed: Replayed | None) -> dict[str, Any] | None:
    if replayed is None:
        return None
    return {"outcome": replayed.outcome.value, "why": replayed.why, "diff": list(replayed.diff)}


def junit(trials: Sequence[Trial]) -> str:
    """Return JUnit XML: red is a failure with the diverging step, stale and what cannot be judged are skipped.

    A skipped test does not turn a build red by itself; the exit code of `golden run` does.
    """
    counts = _counts(trials)
    skipped = counts[Verdict.STALE] + counts[Verdict.CANNOT_JUDGE]
    suite = ET.Element(
        "testsuite",
        name="golden",
        tests=str(len(trials)),
        failures=str(counts[Verdict.RED]),
        errors="0",
        skipped=str(skipped),
    )
    for trial in trials:
        ran = "no run" if trial.run is None else trial.run.trace_id
        entry = ET.SubElement(suite, "testcase", classname=_xml(f"golden.{trial.case.name}"), name=_xml(ran))
        if trial.verdict is Verdict.RED:
            failure = ET.SubElement(entry, "failure", message=_xml(trial.why), type=trial.verdict.value)
            failure.text = _xml("\n".join(divergence(trial)))
        elif trial.verdict is not Verdict.GREEN:
            ET.SubElement(entry, "skipped", message=_xml(f"{trial.verdict.value}: {trial.why}"))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def summary(trials: Sequence[Trial]) -> str:
    """Return the same as Markdown: a line of counts, a table, and the diverging step of each red run."""
    lines = [f"# Golden cases: {overall(trials).value}", "", f"{counted(trials)}.", ""]
    lines += ["| case | run | verdict | why |", "|---|---|---|---|"]
    for trial in trials:
        ran = "-" if trial.run is None else trial.run.trace_id[:12]
        lines.append(f"| {_cell(trial.case.name)} | {ran} | {trial.verdict.value} | {_cell(trial.why)} |")
    for trial in trials:
        if trial.verdict is Verdict.RED and trial.run is not None:
            shown = divergence(trial)
            fence = "`" * (max((len(found) for found in re.findall("`+", "\n".join(shown))), default=2) + 1)
            fence = max(fence, "```", key=len)
            lines += ["", f"## {trial.case.name}: run {trial.run.trace_id[:12]}", f"{fence}diff", *shown, fence]
    return "\n".join(lines) + "\n"


def counted(trials: Sequence[Trial]) -> str:
    """Return how many trials came to what, in a line."""
    said = (f"{count} {verdict.value}" for verdict, count in _counts(trials).items() if count)
    return ", ".join(said) or "nothing to judge"


def _counts(trials: Sequence[Trial]) -> Counter[Verdict]:
    found = Counter(dict.fromkeys(Verdict, 0))
    found.update(trial.verdict for trial in trials)
    return found


def _xml(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)


def _cell(text: str) -> str:
    """Return a text as a cell of a table: what comes from a run may hold bars, tags and line ends."""
    line = " ".join(text.split())[:_SUMMARY_CHARS_MAX]
    for sign, harmless in (
        ("\\", "\\\\"),
        ("&", "&amp;"),
        ("<", "&lt;"),
        ("|", "\\|"),
        ("`", "\\`"),
        ("[", "\\["),
        ("*", "\\*"),
    ):
        line = line.replace(sign, harmless)
    return line
