"""`analyzer ingest`: trajectories from files into the store."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import click

from analyzer.cli.common import DONE, FAILED, GAPS, json_option, print_json, settings_from, store_option
from analyzer.cli.progress import Counting
from analyzer.ingest.formats import AUTO, FORMATS

REFUSALS_SHOWN = 50
"""Lines on the terminal before the rest is only counted; --json lists up to REFUSALS_LISTED."""
REFUSALS_LISTED = 1_000
NOTES_SHOWN = 10
"""Lines about what was taken with a gap: a log without times says so for each of its runs."""


@dataclass
class _Tally:
    """What has been read so far."""

    spans_new: int = 0
    spans_known: int = 0
    trace_ids: set[str] = field(default_factory=set)
    files: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: list[dict[str, str]] = field(default_factory=list)
    refusals: int = 0
    noted: list[dict[str, str]] = field(default_factory=list)
    notes: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def spans(self) -> int:
        """Spans taken, new and known."""
        return self.spans_new + self.spans_known

    def document(self) -> dict[str, Any]:
        """Return schema `analyzer.ingest/1`."""
        return {
            "schema": "analyzer.ingest/1",
            "spans": {"taken": self.spans, "new": self.spans_new, "known": self.spans_known},
            "trajectories": len(self.trace_ids),
            "files": [
                {"source": source, "format": form, "spans": spans}
                for (source, form), spans in sorted(self.files.items())
            ],
            "refused": {"count": self.refusals, "listed": self.refused},
            "noted": {"count": self.notes, "listed": self.noted},
            "skipped": {"count": self.skipped.total(), "sources": sorted(self.skipped)},
        }


@click.command("ingest")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default=AUTO,
    show_default=True,
    help="What the files hold; auto tells them apart and says which it chose.",
)
@store_option
@json_option
def command(paths: tuple[str, ...], form: str, store: str | None, as_json: bool) -> int:
    """Read trajectories from files into the store.

    PATH is a file, a folder (read whole), or - for standard input: OTLP/JSON as one object, a list or JSON lines, OTLP
    protobuf, or trajectories that other tools stored: ATIF, mini-swe-agent, SWE-agent, Claude Code's session logs,
    exports of Langfuse and LangSmith, chat messages. Each may be gzipped. Everything is masked before it is stored,
    and the same file twice changes nothing. A broken line among good ones is refused with its place, and the good
    ones are kept.

    Exit codes: 0 all was taken; 3 something was refused; 4 nothing could be taken.
    """
    from analyzer.cycles import rarely_sought
    from analyzer.wiring.opening import open_store

    settings = settings_from(store=store).settings
    tally = _Tally()
    trajectories = open_store(settings)
    try:
        # Closed whatever happens: what reads may be a process.
        reads = _reads(paths, form, settings, trajectories)
        with rarely_sought(), Counting("ingested", "spans") as counting, closing(reads):
            for read in reads:
                _take(read, trajectories, tally, counting, quiet=as_json)
    finally:
        trajectories.close()
    if as_json:
        print_json(tally.document())
    else:
        _print(tally)
    if tally.refusals:
        return GAPS if tally.spans else FAILED
    return DONE


def _reads(paths: tuple[str, ...], form: str, settings: Any, trajectories: Any) -> Generator[Any]:
    """Read in this process, or in a second one where there is enough to read."""
    from analyzer.ingest.ahead import is_worth_it, read_ahead
    from analyzer.ingest.files import read_paths
    from analyzer.ingest.pricing import Pricer

    # Made here in any case: it says what is wrong with the settings.
    pricer = Pricer(settings.prices, settings.tool_costs)
    if is_worth_it(paths):
        yield from read_ahead(
            paths,
            format=form,
            prices=settings.prices,
            tool_costs=settings.tool_costs,
            masking=trajectories.masking,
        )
    else:
        yield from read_paths(paths, format=form, stdin=sys.stdin.buffer, pricer=pricer)


def _take(read: Any, trajectories: Any, tally: _Tally, counting: Counting, *, quiet: bool) -> None:
    from analyzer.ingest.ahead import Ready
    from analyzer.ingest.reads import Noted, Parsed, Refused

    match read:
        case Parsed(spans):
            _count(read, trajectories.add(spans), spans, trajectories, tally, counting)
        case Ready(made):
            added = trajectories.add_prepared(made)
            _count(read, added, [one.span for one in made], trajectories, tally, counting)
        case Refused(source, position, why) | Noted(source, position, why):
            # A refusal quotes what it could not read, and a path may bear an address.
            source, position, why = map(trajectories.masker.text, (source, position, why))
            is_refusal = isinstance(read, Refused)
            listed = tally.refused if is_refusal else tally.noted
            tally.refusals += is_refusal
            tally.notes += not is_refusal
            if len(listed) < REFUSALS_LISTED:
                listed.append({"source": source, "position": position, "why": why})
            shown = tally.refusals <= REFUSALS_SHOWN if is_refusal else tally.notes <= NOTES_SHOWN
            if shown and not quiet:
                taken = "" if is_refusal else "taken, but"
                counting.line(": ".join(part for part in (source, position, f"{taken} {why}".strip()) if part))
        case skipped:
            tally.skipped[trajectories.masker.text(skipped.source)] += 1


def _count(read: Any, added: Any, spans: Any, trajectories: Any, tally: _Tally, counting: Counting) -> None:
    tally.spans_new += added.spans_new
    tally.spans_known += added.spans_known
    tally.trace_ids.update(span.trace_id for span in spans)
    tally.files[trajectories.masker.text(read.source), read.format] += len(spans)
    counting.add(len(spans))


def _print(tally: _Tally) -> None:
    from analyzer.render.numbers import count

    if tally.refusals > REFUSALS_SHOWN:
        click.echo(f"... and {tally.refusals - REFUSALS_SHOWN:,} more refused", err=True)
    if tally.refusals and not tally.spans:
        click.echo(f"took nothing; refused {tally.refusals:,}")
        return
    forms = ", ".join(sorted({form for _, form in tally.files})) or "nothing"
    sources = count(len({source for source, _ in tally.files}), "file")
    trajectories = count(len(tally.trace_ids), "trajectory", "trajectories")
    click.echo(
        f"took {count(tally.spans, 'span')} of {trajectories} from {sources} ({forms}):"
        f" {tally.spans_new:,} new, {tally.spans_known:,} known already"
    )
    if tally.notes:
        remarks = count(tally.notes, "remark")
        click.echo(f"{remarks} on what was taken with gaps or put right (--json lists them)")
    if tally.skipped:
        click.echo(f"skipped {count(tally.skipped.total(), 'part')} without spans: logs, metrics, verdicts on runs")
    if tally.refusals:
        click.echo(f"refused {tally.refusals:,}; what was good beside them was kept")
