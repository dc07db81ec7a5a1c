"""Who calls: what is counted for whom, how many are known, and whom they are led to."""

from __future__ import annotations

import asyncio
import socket

import pytest

from meshproxy.dataplane.callers import FORGOTTEN_AFTER, MOST_OF_ONE, Callers
from meshproxy.snapshot.authorization import ANY_OPERATION, Authorization, AuthorizationRule, Source
from meshproxy.snapshot.messages import OTHER_CALLERS, CallerStats
from meshproxy.snapshot.model import Endpoint, Protocol
from meshproxy.snapshot.routes import Backend, Filters, Redirect, RouteMatch
from tests.support.datagrams import MakeClient, MakeServer
from tests.support.dataplane import MakeBackend, Plane, exchange, is_reset, wait_until
from tests.support.http import HTTPPlane, rule
from tests.unit.dataplane.http.conftest import MakeOrigin, make_origin, plane

__all__ = ["make_origin", "plane"]

HERE = "127.0.0.1"
SERVICE = "default/s"


def taken(plane: Plane) -> list[CallerStats]:
    """What would be reported to the supervisor."""
    return [each for stats in plane.plane.take_statistics() for each in stats.callers]


# -- how many ----------------------------------------------------------------------------


def test_a_million_addresses_are_a_few_callers() -> None:
    known = Callers()
    for number in range(1_000):
        known.of(f"10.0.{number // 256}.{number % 256}", SERVICE, "c").request_ended(200, 0.001)
    assert len(known) == MOST_OF_ONE + 1
    others = next(each for each in known.take_changed() if each.caller == OTHER_CALLERS)
    assert sum(others.requests.statuses) == 1_000 - MOST_OF_ONE


def test_services_do_not_take_each_others_places_until_all_are_taken() -> None:
    known = Callers(most=MOST_OF_ONE + 2)
    for number in range(MOST_OF_ONE + 1):
        known.of(str(number), SERVICE, "c")
    assert known.of("late", SERVICE, "c").caller == OTHER_CALLERS
    assert known.of("late", SERVICE, "d").caller == "late"
    assert known.of("later", SERVICE, "d").caller == OTHER_CALLERS


def test_who_does_nothing_is_forgotten_and_makes_room() -> None:
    known = Callers()
    idle = known.of("idle", SERVICE, "c")
    idle.request_ended(200, 0.001)
    connected = known.of("connected", SERVICE, "c")
    connected.connected()
    for number in range(MOST_OF_ONE - 2):
        known.of(str(number), SERVICE, "c").connected()
    assert len(list(known.take_changed())) == MOST_OF_ONE
    for _ in range(FORGOTTEN_AFTER - 1):
        assert list(known.take_changed()) == []
    assert idle.is_kept
    (told,) = known.take_changed()
    assert (told.caller, told.known, idle.is_kept) == ("idle", False, False)
    assert known.of("connected", SERVICE, "c") is connected
    assert known.of("new", SERVICE, "c").caller == "new"
    assert known.of("another", SERVICE, "c").caller == OTHER_CALLERS


# -- connections -------------------------------------------------------------------------


async def test_a_connection_is_its_callers_from_begin_to_end(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint)
    reader, writer = await asyncio.open_connection(*tcp.address)
    writer.write(b"hello")
    await reader.readexactly(5)
    assert taken(tcp) == [CallerStats(HERE, SERVICE, "c", 1, 1, 0, 5, 5)]
    assert taken(tcp) == []
    writer.write(b"again")
    await reader.readexactly(5)
    assert taken(tcp) == [CallerStats(HERE, SERVICE, "c", 1, 1, 0, 10, 10)], "bytes count while it is open"
    writer.close()
    await writer.wait_closed()
    await wait_until(lambda: tcp.plane.open_connections == 0)
    assert taken(tcp) == [CallerStats(HERE, SERVICE, "c", 0, 1, 0, 10, 10)]


