"""What a snapshot says to a question, as literal records."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from meshproxy.dns import names
from meshproxy.dns.zone import Local, Zone
from tests.support.dns import MANIFESTS, make_zone

ZONE = make_zone()


def answer(name: str, kind: str = "A", zone: Zone = ZONE) -> Local:
    found = zone.answer(names.labels_of(name), kind)
    assert found is not None
    return found


def records(name: str, kind: str = "A", zone: Zone = ZONE) -> list[str]:
    return [" ".join(each) for each in answer(name, kind, zone).records]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("web", "A", ["web. A 127.96.0.10"]),
        ("web.default", "A", ["web.default. A 127.96.0.10"]),
        ("web.default.svc", "A", ["web.default.svc. A 127.96.0.10"]),
        ("web.default.svc.cluster.local", "A", ["web.default.svc.cluster.local. A 127.96.0.10"]),
        ("WEB.Default.SVC.cluster.LOCAL", "A", ["web.default.svc.cluster.local. A 127.96.0.10"]),
        ("both.shop", "A", ["both.shop. A 127.96.0.11"]),
        ("both.shop", "AAAA", ["both.shop. AAAA fd00:96::11"]),
        ("both.shop", "ANY", ["both.shop. A 127.96.0.11", "both.shop. AAAA fd00:96::11"]),
        ("db.shop.svc.cluster.local", "A", [f"db.shop.svc.cluster.local. A 10.0.0.{n}" for n in (1, 2)]),
        ("db-0.db.shop.svc.cluster.local", "A", ["db-0.db.shop.svc.cluster.local. A 10.0.0.1"]),
        ("10-0-0-2.db.shop.svc", "A", ["10-0-0-2.db.shop.svc. A 10.0.0.2"]),
        ("db-0.db.shop", "A", ["db-0.db.shop. A 10.0.0.1"]),
        ("dual.shop", "A", ["dual.shop. A 10.0.1.1"]),
        ("dual.shop", "AAAA", ["dual.shop. AAAA fd00::1"]),
        ("fd00--1.dual.shop.svc.cluster.local", "AAAA", ["fd00--1.dual.shop.svc.cluster.local. AAAA fd00::1"]),
        ("portless", "A", ["portless. A 10.0.2.1"]),
        ("one.portless.default.svc", "A", ["one.portless.default.svc. A 10.0.2.1"]),
        ("unready", "A", ["unready. A 10.0.3.1"]),
        ("_http._tcp.web", "SRV", ["_http._tcp.web. SRV 0 100 80 web.default.svc.cluster.local."]),
        (
            "_dns._udp.web.default.svc",
            "SRV",
            ["_dns._udp.web.default.svc. SRV 0 100 53 web.default.svc.cluster.local."],
        ),
        (
            "_pg._tcp.db.shop.svc.cluster.local",
            "SRV",
            [
                "_pg._tcp.db.shop.svc.cluster.local. SRV 0 30 5432 db-0.db.shop.svc.cluster.local.",
                "_pg._tcp.db.shop.svc.cluster.local. SRV 0 100 5432 10-0-0-2.db.shop.svc.cluster.local.",
            ],
        ),
        (
            "web",
            "SRV",
            [f"web. SRV 0 100 {port} web.default.svc.cluster.local." for port in (80, 53)],
        ),
        ("both.shop", "SRV", ["both.shop. SRV 0 100 80 both.shop.svc.cluster.local."]),
        (
            "db.shop",
            "SRV",
            [
                "db.shop. SRV 0 30 5432 db-0.db.shop.svc.cluster.local.",
                "db.shop. SRV 0 100 5432 10-0-0-2.db.shop.svc.cluster.local.",
            ],
        ),
        ("ext", "CNAME", ["ext. CNAME example.com."]),
        ("ext", "A", ["ext. CNAME example.com."]),
        ("10.0.96.127.in-addr.arpa", "PTR", ["10.0.96.127.in-addr.arpa. PTR web.default.svc.cluster.local."]),
        ("1.0.0.10.in-addr.arpa", "PTR", ["1.0.0.10.in-addr.arpa. PTR db-0.db.shop.svc.cluster.local."]),
        ("dns-version.cluster.local", "TXT", ["dns-version.cluster.local. TXT 1.1.0"]),
    ],
)
def test_records(name: str, kind: str, expected: list[str]) -> None:
    assert records(name, kind) == expected


def test_reverse_names_of_ipv6() -> None:
    (found,) = records(ip_address("fd00:96::11").reverse_pointer, "PTR")
    assert found.endswith(" PTR both.shop.svc.cluster.local.")


def test_additional_records_of_srv() -> None:
    found = answer("_pg._tcp.db.shop.svc.cluster.local", "SRV")
    assert [" ".join(each) for each in found.additional] == [
        "db-0.db.shop.svc.cluster.local. A 10.0.0.1",
        "10-0-0-2.db.shop.svc.cluster.local. A 10.0.0.2",
    ]


@pytest.mark.parametrize(
    ("name", "kind", "origin", "reason"),
    [
        ("web", "AAAA", "web.", "no IPv6 address"),
        ("web", "MX", "web.", "it has no MX record"),
        ("portless", "SRV", "portless.", "it has no SRV record"),
        ("web.default.svc", "AAAA", "svc.", "no IPv6 address"),
        ("empty.default.svc.cluster.local", "A", "cluster.local.", "0 of 0 endpoints"),
        ("_tcp.web.default.svc.cluster.local", "A", "cluster.local.", "ask _http._tcp.web.default.svc.cluster.local"),
        ("_http._tcp.web.default.svc.cluster.local", "A", "cluster.local.", "port http"),
        ("shop.svc.cluster.local", "A", "cluster.local.", "names a namespace"),
        ("svc.cluster.local", "A", "cluster.local.", "the domain"),
        ("cluster.local", "A", "cluster.local.", "the domain"),
        ("shop.svc", "A", "svc.", "names a namespace"),
        ("db-0.db.shop.svc", "AAAA", "svc.", "no IPv6 address"),
        ("10.0.96.127.in-addr.arpa", "A", "10.0.96.127.in-addr.arpa.", "belongs to Service default/web"),
    ],
)
def test_no_data(name: str, kind: str, origin: str, reason: str) -> None:
    found = answer(name, kind)
    assert found.exists
    assert not found.records
    assert names.text_of(found.origin) == origin
    assert reason in found.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wbe.default.svc.cluster.local", "no Service wbe in namespace default"),
        ("web.nowhere.svc.cluster.local", "no Service web in namespace nowhere"),
        ("web.nowhere.svc", "no Service web in namespace nowhere"),
        ("nowhere.svc.cluster.local", "no Service in namespace nowhere"),
        ("www.cluster.local", "only names that end in svc"),
        ("_https._tcp.web.default.svc.cluster.local", "_http._tcp, _dns._udp"),
        ("_http._udp.web.default.svc.cluster.local", "no such port"),
        ("_http._http._tcp.web.default.svc.cluster.local", "no such port"),
        ("_80._tcp.both.shop.svc.cluster.local", "(none)"),
        ("db-9.db.shop.svc.cluster.local", "no endpoint db-9"),
        ("10-0-0-1.db.shop.svc.cluster.local", "no endpoint"),
        ("10-0-0-3.db.shop.svc.cluster.local", "no endpoint"),
        ("x.db-0.db.shop.svc.cluster.local", "no endpoint"),
        ("w1.web.default.svc.cluster.local", "not headless"),
        ("x.ext.default.svc.cluster.local", "not headless"),
    ],
)
def test_names_that_are_not_there(name: str, reason: str) -> None:
    found = answer(name)
    assert not found.exists
    assert not found.records
    assert reason in found.reason


@pytest.mark.parametrize(
    "name",
    [
        "example.com",
        "wbe",
        "web.nowhere",
        "db-9.db.shop",
        "_https._tcp.web",
        "local",
        "svc",
        "com.local",
        "9.9.9.9.in-addr.arpa",
        "300.0.0.10.in-addr.arpa",
        "0.0.10.in-addr.arpa",
        "x" + ".0" * 31 + ".ip6.arpa",
        "",
    ],
)
def test_names_that_are_not_ours(name: str) -> None:
    assert ZONE.answer(names.labels_of(name), "A") is None


def test_short_names_are_of_the_proxys_namespace() -> None:
    zone = make_zone(MANIFESTS.replace("metadata: {name: p}", "metadata: {name: p, namespace: shop}"))
    assert records("both", zone=zone) == ["both. A 127.96.0.11"]
    assert zone.answer(("web",), "A") is None


def test_a_service_and_a_namespace_with_odd_names() -> None:
    text = """
