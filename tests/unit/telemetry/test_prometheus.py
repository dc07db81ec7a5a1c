"""What Prometheus reads."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics_families
from prometheus_client.parser import text_string_to_metric_families

from meshproxy import __version__
from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.model import (
    Assignment,
    Cluster,
    Endpoint,
    FilterChain,
    Listener,
    Protocol,
    ServicePortView,
    ServiceView,
    Snapshot,
    Transport,
)
from meshproxy.snapshot.tls import UpstreamTLS
from meshproxy.telemetry.dns import DNSReport, QueryCount, UpstreamReport
from meshproxy.telemetry.exemplars import Exemplar, Exemplars
from meshproxy.telemetry.exposition import labels
from meshproxy.telemetry.handshake_totals import HandshakeKey
from meshproxy.telemetry.metrics import IdentityMetrics, MetricsInput, SourceMetrics
from meshproxy.telemetry.prometheus import METRICS, PIECE, render, render_open_metrics
from meshproxy.telemetry.request_totals import DecisionKey, EndpointRequests, RuleKey
from meshproxy.telemetry.totals import EndpointTotals, ListenerTotals
from tests.support.traces import make_trace
from tests.support.view import make_counts

ENDPOINT = "10.0.0.1:80"


def make_snapshot(*endpoints: Endpoint) -> Snapshot:
    listener = Listener(
        name="l",
        address=SocketAddress("127.0.0.1", 80),
        transport=Transport.TCP,
        cluster="c",
        service="team/s",
        port_name="http",
        protocol=Protocol.AUTO,
        chains=(FilterChain(name="f", server_names=("",), cluster="c"),),
    )
    return Snapshot(
        version="v2",
        listeners=(listener,),
        clusters=(
            Cluster(name="c", service="team/s", port_name="http", tls=UpstreamTLS(server_name="s")),
            Cluster(name="c|local", service="team/s", port_name="http"),
        ),
        assignments=(
            Assignment(cluster="c", endpoints=endpoints),
            Assignment(cluster="c|local", endpoints=endpoints[:1]),
        ),
        services=(
            ServiceView(
                namespace="team",
                name="s",
                type="ClusterIP",
                ports=(ServicePortView(name="http", port=80, transport=Transport.TCP, cluster="c"),),
            ),
        ),
    )


def make_input(**fields: Any) -> MetricsInput:
    defaults: dict[str, Any] = {
        "snapshot": make_snapshot(Endpoint(address=SocketAddress("10.0.0.1", 80), name="w")),
        "endpoints": {
            ("c", ENDPOINT): EndpointTotals(active=1, connections=2, sent=3),
            ("c|local", ENDPOINT): EndpointTotals(active=10, connections=20, sent=30),
        },
        "listeners": {"l": ListenerTotals(active=1, accepted=7, refused=2)},
        "rules": {RuleKey("", "c", ""): make_counts(ok=3, failed=1)},
        "endpoint_requests": {("c", ENDPOINT): EndpointRequests(idle=2, requests=make_counts(ok=5))},
        "flags": {("l", "UO"): 6},
        "handshakes": {
            HandshakeKey("downstream", "l", "full"): 7,
            HandshakeKey("downstream", "l", "expired"): 2,
            HandshakeKey("upstream", "c", "resumed"): 5,
            HandshakeKey("upstream", "c", "unknown_ca"): 1,
        },
        "ejections": {("c", ENDPOINT): (3, True)},
        "access_log": (8, 9),
        "unusable": frozenset(),
        "unbound": frozenset(),
        "worker_states": ("ready", "ready", "starting"),
        "worker_restarts": 4,
        "shortages": 5,
        "rejections": 1,
        "rejected": True,
        "last_good": "v1",
        "sources": (
            SourceMetrics(name="files", up=False, counts={"Service": 2}, stale=9, errors=1),
            SourceMetrics(name="consul", up=True, counts={"Workload": 5}, held=3),
        ),
        "identity": IdentityMetrics(
            source="ca",
            up=True,
            changes=3,
            failures=2,
        ),
        "expirations": {
            ("Identity", "spiffe://mesh.local/ns/default/sa/web", 'CN=a "CA"', "1f"): (1_800_000_000, True)
        },
        "dns": DNSReport(
            address=SocketAddress("127.0.0.1", 15053),
            listening=True,
            domain="cluster.local",
            queries=(QueryCount(protocol="udp", type="A", rcode="NOERROR", count=9),),
            cache_hits=8,
            stale=1,
            dropped=2,
            upstreams=(UpstreamReport(address="192.0.2.1:53", answers=3, failures=1, seconds=0.25),),
        ),
        "exports": {"traces": (1, 2, 3)},
        "decisions": {DecisionKey("Service/default/web:http", "AuthorizationPolicy/p", "denied"): 3},
    }
    return MetricsInput(**defaults | fields)


def rendered(**fields: Any) -> str:
    return b"".join(render(make_input(**fields))).decode()


def families(**fields: Any) -> dict[str, Family]:
    text = rendered(**fields)
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(name: str, **fields: Any) -> list[tuple[dict[str, str], float]]:
    """(labels, value) of every series of a metric, as its parser reads them."""
    family = families(**fields)[name.removesuffix("_total")]
    return [(sample.labels, sample.value) for sample in family.samples if sample.name == name]


def test_every_metric_is_there_as_it_is_described() -> None:
    parsed = families()
    for name, metric in METRICS.items():
        family = parsed[name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert family.samples, name
        assert all(set(sample.labels) - {"le"} == set(metric.labels) for sample in family.samples)
        assert name.endswith("_total") is (metric.kind == "counter")
    assert {name for name in parsed if name.startswith("meshproxy_")} == {
        each.removesuffix("_total") for each in METRICS
    }


def test_this_process_is_measured_under_the_names_that_all_processes_have() -> None:
    assert families()["process_resident_memory_bytes"].samples[0].value > 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("meshproxy_build_info", [({"version": __version__}, 1)]),
        ("meshproxy_config_info", [({"version": "v2", "last_good": "v1"}, 1)]),
        ("meshproxy_config_rejections_total", [({}, 1)]),
        ("meshproxy_config_rejected", [({}, 1)]),
        ("meshproxy_dns_up", [({"address": "127.0.0.1:15053"}, 1)]),
        ("meshproxy_dns_queries_total", [({"protocol": "udp", "type": "A", "rcode": "NOERROR"}, 9)]),
        ("meshproxy_dns_forward_seconds_total", [({"upstream": "192.0.2.1:53"}, 0.25)]),
        ("meshproxy_workers", [({"state": "ready"}, 2), ({"state": "starting"}, 1)]),
        ("meshproxy_worker_restarts_total", [({}, 4)]),
        ("meshproxy_descriptor_shortages_total", [({}, 5)]),
        ("meshproxy_source_up", [({"source": "consul"}, 1), ({"source": "files"}, 0)]),
        (
            "meshproxy_source_resources",
            [({"source": "consul", "kind": "Workload"}, 5), ({"source": "files", "kind": "Service"}, 2)],
        ),
        ("meshproxy_source_held_resources", [({"source": "consul"}, 3), ({"source": "files"}, 0)]),
        ("meshproxy_source_stale_seconds", [({"source": "consul"}, 0), ({"source": "files"}, 9)]),
        ("meshproxy_source_errors_total", [({"source": "consul"}, 0), ({"source": "files"}, 1)]),
    ],
)
def test_the_process(name: str, expected: list[tuple[dict[str, str], float]]) -> None:
    assert values(name) == expected


def test_listeners() -> None:
    of_l = {"namespace": "team", "service": "s", "port": "http", "address": "127.0.0.1:80", "protocol": "TCP"}
    assert values("meshproxy_listener_up") == [(of_l, 1)]
    assert values("meshproxy_listener_up", unbound=frozenset({"l"})) == [(of_l, 0)]
    assert values("meshproxy_listener_connections_total") == [(of_l, 7)]
    assert values("meshproxy_listener_refused_total") == [(of_l, 2)]
    assert values("meshproxy_listener_refused_total", listeners={}) == [(of_l, 0)]


def test_variants_of_a_cluster_are_one() -> None:
    of_w = {"namespace": "team", "service": "s", "port": "http", "endpoint": ENDPOINT, "workload": "w"}
    assert values("meshproxy_endpoint_sent_bytes_total") == [(of_w, 33)]
    assert values("meshproxy_endpoint_active_connections") == [(of_w, 11)]
    one, both = frozenset({("c|local", ENDPOINT)}), frozenset({("c|local", ENDPOINT), ("c", ENDPOINT)})
    assert values("meshproxy_endpoint_up", unusable=one) == [(of_w, 1)]
    assert values("meshproxy_endpoint_up", unusable=both) == [(of_w, 0)]


def test_a_service_without_endpoints_is_told_of() -> None:
    """Its endpoints' series are gone with them."""
    of_s = {"namespace": "team", "service": "s", "port": "http"}
    two = make_snapshot(*(Endpoint(address=SocketAddress("10.0.0.1", port)) for port in (80, 81)))
    sick = frozenset({("c", ENDPOINT)})
    nothing = frozenset[tuple[str, str]]()
    for snapshot, unusable, expected in ((two, sick, (2, 1)), (two, nothing, (2, 2)), (make_snapshot(), sick, (0, 0))):
        found = [
            values(f"meshproxy_service_{name}", snapshot=snapshot, unusable=unusable)
            for name in ("endpoints", "healthy_endpoints")
        ]
        assert found == [[(of_s, value)] for value in expected]