async def test_connections_of_one_caller_are_one(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint)
    for _ in range(3):
        await exchange(tcp, b"abc")
    await wait_until(lambda: tcp.plane.open_connections == 0)
    assert taken(tcp) == [CallerStats(HERE, SERVICE, "c", 0, 3, 0, 9, 9)]


async def test_what_nobody_takes_is_a_failure(tcp: Plane, closed_endpoint: Endpoint) -> None:
    tcp.apply(closed_endpoint, connect_retries=3)
    assert await is_reset(tcp)
    assert taken(tcp) == [CallerStats(HERE, SERVICE, "c", failures=1)]


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.AUTO])
async def test_what_is_refused_is_a_failure(plane: HTTPPlane, make_origin: MakeOrigin, protocol: Protocol) -> None:
    deny = AuthorizationRule(policy="deny", sources=(Source(ip_blocks=("127.0.0.0/8",)),), operations=(ANY_OPERATION,))
    refusing = Authorization(name="a", deny=(deny,))
    plane.route(origins=(await make_origin(),), authorization=refusing, protocol=protocol)
    assert await is_reset(plane, b"\0")
    await wait_until(lambda: plane.plane.open_connections == 0)
    assert taken(plane) == [CallerStats(HERE, SERVICE, "c0", failures=1)]


async def test_a_probe_that_hangs_up_is_no_failure(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    plane.route(origins=(await make_origin(),), protocol=Protocol.AUTO)
    with socket.create_connection(plane.address):
        pass
    await wait_until(lambda: plane.stats()["l"]["accepted"] == 1)
    await wait_until(lambda: plane.plane.open_connections == 0)
    assert [each.failures for each in taken(plane)] in ([0], [])


async def test_a_session_of_datagrams_is_a_connection(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    server, client = make_server(answer=lambda data: data * 2), make_client()
    udp.apply(server.endpoint, udp_session_timeout=0.05)
    client.send(b"12345", udp.snapshot.listeners[0].address)
    await client.receive()
    assert taken(udp) == [CallerStats(HERE, SERVICE, "c", 1, 1, 0, 5, 10)]
    await wait_until(lambda: udp.stats()["l"]["active"] == 0)
    assert taken(udp) == [CallerStats(HERE, SERVICE, "c", 0, 1, 0, 5, 10)]


# -- requests ----------------------------------------------------------------------------


async def test_requests_are_told_by_whom_they_were_led_to(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    moved = rule(
        name="moved", matches=(RouteMatch(path="/old"),), backends=(), filters=Filters(redirect=Redirect(status=301))
    )
    to = [
        rule(name=name, matches=(RouteMatch(path=f"/{name}"),), backends=(Backend(cluster=name),))
        for name in ("c0", "c1")
    ]
    plane.route(moved, *to, origins=(await make_origin(), await make_origin()))
    client, other = await plane.connect(), await plane.connect()
    for path in (b"/c0", b"/c1", b"/c0", b"/old", b"/none"):
        await client.get(path)
    await other.get(b"/c1")
    await other.ask(b"nonsense\r\n\r\n")
    statuses = {(each.caller, each.service, each.cluster): each.requests.statuses for each in taken(plane)}
    assert statuses == {
        (HERE, SERVICE, "c0"): (0, 0, 2, 0, 0, 0),
        (HERE, SERVICE, "c1"): (0, 0, 2, 0, 0, 0),
        (HERE, SERVICE, ""): (0, 0, 0, 1, 2, 0),
    }


async def test_a_connection_outlives_that_its_caller_is_forgotten(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    plane.route(origins=(await make_origin(),))
    client = await plane.connect()
    await client.get()
    reports = [taken(plane) for _ in range(FORGOTTEN_AFTER + 1)]
    assert [each.known for each in (*reports[0], *reports[-1])] == [True, False]
    await client.get()
    (stats,) = taken(plane)
    assert (stats.known, stats.cluster, stats.requests.statuses) == (True, "c0", (0, 0, 1, 0, 0, 0))
