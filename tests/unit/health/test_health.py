"""Thresholds and ejection on paper, and the monitor against real servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.events import Event
from meshproxy.health.monitor import HealthMonitor
from meshproxy.health.outlier import OutlierDetector
from meshproxy.health.probes import probe
from meshproxy.health.states import HealthStatus
from meshproxy.health.thresholds import Thresholds
from meshproxy.snapshot.model import Assignment, Cluster, Endpoint, HealthCheck, OutlierDetection, Snapshot

DEADLINE = 10


def make_check(**fields: Any) -> HealthCheck:
    defaults: dict[str, Any] = {"interval": 0.02, "timeout": 0.5, "unhealthy_threshold": 2, "healthy_threshold": 1}
    return HealthCheck(**defaults | fields)


def make_outlier(**fields: Any) -> OutlierDetection:
    defaults: dict[str, Any] = {
        "consecutive_failures": 5,
        "interval": 10.0,
        "base_ejection_time": 30.0,
        "max_ejection_time": 70.0,
        "max_ejection_percent": 50,
    }
    return OutlierDetection(**defaults | fields)


def test_the_first_result_decides_and_then_thresholds_count() -> None:
    thresholds = Thresholds(healthy_threshold=2, unhealthy_threshold=3)
    results = [True, False, False, True, False, False, False, True, False, True, True]
    verdicts = []
    for result in results:
        thresholds.record(result)
        verdicts.append(thresholds.healthy)
    assert verdicts == [True, True, True, True, True, True, False, False, False, False, True]


def test_ejections_grow_and_are_capped_and_forgiven() -> None:
    detector = OutlierDetector(make_outlier())
    assert detector.eject("a", 4, now=0) == 30
    assert detector.eject("a", 4, now=1) is None, "it is ejected already"
    assert detector.sweep(29) == []
    assert detector.sweep(30) == ["a"]
    assert detector.eject("a", 4, now=30) == 30 + 60
    assert detector.sweep(90) == ["a"]
    assert detector.eject("a", 4, now=90) == 90 + 70, "max_ejection_time"
    assert detector.sweep(160) == ["a"]
    for now in (170, 180, 190):
        detector.sweep(now)
    assert detector.eject("a", 4, now=200) == 230, "it stayed in for three intervals"


@pytest.mark.parametrize(
    ("percent", "endpoints", "ejected"), [(50, 4, 2), (50, 3, 1), (10, 3, 1), (0, 3, 0), (100, 3, 3)]
)
def test_the_share_of_ejected_endpoints_is_bounded(percent: int, endpoints: int, ejected: int) -> None:
    detector = OutlierDetector(make_outlier(max_ejection_percent=percent))
    results = [detector.eject(str(number), endpoints, now=0) for number in range(endpoints)]
    assert sum(result is not None for result in results) == ejected


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[bytes], Awaitable[SocketAddress]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers that answer every request with the same bytes; none: they say nothing."""
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []

    async def start(answer: bytes) -> SocketAddress:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            if answer:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        return SocketAddress(*server.sockets[0].getsockname())

    yield start
    for server in servers:
        server.close()
    for writer in writers:
        writer.close()


def closed_address() -> SocketAddress:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return SocketAddress(*bound.getsockname())


@pytest.mark.parametrize(
    ("answer", "fields", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", {}, ""),
        (b"HTTP/1.0 302\r\n", {}, ""),
        (b"HTTP/1.1 503 No\r\n\r\n", {}, "HTTP 503, expected 200-399"),
        (
            b"HTTP/1.1 204 No\r\n\r\n",
            {"expected_statuses": ((200, 200), (500, 599))},
            "HTTP 204, expected 200, 500-599",
        ),
        (b"SSH-2.0-OpenSSH\r\n", {}, "the answer is not HTTP"),
        (b"x" * 100_000, {}, "the answer is not HTTP"),
        (b"HTTP/1.1 2", {}, "closed in the status line"),
        (b"", {"timeout": 0.1}, "no answer within 100ms"),
    ],
)
async def test_http_checks(serve: Serve, answer: bytes, fields: dict[str, Any], reason: str) -> None:
    assert await probe(await serve(answer), make_check(http_path="/", **fields)) == reason


async def test_tcp_checks(serve: Serve) -> None:
    assert await probe(await serve(b""), make_check()) == ""
    assert await probe(closed_address(), make_check()) == "connect refused"
    open_port = (await serve(b"")).port
    assert await probe(closed_address(), make_check(port=open_port)) == ""


