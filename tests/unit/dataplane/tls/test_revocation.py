"""Revoked certificates are refused in handshakes, on both sides, from when a list says so."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from meshproxy.snapshot.tls import ClientCertificates, ServerTLS, UpstreamTLS
from tests.support.certificates import Issued, TestCA, service_account
from tests.support.tls import EDGE, MESH, TLSPlane, identity, material
from tests.unit.dataplane.tls.conftest import MakeOrigin
from tests.unit.dataplane.tls.test_upstream import MESH_TLS, in_mesh

CLIENTS = "clients"
ASKING = ServerTLS(certificates=(EDGE,), trust=CLIENTS, client_certificates=ClientCertificates.REQUIRED)


async def refused(plane: TLSPlane, issued: Issued) -> None:
    """With TLS 1.3 a client learns it with its first answer."""

    async def ask() -> None:
        await (await plane.secure("s", plane.client_context(issued))).get()

    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await ask()


@pytest.mark.parametrize("intermediate", [False, True])
async def test_a_client_that_was_revoked(plane: TLSPlane, make_origin: MakeOrigin, intermediate: bool) -> None:
    plane.terminate((await make_origin()).endpoint, ASKING)
    ca = TestCA("clients", intermediate=intermediate)
    good, bad = ca.issue(dns=("good",)), ca.issue(dns=("bad",))
    plane.put(material(CLIENTS, None, ca.bundle, crl=ca.revocation_lists()))
    for issued in (good, bad):
        assert (await (await plane.secure("s", plane.client_context(issued))).get()).status == 200
    plane.put(material(CLIENTS, None, ca.bundle, crl=ca.revocation_lists(bad)))
    assert (await (await plane.secure("s", plane.client_context(good))).get()).status == 200
    await refused(plane, bad)
    assert plane.handshakes() == {"full": 3, "revoked": 1}


CASES: dict[str, tuple[Callable[[TestCA], str], str]] = {
    "expired": (lambda ca: ca.revocation_lists(starts_in=-7200, lasts=-3600), "crl_expired"),
    "not yet": (lambda ca: ca.revocation_lists(starts_in=3600, lasts=7200), "no_crl"),
    "another CA's": (lambda _: TestCA("another").revocation_lists(), "no_crl"),
    "an impostor's": (lambda _: TestCA("clients").revocation_lists(), "no_crl"),
}


@pytest.mark.parametrize("case", CASES)
async def test_without_a_list_that_holds_nobody_is_believed(
    plane: TLSPlane, make_origin: MakeOrigin, case: str
) -> None:
    plane.terminate((await make_origin()).endpoint, ASKING)
    ca = TestCA("clients")
    make, reason = CASES[case]
    plane.put(material(CLIENTS, None, ca.bundle, crl=make(ca)))
    await refused(plane, ca.issue(dns=("good",)))
    assert plane.handshakes() == {reason: 1}


async def test_a_list_of_the_issuer_alone_is_not_enough(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    plane.terminate((await make_origin()).endpoint, ASKING)
    ca = TestCA("clients", intermediate=True)
    of_intermediate, end = ca.revocation_lists().split("-----END X509 CRL-----\n")[0], "-----END X509 CRL-----\n"
    plane.put(material(CLIENTS, None, ca.bundle, crl=of_intermediate + end))
    await refused(plane, ca.issue(dns=("good",)))
    assert plane.handshakes() == {"no_crl": 1}


async def test_a_session_of_before_is_not_resumed(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    plane.terminate((await make_origin()).endpoint, ASKING)
    ca = TestCA("clients")
    bad = ca.issue(dns=("bad",))
    context = plane.client_context(bad)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # the session is there after the handshake
    plane.put(material(CLIENTS, None, ca.bundle, crl=ca.revocation_lists()))
    client = await plane.secure("s", context)
    session = client.writer.get_extra_info("ssl_object").session
    plane.put(material(CLIENTS, None, ca.bundle, crl=ca.revocation_lists(bad)))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.to_thread(_resume, plane.address, context, session)
    assert plane.handshakes() == {"full": 1, "revoked": 1}
    assert (await client.get()).status == 200, "what is open stays open"


def _resume(address: tuple[str, int], context: ssl.SSLContext, session: ssl.SSLSession) -> None:
    import socket

    with (
        socket.create_connection(address) as plain,
        context.wrap_socket(plain, server_hostname="s", session=session) as secure,
    ):
        secure.recv(1)


async def test_a_peer_in_the_mesh_that_was_revoked(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    plane.terminate((await make_origin()).endpoint, MESH)
    bad = plane.ca.issue(service_account("bad"))
    plane.put(replace(identity(plane.ca, "s"), crl=plane.ca.revocation_lists(bad)))
    good = plane.ca.issue(service_account("good"))
    assert (await (await plane.secure("s", plane.client_context(good))).get()).status == 200
    await refused(plane, bad)
    assert plane.handshakes() == {"full": 1, "revoked": 1}


async def test_an_endpoint_that_was_revoked(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    bad = plane.ca.issue(service_account("s"), dns=("db.example.com",))
    context = plane.server_context()
    context.load_cert_chain(*bad.write(plane.directory, "bad"))
    origin = await make_origin(tls=context)
    lists = plane.ca.revocation_lists(bad)
    plane.put(replace(identity(plane.ca, "client"), crl=lists), material("db", None, plane.ca.bundle, crl=lists))
    simple = UpstreamTLS(server_name="db.example.com", trust="db")
    for count, tls in enumerate((MESH_TLS, simple), 1):
        in_mesh(plane, origin, tls, connect_retries=0)
        client = await plane.connect()
        assert (await client.get()).status == 503
        assert plane.handshakes("upstream") == {"revoked": count}
    assert not origin.requests
