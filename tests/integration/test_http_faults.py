"""HTTP when things go wrong: slow peers, killed backends and workers, reloads and drains under load."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import BACKENDS, free_address
from tests.integration.clients import PATIENCE
from tests.integration.conditions import wait_until
from tests.integration.http_traffic import http_traffic
from tests.integration.manifests import Manifest, make_policy, make_service, make_workload
from tests.integration.programs import running
from tests.integration.proxy_process import ProxyProcess

HUGE = 100 << 20
PIECE = bytes(range(256)) * 256
GROWTH = 16 << 20
"""Bytes that a worker may grow by for eight clients that are slow: 100 MB each would be 800."""


def _documents(address: SocketAddress, *servers: tuple[str, SocketAddress], **policy: Any) -> list[Manifest]:
    ports = [{"name": "main", "port": address.port, "targetPort": "main", "appProtocol": "http"}]
    policies = [make_policy(**policy)] if policy else []
    return [make_service(address, ports=ports), *(make_workload(where, name) for name, where in servers), *policies]


class Origin:
    """Answers each request with its name, ``/huge`` with 100 MB; `moved` counts bytes of large bodies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = free_address(BACKENDS)
        self.moved = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[SocketAddress]:
        server = await asyncio.start_server(self._serve, self.address.host, self.address.port)
        try:
            yield self.address
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await wait_until(lambda: not self._writers, "the origin's connections end")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head, writer)
        except (ConnectionError, EOFError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        if head.startswith(b"PUT "):
            await writer.wait_closed()  # and reads nothing
        elif head.startswith(b"GET /huge "):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % HUGE)
            for _ in range(HUGE // len(PIECE)):
                writer.write(PIECE)
                await writer.drain()
                self.moved += len(PIECE)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(self.name), self.name.encode()))


def _peak_memory(pid: int) -> int:
    """Bytes of memory that a process had at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) << 10


async def _at_rest(count: Any) -> None:
    """Return once `count()` stays as it is."""
    seen = -1
    while seen != (now := count()):
        seen = now
        await asyncio.sleep(0.3)  # nothing happens: there is nothing else to wait for


async def test_slow_readers_of_huge_responses(proxy: ProxyProcess, address: SocketAddress) -> None:
    origin = Origin("origin")
    async with origin.serving() as server:
        proxy.configure(*_documents(address, ("origin", server)))
        await proxy.start()
        (worker,) = proxy.worker_pids()
        before = _peak_memory(worker)
        streams = [await asyncio.open_connection(address.host, address.port) for _ in range(8)]
        for _, writer in streams:
            writer.write(b"GET /huge HTTP/1.1\r\nHost: s\r\n\r\n")
        await wait_until(lambda: origin.moved > 0, "the responses begin")
        await _at_rest(lambda: origin.moved)
        assert origin.moved < 4 * HUGE, "kernel buffers, and not everything"
        reader, _ = streams[0]
        digest = hashlib.sha256()
        async with asyncio.timeout(30):
            await reader.readuntil(b"\r\n\r\n")
            left = HUGE
            while left:
                piece = await reader.read(min(left, 1 << 20))
                assert piece
                digest.update(piece)
                left -= len(piece)
        assert digest.digest() == hashlib.sha256(PIECE * (HUGE // len(PIECE))).digest()
        for _, writer in streams:
            writer.transport.abort()
        assert _peak_memory(worker) - before < GROWTH


async def test_uploads_to_an_origin_that_reads_nothing(proxy: ProxyProcess, address: SocketAddress) -> None:
    """With retries, for which a small body is kept."""
    origin = Origin("origin")
    async with origin.serving() as server:
        proxy.configure(*_documents(address, ("origin", server), retry={"attempts": 2}))
        await proxy.start()
        (worker,) = proxy.worker_pids()
        before = _peak_memory(worker)
        async with asyncio.TaskGroup() as group:
            streams = [await asyncio.open_connection(address.host, address.port) for _ in range(8)]
            sent = [0] * 8
            uploads = [group.create_task(_upload(each[1], sent, index)) for index, each in enumerate(streams)]
            await wait_until(lambda: all(sent), "the uploads begin")
            await _at_rest(lambda: sum(sent))
            assert sum(sent) < 4 * HUGE
            assert _peak_memory(worker) - before < GROWTH
            for upload in uploads:
                upload.cancel()
        for _, writer in streams:
            writer.transport.abort()


async def _upload(writer: asyncio.StreamWriter, sent: list[int], index: int) -> None:
    writer.write(b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n" % HUGE)
    for _ in range(HUGE // len(PIECE)):
        writer.write(PIECE)
        await writer.drain()
        sent[index] += len(PIECE)


SERVER = """\
import asyncio, sys

