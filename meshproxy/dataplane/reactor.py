"""What every connection of a worker shares: readiness, timers, one receive buffer.

Theory of operation. Connections are registered with an epoll instance of our own, and the event
loop watches that one descriptor. Compared with the loop's `add_reader` for every socket this
costs a system call for each round of events, and saves more than that for each event and for
each connection. Above all it keeps the meaning of epoll: uvloop stops watching a socket at
its first POLLERR, when a reset peer's last bytes may still wait to be read.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
from collections.abc import Callable
from typing import Final, Protocol

from meshproxy.aio.timer_wheel import TimerWheel
from meshproxy.dataplane.descriptors import DescriptorBudget

_READABLE: Final[int] = select.EPOLLIN
_WRITABLE: Final[int] = select.EPOLLOUT
_BROKEN: Final[int] = select.EPOLLERR | select.EPOLLHUP
_READ_EVENTS: Final[int] = _READABLE | _BROKEN
_WRITE_EVENTS: Final[int] = _WRITABLE | _BROKEN
MAX_EVENTS: Final = 256
"""Events taken at once."""
BUSY_EVENTS: Final = 3
"""With so many events at once it pays to look for more before the loop's own work has its turn."""
MAX_ROUNDS: Final = 8
"""Looks before it has its turn in any case."""

_log = logging.getLogger(__name__)

Callback = Callable[[], None]


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class _Watch:
    """What is to be called for one descriptor."""

    __slots__ = ("failed", "reader", "writer")

    def __init__(self) -> None:
        self.failed = False
        self.reader: Callback | None = None
        self.writer: Callback | None = None


class Reactor:
    """The worker's readiness callbacks (level-triggered), its timer wheel, and its receive buffer.

    A callback is told of errors, too: its next read or write finds out which. `buffer` is
    valid only inside one callback: who cannot pass bytes on at once copies them. `time` is the clock's as the
    callback at hand began; who is called by a timer asks for `look_at_clock` first.
    """

    __slots__ = ("_epoll", "_loop", "_watches", "budget", "buffer", "now", "time", "view", "wheel")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        buffer_size: int,
        budget: DescriptorBudget,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock` goes with the loop's, which it is by default, and may tell shorter times apart."""
        self._loop = loop
        self._epoll = select.epoll()
        self._watches: dict[int, _Watch] = {}
        self.now: Callable[[], float] = clock or loop.time
        self.time = self.now()
        self.wheel = TimerWheel(loop.time)
        self.budget = budget
        self.resize_buffer(buffer_size)
        loop.add_reader(self._epoll, self._dispatch)
        self.wheel.start(loop)

    def resize_buffer(self, size: int) -> None:
        """Read up to `size` bytes from a peer at once, from now on."""
        self.buffer = bytearray(size)
        self.view = memoryview(self.buffer)

    def look_at_clock(self) -> float:
        """Bring `time` up to date."""
        self.time = self.now()
        return self.time

    def soon(self, callback: Callback) -> None:
        """Call `callback` when everybody else had a turn."""
        self._loop.call_soon(callback)

    def close(self) -> None:
        """Call nothing any more."""
        self._loop.remove_reader(self._epoll)
        self.wheel.stop()
        self._epoll.close()

    def add_reader(self, sock: HasFileno, callback: Callback) -> None:
        """Call `callback` whenever `sock` is readable, or broken."""
        descriptor = sock.fileno()
        watch = self._watches.get(descriptor)
        if watch is None:
            watch = self._watches[descriptor] = _Watch()
            self._epoll.register(descriptor, _READABLE)
        elif watch.reader is None:
            self._epoll.modify(descriptor, _READABLE | _WRITABLE)
        watch.reader = callback

    def add_writer(self, sock: HasFileno, callback: Callback) -> None:
        """Call `callback` whenever `sock` is writable, or broken."""
        descriptor = sock.fileno()
        watch = self._watches.get(descriptor)
        if watch is None:
            watch = self._watches[descriptor] = _Watch()
            self._epoll.register(descriptor, _WRITABLE)
        elif watch.writer is None:
            self._epoll.modify(descriptor, _READABLE | _WRITABLE)
        watch.writer = callback

    def remove_reader(self, sock: HasFileno) -> None:
        """Call the reader of `sock` no more; nothing where there is none."""
        descriptor = sock.fileno()
        watch = self._watches.get(descriptor)
        if watch is None or watch.reader is None:
            return
        watch.reader = None
        self._shrink(descriptor, watch, _WRITABLE)

    def remove_writer(self, sock: HasFileno) -> None:
        """Call the writer of `sock` no more; nothing where there is none."""
        descriptor = sock.fileno()
        watch = self._watches.get(descriptor)
        if watch is None or watch.writer is None:
            return
        watch.writer = None
        self._shrink(descriptor, watch, _READABLE)

    def forget(self, sock: HasFileno) -> None:
        """Call nothing for `sock` any more; to be called before it is closed, which takes it out of epoll."""
        self._watches.pop(sock.fileno(), None)

    def _shrink(self, descriptor: int, watch: _Watch, remaining: int) -> None:
        if watch.reader is None and watch.writer is None:
            # Not left in with no events: epoll reports errors whether asked or not, over and over.
            del self._watches[descriptor]
            self._epoll.unregister(descriptor)
        else:
            self._epoll.modify(descriptor, remaining)

    def _hang_up(self, descriptor: int) -> None:
        """End a connection whose callback failed: its owner finds an end of file, and peers wait for nothing.

        One that fails at that, too, is watched no more. Listening sockets and those for datagrams serve others.
        """
        watch = self._watches.get(descriptor)
        if watch is None:
            return
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            if sock.type != socket.SOCK_STREAM or sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the peer was quicker
        if watch.failed:
            del self._watches[descriptor]
            self._epoll.unregister(descriptor)
        watch.failed = True

    def _dispatch(self) -> None:
        """Call whoever is ready. While many are, look again at once: a way through the loop costs a system call.

        A callback may close any socket of its round, or open a new one under the same number:
        that one is called for nothing, and finds nothing to read.
        """
        watches = self._watches
        for _ in range(MAX_ROUNDS):
            ready = self._epoll.poll(0, MAX_EVENTS)
            for descriptor, events in ready:
                self.time = self.now()
                try:
                    if events & _READ_EVENTS:
                        watch = watches.get(descriptor)
                        if watch is not None and watch.reader is not None:
                            watch.reader()
                    if events & _WRITE_EVENTS:
                        watch = watches.get(descriptor)
                        if watch is not None and watch.writer is not None:
                            watch.writer()
                except Exception:  # noqa: BLE001 one connection's mistake must not stop the others
                    _log.exception("a callback failed")
                    self._hang_up(descriptor)
            if len(ready) < BUSY_EVENTS:
                return
