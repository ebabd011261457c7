"""A server's numbers for Prometheus: its counters, its gauges, and how late its event loop is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from nat_traversal.errors import UsageError
from nat_traversal.machine.counters import Counter, Counters

try:
    import prometheus_client
    from prometheus_client.core import (
        CollectorRegistry,
        CounterMetricFamily,
        GaugeMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ImportError:  # an extra
    raise UsageError(
        "metrics take the package prometheus-client: apt install python3-prometheus-client, "
        "or pip install 'nat-traversal[metrics]'"
    ) from None

PREFIX = "nat_traversal_"
LAG_EVERY = 0.25
"""Seconds between two looks at how late the event loop is."""
_LATE = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)


class Metrics(Collector):
    """Reads `counters` when Prometheus asks: nothing is counted twice. Needs the extra ``metrics``."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        prometheus_client.ProcessCollector(registry=self._registry)
        self._lag = prometheus_client.Histogram(
            f"{PREFIX}loop_lag_seconds",
            "by how much the event loop runs a timer too late",
            buckets=_LATE,
            registry=self._registry,
        )
        self._timer = self._loop.call_later(LAG_EVERY, self._look, self._loop.time() + LAG_EVERY)

    @property
    def content_type(self) -> str:
        """Of `text`."""
        return prometheus_client.CONTENT_TYPE_LATEST

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return prometheus_client.generate_latest(self._registry)

    def close(self) -> None:
        """Measure no more."""
        self._timer.cancel()

    def collect(self) -> Iterable[Metric]:
        """Every counter and gauge as a metric. Prometheus' library calls it."""
        families: dict[str, list[Counter]] = {}
        for counter in self._counters:
            families.setdefault(counter.family, []).append(counter)
        for family, counters in families.items():
            yield _counted(family, counters)
        limits = GaugeMetricFamily(f"{PREFIX}limit", "the most there may be", labels=["of"])
        for gauge in self._counters.gauges.values():
            yield GaugeMetricFamily(_name(gauge.name), gauge.meaning, value=gauge.read())
            if gauge.most is not None:
                limits.add_metric([gauge.name], gauge.most())
        yield limits

    def _look(self, due: float) -> None:
        now = self._loop.time()
        self._lag.observe(max(0.0, now - due))
        self._timer = self._loop.call_at(now + LAG_EVERY, self._look, now + LAG_EVERY)


def _counted(family: str, counters: list[Counter]) -> Metric:
    made = CounterMetricFamily(
        _name(family), f"how often {counters[0].meaning}", labels=list(counters[0].labels)
    )
    for counter in counters:
        made.add_metric(list(counter.labels.values()), counter.value)
    return made


def _name(text: str) -> str:
    return PREFIX + text.replace("-", "_")
