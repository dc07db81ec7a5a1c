"""A server that answers as a Consul agent would not: for the faults that a real one cannot be made to show."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

CURRENT = "current"


class Reply(NamedTuple):
    """An answer to a request.

    `at` is its index, by default how often the server was told something; None for none. `length` is what
    Content-Length claims, and `wait` how long it takes.
    """

    body: bytes = b"[]"
    status: int = 200
    at: str | None = CURRENT
    length: int | None = None
    wait: float = 0.0

    def encode(self, current: str) -> bytes:
        index = "" if self.at is None else f"X-Consul-Index: {current if self.at == CURRENT else self.at}\r\n"
        length = len(self.body) if self.length is None else self.length
        return f"HTTP/1.1 {self.status} Said\r\n{index}Content-Length: {length}\r\n\r\n".encode() + self.body


def instances(*ids: str, **service: Any) -> Reply:
    """What ``/v1/health/service/web`` answers."""
    found = [
        {"Node": {"Node": "n", "Address": "10.0.0.1"}, "Service": {"ID": id, "Service": "web", "Port": 80, **service}}
        for id in ids  # noqa: A001
    ]
    return Reply(json.dumps(found).encode())


SERVICES = Reply(b'{"web": []}')


class FakeConsul:
    """`answer` gives the reply to a path; queries with the index that it would have block until that changes.

    By default there is one service, ``web``, with the instance ``web-1``.
    """

    def __init__(self) -> None:
        self.answer: Callable[[str], Reply] = self.well
        self.blocks = True
        self.requests: list[str] = []
        self.port = 0
        self._told = 1
        self._changed = asyncio.Event()

    @staticmethod
    def well(path: str) -> Reply:
        return SERVICES if path.startswith("/v1/catalog/services") else instances("web-1")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def now(self, answer: Callable[[str], Reply]) -> None:
        """Answer so from now on, to those who wait as well."""
        self.answer = answer
        self._told += 1
        self._changed.set()
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeConsul]:
        tasks: set[asyncio.Task[Any]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await self._serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _index_of(self, path: str) -> str | None:
        index = self.answer(path).at
        return str(self._told) if index == CURRENT else index

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ")[1]
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length is not None else 0)
            self.requests.append(path)
            while self.blocks and f"index={self._index_of(path)}&" in path:
                await self._changed.wait()
            reply = self.answer(path)
            await asyncio.sleep(reply.wait)
            writer.write(reply.encode(str(self._told)))
            await writer.drain()
            if reply.length is not None:
                return
