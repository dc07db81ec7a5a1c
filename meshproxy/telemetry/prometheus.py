"""Metrics in Prometheus' text format. `METRICS` is their list; `docs/metrics.md` explains them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from operator import add, attrgetter

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics

from meshproxy import __version__
from meshproxy.telemetry import exposition, handshake_metrics, request_metrics
from meshproxy.telemetry.dns import DNSReport
from meshproxy.telemetry.metrics import (
    ENDPOINT,
    LISTENER,
    PORT,
    Family,
    IdentityMetrics,
    Metric,
    MetricsInput,
    Sample,
    SourceMetrics,
    listener_labels,
)
from meshproxy.telemetry.totals import EndpointTotals, ListenerTotals

PIECE = 1000
"""Lines in a piece."""

METRICS: dict[str, Metric] = {
    "meshproxy_build_info": Metric("gauge", "The version, as a label; always 1.", ("version",)),
    "meshproxy_config_info": Metric(
        "gauge", "The configuration's versions, as labels; always 1.", ("version", "last_good")
    ),
    "meshproxy_config_rejected": Metric("gauge", "Whether the last configuration was refused.", ()),
    "meshproxy_config_rejections_total": Metric("counter", "Configurations that were refused.", ()),
    "meshproxy_workers": Metric("gauge", "Worker processes by state.", ("state",)),
    "meshproxy_worker_restarts_total": Metric("counter", "Worker processes that died and were restarted.", ()),
    "meshproxy_descriptor_shortages_total": Metric(
        "counter", "Times that a worker had no file descriptor for a connection.", ()
    ),
    "meshproxy_source_up": Metric("gauge", "Whether a source stands behind what is in force.", ("source",)),
    "meshproxy_source_resources": Metric("gauge", "Resources of a source that are in force.", ("source", "kind")),
    "meshproxy_source_held_resources": Metric("gauge", "Those whose removal waits to be confirmed.", ("source",)),
    "meshproxy_source_stale_seconds": Metric("gauge", "How long a source has been failing.", ("source",)),
    "meshproxy_source_errors_total": Metric("counter", "Times that a source said a problem.", ("source",)),
    "meshproxy_identity_up": Metric("gauge", "Whether the source of the identity is well.", ("source",)),
    "meshproxy_identity_changes_total": Metric("counter", "Identities that came into force.", ("source",)),
    "meshproxy_identity_failures_total": Metric("counter", "Times that there was no new identity.", ("source",)),
    "meshproxy_certificate_expiration_timestamp_seconds": Metric(
        "gauge", "When a certificate in force expires, in seconds since 1970.", ("kind", "name", "issuer", "serial")
    ),
    "meshproxy_certificate_expires_soon": Metric(
        "gauge", "Whether a certificate in force should have been renewed by now.", ("kind", "name", "issuer", "serial")
    ),
    "meshproxy_dns_up": Metric("gauge", "Whether the DNS server listens.", ("address",)),
    "meshproxy_dns_queries_total": Metric("counter", "DNS queries answered.", ("protocol", "type", "rcode")),
    "meshproxy_dns_cache_hits_total": Metric("counter", "DNS queries answered from a cache.", ()),
    "meshproxy_dns_stale_answers_total": Metric("counter", "DNS answers that were too old, for want of others.", ()),
    "meshproxy_dns_dropped_total": Metric("counter", "DNS queries refused since too many waited.", ()),
    "meshproxy_dns_forwards_total": Metric("counter", "Answers of a DNS upstream.", ("upstream",)),
    "meshproxy_dns_forward_failures_total": Metric("counter", "Questions it did not answer.", ("upstream",)),
    "meshproxy_dns_forward_seconds_total": Metric("counter", "What its answers took together.", ("upstream",)),
    "meshproxy_listener_up": Metric("gauge", "Whether a listener is bound.", LISTENER),
    "meshproxy_listener_active_connections": Metric("gauge", "Open connections or UDP sessions.", LISTENER),
    "meshproxy_listener_connections_total": Metric("counter", "Connections or UDP sessions accepted.", LISTENER),
    "meshproxy_listener_refused_total": Metric("counter", "Connections that no endpoint could take.", LISTENER),
    "meshproxy_listener_denied_total": Metric("counter", "Connections from sources that are not allowed.", LISTENER),
    "meshproxy_listener_overflowed_total": Metric("counter", "Connections beyond a limit and its queue.", LISTENER),
    "meshproxy_listener_malformed_total": Metric("counter", "Connections without a valid PROXY header.", LISTENER),
    "meshproxy_listener_dropped_total": Metric("counter", "UDP datagrams dropped for want of room.", LISTENER),
    "meshproxy_service_endpoints": Metric("gauge", "Endpoints of a Service's port.", PORT),
    "meshproxy_service_healthy_endpoints": Metric("gauge", "Those of them that may be used.", PORT),
    "meshproxy_endpoint_up": Metric("gauge", "Whether an endpoint may be used.", ENDPOINT),
    "meshproxy_endpoint_active_connections": Metric("gauge", "Open connections or UDP sessions.", ENDPOINT),
    "meshproxy_endpoint_connections_total": Metric("counter", "Connections or UDP sessions opened.", ENDPOINT),
    "meshproxy_endpoint_connect_failures_total": Metric("counter", "Connections that did not open.", ENDPOINT),
    "meshproxy_endpoint_connect_timeouts_total": Metric("counter", "Those of them that timed out.", ENDPOINT),
    "meshproxy_endpoint_sent_bytes_total": Metric("counter", "Payload sent to an endpoint.", ENDPOINT),
    "meshproxy_endpoint_received_bytes_total": Metric("counter", "Payload received from an endpoint.", ENDPOINT),
    "meshproxy_otlp_sent_total": Metric("counter", "Traces, readings and log records sent.", ("signal",)),
    "meshproxy_otlp_dropped_total": Metric("counter", "Those that could not be sent.", ("signal",)),
    "meshproxy_otlp_waiting": Metric("gauge", "Those that wait to be sent.", ("signal",)),
    **request_metrics.METRICS,
    **handshake_metrics.METRICS,
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
_NOTHING = EndpointTotals()
_ENDPOINT_FIELDS = {
    "meshproxy_endpoint_active_connections": "active",
    "meshproxy_endpoint_connections_total": "connections",
    "meshproxy_endpoint_connect_failures_total": "connect_failures",
    "meshproxy_endpoint_connect_timeouts_total": "connect_timeouts",
    "meshproxy_endpoint_sent_bytes_total": "sent",
    "meshproxy_endpoint_received_bytes_total": "received",
}


def render(metrics: MetricsInput) -> Iterator[bytes]:
    """The exposition, Prometheus text format 0.0.4, with this process's own ``process_…`` metrics at its end.

    In pieces of about a millisecond: with 10,000 endpoints there are some hundreds.
    """
    lines = chain.from_iterable(
        exposition.family(name, METRICS[name].kind, METRICS[name].help, samples) for name, samples in families(metrics)
    )
    while piece := "".join(islice(lines, PIECE)):
        yield piece.encode()
    yield _of_this_process()


def render_open_metrics(metrics: MetricsInput) -> Iterator[bytes]:
    """The same in OpenMetrics 1.0, with exemplars."""
    exemplars = {request_metrics.DURATION: request_metrics.exemplar_texts(metrics)}
    lines = chain.from_iterable(
        exposition.open_family(name, METRICS[name].kind, METRICS[name].help, samples, exemplars.get(name, {}))
        for name, samples in families(metrics)
    )
    while piece := "".join(islice(lines, PIECE)):
        yield piece.encode()
    yield _of_this_process(open_metrics=True)


def _of_this_process(*, open_metrics: bool = False) -> bytes:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return generate_open_metrics(registry) if open_metrics else generate_latest(registry)  # type: ignore[no-untyped-call]


def families(metrics: MetricsInput) -> Iterator[Family]:
    """Everything in `METRICS`."""
    yield _single("meshproxy_build_info", 1, __version__)
    yield _single("meshproxy_config_info", 1, metrics.snapshot.version, metrics.last_good)
    yield _single("meshproxy_config_rejected", int(metrics.rejected))
    yield _single("meshproxy_config_rejections_total", metrics.rejections)
    states = sorted(set(metrics.worker_states))
    yield _by_label("meshproxy_workers", {state: metrics.worker_states.count(state) for state in states})
    yield _single("meshproxy_worker_restarts_total", metrics.worker_restarts)
    yield _single("meshproxy_descriptor_shortages_total", metrics.shortages)
    yield from _source_families(metrics.sources)
    yield from _identity_families(metrics.identity)
    yield from _certificate_families(metrics.expirations)
    yield from _dns_families(metrics.dns)
    yield from _listener_families(metrics)
    yield from _service_families(metrics)
    yield from _endpoint_families(metrics)
    yield from request_metrics.families(metrics)
    yield from handshake_metrics.families(metrics)
    yield from _export_families(metrics.exports)


def _export_families(exports: Mapping[str, tuple[int, int, int]]) -> Iterator[Family]:
    for index, what in enumerate(("sent_total", "dropped_total", "waiting")):
        yield _by_label(f"meshproxy_otlp_{what}", {signal: counts[index] for signal, counts in exports.items()})


def _identity_families(identity: IdentityMetrics | None) -> Iterator[Family]:
    if identity is None:
        return
    yield _single("meshproxy_identity_up", int(identity.up), identity.source)
    yield _single("meshproxy_identity_changes_total", identity.changes, identity.source)
    yield _single("meshproxy_identity_failures_total", identity.failures, identity.source)


def _certificate_families(expirations: Mapping[tuple[str, str, str, str], tuple[int, bool]]) -> Iterator[Family]:
    names = METRICS["meshproxy_certificate_expires_soon"].labels
    rows = [(exposition.labels(names, each), *when) for each, when in expirations.items()]
    yield "meshproxy_certificate_expiration_timestamp_seconds", [(labels, at) for labels, at, _ in rows]
    yield "meshproxy_certificate_expires_soon", [(labels, int(soon)) for labels, _, soon in rows]


def _dns_families(dns: DNSReport | None) -> Iterator[Family]:
    if dns is None:
        return
    yield _single("meshproxy_dns_up", int(dns.listening), str(dns.address))
    queries = "meshproxy_dns_queries_total"
    labels = METRICS[queries].labels
    yield (
        queries,
        [(exposition.labels(labels, (each.protocol, each.type, each.rcode)), each.count) for each in dns.queries],
    )
    yield _single("meshproxy_dns_cache_hits_total", dns.cache_hits)
    yield _single("meshproxy_dns_stale_answers_total", dns.stale)
    yield _single("meshproxy_dns_dropped_total", dns.dropped)
    yield _by_label("meshproxy_dns_forwards_total", {each.address: each.answers for each in dns.upstreams})
    yield _by_label("meshproxy_dns_forward_failures_total", {each.address: each.failures for each in dns.upstreams})
    seconds = "meshproxy_dns_forward_seconds_total"
    labels = METRICS[seconds].labels
    yield seconds, [(exposition.labels(labels, (each.address,)), round(each.seconds, 6)) for each in dns.upstreams]


def _single(name: str, value: int, *label_values: str) -> Family:
    return name, [(exposition.labels(METRICS[name].labels, label_values), value)]


def _by_label(name: str, values: Mapping[str, int]) -> Family:
    return name, [
        (exposition.labels(METRICS[name].labels, (each,)), int(value)) for each, value in sorted(values.items())
    ]


def _source_families(sources: Iterable[SourceMetrics]) -> Iterator[Family]:
    sources = sorted(sources, key=attrgetter("name"))
    yield _by_label("meshproxy_source_up", {each.name: each.up for each in sources})
    resources = "meshproxy_source_resources"
    yield (
        resources,
        [
            (exposition.labels(METRICS[resources].labels, (each.name, kind)), count)
            for each in sources
            for kind, count in each.counts.items()
        ],
    )
    yield _by_label("meshproxy_source_held_resources", {each.name: each.held for each in sources})
    yield _by_label("meshproxy_source_stale_seconds", {each.name: each.stale for each in sources})
    yield _by_label("meshproxy_source_errors_total", {each.name: each.errors for each in sources})


def _listener_families(metrics: MetricsInput) -> Iterator[Family]:
    rows = []
    for listener in metrics.snapshot.listeners:
        totals = metrics.listeners.get(listener.name, ListenerTotals())
        rows.append((listener_labels(listener), listener.name, totals))
    yield "meshproxy_listener_up", [(labels, int(name not in metrics.unbound)) for labels, name, _ in rows]
    for name, field in _LISTENER_FIELDS.items():
        value_of = attrgetter(field)
        yield name, [(labels, value_of(totals)) for labels, _, totals in rows]


def _service_families(metrics: MetricsInput) -> Iterator[Family]:
    """There, unlike those of endpoints, when the last one is gone."""
    endpoints = {each.cluster: each.endpoints for each in metrics.snapshot.assignments}
    every: list[Sample] = []
    healthy: list[Sample] = []
    for service in metrics.snapshot.services:
        for port in service.ports:
            labels = exposition.labels(PORT, (service.namespace, service.name, port.name or str(port.port)))
            keys = [(port.cluster, each.id) for each in endpoints.get(port.cluster, ())]
            every.append((labels, len(keys)))
            healthy.append((labels, sum(key not in metrics.unusable for key in keys)))
    yield "meshproxy_service_endpoints", every
    yield "meshproxy_service_healthy_endpoints", healthy


def _endpoint_families(metrics: MetricsInput) -> Iterator[Family]:
    # Variants of a cluster (this node's endpoints, another IP family) are one port of one Service.
    services = {cluster.name: (cluster.service, cluster.port_name) for cluster in metrics.snapshot.clusters}
    sums: dict[str, EndpointTotals] = {}
    up: dict[str, int] = {}
    for assignment in metrics.snapshot.assignments:
        service, port = services[assignment.cluster]
        namespace, _, name = service.partition("/")
        for endpoint in assignment.endpoints:
            key = (assignment.cluster, endpoint.id)
            labels = exposition.labels(ENDPOINT, (namespace, name, port, endpoint.id, endpoint.name))
            totals = metrics.endpoints.get(key, _NOTHING)
            sums[labels] = EndpointTotals(*map(add, sums[labels], totals)) if labels in sums else totals
            up[labels] = up.get(labels, 0) | (key not in metrics.unusable)
    yield "meshproxy_endpoint_up", up.items()
    for metric, field in _ENDPOINT_FIELDS.items():
        value_of = attrgetter(field)
        yield metric, [(labels, value_of(totals)) for labels, totals in sums.items()]
