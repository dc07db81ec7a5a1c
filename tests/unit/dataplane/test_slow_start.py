"""What endpoints get that became usable a while ago. The clock is the test's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import msgspec
import pytest

from meshproxy.aio.timer_wheel import TimerWheel
from meshproxy.base.addresses import SocketAddress
from meshproxy.dataplane import slow_start
from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.descriptors import DescriptorBudget
from meshproxy.dataplane.reactor import Reactor
from meshproxy.snapshot import model
from meshproxy.snapshot.http import SlowStart
from meshproxy.snapshot.model import Algorithm, Endpoint

WINDOW = SlowStart(window=60.0)
RAMPING = [Algorithm.ROUND_ROBIN, Algorithm.LEAST_CONNECTIONS, Algorithm.RANDOM, Algorithm.LEAST_REQUEST]
OLD, NEW = "10.0.0.1:80", "10.0.0.2:80"


def make_endpoint(number: int, weight: int = 100, priority: int = 0) -> Endpoint:
    return Endpoint(address=SocketAddress(f"10.0.{number // 250}.{number % 250}", 80), weight=weight, priority=priority)


class Scene:
    """A cluster, and a clock that goes when told to."""

    def __init__(self, reactor: Reactor, **config: Any) -> None:
        self.time = 1000.0
        reactor.wheel.stop()
        reactor.now = self.clock
        self.wheel = reactor.wheel = TimerWheel(self.clock)
        fields = {"slow_start": WINDOW, **config}
        self.config = model.Cluster(name="c", service="default/s", **fields)
        self.cluster = Cluster(self.config, Random(1), self.clock, lambda *_: None)
        self.cluster.pool.reactor = reactor

    def clock(self) -> float:
        return self.time

    def update(self, *put: Endpoint, removed: Sequence[str] = ()) -> None:
        for _ in self.cluster.update_endpoints(put, removed):
            pass

    def configure(self, **changes: Any) -> None:
        self.config = msgspec.structs.replace(self.config, **changes)
        for _ in self.cluster.configure(self.config):
            pass

    def advance(self, seconds: float) -> None:
        """Let time pass, in steps in which every timer fires."""
        end = self.time + seconds
        while self.time < end:
            self.time = min(end, self.time + 0.5)
            self.wheel.advance(self.time)

    def weight(self, key: str) -> int:
        return self.cluster.upstreams[key].weight

    def share(self, key: str, picks: int = 4000) -> float:
        counts: Counter[str] = Counter()
        for number in range(picks):
            upstream = self.cluster.pick(f"client {number}")
            assert upstream is not None
            counts[upstream.key] += 1
        return counts[key] / picks


@pytest.fixture
async def reactor() -> Any:
    reactor = Reactor(asyncio.get_running_loop(), 4096, DescriptorBudget(100))
    yield reactor
    reactor.close()


@pytest.mark.parametrize("algorithm", RAMPING)
async def test_a_newcomers_share_grows(reactor: Reactor, algorithm: Algorithm) -> None:
    scene = Scene(reactor, algorithm=algorithm)
    scene.update(make_endpoint(1))
    scene.advance(100)
    scene.update(make_endpoint(2))
    shares = []
    for _ in range(5):
        shares.append(scene.share(NEW))
        scene.advance(15.5)
    assert shares == pytest.approx([10 / 110, 20 / 120, 45 / 145, 70 / 170, 0.5], abs=0.05)
    assert shares == sorted(shares)


async def test_the_first_ones_have_all_of_their_weight(reactor: Reactor) -> None:
    scene = Scene(reactor)
    scene.update(make_endpoint(1), make_endpoint(2))
    assert (scene.weight(OLD), scene.weight(NEW)) == (100, 100)


async def test_without_it_newcomers_have_all_of_their_weight(reactor: Reactor) -> None:
    scene = Scene(reactor, slow_start=None)
    scene.update(make_endpoint(1))
    scene.update(make_endpoint(2))
    assert scene.weight(NEW) == 100


@pytest.mark.parametrize("panic", [False, True])
async def test_one_that_becomes_healthy_starts_slowly(reactor: Reactor, panic: bool) -> None:
    scene = Scene(reactor)
    scene.update(make_endpoint(1), make_endpoint(2))
    scene.cluster.set_health(NEW, False)
    if panic:
        scene.cluster.set_health(OLD, False)
        assert scene.share(NEW) == pytest.approx(0.5, abs=0.01)
    scene.cluster.set_health(NEW, True)
    assert scene.weight(NEW) == 10
    scene.advance(30)
    if not panic:
        assert scene.share(NEW) == pytest.approx(1 / 3, abs=0.02)
    scene.cluster.set_health(NEW, False)
    assert scene.weight(NEW) == 100
    scene.cluster.set_health(NEW, True)
    assert scene.weight(NEW) == 10
    scene.advance(63)
    assert scene.weight(NEW) == 100


async def test_a_changed_weight_goes_on_from_where_it_was(reactor: Reactor) -> None:
    scene = Scene(reactor)
    scene.update(make_endpoint(1))
    scene.update(make_endpoint(2))
    scene.advance(30)
    scene.update(make_endpoint(2, weight=1000))
    assert scene.weight(NEW) == pytest.approx(500, rel=0.05)
    scene.advance(33)
    assert scene.weight(NEW) == 1000
    scene.update(make_endpoint(2, weight=7), make_endpoint(1, weight=3))
    assert (scene.weight(NEW), scene.weight(OLD)) == (7, 3)


async def test_a_weight_of_0_stays_and_one_that_was_0_starts_slowly(reactor: Reactor) -> None:
    scene = Scene(reactor)
    scene.update(make_endpoint(1))
    scene.update(make_endpoint(2, weight=0))
    scene.advance(10)
    assert scene.weight(NEW) == 0
    scene.update(make_endpoint(2, weight=100))
    assert scene.weight(NEW) == 10
    scene.update(make_endpoint(3))
    scene.update(make_endpoint(3, weight=0))
    scene.advance(63)
    assert scene.weight("10.0.0.3:80") == 0
    assert scene.share("10.0.0.3:80", 100) == 0


async def test_one_that_comes_back_starts_again(reactor: Reactor) -> None:
    scene = Scene(reactor)
    scene.update(make_endpoint(1), make_endpoint(2))
    scene.update(removed=[NEW])
    scene.update(make_endpoint(2))
    assert scene.weight(NEW) == 10
    scene.update(removed=[NEW])
    scene.advance(10)
    scene.update(make_endpoint(2))
    assert scene.weight(NEW) == 10


async def test_a_level_that_was_not_there_before(reactor: Reactor) -> None:
    scene = Scene(reactor)
    scene.update(make_endpoint(1))
    scene.update(make_endpoint(2, priority=1))
    scene.update(removed=[OLD])
    assert scene.weight(NEW) == 10
    assert scene.share(NEW, 10) == 1
    scene.advance(63)
    assert scene.weight(NEW) == 100


@pytest.mark.parametrize("after", list(Algorithm))
async def test_the_algorithm_changes_meanwhile(reactor: Reactor, after: Algorithm) -> None:
    scene = Scene(reactor)
    scene.update(make_endpoint(1))
    scene.update(make_endpoint(2))
    scene.advance(30)
    scene.configure(algorithm=after)
    scene.advance(3)
    hashing = after not in RAMPING
    assert scene.weight(NEW) == pytest.approx(100 if hashing else 52, abs=3)
    assert scene.share(NEW) == pytest.approx(0.5 if hashing else 1 / 3, abs=0.05)
    scene.advance(60)
    assert scene.share(NEW) == pytest.approx(0.5, abs=0.06)


async def test_it_is_switched_off_meanwhile(reactor: Reactor) -> None:
    scene = Scene(reactor)
    scene.update(make_endpoint(1))
    scene.update(make_endpoint(2))
    scene.configure(slow_start=None)
    scene.advance(5)
    assert scene.weight(NEW) == 100


def stepping(scene: Scene, steps: Iterator[None], seconds: float) -> None:
    for _ in steps:
        scene.advance(seconds)
        assert scene.cluster.pick("client") is not None


@pytest.mark.parametrize("seconds", [0.0, 2.0, 100.0])
async def test_time_passes_within_a_change(reactor: Reactor, seconds: float) -> None:
    """A ramp may end, and a timer fire, at any step of a change: at last all have all of their weight."""
    scene = Scene(reactor)
    scene.update(*map(make_endpoint, range(120)))
    scene.update(*map(make_endpoint, range(120, 240)))
    changed = [make_endpoint(number, weight=50, priority=number % 2) for number in range(60, 180)]
    added = [make_endpoint(number) for number in range(240, 360)]
    removed = [make_endpoint(number).id for number in range(200, 240)]
    stepping(scene, scene.cluster.update_endpoints([*changed, *added], removed), seconds)
    stepping(
        scene,
        scene.cluster.configure(msgspec.structs.replace(scene.config, algorithm=Algorithm.RANDOM)),
        seconds,
    )
    scene.advance(70)
    upstreams = scene.cluster.upstreams.values()
    assert [each.weight for each in upstreams] == [each.endpoint.weight for each in upstreams]
    assert len(upstreams) == 320


async def test_many_are_looked_at_in_batches(reactor: Reactor) -> None:
    scene = Scene(reactor)
    scene.update(make_endpoint(0))
    scene.update(*map(make_endpoint, range(1, 1001)))
    looked_at: list[str] = []
    ramps = scene.cluster._ramps
    find = ramps._find
    ramps._find = lambda key: (looked_at.append(key), find(key))[1]  # type: ignore[func-returns-value]
    most = 0
    for _ in range(200):
        before = len(looked_at)
        scene.time += 0.021
        scene.wheel.advance(scene.time)
        most = max(most, len(looked_at) - before)
    assert most == slow_start.BATCH
    assert len(set(looked_at)) > 900


async def test_nothing_is_scheduled_once_all_have_their_weight(reactor: Reactor) -> None:
    scene = Scene(reactor)
    scene.update(make_endpoint(1))
    scene.update(make_endpoint(2))
    scene.update(removed=[OLD, NEW])
    scene.advance(5)
    assert not any(scene.wheel._slots)
