"""What every connection of a worker shares: readiness callbacks, timers, one receive buffer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshproxy.aio.timer_wheel import TimerWheel
from meshproxy.dataplane.descriptors import DescriptorBudget


class Reactor:
    """The loop's methods bound once, the worker's timer wheel, and its receive buffer.

    `buffer` is valid only inside one callback: who cannot pass bytes on at once copies them.
    """

    __slots__ = (
        "add_reader",
        "add_writer",
        "budget",
        "buffer",
        "loop",
        "now",
        "remove_reader",
        "remove_writer",
        "view",
        "wheel",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer_size: int, budget: DescriptorBudget) -> None:
        self.loop = loop
        self.now: Callable[[], float] = loop.time
        self.add_reader = loop.add_reader
        self.remove_reader = loop.remove_reader
        self.add_writer = loop.add_writer
        self.remove_writer = loop.remove_writer
        self.wheel = TimerWheel(loop.time)
        self.budget = budget
        self.resize_buffer(buffer_size)

    def resize_buffer(self, size: int) -> None:
        """Read up to `size` bytes from a peer at once, from now on."""
        self.buffer = bytearray(size)
        self.view = memoryview(self.buffer)
