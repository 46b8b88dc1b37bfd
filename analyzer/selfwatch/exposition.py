"""Metrics as Prometheus reads them: scraped, pushed to a gateway, or from a file of node_exporter's.

What is exposed is what the store holds, so counters go on where they were whatever process shows them.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as Shown

from analyzer.errors import DeliveryError
from analyzer.types.measures import SUM, Amount, Exemplar, Family, Shape, bound_text

Kept = Mapping[Family, Sequence[Amount]]


def scraped(amounts: Iterable[Amount], families: Iterable[Family], accept: str) -> tuple[bytes, str]:
    """Return a scrape's body and content type: OpenMetrics with exemplars where it is asked for, else plain text."""
    encoder, content_type = choose_encoder(accept)
    return encoder(registry(amounts, families)), content_type


def write_textfile(path: Path, amounts: Iterable[Amount], families: Iterable[Family]) -> None:
    """Write a file for node_exporter's textfile collector; a reader sees the old one or the new. Raises DeliveryError.

    The file is named by the setting and must end in `.prom`, or node_exporter would not read it.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(generate_latest(registry(amounts, families)))
        # node_exporter runs as somebody else.
        new.chmod(0o644)
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise DeliveryError(f"{path} cannot be written: {error.strerror}", retryable=False) from None


def registry(amounts: Iterable[Amount], families: Iterable[Family]) -> CollectorRegistry:
    """Return a registry that holds these amounts, of these families only."""
    by_name: dict[str, list[Amount]] = defaultdict(list)
    for amount in amounts:
        by_name[amount.name].append(amount)
    made = CollectorRegistry(auto_describe=False)
    made.register(_Kept([_metric(family, by_name[family.name]) for family in families if family.name in by_name]))
    return made


class _Kept(Collector):
    """Gives what it was given."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self._metrics


def _metric(family: Family, amounts: Sequence[Amount]) -> Metric:
    if family.shape is Shape.HISTOGRAM:
        return _histogram(family, amounts)
    if family.shape is Shape.GAUGE:
        gauge = GaugeMetricFamily(family.name, family.text, labels=family.labels)
        for amount in amounts:
            gauge.add_metric(amount.labels, amount.value)
        return gauge
    counter = CounterMetricFamily(family.name, family.text, labels=family.labels)
    for amount in amounts:
        counter.add_metric(amount.labels, amount.value, exemplar=_shown(amount.exemplar))
    return counter


def _histogram(family: Family, amounts: Sequence[Amount]) -> Metric:
    """Return a histogram with cumulated buckets; the store counts each bucket by itself."""
    series: dict[tuple[str, ...], dict[str, Amount]] = defaultdict(dict)
    for amount in amounts:
        series[amount.labels[:-1]][amount.labels[-1]] = amount
    metric = HistogramMetricFamily(family.name, family.text, labels=family.labels)
    for labels, by_bound in series.items():
        count = 0.0
        buckets: list[tuple[str, float] | tuple[str, float, Shown]] = []
        for bound in (*family.bounds, float("inf")):
            own = by_bound.get(bound_text(bound))
            count += own.value if own is not None else 0.0
            shown = None if own is None else _shown(own.exemplar)
            bucket = (bound_text(bound), count)
            buckets.append(bucket if shown is None else (*bucket, shown))
        total = by_bound.get(SUM)
        metric.add_metric(labels, buckets, sum_value=0.0 if total is None else total.value)
    return metric


def _shown(exemplar: Exemplar | None) -> Shown | None:
    return None if exemplar is None else Shown({"trace_id": exemplar.trace_id}, exemplar.value, exemplar.at_s)
