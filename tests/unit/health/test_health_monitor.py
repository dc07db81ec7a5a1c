"""The monitor against real servers: who is checked when, and who is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.events import Event
from meshproxy.health.monitor import HealthMonitor
from meshproxy.health.states import UNCHECKED, HealthStatus
from tests.unit.health.builders import closed_address, make_check, make_cluster, make_outlier, make_snapshot
from tests.unit.health.conftest import Serve

DEADLINE = 10


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
        self.monitor.apply(make_snapshot({make_cluster(**cluster): addresses}))

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
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError), outcome


class Counting:
    """A server that counts connections by the address they came to."""

    def __init__(self) -> None:
        self.connections: Counter[str] = Counter()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections[writer.get_extra_info("sockname")[0]] += 1
        await reader.read()
        writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, and says nothing."""


async def test_an_endpoint_goes_and_comes_back(serve: Serve, monitored: Monitored) -> None:
    up, down = await serve(silent), closed_address()
    monitored.apply(up, down, health_check=make_check())
    assert monitored.monitor.health_of("c", str(down)) is UNCHECKED
    await monitored.wait_for(lambda: len(monitored.monitor.all_health()) == 2)
    assert monitored.changes == [("c", str(down), False)]
    assert monitored.monitor.unusable() == (("c", str(down), False),)
    assert monitored.monitor.health_of("c", str(up)).status is HealthStatus.HEALTHY
    assert [event.message for event in monitored.events] == [
        f"endpoint e1 ({down}) became unhealthy: connect refused",
    ]
    await serve(silent, down.host, down.port)
    await monitored.wait_for(lambda: ("c", str(down), True) in monitored.changes)
    assert monitored.monitor.unusable() == ()


async def test_another_port_can_be_checked(serve: Serve, monitored: Monitored) -> None:
    checked, endpoint = await serve(silent), closed_address()
    monitored.apply(endpoint, health_check=make_check(port=checked.port))
    await monitored.wait_for(lambda: bool(monitored.monitor.all_health()))
    assert monitored.monitor.health_of("c", str(endpoint)).status is HealthStatus.HEALTHY


async def test_ejection_by_the_workers_word_and_return(monitored: Monitored) -> None:
    first, second = SocketAddress("127.0.0.1", 1), SocketAddress("127.0.0.1", 2)
    monitored.apply(first, second, outlier_detection=make_outlier(interval=0.02, base_ejection_time=0.05))
    monitored.monitor.endpoint_failing("c", str(first), 5, "connections failed in a row: connection refused")
    monitored.monitor.endpoint_failing("c", str(second), 5, "connections failed in a row: connection refused")
    monitored.monitor.endpoint_failing("no such cluster", str(second), 5, "connection refused")
    assert monitored.changes == [("c", str(first), False)], "half of two may be ejected"
    await monitored.wait_for(lambda: ("c", str(first), True) in monitored.changes)
    assert [event.reason for event in monitored.events] == ["EndpointEjected", "EndpointReturned"]
    assert monitored.monitor.ejections() == {("c", str(first)): (1, False), ("c", str(second)): (0, False)}
    monitored.monitor.endpoint_failing("c", str(first), 5, "connections failed in a row: connection refused")
    assert monitored.monitor.ejections()["c", str(first)] == (2, True)
    monitored.apply(second, outlier_detection=make_outlier())
    monitored.apply(first, second)
    assert not monitored.monitor.ejections(), "nobody is ejected without a policy"
    monitored.apply(first, outlier_detection=make_outlier())
    assert monitored.monitor.ejections() == {("c", str(first)): (0, False)}, "whoever left begins anew"


async def test_a_shorter_interval_of_sweeps_counts_at_once(monitored: Monitored) -> None:
    address = SocketAddress("127.0.0.1", 1)
    outlier: dict[str, Any] = {"base_ejection_time": 0.01}
    monitored.apply(address, outlier_detection=make_outlier(interval=3600.0, **outlier))
    monitored.monitor.endpoint_failing("c", str(address), 5, "connections failed in a row: connection refused")
    monitored.apply(address, outlier_detection=make_outlier(interval=0.02, **outlier))
    await monitored.wait_for(lambda: ("c", str(address), True) in monitored.changes)