async def serve(reader, writer):
    name = sys.argv[1].encode()
    while await reader.readuntil(b"\\r\\n\\r\\n"):
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(name), name))

async def main():
    async with await asyncio.start_server(serve, sys.argv[2], int(sys.argv[3])) as server:
        await server.serve_forever()

asyncio.run(main())
"""
"""So slow that there are always requests under way."""


async def test_a_killed_backend_is_noticed_by_no_client(
    proxy: ProxyProcess, address: SocketAddress, tmp_path: Path
) -> None:
    addresses = {name: free_address(BACKENDS) for name in ("web-1", "web-2")}
    retry = {"attempts": 3, "backoff": "5ms", "budget": {"percent": 100, "minConcurrency": 50}}
    async with AsyncExitStack() as stack:
        processes = {}
        for name, where in addresses.items():
            server = _server(name, where, tmp_path)
            processes[name] = await stack.enter_async_context(server)
        proxy.configure(*_documents(address, *addresses.items(), retry=retry))
        await proxy.start()
        async with http_traffic(address) as traffic:
            await traffic.flow(100)
            processes["web-1"].kill()
            await processes["web-1"].wait()
            await traffic.flow(200)
            async with _server("web-1", addresses["web-1"], tmp_path):
                seen = traffic.answered["web-1"]
                await wait_until(lambda: traffic.answered["web-1"] > seen + 20, "it serves again")
                traffic.stop()
        assert traffic.failures == []


def _server(
    name: str, where: SocketAddress, directory: Path
) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    command = (sys.executable, "-c", SERVER, name, where.host, str(where.port))
    return running(*command, directory=directory, listens=where)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_killed_worker_takes_only_what_it_had(
    proxy: ProxyProcess, address: SocketAddress, workers: int
) -> None:
    proxy.expected_errors.append("worker")
    origin = Origin("origin")
    async with origin.serving() as server:
        proxy.configure(*_documents(address, ("origin", server)), workers=workers)
        await proxy.start()
        async with http_traffic(address, 6) as traffic:
            await traffic.flow(100)
            os.kill(proxy.worker_pids()[0], signal.SIGKILL)
            await traffic.flow(500)
        assert len(traffic.failures) <= 6, "one for each connection that it had"
        assert traffic.refused == 0


async def test_reloads_fail_no_request(proxy: ProxyProcess, address: SocketAddress) -> None:
    """Backends come and go, and so do rules; connections are kept all the while."""
    first, second = Origin("first"), Origin("second")
    async with first.serving(), second.serving():
        both = [(each.name, each.address) for each in (first, second)]
        proxy.configure(*_documents(address, *both))
        await proxy.start()
        async with http_traffic(address) as traffic:
            for round_ in range(6):
                stays = both[round_ % 2]
                proxy.configure(*_documents(address, stays), _route(round_, address.port))
                other = both[1 - round_ % 2][0]
                await wait_until(lambda: _is_quiet(traffic.answered, other), "the other one has left")  # noqa: B023
                proxy.configure(*_documents(address, *both))
                seen = traffic.answered[other]
                await wait_until(lambda: traffic.answered[other] > seen, "it is back")  # noqa: B023
        assert traffic.failures == []
        assert traffic.answered.total() > 500


def _route(number: int, port: int) -> Manifest:
    matches = [{"path": {"type": "PathPrefix", "value": f"/{number}"}}, {"path": {"type": "PathPrefix", "value": "/"}}]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "changing"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "backend"}],
            "rules": [{"matches": matches, "backendRefs": [{"name": "backend", "port": port}]}],
        },
    }


async def _is_quiet(answered: dict[str, int], name: str) -> bool:
    before = answered[name], sum(answered.values())
    async with asyncio.timeout(PATIENCE):
        while sum(answered.values()) < before[1] + 50:
            await asyncio.sleep(0.01)
    return answered[name] == before[0]


async def test_a_drain_loses_no_request(proxy: ProxyProcess, address: SocketAddress) -> None:
    """Clients that ask without a pause are told to close, and then find nobody."""
    origin = Origin("origin")
    async with origin.serving() as server:
        proxy.configure(*_documents(address, ("origin", server)))
        await proxy.start()
        async with http_traffic(address) as traffic:
            await traffic.flow(200)
            proxy.signal(signal.SIGTERM)
            assert await proxy.exit_status() == 0
        assert traffic.failures == []
        assert traffic.refused == 8
