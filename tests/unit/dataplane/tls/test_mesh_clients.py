"""Clients in the mesh: who comes in, who does not, and what the application is told of them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.model import Cluster, FilterChain, Protocol
from meshproxy.snapshot.tls import ClientCertificates, ServerTLS
from tests.support.certificates import Issued, TestCA, self_signed, service_account
from tests.support.http import HTTPClient, Origin
from tests.support.tls import MESH, TLSPlane, identity
from tests.unit.dataplane.tls.conftest import MakeOrigin

WEB = service_account("web")


def serve(plane: TLSPlane, origin: Origin, server: ServerTLS = MESH, **listener: Any) -> None:
    plane.put(identity(plane.ca, "s"))
    chain = FilterChain(name="s:80", server_names=("s",), tls=server, cluster="c", protocol=Protocol.HTTP)
    clusters = {"c": Cluster(name="c", service="default/s")}
    plane.serve(chain, clusters=clusters, endpoints={"c": origin.endpoint}, **listener)


async def is_refused(plane: TLSPlane, context: ssl.SSLContext, name: str = "s") -> bool:
    """With TLS 1.3 a client learns of it when it reads."""
    try:
        client = await plane.secure(name, context)
        await client.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n")
        return await client.reader.read(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


async def test_the_application_is_told_who_calls(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    serve(plane, origin)
    issued = plane.ca.issue(WEB)
    client = await plane.secure("s", plane.client_context(issued))
    await client.get(b"/", b"X-Forwarded-Client-Cert: URI=spiffe://mesh.local/ns/default/sa/boss")
    (request,) = origin.requests
    digest = sha256(issued.der).hexdigest()
    expected = f'By={service_account("s")};Hash={digest};Subject="";URI={WEB}'
    assert request.field(b"X-Forwarded-Client-Cert") == expected.encode()


@pytest.mark.parametrize("name", [b"X-Forwarded-Client-Cert", b"x_forwarded_client_cert", b"X_Forwarded-Client-Cert"])
@pytest.mark.parametrize("secure", [True, False])
async def test_a_client_cannot_say_who_it_is(
    plane: TLSPlane, make_origin: MakeOrigin, name: bytes, secure: bool
) -> None:
    """Nor by a name that WSGI takes for the same; whether it comes in clear, or at an edge without certificates."""
    origin = await make_origin()
    if secure:
        plane.terminate(origin.endpoint)
    else:
        plane.route(origins=(origin,))
    client = await (plane.secure() if secure else plane.connect())
    await client.get(b"/", name + b": URI=spiffe://mesh.local/ns/default/sa/boss")
    assert b"spiffe" not in origin.requests[0].head


async def test_what_a_trusted_proxy_says_of_its_client_is_extended(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    serve(plane, origin, http=HTTPListener(trusted_proxies=("127.0.0.0/8",)))
    client = await plane.secure("s", plane.client_context(plane.ca.issue(WEB)))
    told = b"URI=spiffe://mesh.local/ns/default/sa/a"
    await client.get(b"/", b"X-Forwarded-Client-Cert: " + told, b"X_Forwarded_Client_Cert: URI=spiffe://boss")
    assert b"boss" not in origin.requests[0].head
    field = origin.requests[0].field(b"X-Forwarded-Client-Cert") or b""
    assert field.startswith(b"URI=spiffe://mesh.local/ns/default/sa/a,By=")
    assert field.endswith(b";URI=" + WEB.encode())


def _bad(plane: TLSPlane, what: str) -> Issued | None:
    other = TestCA("another")
    ways: dict[str, Callable[[], Issued]] = {
        "unknown_ca": lambda: other.issue(WEB),
        "self_signed": lambda: self_signed(WEB),
        "expired": lambda: plane.ca.issue(WEB, starts_in=-7200, lasts=-3600),
        "not_yet_valid": lambda: plane.ca.issue(WEB, starts_in=3600, lasts=7200),
        "wrong_trust_domain": lambda: plane.ca.issue("spiffe://elsewhere/ns/default/sa/web"),
        "several_uris": lambda: plane.ca.issue(WEB, service_account("shop")),
        "no_spiffe_id": lambda: plane.ca.issue(dns=("web",)),
        "extended_key_usage": lambda: plane.ca.issue(WEB, usages=None),
        "is_a_ca": lambda: plane.ca.issue(WEB, is_ca=True),
    }
    return ways[what]() if what in ways else None


@pytest.mark.parametrize(
    "reason",
    [
        "no_certificate",
        "unknown_ca",
        "self_signed",
        "expired",
        "not_yet_valid",
        "wrong_trust_domain",
        "several_uris",
        "no_spiffe_id",
        "extended_key_usage",
        "is_a_ca",
    ],
)
async def test_who_does_not_come_in(plane: TLSPlane, make_origin: MakeOrigin, reason: str) -> None:
    origin = await make_origin()
    serve(plane, origin)
    assert await is_refused(plane, plane.client_context(_bad(plane, reason)))
    await plane.wait_until(lambda: sum(plane.handshakes().values()) == 1)
    assert plane.handshakes() == {reason: 1}
    assert not origin.requests


async def test_a_certificate_may_be_optional(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    optional = ServerTLS(
        certificates=("identity",), trust="identity", client_certificates=ClientCertificates.OPTIONAL, spiffe=True
    )
    serve(plane, origin, optional)
    assert (await (await plane.secure()).get()).status == 200
    assert (await (await plane.secure("s", plane.client_context(plane.ca.issue(WEB)))).get()).status == 200
    assert await is_refused(plane, plane.client_context(_bad(plane, "several_uris")))
    assert [b"Client-Cert" in request.head for request in origin.requests] == [False, True]


async def test_a_removed_ca_lets_nobody_in_at_once(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    """Not by a session of before either; who is in stays."""
    origin = await make_origin()
    serve(plane, origin)
    context = plane.client_context(plane.ca.issue(WEB))
    client = await plane.secure("s", context)
    assert (await client.get()).status == 200
    session = client.writer.get_extra_info("ssl_object").session
    assert session.has_ticket
    old, plane.ca = plane.ca, TestCA("next")
    plane.put(identity(plane.ca, "s"))
    assert (await client.get()).status == 200
    context.load_verify_locations(cadata=plane.ca.bundle)
    assert await is_refused(plane, context)
    assert plane.handshakes()["unknown_ca"] == 1
    assert old.bundle != plane.ca.bundle


async def test_an_unknown_server_name_is_refused(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    serve(plane, await make_origin())
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        await plane.secure("other", plane.client_context(plane.ca.issue(WEB)))
    assert plane.handshakes() == {"unknown_server_name": 1}


@pytest.mark.parametrize("permits_plain", [False, True])
async def test_plain_http(plane: TLSPlane, make_origin: MakeOrigin, permits_plain: bool) -> None:
    """Beside TLS where that is permitted; where not, a browser is told what to do."""
    origin = await make_origin()
    serve(plane, origin, permits_plain=permits_plain, cluster="c", protocol=Protocol.HTTP)
    client = await plane.connect()
    response = await client.get()
    assert response.status == (200 if permits_plain else 400)
    assert permits_plain or b"https" in response.body
    if permits_plain:
        assert (await (await plane.secure("s", plane.client_context(plane.ca.issue(WEB)))).get()).status == 200
    else:
        assert await client.is_closed()
        assert plane.handshakes() == {"not_tls": 1}


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\x16\x03\x01\x00\x05\x02\x00\x00\x00\x00", "malformed_hello"),
        (b"\x00" * 100, "not_tls"),
        (b"SSH-2.0-x\r\n", "not_tls"),
        (b"", "closed"),
    ],
)
async def test_garbage(plane: TLSPlane, make_origin: MakeOrigin, sent: bytes, reason: str) -> None:
    serve(plane, await make_origin())
    reader, writer = await asyncio.open_connection(*plane.address)
    client = HTTPClient(reader, writer)
    plane.clients.append(client)
    await client.send(sent)
    writer.write_eof()
    assert await client.is_closed()
    assert plane.handshakes() == {reason: 1}
    assert plane.stats()["l"]["active"] == 0