apiVersion: v1
kind: Service
metadata: {name: svc, namespace: svc}
spec: {clusterIP: 127.96.0.9, ports: [{port: 1}]}
"""
    zone = make_zone(text)
    for name in ("svc.svc", "svc.svc.svc", "svc.svc.svc.cluster.local"):
        assert records(name, zone=zone) == [f"{name}. A 127.96.0.9"]


class Health:
    """Endpoints that are not usable."""

    def __init__(self, *sick: str) -> None:
        self.sick = set(sick)

    def usable(self, cluster: str, endpoint_id: str) -> bool:
        return endpoint_id not in self.sick


def test_an_unhealthy_endpoint_leaves() -> None:
    health = Health()
    zone = make_zone(usable=health.usable)
    health.sick = {"10.0.0.1:5432"}
    assert records("db.shop", zone=zone) == ["db.shop. A 10.0.0.2"]
    assert len(records("_pg._tcp.db.shop", "SRV", zone=zone)) == 1
    assert not answer("db-0.db.shop.svc", zone=zone).exists
    assert "1 of 2 endpoints" in answer("db.shop", zone=zone).reason


def test_all_are_used_when_none_is_healthy() -> None:
    zone = make_zone(usable=Health("10.0.0.1:5432", "10.0.0.2:5432").usable)
    assert len(records("db.shop", zone=zone)) == 2


def test_none_is_used_where_the_policy_forbids_panic() -> None:
    policy = """
