"""Clients: one connection, a number of them, or a steady stream that remembers what failed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from meshproxy.base.addresses import SocketAddress
from tests.integration.conditions import wait_until

PATIENCE = 10.0
"""Seconds within which a connection must be answered."""


class Client:
    """A connection to a `Backend`, through a proxy; `name` is whose it is."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self.reader = reader
        self.writer = writer
        self.name = name

    @classmethod
    async def connect(cls, address: SocketAddress, source: str | None = None) -> Self:
        """Connect and wait for the backend's name; raises `ConnectionError` when the connection ends without."""
        local = (source, 0) if source else None
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(address.host, address.port, local_addr=local)
            try:
                line = await reader.readline()
            except BaseException:
                writer.transport.abort()
                raise
        if not line:
            writer.transport.abort()
            raise ConnectionResetError("closed before the backend said its name")
        return cls(reader, writer, line.decode().strip())

    async def echo(self, data: bytes) -> bytes:
        """Send `data` and read as much back."""
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(len(data))

    async def ended(self) -> bytes:
        """What still comes until the other side closes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


async def who_answers(address: SocketAddress, source: str | None = None) -> str:
    """The name of the backend that gets a new connection."""
    client = await Client.connect(address, source)
    await client.close()
    return client.name


async def shares(address: SocketAddress, count: int, source: str | None = None) -> Counter[str]:
    """How many of `count` connections, one after the other, went to whom."""
    return Counter([await who_answers(address, source) for _ in range(count)])


async def is_refused(address: SocketAddress) -> bool:
    """Whether a new connection is refused or reset, which must be at once."""
    try:
        async with asyncio.timeout(2):
            await who_answers(address)
    except ConnectionError:
        return True
    return False


@dataclass(frozen=True)
class Failure:
    """A connection that failed: when it began (loop time), whether nobody listened, and why."""

    began: float
    refused: bool
    why: str


class Traffic:
    """New connections, a few at a time, each exchanging some bytes; bounded by `limit`."""

    def __init__(self, address: SocketAddress, limit: int) -> None:
        self.answered: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self._address = address
        self._left = limit
        self._stopping = False

    @property
    def total(self) -> int:
        return self.answered.total() + len(self.failures)

    async def flow(self, count: int) -> None:
        """Return once `count` more connections were answered."""
        goal = self.answered.total() + count
        await wait_until(lambda: self.answered.total() >= goal, f"{count} more connections are answered")

    async def reach(self, name: str) -> None:
        """Return once the backend `name` answered one more."""
        goal = self.answered[name] + 1
        await wait_until(lambda: self.answered[name] >= goal, f"{name} answers")

    def stop(self) -> None:
        """Begin no more connections."""
        self._stopping = True

    async def run(self) -> None:
        """One client after the other."""
        while self._left > 0 and not self._stopping:
            self._left -= 1
            await self._once()

    async def _once(self) -> None:
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(self._address.host, self._address.port)
                try:
                    self.answered[await self._exchange(reader, writer)] += 1
                finally:
                    writer.transport.abort()
        except (OSError, EOFError, TimeoutError) as error:
            refused = isinstance(error, ConnectionRefusedError)
            self.failures.append(Failure(began, refused, f"{type(error).__name__}: {error}"))

    @staticmethod
    async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        name = await reader.readuntil(b"\n")
        writer.write(b"ping")
        await reader.readexactly(4)
        return name.decode().strip()


@asynccontextmanager
async def traffic(address: SocketAddress, concurrency: int = 4, limit: int = 100_000) -> AsyncIterator[Traffic]:
    """Traffic that flows while the body runs."""
    stream = Traffic(address, limit)
    async with asyncio.TaskGroup() as group:
        for index in range(concurrency):
            group.create_task(stream.run(), name=f"traffic {index}")
        try:
            yield stream
        finally:
            stream.stop()
