"""Fixtures: real proxies that are stopped, and whose logs are read, at the end; and HTTP servers behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import free_address
from tests.integration.proxy_process import ProxyProcess
from tests.support.http import Origin

MakeProxy = Callable[..., ProxyProcess]


@pytest.fixture
async def make_proxy_process(tmp_path: Path) -> AsyncIterator[MakeProxy]:
    """Make proxies, each in a directory of its own; all are stopped afterwards."""
    made: list[ProxyProcess] = []

    def make(*prefix: str) -> ProxyProcess:
        made.append(ProxyProcess(tmp_path / f"proxy-{len(made)}", prefix))
        return made[-1]

    yield make
    try:
        for proxy in made:
            await proxy.stop()
    finally:
        for proxy in made:
            if proxy.alive:
                await proxy.kill()


@pytest.fixture
def proxy(make_proxy_process: MakeProxy) -> ProxyProcess:
    """A proxy that is not started yet."""
    return make_proxy_process()


@pytest.fixture
def address() -> SocketAddress:
    """A free address for a Service."""
    return free_address()


@pytest.fixture
async def origins() -> AsyncIterator[tuple[Origin, Origin]]:
    """Those of the Services ``shop`` and ``next``."""
    made = (Origin(), Origin())
    for each in made:
        await each.start()
    yield made
    for each in made:
        await each.stop()
