"""The HTTP face: paths, status codes and content types of OTLP/HTTP."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from analyzer.server import answers
from analyzer.server.alerts import BODY_BYTES_MAX, AlertInbox
from analyzer.server.alerts import PATH as ALERTS
from analyzer.server.decode import Encoding, Signal
from analyzer.server.metrics import Scrapes
from analyzer.server.pages.site import Site
from analyzer.server.receiver import Receiver
from analyzer.server.refusal import CODES, RefusalError, busy

CARD = "/.well-known/agent-card.json"
"""Where A2A has other agents look for what this one does."""

PATHS = {
    "/v1/traces": Signal.TRACES,
    "/v1/logs": Signal.LOGS,
    "/v1/metrics": Signal.METRICS,
    "/api/public/otel/v1/traces": Signal.TRACES,
}
"""The last is where Langfuse's SDK sends to."""

_ENCODINGS = {
    "application/x-protobuf": Encoding.PROTO,
    "application/protobuf": Encoding.PROTO,
    "application/json": Encoding.JSON,
}
_HINTS = {
    404: f"no such path: OTLP is taken at {', '.join(PATHS)}; alerts at {ALERTS}",
    405: "only POST is taken here",
}


def application(
    receiver: Receiver,
    site: Site | None = None,
    scrapes: Scrapes | None = None,
    alerts: AlertInbox | None = None,
    card: bytes | None = None,
) -> Starlette:
    """Return the ASGI application over a receiver; with what else it serves where that is given.

    That is pages for people, metrics, the inbox of alerts, and the card that other agents read: JSON.
    """
    routes = [Route(path, _export(receiver, signal), methods=["POST"]) for path, signal in PATHS.items()]
    routes.append(Route("/healthz", _health(receiver), methods=["GET"]))
    if scrapes is not None:
        routes.append(Route("/metrics", scrapes.answer, methods=["GET"]))
    if card is not None:
        routes.append(Route(CARD, _card(card), methods=["GET"]))
    if alerts is not None:
        routes.append(Route(ALERTS, _alerts(receiver, alerts), methods=["POST"]))
    if site is not None:
        routes += site.routes()

    async def not_here(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - narrows the type: it is registered for these alone
        if error.status_code == 404 and site is not None and "text/html" in request.headers.get("accept", ""):  # noqa: PLR2004 - the number is its name
            return site.not_found(request)
        status = error.status_code if error.status_code in CODES else 400
        refusal = RefusalError(status, _HINTS.get(status, error.detail))
        return _refused(_encoding(request) or Encoding.JSON, refusal, receiver, dict(error.headers or {}))

    app = Starlette(routes=routes, exception_handlers={HTTPException: not_here})
    # A redirect would be followed without the body.
    app.router.redirect_slashes = False
    return app


def _export(receiver: Receiver, signal: Signal) -> Callable[[Request], Any]:
    async def export(request: Request) -> Response:
        encoding = _encoding(request)
        try:
            _check(request, receiver, encoding)
            known = encoding or Encoding.JSON
            decoded = await receiver.take_stream(
                signal,
                known,
                request.stream(),
                compression=request.headers.get("content-encoding", ""),
                length=_length(request),
            )
        except RefusalError as refusal:
            return _refused(encoding or Encoding.JSON, refusal, receiver, {})
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # noqa: BLE001 - at 500 a client drops its batch, so whatever happens is a 503
            receiver.say(f"a request failed: {type(error).__name__}: {error}")
            return _refused(encoding or Encoding.JSON, busy("the receiver failed"), receiver, {})
        return Response(answers.taken(signal, known, decoded), media_type=_content_type(request, known))

    return export


def _alerts(receiver: Receiver, inbox: AlertInbox) -> Callable[[Request], Any]:
    async def alerts(request: Request) -> Response:
        try:
            # JSON alone: a page in a browser cannot send it here without asking first, and is not told yes.
            _check(request, receiver, _encoding(request), {Encoding.JSON.value})
            coding = request.headers.get("content-encoding", "")
            taking = receiver.body(
                request.stream(), compression=coding, length=_length(request), bytes_max=BODY_BYTES_MAX
            )
            async with taking as body:
                told = await inbox.take(body)
        except RefusalError as refusal:
            return _refused(Encoding.JSON, refusal, receiver, {})
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # noqa: BLE001 - Alertmanager sends again after 5xx, and nothing else may be lost
            receiver.say(f"a webhook failed: {type(error).__name__}: {error}")
            return _refused(Encoding.JSON, busy("the receiver failed"), receiver, {})
        return Response(orjson.dumps(told), media_type="application/json")

    return alerts


def _health(receiver: Receiver) -> Callable[[Request], Any]:
    async def health(_request: Request) -> Response:
        status = "ok" if receiver.alive else "stopped"
        code = 200 if receiver.alive else 503
        return Response(orjson.dumps({"status": status}), status_code=code, media_type="application/json")

    return health


def _card(body: bytes) -> Callable[[Request], Any]:
    """Answer anyone, as A2A has it: the card says that a token is needed, and how to send it."""

    async def card(_request: Request) -> Response:
        return Response(body, media_type="application/json")

    return card


def _check(
    request: Request, receiver: Receiver, encoding: Encoding | None, accepted: Collection[str] = frozenset(_ENCODINGS)
) -> None:
    """Raise RefusalError for a client that may not send, and for another content type than those accepted."""
    if not receiver.guard.admits(request.headers.get("authorization", "").encode("latin-1")):
        raise RefusalError(401, "the token is missing or wrong: send `Authorization: Bearer TOKEN`")
    if encoding is None or _media_type(request) not in accepted:
        words = ", ".join(name for name in _ENCODINGS if name in accepted)
        raise RefusalError(415, f"the content type must be {'one of ' if len(accepted) > 1 else ''}{words}")


def _encoding(request: Request) -> Encoding | None:
    return _ENCODINGS.get(_media_type(request))


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _content_type(request: Request, encoding: Encoding) -> str:
    """Answer in the very words in which the client named its encoding."""
    asked = _media_type(request)
    return asked if asked in _ENCODINGS else encoding.value


def _length(request: Request) -> int | None:
    given = request.headers.get("content-length", "")
    return int(given) if given.isascii() and given.isdecimal() else None


def _refused(encoding: Encoding, refusal: RefusalError, receiver: Receiver, headers: dict[str, str]) -> Response:
    if refusal.status == 401:  # noqa: PLR2004 - the number is its name
        headers["WWW-Authenticate"] = "Bearer"
    if refusal.status == 415:  # noqa: PLR2004 - as above
        headers["Accept-Encoding"] = "gzip, deflate"
    if refusal.status == 503:  # noqa: PLR2004 - as above
        headers["Retry-After"] = str(receiver.limits.retry_after_s)
    body = answers.refused(encoding, refusal)
    return Response(body, status_code=refusal.status, headers=headers, media_type=encoding.value)
