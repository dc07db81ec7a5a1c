"""What is over is free at once, by its reference count: the collector is told to look at it never again."""

from __future__ import annotations

import asyncio

import pytest

from meshproxy.snapshot.model import Protocol
from meshproxy.snapshot.routes import Backend, Filters, Mirror
from tests.support.freed import alive, hang_up, no_collector, until_alone
from tests.support.http import HTTPPlane, Received, rule
from tests.unit.dataplane.http.conftest import MakeOrigin

__all__ = ["no_collector"]
pytestmark = pytest.mark.usefixtures("no_collector")


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.AUTO])
async def test_connections(plane: HTTPPlane, make_origin: MakeOrigin, protocol: Protocol) -> None:
    plane.route(rule(), origins=(await make_origin(),), protocol=protocol)
    before = alive()
    for fields in ((), (b"Connection: close",)):
        client = await plane.connect()
        assert (await client.get(b"/", *fields)).status == 200
        await hang_up(plane, client)
    await until_alone(plane, before)


async def test_requests_that_nobody_waits_for(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    arrived = asyncio.Event()

    async def never(_: Received) -> bytes | None:
        arrived.set()
        await asyncio.Event().wait()
        return None

    plane.route(rule(request_timeout=30.0), origins=(await make_origin(never),))
    before = alive()
    client = await plane.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 3\r\n\r\nabc")
    await arrived.wait()
    await hang_up(plane, client)
    await until_alone(plane, before)


async def test_mirrors(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    mirrored = Filters(mirrors=(Mirror(cluster="c1"),))
    origins = (await make_origin(), await make_origin())
    plane.route(rule(filters=mirrored, backends=(Backend(cluster="c0"),)), origins=origins)
    before = alive()
    client = await plane.connect()
    assert (await client.get()).status == 200
    async with asyncio.timeout(5):
        while not origins[1].requests:
            await asyncio.sleep(0.001)
    await hang_up(plane, client)
    await until_alone(plane, before)


async def test_tunnels(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    plane.route(rule(), origins=(origin,))
    before = alive()
    client = await plane.connect()
    response = await client.get(b"/", b"Connection: upgrade", b"Upgrade: websocket")
    assert response.status == 101
    await hang_up(plane, client)
    await until_alone(plane, before)


async def test_connections_that_are_not_http(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    plane.route(origins=(await make_origin(None),), protocol=Protocol.AUTO)
    before = alive()
    client = await plane.connect()
    await client.send(b"\x00\x01 is no HTTP\r\n\r\n")
    assert await client.reader.read() == b""
    await hang_up(plane, client)
    await until_alone(plane, before)
