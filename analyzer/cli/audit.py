"""`analyzer audit`: what the analyst did, call by call, and whether the record of it is whole."""

from __future__ import annotations

import csv
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import (
    DONE,
    FAILED,
    at_option,
    columns,
    json_option,
    moment,
    print_json,
    settings_from,
    store_option,
)
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.config import Settings
    from analyzer.types.audit import Anchor, Fault, Head, Verified

_IN_REPORT = re.compile(r"audit log: (\d+) entries, head `?([0-9a-f]{64})")
"""As a report has it, in its file and on a terminal."""
agent_option = click.option(
    "--agent", metavar="NAME", help="The tool calls of this agent, from its stored spans, in the same form."
)
lookback_option = click.option(
    "--lookback", metavar="DURATION", default="7d", show_default=True, help="With --agent: how far back."
)


@click.group("audit", no_args_is_help=True)
def command() -> None:
    """Show and verify the log of the analyst's own calls."""


@command.command("verify")
@click.argument("export", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A head written down elsewhere: `audit export --anchor`, or a report (JSON or Markdown). Repeatable.",
)
@store_option
@json_option
def verify(export: Path | None, anchors: tuple[Path, ...], store: str | None, as_json: bool) -> int:
    """Find what was changed, removed or moved in the log, and name the entry.

    The log is held against its own hashes, the store's count, the heads in the stored reports, and every --anchor.
    EXPORT is a file of `audit export`, to be verified in the place of the store, against the head at its end.

    Exit codes: 0 whole; 4 not.
    """
    from analyzer.render.numbers import count
    from analyzer.render.text import one_line
    from analyzer.wiring.opening import open_audit

    seen = [_anchor(path) for path in anchors]
    if export is not None:
        verified = _verified_export(export, seen)
    else:
        with open_audit(settings_from(store=store).settings) as log:
            verified = log.verify(seen)
    if as_json:
        print_json(_verified_document(verified, len(seen)))
    else:
        for fault in verified.faults:
            # It repeats what the entry says, which may be anything.
            click.echo(f"entry {fault.number}: {one_line(fault.what)}")
        if not verified.faults:
            head = verified.head
            held = f", and {len(seen)} anchor{'s' if len(seen) > 1 else ''} agree" if seen else ""
            whole = f"{count(head.entries, 'entry', 'entries')}, nothing changed, removed or moved"
            click.echo(f"{whole}{held}; head {head.hash or '-'}")
    return FAILED if verified.faults else DONE


@command.command("show")
@click.option("--incident", metavar="ID", help="Only about this incident; a beginning of its id is enough.")
@click.option("--run", "run_id", metavar="ID", help="Only of this run, by its own trajectory.")
@agent_option
@lookback_option
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The newest so many.")
@click.option("--texts", is_flag=True, help="With what was sent and what came back.")
@at_option
@store_option
@json_option
def show(
    incident: str | None,
    run_id: str | None,
    agent: str | None,
    lookback: str,
    limit: int,
    texts: bool,
    at: str | None,
    store: str | None,
    as_json: bool,
) -> int:
    """Show the log, oldest first: every call of the model and of a tool, and every incident filed."""
    from analyzer.render.audit import log_table
    from analyzer.render.terminal import terminal
    from analyzer.render.text import visible
    from analyzer.wiring.opening import open_audit

    if agent is not None and (incident or run_id or texts):
        raise click.UsageError("--agent shows stored spans: it takes neither --incident, --run nor --texts")
    settings = settings_from(store=store).settings
    if agent is not None:
        entries = list(deque(_of_agent(settings, agent, *_range(None, None, lookback, at)), maxlen=limit))
    else:
        about = incident if incident is None or incident.startswith(("inc-", "question-")) else f"inc-{incident}"
        with open_audit(settings) as log:
            entries = [{**one.document, "hash": one.hash} for one in log.entries(run=run_id, about=about, newest=limit)]
            for entry in entries if texts else ():
                entry["texts"] = {
                    role: log.text(entry[role]) for role in ("given", "returned") if entry[role] is not None
                }
    if as_json:
        print_json({"schema": "analyzer.audit/1", "entries": entries})
    elif not texts:
        click.echo(terminal(log_table(entries), columns()) if entries else "the log has nothing of this\n", nl=False)
    for entry in entries if texts and not as_json else ():
        click.echo(terminal(log_table([entry]), columns()), nl=False)
        for role, text in entry["texts"].items():
            click.echo(f"--- {role} {entry[role]}\n{visible(text)}")
    return DONE


