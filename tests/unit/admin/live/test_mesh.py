"""What the configuration connects."""

from __future__ import annotations

import msgspec

from meshproxy.admin.live.mesh import CLIENTS, Call, mesh_of
from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.model import (
    Assignment,
    Cluster,
    Endpoint,
    FilterChain,
    Listener,
    ListenerRole,
    Snapshot,
    Transport,
)
from meshproxy.snapshot.routes import Backend, RouteTable, Rule, VirtualHost
from meshproxy.snapshot.tls import IDENTITY, ServerTLS, UpstreamTLS
from meshproxy.telemetry.request_totals import RuleKey
from tests.support.view import CLUSTER, GATEWAY, make_snapshot

BACKEND = "default/backend"
EDGE = "Gateway/team/edge"
INBOUND = "inbound/default/web:8080"


def with_tls(snapshot: Snapshot, tls: UpstreamTLS, *mesh_ports: int | None) -> Snapshot:
    (cluster,), (assignment,) = snapshot.clusters, snapshot.assignments
    endpoints = (
        msgspec.structs.replace(each, mesh_port=port)
        for each, port in zip(assignment.endpoints, mesh_ports, strict=True)
    )
    return msgspec.structs.replace(
        snapshot,
        clusters=(msgspec.structs.replace(cluster, tls=tls),),
        assignments=(msgspec.structs.replace(assignment, endpoints=tuple(endpoints)),),
    )


def test_entries_services_and_endpoints() -> None:
    document = mesh_of(make_snapshot()).document
    assert [(each.id, each.addresses) for each in document.entries] == [(CLIENTS, ()), (EDGE, ("0.0.0.0:8000",))]
    backend, other = document.services
    assert (backend.id, backend.addresses, backend.ports) == (BACKEND, ("127.96.0.10",), ("80/TCP",))
    assert [(each.name, each.ready) for cluster in backend.clusters for each in cluster.endpoints] == [
        ("backend-1", True),
        ("backend-2", True),
        ("backend-3", False),
    ]
    assert (other.type, other.addresses, other.clusters) == ("ExternalName", ("example.com",), ())


def test_counts_of_rules_are_calls() -> None:
    mesh = mesh_of(make_snapshot())
    assert mesh.document.calls == (Call(CLIENTS, BACKEND), Call(EDGE, BACKEND))
    assert mesh.calls[RuleKey(CLUSTER, "default/shop/cart", "backend:80")] == (Call(CLIENTS, BACKEND),)
    assert mesh.calls[RuleKey(CLUSTER, "default/shop/cart", "gone:80")] == (Call(CLIENTS, BACKEND),), "it was called"
    assert mesh.calls[RuleKey(CLUSTER, "", "")] == (Call(CLIENTS, BACKEND),)
    assert mesh.calls[RuleKey(GATEWAY, "team/edge-route/0", "default/backend:80")] == (Call(EDGE, BACKEND),)
    assert mesh.calls[RuleKey(GATEWAY, "", "")] == (Call(EDGE, ""),), "nobody is behind what no rule matches"


def test_a_service_whose_routes_lead_to_another_calls_it() -> None:
    canary = Cluster(name="default/next:http", service="default/next", port_name="http")
    rule = Rule(
        name="split", route="HTTPRoute/default/split", backends=(Backend(cluster=canary.name, label="next:80"),)
    )
    snapshot = msgspec.structs.replace(
        make_snapshot(),
        clusters=(*make_snapshot().clusters, canary),
        assignments=(*make_snapshot().assignments, Assignment(cluster=canary.name)),
        route_tables=(RouteTable(name=CLUSTER, virtual_hosts=(VirtualHost(name=CLUSTER, rules=(rule,)),)),),
    )
    mesh = mesh_of(snapshot)
    assert mesh.calls[RuleKey(CLUSTER, "split", "next:80")] == (Call(CLIENTS, BACKEND), Call(BACKEND, "default/next"))


def test_mesh_tls_is_to_the_endpoints_that_have_it() -> None:
    tls = UpstreamTLS(server_name="x", mesh=True)
    service = mesh_of(with_tls(make_snapshot(), tls, 15443, None)).document.services[0]
    assert service.secure == "mTLS"
    assert [each.secure for each in service.clusters[0].endpoints] == [True, False]


def test_tls_without_a_certificate_of_ours_is_to_all_endpoints() -> None:
    service = mesh_of(with_tls(make_snapshot(), UpstreamTLS(server_name="x"), None, None)).document.services[0]
    assert service.secure == "TLS"
    assert [each.secure for each in service.clusters[0].endpoints] == [True, True]


def test_what_peers_reach_here_has_a_node_of_its_own() -> None:
    chain = FilterChain(name="web", server_names=("web",), tls=ServerTLS(certificates=(IDENTITY,)), cluster=INBOUND)
    snapshot = Snapshot(
        version="v",
        listeners=(
            Listener(
                name="inbound",
                address=SocketAddress("0.0.0.0", 15443),
                transport=Transport.TCP,
                service="Inbound",
                role=ListenerRole.INBOUND,
                chains=(chain,),
            ),
        ),
        clusters=(Cluster(name=INBOUND, service="default/web", port_name="inbound-8080"),),
        assignments=(
            Assignment(cluster=INBOUND, endpoints=(Endpoint(address=SocketAddress("127.0.0.1", 8080), name="web"),)),
        ),
    )
    mesh = mesh_of(snapshot)
    assert [(each.id, each.secure) for each in mesh.document.entries] == [("Inbound", "mTLS")]
    assert [(each.id, each.name, each.local, each.ports) for each in mesh.document.services] == [
        (INBOUND, "web", True, ("8080",))
    ]
    assert mesh.document.calls == (Call("Inbound", INBOUND),)
    assert mesh.calls[RuleKey("", INBOUND, "")] == (Call("Inbound", INBOUND),)


def test_nothing_is_connected_where_nothing_is() -> None:
    document = mesh_of(Snapshot(version="")).document
    assert (document.entries, document.services, document.calls) == ((), (), ())
