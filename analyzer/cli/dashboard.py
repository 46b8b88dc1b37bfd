"""`analyzer dashboard`: a Grafana dashboard on the metrics of `analyzer serve`."""

from __future__ import annotations

import click

from analyzer.cli.common import DONE, json_option, print_json


@click.command("dashboard")
@json_option
def command(as_json: bool) -> int:  # noqa: ARG001 - it is JSON either way
    """Print a Grafana dashboard as JSON: import it, or put it where Grafana's provisioning finds it.

    It asks for the metrics of /metrics (docs/metrics.md), of all agents or some, and marks when rules of
    `analyzer rules` fired. The data source is chosen in Grafana.

    Exit codes: 0 done.
    """
    from analyzer.metrics.dashboard import dashboard

    print_json(dashboard())
    return DONE
