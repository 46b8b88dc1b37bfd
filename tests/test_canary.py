"""Canaries: a distinct secret in every field of every dialect and format is seen nowhere afterwards.

Not in the bytes of the database and its log, nor in the payloads behind their compression, nor in anything that the
program prints, nor in reports, nor in its errors. A leak is reported by the place it came from.
"""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import stored
from support.canaries import Canaries, files_in, leaves
from support.cli import analyzer
from support.drawn import looping
from support.otlp_requests import pairs, request, span

from analyzer.ingest.dialects import DIALECTS
from analyzer.ingest.otlp import spans_from_json
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.trace import Operation

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRACES = [f"{number:032x}" for number in range(1, len(DIALECTS) + 1)]
COUNTED = ("usage", "input_tokens", "output_tokens", "cache_read", "cache_write", "cache_write_1h", "reasoning", "cost")
STRUCTURE = ("name", "scopes", "marks", "operation", "operations", "repeated", "input_excludes_cache", *COUNTED)
"""Parts of a dialect's table that are no texts."""
_SPOKEN = (
    "content text message observation thought response action cmd arguments thinking command submission"
    " reasoning_content output input result query prompt order"
)
SPOKEN = frozenset(_SPOKEN.split())
"""Names of fields in stored trajectories that hold what somebody said or sent."""


def names_of(dialect):
    """Return every attribute that a dialect's table reads as a text."""
    parts = [getattr(dialect, part.name) for part in fields(dialect) if part.name not in STRUCTURE]
    return sorted({source for sources in parts for source in sources if isinstance(source, str)})


def spans_of(dialect, trace, canaries):
    """Return a span of each operation with a canary in every text that OTLP and the dialect's table have."""
    structure = {name for name in dialect.operation if isinstance(name, str)}
    made = []
    for number, operation in enumerate((Operation.AGENT, Operation.CHAT, Operation.TOOL), start=1):
        place = f"{dialect.name} {operation.value}"
        word = next(word for word, meant in dialect.operations.items() if meant is operation)
        attributes = {name: canaries.sentence(f"{place} {name}") for name in names_of(dialect) if name not in structure}
        attributes |= {
            "own.attribute": canaries.sentence(f"{place} own attribute"),
            "own.list": [canaries.raw(f"{place} list"), {"deep": {"er": canaries.sentence(f"{place} deep")}}],
            "password": f"two words {canaries.word(place, 'named')}",
            "http.request.header.authorization": [f"Token {canaries.word(place, 'header')}"],
            f"own.{canaries.raw(f'{place} key of an attribute')}": 1,
        }
        attributes |= {name: word for name in dialect.operation[:1] if isinstance(name, str)}
        events = [
            ("exception", {f"exception.{part}": canaries.sentence(f"{place} exception {part}")
                           for part in ("type", "message", "stacktrace")}),
            (canaries.sentence(f"{place} name of an event"), {"x": canaries.sentence(f"{place} event")}),
            ("gen_ai.client.inference.operation.details",
             {"gen_ai.input.messages": canaries.sentence(f"{place} messages in an event")}),
        ]  # fmt: skip
        made.append(
            span(
                number,
                traceId=trace,
                parentSpanId="" if number == 1 else f"{1:016x}",
                name=canaries.sentence(f"{place} span name"),
                attributes=attributes,
                events=events,
                status={"code": 2, "message": canaries.sentence(f"{place} status")},
            )
        )
    return made


def every_dialect(canaries):
    """Return a request with every dialect, its resource and scope laced too."""
    groups = []
    for dialect, trace in zip(DIALECTS, TRACES, strict=True):
        resource = {
            name: canaries.sentence(f"{dialect.name} resource {name}")
            for name in ("service.name", "service.version", "host.name", "process.command_args")
        }
        scope = f"{dialect.scopes[0] if dialect.scopes else ''} {canaries.raw(f'{dialect.name} scope')}"
        spans = spans_of(dialect, trace, canaries)
        groups += request(*spans, scope=scope, resource=resource)["resourceSpans"]
    return {"resourceSpans": groups}


