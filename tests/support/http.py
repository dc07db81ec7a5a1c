"""Raw HTTP/1 peers: an origin that records and answers as it is told, and a client that reads to the byte."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.authorization import Authorization
from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.model import Assignment, Cluster, Endpoint, Listener, Protocol, Snapshot, Transport
from meshproxy.snapshot.routes import Backend, RouteTable, Rule, VirtualHost
from tests.support.dataplane import Plane

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Answer = Callable[["Received"], Awaitable[bytes | None]]


class Last(bytes):
    """An answer after which an origin hangs up."""


class Received:
    """A request as the origin had it. `body` is as it came, chunks included; `number` counts the connection's."""

    def __init__(self, head: bytes, body: bytes, number: int) -> None:
        self.head = head
        self.body = body
        self.number = number
        self.line, *lines = head[:-4].split(b"\r\n")
        self.fields = [tuple(line.split(b": ", 1)) for line in lines]

    def field(self, name: bytes) -> bytes | None:
        values = [each[1] for each in self.fields if each[0].lower() == name.lower()]
        assert len(values) < 2, (name, self.head)
        return values[0] if values else None


class Origin:
    """Answers each request with what `answer` gives: bytes; None hangs up. `requests` has them all."""

    def __init__(self, answer: Answer | bytes = OK) -> None:
        self.answer = answer
        self.tls: ssl.SSLContext | None = None
        self.requests: list[Received] = []
        self.connections = 0
        self.open = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.endpoint = Endpoint(address=SocketAddress("127.0.0.1", 1))

    async def start(self, **endpoint: Any) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20, ssl=self.tls)
        port = self._server.sockets[0].getsockname()[1]
        self.endpoint = Endpoint(address=SocketAddress("127.0.0.1", port), **endpoint)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self._writers.add(writer)
        number = 0
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                number += 1
                head = await reader.readuntil(b"\r\n\r\n")
                received = Received(head, await _body(reader, head), number)
                self.requests.append(received)
                answer = self.answer if isinstance(self.answer, bytes) else await self.answer(received)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if isinstance(answer, Last):
                    break
        self.open -= 1
        self._writers.discard(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    lower = head.lower()
    if b"\r\ntransfer-encoding: chunked\r\n" in lower:
        body = b""
        while not body.endswith(b"0\r\n\r\n"):
            body += await reader.readuntil(b"\r\n")
        return body
    if b"\r\ncontent-length: " in lower:
        return await reader.readexactly(int(lower.split(b"content-length: ")[1].split(b"\r\n")[0]))
    return b""


class Response:
    """`body` is decoded; `raw` is everything as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head = head
        self.body = body
        self.status = int(head.split(b" ")[1])
        self.fields = {
            name.lower(): value for name, value in (line.split(b": ", 1) for line in head[:-4].split(b"\r\n")[1:])
        }


class HTTPClient:
    """One connection; `ask` sends raw bytes and reads one response."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, data: bytes, *, to_head: bool = False) -> Response:
        await self.send(data)
        return await self.read(to_head=to_head)

    async def get(self, path: bytes = b"/", *fields: bytes) -> Response:
        lines = b"".join(field + b"\r\n" for field in (b"Host: s", *fields))
        return await self.ask(b"GET " + path + b" HTTP/1.1\r\n" + lines + b"\r\n")

    async def read(self, *, to_head: bool = False) -> Response:
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ")[1])
            lower = head.lower()
            if to_head or status < 200 or status in (204, 304):
                return Response(head, b"")
            if b"\r\ntransfer-encoding: chunked\r\n" in lower:
                return Response(head, await self._read_chunks())
            if b"\r\ncontent-length: " in lower:
                size = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
                return Response(head, await self.reader.readexactly(size))
            return Response(head, await self.reader.read())

    async def _read_chunks(self) -> bytes:
        body = b""
        while True:
            size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
            if not size:
                while await self.reader.readuntil(b"\r\n") != b"\r\n":
                    pass
                return body
            body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"

    async def is_closed(self) -> bool:
        """Wait for the end of the connection; False where bytes come instead."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class HTTPPlane(Plane):
    """A data plane with clusters ``c0``, ``c1`` … of one origin each, behind one HTTP listener."""

    def __init__(self) -> None:
        super().__init__(Transport.TCP)
        self.clients: list[HTTPClient] = []

    def route(
        self,
        *rules: Rule,
        origins: tuple[Origin, ...] = (),
        clusters: tuple[Cluster, ...] = (),
        assignments: tuple[Assignment, ...] = (),
        http: HTTPListener | None = None,
        protocol: Protocol = Protocol.HTTP,
        authorization: Authorization | None = None,
    ) -> None:
        """Serve `rules`, whose backends are ``c0`` for the first of `origins`, and so on."""
        names = [f"c{index}" for index in range(len(origins))]
        known = {cluster.name for cluster in clusters}
        made = tuple(Cluster(name=name, service="default/s") for name in names if name not in known)
        listener = Listener(
            name="l",
            address=SocketAddress(*self.address),
            transport=Transport.TCP,
            cluster="" if rules else "c0",
            routes="t" if rules else "",
            protocol=protocol,
            http=http or HTTPListener(),
            service="default/s",
            authorization=authorization.name if authorization is not None else "",
        )
        assigned = {assignment.cluster for assignment in assignments}
        given = tuple(
            Assignment(cluster=name, endpoints=(origin.endpoint,))
            for name, origin in zip(names, origins, strict=True)
            if name not in assigned
        )
        table = RouteTable(name="t", virtual_hosts=(VirtualHost(name="v", rules=rules),))
        self.apply_snapshot(
            Snapshot(
                version="v",
                listeners=(listener,),
                clusters=(*clusters, *made),
                assignments=(*assignments, *given),
                route_tables=(table,) if rules else (),
                authorizations=(authorization,) if authorization is not None else (),
            )
        )

    async def connect(self) -> HTTPClient:
        client = HTTPClient(*await asyncio.open_connection(*self.address, limit=2**20))
        self.clients.append(client)
        return client

    async def stop(self) -> None:
        for client in self.clients:
            client.writer.transport.abort()
            await client.close()
        for cluster in self.plane._clusters.values():
            cluster.pool.close_idle()
        self.close()


def rule(**fields: Any) -> Rule:
    """A rule that leads everything to ``c0``, with `fields` otherwise."""
    return Rule(**{"name": "r", "route": "HTTPRoute/default/r", "backends": (Backend(cluster="c0"),), **fields})
