"""The Argus Catalog (DataDynamics-OSS/argus-catalog), by its API below `/api/v1/ai-agents`; as of release 0.1.2.

A catalogue of agents that people govern them by: an agent enters itself, asks what it may do, and tells of its calls.
What stands there is not ours: of an entry only that is written which the analyst knows better than anyone.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from analyzer.errors import DeliveryError, RefusedError
from analyzer.selfwatch.registry.base import Registration
from analyzer.types.terms import Terms
from analyzer.web import ask, check_url

SETTING = "ANALYZER_ARGUS_URL"
WHO = "the Argus Catalog"
TIMEOUT_S = 5.0
_BARRED = frozenset({"blocked", "retired"})
_STEPS_MAX = 2**31 - 1
"""Its database counts in 32 bits."""
_NAMES_MAX = 1_000
_VERSION_CHARS_MAX = 50


class Argus:
    """One catalogue. It is a `Registry`."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        usd_per_unit: float = 1.0,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`usd_per_unit` is what 1 of a `budget_limit` is worth: the API names no currency. Raises UsageError."""
        check_url(url, SETTING)
        self._api = f"{url.rstrip('/')}/api/v1/ai-agents"
        self._headers = {} if token is None else {"Authorization": f"Bearer {token.strip()}"}
        self._usd_per_unit = usd_per_unit
        self._timeout_s = timeout_s
        self._until_s = math.inf
        self._clock = clock

    def give_up_in(self, seconds: float) -> None:
        """Ask nothing any more after this long: whoever waited has gone on by then."""
        self._until_s = self._clock() + seconds

    def register(self, registration: Registration) -> None:
        """Enter an agent; where it is entered already, bring what it knows of itself up to date. Raises DeliveryError.

        Limits, status and owner are not touched: they are what the catalogue governs by.
        """
        own = _entry(registration)
        try:
            self._send("", {"name": registration.name, "status": "active", **own})
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            self._send(_path(registration.name), own, method="PATCH")

    def terms(self, name: str) -> Terms:
        """Return on which terms an agent works. Raises DeliveryError; RefusedError 404 where it is not entered.

        No tool entered means that nobody said which: the catalogue cannot tell that from none being allowed.
        """
        policy = self._read(f"{_path(name)}/policy")
        if not isinstance(policy, Mapping):
            raise _strange("its policy is no object")
        limit = _number(policy, "budget_limit")
        steps = _number(policy, "max_steps")
        tools = _names(policy.get("allowed_tools"))
        return Terms(
            version=str(policy.get("policy_version") or "")[:_VERSION_CHARS_MAX],
            steps_max=None if steps is None else math.floor(min(steps, _STEPS_MAX)),
            usd_max=None if limit is None else limit * self._usd_per_unit,
            tools=frozenset(tools) or None,
            is_barred=str(policy.get("status")) in _BARRED,
        )

    def ran(self, name: str, invocation: Mapping[str, Any]) -> None:
        """Tell of one run: `status`, `latency_ms`, `input_tokens`, `output_tokens`, `cost`, `session_id`.

        Once a run and not once a call of the model: the catalogue reads all it has of an agent at each of them. Raises
        DeliveryError.
        """
        self._send(f"{_path(name)}/invocations", invocation)

    def happened(self, name: str, event: Mapping[str, Any]) -> bool:
        """Write an event beside an agent; False where it is not entered there. Raises DeliveryError."""
        if name in {".", ".."}:
            return False
        try:
            self._send(f"{_path(name)}/hook-events", event)
        except RefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def check(self) -> str:
        """Ask how many agents are entered, which changes nothing; return a line about it. Raises DeliveryError."""
        stats = self._read("/stats")
        agents = stats.get("total_agents") if isinstance(stats, Mapping) else None
        if not isinstance(agents, int):
            raise _strange("its statistics are none")
        return f"{agents} agents are entered; nothing was sent"

    def _send(self, path: str, body: Mapping[str, Any], method: str | None = None) -> None:
        text = json.dumps(body, allow_nan=False).encode()
        headers = {**self._headers, "Content-Type": "application/json"}
        ask(f"{self._api}{path}", who=WHO, body=text, headers=headers, timeout_s=self._time_left(), method=method)

    def _read(self, path: str) -> Any:
        answer = ask(f"{self._api}{path}", who=WHO, headers=self._headers, timeout_s=self._time_left())
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise _strange("it is no JSON") from None

    def _time_left(self) -> float:
        left = min(self._timeout_s, self._until_s - self._clock())
        if left <= 0:
            raise DeliveryError(f"{WHO} took too long", retryable=False)
        return left


def _path(name: str) -> str:
    return f"/{quote(name, safe='')}"


def _entry(one: Registration) -> dict[str, Any]:
    """Return what an agent says of itself, without what it does not say."""
    said: dict[str, Any] = {
        "description": one.description,
        "version": one.version and one.version[:_VERSION_CHARS_MAX],
        "base_model": one.model,
        "model_provider": "anthropic" if one.model else None,
        "endpoint": one.url,
        "protocol": "REST" if one.url else None,
        "auth_method": ("bearer token" if one.needs_token else "none") if one.url else None,
        "capabilities": list(one.tools),
        "use_cases": [skill.description for skill in one.skills],
    }
    return {name: value for name, value in said.items() if value}


def _number(policy: Mapping[str, Any], name: str) -> float | None:
    """Return a limit; None where there is none. Raises DeliveryError for what is no limit: it is not guessed at."""
    value = policy.get(name)
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if math.isnan(number) or number < 0:
        raise _strange(f"its {name} is no number of 0 or more")
    return number


def _names(tools: Any) -> list[str]:
    if tools is None:
        return []
    if not isinstance(tools, list) or len(tools) > _NAMES_MAX:
        raise _strange("its allowed_tools are no list")
    names = [tool.get("name") if isinstance(tool, Mapping) else None for tool in tools]
    if not all(isinstance(name, str) and name for name in names):
        raise _strange("its allowed_tools have no names")
    return [str(name) for name in names]


def _strange(why: str) -> DeliveryError:
    return DeliveryError(f"{WHO} answered, but not as it should: {why}", retryable=False)
