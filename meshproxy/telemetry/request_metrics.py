"""Metrics of HTTP requests: by rule, by endpoint, and by what went wrong at a listener."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate

from meshproxy.snapshot.messages import RequestCounts
from meshproxy.snapshot.model import ListenerRole, Protocol, Snapshot, Transport
from meshproxy.telemetry.exposition import labels, with_label
from meshproxy.telemetry.latency import BOUNDS
from meshproxy.telemetry.metrics import ENDPOINT, LISTENER, Family, Metric, MetricsInput, Sample, listener_labels
from meshproxy.telemetry.request_totals import NO_REQUESTS, EndpointRequests, RuleKey, plus
from meshproxy.telemetry.totals import EndpointKey

_RULE = ("parent", "route", "rule")
_BACKEND = (*_RULE, "backend")
DURATION = "meshproxy_route_request_duration_seconds"
CODES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""The values of the label ``code``, as `RequestCounts.statuses` has them; ``none`` ended without a response."""

METRICS: dict[str, Metric] = {
    "meshproxy_route_requests_total": Metric("counter", "Requests by rule, backend and status.", (*_BACKEND, "code")),
    "meshproxy_route_retries_total": Metric("counter", "Tries beyond a request's first.", _BACKEND),
    DURATION: Metric("histogram", "From a request's first byte to its response's last.", _RULE),
    "meshproxy_endpoint_requests_total": Metric(
        "counter", "Requests sent to an endpoint, each try counted, by status.", (*ENDPOINT, "code")
    ),
    "meshproxy_endpoint_request_duration_seconds": Metric(
        "histogram", "From the beginning of a try to the end of its response.", ENDPOINT
    ),
    "meshproxy_endpoint_idle_connections": Metric("gauge", "Connections kept for the next request.", ENDPOINT),
    "meshproxy_endpoint_ejected": Metric("gauge", "Whether outlier detection has ejected an endpoint.", ENDPOINT),
    "meshproxy_endpoint_ejections_total": Metric("counter", "Ejections by outlier detection.", ENDPOINT),
    "meshproxy_listener_response_flags_total": Metric(
        "counter", "Requests that ended with a response flag.", (*LISTENER, "flag")
    ),
    "meshproxy_listener_rate_limited_total": Metric("counter", "Requests beyond a rate limit.", LISTENER),
    "meshproxy_listener_circuit_broken_total": Metric(
        "counter", "Requests beyond a circuit breaker's limit.", LISTENER
    ),
    "meshproxy_authorization_decisions_total": Metric(
        "counter", "Calls that a policy refused, or would have.", ("target", "policy", "decision")
    ),
    "meshproxy_access_log_lines_total": Metric("counter", "Lines of the access log that were written.", ()),
    "meshproxy_access_log_dropped_total": Metric("counter", "Lines that were not, for want of time or room.", ()),
}
_BUCKETS = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")
_EDGES = (ListenerRole.GATEWAY, ListenerRole.INGRESS)


def families(metrics: MetricsInput) -> Iterator[Family]:
    """Everything in `METRICS`."""
    yield from _route_families(metrics)
    yield from _endpoint_families(metrics)
    yield from _ejection_families(metrics)
    yield from _listener_families(metrics)
    yield (
        "meshproxy_authorization_decisions_total",
        (
            (labels(METRICS["meshproxy_authorization_decisions_total"].labels, key), count)
            for key, count in metrics.decisions.items()
        ),
    )
    lines, dropped = metrics.access_log
    yield "meshproxy_access_log_lines_total", [("", lines)]
    yield "meshproxy_access_log_dropped_total", [("", dropped)]


def _by_code(series: Mapping[str, RequestCounts]) -> Iterator[Sample]:
    for label_text, counts in series.items():
        for code, count in zip(CODES, counts.statuses, strict=True):
            yield with_label(label_text, "code", code), count


def _histogram(series: Mapping[str, RequestCounts]) -> Iterator[Sample]:
    """Nothing for what has no request yet."""
    for label_text, counts in series.items():
        reached = 0
        for bucket, reached in zip(_BUCKETS, accumulate(counts.latencies), strict=False):
            yield f"_bucket{with_label(label_text, 'le', bucket)}", reached
        if reached:
            yield f"_sum{label_text}", round(counts.seconds, 6)
            yield f"_count{label_text}", reached


# -- rules -------------------------------------------------------------------------------


def _route_families(metrics: MetricsInput) -> Iterator[Family]:
    by_backend: dict[str, RequestCounts] = {}
    by_rule: dict[str, RequestCounts] = {}
    for values, counts in _rules(metrics):
        backend, rule = labels(_BACKEND, values), labels(_RULE, values[:-1])
        by_backend[backend] = plus(by_backend.get(backend, NO_REQUESTS), counts)
        by_rule[rule] = plus(by_rule.get(rule, NO_REQUESTS), counts)
    yield "meshproxy_route_requests_total", _by_code(by_backend)
    yield "meshproxy_route_retries_total", ((each, counts.retries) for each, counts in by_backend.items())
    yield DURATION, _histogram(by_rule)


