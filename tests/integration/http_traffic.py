"""Clients that ask over and over on connections that they keep, and remember what failed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meshproxy.base.addresses import SocketAddress
from tests.integration.clients import PATIENCE
from tests.integration.conditions import wait_until


class HTTPTraffic:
    """`answered` counts bodies, `failures` says what else came. Who is refused a connection is done."""

    def __init__(self, address: SocketAddress, request: bytes) -> None:
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        self.refused = 0
        self._address = address
        self._request = request
        self._stopping = False

    def stop(self) -> None:
        """Begin no more requests."""
        self._stopping = True

    async def flow(self, count: int) -> None:
        """Return once `count` more requests were answered."""
        goal = self.answered.total() + count
        await wait_until(lambda: self.answered.total() >= goal, f"{count} more requests are answered")

    async def run(self) -> None:
        """One connection after the other."""
        while not self._stopping:
            try:
                reader, writer = await asyncio.open_connection(self._address.host, self._address.port)
            except ConnectionRefusedError:
                self.refused += 1
                return
            try:
                await self._use(reader, writer)
            except (OSError, EOFError, TimeoutError) as error:
                self.failures.append(repr(error))
            finally:
                writer.transport.abort()

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not self._stopping:
            async with asyncio.timeout(PATIENCE):
                writer.write(self._request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            if head.startswith(b"http/1.1 200 "):
                self.answered[body.decode().strip()] += 1
            else:
                self.failures.append(head.decode())
            if b"\r\nconnection: close\r\n" in head:
                return


@asynccontextmanager
async def http_traffic(
    address: SocketAddress, concurrency: int = 8, request: bytes = b"GET / HTTP/1.1\r\nHost: s\r\n\r\n"
) -> AsyncIterator[HTTPTraffic]:
    """Traffic that flows while the body runs."""
    stream = HTTPTraffic(address, request)
    async with asyncio.TaskGroup() as group:
        for index in range(concurrency):
            group.create_task(stream.run(), name=f"http traffic {index}")
        try:
            yield stream
        finally:
            stream.stop()
