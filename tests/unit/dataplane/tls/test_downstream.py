"""TLS with clients: what is inside passes as if it had come in clear."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from random import Random

import pytest

from meshproxy.dataplane.http.tracing import Tracer
from meshproxy.snapshot.model import FilterChain, Protocol
from meshproxy.snapshot.tls import ClientCertificates, ServerTLS
from meshproxy.snapshot.tracing import Tracing
from tests.support.access import decoded
from tests.support.dataplane import MakeBackend
from tests.support.tls import EDGE, TLSPlane, material
from tests.unit.dataplane.tls.conftest import MakeOrigin


async def test_a_request_and_its_response(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.terminate(origin.endpoint)
    client = await plane.secure()
    for _ in range(3):
        assert (await client.get()).body == b"ok"
    assert origin.requests[0].field(b"X-Forwarded-Proto") == b"https"
    assert origin.connections == 1
    assert plane.handshakes() == {"full": 1}


async def test_what_is_recorded_of_a_request_says_that_it_came_over_tls(
    plane: TLSPlane, make_origin: MakeOrigin
) -> None:
    plane.terminate((await make_origin()).endpoint)
    plane.plane.http.tracer = Tracer(Tracing(sampling=1), Random(1))
    await (await plane.secure()).get()
    (traces,) = plane.plane.take_traces()
    recent = plane.plane.take_recent_records()
    assert recent is not None
    assert [record.scheme for record in decoded(traces).records] == ["https"]
    assert [record.scheme for record in recent.records] == ["https"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_versions(plane: TLSPlane, make_origin: MakeOrigin, version: ssl.TLSVersion) -> None:
    origin = await make_origin()
    plane.terminate(origin.endpoint)
    context = plane.client_context()
    context.minimum_version = context.maximum_version = version
    assert (await (await plane.secure("s", context)).get()).status == 200


async def test_a_session_is_resumed(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.terminate(origin.endpoint)
    context = plane.client_context()
    session = None
    for expected in ("full", "resumed"):
        with_socket = await asyncio.to_thread(_ask_once, plane.address, context, session)
        session = with_socket
        assert plane.handshakes()[expected] == 1


async def test_a_client_whose_uri_is_no_identity(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    """At an edge a certificate may say what it likes: what is no SPIFFE id identifies nobody, and harms nobody."""
    plane.put(material("clients", None, plane.ca.bundle))
    asking = ServerTLS(certificates=(EDGE,), trust="clients", client_certificates=ClientCertificates.REQUIRED)
    origin = await make_origin()
    plane.terminate(origin.endpoint, asking)
    client = await plane.secure("s", plane.client_context(plane.ca.issue("spiffe://Example.ORG/ns/a/sa/b")))
    assert (await client.get()).status == 200
    assert b";URI=spiffe://Example.ORG/ns/a/sa/b" in (origin.requests[0].field(b"X-Forwarded-Client-Cert") or b"")


async def test_a_session_does_not_outlive_a_clients_certificate(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    """Who is resumed is not verified by OpenSSL again."""
    plane.put(material("clients", None, plane.ca.bundle))
    asking = ServerTLS(certificates=(EDGE,), trust="clients", client_certificates=ClientCertificates.REQUIRED)
    plane.terminate((await make_origin()).endpoint, asking)
    context = plane.client_context(plane.ca.issue(dns=("client",)))
    session = await asyncio.to_thread(_ask_once, plane.address, context, None)
    plane.plane.http.wall += 7200
    with contextlib.suppress(OSError):
        await asyncio.to_thread(_ask_once, plane.address, context, session)
    assert plane.handshakes() == {"full": 1, "expired": 1}


def _ask_once(address: tuple[str, int], context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSession:
    import socket

    with context.wrap_socket(socket.create_connection(address), server_hostname="s", session=session) as secure:
        secure.sendall(b"GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")
        while secure.recv(4096):
            pass
        assert secure.session is not None
        return secure.session


async def test_large_bodies_both_ways(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    body = bytes(range(256)) * 12_000
    origin = await make_origin(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    plane.terminate(origin.endpoint)
    client = await plane.secure()
    for _ in range(2):
        head = b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n" % len(body)
        response = await client.ask(head + body)
        assert response.body == body
    assert [request.body for request in origin.requests] == [body, body]


async def test_a_slow_reader_pauses_the_sender(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    body = bytes(8_000_000)
    origin = await make_origin(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    plane.terminate(origin.endpoint)
    client = await plane.secure()
    await client.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n")
    await asyncio.sleep(0)
    assert (await client.read()).body == body


async def test_bytes_that_are_not_http(plane: TLSPlane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    plane.terminate(backend.endpoint, protocol=Protocol.TCP)
    client = await plane.secure()
    data = bytes(range(256)) * 4_000
    await client.send(data)
    assert await client.reader.readexactly(len(data)) == data


@pytest.mark.parametrize(
    ("name", "chain"),
    [("a.org", b"exact"), ("x.a.org", b"wild"), ("y.x.a.org", b"wild"), ("b.org", b"rest"), (None, b"rest")],
)
async def test_the_server_name_says_which_chain(
    plane: TLSPlane, make_origin: MakeOrigin, name: str | None, chain: bytes
) -> None:
    names = {b"exact": "a.org", b"wild": "*.a.org", b"rest": ""}
    origins = {
        each: await make_origin(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(each), each))
        for each in names
    }
    from meshproxy.snapshot.model import Cluster

    plane.serve(
        *(
            FilterChain(
                name=each.decode(), server_names=(server_name,), tls=ServerTLS(certificates=(EDGE,)),
                cluster=each.decode(), protocol=Protocol.HTTP,
            )
            for each, server_name in names.items()
        ),
        clusters={each.decode(): Cluster(name=each.decode(), service="default/s") for each in names},
        endpoints={each.decode(): origin.endpoint for each, origin in origins.items()},
    )  # fmt: skip
    context = plane.client_context()
    client = await plane.secure(name, context)
    assert (await client.get()).body == chain
