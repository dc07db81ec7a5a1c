"""Authorization by filter chains: what passes through, what is open already, and whom a root no longer vouches for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from meshproxy.snapshot.authorization import Authorization, AuthorizationRule, Source
from meshproxy.snapshot.model import Cluster, Endpoint, FilterChain, Protocol
from meshproxy.snapshot.routes import Backend
from meshproxy.snapshot.tls import ServerTLS
from tests.support.certificates import TestCA, service_account
from tests.support.dataplane import MakeBackend
from tests.support.http import HTTPClient
from tests.support.tls import EDGE, MESH, TLSPlane, identity, material
from tests.unit.dataplane.tls.conftest import MakeOrigin

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"


def denying(account: str = "", block: str = "", *, closes: bool = True) -> Authorization:
    source = Source(service_accounts=(account,) if account else (), ip_blocks=(block,) if block else ())
    return Authorization(
        name="a", deny=(AuthorizationRule(policy="deny", sources=(source,)),), closes_connections=closes
    )


def serve(plane: TLSPlane, endpoint: Endpoint, authorization: Authorization, **chain: Any) -> None:
    """One chain, in the mesh unless `chain` says otherwise."""
    settings = {"tls": MESH, "cluster": "c", "protocol": Protocol.TCP, **chain}
    plane.serve(
        FilterChain(name="s", server_names=("s",), authorization=authorization.name, **settings),
        clusters={"c": Cluster(name="c", service="default/s")},
        endpoints={"c": endpoint},
        authorizations=(authorization,),
    )


async def as_web(plane: TLSPlane) -> HTTPClient:
    return await plane.secure("s", plane.client_context(plane.ca.issue(service_account("web"))))


async def is_open(client: HTTPClient) -> bool:
    """Whether what is sent comes back."""
    await client.send(b"x")
    try:
        return await client.reader.read(1) == b"x"
    except ConnectionError:
        return False


@pytest.mark.parametrize(("block", "passes"), [("10.0.0.0/8", True), ("127.0.0.0/8", False)])
async def test_what_passes_through_is_asked_who_calls(
    plane: TLSPlane, make_origin: MakeOrigin, block: str, passes: bool
) -> None:
    origin = await make_origin(tls=plane.server_context(dns=("s",)))
    serve(plane, origin.endpoint, denying(block=block), tls=None, cluster="", backends=(Backend(cluster="c"),))
    if passes:
        assert (await (await plane.secure()).get()).status == 200
        return
    with pytest.raises(ConnectionError):
        await plane.secure()
    assert plane.stats()["l"]["denied"] == 1


@pytest.mark.parametrize("closes", [True, False])
async def test_a_revoked_identity_loses_its_connection_where_the_policy_says_so(
    plane: TLSPlane, make_backend: MakeBackend, closes: bool
) -> None:
    backend = await make_backend()
    plane.put(identity(plane.ca, "s"))
    serve(plane, backend.endpoint, denying("default/other"))
    client = await as_web(plane)
    assert await is_open(client)
    serve(plane, backend.endpoint, denying("default/web", closes=closes))
    assert await is_open(client) is not closes
    assert not await is_open(await as_web(plane)), "nobody new comes in in any case"


@pytest.mark.parametrize("closes", [True, False])
async def test_a_tunnel_ends_where_the_policy_says_so(plane: TLSPlane, make_origin: MakeOrigin, closes: bool) -> None:
    async def switch(_request: object) -> bytes:
        return SWITCHED

    origin = await make_origin(switch)
    plane.put(identity(plane.ca, "s"))
    serve(plane, origin.endpoint, denying("default/other"), protocol=Protocol.HTTP)
    client = await as_web(plane)
    upgrade = b"GET / HTTP/1.1\r\nHost: s\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
    assert (await client.ask(upgrade)).status == 101
    serve(plane, origin.endpoint, denying("default/web", closes=closes), protocol=Protocol.HTTP)
    await plane.wait_until(lambda: plane.stats()["l"]["active"] == int(not closes))


def _other_root(plane: TLSPlane) -> None:
    plane.put(identity(TestCA("next"), "s"))


def _another_root_beside(plane: TLSPlane) -> None:
    now = plane.plane.tls.contexts.materials["identity"]
    plane.put(msgspec.structs.replace(now, trust_bundle=now.trust_bundle + TestCA("next").bundle))


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.HTTP])
@pytest.mark.parametrize(
    ("change", "closes", "stays"),
    [(_other_root, True, False), (_other_root, False, True), (_another_root_beside, True, True)],
)
async def test_who_may_be_of_a_removed_ca_goes_where_the_policy_says_so(
    plane: TLSPlane,
    make_backend: MakeBackend,
    make_origin: MakeOrigin,
    protocol: Protocol,
    change: Callable[[TLSPlane], None],
    closes: bool,
    stays: bool,
) -> None:
    plane.put(identity(plane.ca, "s"))
    is_http = protocol is Protocol.HTTP
    endpoint = (await make_origin()).endpoint if is_http else (await make_backend()).endpoint
    serve(plane, endpoint, denying("default/other", closes=closes), protocol=protocol)
    client = await as_web(plane)
    assert (await client.get()).status == 200 if is_http else await is_open(client)
    change(plane)
    if not stays:
        assert await client.is_closed()
    else:
        assert (await client.get()).status == 200 if is_http else await is_open(client)


async def test_a_client_without_a_host_belongs_to_nobody_elses_listener(
    plane: TLSPlane, make_origin: MakeOrigin
) -> None:
    """HTTP/1.0 names no host: it must not lead past what another listener asks of its clients."""
    origin = await make_origin()
    edge = {"cluster": "c", "protocol": Protocol.HTTP, "checks_hosts": True}
    plane.put(identity(plane.ca, "s"))
    chains = (
        FilterChain(name="open", server_names=("s",), tls=ServerTLS(certificates=(EDGE,)), **edge),  # type: ignore[arg-type]
        FilterChain(name="closed", server_names=("",), tls=MESH, **edge),  # type: ignore[arg-type]
    )
    plane.serve(*chains, clusters={"c": Cluster(name="c", service="default/s")}, endpoints={"c": origin.endpoint})
    client = await plane.secure()
    assert (await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).status == 421
    assert not origin.requests


async def test_a_host_that_got_a_listener_of_its_own_is_no_longer_served(
    plane: TLSPlane, make_origin: MakeOrigin
) -> None:
    """Not on connections that are open either: the other listener may ask more of its clients."""
    origin = await make_origin()
    wild = FilterChain(
        name="wild",
        server_names=("*.org",),
        tls=ServerTLS(certificates=(EDGE,)),
        cluster="c",
        protocol=Protocol.HTTP,
        checks_hosts=True,
    )
    own = msgspec.structs.replace(wild, name="own", server_names=("a.org",), tls=MESH)
    clusters, endpoints = {"c": Cluster(name="c", service="default/s")}, {"c": origin.endpoint}
    plane.serve(wild, clusters=clusters, endpoints=endpoints)
    client = await plane.secure("a.org")
    asked = b"GET / HTTP/1.1\r\nHost: a.org\r\n\r\n"
    assert (await client.ask(asked)).status == 200
    plane.serve(wild, own, clusters=clusters, endpoints=endpoints)
    assert (await client.ask(asked)).status == 421


@pytest.mark.parametrize(
    ("name", "expected"), [("a.org", "a.org"), ("x.b.org", "*.b.org"), ("other", "first.org"), (None, "first.org")]
)
async def test_of_several_certificates_a_client_gets_the_one_for_its_name(
    plane: TLSPlane, make_origin: MakeOrigin, name: str | None, expected: str
) -> None:
    """Gateway API: a listener may have several `certificateRefs`."""
    names = ("first.org", "a.org", "*.b.org")
    for each in names:
        plane.put(material(each, plane.ca.issue(dns=(each,))))
    plane.terminate((await make_origin()).endpoint, ServerTLS(certificates=(*names, "missing")))
    client = await plane.secure(name)
    assert client.writer.get_extra_info("peercert")["subjectAltName"] == (("DNS", expected),)
