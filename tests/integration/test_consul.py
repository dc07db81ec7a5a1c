"""A proxy, a real Consul agent, and servers that are known to Consul only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.processes import free_port
from meshproxy.base.addresses import SocketAddress
from tests.integration.backends import Backend
from tests.integration.clients import shares
from tests.integration.conditions import wait_until
from tests.integration.proxy_process import ProxyProcess
from tests.support.consul import ConsulServer


@pytest.fixture
async def consul(tmp_path: Path) -> AsyncIterator[ConsulServer]:
    server = ConsulServer(tmp_path / "consul")
    try:
        await asyncio.to_thread(server.start)
        yield server
    finally:
        server.stop()


def _register(consul: ConsulServer, backend: Backend, **fields: Any) -> None:
    consul.register("web", backend.name, Address=backend.address.host, Port=backend.address.port, **fields)


def _configure(proxy: ProxyProcess, consul: ConsulServer, **spec: Any) -> None:
    """Its address is that of every Service called web: its port is this test's own."""
    source = {"address": consul.address, "import": {"services": "all", "port": free_port()}}
    proxy.configure(sources=[{"consul": source, "emptyConfirmation": "1h"}], **spec)


async def _service(proxy: ProxyProcess) -> SocketAddress:
    """Where `web` is, once it is there."""
    await wait_until(lambda: proxy.get("/api/v1/services?name=web"), "web is a Service")
    (row,) = await proxy.get("/api/v1/services?name=web")
    return SocketAddress(row["clusterIPs"][0], row["ports"][0]["port"])


async def _endpoints(proxy: ProxyProcess) -> set[str]:
    return {row["name"] for row in await proxy.get("/api/v1/endpoints?service=web") if row["usable"]}


async def _source(proxy: ProxyProcess) -> dict[str, Any]:
    (row,) = await proxy.get("/api/v1/sources?name=consul")
    found: dict[str, Any] = row
    return found


async def test_what_consul_knows_is_reached_without_a_word_about_addresses(
    proxy: ProxyProcess, consul: ConsulServer
) -> None:
    _configure(proxy, consul)
    await proxy.start()
    async with Backend("web-1") as first, Backend("web-2") as second:
        _register(consul, first)
        address = await _service(proxy)
        assert await shares(address, 4) == {"web-1": 4}
        _register(consul, second)
        await wait_until(lambda: _two(proxy), "both are endpoints")
        assert await shares(address, 4) == {"web-1": 2, "web-2": 2}
        consul.check("web-1", "fail")
        await wait_until(lambda: _only(proxy, "web-2.node-1"), "the critical one is out")
        assert await shares(address, 4) == {"web-2": 4}
        status, said = await proxy.meshproxy("get", "workloads")
        assert status == 0
        assert [line.split()[5] for line in said.splitlines()[1:]] == ["consul", "consul"]


async def _two(proxy: ProxyProcess) -> bool:
    return len(await _endpoints(proxy)) == 2


async def _only(proxy: ProxyProcess, name: str) -> bool:
    return (await _endpoints(proxy)) == {name}


async def test_without_the_registry_everything_goes_on_and_a_restart_too(
    proxy: ProxyProcess, consul: ConsulServer
) -> None:
    _configure(proxy, consul)
    async with Backend("web-1") as backend:
        _register(consul, backend)
        await proxy.start()
        address = await _service(proxy)
        consul.stop()

        async def failing() -> bool:
            return bool((await _source(proxy))["state"] == "Failing")

        await wait_until(failing, "the loss is seen")
        assert await shares(address, 2) == {"web-1": 2}
        status, said = await proxy.meshproxy("status")
        assert status == 1
        assert "cannot be asked" in said
        await proxy.stop()
        await proxy.start()
        assert await shares(address, 2) == {"web-1": 2}
        source = await _source(proxy)
        assert (source["state"], source["counts"]) == ("Failing", {"Service": 1, "Workload": 1})
        assert source["stale"] > 0
        # It comes back empty, and is not believed.
        await asyncio.to_thread(_restart_without_state, consul)

        async def held() -> bool:
            return bool((await _source(proxy))["held"])

        await wait_until(held, "the empty answer is heard")
        assert await shares(address, 2) == {"web-1": 2}
        _register(consul, backend)

        async def released() -> bool:
            return not (await _source(proxy))["held"]

        await wait_until(released, "what came back is held no longer")
        assert await shares(address, 2) == {"web-1": 2}


def _restart_without_state(consul: ConsulServer) -> None:
    consul.stop(forget=True)
    consul.start()


async def test_a_drain_takes_services_out_before_it_refuses(proxy: ProxyProcess, consul: ConsulServer) -> None:
    _configure(proxy, consul, register=[{"name": "here", "id": "here", "port": 8090, "check": {"ttl": "20s"}}])
    async with Backend("web-1") as backend:
        _register(consul, backend)
        await proxy.start()
        address = await _service(proxy)
        await wait_until(lambda: "here" in consul.services(), "the service is registered")
        status, said = await proxy.meshproxy("status")
        assert (status, "REGISTERED HERE" in said) == (0, True)
        draining = asyncio.get_running_loop().create_task(proxy.meshproxy("drain"))
        await wait_until(lambda: "here" not in consul.services(), "the service is taken out")
        assert await shares(address, 1) == {"web-1": 1}, "who had found it before is still served"
        await draining
        assert await proxy.exit_status() == 0
