"""What every detector is: a pure function from a window of values to findings."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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


class Replay(Protocol):
    """A detector that has looked through a whole stretch of time, and answers for any moment in it."""

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return what `Detector.detect` returns for a window whose series and choices are cut from the whole."""


@runtime_checkable
class Replaying(Protocol):
    """A detector that can be asked about many moments for little more than about one; optional."""

    def replay(self, whole: Window) -> Replay:
        """Return the detector over series and choices that end later than the windows it will be asked about.

        It must see no further than a detector does: what it says of a window does not depend on what came after. The
        whole holds nothing but series, from both sources, and choices; trajectories come with each window.
        """


def replay_of(detector: Detector, whole: Window) -> Replay:
    """Return a detector for many moments of one stretch; one that cannot replay is asked each time anew."""
    return detector.replay(whole) if isinstance(detector, Replaying) else detector


def is_by_agent(detector: Detector) -> bool:
    """Tell whether a detector judges each agent by what is its own, so that agents may be asked about one by one.

    It says so itself by an attribute `by_agent` that is True. One that says nothing may compare agents.
    """
    return getattr(detector, "by_agent", False) is True
