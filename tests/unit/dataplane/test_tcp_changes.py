"""Configurations that change while connections come and go."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from benchmarks.processes import free_port
from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.model import Algorithm, Endpoint, ListenerRole
from tests.support.dataplane import MakeBackend, Plane, exchange, wait_until


async def test_a_removed_endpoint_gets_no_new_connection_and_keeps_the_old_ones(
    tcp: Plane, make_backend: MakeBackend
) -> None:
    old, new = await make_backend(), await make_backend()
    tcp.apply(old.endpoint)
    reader, writer = await asyncio.open_connection(*tcp.address)
    writer.write(b"a")
    assert await reader.readexactly(1) == b"a"
    tcp.apply(new.endpoint)
    assert await exchange(tcp, b"b") == b"b"
    writer.write(b"c")
    assert await reader.readexactly(1) == b"c"
    assert (old.connections, new.connections) == (1, 1)
    writer.close()
    await writer.wait_closed()


async def test_a_drain_timeout_ends_the_connections_of_a_removed_endpoint(
    tcp: Plane, make_backend: MakeBackend
) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint, drain_timeout=0.05)
    reader, writer = await asyncio.open_connection(*tcp.address)
    writer.write(b"a")
    assert await reader.readexactly(1) == b"a"
    tcp.apply(drain_timeout=0.05)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_changed_weight_keeps_connections_and_counts(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint, algorithm=Algorithm.LEAST_CONNECTIONS)
    reader, writer = await asyncio.open_connection(*tcp.address)
    writer.write(b"a")
    assert await reader.readexactly(1) == b"a"
    tcp.apply(Endpoint(address=backend.endpoint.address, weight=7), algorithm=Algorithm.LEAST_CONNECTIONS)
    assert tcp.stats()[backend.endpoint.id]["active"] == 1
    writer.close()
    await writer.wait_closed()
    await wait_until(lambda: tcp.stats()[backend.endpoint.id]["active"] == 0)
    assert tcp.stats()[backend.endpoint.id]["sent"] == 1


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_the_algorithm_changes_while_connections_come_and_go(
    tcp: Plane, make_backend: MakeBackend, algorithm: Algorithm
) -> None:
    backends = [await make_backend() for _ in range(3)]
    endpoints = [each.endpoint for each in backends]
    tcp.apply(*endpoints)
    cluster = tcp.plane._clusters["c"]
    open_before = [await asyncio.open_connection(*tcp.address) for _ in range(6)]
    await wait_until(lambda: sum(tcp.stats()[each.id]["active"] for each in endpoints) == 6)
    for step in cluster.configure(msgspec.structs.replace(cluster.config, algorithm=algorithm)):
        assert step is None
        picked = cluster.pick("127.0.0.1")
        assert picked is not None
        cluster.acquire(picked)
        cluster.release(picked)
    assert await exchange(tcp, b"x") == b"x"
    for _, writer in open_before:
        writer.close()
        await writer.wait_closed()
    await wait_until(lambda: sum(tcp.stats()[each.id]["active"] for each in endpoints) == 0)
    assert sum(tcp.stats()[each.id]["connections"] for each in endpoints) == 7


async def test_a_weight_changes_while_connections_come_and_go(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint, algorithm=Algorithm.LEAST_CONNECTIONS)
    cluster = tcp.plane._clusters["c"]
    heavier = msgspec.structs.replace(backend.endpoint, weight=200)
    writers = []
    for _ in cluster.update_endpoints([heavier], ()):
        _, writer = await asyncio.open_connection(*tcp.address)
        writers.append(writer)
        await wait_until(lambda: tcp.plane.open_connections == len(writers))
    await wait_until(lambda: tcp.stats()[heavier.id]["active"] == len(writers) > 0)
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    await wait_until(lambda: tcp.stats()[heavier.id]["active"] == 0)
    assert tcp.stats()[heavier.id]["connections"] == len(writers)


async def test_an_endpoint_that_comes_back_gets_its_connections_back(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint)
    reader, writer = await asyncio.open_connection(*tcp.address)
    writer.write(b"abc")
    await reader.readexactly(3)
    tcp.apply()
    tcp.apply(backend.endpoint, algorithm=Algorithm.LEAST_CONNECTIONS)
    await exchange(tcp, b"abc")
    reports = [each for stats in tcp.plane.take_statistics() for each in stats.endpoints]
    assert [(each.endpoint, each.connections, each.sent) for each in reports] == [(backend.endpoint.id, 2, 6)]
    writer.close()
    await writer.wait_closed()
    await wait_until(lambda: tcp.stats()[backend.endpoint.id]["active"] == 0)


async def test_reports_cost_only_what_changed_and_never_go_back(tcp: Plane, make_backend: MakeBackend) -> None:
    used, unused = await make_backend(), await make_backend(weight=0)
    tcp.apply(used.endpoint, unused.endpoint)

    def reported() -> list[tuple[str, int, int]]:
        reports = [each for stats in tcp.plane.take_statistics() for each in stats.endpoints]
        return [(each.endpoint, each.connections, each.sent) for each in reports]

    await exchange(tcp, b"abc")
    await wait_until(lambda: tcp.plane.open_connections == 0)
    assert reported() == [(used.endpoint.id, 1, 3)]
    assert reported() == []
    tcp.apply(msgspec.structs.replace(used.endpoint, weight=5), algorithm=Algorithm.LEAST_CONNECTIONS)
    await exchange(tcp, b"abc")
    await wait_until(lambda: tcp.plane.open_connections == 0)
    assert reported() == [(used.endpoint.id, 2, 6)]
    assert reported() == []
    assert not tcp.plane._clusters["c"].touched


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_a_removed_endpoint_is_not_picked_from_the_first_step_on(
    tcp: Plane, make_backend: MakeBackend, algorithm: Algorithm
) -> None:
    backends = [await make_backend() for _ in range(3)]
    tcp.apply(*[each.endpoint for each in backends], algorithm=algorithm)
    cluster = tcp.plane._clusters["c"]
    gone = backends[0].endpoint.id
    for _ in cluster.update_endpoints((), [gone]):
        picked = {each.key for number in range(20) if (each := cluster.pick(f"10.0.0.{number}")) is not None}
        assert picked
        assert gone not in picked
    assert gone not in cluster.upstreams


async def test_local_programs_are_served_until_peers_are_answered(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint)
    inbound = SocketAddress("127.0.0.1", free_port())
    peers = msgspec.structs.replace(
        tcp.snapshot.listeners[0], name="inbound", address=inbound, role=ListenerRole.INBOUND
    )
    listeners = (*tcp.snapshot.listeners, peers)
    tcp.apply_snapshot(msgspec.structs.replace(tcp.snapshot, version="w", listeners=listeners))
    reader, writer = await asyncio.open_connection(inbound.host, inbound.port)
    writer.write(b"a")
    assert await reader.readexactly(1) == b"a"
    tcp.plane.stop_accepting(peers_only=True)
    assert (set(tcp.stats()) & {"l", "inbound"}, tcp.plane.open_connections_of_peers) == ({"l"}, 1)
    assert await exchange(tcp, b"b") == b"b"
    writer.close()
    await writer.wait_closed()
    await wait_until(lambda: tcp.plane.open_connections_of_peers == 0)
    tcp.plane.stop_accepting()
    assert not set(tcp.stats()) & {"l", "inbound"}