@command.command("export")
@click.option(
    "--anchor", is_flag=True, help="Only the head: number and hash of the newest entry, to be kept elsewhere."
)
@click.option("--fleet", is_flag=True, help="The tool calls of every agent, from their stored spans, agent by agent.")
@agent_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="How it is written.",
)
@click.option("--from", "since", metavar="TIME", help="Of agents: trajectories that ended since TIME.")
@click.option("--to", "until", metavar="TIME", help="Of agents: trajectories that ended before TIME.")
@lookback_option
@at_option
@store_option
def export(
    anchor: bool,
    fleet: bool,
    agent: str | None,
    form: str,
    since: str | None,
    until: str | None,
    lookback: str,
    at: str | None,
    store: str | None,
) -> int:
    """Write the log as JSON lines or CSV, each an entry with its hash, the last line the head.

    With --fleet or --agent it is the log of what agents did: who called which tool, when, with which arguments, the
    hash of what came back, and the cost. `audit verify FILE` verifies either.

    The hash is the SHA-256 of the entry as canonical JSON: keys sorted, no white space, ASCII.
    """
    from analyzer.render.audit_jsonl import head_row
    from analyzer.wiring.opening import open_audit

    of_agents = fleet or agent is not None
    if fleet and agent is not None:
        raise click.UsageError("--fleet is every agent: it does not go with --agent")
    if anchor and of_agents:
        raise click.UsageError("--anchor is of the analyst's own log: an agent's is made when it is exported")
    if anchor and form == "csv":
        raise click.UsageError("--anchor is one line of JSON: it does not go with --format csv")
    if not of_agents and (since or until):
        raise click.UsageError("--from and --to choose among trajectories of agents: add --fleet or --agent NAME")
    settings = settings_from(store=store).settings
    if of_agents:
        start, end = _range(since, until, lookback, at)
        _write(_chained(_of_agent(settings, agent, start, end)), form)
        return DONE
    with open_audit(settings) as log:
        head = log.head()
        if anchor:
            click.echo(head_row(head))
        else:
            _write(_up_to(head, ((one.number, one.text, one.hash) for one in log.entries())), form)
    return DONE


def _range(since: str | None, until: str | None, lookback: str, at: str | None) -> tuple[datetime, datetime]:
    """Return the range [start, end) that the flags name. Raises UsageError."""
    from analyzer.config import parse_duration, parse_time

    # What ended in this very moment has ended.
    end = parse_time(until) if until else moment(at) + timedelta(microseconds=1)
    start = parse_time(since) if since else end - parse_duration(lookback)
    if start >= end:
        raise click.UsageError(f"the range ends at {end.isoformat()}, before it begins at {start.isoformat()}")
    return start, end


def _chained(calls: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Head]]:
    """Yield each entry's text with the head after it, and the head alone at the end."""
    from analyzer.types.audit import Head, chained

    head = Head(0, "")
    for call in calls:
        text, head = chained(head, call)
        yield text, head
    yield "", head


def _up_to(head: Head, rows: Iterable[tuple[int, str, str]]) -> Iterator[tuple[str, Head]]:
    """Yield the rows of a log up to a head, in the same form: others may append meanwhile."""
    from analyzer.types.audit import Head

    for number, text, kept in rows:
        if number > head.entries:
            break
        yield text, Head(number, kept)
    yield "", head


def _write(entries: Iterable[tuple[str, Head]], form: str) -> None:
    from analyzer.render import audit_csv, audit_jsonl

    if form == "csv":
        click.echo(audit_csv.header(), nl=False)
    for text, head in entries:
        if form == "csv":
            click.echo(audit_csv.row_of(text, head.hash) if text else audit_csv.head_row(head), nl=False)
        else:
            click.echo(audit_jsonl.row_of(text, head.hash) if text else audit_jsonl.head_row(head))


