"""The DNS server's transports: many queries on a connection, idle and hostile clients, addresses."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from random import Random

import dns.message
import dns.rcode
import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.dns.front import Guests
from tests.integration.conditions import wait_until
from tests.support.dns import lines, make_wire
from tests.support.dns_server import Harness
from tests.support.dns_upstream import reply, upstream

# -- TCP ---------------------------------------------------------------------------------


async def test_many_queries_on_one_connection_a_byte_at_a_time(harness: Harness) -> None:
    harness.apply()
    wires = [make_wire(name) for name in ("web", "db.shop", "nope.default.svc", "web")]
    async with harness.connection() as client:
        for byte in b"".join(len(wire).to_bytes(2, "big") + wire for wire in wires):
            client.writer.write(bytes((byte,)))
            await client.writer.drain()
        client.writer.write_eof()
        assert [(await client.read())[:2] for _ in wires] == [wire[:2] for wire in wires]
        assert await client.ended()


async def test_a_slow_answer_does_not_keep_others_waiting(harness: Harness) -> None:
    async with upstream(reply("@ 60 IN A 192.0.2.1")) as server, AsyncExitStack() as stack:
        server.held = []
        harness.apply(upstreams=(server.address,), timeout=5.0)
        client = await stack.enter_async_context(harness.connection())
        slow, quick = make_wire("example.com"), make_wire("web")
        client.send(slow, quick)
        client.writer.write_eof()
        assert (await client.read())[:2] == quick[:2]
        await wait_until(lambda: server.names, "the upstream is asked")
        for each in server.held:
            each()
        assert (await client.read())[:2] == slow[:2]
        assert await client.ended()


async def test_a_connection_that_is_idle_is_closed(harness: Harness) -> None:
    harness.apply()
    async with harness.connection() as idle, harness.connection() as busy:
        idle.writer.write(b"\0")  # not a whole query
        await wait_until(lambda: len(harness.connections) == 2, "both are accepted")
        harness.clock.now += 9
        busy.send(make_wire("web"))
        await busy.read()
        harness.clock.now += 2
        harness.sweep()
        assert await idle.ended()
        assert len(harness.connections) == 1


async def test_one_connection_too_many_ends_the_one_that_was_idle_longest(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshproxy.dns.tcp.MAX_CONNECTIONS", 2)
    harness.apply()
    async with harness.connection() as first:
        await wait_until(lambda: harness.connections, "it is accepted")
        async with harness.connection():
            await wait_until(lambda: len(harness.connections) == 2, "it is accepted")
            await harness.ask("web", tcp=True)
            assert await first.ended()


@pytest.mark.parametrize("sent", [b"\xff\xff" + bytes(100), b"\x10\x01"])
async def test_a_query_that_is_too_long_ends_its_connection(harness: Harness, sent: bytes) -> None:
    harness.apply()
    async with harness.connection() as client:
        client.writer.write(sent)
        assert await client.ended()


async def test_a_client_that_does_not_read_is_not_read_from(harness: Harness) -> None:
    harness.apply()
    wire = make_wire("web.default.svc.cluster.local")
    async with harness.connection() as client:
        await wait_until(lambda: harness.connections, "it is accepted")
        (connection,) = harness.connections

        async def flood() -> None:
            while True:
                client.send(*[wire] * 1000)
                await client.writer.drain()

        flooding = asyncio.ensure_future(flood())  # noqa: TID251
        await wait_until(lambda: connection._full, "answers pile up")
        assert len(connection._buffer) < 1024 * 1024
        flooding.cancel()


# -- who may ask -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listens", "host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "10.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("::", "fe80::1%eth0", True),
        ("::", "fd00::1", True),
        ("0.0.0.0", "8.8.8.8", False),
        ("::", "2001:4860:4860::8888", False),
    ],
)
def test_who_may_ask(listens: str, host: str, expected: bool) -> None:
    guests = Guests(SocketAddress(listens, 53))
    assert (not guests.checks or guests.may_ask(host)) is expected


async def test_an_answer_leaves_from_the_address_that_was_asked(harness: Harness) -> None:
    asked = harness.address
    harness.apply(address=SocketAddress("0.0.0.0", asked.port))
    assert await harness.answers("web")  # the client is connected: it hears no other address
    assert await harness.answers("web")
    assert harness.cache_hits == 1


async def test_ipv6(harness: Harness) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        harness.apply(address=SocketAddress("::1", harness.address.port))
        client.connect(("::1", harness.address.port))
        client.send(make_wire("web"))
        async with asyncio.timeout(10):
            answer = await asyncio.get_running_loop().sock_recv(client, 512)
    assert lines(dns.message.from_wire(answer).answer) == ["web. 5 IN A 127.96.0.10"]


async def test_garbage_over_both(harness: Harness) -> None:
    harness.apply()
    random = Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(500):
            client.sendto(random.randbytes(random.randrange(120)), (harness.address.host, harness.address.port))
    async with harness.connection() as client:
        client.send(*(random.randbytes(random.randrange(60)) for _ in range(200)))
        assert await harness.answers("web")
        await harness.ask("web", tcp=True)
