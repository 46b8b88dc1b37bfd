"""The image of deploy/Containerfile, built by buildah and tried: what it weighs, how long it takes, whether it runs.

    python bench/image.py --python 3.13
    python bench/image.py --python 3.11 --pull never --volume /srv/wheels:/srv/wheels:ro

As root, without a daemon and without Docker: in a chroot, with layers that are plain folders. The base image comes
from its registry, or with `--pull never` from what buildah has stored under the same name. `--volume` hands the build
a folder of this machine, such as one with wheels. No sources but those of the last commit are built.

Every command below is the image's own, as its user: the doctor, the demo, a run over an empty store, the libraries
behind ClickHouse, gRPC, OTLP and PostgreSQL, `serve` until it answers and then its end by SIGTERM. Exit 1 where one of
them did not do what a user expects, or the build failed, whose own words are then printed.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "localhost/analyzer-tried"
WAIT_S = 60.0
LIBRARIES = "import clickhouse_connect, grpc, opentelemetry.exporter.otlp.proto.http, psycopg"
STORAGE = """[storage]
driver = "vfs"
runroot = "{folder}/run"
graphroot = "{folder}/graph"
"""


class Buildah:
    """Calls of buildah with a storage of their own. Raises CalledProcessError where one fails."""

    def __init__(self, storage: Path) -> None:
        self._env = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
        if not (storage / "storage.conf").exists():
            storage.mkdir(parents=True, exist_ok=True)
            (storage / "storage.conf").write_text(STORAGE.format(folder=storage), encoding="utf-8")
        self._env["CONTAINERS_STORAGE_CONF"] = str(storage / "storage.conf")

    def __call__(self, *arguments: str, timeout_s: float = 1800) -> str:
        """Return what a call prints on its standard output."""
        done = subprocess.run(
            ["buildah", *arguments], env=self._env, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, arguments, done.stdout, done.stderr)
        return done.stdout

    def begun(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Begin a call that lasts, in a process group of its own."""
        return subprocess.Popen(
            ["buildah", *arguments],
            env=self._env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def built(buildah: Buildah, checkout: Path, asked: argparse.Namespace) -> float:
    """Build the image from a clone of the last commit; return the seconds it took."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(checkout)], check=True)
    volumes = [part for one in asked.volume for part in ("-v", one)]
    began = time.monotonic()
    buildah(
        *("bud", "--network", "host", "--pull-never" if asked.pull == "never" else "--pull"),
        *("--build-arg", f"PYTHON={asked.python}", *volumes, "-f", "deploy/Containerfile", "-t", NAME, str(checkout)),
    )
    return time.monotonic() - began


def tried(buildah: Buildah, container: str) -> Iterator[tuple[str, bool]]:
    """Yield what was tried in the image, and whether it did what is expected."""

    def told(*command: str) -> tuple[int, str]:
        """Return a command's exit code and what it printed on its standard output."""
        try:
            return 0, buildah("run", "--network", "host", container, "--", *command).strip()
        except subprocess.CalledProcessError as error:
            return error.returncode, error.stdout

    yield "its user is a number and not root", told("id", "-u") == (0, "10001")
    yield "no sources, no wheels", told("sh", "-c", "ls -d /src /wheels 2>/dev/null || true") == (0, "")
    yield "the doctor has nothing to say against it", told("analyzer", "doctor")[0] == 0
    yield "libraries of all ways in", told("python", "-c", LIBRARIES)[0] == 0
    yield "a run over nothing says so", told("analyzer", "run")[0] == 3
    code, said = told("analyzer", "demo")
    yield "the demo files its incidents", code == 0 and "Reports: " in said
    with _serving(buildah, container) as (server, port):
        yield "serve answers", _answers(f"http://127.0.0.1:{port}/healthz")
        _end(server)
        yield "SIGTERM ends it cleanly", _code(server) == 0


@contextmanager
def _serving(buildah: Buildah, container: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = buildah.begun(
        *("run", "--network", "host", container, "--", "analyzer", "serve", "--port", str(port), "--grpc-port", "0")
    )
    try:
        yield server, port
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(WAIT_S)


def _end(server: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to the analyst itself, as a runtime does: buildah's own processes stand above it."""
    waiting = [server.pid]
    while waiting:
        process = waiting.pop()
        # A thread has children of its own, and buildah begins them from any.
        threads = Path(f"/proc/{process}/task").iterdir()
        children = [child for one in threads for child in (one / "children").read_text("ascii").split()]
        waiting += [int(child) for child in children]
        if not children:
            os.kill(process, signal.SIGTERM)


def _code(server: subprocess.Popen[bytes]) -> int | None:
    """Return the exit code of what is about to end; None where it goes on."""
    try:
        return server.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        return None


def _answers(url: str) -> bool:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.2)
    return False


def main() -> int:
    """Build, try and print; return 1 where something was not as expected."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--python", default="3.13", help="the tag of the base image before -slim")
    options.add_argument("--pull", choices=("always", "never"), default="always")
    options.add_argument("--volume", action="append", default=[], help="FROM:TO[:ro], for the build")
    options.add_argument("--storage", type=Path, help="where buildah keeps images (otherwise forgotten at the end)")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        buildah = Buildah(asked.storage or Path(name) / "storage")
        try:
            seconds = built(buildah, Path(name) / "checkout", asked)
        except subprocess.CalledProcessError as error:
            print(f"BAD the build\n{error.stderr or error}", file=sys.stderr)
            return 1
        container = buildah("from", "--pull-never", NAME).strip()
        megabytes = buildah("images", "--format", "{{.Size}}", NAME).strip()
        print(f"built in {seconds:.0f} s on python:{asked.python}-slim, {megabytes} with its base")
        wrong = 0
        try:
            for what, is_right in tried(buildah, container):
                print(f"{'ok ' if is_right else 'BAD'} {what}", flush=True)
                wrong += not is_right
        finally:
            buildah("rm", container)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
