"""TLS with endpoints: in the mesh by SPIFFE id, elsewhere by name."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any

import msgspec
import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.model import Endpoint, Protocol
from meshproxy.snapshot.tls import UpstreamTLS
from tests.support.certificates import TestCA, service_account
from tests.support.http import Last, Origin
from tests.support.tls import TLSPlane, identity, material
from tests.unit.dataplane.tls.conftest import MakeOrigin

MESH_TLS = UpstreamTLS(
    server_name="outbound_.{port}_._.s.default.svc.cluster.local",
    mesh=True,
    service_accounts=("default/s",),
    certificate="identity",
    trust="identity",
    alpn=("http/1.1",),
)


def in_mesh(plane: TLSPlane, origin: Origin, tls: UpstreamTLS = MESH_TLS, **cluster: Any) -> None:
    """Plain clients, and `origin` behind its mesh port."""
    port = origin.endpoint.address.port
    endpoint = type(origin.endpoint)(address=origin.endpoint.address, mesh_port=port)
    plane.apply(endpoint, listener={"protocol": Protocol.HTTP}, tls=tls, **cluster)


async def test_an_endpoint_in_the_mesh(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    names: list[str | None] = []
    context = plane.server_context(service_account("s"), ask=True)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    origin = await make_origin(tls=context)
    plane.put(identity(plane.ca, "client"))
    in_mesh(plane, origin)
    for _ in range(2):
        client = await plane.connect()
        for _ in range(2):
            assert (await client.get()).body == b"ok"
    assert origin.connections == 1
    assert names == [f"outbound_.{origin.endpoint.address.port}_._.s.default.svc.cluster.local"]
    assert plane.handshakes("upstream") == {"full": 1}


async def test_sessions_are_resumed(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    answer = Last(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    async def hang_up(_request: object) -> bytes:
        return answer

    origin = await make_origin(hang_up, tls=plane.server_context(service_account("s"), ask=True))
    plane.put(identity(plane.ca, "client"))
    in_mesh(plane, origin)
    client = await plane.connect()
    for _ in range(3):
        assert (await client.get()).body == b"ok"
    assert plane.handshakes("upstream") == {"full": 1, "resumed": 2}


async def test_a_revocation_list_is_asked_for_the_next_request(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    """A connection that is kept busy must not keep an endpoint in that has been revoked."""
    issued = plane.ca.issue(service_account("s"))
    context = plane.server_context()
    context.load_cert_chain(*issued.write(plane.directory, "s"))
    origin = await make_origin(tls=context)
    own = identity(plane.ca, "client")
    plane.put(own)
    in_mesh(plane, origin, connect_retries=0)
    client = await plane.connect()
    for lists, status in ((plane.ca.revocation_lists(), 200), (plane.ca.revocation_lists(issued), 503)):
        assert (await client.get()).status == 200
        plane.put(msgspec.structs.replace(own, crl=lists))
        assert (await client.get()).status == status
    assert plane.handshakes("upstream") == {"full": 2, "revoked": 1}


@pytest.mark.parametrize(
    ("uris", "bad", "reason"),
    [
        ((service_account("other"),), {}, "wrong_identity"),
        (("spiffe://elsewhere/ns/default/sa/s",), {}, "wrong_trust_domain"),
        ((service_account("s"), service_account("t")), {}, "several_uris"),
        ((service_account("s"),), {"starts_in": -7200, "lasts": -3600}, "expired"),
        ((service_account("s"),), {"starts_in": 3600, "lasts": 7200}, "not_yet_valid"),
        ((), {}, "no_spiffe_id"),
    ],
)
async def test_an_endpoint_that_is_not_who_it_should_be(
    plane: TLSPlane, make_origin: MakeOrigin, uris: tuple[str, ...], bad: dict[str, float], reason: str
) -> None:
    context = plane.server_context()
    context.load_cert_chain(*plane.ca.issue(*uris, **bad).write(plane.directory, "bad"))  # type: ignore[arg-type]
    origin = await make_origin(tls=context)
    plane.put(identity(plane.ca, "client"))
    in_mesh(plane, origin, connect_retries=0)
    client = await plane.connect()
    assert (await client.get()).status == 503
    assert plane.handshakes("upstream") == {reason: 1}
    assert not origin.requests


async def test_an_endpoint_of_another_ca(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(tls=plane.server_context(service_account("s"), ask=True))
    plane.put(identity(TestCA("another"), "client"))
    in_mesh(plane, origin, connect_retries=0)
    assert (await (await plane.connect()).get()).status == 503
    assert plane.handshakes("upstream") == {"unknown_ca": 1}


async def _refuse_once(listening: socket.socket, context: ssl.SSLContext) -> None:
    """A server that says why it refuses its client, which asyncio's does not."""
    loop = asyncio.get_running_loop()
    client, _ = await loop.sock_accept(listening)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context.wrap_bio(incoming, outgoing, server_side=True)
    with client, contextlib.suppress(ConnectionError):
        while data := await loop.sock_recv(client, 65536):
            incoming.write(data)
            with contextlib.suppress(ssl.SSLError):
                secure.do_handshake()
            await loop.sock_sendall(client, outgoing.read())


