"""Fleet metrics out and in again: what the store counts, a real Prometheus holds, and the default queries find."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.openmetrics.exposition import floatToGoString
from support.cli import analyzer
from support.prometheus import need_prometheus, prometheus

from analyzer.ingest.otlp import spans_from_json
from analyzer.ingest.pricing import Pricer
from analyzer.selfwatch.exposition import registry
from analyzer.simulation.agents import Agent
from analyzer.simulation.faults import Fault, FaultKind
from analyzer.simulation.fleet import Fleet
from analyzer.stores.counting import CALM_S, count
from analyzer.stores.measures import SqliteMeasures
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.measures import COST, STEPS, TOOL_SECONDS, TRAJECTORIES
from analyzer.types.trace import Span

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
STEP_S = 900
FAMILIES = (COST, TRAJECTORIES, STEPS, TOOL_SECONDS)


class Clock:
    """The time at which spans arrive."""

    at_s = 0.0

    def __call__(self) -> float:
        """Return Unix seconds."""
        return self.at_s


def scraped(spans: list[Span], path: Path, start: datetime) -> Iterator[tuple[float, Mapping[tuple[str, ...], float]]]:
    """Put spans into a store as they end, and yield what a scrape at the end of each step would have shown."""
    clock = Clock()
    spans.sort(key=lambda span: span.end_ns or 0)
    place = 0
    with SqliteTrajectories(path, clock=clock) as store:
        for step in range(int((NOW - start).total_seconds()) // STEP_S + 1):
            at_s = start.timestamp() + step * STEP_S
            first = place
            while place < len(spans) and (spans[place].end_ns or 0) <= (at_s - CALM_S) * 1e9:
                place += 1
            clock.at_s = at_s - CALM_S
            store.add(spans[first:place])
            count(store.connection, at_s, seconds=60)
            shown = registry((one for one, _ in SqliteMeasures(store.connection).all()), FAMILIES)
            yield (
                at_s,
                {
                    (metric.type, metric.name, sample.name, json.dumps(sample.labels)): sample.value
                    for metric in shown.collect()
                    for sample in metric.samples
                },
            )


def history(spans: list[Span], folder: Path, start: datetime) -> Path:
    """Return what was scraped as a file for promtool: OpenMetrics wants all of one series together."""
    series: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for at_s, samples in scraped(spans, folder / "counted.db", start):
        for key, value in samples.items():
            series.setdefault(key, []).append((at_s, value))
    path = folder / "history.om"
    with path.open("w", encoding="utf-8") as out:
        known = ""
        for kind, family, name, labels in sorted(series):
            if family != known and (known := family):
                # The buckets of a histogram would have to stand together at each moment; as counters they need not.
                out.write(f"# TYPE {family} {kind if kind == 'counter' else 'unknown'}\n")
            pairs = ",".join(f"{label}={json.dumps(value)}" for label, value in json.loads(labels).items())
            out.writelines(
                f"{name}{{{pairs}}} {floatToGoString(v)} {at_s}\n" for at_s, v in series[kind, family, name, labels]
            )
        out.write("# EOF\n")
    return path


@pytest.mark.server
@pytest.mark.timeout(600)
def test_the_default_queries_find_in_exported_metrics_what_the_spans_say(tmp_path: Path) -> None:
    """A fleet counted every quarter of an hour: a run over its metrics finds what one over all spans finds.

    The same agents and kinds, ratios within 15 %, onsets within four hours.
    """
    need_prometheus()
    fleet = Fleet(
        agents=(
            Agent("triage", "support", version="1.4.0", runs_per_hour=12),
            Agent("reviewer", "coding", runs_per_hour=4),
            Agent("sql", "sql", runs_per_hour=12),
        ),
        faults=(
            Fault(
                FaultKind.COST_STEP,
                "triage",
                NOW - timedelta(hours=20),
                version="1.5.0",
                input_factor=2.6,
                output_factor=1.6,
            ),
            Fault(FaultKind.ERROR_BURST, "sql", NOW - timedelta(hours=14), share=0.6),
            Fault(FaultKind.SLOW_TOOL, "reviewer", NOW - timedelta(hours=10)),
        ),
        days=5,
        seed=11,
        now=NOW,
    )
    pricer = Pricer()
    spans = [span for request in fleet.requests() for span in spans_from_json(request, pricer=pricer).spans]
    om = history([one for one in spans if one.end_ns is not None], tmp_path, NOW - timedelta(days=5))
    recent = (NOW - timedelta(days=2)).timestamp() * 1e9
    found = {}
    with prometheus(tmp_path, om) as url:
        for name, since, extra in (("spans", 0.0, ()), ("metrics", recent, ("--prometheus-url", url))):
            store = tmp_path / f"{name}.db"
            with SqliteTrajectories(store) as trajectories:
                trajectories.add(span for span in spans if (span.end_ns or 0) >= since)
            done = analyzer("run", "--at", NOW.isoformat(), "--store", str(store), "--json", "--llm", "off", *extra)
            assert done.code == 0, done.stderr
            found[name] = {
                (one["kind"], one["subject"]["agent"], one["subject"]["tool"]): one
                for one in json.loads(done.stdout)["incidents"]
            }
    assert {key[:2] for key in found["spans"]} == {("cost", "triage"), ("errors", "sql"), ("tool-latency", "reviewer")}
    assert found["metrics"].keys() == found["spans"].keys()
    for key, one in found["spans"].items():
        metered = found["metrics"][key]
        assert metered["ratio"] == pytest.approx(one["ratio"], rel=0.15)
        apart = datetime.fromisoformat(metered["onset"]) - datetime.fromisoformat(one["onset"])
        assert abs(apart) <= timedelta(hours=4)
