"""Prometheus and what speaks like it: where a server is, and how one is let in."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from analyzer.errors import UsageError

FIRST = "prometheus"
"""What the server of the plain settings is called where several are named."""


@dataclass(frozen=True, slots=True)
class MetricsServer:
    """One server that answers PromQL over Prometheus' HTTP API."""

    name: str
    url: str
    token: str | None = field(default=None, repr=False)
    """Bearer token."""
    token_file: str | None = None
    user: str | None = None
    """With a password: HTTP basic authentication."""
    password: str | None = field(default=None, repr=False)
    password_file: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request: the tenant (`X-Scope-OrgID`), say."""
    ca_file: str | None = None
    """PEM of who signed the server's certificate; None: the system's."""
    cert_file: str | None = None
    """PEM of the client's own certificate."""
    key_file: str | None = None
    """Its key, where that is not in the same file."""
    replica_of: str | None = None
    """The server that scrapes the same: asked where that does not answer, and never added to it."""

    def secret(self, name: str) -> str | None:
        """Return the `token` or `password`, from its file where that is set. Raises UsageError.

        A file is read at every start: what writes it may change it at any time.
        """
        path = getattr(self, f"{name}_file")
        if path is None:
            return getattr(self, name)  # type: ignore[no-any-return] # text or None by its declaration
        try:
            return Path(path).expanduser().read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"[prometheus.{self.name}] {name}_file: cannot read {path}: {error}") from None


_KNOWN = {spec.name for spec in fields(MetricsServer)} - {"name"}
_EXCLUSIVE = (("token", "token_file"), ("password", "password_file"), ("token", "user"), ("token_file", "user"))


def read_servers(table: Mapping[str, Any], place: str) -> dict[str, MetricsServer]:
    """Return the servers of `[prometheus.<name>]` tables. Raises UsageError that names the place of a fault."""
    found = {name: _read(name, entry, f"{place}.{name}") for name, entry in table.items()}
    for name, server in found.items():
        other = server.replica_of
        if other is None:
            continue
        if other == name or other not in {*found, FIRST}:
            raise UsageError(f"{place}.{name}.replica_of: there is no other server '{other}'")
        if other in found and found[other].replica_of is not None:
            raise UsageError(f"{place}.{name}.replica_of: '{other}' is a replica itself; name what it is one of")
    return found


def _read(name: str, entry: Any, place: str) -> MetricsServer:
    if not isinstance(entry, Mapping):
        raise UsageError(f"{place}: expected a table with `url`")
    for key, value in entry.items():
        if key not in _KNOWN:
            close = difflib.get_close_matches(key, sorted(_KNOWN), n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(_KNOWN))}"
            raise UsageError(f"{place}.{key}: there is no such setting of a server; {hint}")
        if not (_are_headers(value) if key == "headers" else isinstance(value, str)):
            raise UsageError(f"{place}.{key}: expected {'a table of texts' if key == 'headers' else 'a text'}")
    if not re.match(r"https?://[^\s/]+", entry.get("url", "")):
        raise UsageError(f"{place}.url: a URL must begin with http:// or https://")
    for first, second in _EXCLUSIVE:
        if first in entry and second in entry:
            raise UsageError(f"{place}: {first} and {second} exclude each other")
    if "key_file" in entry and "cert_file" not in entry:
        raise UsageError(f"{place}: key_file goes with cert_file")
    return MetricsServer(name, **{**entry, "url": entry["url"].rstrip("/")})


def _are_headers(value: Any) -> bool:
    """Tell headers that HTTP can carry: none may end a line."""
    return isinstance(value, Mapping) and all(
        isinstance(text, str) and re.fullmatch(r"[!-9;-~]+", name) and re.fullmatch(r"[\t -~]*", text)
        for name, text in value.items()
    )
