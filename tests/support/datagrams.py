"""UDP on loopback without transports: clients that see who answers, and servers that can die."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.model import Endpoint

DEADLINE = 10


class Datagrams:
    """A UDP socket whose datagrams queue up, each with the address that it came from."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._loop = asyncio.get_running_loop()
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((host, 0))
        self.address = SocketAddress(*self.socket.getsockname()[:2])
        self._queue: asyncio.Queue[tuple[bytes, SocketAddress]] = asyncio.Queue()
        self._loop.add_reader(self.socket, self._readable)

    def _readable(self) -> None:
        try:
            data, peer = self.socket.recvfrom(65535)
        except OSError:
            return  # an ICMP error: of no interest here
        self.received(data, SocketAddress(*peer[:2]))

    def received(self, data: bytes, peer: SocketAddress) -> None:
        self._queue.put_nowait((data, peer))

    def send(self, data: bytes, peer: SocketAddress) -> None:
        self.socket.sendto(data, (peer.host, peer.port))

    async def receive(self) -> tuple[bytes, SocketAddress]:
        """The next datagram and where it came from; fails after a deadline."""
        async with asyncio.timeout(DEADLINE):
            return await self._queue.get()

    async def ask(self, data: bytes, peer: SocketAddress) -> bytes:
        """Send `data` and return the answer, which must come from where `data` went."""
        self.send(data, peer)
        answer, source = await self.receive()
        assert source == peer
        return answer

    @property
    def silent(self) -> bool:
        """Whether nothing waits to be received."""
        return self._queue.empty()

    def close(self) -> None:
        """Close the socket: whoever sends to it gets "port unreachable"."""
        if self.socket.fileno() >= 0:
            self._loop.remove_reader(self.socket)
            self.socket.close()


Answer = Callable[[bytes], bytes | None]


def echo(data: bytes) -> bytes:
    """Send everything back."""
    return data


class Server(Datagrams):
    """Keeps what comes in `got`, and sends back what `answer` makes of it; None is no answer."""

    def __init__(self, host: str = "127.0.0.1", answer: Answer = echo, **endpoint: Any) -> None:
        super().__init__(host)
        self.answer = answer
        self.got: list[bytes] = []
        self.peers: set[SocketAddress] = set()
        self.endpoint = Endpoint(address=self.address, **endpoint)

    def received(self, data: bytes, peer: SocketAddress) -> None:
        self.got.append(data)
        self.peers.add(peer)
        answer = self.answer(data)
        if answer is not None:
            self.send(answer, peer)


MakeServer = Callable[..., Server]
MakeClient = Callable[..., Datagrams]
