"""The analyst's own metrics at a Pushgateway: a real one, one that is down, and one that hangs."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from support.http import Answer, loopback
from support.incidents import NOW, finding, incident, report
from support.pushgateway import pushgateway

from analyzer.errors import DeliveryError
from analyzer.selfwatch import push as pushing
from analyzer.selfwatch.bounded import bounded
from analyzer.selfwatch.measured import Measured
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Gap, State
from analyzer.types.sent import Delivered, Delivery, Reason

TOLD = Delivered(
    deliveries=(Delivery("inc-1", "slack", Reason.FIRST_SEEN), Delivery("inc-2", "slack", Reason.RESOLVED)),
    missed=(("webhook", 3),),
)
SECONDS = {"collect": 1.5, "deliver": 0.25}


def new_incident():
    """Return an incident that the run of `report` opened."""
    return incident(state=State.OPEN, opened_at=NOW, last_seen_at=NOW, findings=(finding(), finding()))


def shown(url: str) -> dict[str, float]:
    """Return what the gateway would answer a scrape, by sample."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310 - loopback
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith("analyzer_")}


@pytest.mark.server
def test_figures_of_runs_arrive_and_rise_from_run_to_run(tmp_path: Path) -> None:
    """Job and instance are the group; counters go on where the last run left them; incidents are those of this run."""
    made = report(new_incident())
    made = replace(made, run=replace(made.run, at=NOW))
    with pushgateway(tmp_path) as url, SqliteTrajectories(tmp_path / "store.db") as store:
        own = Measured(store.connection, url, instance="night", clock=lambda: 1_790_000_000.0)
        assert own.done(made, TOLD, SECONDS) == ()
        assert own.done(replace(made, incidents=(), gaps=(Gap("a", "b", "c"),)), Delivered(), SECONDS) == ()
        seen = shown(url)
    group = 'instance="night",job="analyzer"'
    assert seen == {
        **{
            f'analyzer_deliveries_total{{{group},outcome="{outcome}",route="{route}"}}': count
            for route, counts in (("slack", (0, 0, 2)), ("webhook", (3, 0, 0)))
            for outcome, count in zip(("failed", "held", "sent"), counts, strict=True)
        },
        f'analyzer_findings_total{{{group},kind="cost"}}': 2,
        f"analyzer_gaps_total{{{group}}}": len(made.gaps) + 1,
        f'analyzer_incidents_opened_total{{{group},kind="cost",severity="high"}}': 1,
        f"analyzer_last_success_timestamp_seconds{{{group}}}": 1_790_000_000,
        f"analyzer_llm_calls_total{{{group}}}": 2 * made.run.llm.calls,
        f"analyzer_llm_cost_usd_total{{{group}}}": pytest.approx(2 * made.run.llm.cost_usd),
        f'analyzer_llm_tokens_total{{{group},phase="input"}}': 2 * made.run.llm.input_tokens,
        f'analyzer_llm_tokens_total{{{group},phase="output"}}': 2 * made.run.llm.output_tokens,
        f'analyzer_phase_seconds_total{{{group},phase="collect"}}': 3,
        f'analyzer_phase_seconds_total{{{group},phase="deliver"}}': 0.5,
        f"analyzer_run_duration_seconds{{{group}}}": 1.75,
        f"analyzer_run_gaps{{{group}}}": 1,
        f"analyzer_run_trajectories{{{group}}}": made.run.trajectories_seen,
        f'analyzer_runs_total{{{group},outcome="done"}}': 0 if made.gaps else 1,
        f'analyzer_runs_total{{{group},outcome="failed"}}': 0,
        f'analyzer_runs_total{{{group},outcome="gaps"}}': 2 if made.gaps else 1,
        f"analyzer_trajectories_uncounted{{{group}}}": 0,
    }


@pytest.mark.server
def test_a_store_leaves_no_group_behind_under_an_old_name(tmp_path: Path) -> None:
    """Where each run has another host name, the group of the last one is deleted; another analyst's is left alone."""
    with pushgateway(tmp_path) as url, SqliteTrajectories(tmp_path / "store.db") as store:
        pushing.push(url, (), "somebody-else")
        for name in ("pod-1", "pod-2", "pod-3"):
            Measured(store.connection, url, instance=name).done(report(), Delivered(), SECONDS)
        with urllib.request.urlopen(f"{url}/api/v1/metrics", timeout=5) as answer:  # noqa: S310 - loopback
            groups = {one["labels"]["instance"] for one in json.loads(answer.read())["data"]}
    assert groups == {"somebody-else", "pod-3"}


def test_a_gateway_that_is_not_there_is_a_gap_and_nothing_more(tmp_path: Path) -> None:
    """The run is done; that nobody took its figures is said, with the setting to look at."""
    with SqliteTrajectories(tmp_path / "store.db") as store:
        [gap] = Measured(store.connection, "http://127.0.0.1:9").done(report(), Delivered(), SECONDS)
        assert "Pushgateway did not take them" in gap.why
        with loopback(lambda _asked: Answer(b"no", 500)) as gateway:
            [gap] = Measured(store.connection, gateway.url).done(report(), Delivered(), SECONDS)
    assert gap.why == "the Pushgateway did not take them: answered 500"
    assert "ANALYZER_PUSHGATEWAY_URL" in gap.hint


def test_a_gateway_that_hangs_holds_nobody_up() -> None:
    """What takes longer than its time is left behind in its thread, however slowly the other side goes on talking."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(DeliveryError, match=r"did not answer within 0\.2 s"):
            bounded(lambda: pushing.push_to_gateway(url, "analyzer", pushing.registry((), ())), "it", 0.2)
    assert time.monotonic() - began < pushing.TIMEOUT_S
