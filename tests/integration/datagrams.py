"""UDP: a server that names itself, and a client that asks again when a datagram is lost."""

from __future__ import annotations

import asyncio
from typing import Self, cast

from meshproxy.base.addresses import SocketAddress


class _Socket(asyncio.DatagramProtocol):
    """A datagram socket that is really closed at the end of its `async with`."""

    _transport: asyncio.DatagramTransport

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # no subclass of it before Python 3.12

    def connection_lost(self, error: Exception | None) -> None:
        self._closed.set()

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close the socket; nothing when it is closed."""
        self._transport.close()
        await self._closed.wait()


class UDPBackend(_Socket):
    """Answers each datagram with its name, a colon and the datagram."""

    def __init__(self, name: str, address: SocketAddress) -> None:
        super().__init__()
        self.name = name
        self.address = address

    async def __aenter__(self) -> Self:
        local = (self.address.host, self.address.port)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=local)
        return self

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        self._transport.sendto(f"{self.name}:".encode() + data, peer)


class UDPClient(_Socket):
    """A socket whose only peer is `address`; replies come one at a time."""

    ATTEMPTS = 3

    def __init__(self, address: SocketAddress) -> None:
        super().__init__()
        self._address = address
        self._replies: asyncio.Queue[bytes] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        remote = (self._address.host, self._address.port)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, remote_addr=remote)
        return self

    def datagram_received(self, data: bytes, peer: object) -> None:
        self._replies.put_nowait(data)

    async def ask(self, data: bytes) -> bytes:
        """Send a datagram and wait for the next reply; UDP may lose it, so it is sent up to three times."""
        for _ in range(self.ATTEMPTS):
            self._transport.sendto(data)
            try:
                async with asyncio.timeout(2):
                    return await self._replies.get()
            except TimeoutError:
                continue
        raise AssertionError(f"no reply to {data!r}")
