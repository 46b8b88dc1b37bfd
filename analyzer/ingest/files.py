"""Files, folders and standard input to spans: what `analyzer ingest` reads. Broken parts are named, the rest is kept.

`auto` tells formats apart by content, never by a name: the first bytes say whether it is JSON or protobuf, the first
values of JSON which format they are.

Lines and lists of requests are read in pieces, so their size does not matter; a single document or message must fit
into memory and is limited.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from analyzer.errors import UsageError
from analyzer.ingest.containers import samples
from analyzer.ingest.documents import from_json, holds_spans, is_otlp
from analyzer.ingest.formats import AUTO, FORMATS, IMPORTED, OTLP_JSON, OTLP_PROTO
from analyzer.ingest.gather import Gather
from analyzer.ingest.importers import from_importer, recognised
from analyzer.ingest.importers.beside import Beside, is_verdict
from analyzer.ingest.messages import from_proto
from analyzer.ingest.pricing import Pricer
from analyzer.ingest.reads import Noted, Parsed, Read, Refused, Skipped
from analyzer.ingest.streams import ByteStream

__all__ = ["FORMATS", "Noted", "Parsed", "Read", "Refused", "Skipped", "read_paths", "read_stream"]

_SNIFF_BYTES = 4096
_SAMPLES_MAX = 50
"""Values that are looked at to tell a format: session logs begin with a few lines that are none of its messages."""
_OTLP_HEAD = re.compile(rb'\s*\[?\s*\{\s*"(?:resource_?[sS]pans|scopeSpans)"\s*:')
_BINARY_SUFFIXES = (".pb", ".bin", ".otlp", ".proto")
_TEXT_CONTROLS = frozenset(b"\t\n\r\x0c\x1b")


def read_paths(
    paths: Sequence[str],
    *,
    format: str = "auto",  # noqa: A002 - the flag's name, and what the caller passes on
    stdin: BinaryIO | None = None,
    pricer: Pricer | None = None,
) -> Iterator[Read]:
    """Yield what the files hold.

    That is `Parsed` batches of at most `gather.BATCH_SPANS` spans, and one remark for each thing that was refused,
    skipped or put right.

    A path is a file (gzip is recognised by its first bytes), a folder (read recursively, in the order of names), or
    "-" for standard input (`stdin`, by default the process's). With a pricer, inferences get their cost. Nothing in
    a file raises; a format outside `FORMATS` raises UsageError.
    """
    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}: use one of {', '.join(FORMATS)}")
    beside = Beside()
    for path in paths:
        if path == "-":
            yield from read_stream(stdin or sys.stdin.buffer, "-", format=format, pricer=pricer)
        elif os.path.isdir(path):  # noqa: PTH112 - a path with a NUL byte is False here and raises in pathlib
            yield from _folder(path, format, pricer, beside)
        else:
            yield from _file(path, format, pricer, beside)


def read_stream(
    file: BinaryIO,
    source: str,
    *,
    format: str = "auto",  # noqa: A002 - the flag's name, and what the caller passes on
    pricer: Pricer | None = None,
    beside: Beside | None = None,
) -> Iterator[Read]:
    """Yield what one open binary file holds, as `read_paths` does; `source` is its name in remarks.

    `beside` finds verdicts on stored trajectories in the files around this one; without it there are none.
    """
    stream = ByteStream(file)
    head = stream.peek(_SNIFF_BYTES)
    if not head.removeprefix(b"\xef\xbb\xbf").strip():
        yield Refused(source, "", stream.fault or "is empty")
        return
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        yield Refused(source, "", "is compressed with zstd: unpack it first (`zstd -d`)")
        return
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield Refused(source, "", "is UTF-16 text, which PowerShell writes: save it as UTF-8")
        return
    chosen = _sniffed(source, head) if format == AUTO else format
    if chosen == OTLP_JSON and format == AUTO and not _OTLP_HEAD.match(head.removeprefix(b"\xef\xbb\xbf")):
        chosen, is_only_verdict = _looked_at(stream)
        if is_only_verdict:
            yield Skipped(source, "", "holds verdicts on the trajectories beside it, and no trajectory")
            return
    if chosen is None:
        yield Refused(source, "", f"is no trace: neither OTLP nor one of {', '.join(IMPORTED)}")
        return
    gather = Gather(source, chosen)
    if chosen in IMPORTED:
        reads = from_importer(chosen, stream, gather, pricer, beside or Beside())
    else:
        reads = from_json(stream, gather, pricer) if chosen == OTLP_JSON else from_proto(stream, gather, pricer)
    silent = True
    for read in chain(reads, gather.rest()):
        silent = False
        yield read
    if silent:
        yield Noted(source, "", "holds no spans")


def _looked_at(stream: ByteStream) -> tuple[str | None, bool]:
    """Return the format, and whether all there is is a verdict. The samples end here: one may be a whole document."""
    found = samples(stream, _SAMPLES_MAX)
    chosen = _told(found)
    return chosen, chosen is None and len(found) == 1 and is_verdict(found[0])


def _told(found: Sequence[Any]) -> str | None:
    """Return the format that the first values of a JSON file are in, or None where it is none that is known."""
    if not found or any(holds_spans(value) for value in found):
        # Without any value the reader of OTLP says where the JSON is broken.
        return OTLP_JSON
    return recognised(found) or (OTLP_JSON if any(is_otlp(value) for value in found) else None)


def _sniffed(source: str, head: bytes) -> str | None:
    """Return the format that the first bytes speak of. JSON holds no control characters; protobuf is full of them."""
    if head[:1] in (b"{", b"["):
        # Neither begins a trace request in protobuf; a broken line further on may hold anything.
        return OTLP_JSON
    if any(byte < ord(" ") and byte not in _TEXT_CONTROLS for byte in head):
        named = source.lower().removesuffix(".gz").endswith(_BINARY_SUFFIXES)
        return OTLP_PROTO if named or head[0] in b"\x00\x0a" or head[4:5] == b"\x0a" else None
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return OTLP_JSON
    return OTLP_PROTO if source.lower().removesuffix(".gz").endswith(_BINARY_SUFFIXES) else None


def _folder(path: str, chosen: str, pricer: Pricer | None, beside: Beside) -> Iterator[Read]:
    errors: list[OSError] = []
    found = False
    for folder, folders, names in os.walk(path, onerror=errors.append):
        folders.sort()
        for name in sorted(names):
            found = True
            inner = os.path.join(folder, name)  # noqa: PTH118 - names that are no UTF-8 stay as they are
            if _is_regular(inner):
                yield from _file(inner, chosen, pricer, beside)
            else:
                yield Refused(inner, "", "is no regular file")
    for error in errors:
        yield Refused(str(error.filename), "", _unreadable(error))
    if not found and not errors:
        yield Refused(path, "", "is an empty folder")


def _is_regular(path: str) -> bool:
    """Whether opening the path cannot hang: a pipe without a writer would wait for ever."""
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except (OSError, ValueError):
        # A dangling link or a file that just went away: opening it says so.
        return True


def _unreadable(error: OSError | ValueError) -> str:
    """Say why a path cannot be read, and what to do."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    hint = "let this user read it" if isinstance(error, PermissionError) else "check the path"
    return f"cannot be read: {reason}; {hint}"


def _file(path: str, chosen: str, pricer: Pricer | None, beside: Beside) -> Iterator[Read]:
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - the except clause must not cover the reading
    except (OSError, ValueError) as error:
        yield Refused(path, "", _unreadable(error))
        return
    with file:
        around = beside.at(Path(path).absolute().parent)
        yield from read_stream(file, path, format=chosen, pricer=pricer, beside=around)