def test_what_is_not_counted_yet_is_zero() -> None:
    ((_, value),) = values("meshproxy_endpoint_connections_total", endpoints={})
    assert value == 0


@pytest.mark.parametrize("name", ['say "x"', "back\\slash", "line\nother", "ümläut", "{},= ", "\\n"])
def test_label_values_are_escaped(name: str) -> None:
    snapshot = make_snapshot(Endpoint(address=SocketAddress("10.0.0.1", 80), name=name))
    ((read, _),) = values("meshproxy_endpoint_up", snapshot=snapshot)
    assert read["workload"] == name


def test_labels() -> None:
    assert labels((), ()) == ""
    assert labels(("a", "b"), ("1", "2")) == '{a="1",b="2"}'


def test_large_counters_are_exact() -> None:
    totals = EndpointTotals(sent=2**60 + 1)
    assert f" {2**60 + 1}\n" in rendered(endpoints={("c", ENDPOINT): totals})


def test_the_number_of_series_is_that_of_endpoints() -> None:
    def count(endpoints: int) -> int:
        made = (Endpoint(address=SocketAddress("10.0.0.1", port)) for port in range(1, endpoints + 1))
        text = rendered(snapshot=make_snapshot(*made), endpoint_requests={}, ejections={})
        return text.count("\nmeshproxy_endpoint_")

    per_endpoint = sum(name.startswith("meshproxy_endpoint_") for name in METRICS)
    per_endpoint -= 5  # those of requests and ejections: see test_request_metrics
    assert count(100) - count(50) == 50 * per_endpoint
    assert count(1) == per_endpoint


