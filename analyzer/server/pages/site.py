"""The pages put together: addresses, who may see them, and the headers that hold a browser to what is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from analyzer.errors import AnalyzerError, NotFoundError
from analyzer.render.links import link
from analyzer.render.text import one_line
from analyzer.server.pages import alerts, analyst, compare, fleet, handbook, incidents, spans, trajectories
from analyzer.server.pages.analyst import Setting
from analyzer.server.pages.drawn import ASSETS, asset, drawn
from analyzer.server.pages.page import Asked, View
from analyzer.server.pages.reading import CrowdedError, Reader, Readers
from analyzer.server.pages.visitors import Visitors
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Incident
from analyzer.types.word import Said, Word

FORM_BYTES_MAX = 16_384
WORD_CHARACTERS_MAX = 2_000
_PAUSE_S = 1.0
"""After a wrong token: guessing is not worth it."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With no referrer at all a browser would call the origin of our own forms unknown.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_NAV = (("/", "Fleet"), ("/incidents", "Incidents"), ("/trajectories", "Trajectories"), ("/compare", "Compare"),
        ("/alerts", "Alerts"), ("/analyst", "Analyst"), ("/settings", "Settings"))  # fmt: skip
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where pages get what they show, and where a human's word goes."""

    opened: Callable[[], SqliteTrajectories]
    """Gives a new connection that cannot write."""
    say: Callable[[str, Word], Incident]
    """Keeps and logs a word: the one thing pages write."""
    mask: Callable[[str], str]
    settings: Sequence[Setting] = ()
    settings_file: str = ""


