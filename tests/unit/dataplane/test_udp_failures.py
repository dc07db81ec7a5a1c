"""Endpoints that refuse, clients that vanish, limits that are reached."""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from meshproxy.aio.timer_wheel import TimerWheel
from meshproxy.base.addresses import SocketAddress
from meshproxy.dataplane.udp_session import REPEATABLE
from meshproxy.snapshot.model import Algorithm, Endpoint, OutlierDetection
from tests.support.datagrams import MakeClient, MakeServer
from tests.support.dataplane import Plane, wait_until


@pytest.fixture
async def dead(make_server: MakeServer) -> Endpoint:
    """An endpoint that answers "port unreachable"."""
    server = make_server()
    server.close()
    return server.endpoint


async def test_a_first_datagram_that_is_refused_goes_to_another_endpoint(
    udp: Plane, make_server: MakeServer, make_client: MakeClient, dead: Endpoint
) -> None:
    server = make_server(priority=1)
    udp.apply(dead, server.endpoint)
    for number in range(6):
        data = b"%d" % number
        assert await make_client().ask(data, SocketAddress(*udp.address)) == data
    stats = udp.stats()
    assert stats[dead.id]["connect_failures"] == 6
    assert (stats[dead.id]["active"], stats[server.endpoint.id]["active"]) == (0, 6)
    assert stats["l"]["refused"] == 0


async def test_one_too_large_to_be_kept_is_lost_but_the_next_goes_elsewhere(
    udp: Plane, make_server: MakeServer, make_client: MakeClient, dead: Endpoint
) -> None:
    server, client = make_server(priority=1), make_client()
    udp.apply(dead, server.endpoint)
    client.send(bytes(REPEATABLE + 1), SocketAddress(*udp.address))
    await wait_until(lambda: udp.stats()[dead.id]["connect_failures"] == 1)
    assert await client.ask(b"next", SocketAddress(*udp.address)) == b"next"
    assert server.got == [b"next"]


async def test_where_every_endpoint_refuses_a_client_is_given_up(
    udp: Plane, make_server: MakeServer, make_client: MakeClient, dead: Endpoint
) -> None:
    client = make_client()
    udp.apply(dead)
    client.send(b"lost", SocketAddress(*udp.address))
    await wait_until(lambda: udp.stats()["l"]["refused"] == 1)
    assert udp.stats()["l"]["active"] == 0
    server = make_server()
    udp.apply(server.endpoint)
    assert await client.ask(b"x", SocketAddress(*udp.address)) == b"x"
    assert server.got == [b"x"]


async def test_retries_are_bounded(udp: Plane, make_server: MakeServer, make_client: MakeClient) -> None:
    servers = [make_server() for _ in range(5)]
    for server in servers:
        server.close()
    udp.apply(*(server.endpoint for server in servers), connect_retries=2)
    make_client().send(b"x", SocketAddress(*udp.address))
    await wait_until(lambda: udp.stats()["l"]["refused"] == 1)
    assert sum(udp.stats()[server.endpoint.id]["connect_failures"] for server in servers) == 3


async def test_without_an_endpoint_nothing_is_kept(udp: Plane, make_client: MakeClient) -> None:
    udp.apply()
    make_client().send(b"x", SocketAddress(*udp.address))
    await wait_until(lambda: udp.stats()["l"]["refused"] == 1)
    assert udp.stats()["l"]["active"] == 0
    assert udp.reactor.budget.held == 0


@pytest.mark.parametrize("algorithm", [Algorithm.ROUND_ROBIN, Algorithm.SOURCE_HASH])
async def test_when_an_endpoint_dies_the_very_next_datagram_is_answered(
    udp: Plane, make_server: MakeServer, make_client: MakeClient, algorithm: Algorithm
) -> None:
    servers = [make_server() for _ in range(2)]
    client = make_client()
    udp.apply(*(server.endpoint for server in servers), algorithm=algorithm)
    await client.ask(b"1", SocketAddress(*udp.address))
    (dying,) = [server for server in servers if server.got]
    (other,) = [server for server in servers if not server.got]
    dying.close()
    client.send(b"2", SocketAddress(*udp.address))  # is lost: only its ICMP error tells
    await wait_until(lambda: udp.stats()[dying.endpoint.id]["connect_failures"] == 1)
    assert await client.ask(b"3", SocketAddress(*udp.address)) == b"3"
    assert other.got == [b"3"]