@pytest.mark.parametrize(("shows", "reason"), [(False, "peer_wants_certificate"), (True, "peer_refuses_ca")])
async def test_an_endpoint_that_refuses_us(plane: TLSPlane, shows: bool, reason: str) -> None:
    """With TLS 1.3 it says so when the handshake is over for us."""
    plane.put(material("ca", None, plane.ca.bundle), material("own", TestCA("another").issue(dns=("us",))))
    tls = UpstreamTLS(server_name="db", trust="ca", certificate="own" if shows else "")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        endpoint = Endpoint(address=SocketAddress(*listening.getsockname()))
        plane.apply(endpoint, listener={"protocol": Protocol.HTTP}, tls=tls, connect_retries=0)
        async with asyncio.TaskGroup() as group:
            group.create_task(_refuse_once(listening, plane.server_context(dns=("db",), ask=True)))
            assert (await (await plane.connect()).get()).status == 502
    assert plane.handshakes("upstream") == {"full": 1, reason: 1}


async def test_an_endpoint_that_speaks_no_tls(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.put(identity(plane.ca, "client"))
    in_mesh(plane, origin, connect_retries=0, connect_timeout=0.1)
    assert (await (await plane.connect()).get()).status == 503
    assert sum(plane.handshakes("upstream").values()) == 1


async def test_without_an_identity_nothing_goes_out(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(tls=plane.server_context(service_account("s")))
    in_mesh(plane, origin, connect_retries=0)
    client = await plane.connect()
    assert (await client.get()).status == 503
    plane.put(identity(plane.ca, "client"))
    assert (await client.get()).status == 200
    assert plane.handshakes("upstream") == {"no_material": 1, "full": 1}


async def test_a_new_ca_is_believed_and_a_removed_one_is_not_at_once(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    """Nothing of the old roots is left, neither sessions nor connections that were idle."""
    origin = await make_origin(tls=plane.server_context(service_account("s")))
    plane.put(identity(plane.ca, "client"))
    in_mesh(plane, origin, connect_retries=0)
    client = await plane.connect()
    assert (await client.get()).status == 200
    before, other = identity(plane.ca, "client"), TestCA("next")
    plane.put(msgspec.structs.replace(before, trust_bundle=before.trust_bundle + other.bundle))
    assert (await client.get()).status == 200
    plane.put(identity(other, "client"))
    assert (await client.get()).status == 503
    assert plane.handshakes("upstream") == {"full": 1, "unknown_ca": 1}


@pytest.mark.parametrize(("name", "connections"), [("client", 1), ("another", 2)])
async def test_a_connection_is_of_one_identity(
    plane: TLSPlane, make_origin: MakeOrigin, name: str, connections: int
) -> None:
    """A certificate that was renewed goes on with it; somebody else's request does not."""
    origin = await make_origin(tls=plane.server_context(service_account("s"), ask=True))
    plane.put(identity(plane.ca, "client"))
    in_mesh(plane, origin)
    client = await plane.connect()
    assert (await client.get()).status == 200
    plane.put(identity(plane.ca, name))
    assert (await client.get()).status == 200
    assert origin.connections == connections


@pytest.mark.parametrize(
    ("dns", "server_name", "alternatives", "status"),
    [
        (("db.example.com",), "db.example.com", (), 200),
        (("*.example.com",), "db.example.com", (), 200),
        (("db.example.com",), "cache.example.com", (), 503),
        (("db.example.com",), "anything", ("db.example.com",), 200),
        (("db.example.com",), "db.example.com", ("cache.example.com",), 503),
    ],
)
async def test_an_ordinary_server_is_known_by_its_name(
    plane: TLSPlane,
    make_origin: MakeOrigin,
    dns: tuple[str, ...],
    server_name: str,
    alternatives: tuple[str, ...],
    status: int,
) -> None:
    origin = await make_origin(tls=plane.server_context(dns=dns))
    plane.put(material("ca", None, plane.ca.bundle))
    tls = UpstreamTLS(server_name=server_name, alternative_names=alternatives, trust="ca")
    plane.apply(origin.endpoint, listener={"protocol": Protocol.HTTP}, tls=tls, connect_retries=0)
    assert (await (await plane.connect()).get()).status == status
    assert plane.handshakes("upstream") == {("full" if status == 200 else "wrong_name"): 1}


async def test_bytes_both_legs(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    """A TCP listener: what an endpoint says first arrives, and so does the end."""
    origin = await make_origin(tls=plane.server_context(dns=("db",)))
    plane.put(material("ca", None, plane.ca.bundle))
    plane.terminate(origin.endpoint, protocol=Protocol.TCP, tls=UpstreamTLS(server_name="db", trust="ca"))
    client = await plane.secure()
    assert (await client.get()).body == b"ok"