---
apiVersion: meshproxy.dev/v1
kind: TrafficPolicy
metadata: {name: db, namespace: shop}
spec:
  targetRefs: [{kind: Service, name: db}]
  loadBalancing: {whenNoneHealthy: Refuse}
"""
    zone = make_zone(MANIFESTS + policy, usable=Health("10.0.0.1:5432", "10.0.0.2:5432").usable)
    found = answer("db.shop", zone=zone)
    assert found.exists
    assert not found.records


def test_an_endpoint_must_be_healthy_on_every_port() -> None:
    text = MANIFESTS.replace("{name: pg, port: 5432}", "{name: pg, port: 5432}, {name: web, port: 80}")
    zone = make_zone(text, usable=Health("10.0.0.1:80").usable)
    assert records("db.shop", zone=zone) == ["db.shop. A 10.0.0.2"]
    assert len(records("_pg._tcp.db.shop", "SRV", zone=zone)) == 2


def test_what_changes_nothing_is_known() -> None:
    assert make_zone().says_the_same_as(ZONE)
    assert make_zone(
        MANIFESTS.replace("clusterIP: 127.96.0.10", "externalIPs: []\n  clusterIP: 127.96.0.10")
    ).says_the_same_as(ZONE)
    assert not make_zone(MANIFESTS.replace("10.0.0.2", "10.0.0.9")).says_the_same_as(ZONE)
    assert not make_zone(MANIFESTS.replace("Example.COM", "example.org")).says_the_same_as(ZONE)
