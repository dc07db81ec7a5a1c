from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import pytest

from meshproxy.base.addresses import SocketAddress

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Serve(Protocol):
    """Starts a server, on a free port unless one is asked for, and says where."""

    async def __call__(self, handler: Handler, host: str = ..., port: int = ...) -> SocketAddress: ...


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers, and ends them with the test."""
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []

    async def start(handler: Handler, host: str = "127.0.0.1", port: int = 0) -> SocketAddress:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await handler(reader, writer)

        server = await asyncio.start_server(handle, host, port)
        servers.append(server)
        return SocketAddress(*server.sockets[0].getsockname())

    yield start
    for server in servers:
        server.close()
    for writer in writers:
        writer.close()
