"""What spans, log records and metrics say, read back with the official protobufs."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from meshproxy.base.response_flags import FLAGS
from meshproxy.snapshot.messages import TriedEndpoint
from meshproxy.snapshot.telemetry import Temporality
from meshproxy.telemetry.latency import BOUNDS
from meshproxy.telemetry.metrics import Family
from meshproxy.telemetry.otlp.logs import log_record_of
from meshproxy.telemetry.otlp.metrics import MetricsReader
from meshproxy.telemetry.otlp.spans import spans_of
from meshproxy.telemetry.prometheus import METRICS
from meshproxy.telemetry.request_durations import DurationCounts, DurationKind
from meshproxy.telemetry.semantics import DURATION_BOUNDS
from tests.support.collector import plain
from tests.support.traces import PARENT, TRACE, TRIED, make_request, make_trace


def test_spans_of_a_request() -> None:
    server, client = spans_of(make_trace())
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, PARENT)
    assert (client.trace_id.hex(), client.span_id.hex()) == (TRACE, TRIED)
    assert client.parent_span_id == server.span_id
    assert (server.kind, client.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert server.trace_state == client.trace_state == "k=v"
    assert (server.flags, client.flags) == (0x301, 0x101), "sampled, and the server's parent is elsewhere"
    assert server.name == client.name == "GET default/web/0"
    assert (server.start_time_unix_nano, server.end_time_unix_nano) == (1000_500_000_000, 1000_750_000_000)
    assert plain(server.attributes) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/a/b",
        "url.query": "c=d",
        "http.route": "default/web/0",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "network.peer.address": "192.0.2.2",
        "network.peer.port": 40000,
        "client.address": "192.0.2.1",
        "server.address": "web",
        "server.port": 8080,
        "user_agent.original": "curl",
        "http.request.body.size": 1,
        "http.response.body.size": 2,
        "meshproxy.listener": "default/web:http@127.96.0.10:80/TCP",
        "meshproxy.cluster": "default/web:http",
        "meshproxy.request_id": "id",
    }
    assert plain(client.attributes) == {
        "http.request.method": "GET",
        "url.full": "http://web:8080/a/b?c=d",
        "server.address": "web",
        "server.port": 8080,
        "network.peer.address": "10.0.0.1",
        "network.peer.port": 15443,
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
        "meshproxy.cluster": "default/web:http",
    }


def test_a_client_span_is_of_what_was_sent() -> None:
    sent = b"GET /new?sig=s3cret&a=b HTTP/1.1\r\nHost: other\r\n\r\n"
    head = b"GET /old?a=1&Signature=s3cret HTTP/1.1\r\nHost: [::1]:81\r\n\r\n"
    fields = {"head": head, "sent_head": sent, "scheme": "https", "upstream_scheme": "https"}
    server, client = (plain(span.attributes) for span in spans_of(make_trace(**fields)))
    assert (client["url.full"], client["server.port"]) == ("https://other/new?sig=REDACTED&a=b", 443)
    assert (server["url.scheme"], server["url.query"]) == ("https", "a=1&Signature=REDACTED")
    assert (server["server.address"], server["server.port"]) == ("::1", 81)


def test_a_trace_that_begins_here_has_no_remote_parent() -> None:
    server, _ = spans_of(make_trace(parent_id=b""))
    assert (server.flags, server.trace_state, server.parent_span_id) == (0x101, "", b"")


def test_a_request_without_a_host() -> None:
    server, client = (plain(span.attributes) for span in spans_of(make_trace(head=b"GET / HTTP/1.0\r\n\r\n")))
    assert "server.address" not in server
    assert client["url.full"] == "http://10.0.0.1:8080/"


@pytest.mark.parametrize(("flag", "error"), [("UC", "UC"), ("", "_OTHER")])
def test_why_a_try_failed(flag: str, error: str) -> None:
    tried = TriedEndpoint(TRIED.encode(), "10.0.0.1:8080", 100.6, 100.7, 0, flag=flag)
    _, client = spans_of(make_trace(tries=(tried,)))
    assert plain(client.attributes)["error.type"] == error
    assert client.status.message == FLAGS.get(flag, "")


@pytest.mark.parametrize(
    ("fields", "server_fails", "client_fails", "error"),
    [
        ({"status": 404}, False, True, None),
        ({"status": 503}, True, True, "503"),
        ({"status": 503, "flags": "UF,URX"}, True, True, "UF,URX"),
        ({"status": 0, "flags": "DC"}, True, True, "DC"),
        ({"status": 429, "flags": "RL"}, False, True, None),
    ],
)
def test_errors(fields: dict[str, Any], server_fails: bool, client_fails: bool, error: str | None) -> None:
    server, client = spans_of(make_trace(**fields))
    assert (server.status.code == Status.STATUS_CODE_ERROR) is server_fails
    assert (client.status.code == Status.STATUS_CODE_ERROR) is client_fails
    assert plain(server.attributes).get("error.type") == error


def test_names_and_methods_have_a_bound() -> None:
    """Neither a path nor a method that a client made up may be a name."""
    (server, _) = spans_of(make_trace(head=b"BREW /pot/1 HTTP/1.1\r\nHost: h\r\n\r\n", rule=""))
    assert server.name == "HTTP"
    assert plain(server.attributes)["http.request.method"] == "_OTHER"
    assert plain(server.attributes)["http.request.method_original"] == "BREW"


def test_a_connection() -> None:
    server, client = spans_of(make_trace(head=b"", status=0, rule=""))
    assert server.name == "default/web:http@127.96.0.10:80/TCP"
    assert server.status.code == client.status.code == Status.STATUS_CODE_UNSET
    assert plain(server.attributes) == {
        "network.transport": "tcp",
        "network.peer.address": "192.0.2.2",
        "network.peer.port": 40000,
        "client.address": "192.0.2.1",
        "meshproxy.received_bytes": 1,
        "meshproxy.sent_bytes": 2,
        "meshproxy.listener": "default/web:http@127.96.0.10:80/TCP",
        "meshproxy.cluster": "default/web:http",
    }


def test_a_log_record() -> None:
    record = log_record_of(make_request(status=503, flags="UF", detail="connect: refused"))
    assert record.trace_id.hex() == TRACE
    assert (record.severity_text, record.body.string_value) == ("ERROR", "GET /a/b?c=d 503 UF connect: refused")
    assert plain(record.attributes)["meshproxy.response_flags"] == "UF"
    assert plain(record.attributes)["url.full"] == "http://web:8080/a/b?c=d"
    assert [log_record_of(make_request(sampled=sampled)).flags for sampled in (True, False)] == [1, 0]
    secure = make_request(scheme="https", target="/?sig=s3cret")
    assert plain(log_record_of(secure).attributes)["url.full"] == "https://web:8080/?sig=REDACTED"
    assert log_record_of(make_request(trace_id="")).trace_id == b""


def test_what_came_over_tls_says_so() -> None:
    server, _ = spans_of(make_trace(scheme="https"))
    assert plain(server.attributes)["url.scheme"] == "https"
    record = log_record_of(make_request(scheme="https"))
    assert plain(record.attributes)["url.full"] == "https://web:8080/a/b?c=d"


def read(reader: MetricsReader, now: float, *families: Family) -> dict[str, Metric]:
    return made(reader.read(families, {}, Resource(), now))


def made(message: ExportMetricsServiceRequest) -> dict[str, Metric]:
    (found,) = message.resource_metrics
    return {metric.name: metric for scope in found.scope_metrics for metric in scope.metrics}


LABELS = '{target="a",policy="b \\"c\\"\\n\\\\",decision="denied"}'


def test_counters_are_sums() -> None:
    family = ("meshproxy_authorization_decisions_total", [(LABELS, 3)])
    metric = read(MetricsReader(Temporality.CUMULATIVE, 1.0), 2.0, family)["meshproxy.authorization.decisions"]
    (point,) = metric.sum.data_points
    assert plain(point.attributes) == {"target": "a", "policy": 'b "c"\n\\', "decision": "denied"}
    assert (point.as_int, point.start_time_unix_nano, point.time_unix_nano) == (3, 10**9, 2 * 10**9)
    assert metric.sum.is_monotonic


def test_gauges_have_no_beginning() -> None:
    metric = read(MetricsReader(Temporality.DELTA, 1.0), 2.0, ("meshproxy_workers", [('{state="ready"}', 2)]))
    (point,) = metric["meshproxy.workers"].gauge.data_points
    assert (point.as_int, plain(point.attributes)) == (2, {"state": "ready"})


def test_deltas_are_what_was_added() -> None:
    reader = MetricsReader(Temporality.DELTA, 1.0)
    name = "meshproxy_worker_restarts_total"
    values = []
    for now, value in ((2.0, 3), (3.0, 5), (4.0, 5), (5.0, 1)):
        metric = read(reader, now, (name, [("", value)]))["meshproxy.worker.restarts"]
        assert metric.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA
        (point,) = metric.sum.data_points
        values.append((point.as_int, point.start_time_unix_nano // 10**9))
    assert values == [(3, 1), (2, 2), (0, 3), (1, 4)]


def test_durations_are_what_the_conventions_require_of_a_server() -> None:
    counts = DurationCounts((3, *[0] * 13, 1), 30.5)
    kinds = [DurationKind("l", "default/web/0", "GET", "https", status) for status in (200, 503, 0)]
    reader = MetricsReader(Temporality.DELTA, 1.0)
    metric = made(reader.read((), dict.fromkeys(kinds, counts), Resource(), 2.0))["http.server.request.duration"]
    assert metric.unit == "s"
    first, failed, without = metric.histogram.data_points
    assert (first.count, first.sum, list(first.bucket_counts)) == (4, 30.5, [3, *[0] * 13, 1])
    assert list(first.explicit_bounds) == list(DURATION_BOUNDS)
    assert plain(first.attributes) == {
        "http.request.method": "GET",
        "url.scheme": "https",
        "http.response.status_code": 200,
        "http.route": "default/web/0",
        "meshproxy.listener": "l",
    }
    assert [plain(each.attributes).get("error.type") for each in (first, failed, without)] == [None, "503", "_OTHER"]
    more = {kinds[0]: counts.plus(DurationCounts((0, 1, *[0] * 13), 0.5))}
    (point,) = made(reader.read((), more, Resource(), 3.0))["http.server.request.duration"].histogram.data_points
    assert (point.count, point.sum) == (1, 0.5)


def test_a_collector_makes_prometheus_names_of_them_again() -> None:
    """Dots become underlines, then come the unit and ``_total``: OpenTelemetry's "Prometheus compatibility"."""
    kinds: dict[str, list[Any]] = {"counter": [("", 1)], "gauge": [("", 1)], "histogram": [("_sum", 0.0)]}
    for name, about in METRICS.items():
        ((otel, metric),) = read(MetricsReader(Temporality.CUMULATIVE, 1.0), 2.0, (name, kinds[about.kind])).items()
        unit = {"s": "_seconds", "By": "_bytes", "": ""}[metric.unit]
        assert otel.replace(".", "_") + unit + ("_total" if about.kind == "counter" else "") == name


@pytest.mark.parametrize("labels", ["", '{rule="r"}'])
def test_histograms_have_our_buckets(labels: str) -> None:
    name = "meshproxy_route_request_duration_seconds"
    inside = labels[1:-1] + "," if labels else ""
    edges = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
    samples = [(f'_bucket{{{inside}le="{edge}"}}', min(index, 3)) for index, edge in enumerate(edges)]
    samples += [(f"_sum{labels}", 0.5), (f"_count{labels}", 3)]  # type: ignore[list-item]
    found = read(MetricsReader(Temporality.CUMULATIVE, 1.0), 2.0, (name, samples))
    metric = found["meshproxy.route.request_duration"]
    (point,) = metric.histogram.data_points
    assert (point.count, point.sum, list(point.explicit_bounds)) == (3, 0.5, list(BOUNDS))
    assert list(point.bucket_counts) == [0, 1, 1, 1] + [0] * (len(BOUNDS) - 3)
    assert plain(point.attributes) == ({"rule": "r"} if labels else {})
    assert metric.unit == "s"
