"""Authorization where it is enforced: requests, connections, datagrams, and those that are open already."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.authorization import ANY_OPERATION, Authorization, AuthorizationRule, Operation, Source
from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.messages import DecisionCount
from meshproxy.snapshot.model import Endpoint, Protocol
from meshproxy.snapshot.routes import CORS, Filters
from tests.support.http import HTTPPlane, Origin, rule
from tests.unit.dataplane.http.conftest import MakeOrigin, make_origin, plane

__all__ = ["make_origin", "plane"]

HERE = Source(ip_blocks=("127.0.0.0/8",))


def denying(source: Source, operation: Operation = ANY_OPERATION, *, closes: bool = False) -> Authorization:
    denied = AuthorizationRule(policy="deny", sources=(source,), operations=(operation,))
    return Authorization(name="a", deny=(denied,), closes_connections=closes)


async def test_a_request_is_refused_and_the_connection_goes_on(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    plane.route(origins=(await make_origin(),), authorization=denying(HERE, Operation(paths=("/admin*",))))
    client = await plane.connect()
    assert (await client.get(b"/a")).status == 200
    refused = await client.get(b"/admin/x")
    assert (refused.status, refused.body) == (403, b"a policy forbids this request\n")
    assert (await client.get(b"/%61dmin")).status == 403
    assert (await client.get(b"/b")).status == 200
    assert plane.plane.authorizers.take_changed() == (DecisionCount("a", "deny", "denied", 2),)
    assert plane.plane.http.flags.totals == {("l", "RBAC"): 2}


async def test_a_change_holds_for_the_next_request(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """On connections that are open, too, and whether a policy is new or another."""
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    assert (await client.get()).status == 200
    plane.route(origins=(origin,), authorization=denying(HERE))
    assert (await client.get()).status == 403
    plane.route(origins=(origin,), authorization=denying(Source(ip_blocks=("10.0.0.0/8",))))
    assert (await client.get()).status == 200
    plane.route(origins=(origin,))
    assert (await client.get()).status == 200


async def test_behind_a_trusted_proxy_its_client_counts(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    trusting = HTTPListener(trusted_proxies=("127.0.0.0/8",))
    bad = denying(Source(ip_blocks=("192.0.2.0/24",)))
    plane.route(origins=(await make_origin(),), http=trusting, authorization=bad)
    client = await plane.connect()
    assert (await client.get(b"/", b"X-Forwarded-For: 192.0.2.7")).status == 403
    assert (await client.get(b"/", b"X-Forwarded-For: 192.0.3.7")).status == 200


async def test_a_rule_has_its_own(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """As those of Gateways have, whose listeners share an address."""
    plane.route(rule(authorization="a"), origins=(await make_origin(),), authorization=denying(HERE))
    assert (await (await plane.connect()).get()).status == 403


async def test_a_preflight_is_answered_to_everybody(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """Without that, no page could send the request that would be allowed."""
    cors = CORS(allow_origins=("https://a.example",), allow_methods=("PUT",))
    plane.route(rule(filters=Filters(cors=cors)), origins=(await make_origin(),), authorization=denying(HERE))
    client = await plane.connect()
    asked = b"%s / HTTP/1.1\r\nHost: s\r\nOrigin: https://a.example\r\n%s\r\n"
    answer = await client.ask(asked % (b"OPTIONS", b"Access-Control-Request-Method: PUT\r\n"))
    assert (answer.status, answer.fields[b"access-control-allow-methods"]) == (204, b"PUT")
    for refused in (asked % (b"OPTIONS", b""), asked % (b"GET", b"Access-Control-Request-Method: PUT\r\n")):
        assert (await client.ask(refused)).status == 403


@pytest.fixture
async def echo() -> AsyncIterator[Origin]:
    """An endpoint that speaks no HTTP."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    origin = Origin()
    origin.endpoint = Endpoint(address=SocketAddress("127.0.0.1", server.sockets[0].getsockname()[1]))
    yield origin
    server.close()


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.AUTO])
async def test_a_connection_is_reset(plane: HTTPPlane, echo: Origin, protocol: Protocol) -> None:
    plane.route(origins=(echo,), protocol=protocol, authorization=denying(HERE, Operation(methods=("GET",))))
    for first in (b"hello", b""):
        with contextlib.suppress(ConnectionError):
            client = await plane.connect()
            await client.send(first)
            assert await client.is_closed()
    assert plane.plane._listeners["l"].counters.denied == 2


async def test_http_is_recognised_where_connections_are_refused(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """What nobody may do without a request somebody may do with one."""
    grants = AuthorizationRule(policy="p", operations=(Operation(methods=("GET",)),))
    allow = Authorization(name="a", allow=(grants,), restricted=True)
    plane.route(origins=(await make_origin(),), protocol=Protocol.AUTO, authorization=allow)
    client = await plane.connect()
    assert (await client.get()).status == 200
    assert (await client.ask(b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n")).status == 403


@pytest.mark.parametrize("closes", [True, False])
async def test_connections_that_are_open_end_where_the_policy_says_so(
    plane: HTTPPlane, echo: Origin, closes: bool
) -> None:
    plane.route(origins=(echo,), protocol=Protocol.TCP, authorization=denying(Source(ip_blocks=("10.0.0.0/8",))))
    client = await plane.connect()
    await client.send(b"x")
    assert await client.reader.readexactly(1) == b"x"
    plane.route(origins=(echo,), protocol=Protocol.TCP, authorization=denying(HERE, closes=closes))
    if closes:
        assert await client.is_closed()
    else:
        await client.send(b"y")
        assert await client.reader.readexactly(1) == b"y"


async def test_what_audit_would_refuse_passes_and_is_counted(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    audit = AuthorizationRule(policy="p", sources=(HERE,))
    plane.route(origins=(await make_origin(),), authorization=Authorization(name="a", audit=(audit,)))
    assert (await (await plane.connect()).get()).status == 200
    assert plane.plane.authorizers.take_changed() == (DecisionCount("a", "p", "audited", 1),)
    assert plane.plane.authorizers.take_changed() == ()
