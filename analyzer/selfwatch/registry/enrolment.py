"""The analyst's place in a catalogue, for one process: entered once, on its terms, and told of its run once.

Nothing of it is in the way of a run: all of it together takes a bounded time, and what fails is a Gap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

from analyzer.errors import DeliveryError, RefusedError
from analyzer.selfwatch.bounded import bounded
from analyzer.selfwatch.registry.argus import WHO, Argus
from analyzer.selfwatch.registry.base import Registration
from analyzer.types.document import finite, time_text
from analyzer.types.report import Gap, Incident, Report, State
from analyzer.types.terms import Terms

_T = TypeVar("_T")

EVENTS_MAX = 20
"""Events of one run, worst incidents first: each is a request."""
_TRACES_MAX = 3
_INT_MAX = 2**31 - 1
_WHAT = "the catalogue of agents"
_HINT = "check ANALYZER_ARGUS_URL and ANALYZER_ARGUS_TOKEN; the run itself is not affected"
_TERMS_HINT = f"the limits of the settings hold; {_HINT}"


class Enrolment:
    """See the module. Its methods never raise."""

    def __init__(
        self,
        argus: Argus,
        registration: Registration,
        *,
        seconds: float,
        enters: bool = True,
        consumer: str | None = None,
        page: Callable[[Incident], str] = lambda _incident: "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take `seconds` at most, over everything. `enters` says whether it may enter itself: that needs a token.

        `consumer` is who had the analyst run; `page` gives the address of an incident's page, "" where there is none.
        """
        self._argus = argus
        self._registration = registration
        self._left_s = seconds
        self._enters = enters
        self._consumer = consumer
        self._page = page
        self._clock = clock
        self._is_lost = False
        self._is_told = False
        self.gaps: tuple[Gap, ...] = ()
        """What went wrong at the beginning."""

    def begin(self) -> Terms:
        """Enter the analyst, or bring its entry up to date, and return the terms it works on."""
        gaps: list[Gap] = []
        terms = self._timed(lambda: self._enter(gaps), gaps, _TERMS_HINT)
        self.gaps = tuple(gaps)
        if terms is None:
            # Whoever did not answer now is not waited for a second time.
            self._is_lost = True
            return Terms()
        return terms

    def ran(self, report: Report) -> tuple[Gap, ...]:
        """Tell of a finished run, and of what it found, once."""
        run = report.run
        invocation = {
            "status": "success",
            "consumer": self._consumer,
            "latency_ms": min(round(run.duration_s * 1000), _INT_MAX),
            "input_tokens": min(run.llm.input_tokens, _INT_MAX),
            "output_tokens": min(run.llm.output_tokens, _INT_MAX),
            "cost": run.llm.cost_usd,
            "session_id": run.trace_id,
        }
        return self._told(lambda: self._tell(invocation, list(_events(report, self._page))))

    def broke_off(self, error: str, run: str) -> None:
        """Tell of a run that broke off; `error` is the type of what ended it."""
        failed = {"status": "error", "consumer": self._consumer, "error_type": error[:100], "session_id": run}
        self._told(lambda: self._tell(failed, []))

    def _told(self, work: Callable[[], None]) -> tuple[Gap, ...]:
        if self._is_lost or self._is_told:
            return ()
        self._is_told = True
        gaps: list[Gap] = []
        self._timed(work, gaps, _HINT)
        return tuple(gaps)

    def _enter(self, gaps: list[Gap]) -> Terms:
        name, refused = self._registration.name, None
        if self._enters:
            try:
                self._argus.register(self._registration)
            except RefusedError as error:
                # The terms hold all the same: somebody else may have entered it.
                refused = error
        try:
            terms = self._argus.terms(name)
        except RefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            why = f"'{name}' is not entered there, which needs a token" if refused is None else str(refused)
            raise DeliveryError(why, retryable=False) from None
        if refused is not None:
            gaps.append(Gap(_WHAT, f"the entry was not brought up to date: {refused}", _HINT))
        return terms

    def _tell(self, invocation: dict[str, Any], events: list[tuple[str, dict[str, Any]]]) -> None:
        self._argus.ran(self._registration.name, {key: value for key, value in invocation.items() if value is not None})
        unknown: set[str] = set()
        for agent, event in events:
            if agent not in unknown and not self._argus.happened(agent, event):
                unknown.add(agent)

    def _timed(self, work: Callable[[], _T], gaps: list[Gap], hint: str) -> _T | None:
        """Do something in what is left of the time; where it fails there is a Gap, and None."""
        began = self._clock()
        self._argus.give_up_in(self._left_s)
        try:
            return bounded(work, WHO, self._left_s)
        except Exception as error:  # noqa: BLE001 - whatever a hostile answer provokes, the run goes on
            why = str(error) if isinstance(error, DeliveryError) else f"{WHO}: {type(error).__name__}"
            gaps.append(Gap(_WHAT, why, hint))
            return None
        finally:
            self._left_s = max(0.0, self._left_s - (self._clock() - began))


def _events(report: Report, page: Callable[[Incident], str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield agent and event of what began, came back or was over in this run."""
    at = report.run.at
    news = [one for one in report.incidents if _is_news(one, at)]
    pairs = [(agent, one) for one in news for agent in one.concerned]
    for agent, one in pairs[:EVENTS_MAX]:
        yield agent, _event(one, page(one))


def _is_news(one: Incident, at: datetime) -> bool:
    if one.state in {State.OPEN, State.REGRESSED}:
        return one.last_seen_at == at
    return one.state is State.RESOLVED and one.resolved_at == at


def _event(one: Incident, page: str) -> dict[str, Any]:
    """Return an incident as a hook event: something that was seen after the fact, and held nobody up."""
    return {
        "stage": "post_exec",
        "decision": "allow",
        "action_type": "incident",
        "target": str(one.subject)[:500],
        "policy_ref": f"analyzer/{one.kind.value}",
        "reason": one.title,
        "session_id": one.id,
        "consumer": "analyzer",
        "metadata": {
            "state": one.state.value,
            "severity": one.severity.value,
            "kind": one.kind.value,
            "onset": time_text(one.onset),
            "observed": finite(one.observed),
            "expected": finite(one.expected),
            "unit": one.unit,
            "excess_usd": finite(one.excess_usd),
            "trace_ids": list(one.trace_ids[:_TRACES_MAX]),
            **({"url": page} if page else {}),
        },
    }
