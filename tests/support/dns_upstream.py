"""An upstream resolver that answers as a test wants, on UDP and TCP of one free address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import dns.flags
import dns.message
import dns.rcode

from benchmarks.processes import free_port
from meshproxy.base.addresses import SocketAddress
from tests.support.dns import rrset_of

Answer = Callable[[dns.message.Message], "dns.message.Message | bytes | None"]


def reply(*records: str, rcode: str = "NOERROR", authority: tuple[str, ...] = ()) -> Answer:
    """Answers every question with `records`, lines of a zone file; ``@`` is the name that is asked for."""

    def answer(query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(dns.rcode.from_text(rcode))
        name = str(query.question[0].name)
        response.answer = [rrset_of(each.replace("@", name)) for each in records]
        response.authority = [rrset_of(each) for each in authority]
        return response

    return answer


def truncated(query: dns.message.Message) -> dns.message.Message:
    """Says that the answer is too large for a datagram."""
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC
    return response


def silence(query: dns.message.Message) -> None:
    """Answers nothing."""


class FakeUpstream(asyncio.DatagramProtocol):
    """`answer` answers over UDP, and over TCP unless `tcp_answer` does; `queries` are those that came."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.tcp_answer: Answer | None = None
        self.queries: list[dns.message.Message] = []
        self.ports: list[int] = []
        self.before: Callable[[bytes], list[bytes]] = lambda query: []
        """What is sent before the answer."""
        self.held: list[Callable[[], None]] | None = None
        """Set to a list, answers wait in it."""
        self.address = SocketAddress("127.0.0.1", 0)
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def names(self) -> list[str]:
        """What was asked, loop probes apart."""
        asked = [str(query.question[0].name) for query in self.queries]
        return [name for name in asked if not name.endswith(".loop-probe.meshproxy.")]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        assert self._transport is not None
        self.ports.append(addr[1])
        for each in self.before(data):
            self._transport.sendto(each, addr)
        wire = self._answer(data, self.answer)
        if wire is None:
            return
        if self.held is not None:
            self.held.append(lambda: self._transport.sendto(wire, addr) if self._transport else None)
        else:
            self._transport.sendto(wire, addr)

    def _answer(self, data: bytes, answer: Answer) -> bytes | None:
        query = dns.message.from_wire(data)
        self.queries.append(query)
        response = answer(query)
        return response.to_wire(max_size=65535) if isinstance(response, dns.message.Message) else response

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        wire = self._answer(await reader.readexactly(size), self.tcp_answer or self.answer)
        if wire is not None:
            writer.write(len(wire).to_bytes(2, "big") + wire)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def upstream(answer: Answer, host: str = "127.0.0.1") -> AsyncIterator[FakeUpstream]:
    """An upstream that runs while the body does."""
    loop = asyncio.get_running_loop()
    made = FakeUpstream(answer)
    server = await asyncio.start_server(made.serve_tcp, host, 0)
    made.address = SocketAddress(*server.sockets[0].getsockname())
    transport, _ = await loop.create_datagram_endpoint(lambda: made, local_addr=(made.address.host, made.address.port))
    try:
        yield made
    finally:
        transport.close()
        server.close()
        await server.wait_closed()


def closed_port() -> SocketAddress:
    """An address that nobody listens on."""
    return SocketAddress("127.0.0.1", free_port(kind=socket.SOCK_DGRAM))