async def test_what_left_the_configuration_is_forgotten(monitored: Monitored) -> None:
    down = closed_address()
    monitored.apply(down, health_check=make_check())
    await monitored.wait_for(lambda: bool(monitored.changes))
    monitored.apply(health_check=make_check())
    assert monitored.monitor.unusable() == ()
    assert not monitored.monitor.all_health()
    monitored.monitor.apply(make_snapshot({}))
    assert monitored.monitor.health_of("c", str(down)) is UNCHECKED
    assert monitored.changes == [("c", str(down), False)]


async def test_who_was_unusable_and_comes_back_may_be_used(monitored: Monitored) -> None:
    """A worker that refused the snapshot without it still holds it to be unusable."""
    down = closed_address()
    monitored.apply(down, health_check=make_check())
    await monitored.wait_for(lambda: bool(monitored.changes))
    monitored.monitor.apply(make_snapshot({}))
    monitored.apply(down)
    monitored.apply(down)
    assert monitored.changes == [("c", str(down), False), ("c", str(down), True)]


async def test_a_check_that_is_taken_away_voids_its_verdict(monitored: Monitored) -> None:
    down = closed_address()
    monitored.apply(down, health_check=make_check())
    await monitored.wait_for(lambda: bool(monitored.changes))
    monitored.apply(down)
    assert monitored.changes[-1] == ("c", str(down), True)


async def test_a_new_check_counts_at_once(serve: Serve, monitored: Monitored) -> None:
    """Whatever the old one is doing: here it waits an hour for an answer."""
    address = await serve(silent)
    counting = Counting()
    monitored.apply(address, health_check=make_check(http_path="/", timeout=3600.0))
    other = await serve(counting.handle)
    await asyncio.sleep(0)
    monitored.apply(address, health_check=make_check(port=other.port, interval=3600.0))
    await monitored.wait_for(lambda: bool(monitored.monitor.all_health()))
    assert monitored.monitor.health_of("c", str(address)).status is HealthStatus.HEALTHY


async def test_clusters_share_checks_that_are_the_same(serve: Serve, monitored: Monitored) -> None:
    counting = Counting()
    address = await serve(counting.handle)
    check = make_check(interval=3600.0)
    clusters = {make_cluster(name, health_check=check): (address,) for name in ("c", "c|local")}
    monitored.monitor.apply(make_snapshot(clusters))
    await monitored.wait_for(lambda: len(monitored.monitor.all_health()) == 2)
    assert counting.connections.total() == 1
    late = clusters | {make_cluster("late", health_check=check): (address,)}
    monitored.monitor.apply(make_snapshot(late))
    await monitored.wait_for(lambda: len(monitored.monitor.all_health()) == 3)
    assert counting.connections.total() == 2, "who is new is checked soon"


async def test_nothing_is_checked_anew_by_a_reload(serve: Serve, monitored: Monitored) -> None:
    counting = Counting()
    address, other = await serve(counting.handle), closed_address()
    for addresses in ((address,), (address, other), (address,)):
        for _ in range(5):
            monitored.apply(*addresses, health_check=make_check(interval=3600.0))
        known = len(addresses)
        await monitored.wait_for(lambda known=known: len(monitored.monitor.all_health()) == known)  # type: ignore[misc]
    assert counting.connections.total() == 1


async def test_five_hundred_endpoints_are_checked_once_each(serve: Serve, monitored: Monitored) -> None:
    counting = Counting()
    port = (await serve(counting.handle, "0.0.0.0")).port
    addresses = [SocketAddress(f"127.1.{n // 250}.{n % 250 + 1}", port) for n in range(500)]
    monitored.apply(*addresses, health_check=make_check(interval=60.0, timeout=5.0))
    await monitored.wait_for(lambda: len(monitored.monitor.all_health()) == 500)
    assert monitored.monitor.unusable() == ()
    assert set(counting.connections.values()) == {1}
