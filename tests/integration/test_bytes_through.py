"""What happens to the bytes of a connection: half-close, back-pressure, PROXY protocol."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import BACKENDS, free_address, free_host
from tests.integration.backends import Backend, make_backends
from tests.integration.clients import PATIENCE, Client, shares
from tests.integration.conditions import wait_until
from tests.integration.manifests import make_policy, make_service, make_workload
from tests.integration.proxy_process import ProxyProcess

V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


async def _start(proxy: ProxyProcess, address: SocketAddress, backend: Backend, **policy: Any) -> None:
    documents = [make_service(address), make_workload(backend.address, backend.name)]
    proxy.configure(*documents, *([make_policy(**policy)] if policy else []))
    await proxy.start()


async def test_a_client_may_finish_sending_and_still_read(proxy: ProxyProcess, address: SocketAddress) -> None:
    async with Backend("echo") as backend:
        await _start(proxy, address, backend)
        async with await Client.connect(address) as client:
            client.writer.write(b"last words")
            client.writer.write_eof()
            assert await client.ended() == b"last words"


async def test_a_large_transfer_arrives_whole_in_both_directions(proxy: ProxyProcess, address: SocketAddress) -> None:
    data = os.urandom(16 << 20)
    async with Backend("echo") as backend:
        await _start(proxy, address, backend)
        async with await Client.connect(address) as client, asyncio.TaskGroup() as group, asyncio.timeout(30):
            group.create_task(_send(client, data), name="send")
            digest = hashlib.sha256()
            left = len(data)
            while left:
                part = await client.reader.read(1 << 18)
                assert part
                left -= len(part)
                digest.update(part)
    assert digest.digest() == hashlib.sha256(data).digest()


async def _send(client: Client, data: bytes) -> None:
    client.writer.write(data)
    await client.writer.drain()


async def test_a_slow_reader_stops_the_writer(proxy: ProxyProcess, address: SocketAddress) -> None:
    """The client never reads what the echo sends back: buffers fill, and the proxy's memory stays bounded."""
    async with Backend("echo") as backend:
        await _start(proxy, address, backend)
        async with await Client.connect(address) as client:
            sent = await _send_until_stuck(client)
            assert sent < 64 << 20, "kernel buffers and the proxy's own, not everything"
            assert await shares(address, 5) == {"echo": 5}
            client.writer.transport.abort()
        await wait_until(lambda: backend.connections == 0, "both sides are closed")


async def _send_until_stuck(client: Client) -> int:
    part, sent = bytes(1 << 20), 0
    while sent < 256 << 20:
        client.writer.write(part)
        try:
            async with asyncio.timeout(1):
                await client.writer.drain()
        except TimeoutError:
            break
        sent += len(part)
    return sent


async def test_a_reset_reaches_the_other_side(proxy: ProxyProcess, address: SocketAddress) -> None:
    async with Backend("echo") as backend:
        await _start(proxy, address, backend)
        client = await Client.connect(address)
        await backend.stop()
        try:
            assert await client.ended() == b""
        except ConnectionResetError:
            pass  # as the backend's own client would see it
        client.writer.transport.abort()


# -- PROXY protocol ------------------------------------------------------------------


@pytest.mark.parametrize("version", ["V1", "V2"])
async def test_the_backend_learns_who_the_client_is(proxy: ProxyProcess, address: SocketAddress, version: str) -> None:
    source = free_host()
    async with Backend("echo", silent=True) as backend:
        await _start(proxy, address, backend, proxyProtocol={"send": version})
        reader, writer = await asyncio.open_connection(address.host, address.port, local_addr=(source, 0))
        port = writer.get_extra_info("sockname")[1]
        async with Client(reader, writer, ""), asyncio.timeout(PATIENCE):
            if version == "V1":
                expected = f"PROXY TCP4 {source} {address.host} {port} {address.port}\r\n".encode()
                assert await reader.readexactly(len(expected)) == expected
            else:
                header = await reader.readexactly(28)
                assert header[:12] == V2_SIGNATURE
                assert header[24:26] == port.to_bytes(2, "big")


async def test_a_header_is_required_where_the_policy_says_so(proxy: ProxyProcess, address: SocketAddress) -> None:
    """The header's client address decides, here by source hash, and only the payload is forwarded."""
    backends = make_backends(3)
    async with backends[0], backends[1], backends[2]:
        proxy.configure(
            make_service(address),
            *(make_workload(each.address, each.name) for each in backends),
            make_policy(proxyProtocol={"accept": True}, loadBalancing={"algorithm": "SourceHash"}),
        )
        await proxy.start()
        names = {client: {await _named(address, client) for _ in range(3)} for client in range(1, 25)}
    assert all(len(each) == 1 for each in names.values())
    assert len(set().union(*names.values())) == 3


async def _named(address: SocketAddress, client: int) -> str:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    async with Client(reader, writer, "") as connection, asyncio.timeout(PATIENCE):
        writer.write(f"PROXY TCP4 192.0.2.{client} 198.51.100.1 50000 80\r\nhello".encode())
        name = (await reader.readline()).decode().strip()
        assert await reader.readexactly(5) == b"hello"
        assert connection.writer is writer
    return name


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 nonsense\r\n", V2_SIGNATURE + b"\xff\xff\xff\xff", b"\x00" * 600],
    ids=["no header", "broken v1", "broken v2", "zeros"],
)
async def test_garbage_for_a_header_is_reset(proxy: ProxyProcess, address: SocketAddress, garbage: bytes) -> None:
    async with Backend("echo") as backend:
        await _start(proxy, address, backend, proxyProtocol={"accept": True})
        reader, writer = await asyncio.open_connection(address.host, address.port)
        async with Client(reader, writer, "") as client:
            writer.write(garbage)
            try:
                assert await client.ended() == b""
            except ConnectionResetError:
                pass
        assert backend.accepted == 0
        assert await _named(address, 1) == "echo"


async def test_an_endpoint_that_never_answers_is_left_for_another(proxy: ProxyProcess, address: SocketAddress) -> None:
    """A full accept queue drops SYNs, as a host that is gone does."""
    deaf = free_address(BACKENDS)
    with _full_listener(deaf):
        async with Backend("alive") as backend:
            proxy.configure(
                make_service(address),
                make_workload(backend.address, backend.name),
                make_workload(deaf, "deaf"),
                make_policy(connections={"connectTimeout": "300ms"}),
            )
            await proxy.start()
            assert await shares(address, 6) == {"alive": 6}


@contextmanager
def _full_listener(address: SocketAddress) -> Iterator[None]:
    """Listen at `address` and accept nothing, the queue being full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind((address.host, address.port))
        listening.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((address.host, address.port))
        yield