async def test_a_datagram_is_never_repeated_once_another_was_sent(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    """Logs and metrics are never answered: what was taken an hour ago must not come again."""
    old, new = make_server(answer=lambda data: None), make_server(answer=lambda data: None, priority=1)
    client = make_client()
    udp.apply(old.endpoint, new.endpoint)
    client.send(b"1", SocketAddress(*udp.address))
    client.send(b"2", SocketAddress(*udp.address))
    await wait_until(lambda: len(old.got) == 2)
    old.close()
    client.send(b"3", SocketAddress(*udp.address))
    await wait_until(lambda: udp.stats()[old.endpoint.id]["connect_failures"] == 1)
    client.send(b"4", SocketAddress(*udp.address))
    await wait_until(lambda: bool(new.got))
    assert new.got == [b"4"]


async def test_a_burst_to_a_dead_endpoint_arrives_whole_and_in_order_elsewhere(
    udp: Plane, make_server: MakeServer, make_client: MakeClient, dead: Endpoint
) -> None:
    """The second datagram's `send` reports the first one's ICMP error: neither is lost."""
    server, client = make_server(priority=1), make_client()
    udp.apply(dead, server.endpoint)
    for data in (b"1", b"2", b"3"):
        client.send(data, SocketAddress(*udp.address))
    await wait_until(lambda: len(server.got) == 3)
    assert server.got == [b"1", b"2", b"3"]


async def test_failures_in_a_row_are_reported_and_an_answer_ends_the_row(
    udp: Plane, make_server: MakeServer, make_client: MakeClient, dead: Endpoint
) -> None:
    outlier = OutlierDetection(
        consecutive_failures=3, interval=1, base_ejection_time=1, max_ejection_time=1, max_ejection_percent=100
    )
    server = make_server(priority=1)
    udp.apply(dead, server.endpoint, outlier_detection=outlier)
    for _ in range(4):
        await make_client().ask(b"x", SocketAddress(*udp.address))
    assert [(each.endpoint, each.failures, each.reason) for each in udp.failing] == [
        (dead.id, 3, "connections failed in a row: udp: connection refused")
    ]
    upstream = udp.plane._clusters["c"].upstreams[server.endpoint.id]
    client = make_client()
    for _ in range(2):
        await client.ask(b"x", SocketAddress(*udp.address))
        upstream.failures = 2
    await client.ask(b"x", SocketAddress(*udp.address))
    assert upstream.failures == 0


async def test_an_endpoint_without_a_route_is_passed_over(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    nowhere = Endpoint(address=SocketAddress("255.255.255.255", 9))  # EACCES: a broadcast
    server = make_server(priority=1)
    udp.apply(nowhere, server.endpoint)
    assert await make_client().ask(b"x", SocketAddress(*udp.address)) == b"x"
    assert udp.stats()[nowhere.id]["connect_failures"] == 1


async def test_clients_that_vanish_do_no_harm(udp: Plane, make_server: MakeServer, make_client: MakeClient) -> None:
    server = make_server(answer=lambda data: None)
    udp.apply(server.endpoint)
    gone = make_client()
    gone.send(b"bye", SocketAddress(*udp.address))
    await wait_until(lambda: server.got == [b"bye"])
    gone.close()
    (session,) = server.peers
    for _ in range(3):
        server.send(b"late answer", session)
    await wait_until(lambda: udp.stats()[server.endpoint.id]["received"] == 33)
    server.answer = lambda data: data
    assert await make_client().ask(b"x", SocketAddress(*udp.address)) == b"x"


async def test_beyond_the_limit_new_clients_are_turned_away_until_a_session_ends(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    now = 0.0
    udp.reactor.wheel = TimerWheel(lambda: now)
    server = make_server()
    udp.apply(server.endpoint, udp_max_sessions=2, udp_session_timeout=10.0)
    first, second, third = (make_client() for _ in range(3))
    await first.ask(b"1", SocketAddress(*udp.address))
    await second.ask(b"2", SocketAddress(*udp.address))
    third.send(b"3", SocketAddress(*udp.address))
    assert await first.ask(b"still served", SocketAddress(*udp.address)) == b"still served"
    assert udp.stats()["l"]["overflowed"] == 1
    for now in range(20):
        udp.reactor.wheel.advance(now)
    assert await third.ask(b"3", SocketAddress(*udp.address)) == b"3"


async def test_a_part_of_the_descriptors_is_kept_for_connections(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    server = make_server()
    udp.reactor.budget.limit = 8
    udp.apply(server.endpoint)
    for _ in range(6):
        await make_client().ask(b"x", SocketAddress(*udp.address))
    make_client().send(b"x", SocketAddress(*udp.address))
    await wait_until(lambda: udp.stats()["l"]["overflowed"] == 1)
    assert udp.reactor.budget.held == 6


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_descriptors_open_sessions_go_on_and_it_is_said_once(
    udp: Plane, make_server: MakeServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    server = make_server()
    udp.apply(server.endpoint)
    lucky, others = make_client(), [make_client() for _ in range(3)]
    await lucky.ask(b"1", SocketAddress(*udp.address))
    with caplog.at_level(logging.WARNING), no_descriptors_left():
        for client in others:
            client.send(b"x", SocketAddress(*udp.address))
        assert await lucky.ask(b"2", SocketAddress(*udp.address)) == b"2"
    assert udp.stats()["l"]["dropped"] == 3
    assert udp.stats()[server.endpoint.id]["connect_failures"] == 0
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == ["Too many open files"]
    assert await others[0].ask(b"x", SocketAddress(*udp.address)) == b"x"
