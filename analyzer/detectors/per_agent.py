"""One detector with settings of their own for some agents, by patterns of names; or switched off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from analyzer.detectors.base import Detector, Replay, is_by_agent, replay_of
from analyzer.types.metric import Window
from analyzer.types.reading import Gate, Reading
from analyzer.types.report import Finding, Kind, Subject

Key = tuple[int, ...]
"""The rules that hold for an agent, by their place; agents with one key share one detector."""
_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is set for the agents that a pattern names."""

    pattern: str
    """An agent's name, or a pattern of names with `*`, `?` and `[...]` as in a shell. Case matters."""
    given: Mapping[str, Any]
    """Settings by name, checked; `enabled` among them."""

    @property
    def weight(self) -> tuple[bool, int, str]:
        """Sort by how much the pattern says: a whole name beats every pattern, then the more letters the more."""
        wild = any(character in _WILD for character in self.pattern)
        return (not wild, sum(character not in _WILD for character in self.pattern), self.pattern)

    def holds(self, agent: str) -> bool:
        """Tell whether the rule is about an agent."""
        return agent == self.pattern or fnmatchcase(agent, self.pattern)


@dataclass(frozen=True, slots=True)
class PerAgent:
    """A detector whose settings depend on the agent. Rules are laid one over the other, the most special last."""

    usual: Detector
    """With the settings of every agent that no rule is about."""
    enabled: bool
    rules: tuple[Rule, ...]
    """In order of weight."""
    made: Callable[[Detector, Mapping[str, Any]], Detector]
    """Lays settings over those of a detector."""

    @property
    def name(self) -> str:
        """The detector's own."""
        return self.usual.name

    @property
    def kind(self) -> Kind:
        """The detector's own."""
        return self.usual.kind

    @property
    def by_agent(self) -> bool:
        """See `base.is_by_agent`: the detector's own."""
        return is_by_agent(self.usual)

    @property
    def settings(self) -> Any:
        """Those of every agent that no rule is about; None where the detector has none."""
        return getattr(self.usual, "settings", None)

    def key(self, agent: str) -> Key:
        """Return which rules hold for an agent."""
        return tuple(index for index, rule in enumerate(self.rules) if rule.holds(agent))

    def variant(self, key: Key) -> Detector | None:
        """Return the detector for the agents of a key, or None where it is switched off for them."""
        given: dict[str, Any] = {"enabled": self.enabled}
        for index in key:
            given |= self.rules[index].given
        if not given.pop("enabled"):
            return None
        return self.made(self.usual, given) if given else self.usual

    def detect(self, window: Window) -> tuple[Finding, ...]:
        """Return what each agent's own variant finds; what is about no agent comes from the usual settings."""
        return self.gathered(window, self.variant)

    def gathered(self, window: Window, variant: Callable[[Key], Detector | Replay | None]) -> tuple[Finding, ...]:
        """Ask the variant of every group of agents that share one."""
        groups: dict[Key, set[str | None]] = {(): {None}}
        for agent in window.agents():
            groups.setdefault(self.key(agent), set()).add(agent)
        found: list[Finding] = []
        for key, agents in groups.items():
            detector = variant(key)
            if detector is not None:
                own = window.narrowed(agents.__contains__)
                found += [one for one in detector.detect(own) if one.subject.agent in agents]
        return tuple(found)

    def explain(self, window: Window, agent: str) -> tuple[Reading, ...]:
        """Return where the agent's own variant stands."""
        detector = self.variant(self.key(agent))
        if detector is None:
            why = "switched off for this agent under [detectors] in analyzer.toml"
            return (Reading(self.name, self.kind, Subject(agent=agent), Gate.OFF, why),)
        return detector.explain(window, agent)

    def replay(self, whole: Window) -> Replay:
        """See `base.Replaying`."""
        return _Replayed(self, whole)


class _Replayed:
    """The variants, each walked through the series once."""

    def __init__(self, detector: PerAgent, whole: Window) -> None:
        self._detector, self._whole = detector, whole
        self._known: dict[Key, Replay | None] = {}

    def detect(self, window: Window) -> tuple[Finding, ...]:
        return self._detector.gathered(window, self._variant)

    def _variant(self, key: Key) -> Replay | None:
        if key not in self._known:
            detector = self._detector.variant(key)
            self._known[key] = None if detector is None else replay_of(detector, self._whole)
        return self._known[key]
