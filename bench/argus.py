"""The analyst against the Argus Catalog's own router, from a checkout of it, on loopback.

    python bench/argus.py CHECKOUT [--python PYTHON]

CHECKOUT is a checkout of DataDynamics-OSS/argus-catalog with `backend/` in it; PYTHON an interpreter that has what its
router imports: fastapi, uvicorn, sqlalchemy, aiosqlite, asyncpg, httpx, python-jose, cachetools, pyyaml, pgvector. The
router runs as it is, on SQLite in memory in place of PostgreSQL; what its embeddings need is left out, and the user
who is logged in is made up. Nothing of the checkout is part of the project.

Prints what the catalogue holds after two processes, what its policy left of the analyst's limits, and the processor
and wall time that the catalogue cost a run; exit 1 where anything is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = """
import asyncio, sys, types
sys.path.insert(0, sys.argv[1])
port = int(sys.argv[2])
embedding = types.ModuleType("app.embedding.service")
async def nothing(*_a, **_k): return None
embedding.embed_entity_background = embedding.delete_entity_embedding = nothing
sys.modules["app.embedding.service"] = embedding
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Column, Integer, MetaData, Table
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.pool import StaticPool
import app.agents.models as models
from app.agents.router import router
from app.core import auth
from app.core.database import Base, get_session
if "catalog_registered_models" not in Base.metadata.tables:
    Table("catalog_registered_models", Base.metadata, Column("id", Integer, primary_key=True))
engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
sessions = async_sessionmaker(engine, expire_on_commit=False)
async def session():
    async with sessions() as one:
        yield one
async def main():
    names = ("catalog_ai_agent", "catalog_registered_models")
    wanted = [table for name, table in Base.metadata.tables.items() if name.startswith(names)]
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: Base.metadata.create_all(sync, tables=wanted))
    api = FastAPI()
    api.include_router(router, prefix="/api/v1")
    api.dependency_overrides[get_session] = session
    token = auth.create_local_token("1", "analyst", "a@example.org", "A", "N", sys.argv[3])
    print(token, flush=True)
    await uvicorn.Server(uvicorn.Config(api, host="127.0.0.1", port=port, log_level="warning")).serve()
asyncio.run(main())
"""


@contextmanager
def catalogue(python: str, checkout: Path, role: str) -> Iterator[tuple[str, str]]:
    """Run the router; give its base URL and a token of a user with a role."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [python, "-c", SERVER, str(checkout / "backend"), str(port), role]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            token = process.stdout.readline().strip() if process.stdout else ""
            if not token:
                raise SystemExit("the router did not start: see above for what it lacks")
            url = f"http://127.0.0.1:{port}"
            _wait(url)
            yield url, token
        finally:
            process.kill()


def _wait(url: str) -> None:
    for _ in range(100):
        try:
            ask(url, "/stats")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the router does not answer")


def ask(url: str, path: str, body: dict | None = None, token: str = "", method: str | None = None):
    """Ask the catalogue, as people do."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/api/v1/ai-agents{path}", data, headers, method=method)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        return json.loads(answer.read())


def run(store: Path, at: str, **env: str) -> tuple[dict, float, float]:
    """Do a run in a process of its own; return its report, its processor seconds and its wall seconds."""
    command = [sys.executable, "-m", "analyzer", "run", "--at", at, "--json", "--llm", "off", "--store", str(store)]
    before, began = os.times(), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, check=False)
    after = os.times()
    spent = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    return json.loads(done.stdout), spent, time.monotonic() - began


def main() -> int:
    """Do all of it and say what was seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    seen: dict[str, bool] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        catalogue(given.python, given.checkout, "argus-admin") as (url, token),
    ):
        store = Path(folder) / "store.db"
        now = _ingested(store, folder)
        agents = [one["agent"] for one in _said("registry", "list", "--store", str(store))["agents"]]
        for agent in agents:
            ask(url, "", {"name": agent, "status": "active"}, token)
        env = {"ANALYZER_ARGUS_URL": url, "ANALYZER_ARGUS_TOKEN": token}
        first, spent, wall = run(store, now, **env)
        detail = ask(url, "/analyzer")
        seen["entered"] = detail["status"] == "active" and "search" in " ".join(detail["capabilities"])
        ask(url, "/analyzer", {"max_steps": 2, "budget_limit": 0.25}, token, "PATCH")
        ask(url, "/analyzer/tools", {"name": detail["capabilities"][0]}, token)
        second, again, wall_again = run(store, _later(now), **env)
        metering = ask(url, "/analyzer/metering")
        events = [(agent, one) for agent in agents for one in ask(url, f"/{agent}/hook-events")]
        policy = ask(url, "/analyzer/policy")
        _, bare, wall_bare = run(store, _later(_later(now)))
        seen["invocations"] = metering["total_invocations"] == 2 and metering["success_rate"] == 1.0
        seen["limits left alone"] = (policy["max_steps"], policy["budget_limit"]) == (2, 0.25)
        seen["terms"] = "at most 2 model calls" in second["notes"].get("terms", "")
        seen["events"] = bool(events) and all(one["action_type"] == "incident" for _, one in events)
        seen["no gap"] = not [g for one in (first, second) for g in one["gaps"] if "catalogue" in g["what"]]
        print(f"terms: {second['notes'].get('terms')}")
        print(f"metering: {json.dumps({k: metering[k] for k in ('total_invocations', 'success_rate', 'latency_p50')})}")
        for agent, one in events:
            print(f"event beside {agent}: {one['policy_ref']}, {one['reason'][:80]}")
        print(f"processor seconds: {spent:.2f} entering, {again:.2f} again, {bare:.2f} without a catalogue")
        print(f"wall seconds: {wall:.2f}, {wall_again:.2f}, {wall_bare:.2f}")
    for name, is_so in seen.items():
        print(f"{'ok ' if is_so else 'NOT'} {name}")
    return 0 if all(seen.values()) else 1


def _ingested(store: Path, folder: str) -> str:
    """Fill a store with the demo's fleet; return its now."""
    from analyzer.simulation.export import write_json_lines
    from analyzer.simulation.scenario import demo_path, read_scenario

    fleet = read_scenario(demo_path())
    path = Path(folder) / "history.jsonl"
    write_json_lines(fleet.requests(), path)
    _said("ingest", str(path), "--store", str(store))
    return fleet.now.isoformat()


def _said(*arguments: str) -> dict:
    command = [sys.executable, "-m", "analyzer", *arguments, "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _later(at: str) -> str:
    from datetime import datetime, timedelta

    return (datetime.fromisoformat(at) + timedelta(minutes=15)).isoformat()


if __name__ == "__main__":
    sys.exit(main())