def _rules(metrics: MetricsInput) -> Iterator[tuple[tuple[str, str, str, str], RequestCounts]]:
    """(values of the labels `_BACKEND`, counts).

    The backends of every rule are there from the beginning. What a rule answers itself, requests without a rule and
    listeners without routes are there once they were counted.
    """
    snapshot, counted = metrics.snapshot, metrics.rules
    parents = parents_of_tables(snapshot)
    for table in snapshot.route_tables:
        parent = parents.get(table.name, table.name)
        unmatched = counted.get(RuleKey(table.name, "", ""))
        if unmatched is not None:
            yield (parent, "", "", ""), unmatched
        for host in table.virtual_hosts:
            for rule in host.rules:
                names = dict.fromkeys((*(each.name for each in rule.backends), ""))
                for name in names:
                    counts = counted.get(RuleKey(table.name, rule.name, name))
                    if name or len(names) == 1 or counts is not None:
                        yield (parent, rule.route, rule.name, name), counts or NO_REQUESTS
    for cluster in snapshot.clusters:
        counts = counted.get(RuleKey("", cluster.name, ""))
        if counts is not None:
            yield (f"Service/{cluster.service}:{cluster.port_name}", "", "", ""), counts


def exemplar_texts(metrics: MetricsInput) -> dict[str, str]:
    """The ends of lines of `DURATION`, by what follows the metric's name on them."""
    snapshot, texts = metrics.snapshot, {}
    parents = parents_of_tables(snapshot)
    routes = {
        (table.name, rule.name): rule.route
        for table in snapshot.route_tables
        for host in table.virtual_hosts
        for rule in host.rules
    }
    listeners = {listener.name: listener for listener in snapshot.listeners}
    for (name, rule), buckets in metrics.exemplars.items():
        listener = listeners.get(name)
        if listener is None:
            continue
        if listener.routes:
            values = (parents[listener.routes], routes.get((listener.routes, rule), ""), rule)
        else:
            values = (f"Service/{listener.service}:{listener.port_name}", "", "")
        label_text = labels(_RULE, values)
        for bucket, each in buckets.items():
            line = f"_bucket{with_label(label_text, 'le', _BUCKETS[bucket])}"
            texts[line] = f' # {{trace_id="{each.trace_id}"}} {each.seconds:.6f} {each.timestamp:.3f}'
    return texts


def parents_of_tables(snapshot: Snapshot) -> dict[str, str]:
    """What routes of a table are attached to: ``Service/shop/cart:http``, ``Gateway/shop/edge:80``, ``Ingress:80``."""
    parents = {}
    for listener in snapshot.listeners:
        if listener.routes:
            edge = f"{listener.service}:{listener.address.port}"
            parents[listener.routes] = edge if listener.role in _EDGES else f"Service/{listener.routes}"
    return parents


# -- endpoints ---------------------------------------------------------------------------


def _endpoint_labels(snapshot: Snapshot, wanted: Mapping[EndpointKey, object]) -> Iterator[tuple[str, EndpointKey]]:
    """(label text, key) of the endpoints that are `wanted`; variants of a cluster have the same text.

    Endpoints without HTTP are the most in many a mesh: their label texts are not made.
    """
    services = {cluster.name: (cluster.service, cluster.port_name) for cluster in snapshot.clusters}
    for assignment in snapshot.assignments:
        for endpoint in assignment.endpoints:
            key = (assignment.cluster, endpoint.id)
            if key in wanted:
                service, port = services[assignment.cluster]
                namespace, _, name = service.partition("/")
                values = (namespace, name, port, endpoint.id, endpoint.name)
                yield labels(ENDPOINT, values), key


def _endpoint_families(metrics: MetricsInput) -> Iterator[Family]:
    sums: dict[str, EndpointRequests] = {}
    for label_text, key in _endpoint_labels(metrics.snapshot, metrics.endpoint_requests):
        requests = metrics.endpoint_requests[key]
        sums[label_text] = sums[label_text].plus(requests) if label_text in sums else requests
    counts = {label_text: each.requests for label_text, each in sums.items()}
    yield "meshproxy_endpoint_requests_total", _by_code(counts)
    yield "meshproxy_endpoint_request_duration_seconds", _histogram(counts)
    yield "meshproxy_endpoint_idle_connections", ((each, requests.idle) for each, requests in sums.items())


def _ejection_families(metrics: MetricsInput) -> Iterator[Family]:
    times: dict[str, int] = {}
    now: dict[str, bool] = {}
    for label_text, key in _endpoint_labels(metrics.snapshot, metrics.ejections):
        count, is_ejected = metrics.ejections[key]
        times[label_text] = times.get(label_text, 0) + count
        now[label_text] = now.get(label_text, False) or is_ejected
    yield "meshproxy_endpoint_ejected", ((each, int(is_ejected)) for each, is_ejected in now.items())
    yield "meshproxy_endpoint_ejections_total", times.items()


# -- listeners ---------------------------------------------------------------------------


def _listener_families(metrics: MetricsInput) -> Iterator[Family]:
    by_listener: dict[str, dict[str, int]] = {}
    for (listener, flag), count in metrics.flags.items():
        by_listener.setdefault(listener, {})[flag] = count
    rows = [
        (listener_labels(listener), by_listener.get(listener.name, {}))
        for listener in metrics.snapshot.listeners
        if listener.transport is Transport.TCP and listener.protocol is not Protocol.TCP
    ]
    yield (
        "meshproxy_listener_response_flags_total",
        ((with_label(each, "flag", flag), count) for each, flags in rows for flag, count in flags.items()),
    )
    yield "meshproxy_listener_rate_limited_total", ((each, flags.get("RL", 0)) for each, flags in rows)
    yield "meshproxy_listener_circuit_broken_total", ((each, flags.get("UO", 0)) for each, flags in rows)
