"""Runs checks when they are due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Set
from functools import partial
from random import Random
from typing import NamedTuple

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.clock import Clock
from meshproxy.health.probes import ProbeNotPossible, probe
from meshproxy.health.schedule import Schedule
from meshproxy.snapshot.model import HealthCheck

FIRST_SPREAD = 0.1
"""Seconds over which first checks are spread."""
JITTER = 0.1
"""The share by which an interval varies, so that many proxies do not check together."""
COMPLAINT_INTERVAL = 1.0
"""Seconds between two warnings that checks are not possible."""

_log = logging.getLogger(__name__)


Probe = Callable[[SocketAddress, HealthCheck], Awaitable[str]]
"""`probes.probe`, or what a test has instead."""


class Target(NamedTuple):
    """What is checked, and how. Endpoints of several clusters that agree in both are one target."""

    address: SocketAddress
    check: HealthCheck


class Prober:
    """Checks targets again and again: at most `max_in_flight` at once, none twice at once.

    `on_result` is told why a check failed, or an empty string when it passed. An interval begins when the
    check before it ended. Where more targets are slow to answer than fit in flight, all wait their turn.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        random: Random,
        on_result: Callable[[Target, str], None],
        max_in_flight: int,
        probe: Probe = probe,
    ) -> None:
        self._clock = clock
        self._random = random
        self._on_result = on_result
        self._probe = probe
        self._schedule: Schedule[Target] = Schedule(clock)
        self._probing: dict[Target, asyncio.Task[None]] = {}
        self._free = asyncio.Semaphore(max_in_flight)
        self._tasks = OwnedTasks()
        self._complained_at = float("-inf")

    def check(self, target: Target) -> None:
        """Check `target` soon, unless that is being done, and then again and again."""
        if target not in self._probing:
            spread = min(FIRST_SPREAD, target.check.interval)
            self._schedule.put(target, self._clock() + self._random.random() * spread)

    def keep_only(self, targets: Set[Target]) -> None:
        """Check nothing else any more; no result of anything else comes after this."""
        for target in self._schedule:
            if target not in targets:
                self._schedule.remove(target)
        for target in self._probing.keys() - targets:
            self._probing.pop(target).cancel()

    async def run(self) -> None:
        """Check until cancelled."""
        try:
            while True:
                await self._free.acquire()
                self._start(await self._schedule.next_due())
        finally:
            await self._tasks.cancel()

    def _start(self, target: Target) -> None:
        task = self._tasks.start(self._check_once(target), name=f"check of {target.address}")
        self._probing[target] = task
        task.add_done_callback(partial(self._ended, target))

    async def _check_once(self, target: Target) -> None:
        try:
            failure = await self._probe(target.address, target.check)
        except ProbeNotPossible as trouble:
            self._complain(target, trouble)
        else:
            self._on_result(target, failure)

    def _ended(self, target: Target, task: asyncio.Task[None]) -> None:
        self._free.release()
        if self._probing.get(target) is task:  # otherwise it is no longer wanted, or wanted anew
            del self._probing[target]
            jitter = 1 + JITTER * (2 * self._random.random() - 1)
            self._schedule.put(target, self._clock() + target.check.interval * jitter)

    def _complain(self, target: Target, trouble: ProbeNotPossible) -> None:
        now = self._clock()
        if now >= self._complained_at + COMPLAINT_INTERVAL:
            self._complained_at = now
            _log.warning("health checks are not possible now (tried %s): %s", target.address, trouble)
