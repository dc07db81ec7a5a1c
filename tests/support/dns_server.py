"""A DNS server on real sockets, and clients of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import dns.message
import dns.rcode
import msgspec

from meshproxy.base.events import Event
from meshproxy.dns.resolv_conf import SystemResolvers
from meshproxy.dns.server import DNSServer
from meshproxy.dns.tcp import Connection
from meshproxy.snapshot.model import DNSSettings, Snapshot
from tests.integration.addresses import SERVICES, free_address
from tests.support.dns import MANIFESTS, lines, make_wire, snapshot_of

SNAPSHOT = snapshot_of(MANIFESTS)


class FakeClock:
    """Stands still until it is told to go."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


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
        dns_settings = DNSSettings(**{"address": self.address, "timeout": 5.0, **settings})
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

    @property
    def cache_hits(self) -> int:
        report = self.server.report()
        assert report is not None
        return report.cache_hits

    def sweep(self) -> None:
        assert self.server._sockets is not None
        self.server._sockets.tcp.sweep()
