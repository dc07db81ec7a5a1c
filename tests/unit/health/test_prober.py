"""Who is checked when: the checks themselves end when the test says so."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.health import prober
from meshproxy.health.prober import Prober, Target
from meshproxy.health.probes import ProbeNotPossible
from meshproxy.snapshot.model import HealthCheck
from tests.unit.health.builders import make_check

DEADLINE = 10
MAX_IN_FLIGHT = 20


def make_target(port: int = 1, **check: Any) -> Target:
    return Target(SocketAddress("127.0.0.1", port), make_check(**check))


class Checks:
    """A prober that runs, the checks that are under way, and the results."""

    def __init__(self) -> None:
        self.waiting: dict[Target, list[asyncio.Future[str]]] = {}
        self.begun: Counter[Target] = Counter()
        self.results: list[tuple[Target, str]] = []
        self.trouble: Exception | None = None
        self.prober = Prober(
            clock=asyncio.get_running_loop().time,
            random=Random(1),
            on_result=lambda *result: self.results.append(result),
            max_in_flight=MAX_IN_FLIGHT,
            probe=self._probe,
        )

    async def _probe(self, address: SocketAddress, check: HealthCheck) -> str:
        target = Target(address, check)
        self.begun[target] += 1
        if self.trouble is not None:
            raise self.trouble
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(target, []).append(future)
        try:
            return await future
        finally:
            self.waiting[target].remove(future)

    def answer(self, target: Target, failure: str = "") -> None:
        for future in self.waiting.get(target, ()):
            if not future.done():
                future.set_result(failure)

    @property
    def in_flight(self) -> int:
        return sum(map(len, self.waiting.values()))

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.001)


@pytest.fixture
async def checks() -> AsyncIterator[Checks]:
    made = Checks()
    task = asyncio.get_running_loop().create_task(made.prober.run())
    yield made
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError), outcome
    assert made.in_flight == 0, "checks end with the prober"


async def test_a_target_is_checked_again_and_again(checks: Checks) -> None:
    target = make_target(interval=0.001)
    checks.prober.check(target)
    for failure in ("", "connect refused", ""):
        await checks.wait_for(lambda: checks.in_flight == 1)
        checks.answer(target, failure)
        await checks.wait_for(lambda: checks.in_flight == 0)
    assert checks.results == [(target, ""), (target, "connect refused"), (target, "")]


async def test_slow_targets_wait_their_turn_and_never_overlap(checks: Checks) -> None:
    targets = [make_target(port, interval=0.001) for port in range(1, 3 * MAX_IN_FLIGHT + 1)]
    for target in targets * 3:
        checks.prober.check(target)
    await checks.wait_for(lambda: checks.in_flight == MAX_IN_FLIGHT)
    async with asyncio.timeout(DEADLINE):
        while len(checks.begun) < len(targets):
            assert checks.in_flight <= MAX_IN_FLIGHT
            assert all(len(each) <= 1 for each in checks.waiting.values())
            for target in targets:
                checks.prober.check(target)
                checks.answer(target)
            await asyncio.sleep(0.001)


async def test_who_is_not_wanted_any_more_is_not_checked_again(checks: Checks) -> None:
    wanted, due, under_way = (make_target(port, interval=0.001) for port in (1, 2, 3))
    checks.prober.check(under_way)
    await checks.wait_for(lambda: checks.in_flight == 1)
    checks.prober.check(due)
    checks.prober.check(wanted)
    checks.answer(under_way)
    checks.prober.keep_only({wanted})
    await checks.wait_for(lambda: bool(checks.waiting.get(wanted)))
    assert checks.in_flight == 1
    assert checks.results == [], "its answer was there, but had not been taken in"
    for _ in range(20):
        checks.answer(wanted)
        await checks.wait_for(lambda: bool(checks.waiting[wanted]))
    assert checks.begun.keys() == {wanted, under_way}
    assert checks.begun[under_way] == 1


async def test_cancelled_checks_make_room(checks: Checks) -> None:
    target = make_target()
    for _ in range(2 * MAX_IN_FLIGHT):
        checks.prober.check(target)
        await checks.wait_for(lambda: checks.in_flight == 1)
        checks.prober.keep_only(set())
        await checks.wait_for(lambda: checks.in_flight == 0)
    for port in range(2 * MAX_IN_FLIGHT):
        checks.prober.check(make_target(port, interval=0.001))
    await checks.wait_for(lambda: checks.in_flight == MAX_IN_FLIGHT)


async def test_who_went_and_came_back_meanwhile_is_checked_anew(checks: Checks) -> None:
    target = make_target(interval=0.001)
    checks.prober.check(target)
    await checks.wait_for(lambda: checks.in_flight == 1)
    checks.prober.keep_only(set())
    checks.prober.check(target)
    await checks.wait_for(lambda: checks.begun[target] == 2)
    assert checks.in_flight == 1
    checks.answer(target, "connect refused")
    await checks.wait_for(lambda: checks.begun[target] == 3)
    assert checks.results == [(target, "connect refused")]


async def test_checks_that_are_not_possible_are_no_results_and_said_once(
    checks: Checks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(prober, "COMPLAINT_INTERVAL", 3600.0)
    checks.trouble = ProbeNotPossible("too many open files")
    target = make_target(interval=0.001)
    with caplog.at_level(logging.WARNING):
        checks.prober.check(target)
        await checks.wait_for(lambda: checks.begun[target] > 10)
    assert caplog.messages == ["health checks are not possible now (tried 127.0.0.1:1): too many open files"]
    assert checks.results == []


async def test_a_broken_check_is_said_and_made_again(checks: Checks, caplog: pytest.LogCaptureFixture) -> None:
    checks.trouble = RuntimeError("a bug")
    target = make_target(interval=0.001)
    checks.prober.check(target)
    await checks.wait_for(lambda: checks.begun[target] > MAX_IN_FLIGHT)
    assert "check of 127.0.0.1:1 failed" in caplog.messages
