"""What passes through unchanged, and what does not: heads, bodies, keep-alive."""

from __future__ import annotations

import pytest

from meshproxy.snapshot.http import HTTPListener
from tests.support.http import HTTPPlane, Received
from tests.unit.dataplane.http.conftest import MakeOrigin


async def test_a_request_and_its_response(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(b"HTTP/1.1 200 Fine\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello")
    plane.route(origins=(origin,))
    client = await plane.connect()
    response = await client.ask(b"GET /a?b=c HTTP/1.1\r\nHost: shop:80\r\nX-Mine: 1\r\n\r\n")
    assert (response.head, response.body) == (
        b"HTTP/1.1 200 Fine\r\nX-A: b\r\nContent-Length: 5\r\n\r\n",
        b"hello",
    )
    (request,) = origin.requests
    assert request.line == b"GET /a?b=c HTTP/1.1"
    assert request.fields[:2] == [(b"Host", b"shop:80"), (b"X-Mine", b"1")]
    assert request.field(b"X-Forwarded-For") == b"127.0.0.1"
    assert request.field(b"X-Forwarded-Proto") == b"http"
    assert request.field(b"X-Forwarded-Host") == b"shop:80"
    assert len(request.field(b"X-Request-Id") or b"") == 32


async def test_requests_of_several_clients_share_a_connection(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    for _ in range(3):
        client = await plane.connect()
        for _ in range(3):
            assert (await client.get()).body == b"ok"
    assert origin.connections == 1
    ids = {request.field(b"X-Request-Id") for request in origin.requests}
    assert len(ids) == 9


@pytest.mark.parametrize(
    ("sent", "forwarded"),
    [
        (b"Connection: keep-alive\r\n", b""),
        (b"Connection: close, X-Mine\r\nX-Mine: 1\r\nX-Other: 2\r\n", b"X-Other: 2\r\n"),
        (b"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\n", b""),
        (b"TE: trailers\r\nConnection: te\r\n", b"Connection: te\r\nTE: trailers\r\n"),
        (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n", b""),
        (b"X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Request-Id: mine\r\nX-Real-IP: 1.2.3.4\r\n", b""),
    ],
)
async def test_fields_for_this_hop_and_lies_go_no_further(
    plane: HTTPPlane, make_origin: MakeOrigin, sent: bytes, forwarded: bytes
) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    assert (await client.ask(b"GET / HTTP/1.1\r\nHost: s\r\n" + sent + b"\r\n")).status == 200
    head = origin.requests[0].head
    ours = head.index(b"X-Forwarded-For: 127.0.0.1\r\n")
    lines = sorted(head[: head.index(b"Host: s\r\n")].split(b"\r\n")[1:] + head[:ours].split(b"\r\n")[2:])
    assert sorted(each for each in lines if each) == sorted(each for each in forwarded.split(b"\r\n") if each)


async def test_a_trusted_proxy_is_believed_and_extended(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,), http=HTTPListener(trusted_proxies=("127.0.0.0/8", "10.0.0.0/8")))
    client = await plane.connect()
    fields = (b"X-Forwarded-For: 6.6.6.6, 9.9.9.9, 10.1.1.1", b"X-Forwarded-Proto: https", b"X-Request-Id: abc")
    await client.get(b"/", *fields)
    (request,) = origin.requests
    assert request.field(b"X-Forwarded-For") == b"6.6.6.6, 9.9.9.9, 10.1.1.1, 127.0.0.1"
    assert request.field(b"X-Forwarded-Proto") == b"https"
    assert request.field(b"X-Forwarded-Host") == b"s"
    assert request.field(b"X-Request-Id") == b"abc"


async def test_an_absolute_target_names_the_host(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    await client.ask(b"GET http://real.example/x?y HTTP/1.1\r\nHost: other.example\r\n\r\n")
    assert origin.requests[0].line == b"GET /x?y HTTP/1.1"
    assert origin.requests[0].field(b"Host") == b"real.example"


async def test_an_http_1_0_client(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n"
    origin = await make_origin(chunked)
    plane.route(origins=(origin,))
    client = await plane.connect()
    response = await client.ask(b"GET / HTTP/1.0\r\n\r\n")
    assert response.body == b"abcde"
    assert b"transfer-encoding" not in response.fields
    assert origin.requests[0].line == b"GET / HTTP/1.1"
    assert origin.requests[0].field(b"Host") is not None


async def test_an_http_1_0_client_that_keeps_alive(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    for _ in range(2):
        response = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert response.fields[b"connection"] == b"keep-alive"


@pytest.mark.parametrize("body", [b"x" * 10, b"x" * 300_000])
async def test_request_bodies(plane: HTTPPlane, make_origin: MakeOrigin, body: bytes) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    for _ in range(2):
        head = b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert (await client.ask(head + body)).status == 200
        assert origin.requests[-1].body == body
    assert origin.connections == 1


async def test_chunked_both_ways_with_trailers(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    body = b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
    origin = await make_origin(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    plane.route(origins=(origin,))
    client = await plane.connect()
    for _ in range(2):
        request = b"POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\n\r\n"
        assert (await client.ask(request)).body == b"abc"
        assert origin.requests[-1].body == b"4\r\nwxyz\r\n0\r\n\r\n"
    assert origin.connections == 1


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [
        (b"HEAD / HTTP/1.1", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        (b"GET / HTTP/1.1", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET / HTTP/1.1", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
    ],
)
async def test_responses_without_a_body(
    plane: HTTPPlane, make_origin: MakeOrigin, request_line: bytes, answer: bytes
) -> None:
    origin = await make_origin(answer)
    plane.route(origins=(origin,))
    client = await plane.connect()
    for _ in range(3):
        response = await client.ask(request_line + b"\r\nHost: s\r\n\r\n", to_head=True)
        assert response.head == answer
    assert origin.connections == 1


async def test_a_body_that_ends_with_the_connection(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n")
    plane.route(origins=(origin,))
    client = await plane.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n")
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close\r\n" in head
    await origin.stop()
    assert await client.is_closed()


async def test_interim_responses_come_first(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    origin = await make_origin(interim + interim + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    plane.route(origins=(origin,))
    client = await plane.connect()
    assert (await client.get()).status == 103
    assert (await client.read()).status == 103
    assert (await client.read()).body == b"x"
    old = await plane.connect()
    assert (await old.ask(b"GET / HTTP/1.0\r\n\r\n")).status == 200


async def test_pipelined_requests_are_answered_in_order(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def answer(request: Received) -> bytes:
        path = request.line.split(b" ")[1]
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path)

    origin = await make_origin(answer)
    plane.route(origins=(origin,))
    client = await plane.connect()
    paths = [b"/%d" % number for number in range(200)]
    await client.send(b"".join(b"GET " + path + b" HTTP/1.1\r\nHost: s\r\n\r\n" for path in paths))
    assert [(await client.read()).body for _ in paths] == paths


async def test_a_client_that_says_close_is_closed(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    response = await client.get(b"/", b"Connection: close")
    assert response.fields[b"connection"] == b"close"
    assert await client.is_closed()


async def test_a_request_a_byte_at_a_time(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    for byte in b"\r\nPOST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n":
        await client.send(bytes((byte,)))
    assert (await client.read()).body == b"ok"