def _of_agent(settings: Settings, agent: str | None, start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
    """Yield the tool calls of an agent, or of every one. Raises NotFoundError where nobody is called so."""
    from analyzer.selfwatch.agents import calls_of
    from analyzer.wiring.opening import open_existing

    with open_existing(settings) as store:
        if agent is not None and not store.summaries(agent=agent, limit=1):
            from analyzer.errors import NotFoundError

            raise NotFoundError(
                f"no trajectories of an agent called '{agent}'; `analyzer traces list` shows what is there"
            )
        for name in store.agents(start, end) if agent is None else (agent,):
            yield from calls_of(store, name, start, end)


def _verified_document(verified: Verified, anchors: int) -> dict[str, Any]:
    return {
        "schema": "analyzer.audit.verify/1",
        "entries": verified.head.entries,
        "hash": verified.head.hash,
        "anchors": anchors,
        "faults": [{"number": fault.number, "what": fault.what} for fault in verified.faults],
    }


def _verified_export(path: Path, anchors: Sequence[Anchor]) -> Verified:
    """Return what is wrong with an exported log, held against `anchors` and its own head. Raises UsageError."""
    from analyzer.types.audit import GENESIS, Anchor, Fault, Head, Verified, faults

    lines, found = _exported(path)
    rows = [line for line in lines if not isinstance(line, Head)]
    heads = [place for place, line in enumerate(lines) if isinstance(line, Head)]
    seen = [Anchor("the export's own head", line) for line in lines if isinstance(line, Head)]
    found += faults(rows, [*anchors, *seen])
    last = Head(rows[-1][0], rows[-1][2]) if rows else Head(0, GENESIS)
    if not heads:
        found.append(Fault(last.entries, "the export has no head: whether later entries were cut off cannot be told"))
    elif heads[0] < len(lines) - 1:
        after = next((line[0] for line in lines[heads[0] :] if not isinstance(line, Head)), last.entries)
        found.append(Fault(after, "the export goes on after its head: lines were added or moved"))
    return Verified(last, tuple(found))


def _exported(path: Path) -> tuple[list[tuple[int, str, str] | Head], list[Fault]]:
    """Return the lines of an exported log (rows, and heads where they stand), and which say something beside their own.

    Raises UsageError.
    """
    from analyzer.render import audit_csv, audit_jsonl
    from analyzer.types.audit import Fault, Head, canonical

    text = _read(path)
    lines: list[tuple[int, str, str] | Head] = []
    odd: list[Fault] = []
    is_csv = audit_csv.is_csv(text)
    read, number = (audit_csv if is_csv else audit_jsonl).rows_in(text), 2 if is_csv else 1
    own = "columns" if is_csv else "words"
    try:
        for place, entry, kept, agrees in read:
            number = place
            # `index` refuses 1.9, which `int` would make entry 1 of.
            line = entry if isinstance(entry, Head) else (index(entry["number"]), canonical(entry), kept)
            lines.append(line)
            number = place + 1
            if agrees:
                continue
            if isinstance(line, Head):
                odd.append(Fault(line.entries, f"the {own} of the last line are not those of the head"))
            else:
                odd.append(Fault(line[0], f"the {own} of entry {line[0]} are not those of the entry"))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, csv.Error):
        raise UsageError(f"{path}, line {number}: no line of `analyzer audit export`") from None
    return lines, odd


def _anchor(path: Path) -> Anchor:
    """Return the head that a file holds: an anchor, an export, a report as JSON or as Markdown. Raises UsageError."""
    from analyzer.render.audit_jsonl import ANCHOR
    from analyzer.types.audit import Anchor, Head

    text = _read(path)
    found = _IN_REPORT.search(text)
    if found:
        return Anchor(str(path), Head(int(found[1]), found[2]))
    for candidate in (text, text.strip().rpartition("\n")[2]):
        try:
            document = json.loads(candidate)
            held = document if document.get("schema") == ANCHOR else document["run"]["audit"]
            return Anchor(str(path), Head(int(held["entries"]), str(held["hash"])))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            continue
    raise UsageError(f"--anchor {path} holds no head of a log; `analyzer audit export --anchor` writes one")


def _read(path: Path) -> str:
    try:
        # Line ends stay as they are: in CSV they may be part of a cell.
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
