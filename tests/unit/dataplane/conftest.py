"""Fixtures: a data plane, servers behind it, and endpoints that do not answer. All on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import uvloop

from benchmarks.processes import free_port
from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.model import Endpoint, Transport
from tests.support.datagrams import Datagrams, MakeClient, MakeServer, Server
from tests.support.dataplane import Backend, Handler, MakeBackend, Plane, echo


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def tcp() -> AsyncIterator[Plane]:
    plane = Plane(Transport.TCP)
    yield plane
    plane.close()


@pytest.fixture
async def udp() -> AsyncIterator[Plane]:
    plane = Plane(Transport.UDP)
    yield plane
    plane.close()


@pytest.fixture
async def make_backend() -> AsyncIterator[MakeBackend]:
    made: list[Backend] = []

    async def make(handler: Handler = echo, **endpoint: Any) -> Backend:
        backend = Backend(handler)
        await backend.start(**endpoint)
        made.append(backend)
        return backend

    yield make
    for backend in made:
        await backend.stop()


@pytest.fixture
async def make_server() -> AsyncIterator[MakeServer]:
    """Makes UDP servers."""
    with contextlib.ExitStack() as made:

        def make(*values: Any, **options: Any) -> Server:
            return made.enter_context(contextlib.closing(Server(*values, **options)))

        yield make


@pytest.fixture
async def make_client() -> AsyncIterator[MakeClient]:
    """Makes UDP clients."""
    with contextlib.ExitStack() as made:

        def make(host: str = "127.0.0.1") -> Datagrams:
            return made.enter_context(contextlib.closing(Datagrams(host)))

        yield make


@pytest.fixture
def closed_endpoint() -> Endpoint:
    """An address where nobody listens."""
    return Endpoint(address=SocketAddress("127.0.0.1", free_port()))


@pytest.fixture
def silent_endpoint() -> Iterator[Endpoint]:
    """An address whose accept queue is full: connections to it neither open nor fail."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield Endpoint(address=SocketAddress(*listening.getsockname()))
