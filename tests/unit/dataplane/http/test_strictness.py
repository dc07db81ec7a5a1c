"""What is refused, with which status, and that nothing of it reaches an origin (RFC 9112 §11: smuggling's classics)."""

from __future__ import annotations

import pytest

from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.model import Cluster
from tests.support.http import HTTPPlane, Last, rule
from tests.unit.dataplane.http.conftest import MakeOrigin

POST = b"POST / HTTP/1.1\r\nHost: s\r\n"
GET = b"GET / HTTP/1.1\r\nHost: s\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    "CL.TE": (400, POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
    "TE.CL": (400, POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n"),
    "TE of another kind first": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "TE twice": (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    "TE: x chunked": (400, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "TE with a vertical tab": (400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "TE with a space before the colon": (400, POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    "TE folded": (400, POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    "TE behind a bare LF": (400, POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "TE in HTTP/1.0": (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "CL twice, alike": (400, POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
    "CL twice, differing": (400, POST + b"Content-Length: 0\r\nContent-Length: 37\r\n\r\n"),
    "CL as a list": (400, POST + b"Content-Length: 0, 0\r\n\r\n"),
    "CL with a sign": (400, POST + b"Content-Length: +0\r\n\r\n"),
    "CL in hexadecimal": (400, POST + b"Content-Length: 0x0\r\n\r\n"),
    "CL beyond 18 digits": (413, POST + b"Content-Length: 99999999999999999999\r\n\r\n"),
    "CL named by Connection": (400, POST + b"Connection: content-length\r\nContent-Length: 0\r\n\r\n"),
    "a bare LF for a line end": (400, b"GET / HTTP/1.1\nHost: s\n\n"),
    "a bare CR in a value": (400, GET + b"X: a\rb\r\n\r\n"),
    "NUL in a value": (400, GET + b"X: a\0b\r\n\r\n"),
    "a folded line": (400, GET + b"X: a\r\n b\r\n\r\n"),
    "a line without a colon": (400, GET + b"nonsense\r\n\r\n"),
    "an empty name": (400, GET + b": a\r\n\r\n"),
    "no Host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two Hosts": (400, GET + b"Host: t\r\n\r\n"),
    "a list for a Host": (400, b"GET / HTTP/1.1\r\nHost: s, t\r\n\r\n"),
    "a Host with a path": (400, b"GET / HTTP/1.1\r\nHost: s/admin\r\n\r\n"),
    "userinfo in the target": (400, b"GET http://s@t/ HTTP/1.1\r\nHost: t\r\n\r\n"),
    "a target that is no URL": (400, b"GET admin HTTP/1.1\r\nHost: s\r\n\r\n"),
    "a fragment": (400, b"GET /#a HTTP/1.1\r\nHost: s\r\n\r\n"),
    "two spaces": (400, b"GET  / HTTP/1.1\r\nHost: s\r\n\r\n"),
    "a method that is no token": (400, b"G(T / HTTP/1.1\r\nHost: s\r\n\r\n"),
    "a bad escape": (400, b"GET /%zz HTTP/1.1\r\nHost: s\r\n\r\n"),
    "CONNECT": (501, b"CONNECT s:80 HTTP/1.1\r\nHost: s:80\r\n\r\n"),
    "HTTP/0.9": (426, b"GET /\r\n\r\n"),
    "HTTP/2 from the start": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS": (400, bytes.fromhex("1603010200010001fc0303") + b"\r\n\r\n"),
    "an unknown expectation": (417, GET + b"Expect: 200-ok\r\n\r\n"),
    "too many fields": (431, GET + b"X: y\r\n" * 101 + b"\r\n"),
    "a large head": (431, GET + b"X: " + b"y" * 70_000 + b"\r\n\r\n"),
    "a long target": (414, b"GET /" + b"y" * 70_000 + b" HTTP/1.1\r\nHost: s\r\n\r\n"),
    "a chunk's size that is none": (400, CHUNKED + b"x\r\n\r\n"),
    "a chunk's size in a sign": (400, CHUNKED + b"+1\r\na\r\n0\r\n\r\n"),
    "a chunk's size with 0x": (400, CHUNKED + b"0x1\r\na\r\n0\r\n\r\n"),
    "a chunk's size beyond 64 bits": (400, CHUNKED + b"10000000000000000\r\n"),
    "a bare LF behind a chunk's size": (400, CHUNKED + b"1\na\r\n0\r\n\r\n"),
    "a bare LF in a chunk's extension": (400, CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n"),
    "a space behind a chunk's size": (400, CHUNKED + b"1 \r\na\r\n0\r\n\r\n"),
    "a chunk longer than its size": (400, CHUNKED + b"1\r\nabc\r\n0\r\n\r\n"),
    "a Host for a trailer": (400, CHUNKED + b"0\r\nHost: t\r\n\r\n"),
    "a length for a trailer": (400, CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(plane: HTTPPlane, make_origin: MakeOrigin, name: str) -> None:
    """And what comes behind is not taken for a request."""
    status, data = REFUSED[name]
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    response = await client.ask(data + SMUGGLED)
    assert response.status == status
    assert len(response.body) < 200
    if name != "a bad escape":  # which leaves no doubt about the end of the request
        assert response.fields[b"connection"] == b"close"
        assert await client.is_closed()
        assert not origin.requests
        (flag,) = plane.plane.http.flags.totals
        assert flag == ("l", "PL" if status in (413, 414, 431) and name != "CL beyond 18 digits" else flag[1])


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        (b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n", []),
        (b"Connection: close, X-Secret, x-forwarded-for\r\nX-Secret: 1\r\n", []),
        (b"Connection: keep-alive\r\nKeep-Alive: timeout=1\r\n", []),
        (b"Proxy-Connection: x\r\nTE: deflate\r\nUpgrade: websocket\r\n", []),
        (b"Connection: Upgrade\r\nUpgrade: websocket\r\n", [b"connection", b"upgrade"]),
        (b"Proxy-Authorization: Basic x\r\nTrailer: X-A\r\n", [b"proxy-authorization", b"trailer"]),
    ],
)
async def test_what_is_for_this_hop_stays_here(
    plane: HTTPPlane, make_origin: MakeOrigin, lines: bytes, seen: list[bytes]
) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    assert (await client.ask(GET + lines + b"\r\n")).status == 200
    names = [name.lower() for name, _ in origin.requests[0].fields]
    told = [b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id"]
    assert sorted(names) == sorted([b"host", *told, *seen])


async def test_an_absolute_target_overrules_the_host(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """RFC 9112 §3.2.2, and all of what the origin is told agrees."""
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    await client.ask(
        b"GET http://admin.example:81/x HTTP/1.1\r\nHost: public.example\r\nX-Forwarded-Host: evil\r\n\r\n"
    )
    (request,) = origin.requests
    assert request.line == b"GET /x HTTP/1.1"
    assert request.field(b"Host") == request.field(b"X-Forwarded-Host") == b"admin.example:81"


async def test_a_body_of_a_get_is_no_second_request(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    await client.send(GET + b"Content-Length: %d\r\n\r\n%b" % (len(SMUGGLED), SMUGGLED))
    assert (await client.read()).status == 200
    assert (await client.get(b"/after")).status == 200
    assert [request.line.split()[1] for request in origin.requests] == [b"/", b"/after"]
    assert origin.requests[0].body == SMUGGLED


async def test_an_upgrade_with_a_body_is_none(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    lines = b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)
    assert (await client.ask(POST + lines + SMUGGLED)).status == 200
    (request,) = origin.requests
    assert request.field(b"Upgrade") is None
    assert request.body == SMUGGLED


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", 502),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 502),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 502),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok", 502),
        (b"HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 2\r\n\r\nok", 502),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 502),
        (b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nok", 502),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 502),
        (b"ICY 200 OK\r\n\r\nok", 502),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200),
    ],
)
async def test_answers(plane: HTTPPlane, make_origin: MakeOrigin, answer: bytes, status: int) -> None:
    """A client keeps its connection, and the next answer is the next request's."""
    origin = await make_origin(Last(answer + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"))
    plane.route(origins=(origin,))
    client = await plane.connect()
    for _ in range(2):
        response = await client.get()
        assert response.status == status
        assert b"evil" not in response.body
        assert response.fields.get(b"connection") is None


async def test_a_large_body_is_refused_before_it_is_sent(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,), clusters=(Cluster(name="c0", service="default/s", max_request_body=10),))
    client = await plane.connect()
    response = await client.ask(POST + b"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n")
    assert (response.status, response.fields[b"connection"]) == (413, b"close")
    assert not origin.requests


async def test_only_trusted_proxies_are_believed(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    lines = (
        b"X-Forwarded-For: 192.0.2.1, 127.0.0.9",
        b"X-Forwarded-For: 198.51.100.1",
        b"X-Forwarded-Proto: https",
        b"X-Request-Id: mine",
        b"Forwarded: for=192.0.2.1",
    )
    for trusted, forwarded_for, proto, request_id in (
        ((), b"127.0.0.1", b"http", None),
        (("10.0.0.0/8",), b"127.0.0.1", b"http", None),
        (("127.0.0.0/8",), b"192.0.2.1, 127.0.0.9, 198.51.100.1, 127.0.0.1", b"https", b"mine"),
    ):
        plane.route(origins=(origin,), http=HTTPListener(trusted_proxies=trusted))
        client = await plane.connect()
        await client.get(b"/", *lines)
        request = origin.requests[-1]
        assert request.field(b"X-Forwarded-For") == forwarded_for
        assert request.field(b"X-Forwarded-Proto") == proto
        assert (request.field(b"X-Request-Id") == request_id) is bool(request_id)
        assert (request.field(b"Forwarded") is None) is (request_id is None)


async def test_trust_is_for_connections_that_are_open_too(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,), http=HTTPListener(trusted_proxies=("127.0.0.0/8",)))
    client = await plane.connect()
    await client.get(b"/", b"X-Request-Id: mine")
    plane.route(origins=(origin,))
    await client.get(b"/", b"X-Request-Id: mine")
    assert [request.field(b"X-Request-Id") == b"mine" for request in origin.requests] == [True, False]


async def test_what_follows_a_refused_upgrade_is_a_request(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """And one that the rules and headers are applied to."""
    origin = await make_origin()
    plane.route(origins=(origin,))
    client = await plane.connect()
    await client.send(GET + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n" + SMUGGLED)
    assert [(await client.read()).status for _ in range(2)] == [200, 200]
    assert origin.requests[1].line == b"GET /smuggled HTTP/1.1"
    assert origin.requests[1].field(b"X-Forwarded-For") == b"127.0.0.1"
