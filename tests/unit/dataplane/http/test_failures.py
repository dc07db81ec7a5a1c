"""Upstreams that fail, retries, timeouts, and clients that go away."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from benchmarks.processes import free_port
from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.model import Assignment, Cluster, Endpoint, OutlierDetection
from meshproxy.snapshot.routes import RetryCondition, RetryPolicy
from tests.support.http import OK, HTTPPlane, Last, Received, rule
from tests.unit.dataplane.http.conftest import MakeOrigin

GET = b"GET / HTTP/1.1\r\nHost: s\r\n\r\n"
RETRY = RetryPolicy(attempts=3, statuses=(503,), conditions=tuple(RetryCondition), backoff=0.001)


def dead() -> Endpoint:
    return Endpoint(address=SocketAddress("127.0.0.1", free_port()))


def flags(plane: HTTPPlane) -> dict[str, int]:
    return {flag: count for (_, flag), count in plane.plane.http.flags.totals.items()}


async def test_no_endpoint_is_a_503(plane: HTTPPlane) -> None:
    cluster = Cluster(name="c0", service="default/s")
    plane.route(rule(), clusters=(cluster,), assignments=(Assignment(cluster="c0"),))
    client = await plane.connect()
    for _ in range(2):
        assert (await client.get()).status == 503
    assert flags(plane) == {"UH": 2}


async def test_an_endpoint_that_refuses_is_passed_over(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    cluster = Cluster(name="c0", service="default/s")
    endpoints = Assignment(cluster="c0", endpoints=(dead(), origin.endpoint))
    plane.route(rule(), clusters=(cluster,), assignments=(endpoints,))
    client = await plane.connect()
    for _ in range(4):
        assert (await client.ask(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\n\r\nx")).status == 200
    assert not flags(plane)


async def test_all_endpoints_refuse(plane: HTTPPlane) -> None:
    cluster = Cluster(name="c0", service="default/s")
    plane.route(rule(), clusters=(cluster,), assignments=(Assignment(cluster="c0", endpoints=(dead(), dead())),))
    client = await plane.connect()
    assert (await client.get()).status == 503
    assert flags(plane) == {"UF": 1}


@pytest.mark.parametrize(
    ("answer", "flag"),
    [
        (b"", "UC"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "UC"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "UPE"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "UPE"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "UPE"),
        (b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n", "UPE"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "UPE"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "UPE"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "UPE"),
    ],
)
async def test_what_is_no_response_is_a_502(
    plane: HTTPPlane, make_origin: MakeOrigin, answer: bytes, flag: str
) -> None:
    origin = await make_origin(Last(answer))
    plane.route(rule(), origins=(origin,))
    client = await plane.connect()
    for _ in range(2):
        assert (await client.get()).status == 502
    assert flags(plane) == {flag: 2}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nHost: x\r\n",
    ],
)
async def test_a_response_that_breaks_off_is_never_taken_for_whole(
    plane: HTTPPlane, make_origin: MakeOrigin, answer: bytes
) -> None:
    origin = await make_origin(Last(answer))
    plane.route(rule(), origins=(origin,))
    client = await plane.connect()
    await client.send(GET)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError, ValueError)):
        await client.read()


async def test_bytes_behind_a_response_go_no_further(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    plane.route(rule(), origins=(origin,))
    client = await plane.connect()
    for _ in range(3):
        assert (await client.get()).body == b"ok"
    assert origin.connections == 3


async def test_a_kept_connection_that_was_closed_is_replaced(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def once(request: Received) -> bytes | None:
        return OK if request.number == 1 else None

    origin = await make_origin(once)
    plane.route(rule(), origins=(origin,))
    client = await plane.connect()
    for _ in range(5):
        assert (await client.get()).status == 200
    assert not flags(plane)


@pytest.mark.parametrize("failure", [None, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"])
async def test_retries_go_to_another_endpoint(plane: HTTPPlane, make_origin: MakeOrigin, failure: bytes | None) -> None:
    async def fail(_: Received) -> bytes | None:
        return failure

    bad, good = await make_origin(fail), await make_origin()
    cluster = Cluster(name="c0", service="default/s")
    endpoints = Assignment(cluster="c0", endpoints=(bad.endpoint, good.endpoint))
    plane.route(rule(retry=RETRY), clusters=(cluster,), assignments=(endpoints,))
    client = await plane.connect()
    for _ in range(10):
        assert (await client.ask(b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 3\r\n\r\nabc")).status == 200
    assert {request.body for request in good.requests} == {b"abc"}
    assert bad.requests
    retries = [each.requests.retries for each in plane.plane.http.take_changed_routes() if each.rule == "r"]
    assert sum(retries) == len(bad.requests)


async def test_what_is_not_idempotent_is_not_sent_twice(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def hang_up(_: Received) -> bytes | None:
        return None

    origin = await make_origin(hang_up)
    plane.route(rule(retry=RETRY), origins=(origin,))
    client = await plane.connect()
    assert (await client.ask(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\n\r\nx")).status == 502
    assert len(origin.requests) == 1


async def test_retries_end(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
    plane.route(rule(retry=RETRY), origins=(origin,))
    client = await plane.connect()
    response = await client.get()
    assert (response.status, response.body) == (503, b"busy")
    assert len(origin.requests) == 4


async def test_the_retry_budget_holds(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    cluster = Cluster(name="c0", service="default/s", max_retries=0)
    plane.route(rule(retry=RETRY), origins=(origin,), clusters=(cluster,))
    client = await plane.connect()
    assert (await client.get()).status == 503
    assert len(origin.requests) == 1


@pytest.mark.parametrize("timeouts", [{"request_timeout": 0.1}, {"backend_timeout": 0.1}])
async def test_a_slow_upstream_is_a_504(plane: HTTPPlane, make_origin: MakeOrigin, timeouts: dict[str, float]) -> None:
    async def never(_: Received) -> bytes | None:
        await asyncio.Event().wait()
        return None

    origin = await make_origin(never)
    plane.route(rule(**timeouts), origins=(origin,))
    client = await plane.connect()
    assert (await client.get()).status == 504
    assert flags(plane) == {"UT": 1}


async def test_a_rule_may_have_no_timeouts_where_the_policy_has(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def slow(_: Received) -> bytes | None:
        await asyncio.sleep(0.3)
        return OK

    origin = await make_origin(slow)
    policy = RetryPolicy(conditions=(RetryCondition.TIMEOUT,), per_try_timeout=0.1)
    cluster = Cluster(name="c0", service="default/s", request_timeout=0.1, retry=policy)
    plane.route(rule(request_timeout=0.0, backend_timeout=0.0), origins=(origin,), clusters=(cluster,))
    client = await plane.connect()
    assert (await client.get()).status == 200
    assert len(origin.requests) == 1


async def test_a_try_that_takes_too_long_is_retried(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def slow_once(_: Received) -> bytes | None:
        if len(origin.requests) == 1:
            await asyncio.Event().wait()
        return OK

    origin = await make_origin(slow_once)
    plane.route(rule(retry=RETRY, backend_timeout=0.1), origins=(origin,))
    client = await plane.connect()
    assert (await client.get()).status == 200
    assert len(origin.requests) == 2


async def test_failures_in_a_row_are_reported(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n")
    outlier = OutlierDetection(
        consecutive_failures=5,
        consecutive_5xx=4,
        consecutive_gateway_errors=3,
        interval=1,
        base_ejection_time=1,
        max_ejection_time=1,
        max_ejection_percent=100,
    )
    cluster = Cluster(name="c0", service="default/s", outlier_detection=outlier)
    plane.route(rule(), origins=(origin,), clusters=(cluster,))
    client = await plane.connect()
    for _ in range(4):
        await client.get()
    assert [(each.failures, each.reason) for each in plane.failing] == [
        (3, "gateway errors in a row, the last one 502"),
        (4, "responses of 500 to 599 in a row, the last one 502"),
    ]


async def test_a_client_that_resets_ends_its_request_upstream(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def never(_: Received) -> bytes | None:
        arrived.set()
        await asyncio.Event().wait()
        return None

    arrived = asyncio.Event()
    origin = await make_origin(never)
    plane.route(rule(), origins=(origin,))
    with socket.create_connection(plane.address) as client:
        client.sendall(GET)
        async with asyncio.timeout(10):
            await arrived.wait()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await plane.wait_until(lambda: flags(plane) == {"DC": 1})
    assert not plane.plane.open_connections


async def test_a_half_closed_client_gets_its_answer(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    client = await plane.connect()
    client.writer.write(GET)
    client.writer.write_eof()
    assert (await client.read()).body == b"ok"
    assert await client.is_closed()


async def test_an_early_answer_ends_the_upload(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n")
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    endpoint = Endpoint(address=SocketAddress("127.0.0.1", server.sockets[0].getsockname()[1]))
    cluster = Cluster(name="c0", service="default/s")
    plane.route(rule(), clusters=(cluster,), assignments=(Assignment(cluster="c0", endpoints=(endpoint,)),))
    client = await plane.connect()
    response = await client.ask(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1000000\r\n\r\nsome")
    assert (response.status, response.body) == (413, b"no\n")
    assert response.fields[b"connection"] == b"close"
    server.close()


async def test_a_head_that_does_not_end_is_a_408(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,), http=HTTPListener(header_timeout=0.1))
    client = await plane.connect()
    response = await client.ask(b"GET / HTTP/1.1\r\nHost:")
    assert response.status == 408
    assert await client.is_closed()


async def test_a_body_that_stalls_is_a_408(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,), http=HTTPListener(stream_idle_timeout=0.1))
    client = await plane.connect()
    assert (await client.ask(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\nx")).status == 408


async def test_an_idle_connection_is_closed(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,), http=HTTPListener(idle_timeout=0.1))
    client = await plane.connect()
    assert (await client.get()).status == 200
    assert await client.is_closed()
