"""A PostgreSQL of its own for a test session, on loopback; skipped with a line where it is not installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from support.servers import free_address


def _programs() -> Path:
    """Return the folder of the server's programs; Debian puts them beside the path. Skips where there is none."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("no PostgreSQL here: install Debian's postgresql")
    return folders[-1]


def _as_other(command: Sequence[object]) -> list[str]:
    """Return a command as a user under whom the server starts: it refuses root."""
    words = [str(word) for word in command]
    if os.geteuid() != 0:
        return words
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *words]


@contextmanager
def server() -> Iterator[str]:
    """Give the URL of a new server, without the name of a database."""
    programs, port = _programs(), free_address().rpartition(":")[2]
    # A server's own folder must be its own: pytest's belongs to whoever runs the tests.
    with tempfile.TemporaryDirectory(prefix="analyzer-postgres-") as folder:
        if os.geteuid() == 0:
            try:
                owner = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("no user postgres here, and the server refuses root")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        files = Path(folder) / "files"
        started = [programs / "initdb", "-D", files, "-U", "analyst", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(_as_other(started), check=True, capture_output=True, cwd="/")
        options = f"-p {port} -h 127.0.0.1 -k {folder} -F -c max_connections=60"
        control = [programs / "pg_ctl", "-D", files, "-w"]
        log = ["-l", Path(folder) / "log"]
        subprocess.run(_as_other([*control, *log, "-o", options, "start"]), check=True, capture_output=True, cwd="/")
        try:
            yield f"postgresql://analyst@127.0.0.1:{port}"
        finally:
            subprocess.run(_as_other([*control, "-m", "immediate", "stop"]), capture_output=True, cwd="/", check=False)


def database(url: str, encoding: str = "UTF8") -> str:
    """Make an empty database at a server and return its URL."""
    name = f"state_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{url}/postgres", autocommit=True) as raw:
        raw.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")  # type: ignore[arg-type]
    return f"{url}/{name}"
