"""What rules and policies make of requests: filters, weights, sessions, limits, upgrades."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.http import HashOn, HashSource, HTTPListener, RateLimit
from meshproxy.snapshot.model import Algorithm, Assignment, Cluster, Endpoint, Protocol
from meshproxy.snapshot.routes import (
    CORS,
    Backend,
    Filters,
    HeaderMutation,
    Mirror,
    PathKind,
    PathRewrite,
    PersistenceKind,
    Redirect,
    Rewrite,
    RouteMatch,
    SessionPersistence,
    ValueMatch,
)
from tests.support.http import OK, HTTPPlane, Origin, Received, rule
from tests.unit.dataplane.http.conftest import MakeOrigin


def named(name: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name)


def matching(path: str = "/", kind: PathKind = PathKind.PREFIX, **fields: Any) -> tuple[RouteMatch, ...]:
    return (RouteMatch(path=path, path_kind=kind, **fields),)


async def test_no_rule_is_a_404(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    plane.route(rule(matches=matching("/a")), origins=(await make_origin(),))
    client = await plane.connect()
    assert (await client.get(b"/a/b")).status == 200
    assert (await client.get(b"/ab")).status == 404
    assert (await client.get(b"/b/../a")).status == 200
    assert (await client.get(b"/%zz")).status == 400


async def test_cookies_headers_and_queries_choose(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origins = tuple([await make_origin(named(name)) for name in (b"0", b"1", b"2", b"3")])
    beta, version = ValueMatch(name="beta", value="1"), ValueMatch(name="x-v", value="v[0-9]+", regex=True)
    query = ValueMatch(name="a b", value="ü")
    plane.route(
        rule(),
        rule(name="c", matches=matching(cookies=(beta,)), backends=(Backend(cluster="c1"),)),
        rule(name="h", matches=matching(headers=(version,)), backends=(Backend(cluster="c2"),)),
        rule(name="q", matches=matching(query_params=(query,)), backends=(Backend(cluster="c3"),)),
        origins=origins,
    )
    client = await plane.connect()
    assert (await client.get()).body == b"0"
    assert (await client.get(b"/", b"Cookie: a=b; beta=1")).body == b"1"
    assert (await client.get(b"/", b"X-V: v12")).body == b"2"
    assert (await client.get(b"/", b"X-V: v12x")).body == b"0"
    assert (await client.get(b"/?x&a+b=%C3%BC")).body == b"3"


async def test_weights_and_missing_backends(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origins = (await make_origin(named(b"0")), await make_origin(named(b"1")))
    backends = (Backend(cluster="c0", weight=70), Backend(cluster="c1", weight=20), Backend(problem="gone", weight=10))
    plane.route(rule(backends=(*backends, Backend(cluster="c1", weight=0))), origins=origins)
    client = await plane.connect()
    seen: Counter[bytes | int] = Counter()
    for _ in range(1000):
        response = await client.get()
        seen[response.body if response.status == 200 else response.status] += 1
    assert 640 < seen[b"0"] < 760
    assert 150 < seen[b"1"] < 250
    assert 60 < seen[500] < 140
    plane.route(rule(backends=()), origins=origins)
    assert (await client.get()).status == 500


@pytest.mark.parametrize(
    ("redirect", "location", "status"),
    [
        (Redirect(scheme="https", status=301), b"https://shop.example/old/x?q=1", 301),
        (Redirect(hostname="new.example", port=8080), b"http://new.example:8080/old/x?q=1", 302),
        (Redirect(port=80), b"http://shop.example/old/x?q=1", 302),
        (Redirect(path=PathRewrite(full="/flat"), port=80, status=308), b"http://shop.example/flat?q=1", 308),
        (Redirect(path=PathRewrite(prefix="/new/"), port=80, status=303), b"http://shop.example/new/x?q=1", 303),
        (Redirect(scheme="https", port=443, status=307), b"https://shop.example/old/x?q=1", 307),
    ],
)
async def test_redirects(plane: HTTPPlane, redirect: Redirect, location: bytes, status: int) -> None:
    filters = Filters(redirect=redirect, response_headers=HeaderMutation(set=(("X-By", "us"),)))
    plane.route(rule(matches=matching("/old"), backends=(), filters=filters))
    client = await plane.connect()
    response = await client.ask(b"GET /old/x?q=1 HTTP/1.1\r\nHost: shop.example:1234\r\n\r\n")
    assert (response.status, response.fields[b"location"]) == (status, location)
    assert response.fields[b"x-by"] == b"us"


async def test_a_redirect_to_where_the_listener_is(plane: HTTPPlane) -> None:
    plane.route(rule(backends=(), filters=Filters(redirect=Redirect(hostname="other"))))
    client = await plane.connect()
    response = await client.get(b"/x")
    assert response.fields[b"location"] == b"http://other:%d/x" % plane.address[1]


async def test_header_filters_and_rewrites(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(b"HTTP/1.1 200 OK\r\nX-Gone: 1\r\nX-Set: old\r\nContent-Length: 2\r\n\r\nok")
    of_rule = Filters(
        request_headers=HeaderMutation(set=(("X-Set", "new"),), add=(("X-Add", "2"),), remove=("X-Remove",)),
        rewrite=Rewrite(hostname="inner.example", path=PathRewrite(prefix="/v2")),
    )
    of_backend = Filters(
        request_headers=HeaderMutation(set=(("X-Backend", "b"),)),
        response_headers=HeaderMutation(set=(("X-Set", "new"),), add=(("X-More", "m"),), remove=("x-gone",)),
    )
    backend = Backend(cluster="c0", filters=of_backend)
    plane.route(rule(matches=matching("/v1/"), filters=of_rule, backends=(backend,)), origins=(origin,))
    client = await plane.connect()
    sent = (b"X-Set: old", b"x-set: older", b"X-Add: 1", b"X-Remove: 1")
    response = await client.get(b"/v1/users?a=b", *sent)
    assert (response.fields[b"x-set"], response.fields[b"x-more"]) == (b"new", b"m")
    assert b"x-gone" not in response.fields
    (request,) = origin.requests
    assert request.line == b"GET /v2/users?a=b HTTP/1.1"
    assert (request.field(b"Host"), request.field(b"X-Forwarded-Host")) == (b"inner.example", b"s")
    assert (request.field(b"X-Set"), request.field(b"X-Backend"), request.field(b"X-Remove")) == (b"new", b"b", None)
    assert [value for name, value in request.fields if name == b"X-Add"] == [b"1", b"2"]


async def test_mirrors_get_copies_and_their_answers_do_not_matter(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def never(_: Received) -> bytes | None:
        await asyncio.Event().wait()
        return None

    origins = (await make_origin(), await make_origin(named(b"shadow")), await make_origin(never))
    mirrors = (Mirror(cluster="c1"), Mirror(cluster="c2"), Mirror(cluster="c1", numerator=0))
    plane.route(rule(filters=Filters(mirrors=mirrors)), origins=origins)
    client = await plane.connect()
    for _ in range(3):
        response = await client.ask(b"POST /x HTTP/1.1\r\nHost: s\r\nContent-Length: 3\r\n\r\nabc")
        assert response.body == b"ok"
    await plane.wait_until(lambda: [len(origin.requests) for origin in origins] == [3, 3, 3])
    assert {request.body for request in origins[1].requests} == {b"abc"}


async def test_cors(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 2\r\n\r\nok")
    cors = CORS(
        allow_origins=("https://*.example.com", "http://localhost:3000"),
        allow_methods=("GET", "PUT"),
        allow_headers=("X-A",),
        expose_headers=("X-B",),
        allow_credentials=True,
        max_age=60,
    )
    plane.route(rule(filters=Filters(cors=cors)), origins=(origin,))
    client = await plane.connect()
    preflight = (
        b"OPTIONS / HTTP/1.1\r\nHost: s\r\nOrigin: https://a.example.com\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
    )
    response = await client.ask(preflight)
    assert response.status == 204
    assert response.fields[b"access-control-allow-origin"] == b"https://a.example.com"
    assert response.fields[b"access-control-allow-methods"] == b"GET, PUT"
    assert response.fields[b"access-control-allow-credentials"] == b"true"
    assert response.fields[b"access-control-max-age"] == b"60"
    assert not origin.requests
    response = await client.get(b"/", b"Origin: http://localhost:3000")
    assert response.fields[b"access-control-allow-origin"] == b"http://localhost:3000"
    assert response.fields[b"access-control-expose-headers"] == b"X-B"
    assert b"access-control-allow-origin" not in (await client.get(b"/", b"Origin: https://evil.example")).fields


async def test_a_page_may_read_what_the_proxy_answers(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    cors = CORS(allow_origins=("https://a.example",), allow_methods=("PUT",))
    plane.route(
        rule(name="redirect", matches=matching("/r"), filters=Filters(cors=cors, redirect=Redirect(status=308))),
        rule(name="none", matches=matching("/n"), filters=Filters(cors=cors), backends=(Backend(problem="gone"),)),
        origins=(await make_origin(),),
    )
    client = await plane.connect()
    for path, status in ((b"/r", 308), (b"/n", 500)):
        response = await client.get(path, b"Origin: https://a.example")
        assert response.status == status
        assert response.fields[b"access-control-allow-origin"] == b"https://a.example"
        assert b"access-control-allow-origin" not in (await client.get(path, b"Origin: https://b.example")).fields


async def test_a_backend_with_cors_answers_preflights(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    own = Filters(cors=CORS(allow_origins=("https://a.example",), allow_methods=("PUT",)))
    plane.route(rule(backends=(Backend(cluster="c0", filters=own),)), origins=(origin,))
    client = await plane.connect()
    response = await client.ask(
        b"OPTIONS / HTTP/1.1\r\nHost: s\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
    )
    assert response.status == 204
    assert response.fields[b"access-control-allow-methods"] == b"PUT"
    assert response.head.lower().count(b"access-control-allow-origin") == 1
    assert not origin.requests
    assert (await client.get()).status == 200


async def test_a_backend_redirects_with_its_own_edits(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    edit = HeaderMutation(set=(("X-Why", "moved"),))
    own = Filters(redirect=Redirect(hostname="other"), response_headers=edit)
    plane.route(rule(backends=(Backend(cluster="c0", filters=own),)), origins=(await make_origin(),))
    response = await (await plane.connect()).get()
    assert response.status == 302
    assert response.fields[b"x-why"] == b"moved"


async def test_a_session_goes_on_where_nothing_new_goes(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origins = (await make_origin(named(b"0")), await make_origin(named(b"1")))
    persistence = SessionPersistence(name="x-session", kind=PersistenceKind.HEADER)

    def route(*weights: int) -> None:
        backends = tuple(Backend(cluster=f"c{number}", weight=weight) for number, weight in enumerate(weights))
        plane.route(rule(backends=backends, session_persistence=persistence), origins=origins)

    route(1, 0)
    client = await plane.connect()
    first = await client.get()
    assert first.body == b"0"
    shown = b"X-Session: " + first.fields[b"x-session"]
    for weights in ((0, 1), (0, 0)):
        route(*weights)
        assert (await client.get(b"/", shown)).body == b"0"
    assert (await client.get()).status == 500
    route(0, 1)
    assert (await client.get()).body == b"1"


@pytest.mark.parametrize("kind", PersistenceKind)
async def test_a_session_stays_where_it_began(plane: HTTPPlane, make_origin: MakeOrigin, kind: PersistenceKind) -> None:
    origins = tuple([await make_origin(named(b"%d" % number)) for number in range(4)])
    persistence = SessionPersistence(name="X-Session", kind=kind)
    backends = tuple(Backend(cluster=f"c{number}") for number in range(4))
    plane.route(rule(backends=backends, session_persistence=persistence), origins=origins)
    client = await plane.connect()
    for _ in range(4):
        first = await client.get()
        if kind is PersistenceKind.COOKIE:
            shown = b"Cookie: a=b; " + first.fields[b"set-cookie"].split(b";")[0]
        else:
            shown = b"X-Session: " + first.fields[b"x-session"]
        for _ in range(8):
            again = await client.get(b"/", shown)
            assert again.body == first.body
            assert b"set-cookie" not in again.fields
    forged = await client.get(b"/", b"Cookie: X-Session=0000.1.1", b"X-Session: zz")
    assert forged.status == 200


async def test_hashing_on_a_cookie_that_is_given(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origins = [await make_origin(named(b"%d" % number)) for number in range(5)]
    cluster = Cluster(
        name="c0",
        service="default/s",
        algorithm=Algorithm.SOURCE_HASH,
        hash_on=(
            HashOn(source=HashSource.HEADER, name="x-user"),
            HashOn(source=HashSource.COOKIE, name="who", cookie_ttl=60),
        ),
    )
    endpoints = Assignment(cluster="c0", endpoints=tuple(origin.endpoint for origin in origins))
    plane.route(rule(), clusters=(cluster,), assignments=(endpoints,))
    client = await plane.connect()
    first = await client.get()
    cookie = first.fields[b"set-cookie"]
    assert b"Max-Age=60" in cookie
    for _ in range(5):
        assert (await client.get(b"/", b"Cookie: " + cookie.split(b";")[0])).body == first.body
    users = {(await client.get(b"/", b"X-User: %d" % number)).body for number in range(40)}
    assert len(users) > 2
    assert len({(await client.get(b"/", b"X-User: me")).body for _ in range(5)}) == 1


async def test_a_rate_limit(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    limit = RateLimit(requests=1, interval=60.0, burst=3)
    cluster = Cluster(name="c0", service="default/s", rate_limit=limit)
    plane.route(rule(), origins=(await make_origin(),), clusters=(cluster,))
    client = await plane.connect()
    statuses = [(await client.get()).status for _ in range(5)]
    assert statuses == sorted(statuses)
    assert statuses[0] == 200
    limited = await client.get()
    assert limited.status == 429
    assert 0 < int(limited.fields[b"retry-after"]) <= 600


async def test_requests_wait_for_their_turn_or_are_turned_away(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def answer(_: Received) -> bytes | None:
        await go.wait()
        return OK

    go = asyncio.Event()
    origin = await make_origin(answer)
    cluster = Cluster(name="c0", service="default/s", max_requests=1, max_pending=1)
    plane.route(rule(), origins=(origin,), clusters=(cluster,))
    one, two, three = [await plane.connect() for _ in range(3)]
    await one.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n")
    await plane.wait_until(lambda: len(origin.requests) == 1)
    await two.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n")
    await plane.wait_until(lambda: bool(plane.plane._clusters["c0"]._pending))
    assert (await three.get()).status == 503
    go.set()
    assert [(await one.read()).status, (await two.read()).status] == [200, 200]
    assert origin.connections == 1


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 11\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: s\r\nX: " + b"y" * 2000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 2000 + b" HTTP/1.1\r\nHost: s\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: s\r\n" + b"X: y\r\n" * 20 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: s\r\nExpect: miracles\r\n\r\n", 417),
        (b"CONNECT s:80 HTTP/1.1\r\nHost: s\r\n\r\n", 501),
        (b"GET /\r\n\r\n", 426),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
    ],
)
async def test_limits_and_what_is_refused(
    plane: HTTPPlane, make_origin: MakeOrigin, request_bytes: bytes, status: int
) -> None:
    cluster = Cluster(name="c0", service="default/s", max_request_body=10)
    limits = HTTPListener(max_header_bytes=1000, max_headers=10)
    plane.route(rule(), origins=(await make_origin(),), clusters=(cluster,), http=limits)
    client = await plane.connect()
    response = await client.ask(request_bytes)
    assert response.status == status
    assert response.fields[b"connection"] == b"close"
    assert await client.is_closed()


async def test_an_upgrade_becomes_a_tunnel(plane: HTTPPlane) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\nConnection: upgrade\r\nUpgrade: echo\r\n" in head
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhi ")
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    origin = Origin()
    port = server.sockets[0].getsockname()[1]
    origin.endpoint = Endpoint(address=SocketAddress("127.0.0.1", port))
    plane.route(rule(), origins=(origin,))
    client = await plane.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst ")
    assert (await client.read()).status == 101
    await client.send(b"second")
    assert await client.reader.readexactly(15) == b"hi first second"
    client.writer.write_eof()
    assert await client.is_closed()
    await plane.wait_until(lambda: not plane.plane.open_connections)
    server.close()


async def test_draining_closes_idle_connections_and_says_so_to_busy_ones(
    plane: HTTPPlane, make_origin: MakeOrigin
) -> None:
    async def answer(_: Received) -> bytes | None:
        await go.wait()
        return OK

    go = asyncio.Event()
    go.set()
    origin = await make_origin(answer)
    plane.route(rule(), origins=(origin,))
    idle, busy = await plane.connect(), await plane.connect()
    await idle.get()
    go.clear()
    await busy.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n")
    await plane.wait_until(lambda: len(origin.requests) == 2)
    plane.plane.stop_accepting()
    assert await idle.is_closed()
    go.set()
    response = await busy.read()
    assert response.fields[b"connection"] == b"close"
    assert await busy.is_closed()
    await plane.wait_until(lambda: not plane.plane.open_connections)


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\nHost: s\r\n\r\n", b"G"])
async def test_first_bytes_decide(plane: HTTPPlane, make_origin: MakeOrigin, first: bytes) -> None:
    origin = await make_origin()
    plane.route(origins=(origin,), protocol=Protocol.AUTO)
    client = await plane.connect()
    await client.send(first)
    rest = b"GET / HTTP/1.1\r\nHost: s\r\n\r\n"[len(first) :]
    if rest:
        await plane.wait_until(lambda: origin.connections == 1)  # meanwhile it was taken for TCP
        await client.send(rest)
    assert (await client.read()).body == b"ok"
    assert origin.requests[0].field(b"X-Forwarded-For") == b"127.0.0.1"
    assert (await client.get()).body == b"ok"
    assert origin.connections == 1


async def test_a_server_that_speaks_first_and_a_client_that_is_no_http(plane: HTTPPlane) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    origin = Origin()
    origin.endpoint = Endpoint(address=SocketAddress("127.0.0.1", server.sockets[0].getsockname()[1]))
    plane.route(origins=(origin,), protocol=Protocol.AUTO)
    for line in (b"GET / after the greeting\r\n", b"EHLO x\r\n"):
        client = await plane.connect()
        assert await client.reader.readline() == b"220 ready\r\n"
        await client.send(line)
        assert await client.reader.readline() == line
    eager = await plane.connect()
    await eager.send(b"*1\r\n")
    assert await eager.reader.read() == b"220 ready\r\n*1\r\n"
    server.close()


async def test_where_the_client_is_late_the_endpoint_that_was_picked_gets_its_request(
    plane: HTTPPlane, make_origin: MakeOrigin
) -> None:
    """Picked for TCP, and not once more for HTTP: shares would be wrong, and the connection would be for nothing."""
    origins = [await make_origin(named(name)) for name in (b"0", b"1")]
    cluster = Cluster(name="c0", service="default/s")
    both = Assignment(cluster="c0", endpoints=tuple(origin.endpoint for origin in origins))
    plane.route(origins=(origins[0],), clusters=(cluster,), assignments=(both,), protocol=Protocol.AUTO)
    answers = []
    for number in range(1, 5):
        client = await plane.connect()
        while sum(each.connections for each in origins) < number:
            await asyncio.sleep(0)
        answers.append((await client.get()).body)
    assert answers in ([b"0", b"1", b"0", b"1"], [b"1", b"0", b"1", b"0"])


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.AUTO])
async def test_a_proxy_header_stands_before_each_request(plane: HTTPPlane, protocol: Protocol) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    origin = Origin()
    origin.endpoint = Endpoint(address=SocketAddress("127.0.0.1", server.sockets[0].getsockname()[1]))
    cluster = Cluster(name="c0", service="default/s", send_proxy_protocol=1)
    plane.route(origins=(origin,), clusters=(cluster,), protocol=protocol)
    client = await plane.connect()
    for _ in range(2):
        assert (await client.get()).body == b"ok"
    host, port = client.writer.get_extra_info("sockname")
    assert heads == [f"PROXY TCP4 {host} {plane.address[0]} {port} {plane.address[1]}\r\n".encode()] * 2
    server.close()
