"""Where the traces of the analyst's own runs go beside the store, by the settings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from analyzer.config import Settings, parse_headers
from analyzer.errors import DeliveryError
from analyzer.types.report import Gap
from analyzer.types.trace import Span

if TYPE_CHECKING:
    from analyzer.selfwatch.export import Exporter

_WHAT = "the analyst's own trace at ANALYZER_OTLP_ENDPOINT"
_MISSING = "it needs OpenTelemetry's exporter: pip install 'analyzer[otlp]'"


@dataclass(frozen=True, slots=True)
class Sending:
    """Sends spans where the settings name an endpoint; else nothing."""

    exporter: Exporter | None = None
    lacks: str = ""
    """Why nothing can be sent although an endpoint is set."""

    @classmethod
    def to(cls, settings: Settings, mask: Callable[[Span], Span]) -> Self:
        """Open what the settings name. Nothing is sent yet."""
        if settings.otlp_endpoint is None:
            return cls()
        try:
            from analyzer.selfwatch.export import Exporter
        except ImportError:
            return cls(lacks=_MISSING)
        from importlib.metadata import version

        headers = parse_headers(settings.otlp_headers or "")
        return cls(Exporter(settings.otlp_endpoint, headers, mask=mask, version=version("analyzer")))

    def send(self, spans: Sequence[Span]) -> None:
        """Have spans sent; returns at once."""
        if self.exporter is not None:
            self.exporter.send(spans)

    def gaps(self) -> tuple[Gap, ...]:
        """Return a Gap where something is known not to have arrived."""
        if self.lacks:
            return (Gap(_WHAT, self.lacks, "or unset ANALYZER_OTLP_ENDPOINT"),)
        if self.exporter is None or not self.exporter.unsent:
            return ()
        return (Gap(_WHAT, "spans were not taken", "`analyzer doctor` tries it; the store has them all"),)

    def close(self) -> None:
        """Wait a bounded time for what is still to be sent. What is left is told to whoever reads logs."""
        if self.exporter is not None and (left := self.exporter.close()):
            logging.getLogger("analyzer").info("%s of the run's own spans did not reach the OTLP endpoint", left)

    def check(self) -> str:
        """Try the endpoint with an empty request; return a line about it. Raises DeliveryError."""
        if self.exporter is None:
            raise DeliveryError(self.lacks, retryable=False)
        return self.exporter.check()
