"""Who may look at the pages, and whose buttons count.

On loopback everybody on this machine may look, but only under a name of this machine: a site that makes its own name
point here (DNS rebinding) is turned away. Where a token is set, whoever gives it gets a cookie that is signed with a
key made from it, so that another token ends every session. A button counts only with a token that the page carried,
which a foreign site cannot read.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from starlette.requests import Request
from starlette.responses import Response

from analyzer.server.auth import Guard
from analyzer.web import names_loopback

COOKIE = "analyzer_session"
SESSION_S = 12 * 3600
"""A shift: whoever is on call logs in once."""
_PARTS = 3


class Visitors:
    """Checks requests for pages; `token` is the receiver's, or None on loopback without one."""

    def __init__(self, token: str | None, *, loopback: bool) -> None:
        self._guard = Guard(token)
        self.needs_login = token is not None
        # Behind a token the cookie decides, and a proxy may give these pages any name.
        self._by_name = loopback and token is None
        key = secrets.token_bytes(32) if token is None else token.strip().encode()
        self._key = hmac.new(key, b"analyzer pages", hashlib.sha256).digest()

    def is_at_home(self, request: Request) -> bool:
        """Tell whether the host that was asked for may be this machine; where a token is set the cookie decides."""
        return not self._by_name or is_loopback_name(request.headers.get("host", ""))

    def knows(self, request: Request) -> bool:
        """Tell whether a visitor has logged in, or need not."""
        return not self.needs_login or self._session(request) is not None

    def admits(self, token: str) -> bool:
        """Tell whether a token that was typed in is the right one."""
        return self._guard.admits(b"Bearer " + token.strip().encode("utf-8", "replace"))

    def let_in(self, request: Request, response: Response) -> None:
        """Give a new session."""
        begun = f"{int(time.time()) + SESSION_S}.{secrets.token_hex(16)}"
        response.set_cookie(
            COOKIE,
            f"{begun}.{self._signed('session', begun)}",
            max_age=SESSION_S,
            httponly=True,
            samesite="strict",
            secure=is_tls(request),
            path="/",
        )

    def let_out(self, request: Request, response: Response) -> None:
        """End a session."""
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=is_tls(request))

    def mark(self, request: Request) -> str:
        """Return what a form of this visitor carries."""
        return self._signed("form", self._session(request) or "")

    def meant(self, request: Request, mark: str) -> bool:
        """Tell whether a form was sent from one of our own pages."""
        site, origin = (request.headers.get(name) for name in ("sec-fetch-site", "origin"))
        if site is not None:
            # The browser's own word. A proxy may have changed the host that an origin would be held against.
            is_ours = site == "same-origin"
        else:
            is_ours = origin is None or origin.partition("://")[2].lower() == request.headers.get("host", "").lower()
        if not is_ours:
            return False
        return hmac.compare_digest(mark.encode(), self.mark(request).encode())

    def _session(self, request: Request) -> str | None:
        """Return the session that a cookie names, or None where it is not ours or over."""
        parts = request.cookies.get(COOKIE, "").split(".")
        if len(parts) != _PARTS or not (parts[0].isascii() and parts[0].isdecimal()):
            return None
        begun = f"{parts[0]}.{parts[1]}"
        if not hmac.compare_digest(parts[2].encode(), self._signed("session", begun).encode()):
            return None
        return begun if int(parts[0]) > time.time() else None

    def _signed(self, what: str, text: str) -> str:
        return hmac.new(self._key, f"{what}:{text}".encode(), hashlib.sha256).hexdigest()


def is_tls(request: Request) -> bool:
    """Tell whether the visitor's browser speaks TLS, to us or to a proxy before us.

    Whoever lies about it only keeps their own cookie from travelling in the clear.
    """
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").lower() == "https"


def is_loopback_name(host: str) -> bool:
    """Tell whether a Host header names this machine: an address of loopback, or `localhost`.

    Names are not looked up: what a foreign name leads to is just what is not to be trusted.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    name = name.strip("[]").lower().rstrip(".")
    return name.endswith(".localhost") or names_loopback(name)
