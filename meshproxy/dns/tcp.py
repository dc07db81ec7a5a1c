"""The DNS server's TCP side: messages with their length before them (RFC 1035 §4.2.2, RFC 7766)."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from typing import cast

from meshproxy.dns.front import Front, Guests
from meshproxy.dns.udp import MAX_QUERY

MAX_CONNECTIONS = 256
"""Open connections; for one more the one that was idle longest is closed (dnsmasq: 20 at most)."""
IDLE_TIMEOUT = 10.0
"""Seconds without a whole query or an answer after which a connection is closed (RFC 7766 §6.2.3)."""
MAX_PIPELINED = 32
"""Queries of one connection that wait for an upstream; more are not read yet."""
BACKLOG = 128


class TCPServer:
    """Answers on connections to `sock`, which it owns, once it is started."""

    def __init__(self, sock: socket.socket, front: Front, guests: Guests) -> None:
        sock.listen(BACKLOG)
        self.front = front
        self.connections: OrderedDict[Connection, float] = OrderedDict()
        """Each with when it was last active, the longest idle one first."""
        self._guests = guests
        self._sock = sock
        self._server: asyncio.Server | None = None
        self._starting = False
        self._closed = asyncio.Event()

    async def start(self) -> None:
        if self._closed.is_set():
            return
        self._starting = True
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=self._sock, backlog=BACKLOG)
        if self._closed.is_set():
            self._server.close()

    def close(self) -> None:
        """Also before, or while, it is started."""
        self._closed.set()
        if self._server is not None:
            self._server.close()
        elif not self._starting:
            self._sock.close()
        for connection in tuple(self.connections):
            connection.abort()

    def sweep(self) -> None:
        """Close connections that are idle for too long."""
        latest = self.front.clock() - IDLE_TIMEOUT
        for connection, active_at in tuple(self.connections.items()):
            if active_at > latest:
                return
            connection.abort()

    def admits(self, connection: Connection, host: str) -> bool:
        """Whether a new connection may stay."""
        if self._guests.checks and not self._guests.may_ask(host):
            return False
        if len(self.connections) >= MAX_CONNECTIONS:
            next(iter(self.connections)).abort()
        self.active(connection)
        return True

    def active(self, connection: Connection) -> None:
        self.connections[connection] = self.front.clock()
        self.connections.move_to_end(connection)


class Connection(asyncio.Protocol):
    """One client's connection. Answers may overtake each other (RFC 7766 §7)."""

    def __init__(self, server: TCPServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting = 0
        self._ended = False
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._server.admits(self, transport.get_extra_info("peername")[0]):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.connections.pop(self, None)

    def abort(self) -> None:
        self._server.connections.pop(self, None)
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._read()

    def eof_received(self) -> bool:
        """The client asks nothing more, and may wait for answers yet."""
        self._ended = True
        return self._waiting > 0

    def pause_writing(self) -> None:
        self._full = True
        self._control_reading()

    def resume_writing(self) -> None:
        self._full = False
        self._control_reading()
        self._read()

    def _read(self) -> None:
        """Answer every whole message in the buffer, as long as answers can leave."""
        while not self._is_busy() and len(self._buffer) >= 2:
            size = int.from_bytes(self._buffer[:2], "big")
            if size > MAX_QUERY:
                self.abort()
                return
            if len(self._buffer) < 2 + size:
                return
            message = bytes(self._buffer[2 : 2 + size])
            del self._buffer[: 2 + size]
            self._server.active(self)
            self._waiting += 1
            reply = self._server.front.known(message)
            if reply is not None:
                self._respond(reply)
            else:
                self._server.front.serve(message, self._respond)
        self._control_reading()

    def _respond(self, reply: bytes) -> None:
        self._waiting -= 1
        if self._transport is None or self._transport.is_closing():
            return
        if reply:
            self._server.active(self)
            self._transport.write(len(reply).to_bytes(2, "big") + reply)
        if self._ended and not self._waiting:
            self._transport.close()
        elif self._waiting == MAX_PIPELINED - 1:
            asyncio.get_running_loop().call_soon(self._read)

    def _is_busy(self) -> bool:
        return self._full or self._waiting >= MAX_PIPELINED or self._transport is None

    def _control_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if self._is_busy():
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
