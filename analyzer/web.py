"""One HTTP request to somebody outside: no redirect is followed, no answer is trusted, the address is in no error.

Addresses of webhooks are credentials, and a redirect would carry a message, or a token, to somebody else.
"""

from __future__ import annotations

import http.client
import ipaddress
import math
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from analyzer.errors import DeliveryError, RateLimitedError, RefusedError, UsageError

TIMEOUT_S = 10.0
_ANSWER_BYTES_MAX = 4 << 20
_RETRYABLE = {408, 425, 429}
_TOO_MANY, _SERVER_ERROR, _REDIRECT = 429, 500, 300


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_fields: Any) -> None:
        """Follow nothing: the redirect is then an error like any other status."""


def ask(
    url: str,
    *,
    who: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float,
    method: str | None = None,
) -> bytes:
    """POST a body, or GET without one, and return the answer's body of at most 4 MiB. Raises DeliveryError.

    `who` names the other side in errors; `method` stands in for POST or GET.
    """
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310 - `check_url` saw it
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout_s) as answer:
            content: bytes = answer.read(_ANSWER_BYTES_MAX)
            return content
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(who, error.code, error.headers.get("Retry-After", "")) from None
    except (OSError, http.client.HTTPException) as error:
        inner = getattr(error, "reason", None)
        cause = inner if isinstance(inner, BaseException) else error
        if isinstance(cause, TimeoutError):
            raise DeliveryError(f"{who} did not answer within {timeout_s:g} s", retryable=True) from None
        raise DeliveryError(f"{who} could not be reached ({type(cause).__name__})", retryable=True) from None
    except ValueError as error:
        raise DeliveryError(f"{who} could not be asked ({type(error).__name__})", retryable=False) from None


def relayed(
    url: str, *, who: str, body: bytes, headers: Mapping[str, str], timeout_s: float
) -> http.client.HTTPResponse | urllib.error.HTTPError:
    """POST a body and return the open answer, whatever its status: the caller reads and closes it.

    `timeout_s` is how long the other side may be silent. Raises DeliveryError where no answer comes.
    """
    request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310 - `check_url` saw it
    try:
        answer: http.client.HTTPResponse = urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        return error
    except (OSError, http.client.HTTPException, ValueError) as error:
        inner = getattr(error, "reason", None)
        name = type(inner if isinstance(inner, BaseException) else error).__name__
        raise DeliveryError(f"{who} could not be reached ({name})", retryable=True) from None
    return answer


def check_url(url: str, setting: str) -> None:
    """Raise UsageError where a URL cannot be read, without repeating it: it may be a credential."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise UsageError(f"{setting} cannot be read as a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{setting} must begin with http:// or https:// and name a host")
    if parts.username is not None:
        raise UsageError(f"{setting} must not hold a name and password: they are not sent")


def names_loopback(name: str) -> bool:
    """Tell whether a host is `localhost` or an address of loopback. Other names are not looked up."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _refusal(who: str, status: int, retry_after: str) -> DeliveryError:
    if status == _TOO_MANY:
        return RateLimitedError(f"{who} asked to wait (429)", retry_after_s=_seconds(retry_after))
    if status >= _SERVER_ERROR or status in _RETRYABLE:
        return DeliveryError(f"{who} failed ({status})", retryable=True)
    if _REDIRECT <= status < 400:  # noqa: PLR2004 - the range is its name
        return DeliveryError(f"{who} answered with a redirect ({status}), which is not followed", retryable=False)
    return RefusedError(f"{who} refused the message ({status})", status=status)


def _seconds(retry_after: str) -> float | None:
    try:
        seconds = float(retry_after)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
