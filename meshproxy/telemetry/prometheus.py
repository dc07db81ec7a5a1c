"""Metrics in Prometheus' text format. `METRICS` is their list; `docs/metrics.md` explains them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from meshproxy import __version__
from meshproxy.snapshot.model import Snapshot
from meshproxy.telemetry.totals import EndpointKey, EndpointTotals, ListenerTotals


class Metric(NamedTuple):
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...]


_ENDPOINT = ("namespace", "service", "port", "endpoint", "workload")
_LISTENER = ("namespace", "service", "port", "address", "protocol")

METRICS: dict[str, Metric] = {
    "meshproxy_build_info": Metric("gauge", "The version, as a label; always 1.", ("version",)),
    "meshproxy_config_info": Metric(
        "gauge", "The configuration's versions, as labels; always 1.", ("version", "last_good")
    ),
    "meshproxy_config_rejections_total": Metric("counter", "Configurations that were refused.", ()),
    "meshproxy_workers": Metric("gauge", "Worker processes by state.", ("state",)),
    "meshproxy_worker_restarts_total": Metric("counter", "Worker processes that died and were restarted.", ()),
    "meshproxy_descriptor_shortages_total": Metric(
        "counter", "Times that a worker had no file descriptor for a connection.", ()
    ),
    "meshproxy_source_up": Metric("gauge", "Whether a source stands behind what is in force.", ("source",)),
    "meshproxy_listener_up": Metric("gauge", "Whether a listener is bound.", _LISTENER),
    "meshproxy_listener_active_connections": Metric("gauge", "Open connections or UDP sessions.", _LISTENER),
    "meshproxy_listener_connections_total": Metric("counter", "Connections or UDP sessions accepted.", _LISTENER),
    "meshproxy_listener_refused_total": Metric("counter", "Connections that no endpoint could take.", _LISTENER),
    "meshproxy_listener_denied_total": Metric("counter", "Connections from sources that are not allowed.", _LISTENER),
    "meshproxy_listener_overflowed_total": Metric("counter", "Connections beyond a limit and its queue.", _LISTENER),
    "meshproxy_listener_malformed_total": Metric("counter", "Connections without a valid PROXY header.", _LISTENER),
    "meshproxy_listener_dropped_total": Metric("counter", "UDP datagrams dropped for want of room.", _LISTENER),
    "meshproxy_endpoint_up": Metric("gauge", "Whether an endpoint may be used.", _ENDPOINT),
    "meshproxy_endpoint_active_connections": Metric("gauge", "Open connections or UDP sessions.", _ENDPOINT),
    "meshproxy_endpoint_connections_total": Metric("counter", "Connections or UDP sessions opened.", _ENDPOINT),
    "meshproxy_endpoint_connect_failures_total": Metric("counter", "Connections that did not open.", _ENDPOINT),
    "meshproxy_endpoint_connect_timeouts_total": Metric("counter", "Those of them that timed out.", _ENDPOINT),
    "meshproxy_endpoint_sent_bytes_total": Metric("counter", "Payload sent to an endpoint.", _ENDPOINT),
    "meshproxy_endpoint_received_bytes_total": Metric("counter", "Payload received from an endpoint.", _ENDPOINT),
}


_LISTENER_FIELDS = {
    "meshproxy_listener_active_connections": "active",
    "meshproxy_listener_connections_total": "accepted",
    "meshproxy_listener_refused_total": "refused",
    "meshproxy_listener_denied_total": "denied",
    "meshproxy_listener_overflowed_total": "overflowed",
    "meshproxy_listener_malformed_total": "malformed",
    "meshproxy_listener_dropped_total": "dropped",
}
_ENDPOINT_FIELDS = {
    "meshproxy_endpoint_active_connections": "active",
    "meshproxy_endpoint_connections_total": "connections",
    "meshproxy_endpoint_connect_failures_total": "connect_failures",
    "meshproxy_endpoint_connect_timeouts_total": "connect_timeouts",
    "meshproxy_endpoint_sent_bytes_total": "sent",
    "meshproxy_endpoint_received_bytes_total": "received",
}


class MetricsInput(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is rendered, as plain values. `unusable` holds the endpoints that must not be used."""

    snapshot: Snapshot
    endpoints: Mapping[EndpointKey, EndpointTotals]
    listeners: Mapping[str, ListenerTotals]
    unusable: frozenset[EndpointKey]
    unbound: frozenset[str]
    worker_states: tuple[str, ...]
    worker_restarts: int
    shortages: int
    rejections: int
    last_good: str
    sources_up: Mapping[str, bool]


