"""The reports folder: each incident and the latest report, as Markdown and as a page for a browser.

`2026-11-23-inc-0123456789.md` stays the file of its incident through its whole life; `report.md` is the latest report.
Beside each lies the same as `.html`, which needs nothing but itself, and the charts that the Markdown shows, as `.svg`.
Files are replaced in one step: whoever reads sees the old text or the new one, never half of one.
`.drawings.json` keeps the drawings of the latest report for the next one; without it they are made anew.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from analyzer.errors import DeliveryError, DrawingError
from analyzer.notify.base import Message
from analyzer.render.blocks import Block, Figure
from analyzer.render.charts.chosen import stem_of
from analyzer.render.charts.kept import Drawings
from analyzer.render.html import html
from analyzer.render.links import NO_LINKS, Links
from analyzer.render.markdown import markdown
from analyzer.render.outline import incident_outline
from analyzer.render.report import report_outline
from analyzer.types.report import Incident, Report

REPORT_NAME = "report.md"
DRAWINGS_NAME = ".drawings.json"


class ReportFolder:
    """Writes reports and incidents into one folder, which is made when it is first needed."""

    def __init__(self, folder: Path, links: Links = NO_LINKS) -> None:
        self._folder = folder
        self._links = links
        self.undrawn: tuple[str, ...] = ()
        """Why charts of the last report are missing, each reason once: their words stand in the texts all the same."""

    def send(self, message: Message) -> None:
        """Write the incident of a message. Raises DeliveryError."""
        self._write_incidents([message.incident], message.at, Drawings())

    def write(self, report: Report) -> tuple[Path, ...]:
        """Write the report and each of its incidents; return the files, the report's first. Raises DeliveryError.

        A file that already holds the same text is left alone, with its time.
        """
        title = f"Report of {report.run.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        self.undrawn = ()
        known = self._drawings()
        made = Drawings(known)
        files = self._write_both(self._folder / REPORT_NAME, report_outline(report, self._links), title, made)
        files += self._write_incidents(report.incidents, report.run.at, made)
        if made.used != known:
            # What is only there to save time fails nothing.
            with suppress(DeliveryError):
                self._replace(self._folder / DRAWINGS_NAME, json.dumps(made.used))
        return tuple(files)

    def path(self, incident: Incident) -> Path:
        """Return the Markdown file of an incident: the day it was opened, and its id."""
        return self._folder / f"{stem_of(incident)}.md"

    def _drawings(self) -> Mapping[str, str]:
        """Return the drawings of the report before; none where they cannot be read.

        They are taken as they are, as the pages beside them: whoever writes into the folder writes those as well.
        """
        try:
            kept = json.loads((self._folder / DRAWINGS_NAME).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        is_known = isinstance(kept, dict) and all(isinstance(drawn, str) for drawn in kept.values())
        return kept if is_known else {}

    def _write_incidents(self, incidents: Sequence[Incident], at: datetime, drawings: Drawings) -> list[Path]:
        files: list[Path] = []
        for incident in incidents:
            outline = self._links.within(incident_outline(incident, at), incident)
            files += self._write_both(self.path(incident), outline, incident.title, drawings)
            files += self._write_charts([block for block in outline if isinstance(block, Figure)], drawings)
        return files

    def _write_charts(self, figures: Sequence[Figure], drawings: Drawings) -> list[Path]:
        """Write the charts of an incident. One that cannot be drawn loses no text."""
        files: list[Path] = []
        for figure in figures:
            try:
                drawn = drawings.svg(figure.chart)
            except DrawingError as error:
                self.undrawn = tuple(dict.fromkeys((*self.undrawn, str(error))))
                continue
            files.append(self._folder / figure.file)
            self._replace(files[-1], drawn)
        return files

    def _write_both(self, file: Path, outline: Sequence[Block], title: str, drawings: Drawings) -> list[Path]:
        page = file.with_suffix(".html")
        self._replace(file, markdown(outline))
        self._replace(page, html(outline, title, draw=drawings.inline))
        return [file, page]

    def _replace(self, file: Path, text: str) -> None:
        content = text.encode("utf-8", "replace")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if file.is_file() and file.read_bytes() == content:
                return
            self._write(file, content)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DeliveryError(f"cannot write {file}: {reason}; check the reports folder", retryable=False) from error

    def _write(self, file: Path, content: bytes) -> None:
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=self._folder)
        scratch = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            # mkstemp makes private files; a report is for everyone the folder lets in.
            scratch.chmod(0o644)
            scratch.replace(file)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
