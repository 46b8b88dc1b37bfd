"""Prometheus, through prometheus-api-client: bounded in time, tried again, split into ranges that it accepts."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util import Retry

from analyzer.errors import MetricsError, MetricsPartError, MetricsQueryError
from analyzer.metrics.base import Exemplar, Points
from analyzer.retry import retrying

POINTS_MAX = 11_000
"""Prometheus refuses a range query with more points per series than this (web/api/v1, `maxPointsPerSeries`)."""
_STATUS = re.compile(r"HTTP Status Code (\d+) \((b['\"].*['\"])\)", re.DOTALL)
_WORTH_RETRYING = frozenset({408, 429, 500, 502, 503, 504})


_WITHOUT_EXEMPLARS = frozenset({404, 405, 501})
"""What servers say that know no exemplars at all (Cortex, proxies that let queries through and nothing else)."""
_TRACE_LABELS = ("trace_id", "traceID", "traceId", "TraceID")
"""Labels of an exemplar that name its trace: OpenMetrics' own, and those that Grafana's tools and Istio have used."""
_PARTIAL = (b'"isPartial"', b'"warnings"')
"""What stands in an answer that may not be whole: VictoriaMetrics' own mark, and the warnings of Thanos and Mimir."""
_LOGIN = re.compile(r"//[^/@]*@")
_ABOUT_PROMQL = "PromQL "
"""How Prometheus begins warnings about a query: they say nothing of what is missing."""


@dataclass(frozen=True, slots=True)
class Access:
    """How one server is spoken to, apart from its address."""

    token: str | None = None
    """Bearer token."""
    login: tuple[str, str] | None = None
    """Name and password of HTTP basic authentication."""
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: str | None = None
    cert: str | tuple[str, str] | None = None
    """PEM of the client's certificate, or of it and of its key."""
    place: str = "ANALYZER_PROMETHEUS_"
    """Where all of this is set: what advice begins with."""

    def setting(self, name: str) -> str:
        """Return what a setting is called where this server is set up."""
        return f"{self.place}{name.upper()}" if self.place.endswith("_") else f"{self.place} {name}"


class Prometheus:
    """A `MetricSource` over HTTP."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 10.0,
        access: Access | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """Connect lazily: nothing is sent before the first query. `sleep` replaces the waits between tries."""
        self.url = _LOGIN.sub("//", url)
        """Without a name and password in it: it stands in messages."""
        self._timeout_s = timeout_s
        self._access = access or Access()
        headers = dict(self._access.headers)
        if self._access.token:
            headers["Authorization"] = f"Bearer {self._access.token}"
        self._session = session = requests.Session()
        session.verify = self._access.ca_file or True
        session.cert = self._access.cert
        # A redirect would carry the headers, a tenant or a key among them, to another host.
        session.max_redirects = 0
        session.hooks["response"].append(_check_whole)
        # The client's own retries are switched off: this house tries again in one place.
        self._client = PrometheusConnect(
            url=url,
            headers=headers or None,
            auth=self._access.login,
            session=session,
            retry=Retry(total=0, redirect=0),
            timeout=math.ceil(timeout_s),
        )
        self._sleep = sleep

    def query(self, promql: str, at: datetime) -> list[Points]:
        """See `MetricSource.query`."""
        answer = self._call(self._client.custom_query, promql, params={"time": f"{at.timestamp():.3f}"})
        return _points(answer, self.url)

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: float) -> list[Points]:
        """See `MetricSource.query_range`."""
        merged: dict[tuple[tuple[str, str], ...], Points] = {}
        span = timedelta(seconds=step_s * (POINTS_MAX - 1))
        while start <= end:
            stop = min(end, start + span)
            answer = self._call(
                self._client.custom_query_range, promql, start_time=start, end_time=stop, step=f"{step_s:g}"
            )
            for points in _points(answer, self.url):
                key = tuple(sorted(points.labels.items()))
                before = merged.get(key)
                merged[key] = points if before is None else _joined(before, points)
            start = stop + timedelta(seconds=step_s)
        return [merged[key] for key in sorted(merged)]

    def exemplars(self, promql: str, start: datetime, end: datetime) -> list[Exemplar]:
        """See `MetricSource.exemplars`."""
        span = {"start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}"}
        return _exemplars(self._call(self._asked_exemplars, promql, params=span), self.url)

    def _asked_exemplars(self, promql: str, *, params: Mapping[str, str], timeout: float) -> Any:
        """Ask for exemplars, for which the client has no call. Raises as its calls do."""
        answer = self._get("query_exemplars", timeout, {"query": promql, **params})
        if answer.status_code in _WITHOUT_EXEMPLARS:
            return []
        if answer.status_code != requests.codes.ok:
            raise PrometheusApiClientException(f"HTTP Status Code {answer.status_code} ({answer.content!r})")
        return answer.json()["data"]

    def version(self) -> str:
        """Return the server's version, for `doctor`: what it says of itself, else what it has scraped.

        Raises MetricsError where it does not answer a query.
        """
        answer = self.query("prometheus_build_info", datetime.now(UTC))
        scraped = next((points.labels.get("version", "unknown") for points in answer), "unknown")
        return self._own_version() or scraped

    def _own_version(self) -> str:
        """Return the version by the server's status, which not every server has; "" where it does not say."""
        try:
            answer = self._get("status/buildinfo", self._timeout_s)
            version = answer.json()["data"]["version"]
        except (requests.RequestException, _PartError, KeyError, TypeError, ValueError):
            return ""
        return version if answer.ok and isinstance(version, str) else ""

    def _get(self, path: str, timeout_s: float, params: Mapping[str, str] | None = None) -> requests.Response:
        """Ask what the client has no call for, with the headers, the login and the certificates of its own calls.

        Where `verify` is not said with the request, the environment goes before the session's (REQUESTS_CA_BUNDLE).
        """
        return self._session.get(
            f"{self._client.url}/api/v1/{path}",
            params=params,
            headers=self._client.headers,
            auth=self._access.login,
            verify=self._session.verify,
            timeout=timeout_s,
        )

    def _call(self, method: Callable[..., Any], promql: str, **arguments: Any) -> Any:
        def once() -> Any:
            try:
                return method(promql, timeout=self._timeout_s, **arguments)
            except _PartError as error:
                raise MetricsPartError(f"{self.url} answered {promql} only in part: {error}") from None
            except PrometheusApiClientException as error:
                raise self._translated(error, promql) from None
            except (ValueError, KeyError, TypeError):
                # requests' JSONDecodeError is a ValueError, too.
                raise MetricsError(f"{self.url} answered with something that is not Prometheus") from None
            except requests.exceptions.SSLError as error:
                advice = f"{self._access.setting('ca_file')} names who signed its certificate"
                raise MetricsError(
                    f"Prometheus at {self.url}: no TLS with it ({_tls_reason(error)}); {advice}"
                ) from None
            except requests.TooManyRedirects:
                advice = f"set {self._access.setting('url')} to where it leads"
                raise MetricsError(
                    f"Prometheus at {self.url} answered with a redirect, which is not followed; {advice}"
                ) from None
            except requests.RequestException as error:
                reason = "timed out" if "timed out" in str(error) else type(error).__name__
                raise _DeadError(
                    f"Prometheus at {self.url} did not answer ({reason});"
                    f" check {self._access.setting('url')} and the server"
                ) from None

        return retrying(once, worth_it=lambda error: isinstance(error, _DeadError), sleep=self._sleep)()

    def _translated(self, error: PrometheusApiClientException, promql: str) -> MetricsError:
        match = _STATUS.search(str(error))
        if match is None:
            return MetricsError(f"Prometheus at {self.url}: {error}")
        status, text = int(match[1]), _error_text(match[2])
        if status in {400, 422}:
            return MetricsQueryError(f"Prometheus refused the query {promql}: {text}")
        if status in {401, 403}:
            return MetricsError(f"Prometheus at {self.url} answered {status}: set {self._access.setting('token')}")
        kind = _DeadError if status in _WORTH_RETRYING else MetricsError
        return kind(f"Prometheus at {self.url} answered {status}: {text}")


