"""Whom a connection calls as: what AuthorizationPolicies ask."""

from __future__ import annotations

import msgspec
import pytest

from meshproxy.snapshot.authorization import Authorization, AuthorizationRule, Source
from meshproxy.snapshot.model import EMPTY, FilterChain, ListenerRole, Protocol, Snapshot
from meshproxy.snapshot.tls import ClientCertificates
from tests.support.certificates import service_account
from tests.support.tls import MESH, TLSPlane, identity
from tests.unit.dataplane.tls.conftest import MakeOrigin

WEB_ONLY = Authorization(
    name="a",
    allow=(AuthorizationRule(policy="p", sources=(Source(service_accounts=("default/web",)),)),),
    restricted=True,
)


def _apply(plane: TLSPlane, snapshot: Snapshot) -> None:
    """The whole of it, so that every reference is known."""
    plane.snapshot = EMPTY
    plane.apply_snapshot(snapshot)


def _be_mesh_port(plane: TLSPlane, protocol: Protocol) -> None:
    """Its one listener ends mutual TLS, and has an authorization for its one local service."""
    (listener,) = plane.snapshot.listeners
    chain = FilterChain(
        name="s", server_names=("s",), tls=MESH, cluster="c0", protocol=protocol, authorization=WEB_ONLY.name
    )
    listeners = (msgspec.structs.replace(listener, chains=(chain,), authorization=""),)
    _apply(plane, msgspec.structs.replace(plane.snapshot, listeners=listeners))


@pytest.mark.parametrize(
    ("role", "own", "status"),
    [
        (ListenerRole.CLUSTER_IP, "web", 200),
        (ListenerRole.CLUSTER_IP, "cart", 403),
        (ListenerRole.CLUSTER_IP, "", 403),
        (ListenerRole.NODE_PORT, "web", 403),
    ],
)
async def test_a_program_calls_as_the_proxy_that_it_is_beside(
    plane: TLSPlane, make_origin: MakeOrigin, role: ListenerRole, own: str, status: int
) -> None:
    if own:
        plane.put(identity(plane.ca, own))
    plane.route(origins=(await make_origin(),), authorization=WEB_ONLY)
    (listener,) = plane.snapshot.listeners
    listeners = (msgspec.structs.replace(listener, role=role),)
    _apply(plane, msgspec.structs.replace(plane.snapshot, listeners=listeners))
    assert (await (await plane.connect()).get()).status == status


@pytest.mark.parametrize(("name", "status"), [("web", 200), ("cart", 403)])
async def test_a_peer_calls_as_its_certificate_says(
    plane: TLSPlane, make_origin: MakeOrigin, name: str, status: int
) -> None:
    plane.put(identity(plane.ca, "s"))
    plane.route(origins=(await make_origin(),), authorization=WEB_ONLY)
    _be_mesh_port(plane, Protocol.HTTP)
    client = await plane.secure("s", plane.client_context(plane.ca.issue(service_account(name))))
    assert (await client.get()).status == status


async def test_a_peers_connection_ends_where_the_authorization_says_so(
    plane: TLSPlane, make_origin: MakeOrigin
) -> None:
    """The mesh port has an authorization for each local service, and none of its own."""
    plane.put(identity(plane.ca, "s"))
    plane.route(origins=(await make_origin(),), authorization=WEB_ONLY)
    _be_mesh_port(plane, Protocol.TCP)
    client = await plane.secure("s", plane.client_context(plane.ca.issue(service_account("web"))))
    assert (await client.get()).status == 200
    nobody = Authorization(name=WEB_ONLY.name, restricted=True, closes_connections=True)
    plane.apply_snapshot(msgspec.structs.replace(plane.snapshot, authorizations=(nobody,)))
    assert await client.is_closed()


async def test_a_peer_is_counted_by_its_identity(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    """Whatever connections it has; a client of the edge by the name in its certificate; others by their address."""
    plane.put(identity(plane.ca, "s"))
    asking = msgspec.structs.replace(MESH, client_certificates=ClientCertificates.OPTIONAL, spiffe=False)
    plane.terminate((await make_origin()).endpoint, asking)
    web = plane.ca.issue(service_account("web"))
    for issued in (web, web, plane.ca.issue(dns=("client.example.com",)), None):
        await (await plane.secure("s", plane.client_context(issued))).get()
    counted = {each.caller: sum(each.requests.statuses) for each in plane.plane.http.callers.take_changed()}
    assert counted == {service_account("web"): 2, "DNS=client.example.com": 1, "127.0.0.1": 1}
