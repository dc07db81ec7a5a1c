"""The live channel over real HTTP: who watches, and what they cost."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from meshproxy.admin.live import viewers
from meshproxy.admin.server import AdminServer
from meshproxy.base.addresses import SocketAddress
from meshproxy.telemetry.access_log import AccessLogStatus
from tests.integration.conditions import wait_until
from tests.support.access import make_record
from tests.support.view import FakeView


class Counted(FakeView):
    """Counts how often anybody looks, and may have a lot to say."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.much = ""
        self.is_broken = False

    def access_log(self) -> AccessLogStatus:
        self.looks += 1
        if self.is_broken:
            raise RuntimeError("a fault of ours")
        return AccessLogStatus(path=f"{self.looks}{self.much}")


@pytest.fixture
def view() -> Counted:
    return Counted()


@pytest.fixture
async def server(view: Counted, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AdminServer]:
    monkeypatch.setattr(viewers, "INTERVAL", 0.01)
    made = AdminServer(view, SocketAddress("127.0.0.1", 0))
    await made.start()
    yield made
    await made.stop()


class Watcher:
    """Reads events one by one."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> tuple[str, Any]:
        name = (await self.response.content.readline()).decode().strip().removeprefix("event: ")
        data = (await self.response.content.readline()).decode().removeprefix("data: ")
        assert await self.response.content.readline() == b"\n"
        return name, json.loads(data)

    async def until(self, wanted: str) -> Any:
        while True:
            name, value = await self.next()
            if name == wanted:
                return value


@pytest.fixture
async def session(server: AdminServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        f"http://{server.address}", connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**22
    ) as made:
        yield made


async def watch(session: aiohttp.ClientSession) -> Watcher:
    return Watcher(await session.get("/api/v1/live"))


async def test_a_viewer_is_told_everything_first(session: aiohttp.ClientSession, view: Counted) -> None:
    view.recent.add([make_record(target="/a")])
    watcher = await watch(session)
    assert watcher.response.headers["Content-Type"] == "text/event-stream"
    first = dict([await watcher.next() for _ in range(9)])
    assert first.keys() == {
        *("mesh", "routes", "health", "diagnostics", "events", "certificates", "status", "rates", "requests"),
    }
    assert first["mesh"]["services"][0]["name"] == "backend"
    assert first["health"][0][:4] == ["default/backend:http", "127.0.1.2:8080", "Unhealthy", False]
    assert first["requests"][0]["path"] == "/a"
    watcher.response.close()


async def test_only_what_changed_is_told_again(session: aiohttp.ClientSession, view: Counted) -> None:
    watcher = await watch(session)
    await watcher.until("requests")
    view.recent.add([make_record(target="/new")])
    names = []
    while True:
        name, value = await watcher.next()
        if name == "requests":
            break
        names.append(name)
    assert [each["path"] for each in value] == ["/new"]
    assert set(names) <= {"status"}, "neither the mesh nor routes, certificates or rates changed"
    watcher.response.close()


async def test_nothing_is_computed_while_nobody_watches(session: aiohttp.ClientSession, view: Counted) -> None:
    assert view.looks == 0
    watcher = await watch(session)
    await wait_until(lambda: view.looks > 3, "it looks again and again")
    watcher.response.close()
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == "live view"]
    await asyncio.gather(*tasks)
    looks = view.looks
    again = await watch(session)
    await again.until("status")
    assert view.looks > looks, "and when somebody comes again, it looks again"
    again.response.close()


async def test_viewers_share_one_computation(session: aiohttp.ClientSession, view: Counted) -> None:
    watchers = [await watch(session) for _ in range(5)]
    for watcher in watchers:
        await watcher.until("requests")
    numbers = [[(await watcher.until("status"))["accessLog"]["path"] for _ in range(3)] for watcher in watchers]
    assert all([int(number) for number in each] == list(range(int(each[0]), int(each[0]) + 3)) for each in numbers)
    for watcher in watchers:
        watcher.response.close()


async def test_the_number_of_viewers_is_bounded(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewers, "MAX_VIEWERS", 2)
    one, two = await watch(session), await watch(session)
    refused = await session.get("/api/v1/live")
    assert refused.status == 503
    assert "watch already" in (await refused.json())["error"]
    one.response.close()

    async def is_let_in() -> bool:
        response = await session.get("/api/v1/live")
        response.close()
        return response.status == 200

    await wait_until(is_let_in, "who leaves makes room")
    two.response.close()


async def test_a_viewer_that_does_not_read_is_dropped(
    server: AdminServer, session: aiohttp.ClientSession, view: Counted
) -> None:
    view.much = "x" * 1_000_000
    loop = asyncio.get_running_loop()
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.setblocking(False)
        await loop.sock_connect(lazy, (server.address.host, server.address.port))
        await loop.sock_sendall(lazy, b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        live = server._viewers
        await wait_until(lambda: len(live) == 1, "it is there")
        diligent = await watch(session)
        await wait_until(lambda: len(live) == 2, "so is the other")

        async def only_one_is_left() -> bool:
            await diligent.until("status")
            return len(live) == 1

        await wait_until(only_one_is_left, "who does not read is dropped, and no other")
    diligent.response.close()


async def test_the_end_is_told(view: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    server = AdminServer(view, SocketAddress("127.0.0.1", 0))
    await server.start()
    async with aiohttp.ClientSession(f"http://{server.address}") as session:
        watcher = await watch(session)
        await watcher.until("requests")
        await server.stop()
        assert await watcher.response.content.read() == b"", "the stream ends as streams do"


async def test_a_fault_of_ours_leaves_nobody_waiting(
    server: AdminServer, session: aiohttp.ClientSession, view: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = await watch(session)
    await watcher.until("requests")
    view.is_broken = True
    await watcher.response.content.read()
    assert "a fault of ours" in caplog.text
    await wait_until(lambda: len(server._viewers) == 0, "its place is free again")
    view.is_broken = False
    again = await watch(session)
    await again.until("rates")
    again.response.close()