class _DeadError(MetricsError):
    """Another try could help."""


class _PartError(Exception):
    """An answer is not whole; why, in the server's words."""


def _check_whole(response: requests.Response, *_args: Any, **_fields: Any) -> None:
    """Raise _PartError for an answer that says that it is not whole. Large answers are not parsed twice for that."""
    if response.status_code != requests.codes.ok or not any(mark in response.content for mark in _PARTIAL):
        return
    try:
        document = response.json()
    except ValueError:
        return
    if not isinstance(document, dict):
        return
    given = document.get("warnings")
    warnings = [str(one) for one in given] if isinstance(given, list) else []
    lacks = [one for one in warnings if not one.startswith(_ABOUT_PROMQL)]
    if document.get("isPartial") is True or lacks:
        raise _PartError("; ".join(lacks)[:300] or "it could not reach all of its storage")


def _tls_reason(error: Exception) -> str:
    """Return what the TLS library says, without the address and the query around it."""
    found = re.search(r"certificate verify failed(?:: [^(\"'\]]+)?", str(error)) or re.search(
        r"[A-Z]+_[A-Z_]+", str(error)
    )
    return found[0].strip() if found else type(error).__name__


def _error_text(literal: str) -> str:
    """Return the `error` of an answer that the client printed as a bytes literal."""
    try:
        document = json.loads(ast.literal_eval(literal))
        return str(document["error"])
    except (ValueError, SyntaxError, KeyError, TypeError):
        return literal[2:202]


def _points(answer: Any, url: str) -> list[Points]:
    """Return the series of a vector, matrix or scalar answer. Points that are no number are left out."""
    try:
        if isinstance(answer, list) and answer and not isinstance(answer[0], dict):
            return [_one({}, [answer])]  # a scalar: one [time, value] pair
        return [_one(entry.get("metric", {}), entry.get("values") or [entry["value"]]) for entry in answer]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MetricsError(f"{url} answered with something that is not Prometheus") from None


def _exemplars(answer: Any, url: str) -> list[Exemplar]:
    """Return the exemplars of an answer, `null` where there are none. One without a trace id points nowhere."""
    try:
        return [
            Exemplar(series["seriesLabels"], trace_id, float(one["value"]), float(one["timestamp"]))
            for series in answer or ()
            for one in series["exemplars"]
            if (trace_id := next((one["labels"][name] for name in _TRACE_LABELS if one["labels"].get(name)), None))
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MetricsError(f"{url} answered with something that is not Prometheus") from None


def _one(labels: dict[str, str], pairs: list[Any]) -> Points:
    kept = [(float(time), float(value)) for time, value in pairs if math.isfinite(float(value))]
    return Points(labels, tuple(time for time, _ in kept), tuple(value for _, value in kept))


def _joined(before: Points, after: Points) -> Points:
    return Points(before.labels, before.times_s + after.times_s, before.values + after.values)
