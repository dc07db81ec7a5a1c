"""Peers that are slow, half-closed or in a hurry: what waits is bounded, and nothing that is owed is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.build import is_compiled
from meshproxy.dataplane.http.downstream import MAX_HELD
from meshproxy.dataplane.http.exchange import Exchange
from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.model import Assignment, Cluster, Endpoint
from meshproxy.snapshot.routes import RetryCondition, RetryPolicy
from tests.support.dataplane import Handler, wait_until
from tests.support.http import OK, HTTPClient, HTTPPlane, Received, rule
from tests.unit.dataplane.http.conftest import MakeOrigin

GET = b"GET / HTTP/1.1\r\nHost: s\r\n\r\n"
RETRY = RetryPolicy(attempts=3, statuses=(503,), conditions=tuple(RetryCondition), backoff=0.001)
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[Endpoint]:
    """A server whose connections `handler` has."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            await handler(reader, writer)
            writer.close()
            await writer.wait_closed()
        except (EOFError, ConnectionError):
            writer.transport.abort()
        finally:
            writers.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**20)
    yield Endpoint(address=SocketAddress("127.0.0.1", server.sockets[0].getsockname()[1]))
    server.close()
    for each in writers:
        each.transport.abort()
    await wait_until(lambda: not writers)


def lead_to(plane: HTTPPlane, endpoint: Endpoint, http: HTTPListener | None = None) -> None:
    cluster = Cluster(name="c0", service="default/s")
    assignment = Assignment(cluster="c0", endpoints=(endpoint,))
    plane.route(rule(retry=RETRY), clusters=(cluster,), assignments=(assignment,), http=http)


async def connect_slowly(plane: HTTPPlane) -> HTTPClient:
    """A client whose kernel takes next to nothing for it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, plane.address)
    client = HTTPClient(*await asyncio.open_connection(sock=sock, limit=2**16))
    plane.clients.append(client)
    return client


def held(plane: HTTPPlane) -> int:
    """Bytes that connections hold for their clients and of their requests."""
    (listener,) = plane.plane._listeners.values()
    rests = [(each._outbox._rest or b"", each._input) for each in listener.connections]  # type: ignore[union-attr]
    return sum(len(rest) + len(data) for rest, data in rests)


# -- half-closed clients ------------------------------------------------------------------


async def test_a_half_closed_client_gets_all_of_a_large_response(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    body = bytes(range(256)) * 20_000
    origin = await make_origin(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    plane.route(origins=(origin,))
    for fields in (b"", b"Connection: close\r\n"):
        client = await connect_slowly(plane)
        client.writer.write(b"GET / HTTP/1.1\r\nHost: s\r\n" + fields + b"\r\n")
        client.writer.write_eof()
        assert (await client.read()).body == body
        assert await client.is_closed()


async def test_a_half_closed_client_gets_every_answer(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    client.writer.write(GET * 5)
    client.writer.write_eof()
    assert [(await client.read()).body for _ in range(5)] == [b"ok"] * 5
    assert await client.is_closed()


async def test_a_half_closed_client_may_be_answered_slowly(plane: HTTPPlane) -> None:
    """Once its response began, the grace for half-closed clients is over."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        await asyncio.sleep(1.5)  # what is tested is that time passes
        writer.write(b"k")

    async with served(serve) as endpoint:
        lead_to(plane, endpoint)
        client = await plane.connect()
        client.writer.write(GET)
        client.writer.write_eof()
        assert (await client.read()).body == b"ok"


# -- slow clients -------------------------------------------------------------------------