class Monitored:
    """A monitor that runs, and what it said."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str, bool]] = []
        self.events: list[Event] = []
        self.monitor = HealthMonitor(
            clock=asyncio.get_running_loop().time,
            random=Random(1),
            on_changes=self.changes.extend,
            on_event=self.events.append,
        )

    def apply(self, *addresses: SocketAddress, **cluster: Any) -> None:
        endpoints = tuple(Endpoint(address=address, name=f"e{n}") for n, address in enumerate(addresses))
        self.monitor.apply(
            Snapshot(
                version="v",
                clusters=(Cluster(name="c", service="default/s", port_name="http", **cluster),),
                assignments=(Assignment(cluster="c", endpoints=endpoints),),
            )
        )

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events]

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.001)


@pytest.fixture
async def monitored() -> AsyncIterator[Monitored]:
    made = Monitored()
    task = asyncio.get_running_loop().create_task(made.monitor.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_endpoint_goes_and_comes_back(serve: Serve, monitored: Monitored) -> None:
    up, down = await serve(b""), closed_address()
    monitored.apply(up, down, health_check=make_check())
    assert monitored.monitor.health_of("c", str(down)).status is HealthStatus.UNKNOWN
    assert monitored.monitor.health_of("c", str(down)).usable
    await monitored.wait_for(lambda: len(monitored.events) == 2)
    assert monitored.changes == [("c", str(down), False)]
    assert monitored.monitor.unusable() == (("c", str(down), False),)
    message = f"endpoint e1 ({down}) became unhealthy: connect refused"
    assert message in [event.message for event in monitored.events]
    assert {event.subject for event in monitored.events} == {"Service/s"}
    server = await asyncio.start_server(lambda reader, writer: writer.close(), down.host, down.port)
    await monitored.wait_for(lambda: ("c", str(down), True) in monitored.changes)
    assert monitored.monitor.unusable() == ()
    server.close()


async def test_when_the_last_one_goes_it_is_said_what_happens_now(monitored: Monitored) -> None:
    monitored.apply(closed_address(), health_check=make_check())
    await monitored.wait_for(lambda: "NoHealthyEndpoints" in monitored.reasons())
    assert monitored.events[-1].message == "no endpoint of port http is healthy: all of them are used"


async def test_ejection_by_the_workers_word_and_return(monitored: Monitored) -> None:
    first, second = SocketAddress("127.0.0.1", 1), SocketAddress("127.0.0.1", 2)
    outlier = make_outlier(interval=0.02, base_ejection_time=0.05)
    monitored.apply(first, second, outlier_detection=outlier)
    monitored.monitor.endpoint_failing("c", str(first), 5, "connect: connection refused")
    monitored.monitor.endpoint_failing("c", str(second), 5, "connect: connection refused")
    assert monitored.changes == [("c", str(first), False)], "half of two may be ejected"
    assert "is ejected for 50ms: 5 connections failed in a row: connect" in monitored.events[0].message
    await monitored.wait_for(lambda: ("c", str(first), True) in monitored.changes)
    assert monitored.reasons()[-1] == "EndpointReturned"


async def test_what_left_the_configuration_is_forgotten(monitored: Monitored) -> None:
    down = closed_address()
    monitored.apply(down, health_check=make_check())
    await monitored.wait_for(lambda: bool(monitored.changes))
    monitored.apply(health_check=make_check())
    assert monitored.monitor.unusable() == ()
    assert not monitored.monitor.all_health()
    monitored.apply(down)
    assert monitored.monitor.health_of("c", str(down)).usable, "without a check nothing is known"


async def test_a_check_that_is_taken_away_voids_its_verdict(monitored: Monitored) -> None:
    down = closed_address()
    monitored.apply(down, health_check=make_check())
    await monitored.wait_for(lambda: bool(monitored.changes))
    monitored.apply(down)
    assert monitored.changes[-1] == ("c", str(down), True)


async def test_never_more_probes_at_once_than_allowed(monitored: Monitored) -> None:
    from meshproxy.health import monitor

    open_now, most = 0, 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await reader.read()
        open_now -= 1
        writer.close()

    server = await asyncio.start_server(handle, "0.0.0.0", 0)
    port = server.sockets[0].getsockname()[1]
    addresses = [SocketAddress(f"127.1.{n // 250}.{n % 250 + 1}", port) for n in range(500)]
    monitored.apply(*addresses, health_check=make_check(interval=60.0, timeout=5.0))
    await monitored.wait_for(lambda: len(monitored.monitor.all_health()) == 500)
    assert most <= monitor.MAX_IN_FLIGHT
    assert monitored.monitor.unusable() == ()
    server.close()