Sample = tuple[tuple[str, ...], float]


def render(metrics: MetricsInput) -> bytes:
    """The exposition, Prometheus text format 0.0.4, with this process's own metrics."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry, namespace="meshproxy_supervisor")
    registry.register(_Input(metrics))
    return generate_latest(registry)


class _Input(Collector):
    def __init__(self, metrics: MetricsInput) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for name, samples in _samples(self._metrics):
            metric = METRICS[name]
            family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
                name, metric.help, labels=metric.labels
            )
            for labels, value in samples:
                family.add_metric(labels, value)
            yield family


def _samples(metrics: MetricsInput) -> Iterator[tuple[str, Iterable[Sample]]]:
    snapshot = metrics.snapshot
    yield "meshproxy_build_info", [((__version__,), 1)]
    yield "meshproxy_config_info", [((snapshot.version, metrics.last_good), 1)]
    yield "meshproxy_config_rejections_total", [((), metrics.rejections)]
    states = sorted(set(metrics.worker_states))
    yield "meshproxy_workers", [((state,), metrics.worker_states.count(state)) for state in states]
    yield "meshproxy_worker_restarts_total", [((), metrics.worker_restarts)]
    yield "meshproxy_descriptor_shortages_total", [((), metrics.shortages)]
    yield "meshproxy_source_up", [((name,), up) for name, up in sorted(metrics.sources_up.items())]
    yield from _listener_samples(metrics)
    yield from _endpoint_samples(metrics)


def _listener_samples(metrics: MetricsInput) -> Iterator[tuple[str, Iterable[Sample]]]:
    rows = []
    for listener in metrics.snapshot.listeners:
        namespace, _, service = listener.service.partition("/")
        labels = (namespace, service, listener.port_name, str(listener.address), listener.transport.value)
        rows.append((labels, listener.name, metrics.listeners.get(listener.name, ListenerTotals())))
    yield "meshproxy_listener_up", [(labels, name not in metrics.unbound) for labels, name, _ in rows]
    for name, field in _LISTENER_FIELDS.items():
        yield name, [(labels, getattr(totals, field)) for labels, _, totals in rows]


def _endpoint_samples(metrics: MetricsInput) -> Iterator[tuple[str, Iterable[Sample]]]:
    # Variants of a cluster (this node's endpoints, another IP family) are one port of one Service.
    services = {cluster.name: (cluster.service, cluster.port_name) for cluster in metrics.snapshot.clusters}
    sums: dict[tuple[str, ...], EndpointTotals] = {}
    up: dict[tuple[str, ...], bool] = {}
    for assignment in metrics.snapshot.assignments:
        service, port = services[assignment.cluster]
        namespace, _, name = service.partition("/")
        for endpoint in assignment.endpoints:
            key = (assignment.cluster, endpoint.id)
            labels = (namespace, name, port, endpoint.id, endpoint.name)
            totals = metrics.endpoints.get(key, EndpointTotals())
            before = sums.get(labels)
            sums[labels] = totals if before is None else EndpointTotals(*map(sum, zip(before, totals, strict=True)))
            up[labels] = up.get(labels, False) or key not in metrics.unusable
    yield "meshproxy_endpoint_up", up.items()
    for metric, field in _ENDPOINT_FIELDS.items():
        yield metric, [(labels, getattr(totals, field)) for labels, totals in sums.items()]
