"""What people call a caller."""

from __future__ import annotations

import pytest

from meshproxy.admin.live.names import Names
from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.model import Assignment, Cluster, Endpoint, Snapshot, WorkloadView


def workload(name: str, *addresses: str, namespace: str = "shop") -> WorkloadView:
    return WorkloadView(namespace=namespace, name=name, addresses=addresses)


def names() -> Names:
    hosts = ("10.0.0.9", "10.0.0.3", "10.0.0.1", "10.0.0.8")
    endpoints = tuple(Endpoint(address=SocketAddress(host, 80)) for host in hosts)
    return Names(
        Snapshot(
            version="v",
            workloads=(
                workload("web-1", "10.0.0.1", "fd00:0::0001", "127.0.0.1"),
                workload("api-1", "10.0.0.2", "127.0.1.1"),
                workload("db-1", "10.0.0.2", "10.0.0.3", "not-resolved.example.com"),
                workload("db-2", "10.0.0.3"),
            ),
            clusters=(Cluster(name="c", service="shop/legacy"), Cluster(name="d", service="shop/old")),
            assignments=(
                Assignment(cluster="c", endpoints=endpoints),
                Assignment(cluster="d", endpoints=endpoints[3:]),
            ),
        )
    )


@pytest.mark.parametrize(
    ("caller", "name", "secure"),
    [
        ("spiffe://mesh.local/ns/shop/sa/web", "shop/web", "mTLS"),
        ("spiffe://11-22.consul/ns/default/dc/dc1/svc/web", "default/web", "mTLS"),
        ("spiffe://mesh.local/something/else", "mesh.local/something/else", "mTLS"),
        ("spiffe://mesh.local/ns/sho…", "mesh.local/ns/sho…", "mTLS"),
        ("DNS=client.example.com", "client.example.com", "mTLS"),
        ("URI=urn:uuid:1", "urn:uuid:1", "mTLS"),
        ("Subject=CN=portal,O=Partner", "CN=portal,O=Partner", "mTLS"),
        ("10.0.0.1", "shop/web-1", ""),
        ("::ffff:10.0.0.1", "shop/web-1", ""),
        ("fd00::1%eth0", "shop/web-1", ""),
        ("10.0.0.2", "10.0.0.2", ""),
        ("10.0.0.9", "shop/legacy", ""),
        ("10.0.0.3", "shop/legacy", ""),
        ("10.0.0.8", "10.0.0.8", ""),
        ("192.0.2.7", "192.0.2.7", ""),
        ("127.0.0.1", "this machine", ""),
        ("::1", "this machine", ""),
        ("127.0.1.1", "shop/api-1", ""),
        ("127.0.1.2", "this machine", ""),
        ("", "", ""),
    ],
)
def test_every_kind(caller: str, name: str, secure: str) -> None:
    """An identity, else the Workload or else the Service whose address it is alone, else the address."""
    who = names().who(caller)
    assert (who.name, who.secure) == (name, secure)


def test_addresses_of_one_workload_are_one_caller_and_no_identity_is() -> None:
    known = names()
    assert known.who("10.0.0.1") == known.who("fd00::1")
    one, other = (f"spiffe://{domain}/ns/shop/sa/web" for domain in ("a", "b"))
    assert known.who(one).id != known.who(other).id
