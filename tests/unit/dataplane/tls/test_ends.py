"""How TLS connections end, and handshakes that do not: what was cut off is never taken for the whole."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.dataplane.tls import handshake, turns
from meshproxy.dataplane.tls.turns import MAX_WAITING, TURNS, Turns
from meshproxy.snapshot.model import Cluster, Endpoint, FilterChain, Protocol
from meshproxy.snapshot.routes import Backend
from meshproxy.snapshot.tls import UpstreamTLS
from tests.support.dataplane import MakeBackend
from tests.support.http import HTTPClient
from tests.support.tls import TLSPlane, material
from tests.unit.dataplane.tls.conftest import MakeOrigin

UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nthe whole"


async def _serve_once(plane: TLSPlane, listening: socket.socket, *, says_end: bool) -> None:
    """A TLS server that answers with a body until it closes, with or without a close_notify."""
    loop = asyncio.get_running_loop()
    client, _ = await loop.sock_accept(listening)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = plane.server_context(dns=("db",)).wrap_bio(incoming, outgoing, server_side=True)
    request = b""
    while b"\r\n\r\n" not in request:
        incoming.write(await loop.sock_recv(client, 65536))
        try:
            secure.do_handshake()
            request += secure.read(65536)
        except ssl.SSLWantReadError:
            pass
        await loop.sock_sendall(client, outgoing.read())
    secure.write(UNTIL_CLOSE)
    if says_end:
        with pytest.raises(ssl.SSLWantReadError):
            secure.unwrap()
    await loop.sock_sendall(client, outgoing.read())
    client.close()


@pytest.mark.parametrize("says_end", [True, False])
async def test_a_body_until_the_end_needs_an_end(plane: TLSPlane, says_end: bool) -> None:
    """RFC 9112 §9.8: without a close_notify it may have been cut off by anybody."""
    plane.put(material("ca", None, plane.ca.bundle))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        endpoint = Endpoint(address=SocketAddress(*listening.getsockname()))
        tls = UpstreamTLS(server_name="db", trust="ca")
        plane.apply(endpoint, listener={"protocol": Protocol.HTTP}, tls=tls)
        client = await plane.connect()
        async with asyncio.TaskGroup() as group:
            group.create_task(_serve_once(plane, listening, says_end=says_end))
            await client.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n")
            assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            if says_end:
                assert await client.reader.read() == b"the whole"
            else:
                with pytest.raises(ConnectionResetError):
                    await client.reader.read()


async def test_a_half_closed_client_is_answered(plane: TLSPlane, make_backend: MakeBackend) -> None:
    """TLS 1.3: a close_notify ends one direction only, and comes right behind data here."""
    backend = await make_backend()
    plane.terminate(backend.endpoint, protocol=Protocol.TCP)
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = plane.client_context().wrap_bio(incoming, outgoing, server_hostname="s")
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, plane.address)
        done = False
        while not done:
            try:
                secure.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                await loop.sock_sendall(client, outgoing.read())
                incoming.write(await loop.sock_recv(client, 65536))
        secure.write(b"to be echoed")
        with pytest.raises(ssl.SSLWantReadError):
            secure.unwrap()
        await loop.sock_sendall(client, outgoing.read())  # the end in one packet with the data, and no FIN
        echoed = b""
        async with asyncio.timeout(10):
            while data := await loop.sock_recv(client, 65536):
                incoming.write(data)
                try:
                    while part := secure.read(65536):
                        echoed += part
                except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                    pass
    assert echoed == b"to be echoed"


async def test_slow_handshakes_end(plane: TLSPlane, make_origin: MakeOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent clients, and those that stop in the middle."""
    monkeypatch.setattr(handshake, "HANDSHAKE_TIMEOUT", 0.1)
    origin = await make_origin()
    plane.terminate(origin.endpoint)
    for sent in (b"", b"\x16\x03\x01\x02\x00\x01"):
        client = HTTPClient(*await asyncio.open_connection(*plane.address))
        plane.clients.append(client)
        await client.send(sent)
        assert await client.is_closed()
    assert plane.handshakes() == {"timeout": 2}
    assert plane.stats()["l"]["active"] == 0


async def test_a_silent_client_is_plain_where_that_is_permitted(
    plane: TLSPlane, make_backend: MakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are protocols in which the server speaks first."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await writer.drain()

    monkeypatch.setattr(handshake, "SILENCE", 0.05)
    backend = await make_backend(greet)
    chain = FilterChain(name="n", server_names=("n",), cluster="c")
    clusters = {"c": Cluster(name="c", service="default/s")}
    plane.serve(chain, clusters=clusters, endpoints={"c": backend.endpoint}, permits_plain=True, cluster="c")
    client = await plane.connect()
    assert await client.reader.read(11) == b"220 hello\r\n"


async def test_a_hundred_handshakes_at_once(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    """More than have their turn at once: all of them succeed in the end."""
    plane.terminate((await make_origin()).endpoint)
    context = plane.client_context()
    count = 100

    async def connect() -> None:
        assert (await (await plane.secure("s", context)).get()).status == 200

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(connect())
    assert plane.handshakes() == {"full": count}


@pytest.mark.parametrize("weights", [(1, 0), (0, 0)])
async def test_what_passes_through_goes_to_a_backend_with_a_weight(
    plane: TLSPlane, make_origin: MakeOrigin, weights: tuple[int, int]
) -> None:
    """Its own TLS reaches the client; where there is no backend, a reset."""
    origin = await make_origin(tls=plane.server_context(dns=("db",)))
    backends = (Backend(cluster="c", weight=weights[0]), Backend(weight=weights[1], problem="gone"))
    chain = FilterChain(name="db", server_names=("*.s",), backends=backends)
    clusters = {"c": Cluster(name="c", service="default/s")}
    plane.serve(chain, clusters=clusters, endpoints={"c": origin.endpoint})
    if weights[0]:
        client = await plane.secure("db.s")
        assert (await client.get()).body == b"ok"
        assert client.writer.get_extra_info("peercert")["subjectAltName"] == (("DNS", "db"),)
        assert not plane.handshakes()
    else:
        with pytest.raises(ConnectionError):
            await plane.secure("db.s")
        assert plane.stats()["l"]["refused"] == 1


async def test_a_handshake_too_many_is_counted_as_such(
    plane: TLSPlane, make_origin: MakeOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.terminate((await make_origin()).endpoint)
    monkeypatch.setattr(turns, "MAX_WAITING", 0)
    plane.plane.tls.turns._left = 0
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await plane.secure()
    assert plane.handshakes() == {"overload": 1}


def test_turns_are_taken_in_order_and_bounded() -> None:
    rounds: list[object] = []
    waiting = Turns(rounds.append)
    taken: list[int] = []
    answers = [waiting.take(lambda number=number: taken.append(number)) for number in range(TURNS + MAX_WAITING + 1)]  # type: ignore[misc]
    assert answers == [True] * TURNS + [False] * MAX_WAITING + [None]
    assert taken == list(range(TURNS))
    while rounds:
        rounds.pop(0)()  # type: ignore[operator]
    assert taken == list(range(TURNS + MAX_WAITING))
    assert waiting.take(lambda: taken.append(-1)) is True