def everything_in(path: Path) -> str:
    """Return every span of a store as it is read back, behind compression."""
    with SqliteTrajectories(path) as store:
        summaries = store.summaries(limit=10_000)
        spans = [
            store.span(one.trace_id, part.span_id) for one in summaries for part in store.trajectory(one.trace_id).spans
        ]
    assert spans
    return repr((summaries, spans))


def test_no_field_of_any_dialect_leaks(tmp_path):
    """Ingested, listed, shown, searched and run over: no canary of any dialect is seen again."""
    canaries = Canaries()
    source = tmp_path / "in" / "canaries.json"
    source.parent.mkdir()
    source.write_text(json.dumps(every_dialect(canaries)))
    store, reports = tmp_path / "out" / "store.db", tmp_path / "out" / "reports"
    store.parent.mkdir()
    env = {"ANALYZER_STORE": str(store), "ANALYZER_REPORTS": str(reports), "ANALYZER_LLM": "off"}
    ended = [analyzer("ingest", str(source), "--json", env=env)]
    assert json.loads(ended[0].stdout)["spans"]["new"] == 3 * len(DIALECTS), ended[0].stderr
    ended += [analyzer("run", "--at", "2026-11-23T06:00:00Z", "--json", env=env), analyzer("traces", "list", env=env)]
    ended += [analyzer("traces", "show", trace, "--json", env=env) for trace in (TRACES[0], TRACES[-1])]
    ended += [analyzer("traces", "show", TRACES[0], env=env), analyzer("traces", "search", "use", "--json", env=env)]
    assert all(one.code in (0, 3) for one in ended), [one.stderr for one in ended]
    printed = [text for one in ended for text in (one.stdout, one.stderr)]
    assert canaries.seen_in(*printed, *files_in(store.parent), everything_in(store)) == []


PLACES = (
    "span name",
    "status",
    "exception stacktrace",
    "event",
    "own attribute",
    "deep",
    "list",
    "key of an attribute",
)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_leak_is_seen_and_named(dialect, tmp_path):
    """Let one secret through and exactly its place is reported; let all through and every place is."""
    canaries = Canaries()
    document = request(*spans_of(dialect, TRACES[0], canaries), scope=(*dialect.scopes, "")[0])
    batch = spans_from_json(document)
    leaking = {
        secret: place for secret, place in canaries.places.items() if place.endswith(("stacktrace, bare", "deep, bare"))
    }
    for number, (secret, place) in enumerate(leaking.items()):
        path = tmp_path / f"{number}.db"
        with SqliteTrajectories(path, allow=[f"*{secret}"]) as store:
            store.add(batch.spans)
        assert canaries.seen_in(everything_in(path)) == [place]
    with SqliteTrajectories(tmp_path / "open.db", allow=["*"]) as store:
        store.add(batch.spans)
    seen = " | ".join(canaries.seen_in(everything_in(tmp_path / "open.db")))
    for operation in ("execute_tool", "chat", "invoke_agent"):
        assert [place for place in PLACES if f"{dialect.name} {operation} {place}" not in seen] == []


@pytest.fixture(scope="module")
def laced(tmp_path_factory):
    """Return a fleet with an incident, a canary in every text of every span, and the canaries."""
    canaries = Canaries()
    fleet = looping(NOW, days=5, share=0.5)
    path = tmp_path_factory.mktemp("laced") / "fleet.jsonl"
    with path.open("w") as lines:
        for one in fleet.requests():
            for group in one["resourceSpans"]:
                for scope in group["scopeSpans"]:
                    for entry in scope["spans"]:
                        _lace(entry, canaries)
            lines.write(json.dumps(one) + "\n")
    return path, canaries