def test_the_identity() -> None:
    labels = {
        "kind": "Identity",
        "name": "spiffe://mesh.local/ns/default/sa/web",
        "issuer": 'CN=a "CA"',
        "serial": "1f",
    }
    assert values("meshproxy_certificate_expiration_timestamp_seconds") == [(labels, 1_800_000_000)]
    assert values("meshproxy_certificate_expires_soon") == [(labels, 1)]
    assert values("meshproxy_identity_up") == [({"source": "ca"}, 1)]
    assert values("meshproxy_identity_changes_total") == [({"source": "ca"}, 3)]
    assert values("meshproxy_identity_failures_total") == [({"source": "ca"}, 2)]
    assert "meshproxy_identity_up" not in families(identity=None)


def test_it_comes_in_pieces_of_bounded_size() -> None:
    made = (Endpoint(address=SocketAddress("10.0.0.1", port)) for port in range(1, 3001))
    pieces = list(render(make_input(snapshot=make_snapshot(*made))))
    assert len(pieces) > 10
    assert max(piece.count(b"\n") for piece in pieces[:-1]) <= 2 * PIECE
    assert all(piece.endswith(b"\n") for piece in pieces)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("meshproxy_listener_tls_handshakes_total", {"full": 7, "resumed": 0}),
        ("meshproxy_listener_tls_handshake_failures_total", {"expired": 2}),
        ("meshproxy_upstream_tls_handshakes_total", {"full": 0, "resumed": 5}),
        ("meshproxy_upstream_tls_handshake_failures_total", {"unknown_ca": 1}),
    ],
)
def test_handshakes(name: str, expected: dict[str, int]) -> None:
    found = {labels.get("kind") or labels["reason"]: value for labels, value in values(name)}
    assert found == expected


def test_open_metrics_has_the_same_and_exemplars() -> None:
    listener = ("l", "c")
    exemplars = {listener: {3: Exemplar("4bf92f3577b34da6a3ce929d0e0e4736", 0.004, 1000.5)}}
    text = b"".join(render_open_metrics(make_input(exemplars=exemplars))).decode()
    parsed = {family.name: family for family in open_metrics_families(text)}  # type: ignore[no-untyped-call]
    for name, metric in METRICS.items():
        family = parsed[name.removesuffix("_total") if metric.kind == "counter" else name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
    found = [sample for sample in parsed["meshproxy_route_request_duration_seconds"].samples if sample.exemplar]
    assert [sample.labels["le"] for sample in found] == ["0.005"]
    assert found[0].exemplar == (
        {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}, 0.004, found[0].exemplar.timestamp
    )  # fmt: skip
    assert float(found[0].exemplar.timestamp) == 1000.5


def test_an_exemplar_is_of_the_last_traced_request_of_a_bucket() -> None:
    kept = Exemplars()
    first, other, last = (make_trace(seconds=seconds, rule="c", listener="l") for seconds in (0.0041, 0.3, 0.0042))
    kept.absorb([first, other, last])
    kept.absorb([make_trace(rule="", listener="l")])
    assert {bucket: each.seconds for bucket, each in kept.all()["l", "c"].items()} == {3: 0.0042, 9: 0.3}
    kept.keep_only(["another"])
    assert kept.all() == {}
