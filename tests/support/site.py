"""The pages over a store, and what a test looks for in their HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

from support.receiver import Told, ask, running

from analyzer.server.pages.analyst import Setting
from analyzer.server.pages.site import Site, Sources
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories

HTML = "text/html,application/xhtml+xml"


@dataclass
class Shown:
    """Pages that are served."""

    url: str
    store: SqliteTrajectories
    said: list[str] = field(default_factory=list)

    @property
    def memory(self) -> SqliteIncidents:
        """The analyst's memory in the store."""
        return SqliteIncidents(self.store.connection)

    def get(self, path: str, **headers: str) -> Told:
        """Ask for a page."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.url, "GET", path, headers={"Accept": HTML, **named})

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Told:
        """Send a form."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kind = "application/x-www-form-urlencoded"
        return ask(self.url, "POST", path, urlencode(fields).encode(), {"Content-Type": kind, **named})

    def mark(self, path: str, **headers: str) -> str:
        """Return what the form of a page carries."""
        found = re.search(r'name="mark" value="([0-9a-f]+)"', self.get(path, **headers).body.decode())
        assert found, path
        return found.group(1)


@contextmanager
def showing(path: Path, *, token: str | None = None) -> Iterator[Shown]:
    """Serve the pages over a store file for the length of a block."""
    with SqliteTrajectories(path) as store:
        said: list[str] = []
        sources = Sources(
            opened=lambda: SqliteTrajectories(path, read_only=True),
            say=SqliteIncidents(store.connection).say,
            mask=store.masker.text,
            settings=[Setting("serve_token", "(set, not shown)", "ANALYZER_SERVE_TOKEN")],
        )
        site = Site(sources, token=token, loopback=True, say=said.append)
        with running(store.add, token=token, site=site) as served:
            yield Shown(served.where.url, store, said)


class Structure(HTMLParser):
    """The tags of a page with the names of their attributes, its texts, and where it leads."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.places: list[str] = []
        self.text = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.places += [value or "" for name, value in attrs if name in {"href", "src", "action", "formaction"}]

    def handle_comment(self, data: str) -> None:
        """Note a comment as a tag: a page has none."""
        self.tags.append(("comment", (data,)))

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data