def _lace(entry, canaries):
    """Put a canary into the texts of a span that say something; the same one for the same field of every span."""
    for attribute in entry["attributes"]:
        text = attribute["value"].get("stringValue")
        if text is None or attribute["key"] in ("gen_ai.operation.name", "gen_ai.provider.name"):
            continue
        secret = canaries.raw(f"fleet {attribute['key']}")
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if isinstance(value, dict | list):
            value = leaves(value, lambda path, leaf, secret=secret: f"{leaf} {secret}" if _spoken(path) else leaf)
            attribute["value"]["stringValue"] = json.dumps(value)
        else:
            attribute["value"]["stringValue"] = f"{text} {secret}"
    entry["attributes"] += pairs({"user.email": f"{canaries.word('fleet', 'user')}@example.com"})


def _spoken(path):
    return not SPOKEN.isdisjoint(path.replace("[]", "").split("."))


def test_no_report_and_no_incident_leaks(laced, tmp_path):
    """An incident of spans full of secrets is filed, shown and reported without any of them."""
    path, canaries = laced
    store, reports = tmp_path / "store.db", tmp_path / "reports"
    env = {"ANALYZER_STORE": str(store), "ANALYZER_REPORTS": str(reports), "ANALYZER_LLM": "off"}
    ended = [analyzer("ingest", str(path), env=env), analyzer("run", "--at", NOW.isoformat(), "--json", env=env)]
    incidents = json.loads(ended[1].stdout)["incidents"]
    assert incidents, ended[1].stderr
    assert any(entry.get("quote") for one in incidents for entry in one["evidence"])
    ended.append(analyzer("incidents", "show", incidents[0]["id"], env=env))
    ended.append(analyzer("ask", incidents[0]["trace_ids"][0], "why?", env=env))
    ended.append(analyzer("traces", "show", "worst", env=env))
    printed = [text for one in ended for text in (one.stdout, one.stderr)]
    assert any(reports.rglob("*"))
    assert canaries.seen_in(*printed, *files_in(tmp_path)) == []


@pytest.mark.parametrize("name", ["OPENAI", "ANTHROPIC", "ATIF", "MINI", "SWE"])
def test_no_stored_format_leaks(name, tmp_path):
    """What somebody said or sent in an imported trajectory is masked like a span's."""
    canaries = Canaries()
    document = leaves(
        getattr(stored, name),
        lambda path, text: f"{text} {canaries.sentence(f'{name} {path} {text}')}" if _spoken(path) else text,
    )
    source = tmp_path / "in.json"
    source.write_text(json.dumps(document))
    (tmp_path / "out").mkdir()
    store = tmp_path / "out" / "store.db"
    ended = analyzer("ingest", str(source), env={"ANALYZER_STORE": str(store)})
    assert ended.code == 0, ended.stderr
    assert canaries.places
    assert canaries.seen_in(ended.stdout, ended.stderr, *files_in(store.parent), everything_in(store)) == []


def test_no_refusal_and_no_error_leaks(tmp_path):
    """What is refused is quoted masked: broken ids, names of files, settings, unknown arguments."""
    canaries = Canaries()
    folder = tmp_path / f"{canaries.word('path', 'address')}@example.com"
    folder.mkdir()
    broken = folder / "broken.jsonl"
    bad = span(1, traceId=canaries.raw("trace id"))
    good = span(2)
    broken.write_text(
        "\n".join(json.dumps(request(one)) for one in (bad, good)) + '\n{"traceId": "' + canaries.raw("line")
    )
    env = {"ANALYZER_STORE": str(tmp_path / "store.db")}
    ended = [analyzer("ingest", str(broken), *more, env=env) for more in ((), ("--json",))]
    assert [one.code for one in ended] == [3, 3]
    ended += [
        analyzer("ingest", str(tmp_path / canaries.raw("missing file")), env=env),
        analyzer("traces", "show", canaries.raw("unknown id"), env=env),
        analyzer("--debug", "run", "--at", canaries.raw("time"), env=env),
        analyzer("run", env=env | {"ANALYZER_PROMETHEUS_URL": f"ftp://bob:{canaries.word('url', 'password')}@host"}),
        analyzer("run", env=env | {"ANALYZER_LOOKBACK": canaries.raw("setting")}),
    ]
    printed = [text for one in ended for text in (one.stdout, one.stderr)]
    assert canaries.seen_in(*printed, (tmp_path / "store.db").read_bytes()) == []
