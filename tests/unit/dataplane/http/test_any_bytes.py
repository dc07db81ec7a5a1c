"""The whole data plane under any bytes: a valid exchange or an orderly error, and what is forwarded is framed alike.

What it forwards is read by h11 and by llhttp (httptools) side by side, as the servers behind it would.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import h11
import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.model import Assignment, Cluster, Endpoint
from tests.support.http import OK, HTTPPlane
from tests.unit.protocols.http1 import messages

STEADY = settings(max_examples=250)
NEXT = b"GET /next HTTP/1.1\r\nHost: next\r\nConnection: close\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
LOCAL = {400, 408, 413, 417, 426, 431, 501, 502, 505}
PATIENCE = 10

Message = tuple[bytes, bytes, bytes]
"""Method, target, body."""


@dataclass
class Reading:
    """What one parser made of the bytes of a connection."""

    whole: list[Message] = field(default_factory=list)
    body: bytes = b""
    method: bytes = b""
    target: bytes = b""

    def end(self) -> None:
        self.whole.append((self.method, self.target, self.body))
        self.method = self.target = self.body = b""


class LLHTTP(Reading):
    """Requests as llhttp reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.is_out = False
        """Whether it met a method that it does not know, which nobody has to."""
        self._parser: Any = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError:
            self.is_out = True
        except httptools.HttpParserUpgrade as upgrade:  # which the server refuses
            self._parser = httptools.HttpRequestParser(self)
            rest = data[upgrade.args[0] :]
            if rest:
                self.feed(rest)

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_headers_complete(self) -> None:
        self.method = self._parser.get_method()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.end()


class H11(Reading):
    """Requests as h11 reads them."""

    def __init__(self) -> None:
        super().__init__()
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)

    def feed(self, data: bytes) -> None:
        self._connection.receive_data(data)
        while not isinstance(event := self._connection.next_event(), type):
            if isinstance(event, h11.Request):
                self.method, self.target = event.method, event.target
            elif isinstance(event, h11.Data):
                self.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self.end()
                self._connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                self._connection.send(h11.EndOfMessage())
                self._connection.start_next_cycle()


class World:
    """A data plane, an origin that does as it is told, and a client."""

    def __init__(self) -> None:
        self.answer: bytes | None = None
        """What the origin answers everything with before it hangs up; without it, it reads and answers as it should."""
        self.readings: list[tuple[H11, LLHTTP]] = []
        self.errors: list[BaseException] = []
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self.plane = HTTPPlane()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        endpoint = Endpoint(address=SocketAddress("127.0.0.1", server.sockets[0].getsockname()[1]))
        cluster, assigned = Cluster(name="c0", service="s"), Assignment(cluster="c0", endpoints=(endpoint,))
        self.plane.route(clusters=(cluster,), assignments=(assigned,), http=HTTPListener(header_timeout=0.1))
        self._server = server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        readings = H11(), LLHTTP()
        self.readings.append(readings)
        self._open.add(writer)
        try:
            while data := await reader.read(65536):
                if self.answer is not None:
                    writer.write(self.answer)
                    break
                before = len(readings[0].whole)
                for each in readings:
                    each.feed(data)
                for method, _, _ in readings[0].whole[before:]:
                    writer.write(OK[:-2] if method == b"HEAD" else OK)
        except ConnectionError:
            pass
        except (h11.ProtocolError, httptools.HttpParserError, AssertionError) as error:
            self.errors.append(error)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self._open.discard(writer)

    async def ask(self, data: bytes) -> tuple[bytes, bool]:
        """Send `data` and nothing more: (what comes back, whether that ended in a reset)."""
        received = b""
        reader, writer = await asyncio.open_connection(*self.plane.address)
        async with asyncio.timeout(PATIENCE):
            try:
                writer.write(data)
                writer.write_eof()
                while piece := await reader.read(65536):
                    received += piece
            except ConnectionError:
                return received, True
            finally:
                writer.transport.abort()
        return received, False

    async def settle(self) -> None:
        """Wait until the origin has heard of the end of every connection."""
        for cluster in self.plane.plane._clusters.values():
            cluster.pool.close_idle()
        await self.plane.wait_until(lambda: not self._open)

    async def stop(self) -> None:
        await self.plane.stop()
        self._server.close()


def in_a_world(
    check: Callable[[World, Callable[[Awaitable[None]], None]], None], log: pytest.LogCaptureFixture
) -> None:
    world = World()
    with asyncio.Runner() as runner:
        runner.run(world.start())
        try:
            check(world, lambda work: runner.run(_wait_for(work)))
        finally:
            runner.run(world.stop())
    assert not log.records


async def _wait_for(work: Awaitable[None]) -> None:
    await work


BODIES = (
    st.sampled_from([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n"]) | messages.chunked_bodies() | st.binary(max_size=20)
)
REQUESTS = st.tuples(messages.requests() | messages.noise(POST), BODIES).map(b"".join) | st.binary(max_size=100)


def test_requests(caplog: pytest.LogCaptureFixture) -> None:
    def check(world: World, run: Callable[[Awaitable[None]], None]) -> None:
        @STEADY
        @given(st.lists(REQUESTS, min_size=1, max_size=3).map(b"".join))
        @example(POST + NEXT)
        @example(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n")
        @example(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        def every(data: bytes) -> None:
            run(exchange(data))

        async def exchange(data: bytes) -> None:
            world.readings.clear()
            world.errors.clear()
            received, _ = await world.ask(data + NEXT)
            await world.settle()
            assert not world.errors
            for by_h11, by_llhttp in world.readings:
                assert by_llhttp.is_out or by_h11.whole == by_llhttp.whole
            statuses = [int(each) for each in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received)]
            assert set(statuses) <= LOCAL | {200}
            assert statuses.count(200) == sum(len(by_h11.whole) for by_h11, _ in world.readings)
            assert all(status == 200 for status in statuses[:-1]), "after an error the connection is closed"

        every()

    in_a_world(check, caplog)


RESPONSES = st.tuples(
    st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"]),
    messages.responses() | messages.noise(ANSWER),
    BODIES,
).map(b"".join) | st.binary(max_size=100)  # fmt: skip


def test_responses(caplog: pytest.LogCaptureFixture) -> None:
    def check(world: World, run: Callable[[Awaitable[None]], None]) -> None:
        @STEADY
        @given(RESPONSES)
        @example(ANSWER)
        @example(ANSWER[:-1])
        @example(ANSWER.replace(b"200", b"999"))
        @example(ANSWER + ANSWER)
        @example(b"HTTP/1.1 200 OK\r\n\r\nhello")
        def every(data: bytes) -> None:
            run(exchange(data))

        async def exchange(data: bytes) -> None:
            world.answer = data
            received, was_reset = await world.ask(GET)
            assert received or was_reset
            if not was_reset:
                status = read_response(received)
                assert status < 500 or status in (502, int((re.findall(rb"HTTP/1\.. ([0-9]{3})", data) or [0])[-1]))

        every()

    in_a_world(check, caplog)


def read_response(data: bytes) -> int:
    """The status of the one whole response that `data` must be."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a"), ("Connection", "close")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status = 0
    while not isinstance(event := connection.next_event(), (type, h11.ConnectionClosed, h11.EndOfMessage)):
        if isinstance(event, h11.Response):
            status = event.status_code
    assert isinstance(event, h11.EndOfMessage), data
    assert not connection.trailing_data[0], data
    return status
