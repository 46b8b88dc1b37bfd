"""ClickHouse's HTTP interface over chdb, in a process of its own: as much of it as a client of today asks for.

    python clickhouse_front.py PATH HOST:PORT USER PASSWORD TIMEZONE

A statement is the body, or `query` with the inserted data as body; `param_NAME` are its typed parameters, other names
are settings of this statement alone. Errors carry ClickHouse's own code. `/counted` tells what all statements together
read and were sent: a server says that in `system.query_log`, which the embedded engine does not keep.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import tempfile
import threading
import time
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TRANSPORT = frozenset(
    {
        "query",
        "database",
        "default_format",
        "session_id",
        "session_timeout",
        "session_check",
        "query_id",
        "quota_key",
        "role",
        "compress",
        "decompress",
        "buffer_size",
        "wait_end_of_query",
        "enable_http_compression",
        "client_protocol_version",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    }
)
"""What belongs to the transport and is no setting of the engine."""
AUTHENTICATION_FAILED = 516
_INSERT = re.compile(rb"\s*INSERT INTO [^\n]* FORMAT Native(?:\n|$)")
"""What stands before inserted rows; the client sends both in one body."""


class Front(ThreadingHTTPServer):
    """The server: an engine, who may ask it, and what was read."""

    daemon_threads = True

    def __init__(self, path: str, address: str, user: str, password: str) -> None:
        import chdb

        host, port = address.split(":")
        super().__init__((host, int(port)), _Asked)
        self.path = path
        # Held open, so that the engine does not start anew for every statement.
        self.held = chdb.connect(path)
        self.wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        self.counted = {"statements": 0, "read_rows": 0, "read_bytes": 0, "sent_bytes": 0}
        self.lock = threading.Lock()

    def count(self, answer: Any, body: bytes) -> None:
        """Add up what a statement read, and what is answered to it."""
        with self.lock:
            self.counted["statements"] += 1
            self.counted["read_rows"] += answer.rows_read()
            self.counted["read_bytes"] += answer.bytes_read()
            self.counted["sent_bytes"] += len(body)


class _Asked(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: apart, the second waits 40 ms for the client's acknowledgement of the first.
    wbufsize = -1
    server: Front

    def do_GET(self) -> None:
        match urlsplit(self.path).path:
            case "/ping":
                self._send(200, b"Ok.\n")
            case "/counted":
                self._send(200, json.dumps(self.server.counted).encode())
            case _:
                self._statement(b"")

    def do_POST(self) -> None:
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        length = int(self.headers.get("Content-Length") or 0)
        self._statement(self._chunks() if chunked else self.rfile.read(length))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _statement(self, body: bytes) -> None:
        if self.headers.get("Authorization") != self.server.wanted:
            self._fail(
                403, AUTHENTICATION_FAILED, f"Code: {AUTHENTICATION_FAILED}. DB::Exception: Authentication failed"
            )
            return
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            # How the client sends parameters that are too long for an address.
            asked, body = asked | _form(kind, body), b""
        statement, rows = (asked["query"].encode(), body) if "query" in asked else (body, b"")
        if inserted := _INSERT.match(statement):
            statement, rows = inserted[0], statement[inserted.end() :] + rows
        parameters = {name[6:]: value for name, value in asked.items() if name.startswith("param_")}
        settings = {
            name: value for name, value in asked.items() if name not in TRANSPORT and not name.startswith("param_")
        }
        try:
            answer = _run(self.server.path, asked.get("database", ""), settings, statement, rows, parameters)
        except Exception as error:  # noqa: BLE001 - whatever the engine says is the client's to hear
            code = re.search(r"Code: (\d+)", str(error))
            self._fail(500, int(code.group(1)) if code else 1000, str(error))
            return
        body = answer.bytes()
        self.server.count(answer, body)
        summary = {"read_rows": str(answer.rows_read()), "read_bytes": str(answer.bytes_read())}
        self._send(200, body, {"X-ClickHouse-Summary": json.dumps(summary)})

    def _fail(self, status: int, code: int, text: str) -> None:
        self._send(status, text.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("X-ClickHouse-Timezone", os.environ["TZ"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


def _form(kind: str, body: bytes) -> dict[str, str]:
    """Return the fields of a form."""
    parsed = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    return {
        str(part.get_param("name", header="Content-Disposition")): bytes(part.get_payload(decode=True)).decode()
        for part in parsed.iter_parts()
    }


def _run(
    path: str, database: str, settings: dict[str, str], statement: bytes, rows: bytes, parameters: dict[str, str]
) -> Any:
    """Run one statement on a connection of its own, so that its settings end with it."""
    import chdb

    connection = chdb.connect(path)
    try:
        if database:
            connection.query(f"USE `{database.replace('`', '')}`", "TabSeparated")
        for name in settings:
            if not name.isidentifier():
                raise ValueError(f"Code: 115. DB::Exception: Unknown setting '{name}'")
        # All in one statement, which takes a millisecond; read-only at last, for nothing can be set after that.
        given = sorted(settings.items(), key=lambda one: one[0] == "readonly")
        values = ((name, value.replace("\\", "\\\\").replace("'", "\\'")) for name, value in given)
        if given:
            connection.query("SET " + ", ".join(f"{name} = '{value}'" for name, value in values), "TabSeparated")
        if not rows:
            return connection.query(statement, "TabSeparated", params=parameters)
        # The embedded engine cuts rows that stand in the statement off where they are many.
        with tempfile.NamedTemporaryFile() as given:
            given.write(rows)
            given.flush()
            source = f" FROM INFILE '{given.name}' FORMAT Native".encode()
            return connection.query(statement.rsplit(b" FORMAT Native", 1)[0] + source, "TabSeparated")
    finally:
        connection.close()


if __name__ == "__main__":
    os.environ["TZ"] = sys.argv[5]
    time.tzset()
    Front(*sys.argv[1:5]).serve_forever()
