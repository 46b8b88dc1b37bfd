"""A store that this user may not write: whoever only asks is answered, and whoever would keep something is told."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Ended
from support.filed import DEAR, NOW, filed

CAPABILITIES = "-dac_override,-dac_read_search"
"""What lets root pass over the modes of files."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a fleet and a run over it."""
    return filed(tmp_path_factory.mktemp("filled") / "store.db")


@pytest.fixture
def sealed(filled: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a copy of it that may only be read, in a folder that may only be read."""
    folder = tmp_path / "sealed"
    folder.mkdir()
    path = folder / "store.db"
    shutil.copy(filled, path)
    path.chmod(0o444)
    folder.chmod(0o555)
    yield path
    folder.chmod(0o755)


def analyzer(*arguments: str, store: Path, **environment: str) -> Ended:
    """Run the program as somebody for whom the modes of files hold, as they do not for root."""
    command = [sys.executable, "-m", "analyzer", *arguments, "--store", str(store)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root writes whatever the mode says, and there is no setpriv to take that away")
        command = ["setpriv", "--bounding-set", CAPABILITIES, *command]
    env = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=env)
    if "setpriv" in done.stderr:
        pytest.skip(f"root writes whatever the mode says: {done.stderr}")
    return Ended(done.returncode, done.stdout, done.stderr)


AT = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
READING = [
    ("incidents", "list"),
    ("traces", "list"),
    ("traces", "show", "worst"),
    ("traces", "diff", "worst", "latest"),
    ("traces", "search", "order"),
    ("ask", f"what did {DEAR} cost this week?", "--llm", "off", "--at", AT),
    ("why-not", DEAR, "--at", AT),
    ("backtest", "--from", "2026-11-20T08:00:00Z", "--to", "2026-11-20T09:00:00Z"),
    ("run", "--at", "2026-11-20T10:00:00Z", "--llm", "off", "--exit-zero"),
]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_who_only_asks_is_answered(sealed: Path, arguments: tuple[str, ...]) -> None:
    """What reads says the same as of a store that can be written, and leaves nothing beside it."""
    before = sealed.read_bytes()
    read = analyzer(*arguments, store=sealed)
    assert (read.code in {0, 3}, "cannot be written" in read.stderr) == (True, False), read
    assert read.stdout
    assert [path.name for path in sealed.parent.iterdir()] == ["store.db"]
    assert sealed.read_bytes() == before


def test_no_model_is_asked_what_could_not_be_kept(sealed: Path) -> None:
    """Its calls belong into the log and its price into the accounts; the rules answer, and it is said why."""
    said = analyzer("ask", "worst", "why?", store=sealed, ANALYZER_LLM="auto", ANTHROPIC_API_KEY="made-up")
    assert said.code == 0, said
    assert "no model is asked: the store cannot be written" in said.stderr


def test_one_incident_is_shown(sealed: Path) -> None:
    """By the id that the list gives."""
    listed = analyzer("incidents", "list", "--all", store=sealed).stdout
    identity = next(word for word in listed.split() if word.startswith("inc-"))
    shown = analyzer("incidents", "show", identity, store=sealed)
    assert (shown.code, identity in shown.stdout) == (0, True)


@pytest.mark.parametrize(
    "arguments", [("run", "--llm", "off"), ("run", "--at", "2026-11-21T10:00:00Z"), ("ingest", __file__)], ids=" ".join
)
def test_who_would_keep_something_is_told(sealed: Path, arguments: tuple[str, ...]) -> None:
    """One line with the store and what to do, before any work."""
    told = analyzer(*arguments, store=sealed)
    assert (told.code, told.stdout) == (4, "")
    [said] = told.stderr.splitlines()
    assert f"the store {sealed} cannot be written" in said
    assert "make the file and its folder writable" in said


@pytest.mark.parametrize("extra", [(), ("--http", "--port", "0")], ids=["stdio", "http"])
def test_mcp_does_not_start_where_no_call_could_be_logged(sealed: Path, extra: tuple[str, ...]) -> None:
    """It says so at once: a client would find out call by call."""
    told = analyzer("mcp", *extra, store=sealed)
    assert (told.code, told.stdout) == (2, "")
    assert told.stderr == (
        f"analyzer: the store {sealed} cannot be written, and every call is written into its log before it is answered:"
        " make the file and its folder writable for this user, or set ANALYZER_STORE to a copy\n"
    )


def test_a_live_replay_does_not_start_where_nothing_could_be_written_down(sealed: Path) -> None:
    """What it spends would be in no account: the line says what to do, and no command is started."""
    told = analyzer("replay", "latest", "--serve", "--on-divergence", "live", "--yes", store=sealed)
    assert (told.code, told.stdout) == (2, "")
    assert told.stderr == (
        f"analyzer: the store {sealed} cannot be written, and what a live replay spends is written down before it is"
        " sent: make the file and its folder writable for this user, or set ANALYZER_STORE to a copy\n"
    )


def test_a_store_of_an_earlier_release_says_what_brings_it_up_to_date(sealed: Path) -> None:
    """It is not read as if it were of this one, and cannot be changed here."""
    sealed.parent.chmod(0o755)
    sealed.chmod(0o644)
    with sqlite3.connect(sealed) as raw:
        raw.execute("DELETE FROM _sqlite_migrations WHERE id = (SELECT MAX(id) FROM _sqlite_migrations)")
    raw.close()
    sealed.chmod(0o444)
    sealed.parent.chmod(0o555)
    told = analyzer("incidents", "list", store=sealed)
    assert (told.code, len(told.stderr.splitlines())) == (4, 1)
    assert "of an earlier release, and cannot be written: `analyzer store stats`" in told.stderr


def test_what_waits_in_the_log_is_not_passed_over(sealed: Path) -> None:
    """A log without its index cannot be read without writing: an answer from the file alone would be an old one."""
    sealed.parent.chmod(0o755)
    log = sealed.with_name("store.db-wal")
    log.write_bytes(b"\0" * 4096)
    log.chmod(0o444)
    sealed.parent.chmod(0o555)
    told = analyzer("incidents", "list", store=sealed)
    assert told.code == 4
    assert "store.db-wal holds what is not in it yet" in told.stderr


def test_the_doctor_says_that_nothing_can_be_kept(sealed: Path) -> None:
    """Reading works, so that only this says why runs keep nothing."""
    told = analyzer("doctor", store=sealed)
    assert "can be read, and nothing can be written" in told.stdout


ASKER = """
import sys
from pathlib import Path
from analyzer.errors import StoreError
from analyzer.stores.database import Connection
store = Connection(Path(sys.argv[1]), or_read=True)
def count():
    with store.reading() as raw:
        return raw.execute("SELECT COUNT(*) FROM meta").fetchone()[0]
print(count(), flush=True)
sys.stdin.readline()
print(count(), flush=True)
try:
    with store.reading() as raw:
        raw.execute("SELECT COUNT(*) FROM meta").fetchone()
        print("reading", flush=True)
        sys.stdin.readline()
except StoreError as error:
    print(error, flush=True)
else:
    print("two states in one read", flush=True)
sys.stdin.readline()
print(count(), flush=True)
"""


def test_what_another_user_writes_meanwhile_is_seen_and_never_half(sealed: Path) -> None:
    """Between two reads the file is opened anew; a read in which it was written is refused with the next step."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can write beside somebody who may not")

    def write(name: str) -> None:
        with sqlite3.connect(sealed) as raw:
            raw.execute("INSERT INTO meta (name, value) VALUES (?, 'x')", (name,))
        raw.close()

    command = ["setpriv", "--bounding-set", CAPABILITIES, sys.executable, "-c", ASKER, str(sealed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asker:
        assert asker.stdin is not None
        assert asker.stdout is not None
        said = [asker.stdout.readline().strip()]
        for name in ("first", "second", "third"):
            write(name)
            asker.stdin.write("go on\n")
            asker.stdin.flush()
            said += [asker.stdout.readline().strip() for _ in range(2 if name == "first" else 1)]
    before = int(said[0])
    refused = f"the store {sealed} was written meanwhile, by another user; ask again"
    assert said == [str(before), str(before + 1), "reading", refused, str(before + 3)]
