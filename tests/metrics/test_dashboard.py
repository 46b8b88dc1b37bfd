"""The dashboard: what Grafana's own model and a real Prometheus say of it."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from itertools import combinations
from pathlib import Path

import pytest
from support.cli import analyzer
from support.prometheus import need_prometheus, prometheus

from analyzer.metrics.dashboard import dashboard, queries
from analyzer.types.measures import FAMILIES, Shape

KNOWN = {
    f"{family.name}{end}" if family.shape is Shape.HISTOGRAM else family.sample
    for family in FAMILIES.values()
    for end in ("_bucket", "_sum", "_count")
}


def plain(promql: str) -> str:
    """Return a query as Grafana sends it."""
    return promql.replace("$__rate_interval", "5m").replace("$agent", ".*")


def test_the_command_prints_the_dashboard() -> None:
    """What is printed is JSON, ready to be imported."""
    done = analyzer("dashboard")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout) == dashboard()


def test_panels_have_numbers_and_places_of_their_own() -> None:
    """No two panels share a number or overlap, and none is wider than the grid."""
    panels = dashboard()["panels"]
    assert len({one["id"] for one in panels}) == len(panels)
    cells = [
        {
            (x, y)
            for x in range(one["gridPos"]["x"], one["gridPos"]["x"] + one["gridPos"]["w"])
            for y in range(one["gridPos"]["y"], one["gridPos"]["y"] + one["gridPos"]["h"])
        }
        for one in panels
    ]
    assert all(not left & right for left, right in combinations(cells, 2))
    assert max(x for one in cells for x, _ in one) == 23


def test_every_query_asks_for_metrics_that_are_exposed() -> None:
    """A panel on a name that nobody exposes would be empty for ever."""
    for promql in queries():
        asked = set(re.findall(r"\b(?:agent|analyzer)_\w+", promql))
        assert asked <= KNOWN, asked - KNOWN


def test_grafana_has_nothing_to_migrate() -> None:
    """It is of the last version of the classic model, in the forms that the migrations up to it leave behind.

    34 and 36: data sources are named by type and uid; 37: a legend is shown or not; 40: refresh is text; 41: no
    time_options; 42: nothing is hidden from a graph and not from its tooltip (none is hidden).
    """
    made = dashboard()
    assert made["schemaVersion"] == 42
    assert isinstance(made["refresh"], str)
    assert "time_options" not in made["timepicker"]
    graphs = [one for one in made["panels"] if one["type"] != "row"]
    asked = [*graphs, *(target for one in graphs for target in one["targets"]), *made["annotations"]["list"]]
    assert all(set(one["datasource"]) == {"type", "uid"} for one in asked)
    assert {one["type"] for one in graphs} == {"timeseries", "stat"}
    assert all(one["options"]["legend"]["showLegend"] for one in graphs if one["type"] == "timeseries")
    assert all(one["fieldConfig"]["overrides"] == [] and "transformations" not in one for one in graphs)


def test_grafanas_own_model_reads_it_and_loses_nothing() -> None:
    """Read and written by Grafana's SDK, every field comes back as it was.

    But for three that its model has not: two of Prometheus' annotations, and the text of a variable's query.
    """
    sdk = pytest.importorskip(
        "grafana_foundation_sdk.models.dashboard", reason="grafana-foundation-sdk is not installed"
    )
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins

    register_default_plugins()
    made = dashboard()
    back = json.loads(JSONEncoder().encode(sdk.Dashboard.from_json(made)))
    assert {one.rpartition(".")[2] for one in lost(made, back)} == {"titleFormat", "step", "definition"}


def lost(made, back, path: str = "") -> list[str]:
    """Return where something that was made did not come back."""
    if isinstance(made, dict):
        gone = [
            f"{path}.{key}" for key in made if made[key] not in ({}, [], "", False, None) and key not in (back or {})
        ]
        return gone + [
            one for key in made if key in (back or {}) for one in lost(made[key], back[key], f"{path}.{key}")
        ]
    if isinstance(made, list):
        return [
            one for place, (a, b) in enumerate(zip(made, back, strict=True)) for one in lost(a, b, f"{path}[{place}]")
        ]
    return [] if made == back else [f"{path}: {made!r} became {back!r}"]


@pytest.mark.server
def test_a_real_prometheus_understands_every_query(tmp_path: Path) -> None:
    """Each PromQL is accepted by a server, with Grafana's variables filled in."""
    need_prometheus()
    with prometheus(tmp_path) as url:
        for promql in queries():
            query = urllib.parse.urlencode({"query": plain(promql)})
            try:
                with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=5) as answer:  # noqa: S310 - loopback
                    assert json.loads(answer.read())["status"] == "success"
            except urllib.error.HTTPError as error:
                pytest.fail(f"{promql}: {error.read().decode()}")
