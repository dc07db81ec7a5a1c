"""The DNS server on real sockets: both transports, changes of configuration and health, hostile clients."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import dns.message
import dns.rcode
import msgspec
import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.events import Event
from meshproxy.dns.front import Guests
from meshproxy.dns.resolv_conf import SystemResolvers
from meshproxy.dns.server import DNSServer
from meshproxy.dns.tcp import Connection
from meshproxy.snapshot.model import DNSSettings, Snapshot
from tests.integration.addresses import SERVICES, free_address
from tests.integration.conditions import wait_until
from tests.support.dns import MANIFESTS, lines, make_wire, snapshot_of
from tests.support.dns_upstream import reply, silence, upstream
from tests.unit.dns.conftest import FakeClock

SNAPSHOT = snapshot_of(MANIFESTS)


class Client(NamedTuple):
    """A TCP connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, *wires: bytes) -> None:
        for wire in wires:
            self.writer.write(len(wire).to_bytes(2, "big") + wire)

    async def read(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2), "big"))

    async def ended(self) -> bool:
        """Whether the server closes the connection, before it has said anything more."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True


class Harness:
    """A server at a free address, and a client of it."""

    def __init__(self, clock: FakeClock, events: list[Event], directory: Path) -> None:
        self.address = free_address(SERVICES)
        self.clock = clock
        self.sick: set[str] = set()
        self.resolv_conf = directory / "resolv.conf"
        self.server = DNSServer(
            clock=clock,
            random=Random(1),
            usable=lambda cluster, endpoint: endpoint not in self.sick,
            on_event=events.append,
            system=SystemResolvers(self.resolv_conf, directory / "none"),
        )

    def apply(self, snapshot: Snapshot = SNAPSHOT, **settings: Any) -> None:
        dns_settings = DNSSettings(**{"address": self.address, "timeout": 0.3, **settings})
        changed = msgspec.structs.replace(snapshot.settings, dns=dns_settings)
        self.server.apply(msgspec.structs.replace(snapshot, settings=changed))

    async def ask(self, name: str, kind: str = "A", *, tcp: bool = False, **options: Any) -> dns.message.Message:
        wire = make_wire(name, kind, **options)
        answer = await (self.exchange_tcp(wire) if tcp else self.exchange(wire))
        message = dns.message.from_wire(answer)
        assert message.id == int.from_bytes(wire[:2], "big")
        return message

    async def answers(self, name: str, kind: str = "A") -> list[str]:
        return lines((await self.ask(name, kind)).answer)

    async def exchange(self, wire: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect((self.address.host, self.address.port))
            client.send(wire)
            async with asyncio.timeout(10):
                return await loop.sock_recv(client, 65535)

    async def exchange_tcp(self, *wires: bytes) -> bytes:
        async with self.connection() as client:
            client.send(*wires)
            return await client.read()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    @property
    def connections(self) -> list[Connection]:
        """Those that the server has accepted."""
        sockets = self.server._sockets
        assert sockets is not None
        return list(sockets.tcp.connections)

    def sweep(self) -> None:
        assert self.server._sockets is not None
        self.server._sockets.tcp.sweep()


@pytest.fixture
async def harness(clock: FakeClock, events: list[Event], tmp_path: Path) -> AsyncIterator[Harness]:
    made = Harness(clock, events, tmp_path)
    yield made
    await made.server.stop()


def cached(harness: Harness) -> int:
    report = harness.server.report()
    assert report is not None
    return report.cache_hits


# -- answers -----------------------------------------------------------------------------


@pytest.mark.parametrize("tcp", [False, True])
async def test_an_answer_is_the_same_from_the_cache(harness: Harness, tcp: bool) -> None:
    harness.apply()
    first = await harness.ask("web.default.svc.cluster.local", tcp=tcp)
    assert lines(first.answer) == ["web.default.svc.cluster.local. 5 IN A 127.96.0.10"]
    assert cached(harness) == 0
    second = await harness.ask("web.default.svc.cluster.local", tcp=tcp)
    assert (second.answer, second.flags) == (first.answer, first.flags)
    assert cached(harness) == 1


async def test_case_is_kept_from_the_cache_too(harness: Harness) -> None:
    harness.apply()
    for name in ("web", "WEB", "wEb", "web", "WEB"):
        assert await harness.answers(name) == [f"{name}. 5 IN A 127.96.0.10"]
    assert cached(harness) == 2


async def test_addresses_take_turns(harness: Harness) -> None:
    harness.apply()
    firsts = Counter([(await harness.answers("db.shop"))[0] for _ in range(9)])
    assert sorted(firsts.values()) == [4, 5]


async def test_a_long_answer_is_had_by_tcp(harness: Harness) -> None:
    workload = "---\napiVersion: meshproxy.dev/v1\nkind: Workload\n"
    many = "".join(
        f"{workload}metadata: {{name: w{n}, namespace: shop, labels: {{app: db}}}}\nspec: {{address: 10.1.0.{n}}}\n"
        for n in range(1, 200)
    )
    harness.apply(snapshot_of(MANIFESTS + many))
    over_udp = await harness.ask("db.shop", edns=0)
    assert over_udp.flags & dns.flags.TC
    over_tcp = await harness.ask("db.shop", tcp=True)
    assert len(lines(over_tcp.answer)) == 201


async def test_queries_are_counted(harness: Harness) -> None:
    harness.apply()
    await harness.ask("web")
    await harness.ask("web")
    await harness.ask("nope.default.svc", "AAAA", tcp=True)
    await harness.ask("web", "TYPE999")
    await harness.exchange(b"12\0\0rubbish!")
    report = harness.server.report()
    assert report is not None
    assert [(each.protocol, each.type, each.rcode, each.count) for each in report.queries] == [
        ("tcp", "AAAA", "NXDOMAIN", 1),
        ("udp", "A", "NOERROR", 2),
        ("udp", "none", "FORMERR", 1),
        ("udp", "other", "NOERROR", 1),
    ]


# -- changes -----------------------------------------------------------------------------


async def test_a_change_is_answered_at_once(harness: Harness) -> None:
    harness.apply()
    await harness.ask("web")
    harness.apply(snapshot_of(MANIFESTS.replace("127.96.0.10", "127.96.0.99")))
    assert await harness.answers("web") == ["web. 5 IN A 127.96.0.99"]
    harness.apply(snapshot_of(MANIFESTS.replace("127.96.0.10", "127.96.0.99")), ttl=60)
    assert await harness.answers("web") == ["web. 60 IN A 127.96.0.99"]


async def test_what_changes_no_name_forgets_nothing(harness: Harness) -> None:
    harness.apply()
    await harness.ask("web")
    harness.apply(snapshot_of(MANIFESTS.replace("metadata: {name: p}", "metadata: {name: q}")))
    await harness.ask("web")
    assert cached(harness) == 1


async def test_health_is_answered_at_once(harness: Harness) -> None:
    harness.apply()
    assert len(await harness.answers("db.shop")) == 2
    harness.sick.add("10.0.0.1:5432")
    harness.server.health_changed(["shop/db:pg"])
    assert await harness.answers("db.shop") == ["db.shop. 5 IN A 10.0.0.2"]
    await harness.ask("web")
    harness.server.health_changed(["default/web:http"])  # its name gives its virtual IP, whatever its health
    await harness.ask("web")
    assert cached(harness) == 1


async def test_the_address_can_change(harness: Harness) -> None:
    harness.apply()
    await harness.ask("web")
    old, harness.address = harness.address, free_address(SERVICES)
    harness.apply()
    await harness.ask("web")
    await harness.ask("web", tcp=True)
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect((old.host, old.port))


async def test_an_address_that_is_taken_leaves_the_old_one(harness: Harness, events: list[Event]) -> None:
    harness.apply()
    taken = free_address(SERVICES)
    with closing(socket.create_server((taken.host, taken.port))):
        harness.apply(address=taken)
        harness.apply(address=taken)
        assert await harness.answers("web")
        report = harness.server.report()
        assert report is not None
        assert report.address == harness.address
        assert "in use by another program" in report.problem
        assert [event.reason for event in events] == ["DNSFailed"]
    running = asyncio.ensure_future(harness.server.run())  # noqa: TID251
    harness.address = taken
    await wait_until(lambda: not (report := harness.server.report()) or not report.problem.startswith(str(taken)), "")
    running.cancel()
    assert await harness.answers("web")


async def test_it_can_be_turned_off(harness: Harness) -> None:
    harness.apply()
    harness.server.apply(SNAPSHOT)
    assert harness.server.report() is None
    with pytest.raises(ConnectionRefusedError):
        await harness.exchange(make_wire("web"))


# -- other names -------------------------------------------------------------------------


async def test_other_names_are_forwarded_and_kept(harness: Harness) -> None:
    async with upstream(reply("@ 60 IN A 192.0.2.1")) as server:
        harness.apply(upstreams=(server.address,))
        message = await harness.ask("eXample.com")
        assert lines(message.answer) == ["eXample.com. 60 IN A 192.0.2.1"]
        harness.clock.now += 10.5
        assert await harness.answers("EXAMPLE.com") == ["EXAMPLE.com. 50 IN A 192.0.2.1"]
        assert await harness.answers("EXAMPLE.com") == ["EXAMPLE.com. 50 IN A 192.0.2.1"]
        harness.clock.now += 0.6
        assert await harness.answers("EXAMPLE.com") == ["EXAMPLE.com. 49 IN A 192.0.2.1"]
        harness.clock.now += 60
        assert await harness.answers("EXAMPLE.com") == ["EXAMPLE.com. 60 IN A 192.0.2.1"]
        assert server.names == ["example.com."] * 2


async def test_a_new_service_goes_before_what_was_forwarded(harness: Harness) -> None:
    async with upstream(reply("@ 60 IN A 192.0.2.1")) as server:
        harness.apply(
            snapshot_of(MANIFESTS.replace("metadata: {name: web}", "metadata: {name: wob}")),
            upstreams=(server.address,),
        )
        assert await harness.answers("web") == ["web. 60 IN A 192.0.2.1"]
        harness.apply(upstreams=(server.address,))
        assert await harness.answers("web") == ["web. 5 IN A 127.96.0.10"]


async def test_external_names_are_followed(harness: Harness) -> None:
    async with upstream(reply("@ 60 IN CNAME x.example.com.", "x.example.com. 30 IN A 192.0.2.1")) as server:
        harness.apply(upstreams=(server.address,))
        assert await harness.answers("ext") == [
            "ext. 5 IN CNAME example.com.",
            "example.com. 60 IN CNAME x.example.com.",
            "x.example.com. 30 IN A 192.0.2.1",
        ]
        server.answer = reply(rcode="NXDOMAIN")
        message = await harness.ask("ext", "AAAA")
        assert (dns.rcode.to_text(message.rcode()), len(message.answer)) == ("NXDOMAIN", 1)
        assert await harness.answers("ext-ours") == [
            "ext-ours. 5 IN CNAME web.default.svc.cluster.local.",
            "web.default.svc.cluster.local. 5 IN A 127.96.0.10",
        ]


async def test_external_names_in_a_circle(harness: Harness) -> None:
    harness.apply()
    assert dns.rcode.to_text((await harness.ask("ext-loop")).rcode()) == "SERVFAIL"


async def test_without_an_upstream_that_answers(harness: Harness) -> None:
    async with upstream(silence) as server:
        harness.apply(upstreams=(server.address,), timeout=0.05)
        for name in ("example.com", "ext"):
            assert dns.rcode.to_text((await harness.ask(name)).rcode()) == "SERVFAIL"
        assert "no answer within" in harness.server.explain("example.com", "A").reason


async def test_the_systems_resolvers_are_followed(harness: Harness) -> None:
    async with upstream(reply("@ 60 IN A 192.0.2.1")) as server:
        harness.apply()
        report = harness.server.report()
        assert report is not None
        assert "names none" in report.problem
        assert dns.rcode.to_text((await harness.ask("example.com")).rcode()) == "SERVFAIL"
        harness.resolv_conf.write_text("nameserver 192.0.2.77\n")
        harness.apply()
        report = harness.server.report()
        assert report is not None
        assert [each.address for each in report.upstreams] == ["192.0.2.77:53"]
        harness.apply(upstreams=(server.address,))
        harness.clock.now += 2
        assert await harness.answers("example.com")


async def test_recursion_must_be_wanted(harness: Harness) -> None:
    harness.apply()
    assert dns.rcode.to_text((await harness.ask("example.com", recursion=False)).rcode()) == "REFUSED"
    assert (await harness.ask("web", recursion=False)).answer


async def test_too_many_that_wait_are_refused(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshproxy.dns.front.MAX_WAITING", 2)
    async with upstream(reply("@ 60 IN A 192.0.2.1")) as server:
        server.held = []
        harness.apply(upstreams=(server.address,), timeout=5.0)
        waiting = [asyncio.ensure_future(harness.ask(f"n{number}.com")) for number in range(2)]  # noqa: TID251
        await wait_until(lambda: len(server.names) == 2, "both are asked")
        assert dns.rcode.to_text((await harness.ask("n3.com")).rcode()) == "SERVFAIL"
        for each in server.held:
            each()
        assert all(message.answer for message in await asyncio.gather(*waiting))
    report = harness.server.report()
    assert report is not None
    assert report.dropped == 1


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("web", "A", "Service default/web: its virtual IP"),
        ("ext", "A", "another name for example.com; example.com is no Service's name, and there is no upstream"),
        ("ext-ours", "A", "another name for web.default.svc.cluster.local"),
        ("example.com", "A", "example.com is no Service's name, and there is no upstream"),
    ],
)
async def test_explanations(harness: Harness, name: str, kind: str, reason: str) -> None:
    harness.apply()
    assert reason in harness.server.explain(name, kind).reason


@pytest.mark.parametrize(
    ("name", "kind"), [("a..b", "A"), ("x" * 64, "A"), (".".join(["x" * 60] * 5), "A"), ("web", "Q")]
)
async def test_what_cannot_be_explained(harness: Harness, name: str, kind: str) -> None:
    harness.apply()
    with pytest.raises((ValueError, Exception)):
        harness.server.explain(name, kind)


# -- TCP ---------------------------------------------------------------------------------


async def test_many_queries_on_one_connection_a_byte_at_a_time(harness: Harness) -> None:
    harness.apply()
    wires = [make_wire(name) for name in ("web", "db.shop", "nope.default.svc", "web")]
    async with harness.connection() as client:
        for byte in b"".join(len(wire).to_bytes(2, "big") + wire for wire in wires):
            client.writer.write(bytes((byte,)))
            await client.writer.drain()
        client.writer.write_eof()
        assert [(await client.read())[:2] for _ in wires] == [wire[:2] for wire in wires]
        assert await client.ended()


async def test_a_slow_answer_does_not_keep_others_waiting(harness: Harness) -> None:
    async with upstream(reply("@ 60 IN A 192.0.2.1")) as server, AsyncExitStack() as stack:
        server.held = []
        harness.apply(upstreams=(server.address,), timeout=5.0)
        client = await stack.enter_async_context(harness.connection())
        slow, quick = make_wire("example.com"), make_wire("web")
        client.send(slow, quick)
        client.writer.write_eof()
        assert (await client.read())[:2] == quick[:2]
        await wait_until(lambda: server.names, "the upstream is asked")
        for each in server.held:
            each()
        assert (await client.read())[:2] == slow[:2]
        assert await client.ended()


async def test_a_connection_that_is_idle_is_closed(harness: Harness) -> None:
    harness.apply()
    async with harness.connection() as idle, harness.connection() as busy:
        idle.writer.write(b"\0")  # not a whole query
        await wait_until(lambda: len(harness.connections) == 2, "both are accepted")
        harness.clock.now += 9
        busy.send(make_wire("web"))
        await busy.read()
        harness.clock.now += 2
        harness.sweep()
        assert await idle.ended()
        assert len(harness.connections) == 1


async def test_one_connection_too_many_ends_the_one_that_was_idle_longest(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshproxy.dns.tcp.MAX_CONNECTIONS", 2)
    harness.apply()
    async with harness.connection() as first:
        await wait_until(lambda: harness.connections, "it is accepted")
        async with harness.connection():
            await wait_until(lambda: len(harness.connections) == 2, "it is accepted")
            await harness.ask("web", tcp=True)
            assert await first.ended()


@pytest.mark.parametrize("sent", [b"\xff\xff" + bytes(100), b"\x10\x01"])
async def test_a_query_that_is_too_long_ends_its_connection(harness: Harness, sent: bytes) -> None:
    harness.apply()
    async with harness.connection() as client:
        client.writer.write(sent)
        assert await client.ended()


async def test_a_client_that_does_not_read_is_not_read_from(harness: Harness) -> None:
    harness.apply()
    wire = make_wire("web.default.svc.cluster.local")
    async with harness.connection() as client:
        await wait_until(lambda: harness.connections, "it is accepted")
        (connection,) = harness.connections

        async def flood() -> None:
            while True:
                client.send(*[wire] * 1000)
                await client.writer.drain()

        flooding = asyncio.ensure_future(flood())  # noqa: TID251
        await wait_until(lambda: connection._full, "answers pile up")
        assert len(connection._buffer) < 1024 * 1024
        flooding.cancel()


# -- who may ask -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listens", "host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "10.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("::", "fe80::1%eth0", True),
        ("::", "fd00::1", True),
        ("0.0.0.0", "8.8.8.8", False),
        ("::", "2001:4860:4860::8888", False),
    ],
)
def test_who_may_ask(listens: str, host: str, expected: bool) -> None:
    guests = Guests(SocketAddress(listens, 53))
    assert (not guests.checks or guests.may_ask(host)) is expected


async def test_an_answer_leaves_from_the_address_that_was_asked(harness: Harness) -> None:
    asked = harness.address
    harness.apply(address=SocketAddress("0.0.0.0", asked.port))
    assert await harness.answers("web")  # the client is connected: it hears no other address
    assert await harness.answers("web")
    assert cached(harness) == 1


async def test_ipv6(harness: Harness) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        harness.apply(address=SocketAddress("::1", harness.address.port))
        client.connect(("::1", harness.address.port))
        client.send(make_wire("web"))
        async with asyncio.timeout(10):
            answer = await asyncio.get_running_loop().sock_recv(client, 512)
    assert lines(dns.message.from_wire(answer).answer) == ["web. 5 IN A 127.96.0.10"]


async def test_garbage_over_both(harness: Harness) -> None:
    harness.apply()
    random = Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(500):
            client.sendto(random.randbytes(random.randrange(120)), (harness.address.host, harness.address.port))
    async with harness.connection() as client:
        client.send(*(random.randbytes(random.randrange(60)) for _ in range(200)))
        assert await harness.answers("web")
        await harness.ask("web", tcp=True)
