"""Any sequence of signals, words, crashes and runs keeps the rules of an incident's life."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from support.incidents import NOW, finding

from analyzer.notify.base import Message, RecordedDigests, RecordedNotifier, Route
from analyzer.notify.deliver import deliver
from analyzer.pipeline.memory import Memory
from analyzer.triage import triage
from analyzer.types.report import ACTIVE, Examined, Finding, Incident, Kind, Severity, State
from analyzer.types.sent import Reason, Sent
from analyzer.types.word import Said, Word
from analyzer.types.worse import clearly_worse

HOUR = timedelta(hours=1)
HELD = 6 * HOUR
AGENTS = ("alpha", "bravo", "golf")
SAID = (Said.DISMISSED, Said.CONFIRMED, Said.MUTED, Said.UNMUTED, Said.RESOLVED, Said.REOPENED)
WISHES = {
    "people": {
        "per_day": 2,
        "storm": 2,
        "quiet": (time(22), time(7)),
        "severity": Severity.HIGH,
        "remind_after": None,
    }
}
"""Tight limits, so that much has to wait."""
PATHS = {
    None: {State.OPEN, State.RESOLVED},
    State.OPEN: {State.ONGOING, State.RESOLVED},
    State.ONGOING: {State.ONGOING, State.RESOLVED},
    State.REGRESSED: {State.ONGOING, State.RESOLVED},
    State.RESOLVED: {State.RESOLVED, State.REGRESSED},
    State.DISMISSED: {State.DISMISSED, State.ONGOING},
}
"""Where a run may take an incident."""


class KilledError(BaseException):
    """The process is killed."""


@dataclass
class Signal:
    """What one agent costs: above its usual since `onset`, back since `ended`."""

    onset: datetime
    value: float
    excess_usd: float
    ended: datetime | None = None


class Mortal(Memory):
    """The analyst's memory, which a kill reaches between a message and its record."""

    lives = True

    def record_sent(self, route: str, sent: Mapping[str, Sent]) -> None:
        """Record a message, unless the process dies before."""
        if not self.lives:
            raise KilledError
        super().record_sent(route, sent)