async def test_who_asks_and_never_reads_is_answered_no_further(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + bytes(10_000)
    origin = await make_origin(answer)
    plane.route(origins=(origin,))
    client = await connect_slowly(plane)
    requests = GET * 5000
    client.writer.write(requests)
    await plane.wait_until(lambda: held(plane) > MAX_HELD)
    count = -1
    while count != len(origin.requests):  # until it asks for no more
        count = len(origin.requests)
        await asyncio.sleep(0.1)
    assert count < 2000
    assert held(plane) < 200_000
    assert [(await client.read()).status for _ in range(5000)] == [200] * 5000


async def test_a_flood_of_interim_responses_waits_for_the_client(plane: HTTPPlane) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: <" + b"x" * 60_000 + b">\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(90):
            writer.write(interim)
            await writer.drain()
        writer.write(OK)

    async with served(serve) as endpoint:
        lead_to(plane, endpoint)
        client = await connect_slowly(plane)
        await client.send(GET)
        await plane.wait_until(lambda: held(plane) > 0)
        most = 0
        for _ in range(90):
            most = max(most, held(plane))
            assert (await client.read()).status == 103
        assert most < 150_000
        assert (await client.read()).body == b"ok"


async def test_interim_responses_without_end_are_a_502(plane: HTTPPlane) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
                await writer.drain()

    async with served(serve) as endpoint:
        lead_to(plane, endpoint)
        client = await plane.connect()
        await client.send(GET)
        response = await client.read()
        while response.status == 100:
            response = await client.read()
        assert response.status == 502


async def test_draining_owes_clients_what_they_were_promised(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    body = bytes(15_000)
    origin = await make_origin(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    plane.route(origins=(origin,))
    slow, late = await connect_slowly(plane), await plane.connect()
    assert (await late.get()).status == 200
    asked = 0
    while not held(plane):
        await slow.send(GET)
        asked += 1
        await plane.wait_until(lambda: len(origin.requests) == asked + 1)  # noqa: B023
    late.writer.write(GET)  # which is in the kernel's queue, and not seen yet
    plane.plane.stop_accepting()
    assert [(await slow.read()).body for _ in range(asked)] == [body] * asked
    response = await late.read()
    assert (response.body, response.fields[b"connection"]) == (body, b"close")
    assert await slow.is_closed()
    assert await late.is_closed()


# -- uploads ------------------------------------------------------------------------------


async def test_an_upload_that_waited_for_its_turn_goes_on(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def answer(request: Received) -> bytes:
        if request.line.startswith(b"GET"):
            await turn.wait()
        return OK

    turn = asyncio.Event()
    origin = await make_origin(answer)
    plane.route(origins=(origin,), clusters=(Cluster(name="c0", service="default/s", max_requests=1),))
    first, second = await plane.connect(), await plane.connect()
    await first.send(GET)
    await plane.wait_until(lambda: len(origin.requests) == 1)
    body = bytes(range(256)) * 20_000
    second.writer.write(b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    await plane.wait_until(lambda: held_of_body(plane) > MAX_HELD)
    turn.set()
    assert (await second.read()).status == 200
    assert origin.requests[-1].body == body
    assert (await first.read()).status == 200


def held_of_body(plane: HTTPPlane) -> int:
    (listener,) = plane.plane._listeners.values()
    exchanges = [each._exchange for each in listener.connections]  # type: ignore[union-attr]
    return max(len(exchange.body.bytes()) for exchange in exchanges)


async def test_a_body_is_whole_in_every_try(plane: HTTPPlane) -> None:
    """It goes on coming while a try has failed and the next one has not begun; the first try answers early."""
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if not bodies:
            bodies.append(await reader.readexactly(4))
            writer.write(BUSY)
        else:
            bodies.append(await reader.readexactly(len(body)))
            writer.write(OK)

    body = bytes(range(256)) * 1000
    async with served(serve) as endpoint:
        cluster = Cluster(name="c0", service="default/s")
        retry = RetryPolicy(attempts=1, statuses=(503,), conditions=(RetryCondition.STATUS,), backoff=0.5)
        assigned = Assignment(cluster="c0", endpoints=(endpoint,))
        plane.route(rule(retry=retry), clusters=(cluster,), assignments=(assigned,))
        client = await plane.connect()
        await client.send(b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body[:4]))
        await plane.wait_until(lambda: plane.plane._clusters["c0"].pool.retries == 1)
        assert (await client.ask(body[4:])).status == 200
    assert bodies[1] == body


async def test_a_connection_with_half_a_request_serves_no_other(plane: HTTPPlane) -> None:
    """The endpoint answers before the body came, and the policy tries again: on another connection."""
    seen: list[list[bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines: list[bytes] = []
        seen.append(lines)
        while head := await reader.read(65536):
            lines.append(head.partition(b"\r\n")[0])
            writer.write(BUSY if len(seen) < 3 else OK)

    async with served(serve) as endpoint:
        lead_to(plane, endpoint)
        client, other = await plane.connect(), await plane.connect()
        await client.send(b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 1000\r\n\r\nsome")
        assert (await client.read()).status == 200
        assert (await other.get(b"/other")).status == 200
    assert [line for lines in seen for line in lines] == [b"PUT / HTTP/1.1"] * 3 + [b"GET /other HTTP/1.1"]
    assert len(seen) == 4


async def test_a_long_upload_does_not_meet_a_closed_connection(plane: HTTPPlane) -> None:
    """It could not be sent a second time."""
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"PUT"):
                await reader.readexactly(1_000_000)
            writer.write(OK)

    async with served(serve) as endpoint:
        lead_to(plane, endpoint)
        client = await plane.connect()
        assert (await client.get()).status == 200
        with socket.socket(fileno=socket.dup(connections[0].get_extra_info("socket").fileno())) as closing:
            closing.shutdown(socket.SHUT_WR)  # and the proxy has no time to see it
        client.writer.write(b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
        assert (await client.read()).status == 200


async def test_the_limit_of_a_body_holds_after_an_early_answer(plane: HTTPPlane) -> None:
    received = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nearly")
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                received += len(data)

    async with served(serve) as endpoint:
        cluster = Cluster(name="c0", service="default/s", max_request_body=1000)
        plane.route(rule(), clusters=(cluster,), assignments=(Assignment(cluster="c0", endpoints=(endpoint,)),))
        client = await plane.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.reader.readuntil(b"early")
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                await client.send(b"100\r\n" + bytes(256) + b"\r\n")
                await asyncio.sleep(0)
        await client.is_closed()
    assert received <= 2000


# -- old clients --------------------------------------------------------------------------


async def test_an_http_1_0_client_that_keeps_alive_finds_the_end_of_chunks(
    plane: HTTPPlane, make_origin: MakeOrigin
) -> None:
    origin = await make_origin(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    plane.route(origins=(origin,))
    client = await plane.connect()
    response = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (response.body, response.fields[b"connection"]) == (b"abc", b"close")


async def test_an_http_1_0_client_hears_of_no_chunks(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    plane.route(origins=(origin,))
    client = await plane.connect()
    for _ in range(2):
        response = await client.ask(b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", to_head=True)
        assert b"transfer-encoding" not in response.fields


async def test_an_empty_line_may_come_in_two_pieces(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    await client.send(b"\r")
    (listener,) = plane.plane._listeners.values()
    await plane.wait_until(lambda: any(each._input for each in listener.connections))  # type: ignore[union-attr]
    assert (await client.ask(b"\n\r\n" + GET)).body == b"ok"


# -- timeouts and mistakes ----------------------------------------------------------------


@pytest.mark.skipif(is_compiled(), reason="methods of compiled classes cannot be replaced")
@pytest.mark.parametrize("timer", ["deadline_reached", "_backoff_over"])
async def test_a_mistake_in_a_timer_ends_the_connection(
    plane: HTTPPlane,
    make_origin: MakeOrigin,
    timer: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a mistake")

    async def never(_: Received) -> bytes | None:
        await asyncio.Event().wait()
        return None

    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    origin = await make_origin(never if timer == "deadline_reached" else busy)
    retry = RetryPolicy(attempts=1, conditions=(RetryCondition.STATUS,), statuses=(503,), backoff=0.001)
    plane.route(rule(request_timeout=0.1, retry=retry), origins=(origin,))
    client = await plane.connect()
    monkeypatch.setattr(Exchange, timer, fail)
    with caplog.at_level(logging.CRITICAL + 1):
        await client.send(GET)
        assert await client.is_closed()


async def test_a_stream_that_never_moves_ends_after_its_timeout(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def never(_: Received) -> bytes | None:
        await asyncio.Event().wait()
        return None

    origin = await make_origin(never)
    plane.route(origins=(origin,), http=HTTPListener(stream_idle_timeout=0.5))
    client = await plane.connect()
    before = asyncio.get_running_loop().time()
    assert (await client.get()).status == 504
    assert 0.45 < asyncio.get_running_loop().time() - before < 0.95


async def test_a_whole_queue_may_find_no_endpoint(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def never(_: Received) -> bytes | None:
        await asyncio.Event().wait()
        return None

    origin = await make_origin(never)
    cluster = Cluster(name="c0", service="default/s", max_requests=1, max_pending=1000)
    plane.route(origins=(origin,), clusters=(cluster,))
    clients = [await plane.connect() for _ in range(400)]  # deeper than Python's stack
    for client in clients:
        await client.send(GET)
    await plane.wait_until(lambda: len(plane.plane._clusters["c0"]._pending) == 399)
    await plane.wait_until(lambda: len(origin.requests) == 1)
    plane.route(origins=(origin,), clusters=(cluster,), assignments=(Assignment(cluster="c0"),))
    await origin.stop()
    assert [(await client.read()).status for client in clients] == [502] + [503] * 399


@pytest.mark.skipif(is_compiled(), reason="methods of compiled classes cannot be replaced")
@pytest.mark.parametrize("side", ["start", "response_head"])
async def test_a_mistake_of_ours_ends_the_connection(
    plane: HTTPPlane,
    make_origin: MakeOrigin,
    side: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a mistake")

    origin = await make_origin()
    plane.route(origins=(origin,))
    client, other = await plane.connect(), await plane.connect()
    with monkeypatch.context() as patch, caplog.at_level(logging.CRITICAL + 1):
        patch.setattr(Exchange, side, fail)
        await client.send(GET)
        if side == "start":
            assert await client.is_closed()
        else:
            assert (await client.read()).status == 502
    assert (await other.get()).body == b"ok"
