"""What every detector is: a pure function from a window of values to findings."""

from __future__ import annotations

from typing import Protocol

from analyzer.types.metric import Window
from analyzer.types.reading import Reading
from analyzer.types.report import Finding, Kind


class Detector(Protocol):
    """Looks for one kind of anomaly. No I/O, no clock, no randomness: the same window gives the same findings."""

    @property
    def name(self) -> str:
        """The detector's name in reports; its page is docs/detectors/<name, with _ for ->.md."""

    @property
    def kind(self) -> Kind:
        """The kind of every finding it makes."""

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return what is wrong at `window.end`, and what came back to normal inside the window."""

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return why it is silent about an agent at `window.end`: value, baseline, threshold, and what holds it back.

        One reading for each subject of the agent that it looks at; a single one where it has nothing to look at.
        """