class Life(RuleBasedStateMachine):
    """A fleet, its analyst, and people who say things at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.at = NOW
        self.memory = Mortal()
        self.signals: dict[str, Signal] = {}
        self.said: dict[str, list[Said]] = {}
        self.people, self.plain = RecordedDigests(), RecordedNotifier()
        self.routes = [Route("people", self.people), Route("plain", self.plain)]
        self.kills = 0
        self.kills_in_a_row = 0

    @rule(
        agent=st.sampled_from(AGENTS),
        value=st.sampled_from([0.31, 0.4, 0.9, 2.0]),
        usd=st.sampled_from([0.0, 200.0, 2000.0]),
    )
    def gets_dear(self, agent: str, value: float, usd: float) -> None:
        """The signal rises, or rises further."""
        signal = self.signals.get(agent)
        goes_on = signal is not None and signal.ended is None
        self.signals[agent] = Signal(signal.onset if signal is not None and goes_on else self.at, value, usd)

    @rule(agent=st.sampled_from(AGENTS))
    def recovers(self, agent: str) -> None:
        """The signal comes back to its usual."""
        signal = self.signals.get(agent)
        if signal is not None and signal.ended is None and signal.onset < self.at:
            signal.ended = self.at

    @precondition(lambda self: self.memory.incidents())
    @rule(number=st.integers(0, 9), said=st.sampled_from(SAID), hours=st.integers(1, 40))
    def speaks(self, number: int, said: Said, hours: int) -> None:
        """A human says something of an incident."""
        known = self.memory.incidents()
        name = known[number % len(known)].id
        until = self.at + hours * HOUR if said is Said.MUTED else None
        self.memory.say(name, Word(0, said, self.at, "jo", until=until))
        self.said.setdefault(name, []).append(said)

    @rule(hours=st.integers(1, 9))
    def runs(self, hours: int) -> None:
        """A scheduled run goes through."""
        self.kills_in_a_row = 0
        self._run(hours)

    @precondition(lambda self: self.kills_in_a_row < 3)
    @rule(hours=st.integers(1, 9))
    def is_killed_while_it_tells(self, hours: int) -> None:
        """A run dies between its first message and the record of it."""
        self.kills += 1
        self.kills_in_a_row += 1
        self.memory.lives = False
        try:
            self._run(hours)
        except KilledError:
            pass
        finally:
            self.memory.lives = True

    def _run(self, hours: int) -> None:
        self.at += hours * HOUR
        before = {one.id: one for one in self.memory.incidents()}
        examined = [Examined(found) for agent in self.signals if (found := self._seen(agent)) is not None]
        incidents = triage(examined, list(before.values()), self.at, run_start=self.at - 24 * HOUR, severity=_grade)
        for incident in incidents:
            self._check_path(before.get(incident.id), incident)
        self.memory.save_incidents(incidents, run_trace_id="")
        told = len(self.plain.messages), len(self.people.messages), len(self.people.digests)
        try:
            deliver(incidents, self.routes, self.memory, self.at, policies=WISHES)
        finally:
            self._check_told(self._since(told))
        self._check_overruled(before, incidents, self.plain.messages[told[0] :])
        self._check_silence()

    def _seen(self, agent: str) -> Finding | None:
        signal = self.signals[agent]
        if signal.ended is not None and self.at - signal.ended > 24 * HOUR:
            return None
        return finding(
            agent=agent, onset=signal.onset, value=signal.value, excess_usd=signal.excess_usd, recovered=signal.ended
        )

    def _since(self, told: tuple[int, int, int]) -> list[Message]:
        plain, people, digests = told
        together = [message for digest in self.people.digests[digests:] for message in digest.messages]
        return [*self.plain.messages[plain:], *self.people.messages[people:], *together]

    def _check_path(self, before: Incident | None, after: Incident) -> None:
        """No state without a path; resolved only where recovery held; a dismissal falls only to what is worse."""
        assert after.state in PATHS[before.state if before is not None else None], (before, after)
        signal = self.signals[after.subject.agent or ""]
        newly = after.state is State.RESOLVED and (before is None or before.state is not State.RESOLVED)
        if newly:
            assert signal.ended is not None
            assert self.at - signal.ended >= HELD
            word = before.word if before is not None else None
            assert word is None or word.said is not Said.REOPENED or self.at - word.at >= 24 * HOUR
        if before is not None and before.state is State.DISMISSED and after.state is not State.DISMISSED:
            seen = self._seen(after.subject.agent or "")
            assert seen is not None
            assert (
                clearly_worse(Kind.COST, before.observed, seen.value) or _grade(seen, None).rank > before.severity.rank
            )

    def _check_told(self, messages: list[Message]) -> None:
        """Nothing is said of what is dismissed or muted."""
        for message in messages:
            stands = self.memory.incident(message.incident.id)
            assert stands.state is not State.DISMISSED
            assert stands.muted_until is None or stands.muted_until <= self.at

    def _check_overruled(
        self, before: Mapping[str, Incident], after: Sequence[Incident], messages: Sequence[Message]
    ) -> None:
        """A dismissal is not overruled behind people's backs."""
        told = {message.incident.id for message in messages}
        for one in after:
            was = before.get(one.id)
            muted = one.muted_until is not None and self.at < one.muted_until
            if was is not None and was.state is State.DISMISSED and one.state is not State.DISMISSED and not muted:
                assert one.id in told

    def _check_silence(self) -> None:
        """What was said is not said again: a second delivery at once has nothing to say."""
        told = len(self.plain.messages), len(self.people.messages), len(self.people.digests)
        deliver(self.memory.incidents(), self.routes, self.memory, self.at, policies=WISHES)
        assert self._since(told) == []

    def teardown(self) -> None:
        """In the end every word is there, everything was said, and nothing was first seen twice but for a kill."""
        for _ in range(30):
            self._run(3)
        for name, said in self.said.items():
            assert [word.said for word in self.memory.words(name)] == said
        for incident in self.memory.incidents():
            for route in self.routes:
                self._check_end(incident, self.memory.last_sent(incident.id, route.name))
        first = Counter(one.incident.id for one in self.plain.messages if one.reason is Reason.FIRST_SEEN)
        assert sum(first.values()) - len(first) <= self.kills

    def _check_end(self, incident: Incident, last: Sent | None) -> None:
        if incident.state is State.RESOLVED:
            # Dismissed before anybody was told, and over when the dismissal was taken back: nobody is owed its past.
            untold = last is None and Said.DISMISSED in self.said.get(incident.id, ())
            assert untold or (last is not None and last.state is State.RESOLVED)
        elif incident.state in ACTIVE:
            assert last is not None
            assert last.state is not State.RESOLVED
            assert not clearly_worse(incident.kind, last.observed, incident.observed)


def _grade(found: Finding, _last: Severity | None) -> Severity:
    usd = found.excess_usd or 0.0
    return Severity.CRITICAL if usd >= 1000 else Severity.HIGH if usd >= 100 else Severity.MEDIUM


Life.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
