"""A real data plane in the test's own loop, and servers for it on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from benchmarks.processes import free_port
from meshproxy.base.addresses import SocketAddress
from meshproxy.dataplane.descriptors import DescriptorBudget
from meshproxy.dataplane.engine import DataPlane
from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.staging import Staged
from meshproxy.runtime.listener_sockets import ListenerSockets
from meshproxy.snapshot.delta import messages_between
from meshproxy.snapshot.messages import Begin, Commit, EndpointFailing, PutListeners
from meshproxy.snapshot.model import EMPTY, Assignment, Cluster, Endpoint, Listener, Snapshot, Transport

DEADLINE = 10


class Plane:
    """A data plane with one cluster ``c`` behind one listener ``l``."""

    def __init__(self, transport: Transport) -> None:
        loop = asyncio.get_running_loop()
        self.transport = transport
        self.reactor = Reactor(loop, 65536, DescriptorBudget(10_000))
        self.failing: list[EndpointFailing] = []
        self.plane = DataPlane(self.reactor, Random(1), self.failing.append)
        self.snapshot = EMPTY
        self._sockets = ListenerSockets(1)
        kind = socket.SOCK_STREAM if transport is Transport.TCP else socket.SOCK_DGRAM
        self.address = ("127.0.0.1", free_port(kind=kind))

    def apply(self, *endpoints: Endpoint, listener: dict[str, Any] | None = None, **cluster: Any) -> None:
        """Serve exactly this."""
        listeners = (
            Listener(
                name="l",
                address=SocketAddress(*self.address),
                transport=self.transport,
                cluster="c",
                service="default/s",
                **(listener or {}),
            ),
        )
        clusters = (Cluster(name="c", service="default/s", transport=self.transport, **cluster),)
        self.apply_snapshot(
            Snapshot(
                version="v",
                listeners=listeners,
                clusters=clusters,
                assignments=(Assignment(cluster="c", endpoints=endpoints),),
            )
        )

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        self._sockets.bind(snapshot.listeners)
        staged: Staged | None = None
        for message in messages_between(self.snapshot, snapshot):
            if isinstance(message, Begin):
                staged = Staged(message)
            elif isinstance(message, Commit):
                assert staged is not None
                staged.check(self.plane.cluster_names())
                for _ in self.plane.apply(staged):
                    pass
            else:
                assert staged is not None
                staged.add(message, self._sockets_for(message))  # type: ignore[arg-type]
        self.snapshot = snapshot
        self._sockets.keep_only({listener.name for listener in snapshot.listeners})

    def _sockets_for(self, message: object) -> list[socket.socket]:
        if not isinstance(message, PutListeners):
            return []
        return [socket.socket(fileno=socket.dup(self._sockets.descriptor(each.name, 0))) for each in message.listeners]

    def is_panicking(self) -> bool:
        return self.plane._clusters["c"].panicking

    def stats(self) -> dict[str, dict[str, int]]:
        """Counts by listener and endpoint: what would be reported to the supervisor."""
        counts: dict[str, dict[str, int]] = {}
        for name, listener in self.plane._listeners.items():
            stats = listener.counters.statistics(name)
            counts[name] = {field: getattr(stats, field) for field in stats.__struct_fields__ if field != "listener"}
        for cluster in self.plane._clusters.values():
            for upstream in cluster.upstreams.values():
                upstream.settle()
                endpoint = upstream.statistics("c")
                fields = [field for field in endpoint.__struct_fields__ if field not in ("cluster", "endpoint")]
                counts[upstream.key] = {field: getattr(endpoint, field) for field in fields}
        return counts

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        await wait_until(condition)

    def close(self) -> None:
        self.plane.stop_accepting()
        self.plane.abort_connections()
        self._sockets.close()
        self.reactor.close()


async def wait_until(condition: Callable[[], bool]) -> None:
    """Let the loop run until `condition` holds; fails after a deadline."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.001)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Backend:
    """A real server on loopback; `connections` counts what it accepted."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.connections = 0
        self.server: asyncio.Server | None = None
        self.endpoint = Endpoint(address=SocketAddress("127.0.0.1", 1))

    async def start(self, **endpoint: Any) -> None:
        self.server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.endpoint = Endpoint(address=SocketAddress("127.0.0.1", port), **endpoint)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send everything back, then close when the client has."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


MakeBackend = Callable[..., Awaitable[Backend]]


async def exchange(plane: Plane, data: bytes) -> bytes:
    """Send `data`, half-close, read to the end."""
    reader, writer = await asyncio.open_connection(*plane.address)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def is_reset(plane: Plane, data: bytes = b"") -> bool:
    """Whether a client that connects and sends `data` is reset rather than answered or closed in peace."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        async with asyncio.timeout(10):
            try:
                await loop.sock_connect(client, plane.address)
                await loop.sock_sendall(client, data)
                await loop.sock_recv(client, 1)
                return False
            except ConnectionError:
                return True
