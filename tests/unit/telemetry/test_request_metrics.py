"""What Prometheus reads of HTTP requests."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.model import Listener, ListenerRole, Protocol, Snapshot, Transport
from meshproxy.snapshot.routes import Backend, RouteTable, Rule, VirtualHost
from meshproxy.telemetry.latency import BOUNDS
from meshproxy.telemetry.metrics import MetricsInput
from meshproxy.telemetry.prometheus import render
from meshproxy.telemetry.request_metrics import CODES
from meshproxy.telemetry.request_totals import EndpointRequests, RuleKey
from tests.support.view import CLUSTER, GATEWAY, ONE, TWO, make_counts, make_snapshot

CART = {"parent": f"Service/{CLUSTER}", "route": "HTTPRoute/default/shop", "rule": "default/shop/cart"}
ENDPOINT = {"namespace": "default", "service": "backend", "port": "http"}
OF_ONE = {**ENDPOINT, "endpoint": str(ONE), "workload": "backend-1"}
OF_TWO = {**ENDPOINT, "endpoint": str(TWO), "workload": "backend-2"}
LISTENER = {
    "namespace": "default", "service": "backend", "port": "http", "address": "127.96.0.10:80", "protocol": "TCP",
}  # fmt: skip


def make_input(**fields: Any) -> MetricsInput:
    defaults: dict[str, Any] = {
        "endpoints": {},
        "listeners": {},
        "rules": {},
        "endpoint_requests": {},
        "flags": {},
        "ejections": {},
        "sources": (),
        "snapshot": make_snapshot(),
        "access_log": (0, 0),
        "unusable": frozenset(),
        "unbound": frozenset(),
        "worker_states": (),
        "worker_restarts": 0,
        "shortages": 0,
        "rejections": 0,
        "rejected": False,
        "last_good": "",
    }
    return MetricsInput(**defaults | fields)


def series(name: str, **fields: Any) -> list[tuple[dict[str, str], float]]:
    """(labels, value) of every series, as Prometheus' own parser reads them."""
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(b"".join(render(make_input(**fields))).decode())
        for sample in family.samples
        if sample.name == name
    ]


def by_code(name: str, wanted: dict[str, str], **fields: Any) -> dict[str, float]:
    return {labels["code"]: value for labels, value in series(name, **fields) if wanted.items() <= labels.items()}


def test_requests_of_a_rule_by_backend_and_status() -> None:
    rules = {
        RuleKey(CLUSTER, "default/shop/cart", "backend:80"): make_counts(ok=7, failed=2, retries=3),
        RuleKey(CLUSTER, "default/shop/cart", "gone:80"): make_counts(failed=4),
    }
    name = "meshproxy_route_requests_total"
    assert by_code(name, {**CART, "backend": "backend:80"}, rules=rules) == {
        "none": 0, "1xx": 0, "2xx": 7, "3xx": 0, "4xx": 0, "5xx": 2,
    }  # fmt: skip
    assert by_code(name, {**CART, "backend": "gone:80"}, rules=rules)["5xx"] == 4
    retries = {labels["backend"]: value for labels, value in series("meshproxy_route_retries_total", rules=rules)}
    assert retries["backend:80"] == 0, "the last rule's"
    assert ({**CART, "backend": "backend:80"}, 3) in series("meshproxy_route_retries_total", rules=rules)


def test_backends_are_there_before_their_first_request() -> None:
    parents = {(labels["parent"], labels["backend"]) for labels, _ in series("meshproxy_route_requests_total")}
    assert parents == {
        (f"Service/{CLUSTER}", "backend:80"),
        (f"Service/{CLUSTER}", "gone:80"),
        ("Gateway/team/edge:8000", "default/backend:80"),
    }
    assert not series("meshproxy_route_request_duration_seconds_count")


def test_what_has_no_rule() -> None:
    rules = {RuleKey(CLUSTER, "", ""): make_counts(missing=3), RuleKey("", CLUSTER, ""): make_counts(ok=1)}
    nobody = {"parent": f"Service/{CLUSTER}", "route": "", "rule": "", "backend": ""}
    counts = by_code("meshproxy_route_requests_total", nobody, rules=rules)
    assert (counts["4xx"], counts["2xx"]) == (3, 1), "both are of the same port"


def test_what_a_rule_answers_itself() -> None:
    rules = {RuleKey(CLUSTER, "default/shop/cart", ""): make_counts(missing=2)}
    assert by_code("meshproxy_route_requests_total", {**CART, "backend": ""}, rules=rules)["4xx"] == 2


