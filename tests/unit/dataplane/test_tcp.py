"""Connections through a real data plane, to real servers."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.protocols import proxy_protocol
from meshproxy.snapshot.model import Algorithm, Endpoint, OutlierDetection
from tests.support.dataplane import MakeBackend, Plane, exchange, is_reset, wait_until


async def test_bytes_go_both_ways_and_a_half_close_is_passed_on(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint)
    assert await exchange(tcp, b"hello") == b"hello"


async def test_counts(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint)
    await exchange(tcp, b"x" * 1000)
    await exchange(tcp, b"y" * 500)
    await wait_until(lambda: tcp.plane.open_connections == 0)
    stats = tcp.stats()
    assert stats["l"]["accepted"] == 2
    endpoint = stats[backend.endpoint.id]
    assert (endpoint["active"], endpoint["connections"], endpoint["sent"], endpoint["received"]) == (0, 2, 1500, 1500)


async def test_a_large_transfer_arrives_whole(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint)
    data = bytes(range(256)) * 4096 * 8  # 8 MiB
    reader, writer = await asyncio.open_connection(*tcp.address)

    async def send() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        received = group.create_task(reader.read(-1))
    assert received.result() == data
    writer.close()
    await writer.wait_closed()


async def test_a_slow_reader_pauses_the_fast_writer(tcp: Plane, make_backend: MakeBackend) -> None:
    written = 0
    blocked = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.transport.set_write_buffer_limits(high=0)
        for _ in range(1024):
            writer.write(b"z" * 65536)
            written += 65536
            try:
                await asyncio.wait_for(writer.drain(), 0.3)
            except TimeoutError:
                blocked.set()
                await writer.drain()

    backend = await make_backend(flood)
    tcp.apply(backend.endpoint)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, tcp.address)
    async with asyncio.timeout(10):
        await blocked.wait()
    assert written < 1024 * 65536, "the proxy took everything although nobody read"
    total = 0
    async with asyncio.timeout(30):
        while data := await loop.sock_recv(client, 1 << 20):
            total += len(data)
    assert total == 1024 * 65536
    client.close()


async def test_an_endpoint_that_refuses_is_left_for_another(
    tcp: Plane, make_backend: MakeBackend, closed_endpoint: Endpoint
) -> None:
    backend = await make_backend()
    tcp.apply(closed_endpoint, backend.endpoint)
    for _ in range(10):
        assert await exchange(tcp, b"saved") == b"saved"
    stats = tcp.stats()
    assert stats[closed_endpoint.id]["connect_failures"] > 0
    assert stats[closed_endpoint.id]["connections"] == 0
    assert stats["l"]["refused"] == 0


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_every_algorithm_retries_elsewhere(
    tcp: Plane, make_backend: MakeBackend, closed_endpoint: Endpoint, algorithm: Algorithm
) -> None:
    backend = await make_backend()
    tcp.apply(closed_endpoint, backend.endpoint, algorithm=algorithm)
    for _ in range(6):
        assert await exchange(tcp, b"saved") == b"saved"


async def test_an_endpoint_that_does_not_answer_is_left_after_the_connect_timeout(
    tcp: Plane, make_backend: MakeBackend, silent_endpoint: Endpoint
) -> None:
    backend = await make_backend()
    tcp.apply(silent_endpoint, backend.endpoint, connect_timeout=0.1)
    for _ in range(2):
        assert await exchange(tcp, b"saved") == b"saved"
    assert tcp.stats()[silent_endpoint.id]["connect_timeouts"] >= 1


async def test_without_endpoints_a_client_is_reset_at_once(tcp: Plane) -> None:
    tcp.apply()
    assert await is_reset(tcp)
    assert tcp.stats()["l"]["refused"] == 1


async def test_when_every_endpoint_refuses_the_client_is_reset(tcp: Plane, closed_endpoint: Endpoint) -> None:
    tcp.apply(closed_endpoint)
    assert await is_reset(tcp)
    await wait_until(lambda: tcp.plane.open_connections == 0)


async def test_weight_zero_means_no_traffic(tcp: Plane, make_backend: MakeBackend) -> None:
    used, unused = await make_backend(), await make_backend(weight=0)
    tcp.apply(used.endpoint, unused.endpoint)
    for _ in range(6):
        await exchange(tcp, b"x")
    assert (used.connections, unused.connections) == (6, 0)


async def test_a_worse_priority_is_used_only_without_a_better_one(tcp: Plane, make_backend: MakeBackend) -> None:
    near, far = await make_backend(), await make_backend(priority=1)
    tcp.apply(near.endpoint, far.endpoint)
    await exchange(tcp, b"x")
    cluster = tcp.plane._clusters["c"]
    cluster.set_health(near.endpoint.id, False)
    await exchange(tcp, b"x")
    cluster.set_health(near.endpoint.id, True)
    await exchange(tcp, b"x")
    assert (near.connections, far.connections) == (2, 1)


async def test_when_none_is_healthy_all_are_used_or_none_as_the_policy_says(
    tcp: Plane, make_backend: MakeBackend
) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint)
    cluster = tcp.plane._clusters["c"]
    cluster.set_health(backend.endpoint.id, False)
    assert tcp.is_panicking()
    assert await exchange(tcp, b"x") == b"x"
    tcp.apply(backend.endpoint, use_all_when_none_healthy=False)
    assert not tcp.is_panicking()
    assert await is_reset(tcp)
    cluster.set_health(backend.endpoint.id, True)
    assert await exchange(tcp, b"x") == b"x"


async def test_an_idle_connection_is_closed(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint, idle_timeout=0.2)
    reader, writer = await asyncio.open_connection(*tcp.address)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_beyond_the_limit_connections_wait_and_then_are_turned_away(
    tcp: Plane, make_backend: MakeBackend
) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint, max_connections=1, max_pending=1, pending_timeout=5.0)
    first_reader, first = await asyncio.open_connection(*tcp.address)
    first.write(b"1")
    assert await first_reader.readexactly(1) == b"1"
    second_reader, second = await asyncio.open_connection(*tcp.address)
    second.write(b"2")
    await wait_until(lambda: tcp.stats()["l"]["accepted"] == 2)
    assert await is_reset(tcp)
    assert tcp.stats()["l"]["overflowed"] == 1
    first.close()
    await first.wait_closed()
    async with asyncio.timeout(10):
        assert await second_reader.readexactly(1) == b"2"
    second.close()
    await second.wait_closed()


async def test_waiting_ends_after_the_pending_timeout(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint, max_connections=1, pending_timeout=0.05)
    first_reader, first = await asyncio.open_connection(*tcp.address)
    first.write(b"1")
    await first_reader.readexactly(1)
    assert await is_reset(tcp)
    first.close()
    await first.wait_closed()


async def test_a_reset_is_passed_on(tcp: Plane, make_backend: MakeBackend) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    backend = await make_backend(reset)
    tcp.apply(backend.endpoint)
    reader, writer = await asyncio.open_connection(*tcp.address)
    writer.write(b"x")
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
    writer.close()
    await wait_until(lambda: tcp.plane.open_connections == 0)


async def test_an_answer_before_the_request_ends_reaches_the_client(tcp: Plane, make_backend: MakeBackend) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"too large")
        await writer.drain()

    backend = await make_backend(refuse)
    tcp.apply(backend.endpoint)
    reader, writer = await asyncio.open_connection(*tcp.address)
    async with asyncio.timeout(10):
        assert await reader.readexactly(9) == b"too large"
    writer.close()
    await wait_until(lambda: tcp.plane.open_connections == 0)


async def test_failures_in_a_row_are_reported(tcp: Plane, closed_endpoint: Endpoint) -> None:
    outlier = OutlierDetection(
        consecutive_failures=3, interval=1, base_ejection_time=1, max_ejection_time=1, max_ejection_percent=100
    )
    tcp.apply(closed_endpoint, outlier_detection=outlier)
    for _ in range(3):
        assert await is_reset(tcp)
    assert [(each.endpoint, each.failures, each.reason) for each in tcp.failing] == [
        (closed_endpoint.id, 3, "connections failed in a row: connect: connection refused")
    ]


async def test_affinity_keeps_a_client_on_its_endpoint(tcp: Plane, make_backend: MakeBackend) -> None:
    backends = [await make_backend() for _ in range(3)]
    tcp.apply(*[each.endpoint for each in backends], algorithm=Algorithm.SOURCE_HASH, affinity_timeout=60.0)
    for _ in range(6):
        await exchange(tcp, b"x")
    assert sorted(each.connections for each in backends) == [0, 0, 6]
    learned = tcp.plane.take_affinity()
    assert learned is not None
    ((cluster, client, _, seconds_left),) = learned.entries
    assert (cluster, client) == ("c", "127.0.0.1")
    assert 0 < seconds_left <= 60
    assert tcp.plane.take_affinity() is None
    tcp.apply(*[each.endpoint for each in backends])  # affinity switched off while running
    for _ in range(6):
        await exchange(tcp, b"x")
    assert sorted(each.connections for each in backends)[:2] == [2, 2]


async def test_sources_outside_the_ranges_are_denied(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint, listener={"allowed_sources": ("10.0.0.0/8",)})
    assert await is_reset(tcp)
    assert tcp.stats()["l"]["denied"] == 1
    tcp.apply(backend.endpoint, listener={"allowed_sources": ("10.0.0.0/8", "127.0.0.0/8")})
    assert await exchange(tcp, b"x") == b"x"


async def test_a_full_descriptor_budget_lets_clients_wait(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.reactor.budget.limit = 2
    tcp.apply(backend.endpoint)
    reader, writer = await asyncio.open_connection(*tcp.address)
    writer.write(b"1")
    assert await reader.readexactly(1) == b"1"
    waiting_reader, waiting = await asyncio.open_connection(*tcp.address)
    waiting.write(b"2")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting_reader.readexactly(1), 0.1)
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(10):
        assert await waiting_reader.readexactly(1) == b"2"
    waiting.close()
    await waiting.wait_closed()


class TestProxyProtocol:
    """PROXY headers in and out."""

    async def test_a_header_is_sent_to_the_endpoint(self, tcp: Plane, make_backend: MakeBackend) -> None:
        for version in (1, 2):
            backend = await make_backend()
            tcp.apply(backend.endpoint, send_proxy_protocol=version)
            answer = await exchange(tcp, b"payload")
            header = proxy_protocol.parse(answer)
            assert header is not None
            assert header.source is not None
            assert header.source.host == "127.0.0.1"
            assert header.destination == SocketAddress(*tcp.address)
            assert answer[header.size :] == b"payload"

    async def test_of_an_ipv6_client(self, tcp: Plane, make_backend: MakeBackend) -> None:
        backend = await make_backend()
        tcp.address = ("::1", tcp.address[1])
        tcp.apply(backend.endpoint, send_proxy_protocol=2, affinity_timeout=60.0, algorithm=Algorithm.SOURCE_HASH)
        header = proxy_protocol.parse(await exchange(tcp, b"payload"))
        assert header is not None
        assert header.source is not None
        assert (header.source.host, header.destination) == ("::1", SocketAddress(*tcp.address))

    @pytest.mark.parametrize("pieces", [1, 1000])
    async def test_a_header_is_required_and_stripped(self, tcp: Plane, make_backend: MakeBackend, pieces: int) -> None:
        backend = await make_backend()
        tcp.apply(
            backend.endpoint,
            listener={"accept_proxy_protocol": True},
            affinity_timeout=60.0,
            algorithm=Algorithm.SOURCE_HASH,
        )
        header = proxy_protocol.encode_v2(SocketAddress("192.0.2.7", 1234), SocketAddress("192.0.2.8", 80))
        data = header + b"payload"
        size = len(data) if pieces == 1 else 1
        reader, writer = await asyncio.open_connection(*tcp.address)
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
        writer.write_eof()
        assert await reader.read() == b"payload"
        writer.close()
        await writer.wait_closed()
        learned = tcp.plane.take_affinity()
        assert learned is not None
        assert learned.entries[0][1] == "192.0.2.7"

    @pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 x\r\n", b"\0" * 20, b"PROX"])
    async def test_garbage_is_refused(self, tcp: Plane, make_backend: MakeBackend, garbage: bytes) -> None:
        backend = await make_backend()
        tcp.apply(backend.endpoint, listener={"accept_proxy_protocol": True})
        if garbage == b"PROX":
            with pytest.raises(ConnectionError):
                await exchange(tcp, garbage)
        else:
            assert await is_reset(tcp, garbage)
        assert tcp.stats()["l"]["malformed"] == 1
        assert backend.connections == 0
