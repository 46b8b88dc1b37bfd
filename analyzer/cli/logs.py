"""What the program says of its own work, on standard error: bare sentences for people, or log lines for collectors.

`plain` is for a terminal and for cron, which mails every line: only what somebody should read, nothing around it.
`text` and `json` are for services: time, level and run in every line, and from `info` on what a run is doing.
Every line is masked and is one line, whatever stands in it; what libraries log goes the same way.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from analyzer.config import Settings

PLAIN, TEXT, JSON = FORMATS = ("plain", "text", "json")
LEVELS = ("debug", "info", "warning", "error")
LOGGER = logging.getLogger("analyzer")

log_format_option = click.option(
    "--log-format", type=click.Choice(FORMATS), help="plain: sentences for people; text, json: lines for collectors."
)


def begin(settings: Settings) -> None:
    """Say everything from here on as the settings want it."""
    end()
    logging.getLogger().addHandler(_Lines(settings.log_format, masker(settings)))
    LOGGER.setLevel(logging.WARNING if settings.log_format == PLAIN else settings.log_level.upper())
    logging.captureWarnings(capture=settings.log_format != PLAIN)


def end() -> None:
    """Forget what the settings said: the next command in this process has its own."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _Lines)]:
        root.removeHandler(handler)
    logging.captureWarnings(capture=False)


def of_run(trace_id: str) -> None:
    """Put the id of a run into every line from here on: it is that of its own trace."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Lines):
            handler.run = trace_id or None


def info(message: str, **fields: Any) -> None:
    """Say what goes on; never in `plain`."""
    LOGGER.info("%s", message, extra={"fields": fields})


def warning(message: str, *, prefix: str = "", **fields: Any) -> None:
    """Say what somebody should look at. `prefix` stands before it in `plain`, where no field says whence it comes."""
    _say(logging.WARNING, message, prefix, fields)


def error(message: str, *, prefix: str = "", **fields: Any) -> None:
    """Say why the program ends without having done what it was to do."""
    _say(logging.ERROR, message, prefix, fields)


def _say(level: int, message: str, prefix: str, fields: Mapping[str, Any]) -> None:
    if any(isinstance(handler, _Lines) for handler in logging.getLogger().handlers):
        LOGGER.log(level, "%s", message, extra={"prefix": prefix, "fields": fields})
        return
    # Nobody has said yet how: the settings themselves may be what is wrong.
    click.echo(" ".join(f"{prefix}{message_masked(message)}".split()), err=True)


class _Lines(logging.Handler):
    """Writes one line a record."""

    def __init__(self, form: str, mask: Callable[[str], str]) -> None:
        super().__init__()
        self.run: str | None = None
        self._form = form
        self._mask = mask

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. Standard error that is gone, or a record that cannot be formed, ends nothing."""
        try:
            message = self._mask(_text_of(record))
            fields = {name: _shown(value, self._mask) for name, value in getattr(record, "fields", {}).items()}
            click.echo(self._line(record, message, fields), err=True)
        except (OSError, ValueError, TypeError):
            return

    def _line(self, record: logging.LogRecord, message: str, fields: Mapping[str, Any]) -> str:
        from analyzer.render.text import one_line

        if self._form == PLAIN:
            return one_line(f"{getattr(record, 'prefix', '')}{message}")
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level = record.levelname.lower()
        if self._form == JSON:
            line = {"time": at, "level": level, "run": self.run, "logger": record.name, "message": message, **fields}
            return json.dumps(line, ensure_ascii=True, allow_nan=False, default=str)
        rest = "".join(
            f" {name}={json.dumps(value, ensure_ascii=False, default=str)}" for name, value in fields.items()
        )
        return one_line(f"{at} {level:<7} run={self.run or '-'} {message}{rest}")


def _text_of(record: logging.LogRecord) -> str:
    if record.exc_info and record.exc_info[0] is not None:
        # The traceback of a library is not for an operator; --debug shows our own.
        return f"{record.getMessage()}: {record.exc_info[0].__name__}: {record.exc_info[1]}"
    return record.getMessage()


def _shown(value: Any, mask: Callable[[str], str]) -> Any:
    return mask(value) if isinstance(value, str) else value


def masker(settings: Settings) -> Callable[[str], str]:
    """Return what masks lines, made when the first one is said: most runs say nothing.

    The store and its key may be what failed, so a pseudonym is good for the lines of one process.
    """
    patterns = tuple(settings.mask_patterns.items())

    @lru_cache(maxsize=1)
    def made() -> Callable[[str], str]:
        from analyzer.masking import Masker

        return Masker(os.urandom(32), patterns=patterns, allow=settings.mask_allow).text

    def mask(text: str) -> str:
        return made()(text)

    return mask


def message_masked(text: str) -> str:
    """Mask a text before there are settings: it may quote one, a URL or a value from outside."""
    from analyzer.masking import Masker

    return Masker(os.urandom(32)).text(text)


class PhaseLog:
    """Says how long each phase of a run took, once the next one begins."""

    def __init__(self) -> None:
        self._phase = ""
        self._began_s = 0.0

    def __call__(self, phase: str) -> None:
        """Note that a phase begins; "" that the last one is over."""
        now_s = time.monotonic()
        if self._phase:
            info(f"{self._phase} is done", phase=self._phase, seconds=round(now_s - self._began_s, 3))
        self._phase, self._began_s = phase, now_s