class Site:
    """The pages over a store."""

    def __init__(
        self,
        sources: Sources,
        *,
        token: str | None,
        loopback: bool,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Take the receiver's token; `say` gets lines for the operator."""
        self._sources = sources
        self._visitors = Visitors(token, loopback=loopback)
        self._readers = Readers(sources.opened)
        self._to_operator = say

    def close(self) -> None:
        """Finish what is being drawn."""
        self._readers.close()

    def routes(self) -> list[Route]:
        """Return the addresses of the pages."""
        views: dict[str, View] = {
            "/": fleet.view,
            "/incidents": incidents.listed,
            "/incidents/{incident}": incidents.one,
            "/trajectories": trajectories.listed,
            "/trajectories/{trace}": trajectories.one,
            "/trajectories/{trace}/spans/{span}": spans.one,
            "/compare": compare.view,
            "/alerts": alerts.view,
            "/docs/{name:path}": handbook.view,
            "/analyst": analyst.runs,
            "/settings": analyst.settings_view(self._sources.settings, self._sources.settings_file),
        }
        return [
            *(Route(path, self._guarded(self._page(view)), methods=["GET"]) for path, view in views.items()),
            Route("/incidents/{incident}/words", self._guarded(self._word), methods=["POST"]),
            Route("/login", self._guarded(self._login, login=False), methods=["GET", "POST"]),
            Route("/logout", self._guarded(self._logout), methods=["POST"]),
            Route("/assets/{name}", self._guarded(self._asset, login=False), methods=["GET"]),
        ]

    def not_found(self, request: Request) -> Response:
        """Return what a browser is told of an address that leads nowhere."""
        return self._problem(request, 404, "There is no such page.")

    def _guarded(self, endpoint: Endpoint, *, login: bool = True) -> Endpoint:
        """Let in whoever may look, and turn whatever goes wrong into a page."""

        async def guarded(request: Request) -> Response:
            if not self._visitors.is_at_home(request):
                return self._problem(request, 421, "These pages are for this machine: open them under localhost.")
            if login and not self._visitors.knows(request):
                return self._redirect(link("login", to=_here(request) if request.method == "GET" else ""))
            try:
                return await endpoint(request)
            except Exception as error:  # noqa: BLE001 - a page that cannot be drawn must not end the receiver's process
                return self._failed(request, error)

        return guarded

    def _failed(self, request: Request, error: Exception) -> Response:
        if isinstance(error, NotFoundError):
            return self._problem(request, 404, str(error))
        if isinstance(error, CrowdedError):
            return self._problem(request, 503, "Too many pages are asked for at once; try again in a moment.")
        if isinstance(error, AnalyzerError):
            return self._problem(request, 503, str(error))
        if not isinstance(error, ClientDisconnect):
            self._to_operator(f"the page {request.url.path} failed: {type(error).__name__}: {error}")
        return self._problem(request, 500, "This page could not be drawn; `analyzer serve` says why.")

    def _page(self, view: View) -> Endpoint:
        async def page(request: Request) -> Response:
            asked = Asked(dict(request.path_params), dict(request.query_params))

            def made(reader: Reader) -> tuple[str, int]:
                shown = view(reader, asked)
                values = {"unread": [gap.why for gap in reader.unread], **shown.values}
                return self._drawn(request, shown.template, **values), shown.status

            body, status = await self._readers.read(made)
            return HTMLResponse(body, status_code=status, headers=dict(HEADERS))

        return page

    async def _word(self, request: Request) -> Response:
        """Keep what a visitor says of an incident, and show it as it stands then."""
        form = await _form(request)
        if not self._visitors.meant(request, form.get("mark", "")):
            return self._problem(request, 403, "This form is not from here, or too old: load the page again.")
        name = request.path_params["incident"]
        if form.get("said") not in list(Said):
            return self._problem(request, 400, "Say what the incident is: one of the buttons.")
        said = Said(form["said"])
        now = datetime.now(UTC).replace(microsecond=0)
        by, reason = (one_line(form.get(part, "")[:WORD_CHARACTERS_MAX]) for part in ("by", "reason"))
        until = now + incidents.mute_length(form.get("length", "")) if said is Said.MUTED else None

        def kept() -> Incident:
            word = Word(0, said, now, self._sources.mask(by or "a visitor"), self._sources.mask(reason), until)
            return self._sources.say(name, word)

        incident = await self._readers.apart(kept)
        return self._redirect(link("incidents", incident.id))

    async def _login(self, request: Request) -> Response:
        """Ask for the token, and let in whoever knows it."""
        if not self._visitors.needs_login:
            return self._redirect("/")
        to = _own_place(request.query_params.get("to", ""))
        if request.method == "GET":
            return self._answer(request, "login.html", to=to, is_wrong=False)
        form = await _form(request)
        to = _own_place(form.get("to", ""))
        if not self._visitors.meant(request, form.get("mark", "")) or not self._visitors.admits(form.get("token", "")):
            await asyncio.sleep(_PAUSE_S)
            return self._answer(request, "login.html", status=403, to=to, is_wrong=True)
        response = self._redirect(to)
        self._visitors.let_in(request, response)
        return response

    async def _logout(self, request: Request) -> Response:
        """End the session."""
        form = await _form(request)
        if not self._visitors.meant(request, form.get("mark", "")):
            return self._problem(request, 403, "This form is not from here, or too old: load the page again.")
        response = self._redirect("/login")
        self._visitors.let_out(request, response)
        return response

    async def _asset(self, request: Request) -> Response:
        """Return one of our own files; a browser keeps it until the next release changes its mark."""
        name = request.path_params["name"]
        if name not in ASSETS:
            return self.not_found(request)
        content, mark = asset(name)
        held = "public, max-age=31536000, immutable" if request.query_params.get("v") == mark else "no-cache"
        headers = {**HEADERS, "Cache-Control": held, "ETag": f'"{mark}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, headers={**headers, "Content-Type": ASSETS[name]})

    def _problem(self, request: Request, status: int, why: str) -> Response:
        return self._answer(request, "problem.html", status=status, why=why)

    def _answer(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self._drawn(request, template, **values), status_code=status, headers=dict(HEADERS))

    def _drawn(self, request: Request, template: str, **values: Any) -> str:
        known = self._visitors.is_at_home(request) and self._visitors.knows(request)
        path = request.url.path
        here = next((place for place, _ in _NAV[1:] if path == place or path.startswith(f"{place}/")), path)
        frame = {
            "nav": _NAV if known else (),
            "here": here,
            "mark": self._visitors.mark(request),
            "can_leave": known and self._visitors.needs_login,
            "unread": (),
        }
        return drawn(template, **{**frame, **values})

    def _redirect(self, place: str) -> Response:
        return RedirectResponse(place, status_code=303, headers=dict(HEADERS))


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form, the first of each name; nothing of one that is too large."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES_MAX:
            return {}
    parsed = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    return {name: values[0] for name, values in parsed.items()}


def _here(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _own_place(to: str) -> str:
    """Return where to go after the login: a path of ours, and never another site."""
    parts = urlsplit(to)
    is_ours = (
        to.startswith("/") and not to.startswith("//") and "\\" not in to and not parts.scheme and not parts.netloc
    )
    return to if is_ours and to.isprintable() else "/"