def test_the_histogram_is_cumulative_and_over_all_backends() -> None:
    rules = {
        RuleKey(CLUSTER, "default/shop/cart", "backend:80"): make_counts(ok=2),
        RuleKey(CLUSTER, "default/shop/cart", "gone:80"): make_counts(failed=1),
    }
    name = "meshproxy_route_request_duration_seconds"
    buckets = {labels.pop("le"): (labels, value) for labels, value in series(f"{name}_bucket", rules=rules)}
    assert list(buckets) == [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
    assert [value for _, value in buckets.values()] == [0, 0, 0, *([3] * (len(BOUNDS) - 2))]
    assert buckets["+Inf"][0] == CART
    assert series(f"{name}_count", rules=rules) == [(CART, 3)]
    assert series(f"{name}_sum", rules=rules) == [(CART, 0.012)]


def test_endpoints() -> None:
    requests = {(CLUSTER, str(ONE)): EndpointRequests(idle=4, requests=make_counts(ok=9, failed=1))}
    counts = by_code("meshproxy_endpoint_requests_total", OF_ONE, endpoint_requests=requests)
    assert (counts["2xx"], counts["5xx"]) == (9, 1)
    assert series("meshproxy_endpoint_idle_connections", endpoint_requests=requests) == [(OF_ONE, 4)]
    count = series("meshproxy_endpoint_request_duration_seconds_count", endpoint_requests=requests)
    assert count == [(OF_ONE, 10)], "one without requests is left out: many endpoints have no HTTP"


def test_ejections() -> None:
    ejections = {(CLUSTER, str(ONE)): (0, False), (CLUSTER, str(TWO)): (3, True)}
    assert series("meshproxy_endpoint_ejections_total", ejections=ejections) == [(OF_ONE, 0), (OF_TWO, 3)]
    assert series("meshproxy_endpoint_ejected", ejections=ejections) == [(OF_ONE, 0), (OF_TWO, 1)]


def test_why_requests_failed_at_a_listener() -> None:
    flags = {("l", "UF"): 2, ("l", "RL"): 5, ("l", "UO"): 7, ("unknown", "UF"): 1}
    shown = series("meshproxy_listener_response_flags_total", flags=flags)
    assert shown == [({**LISTENER, "flag": flag}, flags["l", flag]) for flag in ("UF", "RL", "UO")]
    assert (LISTENER, 5) in series("meshproxy_listener_rate_limited_total", flags=flags)
    assert (LISTENER, 7) in series("meshproxy_listener_circuit_broken_total", flags=flags)
    assert (LISTENER, 0) in series("meshproxy_listener_rate_limited_total")


def test_the_access_log() -> None:
    assert series("meshproxy_access_log_lines_total", access_log=(3, 1)) == [({}, 3)]
    assert series("meshproxy_access_log_dropped_total", access_log=(3, 1)) == [({}, 1)]


def test_addresses_of_one_gateway_are_one_parent() -> None:
    rule = Rule(name="r", route="HTTPRoute/default/r", backends=(Backend(label="b:80"),))
    addresses = [SocketAddress("10.0.0.1", 80), SocketAddress("10.0.0.2", 80)]
    snapshot = Snapshot(
        version="v",
        listeners=tuple(
            Listener(
                name=str(each),
                address=each,
                transport=Transport.TCP,
                routes=str(each),
                protocol=Protocol.HTTP,
                service="Gateway/default/edge",
                role=ListenerRole.GATEWAY,
            )
            for each in addresses
        ),
        route_tables=tuple(
            RouteTable(name=str(each), virtual_hosts=(VirtualHost(name="default/edge/http", rules=(rule,)),))
            for each in addresses
        ),
    )
    rules = {RuleKey(str(each), "r", "b:80"): make_counts(ok=1) for each in addresses}
    wanted = {"parent": "Gateway/default/edge:80", "rule": "r"}
    assert by_code("meshproxy_route_requests_total", wanted, snapshot=snapshot, rules=rules)["2xx"] == 2


def test_the_number_of_series_is_the_configuration_s() -> None:
    """Whatever clients do: a series for each code, bucket and flag at the most."""
    rules = {RuleKey(GATEWAY, "no such rule", "x"): make_counts(ok=1), RuleKey("gone", "", ""): make_counts(ok=1)}
    assert len(series("meshproxy_route_requests_total", rules=rules)) == 4 * len(CODES)
