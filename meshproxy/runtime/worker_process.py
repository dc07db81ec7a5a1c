"""One worker as the supervisor sees it: a child process that is kept alive."""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import random
import socket
import sys
from collections.abc import Callable, Sequence

from meshproxy.base.backoff import Backoff
from meshproxy.runtime.channel import Channel, channel_pair
from meshproxy.snapshot.messages import Message, ToSupervisor, decode_to_supervisor, encode

RESTART_DELAY = 0.1
MAX_RESTART_DELAY = 5.0
"""Seconds; the delay doubles while a worker dies young."""
STABLE_AFTER = 10.0
"""Seconds after which a worker's death is not held against it: it is restarted at once."""

_log = logging.getLogger(__name__)


class WorkerState(enum.StrEnum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


MessageSink = Callable[["WorkerProcess", ToSupervisor], None]


class WorkerProcess:
    """Runs worker number `index`, and runs it again whenever it dies, until it is told to stop.

    `on_message` gets everything the worker says; `on_exit` is called at each death, before
    the restart.
    """

    def __init__(
        self,
        index: int,
        log_options: tuple[str, str],
        on_message: MessageSink,
        on_exit: Callable[[WorkerProcess, int], None],
    ) -> None:
        self.index = index
        self.state = WorkerState.STARTING
        self.pid = 0
        self.restarts = 0
        self.started_at = 0.0
        self._log_options = log_options
        self._on_message = on_message
        self._on_exit = on_exit
        self._channel: Channel | None = None
        self._backoff = Backoff(RESTART_DELAY, MAX_RESTART_DELAY, random.random)

    async def run(self) -> None:
        """Keep the worker alive; returns once it ended after `stopping` was said."""
        loop = asyncio.get_running_loop()
        while self.state is not WorkerState.STOPPED:
            self.started_at = loop.time()
            code = await self._run_once(loop)
            if self.state is WorkerState.DRAINING:
                self.state = WorkerState.STOPPED
                return
            self.state = WorkerState.STARTING
            self._on_exit(self, code)
            if loop.time() - self.started_at >= STABLE_AFTER:
                self._backoff.reset()
            else:
                await asyncio.sleep(self._backoff.next_delay())
            self.restarts += 1

    async def _run_once(self, loop: asyncio.AbstractEventLoop) -> int:
        ours, theirs = channel_pair()
        try:
            process = await self._spawn(theirs)
        except OSError as error:
            ours.close()
            _log.error("worker %d could not be started: %s", self.index, error.strerror)
            return -1
        finally:
            theirs.close()
        self.pid = process.pid
        self._channel = Channel(loop, ours, self._received, lambda: None)
        try:
            return await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        finally:
            self._channel.close()
            self._channel = None

    async def _spawn(self, control: socket.socket) -> asyncio.subprocess.Process:
        command = (sys.executable, "-m", "meshproxy.runtime.worker", str(control.fileno()), *self._log_options)
        return await asyncio.create_subprocess_exec(
            *command, pass_fds=(control.fileno(),), stdin=asyncio.subprocess.DEVNULL, env=os.environ.copy()
        )

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Tell the worker; nothing while it is down (it is told everything when it is back)."""
        if self._channel is not None:
            self._channel.send(encode(message), descriptors)

    def stopping(self) -> None:
        """Its next exit is meant."""
        self.state = WorkerState.DRAINING if self._channel is not None else WorkerState.STOPPED

    def _received(self, packet: memoryview, sockets: list[socket.socket]) -> None:
        for each in sockets:
            each.close()  # workers send none
        self._on_message(self, decode_to_supervisor(packet))
