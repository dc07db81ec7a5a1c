"""`meshproxy top` as people and scripts run it: on a terminal, and without one."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fcntl import ioctl

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.conditions import wait_until
from tests.integration.http_traffic import http_traffic
from tests.integration.manifests import make_service, make_workload
from tests.integration.proxy_process import ProxyProcess
from tests.support.http import Origin

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")


class Terminal:
    """A terminal of 100 by 30, with `meshproxy top` on it."""

    def __init__(self, descriptor: int, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._descriptor = descriptor
        self._shown = ""

    def shown(self) -> str:
        """What was written since the last screen began."""
        try:
            while True:
                self._shown += os.read(self._descriptor, 65536).decode(errors="replace")
        except OSError:  # nothing more, or the end
            pass
        return _ESCAPES.sub("", self._shown.rpartition("\x1b[H")[2])

    def press(self, key: str) -> None:
        os.write(self._descriptor, key.encode())

    async def wait_for(self, pattern: str) -> None:
        """Until the screen has it."""
        await wait_until(lambda: re.search(pattern, self.shown()), f"the screen shows {pattern}")


@asynccontextmanager
async def top(admin: SocketAddress) -> AsyncIterator[Terminal]:
    controller, terminal = pty.openpty()
    os.set_blocking(controller, False)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "meshproxy", "top", "--admin", str(admin)),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(terminal)
    try:
        yield Terminal(controller, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(controller)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    made = Origin()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def shop(proxy: ProxyProcess, origin: Origin, address: SocketAddress) -> ProxyProcess:
    """A proxy with one Service."""
    proxy.configure(make_service(address, "shop"), make_workload(origin.endpoint.address, "shop-1", "shop"))
    await proxy.start()
    return proxy


async def test_once_prints_one_table(shop: ProxyProcess, address: SocketAddress) -> None:
    async with http_traffic(address, 2) as traffic:
        await traffic.flow(10)
        status, output = await shop.meshproxy("top", "--once", "--callers", "--endpoints")
    assert status == 0, output
    heads, service, caller, endpoint = (line.split() for line in output.splitlines())
    assert heads == ["NAME", "READY", "REQ/S", "SUCCESS", "P50", "P99", "OPEN", "NEW/S", "FAIL/S", "BYTES/S"]
    assert service[:2] == ["default/shop", "1/1"]
    assert float(service[2]) > 0
    assert caller[:3] == ["<", "this", "machine"]
    assert endpoint[0] == "shop-1"


async def test_a_screen_follows_and_obeys_keys(shop: ProxyProcess, address: SocketAddress) -> None:
    async with top(shop.admin) as terminal, http_traffic(address, 2):
        await terminal.wait_for(r"default/shop +1/1 +[1-9][0-9.]+ +100%")
        terminal.press("d")
        await terminal.wait_for(r"shop-1 \(")
        terminal.press("c")
        await terminal.wait_for(r"< this machine +[1-9]")
        terminal.press("1")
        await terminal.wait_for(r"this machine +default/shop +[1-9]")
        assert "All is well." in terminal.shown()
        terminal.press("4")
        await terminal.wait_for(r"200 +GET / ")
        terminal.press("/nothing\r")
        await wait_until(lambda: "GET /" not in terminal.shown(), "the filter leaves none")
        terminal.press("q")
        assert await terminal.process.wait() == 0


async def test_a_screen_outlives_the_proxy(shop: ProxyProcess) -> None:
    async with top(shop.admin) as terminal:
        await terminal.wait_for("default/shop")
        await shop.stop()
        await terminal.wait_for("(?i)trying again")
        await shop.start()
        await wait_until(lambda: "rying again" not in terminal.shown(), "it is live again")
        await terminal.wait_for("default/shop")


async def test_without_a_proxy_it_says_so(shop: ProxyProcess) -> None:
    await shop.stop()
    status, output = await shop.meshproxy("top", "--once")
    assert status == 1
    assert "no proxy answers" in output
    async with top(shop.admin) as terminal:
        await terminal.wait_for("no proxy answers")
        assert await terminal.process.wait() == 1
