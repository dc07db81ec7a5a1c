"""The socket between the supervisor and a worker: packets, with descriptors beside them."""

from __future__ import annotations

import array
import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

MAX_PACKET = 1 << 20
"""Bytes in a packet; Linux' limits on socket buffers are reached earlier."""
MAX_DESCRIPTORS = 253
"""Linux' `SCM_MAX_FD`."""
BATCH = 2
"""Packets taken before the loop looks at anything else: a large configuration comes in many."""
_SEND_BUFFER = 1 << 20

_log = logging.getLogger(__name__)

PacketSink = Callable[[memoryview, list[socket.socket]], None]


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected `SOCK_SEQPACKET` sockets (unix(7)): packet boundaries and their descriptors stay together."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for each in (ours, theirs):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    return ours, theirs


class Channel:
    """One end. Sends never block: what the kernel does not take yet waits here, in order."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_packet: PacketSink,
        on_closed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._on_packet = on_packet
        self._on_closed = on_closed
        self._queue: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._buffer = bytearray(MAX_PACKET)
        self._view = memoryview(self._buffer)
        self._open = True
        sock.setblocking(False)
        loop.add_reader(sock, self._readable)

    def send(self, packet: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send `packet`; the descriptors stay the caller's. Nothing once the other end is gone."""
        if not self._open:
            return
        if self._queue or not self._try_send(packet, descriptors):
            self._queue.append((packet, tuple(os.dup(each) for each in descriptors)))
            if len(self._queue) == 1:
                self._loop.add_writer(self._socket, self._writable)

    @property
    def is_behind(self) -> bool:
        """Whether the other end is slow to take what it is sent."""
        return bool(self._queue)

    def close(self) -> None:
        """Close this end; `on_closed` is not called."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        for _, descriptors in self._queue:
            _close_all(descriptors)
        self._queue.clear()

    def _try_send(self, packet: bytes, descriptors: Sequence[int]) -> bool:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self._socket.sendmsg([packet], rights)
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionError:
            self._lost()
        return True

    def _writable(self) -> None:
        while self._queue:
            packet, descriptors = self._queue[0]
            if not self._try_send(packet, descriptors) or not self._open:
                return
            self._queue.popleft()
            _close_all(descriptors)
        self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        space = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
        for _ in range(BATCH):
            if not self._open:
                return
            try:
                count, ancillary, flags, _ = self._socket.recvmsg_into([self._buffer], space)
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                count, ancillary, flags = 0, [], 0
            sockets = [sock for item in ancillary for sock in _received_sockets(*item)]
            if not count:
                self._lost()
                return
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                _log.error("a control packet of more than %d bytes was cut short", MAX_PACKET)
            self._on_packet(self._view[:count], sockets)

    def _lost(self) -> None:
        if self._open:
            self.close()
            self._on_closed()


def _received_sockets(level: int, kind: int, data: bytes) -> list[socket.socket]:
    if (level, kind) != (socket.SOL_SOCKET, socket.SCM_RIGHTS):
        return []
    descriptors = array.array("i")
    descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return [socket.socket(fileno=each) for each in descriptors]


def _close_all(descriptors: Sequence[int]) -> None:
    for each in descriptors:
        os.close(each)
