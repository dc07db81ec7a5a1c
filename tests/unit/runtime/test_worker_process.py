"""A real worker process, killed and stopped."""

from __future__ import annotations

import asyncio
import os
import signal

from meshproxy.runtime.worker_process import WorkerProcess, WorkerState
from meshproxy.snapshot.messages import Drain, Hello, ToSupervisor

DEADLINE = 20


class Watched:
    """A worker, what it said, and how often it ended."""

    def __init__(self) -> None:
        self.hellos: asyncio.Queue[int] = asyncio.Queue()
        self.exits: list[int] = []
        self.stop_at_exit = False
        self.worker = WorkerProcess(0, ("text", "warning"), self._said, self._ended)

    def _said(self, worker: WorkerProcess, message: ToSupervisor) -> None:
        if isinstance(message, Hello):
            self.hellos.put_nowait(message.pid)

    def _ended(self, worker: WorkerProcess, code: int) -> None:
        self.exits.append(code)
        if self.stop_at_exit:
            worker.stopping()

    async def hello(self) -> int:
        async with asyncio.timeout(DEADLINE):
            return await self.hellos.get()


async def test_a_killed_worker_is_started_again_until_it_is_told_to_stop() -> None:
    watched = Watched()
    running = asyncio.get_running_loop().create_task(watched.worker.run())
    first = await watched.hello()
    os.kill(first, signal.SIGKILL)
    second = await watched.hello()
    assert second != first
    assert watched.exits == [-signal.SIGKILL]
    assert watched.worker.restarts == 1
    watched.worker.send(Drain(1.0))
    watched.worker.stopping()
    async with asyncio.timeout(DEADLINE):
        await running
    assert watched.worker.state is WorkerState.STOPPED
    assert watched.exits == [-signal.SIGKILL]


async def test_a_worker_that_is_stopped_while_it_is_down_stays_down() -> None:
    watched = Watched()
    watched.stop_at_exit = True
    running = asyncio.get_running_loop().create_task(watched.worker.run())
    os.kill(await watched.hello(), signal.SIGKILL)
    async with asyncio.timeout(DEADLINE):
        await running
    assert watched.worker.state is WorkerState.STOPPED
    assert watched.hellos.empty()
