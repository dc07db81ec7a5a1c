"""Small real servers: each says its name to whoever connects, then echoes until the client is done."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Self

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import BACKENDS, free_address

_TURNS = 5
"""Turns of the loop, more than a connection takes from its accept to `Backend._serve`: nobody else could close it."""


class Backend:
    """A TCP server. `silent` ones never say their name."""

    def __init__(self, name: str, address: SocketAddress | None = None, *, silent: bool = False) -> None:
        self.name = name
        self.address = address or free_address(BACKENDS)
        self.accepted = 0
        self._silent = silent
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen (again, after `stop`, on the same address)."""
        host, port = self.address.host, self.address.port
        self._server = await asyncio.start_server(self._serve, host, port, backlog=1024)

    async def stop(self) -> None:
        """Stop as a killed process does: nothing listens, every connection is reset."""
        if self._server is None:
            return
        self._server.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for writer in tuple(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()
        self._server = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        try:
            if not self._silent:
                writer.write(f"{self.name}\n".encode())
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


def make_backends(count: int) -> Sequence[Backend]:
    """`count` of them, named ``backend-1`` and so on, not yet started."""
    return [Backend(f"backend-{index}") for index in range(1, count + 1)]
